"""How improbable a value this far out is: tails that stay unbounded, fitted where errors hardly reach.

A sample's tail is taken as exponential beyond a start, the memoryless continuation of its bulk. Its scale is
the maximum-likelihood mean excess of values censored at a second quantile, so the few values beyond that
quantile, which may be errors, cannot stretch the tail they are judged by, and however many errors there are
below that share, they do not mask one another. Where the tail falls clearly faster further out, up to OUTER, it goes
on doing so: nine deviations of a normal column are not those of a t column.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

OUTER = 0.985
"""Quantile up to which a tail has to fall faster and faster if it is to go on so."""

CLEARLY = 1.0
"""Standard errors that the growth has to exceed."""

FEW = 5
"""Values between two quantiles below which nothing is clear."""


class Tail(NamedTuple):
    """The upper tail of a sample."""

    sample: Floats  # sorted, finite
    start: float
    share: float  # of the sample beyond the start
    scale: float  # mean excess beyond the start
    curvature: float = 0.0  # growth of the hazard, at least 0

    @classmethod
    def fit(
        cls, values: Floats, quantiles: tuple[float, float], least_scale: float = 0.0, *, curved: bool = False
    ) -> Tail:
        """On (n,) values, at least one of them finite; `quantiles`: of the start and of censoring."""
        sample = np.sort(values[np.isfinite(values)])
        start, end = np.quantile(sample, quantiles)
        above = sample[np.searchsorted(sample, start, "right") :]
        exposure = float((np.minimum(above, end) - start).sum())
        stops = int(np.searchsorted(above, end, "right"))
        scale = max(exposure / max(stops, 1), least_scale, 1e-9)
        curvature = _curvature(sample, quantiles) if curved else 0.0
        return cls(sample, float(start), max(len(above), 1) / len(sample), scale, curvature)

    def surprise(self, values: Floats) -> Floats:
        """(n,) −log P(value or more): of the sample up to the start, of the fitted tail beyond it."""
        reached = 1 - np.searchsorted(self.sample, values, "left") / len(self.sample)
        inside = -np.log(np.maximum(reached, self.share))
        excess = np.maximum(values - self.start, 0.0)
        beyond: Floats = -np.log(self.share) + excess / self.scale + self.curvature * excess**2 / 2
        return np.where(values > self.start, beyond, inside)


def _curvature(sample: Floats, quantiles: tuple[float, float]) -> float:
    """Growth of the hazard from the fitted range to the one beyond it, less CLEARLY errors; 0 if it does not grow."""
    levels = np.array([*quantiles, OUTER])
    ends = np.quantile(sample, levels)
    width = np.diff(ends)
    counts = -np.diff(1 - levels) * len(sample)
    if levels[1] >= OUTER or counts.min() < FEW or width.min() <= 0:
        return 0.0
    hazard = -np.diff(np.log(1 - levels)) / width
    error = float(np.sqrt(np.sum(hazard**2 / counts)))
    return max(0.0, (float(hazard[1] - hazard[0]) - CLEARLY * error) / (float(ends[2] - ends[0]) / 2))
