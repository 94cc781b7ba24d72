"""Thresholds from trials: where F1 is highest, or where a wanted precision begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossval_cli.calibration.counts import Bools, Found, count_flags, counted_rows, planted_rows
from lossval_cli.calibration.trials import Trial
from lossval_cli.noise.label_errors import Floats, NoiseEstimate

GRID = np.array([*np.arange(1, 100) / 100, 0.995, 0.999])
"""Thresholds that are tried; few enough that one is not chosen for what a single row does."""


NONE = 1.0
"""The threshold that flags nothing, but rows that are certain."""


BETTER_THAN_ALL = 1.5
"""Times the F1 of flagging every row that a threshold has to reach: otherwise nothing was found."""


@dataclass(frozen=True)
class Choice:
    """A threshold for one kind of suspicion, and what flags by it find."""

    kind: str
    threshold: float | None
    """None where no threshold reaches the wanted precision; NONE where F1 was wanted and nothing is found."""
    found: list[Found]
    """By rate; empty without a threshold."""
    best_precision: float
    """The highest precision at the worst rate that any threshold reaches."""


def choose_threshold(trials: Sequence[Trial], eligible: Bools, kind: str, precision: float | None) -> Choice:
    """Choose the threshold for `kind`, label or features. Every rate counts alike.

    precision None: the threshold with the highest F1, averaged over the rates (the middle one, where several
    are equal), as long as that is clearly better than flagging all rows.  Otherwise the lowest threshold at which
    every rate by itself reaches that precision.
    """
    rates = sorted({trial.rate for trial in trials})
    tables = [_curves([trial for trial in trials if trial.rate == rate], eligible, kind) for rate in rates]
    f1 = np.mean([table[0] for table in tables], axis=0)
    reached = np.min([table[1] for table in tables], axis=0)
    if precision is None:
        all_rows = np.mean([table[2] for table in tables])
        good = np.flatnonzero((f1 == f1.max()) & (f1 > BETTER_THAN_ALL * all_rows))
        threshold = float(GRID[good[len(good) // 2]]) if good.size else NONE
    else:
        good = np.flatnonzero(reached >= precision)
        if not good.size:
            return Choice(kind, None, [], float(reached.max()))
        threshold = float(GRID[good[0]])
    found = count_flags(trials, eligible, kind, lambda noise: _probability(noise, kind) >= threshold)
    return Choice(kind, threshold, found, float(reached.max()))


def _probability(noise: NoiseEstimate, kind: str) -> Floats:
    return noise.label_probability if kind == "label" else noise.feature_probability


def _curves(trials: Sequence[Trial], eligible: Bools, kind: str) -> tuple[Floats, Floats, float]:
    """Compute F1 and precision (0 where nothing is found) at every threshold of GRID, and the F1 of flagging all
    rows."""
    right, wrong = [], []
    for trial in trials:
        truth, counted = planted_rows(trial, kind), counted_rows(trial, eligible, kind)
        probability = _probability(trial.noise, kind)
        right.append(probability[counted & truth])
        wrong.append(probability[counted & ~truth])
    hits, false = (_at_least(np.concatenate(values)) for values in (right, wrong))
    flagged, planted = hits + false, sum(map(len, right))
    f1 = 2 * hits / np.maximum(flagged + planted, 1)
    every = sum(map(len, wrong)) + planted
    return f1, hits / np.maximum(flagged, 1), 2 * planted / max(every + planted, 1)


def _at_least(values: Floats) -> Floats:
    """Count the `values` that are at or above each threshold of GRID."""
    counts: Floats = len(values) - np.searchsorted(np.sort(values), GRID, side="left").astype(np.float64)
    return counts
