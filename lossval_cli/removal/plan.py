"""The sets of rows that a removal study trains on: what is dropped, for every arm, fraction and seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.labels import ClassLabels
from lossval_cli.text.format import quote

Mask = npt.NDArray[np.bool_]

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
QUICK_FRACTIONS = (0.05, 0.1, 0.2, 0.3)
SEEDS = {"full": 4, "quick": 2}

FEWEST_KEPT = 10
"""A removal that leaves fewer rows, or none of a class that had so many, is not run. A smaller class may go:
it is often a mistyped label."""


@dataclass(frozen=True)
class Plan:
    """Sets of rows to keep: the first keeps all; then one per (arm, fraction) that can be run."""

    fractions: tuple[float, ...]
    keeps: npt.NDArray[np.bool_]  # (seeds, sets, N); seeds differ in `random` only
    places: dict[tuple[str, float], int]  # (arm, fraction) -> set
    failed: tuple[str, ...]


def make_plan(
    dataset: Dataset,
    pool: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    suspect: Mask,
    mode: str,
    rng: np.random.Generator,
) -> Plan:
    """`order` (N,): places in `pool` (N,) from the least important row to the most."""
    fractions = FRACTIONS if mode == "full" else QUICK_FRACTIONS
    seeds, rows = SEEDS[mode], len(order)
    keeps, places, failed = [np.ones((seeds, rows), np.bool_)], {}, []

    def add(arm: str, fraction: float, dropped: npt.NDArray[np.int64]) -> None:
        keep = np.ones((seeds, rows), np.bool_)
        np.put_along_axis(keep, np.broadcast_to(dropped, (seeds, dropped.shape[-1])), False, axis=1)
        reason = _too_little(dataset, pool, keep)
        if reason is not None:
            failed.append(f"{arm} {fraction:.0%}: not run, {reason}")
            return
        places[arm, fraction] = len(keeps)
        keeps.append(keep)

    shuffled = np.array([rng.permutation(rows) for _ in range(seeds)])
    for arm, ranked in (("lowest_first", order), ("highest_first", order[::-1]), ("random", shuffled)):
        for fraction in fractions:
            add(arm, fraction, ranked[..., : round(fraction * rows)])
    if suspect.any():
        add("suspects", float(suspect.mean()), np.flatnonzero(suspect))
    return Plan(fractions, np.stack(keeps, axis=1), places, tuple(failed))


def _too_little(dataset: Dataset, pool: npt.NDArray[np.int64], keep: Mask) -> str | None:
    """Why the rows kept, (seeds, N), are not enough to train on; None where they are."""
    fewest = int(keep.sum(axis=1).min())
    if fewest < FEWEST_KEPT:
        return f"it would leave {fewest} rows"
    if isinstance(dataset.labels, ClassLabels) and dataset.train.y is not None:
        y, names = dataset.train.y[pool].astype(np.int64), dataset.labels.names
        left = np.min([np.bincount(y[kept], minlength=len(names)) for kept in keep], axis=0)
        gone = np.flatnonzero((left == 0) & (np.bincount(y, minlength=len(names)) >= FEWEST_KEPT))
        if gone.size:
            return f"it would leave no row labelled {quote(names[gone[0]])}"
    return None
