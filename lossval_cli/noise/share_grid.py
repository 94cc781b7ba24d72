"""The share π of wrong labels, on a grid: what is known of it beforehand, and what follows from a likelihood."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SHARES = np.concatenate([[0.0, 0.0025, 0.005, 0.0075], np.arange(0.01, 0.1, 0.01), np.arange(0.1, 0.51, 0.02)])
"""π on the grid; beyond a half, labels would say the opposite of what they mean."""

MEAN_SHARE = 0.08
"""Mean of the exponential prior of π."""

EXPECTED_DEVIATION = 0.4
"""Standard deviation of the logarithm of the share that the user expects."""

INTERVAL = 0.9
"""Content of the intervals of shares."""


def log_prior(expected: float | None = None) -> Floats:
    """Return (SHARES,) log prior of π: exponential, or about the share that the user expects."""
    if expected is None:
        return -SHARES / MEAN_SHARE
    result: Floats = -0.5 * np.square(np.log((SHARES + 1e-3) / (expected + 1e-3)) / EXPECTED_DEVIATION)
    return result


def normalised(log_posterior: Floats) -> Floats:
    """Return the posterior weights (..., SHARES), with sum 1, of their logarithms up to a constant.

    The grid is not even: a node stands for the stretch up to its neighbours.
    """
    weights: Floats = np.exp(log_posterior - log_posterior.max()) * np.gradient(SHARES)
    weights /= weights.sum()
    return weights


def share_of(posterior: Floats) -> tuple[float, float, float]:
    """Return the mean of a posterior (SHARES,) with sum 1, and both ends of its interval."""
    tail = (1 - INTERVAL) / 2
    low, high = np.interp([tail, 1 - tail], posterior.cumsum(), SHARES)
    if low < SHARES[1]:  # there may be none
        low = 0.0
    return float(posterior @ SHARES), float(low), float(high)
