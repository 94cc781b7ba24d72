"""One-dimensional log density ratios of corrupted to clean numbers, by kernel density estimates on a grid.

Corruption adds N(0, 1), in encoded units, and puts a few values anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft

Floats = npt.NDArray[np.float64]

GRID_STEP = 0.05
GRID_HALF = 220
"""Densities live on a grid of ±11 encoded units, beyond any encoded number (encoding bends at 10)."""

SMOOTHING = 0.2
"""Share of the corrupted density mixed into the clean one: clean values may lie where none was seen yet."""

ANYWHERE = 0.05
"""Share of corrupted numbers that lie anywhere: a value far from all others is an outlier, but not impossible."""


@dataclass(frozen=True)
class NumberDensities:
    """Kernel densities of several columns before and after N(0, 1) is added, on a common grid."""

    log_ratios: Floats
    """(columns, grid) log of corrupted to clean density."""

    @classmethod
    def fit(cls, columns: npt.NDArray[np.floating], bandwidth: float) -> NumberDensities:
        """Fit on (n, columns) with a normal kernel of deviation `bandwidth`.

        One row's worth of the corrupted density is mixed into the clean one, so that the ratio is bounded where
        nothing was seen.
        """
        cells = _grid_index(columns)
        size = 2 * GRID_HALF + 1
        offsets = np.arange(columns.shape[1]) * size
        histogram = np.bincount((cells + offsets).ravel(), minlength=columns.shape[1] * size)
        rows = histogram.reshape(columns.shape[1], size) / len(columns)
        clean, moved = _smooth(rows, bandwidth / GRID_STEP, np.hypot(1.0, bandwidth) / GRID_STEP)
        corrupted = (1 - ANYWHERE) * moved + ANYWHERE / size
        return cls(np.log(corrupted) - np.log((1 - SMOOTHING) * clean + SMOOTHING * corrupted))

    def log_ratio(self, columns: npt.NDArray[np.floating]) -> Floats:
        """Return (n, columns) log of corrupted to clean density, for rows that were not fitted on."""
        ratio: Floats = self.log_ratios[np.arange(columns.shape[1]), _grid_index(columns)]
        return ratio


def _smooth(rows: Floats, *sigmas: float) -> list[Floats]:
    """Convolve each row of (…, grid) with normal densities of deviation `sigmas` grid steps; 0 beyond the grid.

    `scipy.ndimage.gaussian_filter1d` cuts kernels off, and takes three to six times as long at 20 grid steps.
    """
    size = rows.shape[-1]
    length = next_fast_len(2 * size, real=True)  # no wrapping round
    offsets = np.fft.fftfreq(length, 1 / length)
    spectrum = rfft(rows, length)
    smoothed = []
    for sigma in sigmas:
        kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
        smooth = irfft(spectrum * rfft(kernel / kernel.sum()), length)[..., :size]
        smoothed.append(np.maximum(smooth, 0.0))
    return smoothed


def _grid_index(columns: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    cells = np.rint(columns / GRID_STEP).astype(np.int64) + GRID_HALF
    inside: npt.NDArray[np.int64] = np.clip(cells, 0, 2 * GRID_HALF)
    return inside
