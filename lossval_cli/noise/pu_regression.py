"""The share of noisy rows, and how they differ: positive-unlabelled logistic regression.

The data are rows, of which a share π is noisy and the rest clean, and a corrupted copy of each. With L(x) the log
density ratio of noisy to clean rows, linear in the given terms, the odds that x is a copy rather than a row are

    e^L / (1 − π + π e^L)

(Ward et al., 2009). For every π there are most likely coefficients. A small π is never contradicted: many noisy rows
and a second kind of clean row, whose L levels off, fit equally well. The largest π that the data do not contradict,
compared with the first peak found from above, is the estimate. It assumes that no kind of clean row looks like a
corrupted one (irreducibility; Blanchard, Lee & Scott, 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import expit, log_expit

Floats = npt.NDArray[np.float64]

RIDGE = 1.0
"""Prior precision of the coefficients on standardised terms: L stays finite where a term separates
perfectly."""

SHARE_PRIOR = 7.0
"""Exponent of 1 − π: most tables hold few noisy rows."""

SHARE_LOGITS = np.linspace(0.0, -9.0, 13)
"""Logits of the shares at which the likelihood is computed: from a half, above which nothing distinguishes noisy from
clean, to one in ten thousand, below which there might as well be none."""

DOUBT = 0.5
"""Nats below the best at which a share is contradicted, for the one that is taken: a standard error."""

INTERVAL_DROP = 1.92
"""The same at the ends of the interval: half the 95 % quantile of χ² with one degree of freedom."""

ENOUGH = 1e-2
"""Nats that one more Newton step would win, below which none is made."""

MOST_STEPS = 50


class PURegression(NamedTuple):
    """The fit to rows and their corrupted copies."""

    coefficients: Floats  # (1 + T,) of L, intercept first
    share: float  # π
    interval: tuple[float, float]  # from 0 where there might as well be no noisy row


class _Point(NamedTuple):
    """The best that can be had with a given share."""

    logit_share: float
    value: float  # negative log-posterior
    beta: Floats


def fit_pu_regression(own: Floats, corrupted: Floats, weight: Floats) -> PURegression:
    """Fit on terms (n, T) of the rows and of their corrupted copies, in the same order, with weights (n,)."""
    posterior = _Posterior.of(own, corrupted, weight)
    profile: list[_Point] = []
    beta = np.zeros(posterior.terms.shape[1])
    for logit_share in SHARE_LOGITS:
        profile.append(posterior.best(float(logit_share), beta))
        beta = profile[-1].beta
    # The first peak from above may be lower than another at none, and is one all the same.
    peak = next((a.value for a, b in pairwise(profile) if a.value <= b.value), profile[-1].value)
    logit_share, near = _largest(profile, peak, DOUBT)
    high, _ = _largest(profile, peak, INTERVAL_DROP)
    low, _ = _largest(profile[::-1], min(point.value for point in profile), INTERVAL_DROP)
    interval = 0.0 if low == SHARE_LOGITS[-1] else float(expit(low)), float(expit(high))
    return PURegression(posterior.best(logit_share, near.beta).beta, float(expit(logit_share)), interval)


def _largest(profile: list[_Point], best: float, drop: float) -> tuple[float, _Point]:
    """The logit of the first share along the profile with a value within `drop` of the best, and the point after it."""
    if profile[0].value <= best + drop:
        return profile[0].logit_share, profile[0]
    for before, after in pairwise(profile):
        if after.value <= best + drop:
            # Around its peak a log-likelihood is a parabola: its root is straight there.
            outside, inside = (np.sqrt(max(0.0, point.value - best)) for point in (before, after))
            logits = [after.logit_share, before.logit_share]
            return float(np.interp(np.sqrt(drop), [inside, outside], logits)), after
    raise AssertionError("the best is within any distance of itself")


@dataclass(frozen=True)
class _Posterior:
    """The module's model on given rows."""

    terms: Floats
    """(2 n, 1 + T) of rows, then copies; ones first."""
    is_copy: npt.NDArray[np.bool_]
    weight: Floats
    ridge: Floats

    @classmethod
    def of(cls, own: Floats, corrupted: Floats, weight: Floats) -> _Posterior:
        n, T = own.shape
        terms = np.column_stack([np.ones(2 * n), np.concatenate([own, corrupted])])
        ridge = np.append(0.0, np.full(T, RIDGE))
        return cls(terms, np.arange(2 * n) >= n, np.concatenate([weight, weight]), ridge)

    def best(self, logit_share: float, beta: Floats) -> _Point:
        """Find the best coefficients from `beta` on by Newton's method, steps shortened where they do not lead down."""
        value, log_ratio, odds = self._value(logit_share, beta)
        for _ in range(MOST_STEPS):
            noisy, copy = expit(log_ratio + logit_share), expit(odds)
            pull = self.weight * (copy - self.is_copy)
            first = pull * (1 - noisy)  # derivatives in L
            second = self.weight * copy * (1 - copy) * (1 - noisy) ** 2 - first * noisy
            gradient = self.terms.T @ first + self.ridge * beta
            step = self._step(second, gradient)
            gain = -float(gradient @ step)
            if gain < ENOUGH:
                value -= gain / 2  # what the step would win, to the second order
                break
            moved = self._value(logit_share, beta + step)
            while moved[0] > value and gain > ENOUGH:
                step, gain = step / 4, gain / 4
                moved = self._value(logit_share, beta + step)
            if moved[0] > value:
                break
            beta, (value, log_ratio, odds) = beta + step, moved
        return _Point(logit_share, value, beta)

    def _value(self, logit_share: float, beta: Floats) -> tuple[float, Floats, Floats]:
        """Negative log-posterior, L, and the log odds of being a copy, (2 n,) each."""
        log_ratio = np.clip(self.terms @ beta, -500, 500)
        odds = log_ratio - np.logaddexp(log_expit(-logit_share), log_ratio + log_expit(logit_share))
        value = -(self.weight @ log_expit(np.where(self.is_copy, odds, -odds)))
        value += 0.5 * beta @ (self.ridge * beta) - SHARE_PRIOR * log_expit(-logit_share)
        return float(value), log_ratio, odds

    def _step(self, second: Floats, gradient: Floats) -> Floats:
        """Return Newton's step; where the posterior is not convex, of the part of it that is."""
        for curvature in (second, np.maximum(second, 0.0)):
            hessian = (self.terms.T * curvature) @ self.terms + np.diag(self.ridge + 1e-6)
            try:
                step: Floats = -cho_solve(cho_factor(hessian, check_finite=False), gradient)
            except LinAlgError:
                continue
            return step
        return -gradient / len(self.terms)
