"""Ordered classes (low < medium < high): models of the order, and labels that are several steps away.

A model of classes learns every one of them from its own rows. A model of the step, 0..K−1, learns one direction from
all rows. How probable each class is where a row is predicted about as high follows from the rows that are: a kernel
over the ranks of the predictions (Nadaraya, 1964; Watson, 1964), without the row itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from lossval_cli.noise.out_of_fold import Fitting, OutOfFold, predict_numbers
from lossval_cli.runtime.row_loader import RowSource

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BINS = 400
"""Bins of the ranks of predictions."""

BANDWIDTH, FEWEST_NEAR = 0.03, 8
"""Standard deviation of the kernel, as a share of the rows; it reaches over so many rows at least."""

PRIOR_ROWS = 0.5
"""Rows, distributed as all are, that each row is credited with."""


def predict_ordered(
    X: RowSource,
    y: Ints,
    K: int,
    fold: Ints,
    X_trusted: npt.NDArray[np.float32],
    trusted_fold: Ints,
    fitting: Fitting,
) -> dict[str, OutOfFold]:
    """Name of the model -> probabilities (N, K) and (J, K) of classes that are numbered in their order; arguments as
    for `out_of_fold.predict_classes`."""
    found = predict_numbers(X, y.astype(np.float64), fold, X_trusted, trusted_fold, fitting)
    return {f"ordered {name}": frequencies_near(steps, y, K) for name, steps in found.items()}


def steps_apart(y: Ints, K: int) -> Floats:
    """Count the steps from the row's own class to each class, (N, K)."""
    distance: Floats = np.abs(np.arange(K) - y[:, None]).astype(np.float64)
    return distance


def frequencies_near(steps: OutOfFold, y: Ints, K: int) -> OutOfFold:
    """Predicted steps (N,) and (J,) -> (N, K) and (J, K) how often the classes y (N,) occur among rows that are
    predicted about as high."""
    N = len(y)
    ascending = np.sort(steps.rows)
    bins = [_rank_bin(ascending, values) for values in (steps.rows, steps.trusted)]
    counts = np.zeros((BINS, K))
    np.add.at(counts, (bins[0], y), 1.0)
    width = BINS * min(0.5, max(BANDWIDTH, FEWEST_NEAR / N))
    near = gaussian_filter1d(counts, width, axis=0, mode="constant")
    impulse = np.zeros(BINS)
    impulse[BINS // 2] = 1.0
    own = float(gaussian_filter1d(impulse, width, mode="constant").max())
    prior = PRIOR_ROWS * own * np.bincount(y, minlength=K) / N
    rows = near[bins[0]] + prior
    rows[np.arange(N), y] -= own
    trusted = near[bins[1]] + prior
    return OutOfFold(*(_normalised(part) for part in (rows, trusted)))


def _rank_bin(ascending: Floats, values: Floats) -> Ints:
    """Return the bin (n,) of the share of predictions that are smaller; equal ones share a bin."""
    middle = (np.searchsorted(ascending, values, "left") + np.searchsorted(ascending, values, "right")) / 2
    bins: Ints = np.minimum(middle * BINS // len(ascending), BINS - 1).astype(np.int64)
    return bins


def _normalised(weights: Floats) -> Floats:
    weights = np.maximum(weights, 1e-12)
    result: Floats = weights / weights.sum(axis=1, keepdims=True)
    return result
