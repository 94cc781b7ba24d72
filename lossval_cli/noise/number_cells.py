"""One column of numbers: a scale on which its bulk is symmetric, and how far out on it a value lies.

The scale is a signed logarithm, linear near its centre. Its centre is the median, or zero for positive columns
that are symmetric in the logarithm, so lognormal, Pareto and Student t columns all have tails that fall at least
as fast as an exponential, whatever the unit and offset of the column.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.noise.stand_ins import find_stand_ins, is_state
from lossval_cli.noise.tails import LightTail, Tail

Floats = npt.NDArray[np.float64]

COMMON = 0.05
"""Share of a column from which one repeated value is set aside when the scale is chosen (zero inflation)."""

MOSTLY = 0.5
"""Share of a column from which one value is its usual state."""

FEW_VALUES = 20
"""A column with no more distinct values is discrete; a side with fewer has no tail of its own."""

MODE = (5, 0.025)
"""Cells, and share of a column, from which values beyond a gap are a second mode, not errors."""

GAP = 0.25
"""A gap is as wide as this share of the distance to the column's bulk."""

BINS = 16
"""Quantile bins, as which other columns predict a number's neighbourhood."""

LARGEST = 1e150
"""Numbers beyond are taken for this: their differences and squares are more than a float holds."""

LEAST_RANGE = 1e-6
"""Least range of logarithms: below it, rounding makes numbers far from zero look symmetric."""

LEAST_TAIL = 0.05
"""Scale of the lightest tail, in units of the column's spread."""


FEWEST_STEPS = 4
"""Evenly spaced values that a column counts in, at least; other columns of few values may hold codes."""

HARDLY = (3, 0.002)
"""Cells, and share of a column, up to which values beyond the others are hardly any."""

MOSTLY_ZERO = 0.1
"""Share of counts that are not zero below which they alone show how far counts reach."""

COUNT_SLACK = 1.5
"""Factor on the scale of the tail of counts, as many of them are spread more widely than a geometric tail."""


class Side(NamedTuple):
    """One tail of a column, and the second mode beyond it if there is one."""

    tail: Tail
    mode_start: float
    mode_end: float
    mode_neg_log_p: float
    light: LightTail | Tail | None
    """A tail in the column's unit: of a normal column, or of counts."""

    @classmethod
    def fit(cls, outward: Floats, distances: Floats, total: int, quantiles: tuple[float, float]) -> Side | None:
        """Fit on the values of one side, counted outward from the centre on the scale, and in the column's unit;
        `total`: of both sides."""
        if len(outward) < FEW_VALUES:
            return None
        ordered = np.sort(outward)
        start = float(np.quantile(ordered, quantiles[0]))
        further = ordered[np.searchsorted(ordered, start, "right") :]
        # A discrete column's tail falls by steps: one step to the next value is its shortest scale.
        step = _step(ordered, start, total) if len(np.unique(ordered)) <= FEW_VALUES and len(further) else 0.0
        tail = Tail.fit(ordered, quantiles, max(LEAST_TAIL, step))
        light = LightTail.fit(distances) if step == 0.0 else _tail_of_counts(distances, quantiles)
        steps = np.diff(further, prepend=start)
        left = np.arange(len(further), 0, -1)
        modes = np.flatnonzero(
            (steps > np.maximum(GAP * (further - start), 2 * tail.scale)) & (left >= max(MODE[0], MODE[1] * total))
        )
        if not len(modes):
            return cls(tail, np.inf, np.inf, 0.0, light)
        mode = further[modes[-1] :]
        return cls(tail, float(mode[0]), float(np.quantile(mode, 0.9)), float(-np.log(len(mode) / total)), light)

    def neg_log_p(self, outward: Floats, distances: Floats) -> Floats:
        """Return −log p of values, (n,) nats."""
        plain = self.tail.neg_log_p(outward)
        if self.light is not None:
            plain = np.where(outward > self.tail.start, np.maximum(plain, self.light.neg_log_p(distances)), plain)
        in_mode = self.mode_neg_log_p + np.maximum(outward - self.mode_end, 0.0) / self.tail.scale
        return np.where(outward >= self.mode_start, np.minimum(plain, in_mode), plain)


