"""The ways of using a ranking that a removal study compares: which rows count how much, and with which label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.labels import ClassLabels
from lossval_cli.lossval.training import Fit
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.text.format import quote

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
QUICK_FRACTIONS = (0.05, 0.1, 0.2, 0.3)
SEEDS = {"full": 4, "quick": 2}

MIN_KEPT = 10
"""A removal that leaves fewer rows, or none of a class that had so many, is not run. A smaller class may go:
it is often a mistyped label."""

MIN_RELABEL_PROBABILITY = 0.5
"""Probability of a wrong label from which a suspect is relabelled: what `lossval clean --relabel
--min-probability 50%` does."""


class Strategy(NamedTuple):
    """Treatment of the rows before a model is trained."""

    name: str
    """`lowest_first`, `highest_first`, `random` or `suspects` are left out; `relabel`: suspects by their label
    alone get the predicted one; `weights`: rows count as much as they are important."""
    share: float
    """Share of rows that is left out or relabelled; 1 for weights."""


@dataclass(frozen=True)
class Pool:
    """The N training rows that retrainings draw on, in the order of the table."""

    rows: npt.NDArray[np.int64]
    importance: Floats
    suspect: Mask
    relabelled: npt.NDArray[np.int64] | None
    """(N,) classes with those of wrong labels replaced by predictions; None where nothing is replaced."""


def make_pool(dataset: Dataset, rows: npt.NDArray[np.int64], fit: Fit, noise: NoiseEstimate | None) -> Pool:
    """Make the pool of the training rows (N,) named."""
    suspect, relabelled = np.zeros(len(rows), np.bool_), None
    if noise is not None:
        suspect = (noise.label_suspect | noise.feature_suspect)[rows]
        wrong = noise.label_suspect & ~noise.feature_suspect & (noise.label_probability >= MIN_RELABEL_PROBABILITY)
        if dataset.classes is not None and wrong[rows].any():
            assert dataset.train.y is not None
            predicted = fit.predictions[rows].argmax(axis=1)
            relabelled = np.where(wrong[rows], predicted, dataset.train.y[rows].astype(np.int64))
    return Pool(rows, fit.importance[rows], suspect, relabelled)


@dataclass(frozen=True)
class Plan:
    """Sets of sample weights: the first set counts every row once, or as often as the table's own weights say;
    the others are one strategy each, times those weights."""

    fractions: tuple[float, ...]
    weights: npt.NDArray[np.float32]  # (seeds, sets, N); seeds differ in `random` only
    sets: dict[Strategy, int]
    failed: tuple[str, ...]

    @property
    def relabelled_set(self) -> int | None:
        """The set whose labels are the pool's `relabelled`; the last one, None where there is none."""
        return next((index for strategy, index in self.sets.items() if strategy.name == "relabel"), None)

    def strategies(self, *names: str) -> dict[Strategy, int]:
        """The sets of these strategies."""
        return {strategy: index for strategy, index in self.sets.items() if strategy.name in names}


def make_plan(dataset: Dataset, pool: Pool, mode: str, rng: np.random.Generator) -> Plan:
    """Make the plan. `mode` is full or quick: how many fractions and seeds."""
    fractions = FRACTIONS if mode == "full" else QUICK_FRACTIONS
    seeds, rows = SEEDS[mode], len(pool.rows)
    weights = [np.ones((seeds, rows), np.float32)]
    sets: dict[Strategy, int] = {}
    failed = []

    def add(strategy: Strategy, values: npt.NDArray[np.float32]) -> None:
        sets[strategy] = len(weights)
        weights.append(values)

    def leave_out(strategy: Strategy, dropped: npt.NDArray[np.int64]) -> None:
        keep = np.ones((seeds, rows), np.float32)
        np.put_along_axis(keep, np.broadcast_to(dropped, (seeds, dropped.shape[-1])), 0.0, axis=1)
        reason = _too_few_kept(dataset, pool, keep > 0)
        if reason is None:
            add(strategy, keep)
        else:
            failed.append(f"{strategy.name} {strategy.share:.0%}: not run, {reason}")

    order = np.argsort(pool.importance, kind="stable")
    shuffled = np.array([rng.permutation(rows) for _ in range(seeds)])
    for name, ranked in (("lowest_first", order), ("highest_first", order[::-1]), ("random", shuffled)):
        for fraction in fractions:
            leave_out(Strategy(name, fraction), ranked[..., : round(fraction * rows)])
    if pool.suspect.any():
        leave_out(Strategy("suspects", float(pool.suspect.mean())), np.flatnonzero(pool.suspect))
    if (pool.importance >= 0).all() and np.ptp(pool.importance) > 0:
        relative = (pool.importance / pool.importance.mean()).astype(np.float32)
        add(Strategy("weights", 1.0), np.broadcast_to(relative, (seeds, rows)))
    if pool.relabelled is not None:
        assert dataset.train.y is not None
        changed = float((pool.relabelled != dataset.train.y[pool.rows]).mean())
        add(Strategy("relabel", changed), np.ones((seeds, rows), np.float32))
    stacked = np.stack(weights, axis=1)
    if dataset.weights is not None:
        stacked = stacked * dataset.weights[pool.rows].astype(np.float32)
    return Plan(fractions, stacked, sets, tuple(failed))


def _too_few_kept(dataset: Dataset, pool: Pool, keep: Mask) -> str | None:
    """Explain why the rows kept, (seeds, N), are not enough to train on; None where they are."""
    fewest = int(keep.sum(axis=1).min())
    if fewest < MIN_KEPT:
        return f"it would leave {fewest} rows"
    if isinstance(dataset.labels, ClassLabels) and dataset.train.y is not None:
        y, names = dataset.train.y[pool.rows].astype(np.int64), dataset.labels.names
        left = np.min([np.bincount(y[kept], minlength=len(names)) for kept in keep], axis=0)
        gone = np.flatnonzero((left == 0) & (np.bincount(y, minlength=len(names)) >= MIN_KEPT))
        if gone.size:
            return f"it would leave no row labelled {quote(names[gone[0]])}"
    return None
