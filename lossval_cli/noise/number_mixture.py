"""Numeric labels that are another row's: a mixture of right and wrong labels around a prediction.

In normal scores, where skewed labels are symmetric, a right label lies about the prediction with Student-t residuals
of a local scale, and a wrong one anywhere among the labels (density m):

    p(y | x) = (1 − π) t_ν((y − μ(x)) / τ s(x)) / τ s(x) + π m(y)

Labels of few values are the ordered classes they are. (π, τ, ν) are averaged over a grid, weighted by prior and
likelihood; trusted rows show what right labels are like, as long as they do not look wrong themselves.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaln, logsumexp, ndtri

from lossval_cli.noise.label_estimates import LITTLE_SKILL
from lossval_cli.noise.ordered_classes import frequencies_near
from lossval_cli.noise.out_of_fold import OutOfFold
from lossval_cli.noise.share_grid import SHARES, log_prior, normalised, share_of
from lossval_cli.runtime.row_source import draw_at_most

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[Any] | slice

SCALING = np.exp(np.linspace(-0.7, 0.3, 11))
"""τ: factor on the local scale, which is a median over right and wrong labels."""
SCALING_DEVIATION = 0.1
"""Standard deviation of log τ, around the effect of a share π of far residuals on a median."""

TAILS = np.array([3.0, 5.0, 10.0, 30.0])
"""ν, equally likely a priori."""

UNPREDICTABLE = np.array([0.0, 0.05, 0.15, 0.3])
"""Few values: share of rows whose label follows the base rate whatever the features say."""
UNPREDICTABLE_MEAN = 0.03
LOCALLY_SPREAD = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
"""Few values: share of rows whose label is any that is frequent among rows predicted about as high, near or far."""
SPREAD_MEAN = 0.2
A_MODE, ALL_MODES, NOT_ALL = 0.05, 3, 10
"""Share of the rows that are predicted about as high, from which a value is one of their modes: labels replaced at
random are spread over all values. It falls from so many values to so few, which are all modes."""

Shape = tuple[float, float, float, float]
"""Factor on the local scale, degrees of freedom, shares of rows that follow the base rate and the local frequencies."""

TRUSTED_WRONG = np.array([0.0, 0.01, 0.03, 0.1, 0.2])
"""Share of trusted labels that are wrong all the same."""
TRUSTED_WRONG_PRIOR = np.array([0.9, 0.06, 0.02, 0.01, 0.01])

MOST_COUNTED = 2_000
"""The likelihood counts as if there were no more rows: beyond, the model's form is what is uncertain. Where predictions
explain a share of the variance of labels, only that share of the rows counts: the less a right label is predicted, the
more it looks like any label, and the more a likelihood says of the form of the residuals alone."""

LEAST_SKILL = 0.02
"""Share of the variance that predictions explain, at least."""

LIKELIHOOD_ROWS = 1 << 15
"""Rows in the likelihood; of larger tables a part."""

BLOCK_ROWS = 1 << 15

MISSED, MISSED_SCALE, MISSED_TAILS = 0.02, 0.15, 3.0
"""Share of right labels that models miss by more than the local scale; the scale of these residuals in standard
deviations of the label; their degrees of freedom. Where features determine labels, models still err in places, such as
at the ends."""

WINDOW = 0.15
"""Share of rows, next to each other in prediction, that a local scale is taken over."""


class Scores(NamedTuple):
    """Normal scores of a numeric label: its distinct values, ascending, the score of each, and how often it occurs."""

    values: Floats
    scores: Floats
    counts: Ints

    @classmethod
    def of(cls, y: Floats) -> Scores:
        """Make the scores of the labels y (N,)."""
        values, counts = np.unique(y, return_counts=True)
        return cls(values, ndtri((np.cumsum(counts) - counts / 2) / len(y)), counts)

    def score(self, y: Floats) -> Floats:
        """Values (n,) -> scores, between those of the nearest values."""
        result: Floats = np.interp(y, self.values, self.scores)
        return result

    def value(self, scores: Floats) -> Floats:
        """Scores (n,) -> values."""
        result: Floats = np.interp(scores, self.scores, self.values)
        return result

    def nearest(self, y: Floats) -> Ints:
        """Return the index of the nearest value, (n,)."""
        borders = (self.values[1:] + self.values[:-1]) / 2
        return np.searchsorted(borders, y)


class Predicted(NamedTuple):
    """Predictions and labels of training rows, or of trusted ones."""

    scores: Floats  # (n,) predictions, in normal scores
    y: Floats  # (n,) labels, in their own unit


class Posterior(NamedTuple):
    """Estimated errors in N labels."""

    probability: Floats  # (N,) that each is another row's
    share: float  # posterior mean of π, with its interval
    low: float
    high: float


def _skill(t: Floats, predicted: Floats) -> float:
    """Share of the variance of normal scores t (n,) that predictions (n,) explain."""
    variance = float(t.var())
    return float(np.clip(1 - np.square(t - predicted).mean() / variance, LEAST_SKILL, 1.0)) if variance > 0 else 1.0


def _unexplained(skill: float) -> float:
    """Share of the right labels that follow the base rate, where predictions explain only a share `skill`: the more,
    the further that is below LITTLE_SKILL."""
    return max(0.0, 1 - skill / LITTLE_SKILL)


class ManyValues:
    """Densities of right and wrong labels, for every shape on the grid."""

    def __init__(self, rows: Predicted, scores: Scores, window: Predicted) -> None:
        """`window`: the rows that local scales are taken from."""
        self.t = scores.score(rows.y)
        self.skill = _skill(self.t, rows.scores)
        self.residual = self.t - rows.scores
        spread = local_scale(window.scores, scores.score(window.y) - window.scores, WINDOW)
        self.scale = _along(window.scores, spread, rows.scores)
        self.missed = np.exp(log_t(self.residual / MISSED_SCALE, MISSED_TAILS)) / MISSED_SCALE
        self.wrong = np.exp(-0.5 * self.t**2) / np.sqrt(2 * np.pi)
        self.shapes: list[Shape] = [(factor, tails, 0.0, 0.0) for factor in SCALING for tails in TAILS]

    def densities(self, rows: Rows, shape: Shape) -> tuple[Floats, Floats]:
        """Return the densities (n,) of right and of wrong labels."""
        width = shape[0] * self.scale[rows]
        right = np.exp(log_t(self.residual[rows] / width, shape[1])) / width
        right = (1 - MISSED) * right + MISSED * self.missed[rows]
        wrong = self.wrong[rows]
        by_rate = _unexplained(self.skill)
        return (1 - by_rate) * right + by_rate * wrong, wrong


class FewValues:
    """Probabilities of right and wrong labels among few values.

    A right label may have more than one mode (a price is either full or reduced), which no deviation from a prediction
    describes: most labels then follow how often each frequent value occurs among rows that are predicted about as high.
    """

    def __init__(self, rows: Predicted, scores: Scores, window: Predicted) -> None:
        """`window`: the rows that local scales are taken from."""
        self.predicted, self.scores = rows.scores, scores.scores
        self.index = scores.nearest(rows.y)
        self.rate = scores.counts[self.index] / scores.counts.sum()
        gaps = np.diff(scores.scores)
        least = 0.3 * float(np.median(gaps)) if len(gaps) else 1.0
        self.t = self.scores[self.index]
        self.skill = _skill(self.t, rows.scores)
        spread = local_scale(window.scores, scores.score(window.y) - window.scores, WINDOW)
        self.scale = np.maximum(_along(window.scores, spread, rows.scores), least)
        known = scores.nearest(window.y)
        near = frequencies_near(OutOfFold(window.scores, rows.scores), known, len(scores.values))
        no_mode = A_MODE * np.clip((len(scores.values) - ALL_MODES) / (NOT_ALL - ALL_MODES), 0.0, 1.0)
        modes = np.maximum((near.rows if rows is window else near.trusted) - no_mode, 0.0)
        modes /= np.maximum(modes.sum(axis=1, keepdims=True), 1e-12)
        self.near = modes[np.arange(len(self.index)), self.index]
        follow = [(u, 0.0) for u in UNPREDICTABLE] + [(0.0, u) for u in LOCALLY_SPREAD]
        self.shapes: list[Shape] = [
            (factor, tails, *shares) for factor in SCALING[::2] for tails in TAILS[::2] for shares in follow
        ]

    def densities(self, rows: Rows, shape: Shape) -> tuple[Floats, Floats]:
        """Return the densities (n,) of right and of wrong labels."""
        factor, tails, unpredictable, spread = shape
        width = factor * self.scale[rows, None]
        by_value = log_t((self.scores - self.predicted[rows, None]) / width, tails)
        index = self.index[rows]
        own = np.exp(by_value[np.arange(len(index)), index] - logsumexp(by_value, axis=1))
        right = (1 - unpredictable - spread) * own + unpredictable * self.rate[rows] + spread * self.near[rows]
        by_rate = _unexplained(self.skill)
        right = (1 - by_rate) * right + by_rate * self.rate[rows]
        return right, (1 - right) / max(1, len(self.scores) - 1)


def fit_mixture(
    model: ManyValues | FewValues,
    seed: int,
    *,
    checked: ManyValues | FewValues | None,
    expected_share: float | None,
) -> Posterior:
    """Fit (π, τ, ν) to the labels of `model`; `checked`: the same of trusted rows; expected_share: what the user
    expects."""
    N = len(model.t)
    sample = draw_at_most(N, LIKELIHOOD_ROWS, np.random.default_rng(seed))
    counted = min(1.0, MOST_COUNTED * model.skill / len(sample))
    # With a share π far off, the median of all is the 0.5 / (1 − π) quantile of the right ones.
    expected = np.log(ndtri(0.75) / ndtri(0.5 + 0.25 / (1 - np.minimum(SHARES, 0.45))))
    prior = log_prior(expected_share)
    log_posterior = np.empty((len(model.shapes), len(SHARES)))
    for i, shape in enumerate(model.shapes):
        right, wrong = model.densities(sample, shape)
        mixed = np.outer(1 - SHARES, right) + np.outer(SHARES, wrong)
        log_posterior[i] = (
            counted * np.log(np.maximum(mixed, 1e-300)).sum(axis=1)
            - 0.5 * ((np.log(shape[0]) - expected) / SCALING_DEVIATION) ** 2
            - shape[2] / UNPREDICTABLE_MEAN
            - shape[3] / SPREAD_MEAN
            + prior
            + (0.0 if checked is None else _of_right_labels(checked, shape))
        )
    weights = normalised(log_posterior)
    probability = np.zeros(N)
    for start in range(0, N, BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, N))
        for likely in np.flatnonzero(weights.max(axis=1) > 1e-4):
            right, wrong = model.densities(rows, model.shapes[likely])
            for j in np.flatnonzero(weights[likely] > 1e-4):
                bad = SHARES[j] * wrong
                probability[rows] += weights[likely, j] * bad / np.maximum(bad + (1 - SHARES[j]) * right, 1e-300)
    return Posterior(probability, *share_of(weights.sum(axis=0)))


def _of_right_labels(checked: ManyValues | FewValues, shape: Shape) -> float:
    """Log-likelihood of trusted labels: nearly all of them are right, unless they themselves say otherwise."""
    right, wrong = checked.densities(slice(None), shape)
    mixed = np.outer(1 - TRUSTED_WRONG, right) + np.outer(TRUSTED_WRONG, wrong)
    counted = min(1.0, MOST_COUNTED / max(len(right), 1))
    likelihood = counted * np.log(np.maximum(mixed, 1e-300)).sum(axis=1)
    return float(logsumexp(likelihood + np.log(TRUSTED_WRONG_PRIOR)))


def local_scale(predicted: Floats, residual: Floats, window: float) -> Floats:
    """Return (N,) robust deviation of the residuals of rows with similar predictions."""
    order = np.argsort(predicted, kind="stable")
    size = max(30, int(window * len(order)))
    sizes = pd.Series(np.abs(residual[order]))
    medians = sizes.rolling(size, center=True, min_periods=min(10, len(order))).median().bfill().ffill()
    scale = np.empty(len(order))
    # The median of a normal variable's absolute value is 0.6745 σ.
    scale[order] = medians.to_numpy() / 0.6745
    floor = 1e-4 * max(float(np.std(residual)), 1e-12)
    result: Floats = np.maximum(scale, floor)
    return result


def _along(known: Floats, scale: Floats, predicted: Floats) -> Floats:
    """Return (n,) local scales at `predicted` (n,), from those of rows with known predictions."""
    if predicted is known:
        return scale
    order = np.argsort(known, kind="stable")
    result: Floats = np.interp(predicted, known[order], scale[order])
    return result


def log_t(z: Floats, tails: float) -> Floats:
    """Log density of Student's t."""
    constant = gammaln((tails + 1) / 2) - gammaln(tails / 2) - 0.5 * np.log(tails * np.pi)
    result: Floats = constant - (tails + 1) / 2 * np.log1p(z * z / tails)
    return result
