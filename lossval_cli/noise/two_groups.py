"""From surprises to probabilities: a row is right, or wrong in one of several ways (Efron's two-groups model).

Of a right row, each surprise e = −log p is exponential with mean 1. Of a row that is wrong in a way, that way's
surprise is spread over orders of magnitude: Lomax, (1 + e / s)⁻² / s. The share of each way is fitted by EM, so
a way that a table has no errors of costs its rows nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

Floats = npt.NDArray[np.float64]

TYPICAL = 5.0
"""s, nats: half of the errors are more surprising than a right row once in e⁵."""

START = 0.005
"""Share of each way before anything is known."""

PRIOR_ROWS = (0.2, 100.0)
"""Rows of each way, and of all, that the prior counts as: most tables have few errors."""

STEPS = 50

LARGEST = 300.0
"""Log ratio beyond which a row is wrong for certain."""


class TwoGroups(NamedTuple):
    """Shares of the ways to be wrong."""

    shares: Floats  # (K,)

    @classmethod
    def fit(cls, surprise: Floats) -> TwoGroups:
        """On (n, K) nats."""
        ratio = np.exp(np.minimum(_log_ratio(surprise), LARGEST))
        shares = np.full(surprise.shape[1], START)
        for _ in range(STEPS):
            wrong = shares * ratio
            posterior = wrong / (1 - shares.sum() + wrong.sum(axis=1, keepdims=True))
            shares = (posterior.sum(axis=0) + PRIOR_ROWS[0]) / (len(ratio) + PRIOR_ROWS[1])
        return cls(shares)

    def log_odds(self, surprise: Floats) -> Floats:
        """(n,) of being wrong in any way."""
        odds: Floats = logsumexp(np.log(self.shares) + _log_ratio(surprise), axis=1) - np.log1p(-self.shares.sum())
        return odds


def _log_ratio(surprise: Floats) -> Floats:
    """Log density of a wrong row's surprise over a right one's."""
    ratio: Floats = surprise - np.log(TYPICAL) - 2 * np.log1p(surprise / TYPICAL)
    return ratio
