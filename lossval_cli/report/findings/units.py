"""Columns that seem to be in another unit in part of the table: at one site, or from one day to another.

A whole group of rows whose values are larger by a factor is no outlier: its rows look like one another. It is named
where everything speaks for a unit, since groups differ in size for good reasons, too: the factor is that of two units
(1,000, 12, 2.2, degrees Fahrenheit), the values hardly overlap, divided by the factor they are distributed like the
others, and hardly another column differs between the same rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FACTORS = (2.2046, 2.54, 3.2808, 10, 12, 100, 1000, 1e6)
"""Pounds in a kilogram, centimetres in an inch, feet in a metre, millimetres in a centimetre, months in a year, cents
or per cent, and so on. Few, since each is met by chance, too; values that differ by less than twice overlap."""

LOG_FACTORS = np.log(FACTORS)

NEAR = 0.15
"""How far a factor may be off, at most, as a share of the distance (of logarithms) to the next one: else every ratio
would be that of some unit."""

GAPS = NEAR * np.minimum(np.diff(LOG_FACTORS, prepend=-np.inf), np.diff(LOG_FACTORS, append=np.inf))

FEWEST_ROWS, SHARES = 25, (0.03, 0.5)
"""Rows of a group, and share of the rows."""

MOST_LEVELS, FEW_VALUES = 50, 12
"""Levels of a column that groups rows, and values of one of numbers; columns of more values can have units."""

MOST_COLUMNS = 64
"""Columns of numbers that are looked at."""

PARTS = 20
"""Parts of the table, in the order of its rows or of a date, in which a unit may have changed."""

VAGUE, WITHIN = 0.07, 2.5
"""Standard error of the logarithm of a factor, at most, and how many of them it may be off."""

APART, ALIKE = 0.75, 0.12
"""Distance of two distributions (Kolmogorov-Smirnov) from which they hardly overlap, and up to which they are alike,
with what chance adds."""

OTHERS_DIFFER, MOST_OTHERS = 0.35, 0.2
"""Distance from which another column differs between the groups, and share of the others that may."""

LEVEL = 0.25
"""Share of a jump by which parts before and after it may differ from the others: else it is a trend."""

LEVELS_DIFFER = 0.4
"""The same of other levels of a column: where all of them differ, it is what the column tells."""

DEGREES = 1.5
"""Standard error of a shift in degrees Fahrenheit, at most: 1.8 x + 32 is near some multiple of x, too."""


class UnitJump(NamedTuple):
    """A column that is in another unit in some rows."""

    column: str
    where: str  # the column that groups rows; "" for their order
    level: str | tuple[float, float]  # its value, or first and last row or date (seconds)
    factor: float  # 0: degrees Fahrenheit among Celsius, or Celsius among Fahrenheit
    median: float
    other_median: float


class _Group(NamedTuple):
    where: str
    level: str | tuple[float, float]
    inside: Bools
    outside: Bools
    others: tuple[Bools, ...] = ()
    """Rows of the other levels that have enough of them."""


def find_unit_jumps(frame: pd.DataFrame, kinds: Mapping[str, str]) -> list[UnitJump]:
    """Find at most one jump per column in rows (n,) in the order of the table; numbers and dates (seconds) are
    float64, levels strings. `kinds`: number, date, boolean, category or text of each column."""
    measured = [c for c in frame if kinds[c] == "number" and _is_measured(frame[c])][:MOST_COLUMNS]
    numbers = {c: frame[c].to_numpy(float) for c in measured}
    found: dict[str, UnitJump] = {}
    ranks = frame[measured].rank().to_numpy(float)
    for group in _groups(frame, kinds):
        apart = [measured[i] for i in np.flatnonzero(_may_be_apart(ranks, group.inside))]
        jumps = {
            column: jump
            for column in apart
            if column not in found and (jump := _jump(column, numbers[column], group)) is not None
        }
        if jumps and _others_alike(numbers, jumps, group):
            found |= jumps
    for column, values in numbers.items():
        for group in _periods(frame, kinds, values) if column not in found else ():
            jump = _jump(column, values, group)
            if jump is not None and _others_alike(numbers, (column,), group):
                found[column] = jump
                break
    return list(found.values())


def _others_alike(numbers: Mapping[str, Floats], jumps: Collection[str], group: _Group) -> bool:
    """Return True if there are other columns than those that jump, and hardly one differs between the rows of a group
    and others."""
    others = [values for column, values in numbers.items() if column not in jumps]
    if not others:
        return False
    differing = sum(_distance(v[group.inside], v[group.outside]) > OTHERS_DIFFER for v in others)
    return differing <= MOST_OTHERS * len(others)


def _may_be_apart(ranks: Floats, inside: Bools) -> Bools:
    """Return the columns (d,) of `ranks` (n, d), NaN where missing, that may be APART between some rows and all others.

    A distance of APART (Kolmogorov-Smirnov) needs an area under the ROC curve of at least APART, or at most 1 - APART,
    and that of all columns is quickly computed.
    """
    known = np.isfinite(ranks)
    total, here = known.sum(0), known[inside].sum(0)
    there = total - here
    larger = np.nansum(ranks[inside], axis=0) - here * (here + 1) / 2  # pairs in which the value inside is larger
    apart: Bools = np.abs(larger - here * there / 2) >= (APART - 0.5 - 1e-9) * here * there
    return apart


def _is_measured(values: pd.Series) -> bool:
    return bool(values.nunique() > FEW_VALUES)


def _groups(frame: pd.DataFrame, kinds: Mapping[str, str]) -> Iterator[_Group]:
    """Yield the rows of each level of each column of few levels."""
    for column in frame:
        if kinds[column] in ("date", "text") or (kinds[column] == "number" and _is_measured(frame[column])):
            continue
        counts = frame[column].value_counts()
        if len(counts) > MOST_LEVELS:
            continue
        levels = {level: (frame[column] == level).to_numpy(bool) for level in counts.index[counts >= FEWEST_ROWS]}
        for level, inside in levels.items():
            if SHARES[0] <= inside.mean() <= SHARES[1]:
                name = f"{level:.15g}" if isinstance(level, float) else str(level)
                others = tuple(rows for other, rows in levels.items() if other != level)
                yield _Group(str(column), name, inside, ~inside, others)


def _periods(frame: pd.DataFrame, kinds: Mapping[str, str], values: Floats) -> Iterator[_Group]:
    """Yield the longest run of parts, in the order of the rows and of each date, whose median is unlike the others'."""
    n = len(frame)
    if n < PARTS * FEWEST_ROWS:
        return
    orders: list[tuple[str, Floats]] = [("", np.arange(float(n)))]
    orders += [(str(c), frame[c].to_numpy(float)) for c in frame if kinds[c] == "date"]
    for where, position in orders:
        known = np.isfinite(position) & np.isfinite(values)
        if known.sum() < n / 2:
            continue
        part = np.full(n, -1)
        part[known] = pd.Series(position[known]).rank(method="first").to_numpy() * PARTS // (known.sum() + 1)
        medians = np.array([np.median(values[part == i]) for i in range(PARTS)])
        away = medians - np.median(medians)
        far = np.abs(away) > np.abs(away).max() / 2
        first, last = int(np.argmax(far)), PARTS - 1 - int(np.argmax(far[::-1]))
        run = np.arange(first, last + 1)
        beside = np.setdiff1d(np.arange(PARTS), np.arange(first - 1, last + 2))  # a jump may lie within a part
        inner = run[1:-1] if len(run) > 2 else run
        jump = float(np.median(away[run]))
        if not far.all() and len(beside) >= PARTS / 4 and len(run) <= SHARES[1] * PARTS:
            is_step = np.abs(away[beside]).max() < LEVEL * abs(jump)
            if is_step and np.abs(away[inner] - jump).max() < LEVEL * abs(jump):
                inside, outside = np.isin(part, inner), np.isin(part, beside)
                ends = position[np.isin(part, run)]
                yield _Group(where, (float(ends.min()), float(ends.max())), inside, outside)


