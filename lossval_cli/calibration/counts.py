"""What was planted against what was flagged: precision, recall and reliability, with their intervals.

Intervals are Wilson's, 95 %, over the rows of all repeats. They take rows for independent, which rows scored
by the same networks are not quite, so they are a little too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.calibration.trials import Trial
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.report.findings.names import wilson

Bools = npt.NDArray[np.bool_]

KINDS = ("label", "features", "either")

INTERVAL = 0.95

TENTHS = 10
"""Bins of the reliability table."""


class Share(NamedTuple):
    """`hits` of `of` rows."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        """Share of hits, None of no rows."""
        return self.hits / self.of if self.of else None

    def interval(self) -> tuple[float, float] | None:
        """Return Wilson's interval, None of no rows."""
        if not self.of:
            return None
        low, high = wilson(self.hits, self.of)
        return float(low), float(high)

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for JSON and TOML."""
        low, high = self.interval() or (None, None)
        return {"hits": self.hits, "of": self.of, "value": self.value, "low": low, "high": high}


@dataclass(frozen=True)
class Found:
    """Results of the flags of one kind at one planted rate."""

    kind: str
    rate: float
    planted: int
    flagged: int
    """Rows flagged, of those that are counted."""
    right: int
    """Flagged rows in which noise of the kind was planted."""
    doubtful: int
    """Flags on rows that are left out since they were suspect before."""

    @property
    def precision(self) -> Share:
        """Precision: flags on planted rows, of all flags."""
        return Share(self.right, self.flagged)

    @property
    def least_precision(self) -> Share:
        """The same if every flag on a row left out is a false one."""
        return Share(self.right, self.flagged + self.doubtful)

    @property
    def recall(self) -> Share:
        """Recall: flagged planted rows, of all planted rows."""
        return Share(self.right, self.planted)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0 where nothing was found."""
        total = self.planted + self.flagged
        return 2 * self.right / total if total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for JSON and TOML."""
        return {
            "kind": self.kind,
            "rate": self.rate,
            "planted": self.planted,
            "flagged": self.flagged,
            "right": self.right,
            "doubtful": self.doubtful,
            "precision": self.precision.to_dict(),
            "least_precision": self.least_precision.value,
            "recall": self.recall.to_dict(),
            "f1": self.f1,
        }


class Reliability(NamedTuple):
    """Rows of one tenth of noise_probability, over all trials."""

    low: float
    high: float
    stated: float | None  # mean noise_probability of the rows
    noisy: Share


def count_flags(
    trials: Sequence[Trial], eligible: Bools, kind: str, flags: Callable[[NoiseEstimate], Bools]
) -> list[Found]:
    """Count the flags at each rate, one Found a rate, over its repeats. eligible: (N,) rows that count.

    Rows with planted features are left out of what is said of labels: whether the label still fits such
    features, nobody knows.
    """
    found = []
    for rate in sorted({trial.rate for trial in trials}):
        planted = flagged = right = doubtful = 0
        for trial in trials:
            if trial.rate != rate:
                continue
            truth, counted, flag = (
                planted_rows(trial, kind),
                counted_rows(trial, eligible, kind),
                flags(trial.noise),
            )
            planted += int((truth & counted).sum())
            flagged += int((flag & counted).sum())
            right += int((flag & counted & truth).sum())
            doubtful += int((flag & ~eligible).sum())
        found.append(Found(kind, rate, planted, flagged, right, doubtful))
    return found


def planted_rows(trial: Trial, kind: str) -> Bools:
    """Return (N,) rows in which noise of the kind was planted."""
    return {"label": trial.label, "features": trial.features, "either": trial.label | trial.features}[kind]


def counted_rows(trial: Trial, eligible: Bools, kind: str) -> Bools:
    """Return (N,) rows that say something about flags of the kind."""
    return eligible & ~trial.features if kind == "label" else eligible


def as_scored(kind: str) -> Callable[[NoiseEstimate], Bools]:
    """The flags of one kind as `lossval score` sets them."""
    return {
        "label": lambda noise: noise.label_suspect,
        "features": lambda noise: noise.feature_suspect,
        "either": lambda noise: noise.label_suspect | noise.feature_suspect,
    }[kind]


def measure_reliability(trials: Sequence[Trial], eligible: Bools) -> list[Reliability]:
    """Share of planted rows among those given a probability of .8 to .9, and so on: one entry per tenth, all trials."""
    stated = np.concatenate([trial.noise.probability[eligible] for trial in trials])
    planted = np.concatenate([planted_rows(trial, "either")[eligible] for trial in trials])
    tenth = np.minimum((stated * TENTHS).astype(int), TENTHS - 1)
    table = []
    for i in range(TENTHS):
        rows = tenth == i
        mean = float(stated[rows].mean()) if rows.any() else None
        share = Share(int(planted[rows].sum()), int(rows.sum()))
        table.append(Reliability(i / TENTHS, (i + 1) / TENTHS, mean, share))
    return table
