"""The rows to flag, given the probability that each is noisy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

Floats = npt.NDArray[np.float64]


LEAST_FLAGGED = 0.4
"""Least probability of a flagged row: surer ones make none suspect that is probably right."""


def choose_suspects(probability: Floats) -> tuple[npt.NDArray[np.bool_], float]:
    """Rows to flag (N,), and the probability from which they are flagged (1.0: none).

    The threshold that maximises the expected F1 (Lipton et al., 2014), among those of at least LEAST_FLAGGED at which
    flagged rows are expected to be noisy more often than not.
    """
    order = np.argsort(-probability, kind="stable")
    hits = probability[order].cumsum()
    expected_f1 = 2 * hits / np.maximum(np.arange(1, len(order) + 1) + hits[-1], 1e-300)
    expected_f1[(hits < np.arange(1, len(order) + 1) / 2) | (probability[order] < LEAST_FLAGGED)] = 0.0
    best = int(expected_f1.argmax())
    if expected_f1[best] == 0.0:
        return np.zeros(len(order), np.bool_), 1.0
    threshold = float(probability[order[best]])
    return probability >= threshold, threshold


def log_odds(probability: Floats) -> Floats:
    """Log-odds of probabilities (N,), none taken to be nearer to 0 or 1 than a millionth."""
    result: Floats = logit(np.clip(probability, 1e-6, 1 - 1e-6))
    return result


def with_mean(probability: Floats, mean: float) -> Floats:
    """The same order, with all log-odds moved by one number so that the probabilities (N,) average to `mean`."""
    if not 1e-6 < mean < 1 - 1e-6:
        return np.full(len(probability), min(max(mean, 0.0), 1.0))
    odds = log_odds(probability)
    shift = brentq(lambda d: float(expit(odds + d).mean()) - mean, -40, 40)
    result: Floats = expit(odds + shift)
    return result


def in_order_of(score: Floats, probability: Floats) -> Floats:
    """Probabilities (N,) that rise with `score` (N,) and are as close to the given ones as can be (isotonic)."""
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit(score, probability).predict(score)
    # A trace of the score keeps apart what the fit ties.
    result: Floats = np.clip(fitted * (1 - 1e-4) + 1e-4 * score, 0.0, 1.0)
    return result
