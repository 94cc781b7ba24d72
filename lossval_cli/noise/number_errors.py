"""Which numeric labels are wrong: residuals in units of what is usual where the prediction is alike.

Two questions are asked, since each is blind where the other sees.

Is the label another row's?  In normal scores, where skewed labels are symmetric, a right label lies about the
prediction with Student-t residuals of a local scale, and a wrong one anywhere among the labels (density m):

    p(y | x) = (1 − π) t_ν((y − μ(x)) / τ s(x)) / τ s(x) + π m(y)

Labels of few values are the ordered classes they are. (π, τ, ν) are averaged over a grid, weighted by prior and
likelihood.

Does the label lie beyond everything?  In the label's own units (or logarithms, if it is skewed) the tail of
right labels is extrapolated from the bulk of the residuals alone, so that gross errors neither hide themselves nor
saturate; what lies beyond is flagged at a false discovery rate (Benjamini & Hochberg, 1995).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaln, logsumexp, ndtri
from scipy.stats import t as student_t

from lossval_cli.noise.flags import choose_suspects
from lossval_cli.noise.label_estimates import LabelErrors
from lossval_cli.noise.out_of_fold import draw_folds, predict_numbers
from lossval_cli.noise.stacking import mix, stack_numbers
from lossval_cli.runtime.row_loader import RowSource

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHARES = np.concatenate([[0.0, 0.0025, 0.005, 0.0075], np.arange(0.01, 0.1, 0.01), np.arange(0.1, 0.51, 0.02)])
"""π on the grid."""
MEAN_SHARE = 0.25
"""Mean of the exponential prior of π."""

SCALING = np.exp(np.linspace(-0.7, 0.3, 11))
"""τ: factor on the local scale, which is a median over right and wrong labels."""
SCALING_DEVIATION = 0.1
"""Of log τ, around what a share π of far residuals does to a median."""

TAILS = np.array([3.0, 5.0, 10.0, 30.0])
"""ν, alike in advance."""

UNPREDICTABLE = np.array([0.0, 0.05, 0.15, 0.3])
"""Few values: share of rows whose label follows the base rate whatever the features say."""
UNPREDICTABLE_MEAN = 0.03

FEW_VALUES = 50
"""Distinct values up to which labels are treated as ordered classes."""

MOST_ALIKE = 0.3
"""Share of the rows with one and the same value (zero claims, say), from which the others are not judged by the
prediction, which is between the two: that a row is among them is mostly chance."""

MOST_COUNTED = 2_000
"""The likelihood counts as if there were no more rows: beyond, the model's form is what is uncertain."""

LIKELIHOOD_ROWS = 1 << 15
"""Rows in the likelihood; of larger tables a part."""

BLOCK_ROWS = 1 << 15

WINDOW, FINE_WINDOW = 0.15, 0.08
"""Share of rows, next to each other in prediction, that a local scale is taken over, in scores and in units."""

BULK = 0.93
"""Share of the residuals, the smaller ones, that the tail is extrapolated from."""
BULK_SCALES = np.exp(np.linspace(-0.8, 0.8, 33))
BULK_TAILS = (2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 30.0)

FALSE_DISCOVERIES = 0.02
"""Of labels that lie beyond everything."""

SKEWED = 0.2
"""Quantile skewness (Bowley's, of the outer tenths) from which logarithms are taken."""

INTERVAL = 0.9


class _Found(NamedTuple):
    """What is believed about N numeric labels."""

    probability: Floats  # (N,)
    share: float  # posterior mean of π, with its interval
    low: float
    high: float
    is_beyond: npt.NDArray[np.bool_]  # (N,) lies beyond everything


class Scores(NamedTuple):
    """Normal scores of a numeric label: its distinct values, ascending, the score of each, and how often it occurs."""

    values: Floats
    scores: Floats
    counts: Ints

    @classmethod
    def of(cls, y: Floats) -> Scores:
        """y (N,)."""
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


