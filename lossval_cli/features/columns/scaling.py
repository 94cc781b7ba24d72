"""How columns become comparable: each number is standardised, and each block is scaled by its width.

The transport cost is a sum of squared differences over all encoded numbers. It treats columns alike only if
each column contributes the same to it, so every block is scaled to total variance 1: two random training
rows then differ by 2 in squared distance, for a number as for a 40-level category.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LINEAR = 4.0
"""Robust standard deviations within which a number is kept as it is; 6 normal rows in 100,000 are not."""

LARGEST = 10.0
"""No encoded training value lies further out: one cell can add at most about 100 to a squared distance."""

NORMAL_IQR = 1.3489795003921634
"""Interquartile range of a standard normal variable; makes IQR-based scales consistent with the deviation."""

NORMAL_MAD = 1.482602218505602
"""1 / median of the absolute value of a standard normal variable."""


def squash(z: Floats) -> Floats:
    """Keep values within ±LINEAR; bend those beyond, in order, towards ±LARGEST, which they never pass.

    With u = |z| − LINEAR and h = LARGEST − LINEAR the bent part is LINEAR + h·u / (u + h): slope 1 at the
    joint, so a moderate outlier stays where plain standardisation has it. The form below survives u = inf.
    """
    size = np.abs(z)
    height = LARGEST - LINEAR
    bent = LARGEST - height**2 / (np.maximum(size - LINEAR, 0.0) + height)
    return np.where(size <= LINEAR, z, np.copysign(bent, z))


@dataclass(frozen=True)
class Standardiser:
    """Numbers in any unit -> mean 0 and deviation 1 over the training rows, far outliers bent inwards."""

    exponent: int
    """The column is first multiplied by 2**-exponent, which is exact, so that no difference can overflow."""
    centre: float
    spread: float
    mean: float
    """Mean and deviation of the bent numbers."""
    deviation: float

    @classmethod
    def fit(cls, values: Floats) -> Standardiser:
        """Fit on finite `values` (n,), at least two of them different.

        The centre is the median and the spread IQR / 1.349: a share of absurd values changes neither. Where
        one value holds half of the rows or more the IQR says nothing; the spread then comes from the
        typical distance of the other rows to it, times the root of their share, which is what their
        standard deviation would be.
        """
        exponent = int(np.frexp(np.max(np.abs(values)))[1])
        scaled = np.ldexp(values, -exponent)
        low, centre, high = (float(q) for q in np.quantile(scaled, (0.25, 0.5, 0.75)))
        spread = (high - low) / NORMAL_IQR
        away = np.abs(scaled - centre)
        rest = away[away > 0]
        if spread <= 0 or rest.size <= values.size / 2:
            spread = NORMAL_MAD * float(np.median(rest)) * float(np.sqrt(rest.size / values.size))
        spread = max(spread, float(np.finfo(np.float64).tiny))  # subnormal differences would divide by 0
        first = cls(exponent, centre, spread, 0.0, 1.0)
        bent = first.apply(values)
        mean = float(bent.mean())
        # A rare value of a nearly constant column is not pushed beyond LARGEST for the sake of variance 1.
        deviation = max(float(bent.std()), float(np.max(np.abs(bent - mean))) / LARGEST)
        return cls(exponent, centre, spread, mean, deviation)

    def apply(self, values: Floats) -> Floats:
        """Standardise any finite `values` (n,) to finite float64 (n,)."""
        z = squash(self._robust(values))
        z -= self.mean
        z /= self.deviation
        return z

    def far(self, values: Floats) -> int:
        """Count the `values` that lie where outliers do and are bent inwards."""
        return int((np.abs(self._robust(values)) > LINEAR).sum())

    def _robust(self, values: Floats) -> Floats:
        with np.errstate(over="ignore", under="ignore"):
            z: Floats = (np.ldexp(values, -self.exponent) - self.centre) / self.spread
        return z

    @property
    def imputed(self) -> float:
        """Value that replaces a missing one: the training median, standardised."""
        return -self.mean / self.deviation


def unit_block(parts: Sequence[npt.NDArray[np.floating]]) -> tuple[Floats, float]:
    """Training columns of one block -> centres (d,) and the factor that makes their total variance 1.

    The factor stays lower where variance 1 would put a training value beyond ±LARGEST (a level one row in a
    thousand has), and is 1 for a block that does not vary.
    """
    centres = np.array([part.mean(dtype=np.float64) for part in parts])
    variance = sum(float(part.var(dtype=np.float64)) for part in parts)
    if variance <= 0:
        return centres, 1.0
    farthest = max(float(np.max(np.abs(part - centre))) for part, centre in zip(parts, centres, strict=True))
    return centres, 1.0 / max(float(np.sqrt(variance)), farthest / LARGEST)