def _jump(column: str, values: Floats, group: _Group) -> UnitJump | None:
    """Return the jump of a column between the rows of a group and others, if it is that of a unit."""
    here, there = (v[np.isfinite(v)] for v in (values[group.inside], values[group.outside]))
    if min(len(here), len(there)) < FEWEST_ROWS:
        return None
    low, high = np.quantile(there, [1 - APART, APART])
    if low < np.median(here) < high or _distance(here, there) < APART:  # the first follows from the second
        return None
    alike = ALIKE + 1.4 * np.sqrt(1 / len(here) + 1 / len(there))
    medians = float(np.median(here)), float(np.median(there))
    jump = UnitJump(column, group.where, group.level, 0.0, *medians)
    fits = [*_factors(here, there, [values[rows] for rows in group.others]), *_fahrenheit(here, there)]
    factor = next((factor for factor, distance in fits if distance < alike), None)
    return None if factor is None else jump._replace(factor=factor)


def _fahrenheit(here: Floats, there: Floats) -> Iterator[tuple[float, float]]:
    """Yield 0, and how far the two distributions are apart in one unit, if one is in degrees Fahrenheit."""
    for given, other in ((here, 1.8 * there + 32), (1.8 * here + 32, there)):
        error = _standard_error(given, other)
        if abs(_shift(given, other)) < WITHIN * error and error < DEGREES:
            yield 0.0, _distance(given, other)