def find_wrong_numbers(
    X: RowSource, y: Floats, network: Floats, *, units: Ints | None = None, seed: int = 0, trees: float = 1.0
) -> LabelErrors:
    """X (N, D), labels y (N,), the networks' out-of-fold predictions (N,) in the unit of y.

    units (N,): rows of one unit are not predicted from one another.  trees: of the forest, as a multiple.
    """
    scores = Scores.of(y)
    t = scores.score(y)
    strata = np.round(2 * t).astype(np.int64)
    fold = draw_folds(strata, np.arange(len(y)) if units is None else units, seed)
    nobody = np.zeros((0, X.shape[1]), np.float32), np.zeros(0, np.int64)
    models = predict_numbers(X, t, fold, *nobody, seed, trees)
    voices = [scores.score(network), *(model.rows for model in models.values())]
    predicted = mix(stack_numbers(voices, t), voices)
    found = judge_numbers(predicted, y, seed)
    suspect, threshold = choose_suspects(found.probability)
    variance = float(t.var())
    return LabelErrors(
        found.probability,
        suspect,
        threshold,
        found.share,
        found.low,
        found.high,
        scores.value(predicted),
        1 - float(np.square(t - predicted).mean()) / variance if variance > 0 else 0.0,
        np.zeros(len(y), np.bool_),
    )


def judge_numbers(predicted: Floats, y: Floats, seed: int) -> _Found:
    """Out-of-fold predictions in normal scores (N,) and labels in their own unit (N,)."""
    scores = Scores.of(y)
    most_common = int(scores.counts.argmax())
    alike = scores.counts[most_common] / len(y)
    if len(scores.values) <= FEW_VALUES:
        probability, share, low, high = _mixture(_FewValues(predicted, y, scores), seed)
        beyond = np.zeros(len(y), np.bool_)
    elif alike >= MOST_ALIKE:
        others = y != scores.values[most_common]
        beyond = np.zeros(len(y), np.bool_)
        beyond[others] = _lies_beyond(y[others], np.full(int(others.sum()), np.median(y[others])))
        probability, share, low, high = np.zeros(len(y)), 0.0, 0.0, 0.5 * float(1 - alike)
    else:
        probability, share, low, high = _mixture(_ManyValues(predicted, y, scores), seed)
        beyond = _lies_beyond(y, scores.value(predicted))
    probability = np.where(beyond, np.maximum(probability, 1 - FALSE_DISCOVERIES), probability)
    found = float(beyond.mean())
    return _Found(probability, max(share, found), max(low, 0.9 * found), max(high, 1.2 * found), beyond)


class _ManyValues:
    """Densities of right and wrong labels, for every shape on the grid."""

    def __init__(self, predicted: Floats, y: Floats, scores: Scores) -> None:
        self.t = scores.score(y)
        self.residual = self.t - predicted
        self.scale = local_scale(predicted, self.residual, WINDOW)
        self.shapes = [(factor, tails, 0.0) for factor in SCALING for tails in TAILS]

    def densities(self, rows: npt.NDArray[Any] | slice, shape: tuple[float, float, float]) -> tuple[Floats, Floats]:
        width = shape[0] * self.scale[rows]
        right = np.exp(_log_t(self.residual[rows] / width, shape[1])) / width
        return right, np.exp(-0.5 * self.t[rows] ** 2) / np.sqrt(2 * np.pi)


class _FewValues:
    """Probabilities of right and wrong labels among few values."""

    def __init__(self, predicted: Floats, y: Floats, scores: Scores) -> None:
        self.predicted, self.scores = predicted, scores.scores
        self.index = np.searchsorted(scores.values, y)
        self.rate = scores.counts[self.index] / len(y)
        gaps = np.diff(scores.scores)
        least = 0.3 * float(np.median(gaps)) if len(gaps) else 1.0
        self.t = self.scores[self.index]
        self.scale = np.maximum(local_scale(predicted, self.t - predicted, WINDOW), least)
        self.shapes = [(factor, tails, u) for factor in SCALING[::2] for tails in TAILS[::2] for u in UNPREDICTABLE]

    def densities(self, rows: npt.NDArray[Any] | slice, shape: tuple[float, float, float]) -> tuple[Floats, Floats]:
        factor, tails, unpredictable = shape
        width = factor * self.scale[rows, None]
        by_value = _log_t((self.scores - self.predicted[rows, None]) / width, tails)
        index = self.index[rows]
        own = np.exp(by_value[np.arange(len(index)), index] - logsumexp(by_value, axis=1))
        right = (1 - unpredictable) * own + unpredictable * self.rate[rows]
        return right, (1 - right) / max(1, len(self.scores) - 1)


