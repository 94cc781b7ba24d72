"""How many odd rows there are, and how they differ: positive-unlabelled logistic regression.

Known are rows (1 − π untouched, π odd) and their tampered copies. With L(x) the log ratio of odd to
untouched, linear in the given terms, the odds that x is a copy rather than a row are

    e^L / (1 − π + π e^L)

(Ward et al., 2009). Coefficients and π have the maximum of their posterior together. The profile in π, each
point of which has coefficients of its own, is followed from PEAK_FROM to the first peak, and from there
outwards to the ends of the likelihood interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import brentq
from scipy.special import expit, log_expit, logit

Floats = npt.NDArray[np.float64]

RIDGE = 1.0
"""Prior precision of the coefficients on standardised terms: L stays finite where a term separates
perfectly."""

SHARE_PRIOR = 7.0
"""Exponent of 1 − π, that of the prior of wrong labels in `noise`: most tables hold few odd rows."""

PEAK_FROM = 0.2
"""Share of odd rows from which the peak is looked for. There may be two, one of them at none: that odd rows
are a second kind of ordinary rows, whose ratio levels off, fits nearly as well."""

PLACES = logit(PEAK_FROM) + 0.75 * np.arange(-10, 3)
"""Logits of the shares at which the profile is known: from one in ten thousand, below which there might as
well be none, to a half, above which nothing tells odd from untouched."""

PEAK_WITHIN = 0.03
"""How near the peak is found, in the logit of the share."""

INTERVAL_DROP = 1.92
"""Half the 95 % quantile of χ² with one degree of freedom."""

ENOUGH = 1e-2
"""Nats that one more Newton step would win, below which none is made."""

MOST_STEPS = 50


class Mixture(NamedTuple):
    """The likeliest."""

    coefficients: Floats  # (1 + T,) of L, intercept first
    share: float  # π
    interval: tuple[float, float]  # 95 %; from 0 where there might as well be no odd row


class _Point(NamedTuple):
    """The best that can be had with a given share."""

    place: float  # logit of the share
    value: float  # negative log-posterior
    beta: Floats
    slope: float  # of the profile in the place: that of `value` with beta held (envelope theorem)


def fit_mixture(own: Floats, copies: Floats, weight: Floats) -> Mixture:
    """On terms (n, T) of the rows and of their copies, which stand in the same order, with weights (n,)."""
    profile = _Profile(_Posterior.of(own, copies, weight))
    peak = profile.peak()
    return Mixture(peak.beta, float(expit(peak.place)), (profile.end(peak, -1), profile.end(peak, 1)))


class _Profile:
    """What is the best with each share, known at PLACES where it was asked for."""

    def __init__(self, posterior: _Posterior) -> None:
        self._posterior = posterior
        self._known: dict[int, _Point] = {}

    def peak(self) -> _Point:
        """Downhill from PEAK_FROM until the slope turns, then to where it is zero."""
        at = int(np.searchsorted(PLACES, logit(PEAK_FROM)))
        here = self._at(at, np.zeros(self._posterior.terms.shape[1]))
        way = -1 if here.slope > 0 else 1
        while True:
            at += way
            if not 0 <= at < len(PLACES):
                return here
            there = self._at(at, here.beta)
            if there.slope * here.slope < 0:
                break
            here = there
        between: list[_Point] = []

        def slope(place: float) -> float:
            between.append(self._posterior.best(place, here.beta))
            return between[-1].slope

        brentq(slope, *sorted((here.place, there.place)), xtol=PEAK_WITHIN)
        return min(between, key=lambda point: abs(point.slope))

    def end(self, peak: _Point, way: int) -> float:
        """The share below (way −1) or above (1) the peak where the posterior has dropped by INTERVAL_DROP."""
        here, excess = peak, -np.sqrt(INTERVAL_DROP)
        for at in range(len(PLACES))[::way]:
            if (PLACES[at] - peak.place) * way <= 0:
                continue
            there = self._at(at, here.beta)
            # Around its peak a log-posterior is a parabola: its root is straight there.
            beyond = np.sqrt(max(there.value - peak.value, 0.0)) - np.sqrt(INTERVAL_DROP)
            if beyond > 0:
                return float(expit(np.interp(0.0, [excess, beyond], [here.place, there.place])))
            here, excess = there, beyond
        return 0.0 if way < 0 else float(expit(PLACES[-1]))

    def _at(self, at: int, near: Floats) -> _Point:
        """At PLACES[at], from the coefficients of a neighbour."""
        if at not in self._known:
            self._known[at] = self._posterior.best(float(PLACES[at]), near)
        return self._known[at]


@dataclass(frozen=True)
class _Posterior:
    """The module's model on given rows."""

    terms: Floats
    """(2 n, 1 + T) of rows, then copies; ones first."""
    is_copy: npt.NDArray[np.bool_]
    weight: Floats
    ridge: Floats

    @classmethod
    def of(cls, own: Floats, copies: Floats, weight: Floats) -> _Posterior:
        n, T = own.shape
        terms = np.column_stack([np.ones(2 * n), np.concatenate([own, copies])])
        ridge = np.append(0.0, np.full(T, RIDGE))
        return cls(terms, np.arange(2 * n) >= n, np.concatenate([weight, weight]), ridge)

    def best(self, place: float, beta: Floats) -> _Point:
        """From `beta` by Newton's method, steps shortened where they do not lead down."""
        value, log_ratio, odds = self._value(place, beta)
        for _ in range(MOST_STEPS):
            odd, copy = expit(log_ratio + place), expit(odds)
            pull = self.weight * (copy - self.is_copy)
            first = pull * (1 - odd)  # derivatives in L
            second = self.weight * copy * (1 - copy) * (1 - odd) ** 2 - first * odd
            gradient = self.terms.T @ first + self.ridge * beta
            step = self._step(second, gradient)
            gain = -float(gradient @ step)
            if gain < ENOUGH:
                value -= gain / 2  # what the step would win, to the second order
                break
            moved = self._value(place, beta + step)
            while moved[0] > value and gain > ENOUGH:
                step, gain = step / 4, gain / 4
                moved = self._value(place, beta + step)
            if moved[0] > value:
                break
            beta, (value, log_ratio, odds) = beta + step, moved
        slope = float((pull * (expit(place) - odd)).sum() + SHARE_PRIOR * expit(place))
        return _Point(place, value, beta, slope)

    def _value(self, place: float, beta: Floats) -> tuple[float, Floats, Floats]:
        """Negative log-posterior, L, and the log odds of being a copy, (2 n,) each."""
        log_ratio = np.clip(self.terms @ beta, -500, 500)
        odds = log_ratio - np.logaddexp(log_expit(-place), log_ratio + log_expit(place))
        value = -(self.weight @ log_expit(np.where(self.is_copy, odds, -odds)))
        value += 0.5 * beta @ (self.ridge * beta) - SHARE_PRIOR * log_expit(-place)
        return float(value), log_ratio, odds

    def _step(self, second: Floats, gradient: Floats) -> Floats:
        """Newton's; where the posterior is not convex, of the part of it that is."""
        for curvature in (second, np.maximum(second, 0.0)):
            hessian = (self.terms.T * curvature) @ self.terms + np.diag(self.ridge + 1e-6)
            try:
                step: Floats = -cho_solve(cho_factor(hessian, check_finite=False), gradient)
            except LinAlgError:
                continue
            return step
        return -gradient / len(self.terms)