class Sides(NamedTuple):
    """Both tails of a column, from values (n,) on its scale and their distances from the centre in its unit (n,)."""

    above: Side | None
    below: Side | None

    @classmethod
    def fit(cls, values: Floats, distances: Floats, quantiles: tuple[float, float]) -> Sides:
        """Fit on values without missing ones."""
        up = values >= 0
        return cls(
            Side.fit(values[up], distances[up], len(values), quantiles),
            Side.fit(-values[~up], distances[~up], len(values), quantiles),
        )

    def neg_log_p(self, values: Floats, distances: Floats) -> Floats:
        """Return −log p of values, (n,) nats, 0 for missing values."""
        nats = np.zeros(len(values))
        for side, outward, here in ((self.above, values, values >= 0), (self.below, -values, values < 0)):
            if side is not None:
                nats[here] = side.neg_log_p(outward[here], distances[here])
        return nats


@dataclass(frozen=True)
class NumberCells:
    """A fitted column of numbers."""

    origin: float
    unit: float
    centre: float
    spread: float
    edges: Floats
    """Edges of the bins, ascending."""
    limits: tuple[float, float]
    """Between which values are predicted and predict: 99 % of the column."""
    missing: float
    """Share of missing cells."""
    repeats: bool
    """One value makes up much of the column: it is a mixture then, and its bulk says little of its tail."""
    in_steps: bool
    """It has few values, or mostly one: its bins are then predicted as levels are, not its mean."""
    stand_ins: dict[float, float]
    """Values that stand for a missing one -> evidence in nats."""
    states: frozenset[float] = frozenset()
    """Values that would stand for a missing one, were they not a state that other columns show."""

    @classmethod
    def fit(cls, values: Floats) -> NumberCells:
        """Fit on (n,) values, NaN for missing, at least one finite."""
        finite = within_reach(values[np.isfinite(values)])
        distinct, counts = np.unique(finite, return_counts=True)
        rest = finite
        if len(distinct) > FEW_VALUES:
            rest = finite[~np.isin(finite, distinct[counts > COMMON * len(finite)])]
            rest = rest if len(rest) >= FEW_VALUES else finite
        origin, unit = _origin_and_unit(rest)
        low, centre, high = np.quantile(_signed_log(rest, origin, unit), [0.05, 0.5, 0.95])
        spread = max(float(high - low) / 3.3, 1e-9)
        scaled = (_signed_log(finite, origin, unit) - centre) / spread
        if len(distinct) > BINS:
            edges = np.unique(np.quantile(scaled, np.linspace(0, 1, BINS + 1)))[1:-1]
        else:
            levels = np.unique(scaled)
            edges = (levels[1:] + levels[:-1]) / 2
        limits = np.quantile(scaled, [0.005, 0.995])
        repeats = bool(counts.max() > COMMON * len(finite))
        return cls(
            origin,
            unit,
            float(centre),
            spread,
            edges,
            (float(limits[0]), float(limits[1])),
            1 - len(finite) / len(values),
            repeats,
            len(distinct) <= BINS or counts.max() > MOSTLY * len(finite),
            find_stand_ins(finite),
        )

    @property
    def bins(self) -> int:
        """Number of bins, with one for missing cells."""
        return len(self.edges) + 2

    def scale(self, values: Floats) -> Floats:
        """Put values (n,) on the scale: median 0, 90 % within about ±1.65."""
        scaled: Floats = (_signed_log(within_reach(values), self.origin, self.unit) - self.centre) / self.spread
        return scaled

    def unscale(self, scaled: Floats) -> Floats:
        """Return values (n,) back in the column's unit."""
        logs = scaled * self.spread + self.centre
        values: Floats = self.origin + np.sign(logs) * np.expm1(np.minimum(np.abs(logs), 700.0)) * self.unit
        return values

    def distance(self, scaled: Floats) -> Floats:
        """Return the distance (n,) from the median, in the column's unit."""
        distances: Floats = np.abs(self.unscale(scaled) - self.unscale(np.zeros(1)))
        return distances

    def without_states(self, values: Floats, others: Collection[Floats]) -> NumberCells:
        """Return the column with those of its stand-ins as states that other columns (n,), on their scales, show to be
        ones. values (n,): of this column."""
        states = frozenset(value for value in self.stand_ins if is_state(values == value, others))
        left = {value: nats for value, nats in self.stand_ins.items() if value not in states}
        return replace(self, stand_ins=left, states=states)

    def is_negative(self, values: Floats) -> npt.NDArray[np.bool_]:
        """Return (n,) whether a value lies below zero, without those that stand for a missing one."""
        return (values < 0) & ~np.isin(values, list(self.stand_ins))

    def standing_in(self, values: Floats) -> Floats:
        """Return (n,) nats of evidence that a value stands for a missing one."""
        evidence = np.zeros(len(values))
        for value, nats in self.stand_ins.items():
            evidence[values == value] = nats
        return evidence

    def bin(self, scaled: Floats) -> npt.NDArray[np.int64]:
        """Return the bin of each value (n,), the last one for missing cells."""
        return np.where(np.isfinite(scaled), np.searchsorted(self.edges, scaled), self.bins - 1).astype(np.int64)


