"""Numbers that stand for a missing value: −1 in a column of ages, 999 among shares, 0 among blood pressures.

Such a number is repeated, lies beyond all others with a gap between, and only few cells have it: in more of them it is
a state of what is measured (a sensor that is off), as it is where another column shows it. Codes that people use for
"unknown" need less of a gap than others.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOST_CELLS = 0.05
"""Share of a column's cells above which a value is a state, not an error."""

FEWEST_CELLS = {"negative": 1, "nines": 2, "zero": 3, "other": 4, "inside": 5}
"""Cells with the value, at least: fewer are left to what is said of far values. `negative` and `nines` are codes below
and above all others, `zero` is a zero or a code below all others, `inside` a code among values that do not repeat."""

FEWEST_OTHERS = {"negative": 8, "nines": 8, "zero": 20, "other": 50}
"""Distinct other values, at least, unless the gap is VERY_WIDE: scales of few values have unused ends."""

STEPS = {"negative": 0.0, "nines": 3.0, "zero": 3.0, "other": 5.0}
"""Gap to the next value, in units of the largest of the steps that follow."""

REACH = {"negative": 0.0, "nines": 0.0, "zero": 0.35, "other": 0.5}
"""The same in units of the distance from the next value to the column's median."""

VERY_WIDE = 10.0
"""Steps: 99 among answers from 1 to 5."""

FOLLOWING = 20
"""Values behind the gap whose steps it is compared with."""

NATS = {"negative": 8.0, "nines": 8.0, "zero": 7.0, "other": 6.0, "inside": 6.0}
"""Evidence that a cell is wrong."""

NEARLY_ALL = 0.95
"""Share of a column's values that do not repeat, where a code that does is not one of them by chance."""

AT_EACH_END = 3

STATE_CELLS, STATE_ENDS, STATE_GAP = 5, 0.05, 0.2
"""Cells of a state, at least, share of another column's cells among whose ends they lie, and how far from the bulk of
them, in units of its width: the machine is off, so its flow is 0 and its temperature that of the room. A sensor that
fails in the last rows has the largest years and counters, but hardly larger ones: the last fiftieth of a counter is
0.05 away, that of a normal column 0.16, on its scale."""


def find_stand_ins(values: Floats) -> dict[float, float]:
    """The values of a column (n,), finite, that stand for a missing one, each with its evidence in nats."""
    found: dict[float, float] = {}
    every, cells = np.unique(values, return_counts=True)
    few, middle = cells <= MOST_CELLS * len(values), float(np.median(values))
    for direction in (1.0, -1.0):
        order = slice(None) if direction > 0 else slice(None, None, -1)
        distinct, counts = direction * every[order], cells[order]
        for start in range(min(AT_EACH_END, len(distinct) - 2)):
            kind = _kind(distinct[start:], int(counts[start]), direction, direction * middle)
            crowded = counts[start + 1 : start + 1 + FOLLOWING].max() * 4 > counts[start]
            if kind is None or not few[order][start] or (kind == "other" and crowded):
                break
            found[float(direction * distinct[start])] = NATS[kind]
    if (cells == 1).sum() > NEARLY_ALL * (~few | (cells < FEWEST_CELLS["other"])).sum():
        for value in every[few & (cells >= FEWEST_CELLS["inside"])]:
            if _is_code(float(value)):
                found.setdefault(float(value), NATS["inside"])
    return found


def is_state(rows: npt.NDArray[np.bool_], others: Collection[Floats]) -> bool:
    """Return True if the rows (n,) with a value are in a state of their own: nearly all of their cells are the largest,
    or the smallest, of another column (n,), and away from the bulk of it. `others`: on their scales, NaN for cells that
    do not count."""
    for values in others:
        known = np.isfinite(values)
        if (rows & known).sum() < max(STATE_CELLS, (1 - STATE_ENDS) * rows.sum()):
            continue
        ordered, own = np.sort(values[known & ~rows]), values[known & rows]
        if len(ordered):
            reached = (np.searchsorted(ordered, own, side) for side in ("left", "right"))
            above, below = (float(np.mean(index)) / len(ordered) for index in reached)
            low, high = np.quantile(ordered, [STATE_ENDS, 1 - STATE_ENDS])
            gap = max(np.median(own) - high, low - np.median(own))
            if (above > 1 - STATE_ENDS or below < STATE_ENDS) and gap > STATE_GAP * (high - low):
                return True
    return False


def _kind(distinct: Floats, count: int, direction: float, middle: float) -> str | None:
    """Return how the first of `distinct` (m,) values stands out; they ascend, and are negated where direction is −1, as
    the median `middle` is."""
    value, following = float(direction * distinct[0]), distinct[1:]
    gap = float(following[0] - distinct[0])
    steps = np.diff(following[: FOLLOWING + 1])
    largest = float(steps.max()) if len(steps) else np.inf
    reach = float(middle - following[0])
    kind = "other"
    if _is_code(value):
        if value < 0 <= following[0] and direction > 0:
            kind = "negative"
        elif value > 0:
            kind = "nines" if direction < 0 else "zero"
    elif value == 0 and direction > 0:
        kind = "zero"
    enough = len(following) >= FEWEST_OTHERS[kind] or (_is_code(value) and gap >= VERY_WIDE * largest)
    wide = gap >= STEPS[kind] * largest and gap >= REACH[kind] * reach
    return kind if enough and wide and count >= FEWEST_CELLS[kind] else None


def _is_code(value: float) -> bool:
    """−1 and all nines of either sign, 9 alone only below zero."""
    digits = f"{abs(value):.0f}"
    nines = value == round(value) and set(digits) == {"9"} and len(digits) <= 12
    return value == -1 or (nines and (len(digits) > 1 or value < 0))
