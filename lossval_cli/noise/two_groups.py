"""From p-values to probabilities: a row is right, or wrong in one of several ways (Efron's two-groups model).

In a right row, each e = −log p is exponential with mean 1. In a row that is wrong in one way, the e of that way spreads
over orders of magnitude: Lomax, (1 + e / s)⁻² / s. The share of each way is fitted by EM, so a way in which a table has
no errors costs its rows nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

Floats = npt.NDArray[np.float64]

LOMAX_SCALE = 5.0
"""s in nats, the median of an error: p = e⁻⁵."""

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
    def fit(cls, neg_log_p: Floats) -> TwoGroups:
        """Fit on (n, K) nats."""
        ratio = np.exp(np.minimum(_log_ratio(neg_log_p), LARGEST))
        shares = np.full(neg_log_p.shape[1], START)
        for _ in range(STEPS):
            wrong = shares * ratio
            posterior = wrong / (1 - shares.sum() + wrong.sum(axis=1, keepdims=True))
            shares = (posterior.sum(axis=0) + PRIOR_ROWS[0]) / (len(ratio) + PRIOR_ROWS[1])
        return cls(shares)

    def log_odds(self, neg_log_p: Floats) -> Floats:
        """Return the log-odds (n,) of being wrong in any way."""
        odds: Floats = logsumexp(self.log_odds_by_way(neg_log_p), axis=1)
        return odds

    def log_odds_by_way(self, neg_log_p: Floats) -> Floats:
        """Return the log-odds (n, K) of being wrong in each way, rather than right."""
        odds: Floats = np.log(self.shares) + _log_ratio(neg_log_p) - np.log1p(-self.shares.sum())
        return odds


def _log_ratio(neg_log_p: Floats) -> Floats:
    """Log density of −log p in wrong rows over that in right ones."""
    ratio: Floats = neg_log_p - np.log(LOMAX_SCALE) - 2 * np.log1p(neg_log_p / LOMAX_SCALE)
    return ratio
