"""Unbounded tails of a sample, fitted on the part that errors hardly reach: p-values of far values.

A sample's tail is taken as exponential beyond a start, the memoryless continuation of its bulk. Its scale is
the maximum-likelihood mean excess of values censored at a second quantile, so the few values beyond that
quantile, which may be errors, cannot stretch the tail they are compared with, and errors below that share do not mask
one another. Where the bulk is that of a normal column or lighter, so is the tail: nine deviations mean more there
than in a t column.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

Floats = npt.NDArray[np.float64]

LIGHT = 2.95
"""Ratio of the 93 % quantile to the median of distances up to which they are normal or lighter: 2.69 of a normal
column, 3.2 of a t column with five degrees of freedom, 3.8 of an exponential one."""

STILL_LIGHT = 1.5
"""Ratio of the 98 % quantile to the 93 % quantile up to which the tail stays light: 1.29 of a normal column."""

NORMAL_QUANTILE = 1.81
"""93 % quantile of the distances of a normal column, in deviations."""

SLACK = 1.3
"""Factor on the deviation of a light tail, which is only known from its bulk."""


class LightTail(NamedTuple):
    """The normal tail that bounds the distances of a normal or lighter column, in any unit."""

    deviation: float

    @classmethod
    def fit(cls, distances: Floats) -> LightTail | None:
        """Fit on (n,) distances of at least 0; return None where their tail may be heavier."""
        median, far, further = np.quantile(distances, [0.5, 0.93, 0.98])
        if median <= 0 or far > LIGHT * median or further > STILL_LIGHT * far:
            return None
        return cls(SLACK * float(far) / NORMAL_QUANTILE)

    def neg_log_p(self, distances: Floats) -> Floats:
        """(n,) −log P(distance or more)."""
        nats: Floats = -np.log(2.0) - log_ndtr(-distances / self.deviation)
        return nats


class Tail(NamedTuple):
    """The upper tail of a sample."""

    sample: Floats  # sorted, finite
    start: float
    share: float  # of the sample beyond the start
    scale: float  # mean excess beyond the start

    @classmethod
    def fit(cls, values: Floats, quantiles: tuple[float, float], least_scale: float = 0.0) -> Tail:
        """Fit on (n,) values, at least one of them finite; `quantiles`: of the start and of censoring."""
        sample = np.sort(values[np.isfinite(values)])
        start, end = np.quantile(sample, quantiles)
        above = sample[np.searchsorted(sample, start, "right") :]
        exposure = float((np.minimum(above, end) - start).sum())
        stops = int(np.searchsorted(above, end, "right"))
        scale = max(exposure / max(stops, 1), least_scale, 1e-9)
        return cls(sample, float(start), max(len(above), 1) / len(sample), scale)

    def neg_log_p(self, values: Floats) -> Floats:
        """(n,) −log P(value or more): of the sample up to the start, of the fitted tail beyond it."""
        reached = 1 - np.searchsorted(self.sample, values, "left") / len(self.sample)
        inside = -np.log(np.maximum(reached, self.share))
        beyond: Floats = -np.log(self.share) + (values - self.start) / self.scale
        return np.where(values > self.start, beyond, inside)
