"""Which training rows are held out for validation if no validation table is given."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lossval_cli.features.row_keys import Units
from lossval_cli.settings import Settings

Rows = npt.NDArray[np.int64]


def hold_out(
    y: npt.NDArray[np.generic],
    settings: Settings,
    *,
    stratify: bool,
    units: Units | None,
    time_order: npt.NDArray[np.int64] | None,
) -> Rows:
    """Choose (J,) rows to hold out, sorted: about the share `val_fraction` of all rows, at least one and not all.

    stratify: y (N,) are classes, each of which gives about that share.  units (N,): rows of one unit are held out
    together or not at all.  time_order (N,): the last rows in time are held out, so that the model is
    measured on what came after; it comes before the other two.
    """
    rng = np.random.default_rng([settings.seed, len(y)])
    order = rng.permutation(len(y))
    if time_order is not None:
        return _latest(time_order, units, settings.val_fraction)
    if units is not None:
        return _whole_units(y, units, order, settings.val_fraction, stratify=stratify)
    if stratify:
        order = order[np.argsort(y[order], kind="stable")]
    # Taken at even steps through rows sorted by class, each class gives its share, ±1.
    count = max(1, round(settings.val_fraction * len(y)))
    steps = np.floor((np.arange(count) + rng.random()) * len(y) / count).astype(np.int64)
    return np.sort(order[steps])


def _latest(time_order: npt.NDArray[np.int64], units: Units | None, fraction: float) -> Rows:
    """The last rows in time; a unit counts as late as its last row, and equal times stay together."""
    late = time_order
    if units is not None:
        last = np.zeros(int(units.max()) + 1, np.int64)
        np.maximum.at(last, units, time_order)
        late = last[units]
    cut = np.sort(late)[min(len(late) - 1, round((1 - fraction) * len(late)))]
    chosen = late >= cut
    if chosen.all():  # one time holds most of the rows: what comes after it
        chosen = late > cut
    return np.flatnonzero(chosen)


def _whole_units(y: npt.NDArray[np.generic], units: Units, order: Rows, fraction: float, *, stratify: bool) -> Rows:
    """Units in random order, sorted by the class of their first row: one is taken whenever the rows that are due
    are at least half of it, so every class gives about its share."""
    sizes = np.bincount(units)
    shuffled = np.unique(units[order], return_index=True)[1]  # (U,) a random row of each unit
    first = order[shuffled]
    queue = np.argsort(shuffled, kind="stable")  # units in random order
    if stratify:
        queue = queue[np.argsort(y[first[queue]], kind="stable")]
    taken, due = np.zeros(len(sizes), np.bool_), 0.0
    for unit in queue.tolist():
        due += fraction * sizes[unit]
        if 2 * due >= sizes[unit]:
            taken[unit] = True
            due -= sizes[unit]
    if taken.all():
        taken[np.argmin(sizes)] = False
    if not taken.any():
        taken[np.argmin(sizes)] = True
    return np.flatnonzero(taken[units])
