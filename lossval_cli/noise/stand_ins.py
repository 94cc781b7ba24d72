"""Numbers that stand for a missing value: −1 in a column of ages, 999 among shares, 0 among blood pressures.

Such a number is repeated, lies beyond all others with a gap between, and only few cells have it: in more of them it is
a state of what is measured (a sensor that is off). Codes that people use for "unknown" need less of a gap than others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOST_CELLS = 0.05
"""Share of a column's cells above which a value is a state, not an error."""

FEWEST_CELLS = {"code": 2, "zero": 3, "other": 4}
"""Cells with the value, at least: fewer are left to what is said of far values."""

FEWEST_OTHERS = {"code": 8, "zero": 20, "other": 50}
"""Distinct other values, at least, unless the gap is VERY_WIDE: scales of few values have unused ends."""

STEPS = {"code": 1.0, "zero": 3.0, "other": 5.0}
"""Gap to the next value, in units of the largest of the steps that follow."""

REACH = {"code": 0.0, "zero": 0.35, "other": 0.5}
"""The same in units of the distance from the next value to the column's median."""

VERY_WIDE = 10.0
"""Steps: 99 among answers from 1 to 5."""

FOLLOWING = 20
"""Values behind the gap whose steps it is compared with."""

NATS = {"code": 8.0, "zero": 7.0, "other": 6.0}
"""Evidence that a cell is wrong."""

AT_EACH_END = 3


def find_stand_ins(values: Floats) -> dict[float, float]:
    """The values of a column (n,), finite, that stand for a missing one, each with its evidence in nats."""
    found: dict[float, float] = {}
    for direction in (1.0, -1.0):
        distinct, counts = np.unique(direction * values, return_counts=True)
        for start in range(min(AT_EACH_END, len(distinct) - 2)):
            kind = _kind(distinct[start:], int(counts[start]), direction)
            if (
                kind is None
                or counts[start] > MOST_CELLS * len(values)
                or (kind == "other" and counts[start + 1 : start + 1 + FOLLOWING].max() * 4 > counts[start])
            ):
                break
            found[float(direction * distinct[start])] = NATS[kind]
    return found


def _kind(distinct: Floats, count: int, direction: float) -> str | None:
    """What the first of `distinct` (m,) values stands out as; they ascend, and are negated where direction is −1."""
    value, following = float(direction * distinct[0]), distinct[1:]
    gap = float(following[0] - distinct[0])
    steps = np.diff(following[: FOLLOWING + 1])
    largest = float(steps.max()) if len(steps) else np.inf
    reach = float(np.median(following) - following[0])
    kind = "other"
    if _is_code(value) and (value > 0) == (direction < 0) and (value > 0 or following[0] >= 0):
        kind = "code"
    elif value == 0 and direction > 0:
        kind = "zero"
    enough = len(following) >= FEWEST_OTHERS[kind] or (kind == "code" and gap >= VERY_WIDE * largest)
    # Above, a tail thins out by itself: there a code has to stand as far off as a zero does.
    least = STEPS["zero"] if kind == "code" and value > 0 else STEPS[kind]
    wide = gap >= least * largest and gap >= REACH[kind] * reach
    return kind if enough and wide and count >= FEWEST_CELLS[kind] else None


def _is_code(value: float) -> bool:
    """−1 and all nines of either sign, 9 alone only below zero."""
    digits = f"{abs(value):.0f}"
    nines = value == round(value) and set(digits) == {"9"} and len(digits) <= 12
    return value == -1 or (nines and (len(digits) > 1 or value < 0))


__all__ = ["find_stand_ins"]