def _factors(here: Floats, there: Floats, levels: list[Floats]) -> Iterator[tuple[float, float]]:
    """Yield the factor of two units, and how far the two distributions are apart in one; `levels`: values of other
    levels, which may not differ as well."""
    if min(here.min(), there.min()) <= 0:
        return
    middle, jump = float(np.median(there)), np.log(np.median(here) / np.median(there))
    medians = [float(np.median(v)) for v in (v[np.isfinite(v)] for v in levels) if len(v) >= FEWEST_ROWS]
    if any(median <= 0 or abs(np.log(median / middle)) > LEVELS_DIFFER * abs(jump) for median in medians):
        return
    here, there = np.log(here), np.log(there)
    shift, error = _shift(here, there), _standard_error(here, there)
    i = int(np.argmin(np.abs(LOG_FACTORS - abs(shift))))
    step = float(np.copysign(LOG_FACTORS[i], shift))
    if error < VAGUE and abs(shift - step) < min(max(WITHIN * error, 0.01), GAPS[i]):
        yield float(np.exp(step)), _distance(here - step, there)


def _shift(here: Floats, there: Floats) -> float:
    """Return by how much one distribution lies above another of its shape: in the middle half, since a few rows of
    another kind (children in one ward) move all of a tail."""
    middle = np.linspace(0.25, 0.75, 11)
    return float(np.mean(np.quantile(here, middle) - np.quantile(there, middle)))


def _standard_error(here: Floats, there: Floats) -> float:
    """Standard error of the shift."""
    errors = (np.subtract(*np.quantile(v, [0.75, 0.25])) / 1.35 / np.sqrt(len(v)) for v in (here, there))
    return float(np.hypot(*errors))


def _distance(here: Floats, there: Floats) -> float:
    """Return the largest difference of two distribution functions, 0 where one is empty."""
    here, there = np.sort(here[np.isfinite(here)]), np.sort(there[np.isfinite(there)])
    if not len(here) or not len(there):
        return 0.0
    points = np.concatenate([here, there])
    shares = (np.searchsorted(v, points, "right") / len(v) for v in (here, there))
    first, second = shares
    return float(np.abs(first - second).max())