def _step(ordered: Floats, start: float, total: int) -> float:
    """The step from the start of a discrete tail to the next value (44 among answers from 1 to 4 is no step of the
    column: where hardly a cell lies beyond, it is the step before)."""
    beyond = ordered[np.searchsorted(ordered, start, "right") :]
    before = ordered[: np.searchsorted(ordered, start, "left")]
    step = float(beyond[0] - start)
    if len(before) and len(beyond) <= max(HARDLY[0], HARDLY[1] * total):
        return min(step, float(start - before[-1]))
    return step


def _tail_of_counts(distances: Floats, quantiles: tuple[float, float]) -> Tail | None:
    """A geometric tail, of a side whose bulk lies in even steps; None where it does not."""
    values = np.unique(np.round(distances, 9))
    bulk = values[values <= np.quantile(distances, 0.98)]
    steps = np.diff(bulk)
    if len(bulk) < FEWEST_STEPS or steps.max() > 1.001 * steps.min():
        return None
    if (distances > bulk[0]).mean() < MOSTLY_ZERO:  # between the usual quantiles, there is hardly anything but zeros
        quantiles = (quantiles[0], 0.98)
    tail = Tail.fit(distances, quantiles, float(steps[0]))
    return tail._replace(scale=COUNT_SLACK * tail.scale)


def within_reach(values: Floats) -> Floats:
    """Numbers whose differences and squares a float can hold."""
    return np.clip(values, -LARGEST, LARGEST)


def _signed_log(values: Floats, origin: float, unit: float) -> Floats:
    with np.errstate(over="ignore"):  # of a tiny unit: as far as a float can say
        ratio = np.minimum(np.abs(values - origin) / unit, np.finfo(np.float64).max)
    logs: Floats = np.sign(values - origin) * np.log1p(ratio)
    return logs


def _origin_and_unit(values: Floats) -> tuple[float, float]:
    """The median and a robust deviation, or zero and a low quantile where that is clearly more symmetric."""
    low, lower, median, upper, high = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
    deviation = max((upper - lower) / 1.35, (high - low) / 3.3)
    if deviation <= 0:
        deviation = max(float(values.std()), 1e-3 * abs(median), 1e-9)
    best = (float(median), float(deviation))
    positive = values[values > 0]
    if len(positive) > 0.97 * len(values):
        from_zero = (0.0, max(float(np.quantile(positive, 0.05)), 1e-300))
        if _asymmetry(values, *from_zero) < _asymmetry(values, *best) - 0.3:
            best = from_zero
    return best


def _asymmetry(values: Floats, origin: float, unit: float) -> float:
    low, median, high = np.quantile(_signed_log(values, origin, unit), [0.05, 0.5, 0.95])
    if high - low < LEAST_RANGE:
        return np.inf
    return abs(float(np.log((high - median + 1e-9) / (median - low + 1e-9))))