def _mixture(model: _ManyValues | _FewValues, seed: int) -> tuple[Floats, float, float, float]:
    """Probability that each label is wrong, share, and its interval."""
    N = len(model.t)
    sample = np.arange(N)
    if N > LIKELIHOOD_ROWS:
        sample = np.sort(np.random.default_rng(seed).choice(N, LIKELIHOOD_ROWS, replace=False))
    counted = min(1.0, MOST_COUNTED / len(sample))
    # With a share π far off, the median of all is the 0.5 / (1 − π) quantile of the right ones.
    expected = np.log(ndtri(0.75) / ndtri(0.5 + 0.25 / (1 - np.minimum(SHARES, 0.45))))
    log_posterior = np.empty((len(model.shapes), len(SHARES)))
    for i, shape in enumerate(model.shapes):
        right, wrong = model.densities(sample, shape)
        mixed = np.outer(1 - SHARES, right) + np.outer(SHARES, wrong)
        log_posterior[i] = (
            counted * np.log(np.maximum(mixed, 1e-300)).sum(axis=1)
            - 0.5 * ((np.log(shape[0]) - expected) / SCALING_DEVIATION) ** 2
            - shape[2] / UNPREDICTABLE_MEAN
            - SHARES / MEAN_SHARE
        )
    weights = np.exp(log_posterior - log_posterior.max())
    # The grid is not even: a node stands for the stretch up to its neighbours.
    weights *= np.gradient(SHARES)
    weights /= weights.sum()
    probability = np.zeros(N)
    for start in range(0, N, BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, N))
        for likely in np.flatnonzero(weights.max(axis=1) > 1e-4):
            right, wrong = model.densities(rows, model.shapes[likely])
            for j in np.flatnonzero(weights[likely] > 1e-4):
                bad = SHARES[j] * wrong
                probability[rows] += weights[likely, j] * bad / np.maximum(bad + (1 - SHARES[j]) * right, 1e-300)
    posterior = weights.sum(axis=0)
    tail = (1 - INTERVAL) / 2
    low, high = np.interp([tail, 1 - tail], posterior.cumsum(), SHARES)
    return probability, float(posterior @ SHARES), float(low), float(high)


def _lies_beyond(y: Floats, predicted: Floats) -> npt.NDArray[np.bool_]:
    """(n,) whether each label lies farther from its prediction than right labels ever would; both in the unit of
    the label."""
    if len(y) < 20:
        return np.zeros(len(y), np.bool_)
    low, middle, high = np.quantile(y, [0.1, 0.5, 0.9])
    skewness = (high + low - 2 * middle) / max(high - low, 1e-300)
    if abs(skewness) > SKEWED:  # distances from the crowded end, as logarithms
        sign = np.sign(skewness)
        end = (sign * y).min()
        offset = 0.1 * max(float(np.median(sign * y) - end), 1e-12)
        y, predicted = (np.log(np.maximum(sign * values - end, 0) + offset) for values in (y, predicted))
    residual = y - predicted
    z = np.abs(residual) / local_scale(predicted, residual, FINE_WINDOW)
    scale, tails = _bulk(z)
    chance = 2 * student_t.sf(z / scale, tails)
    order = np.argsort(chance, kind="stable")
    rank = np.arange(1, len(z) + 1)
    passed = np.flatnonzero(len(z) * chance[order] <= FALSE_DISCOVERIES * rank)
    result = np.zeros(len(z), np.bool_)
    if len(passed):
        result[order[: passed[-1] + 1]] = True
    return result


def _bulk(z: Floats) -> tuple[float, float]:
    """Scale and degrees of freedom of |t| residuals, of which only the smaller ones are looked at; of the others it
    counts how many there are (censored maximum likelihood)."""
    border = float(np.quantile(z, BULK))
    small = z[z <= border]
    beyond = len(z) - len(small)
    best, found = -np.inf, (1.0, 30.0)
    for tails in BULK_TAILS:
        for scale in BULK_SCALES:
            chance = max(2 * float(student_t.sf(border / scale, tails)), 1e-300)
            fit = float((_log_t(small / scale, tails) - np.log(scale)).sum()) + beyond * np.log(chance)
            if fit > best:
                best, found = fit, (float(scale), tails)
    return found


def local_scale(predicted: Floats, residual: Floats, window: float) -> Floats:
    """(N,) robust deviation of the residuals of rows with similar predictions."""
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


def _log_t(z: Floats, tails: float) -> Floats:
    """Log density of Student's t."""
    constant = gammaln((tails + 1) / 2) - gammaln(tails / 2) - 0.5 * np.log(tails * np.pi)
    result: Floats = constant - (tails + 1) / 2 * np.log1p(z * z / tails)
    return result
