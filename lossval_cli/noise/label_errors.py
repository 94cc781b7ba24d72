"""Which rows are noisy, how sure that is, and how many there are: probabilities from both kinds of evidence.

Labels. A row's label y is judged by what members that did not train on the row predict. A wrong label is one
of the other labels of the column, each alike, so that with π the share of wrong labels

    p(y | x) = (1 − π) c(y | x) + π / (K − 1) · (1 − c(y | x))         K classes
    p(y | x) = (1 − π) t_ν((y − μ(x)) / s(x)) / s(x) + π m(y)           numbers; m: density of distinct labels

where c is the prediction sharpened, c ∝ p̂^τ (training on noisy labels flattens predictions), and s(x) is τ
times the typical residual of rows with similar predictions. Numbers of many values are brought to normal
scores first. π, τ (and ν) are not known, so they are not chosen: all values on a grid are averaged, weighted
by prior and likelihood. The probability that a label is wrong and the interval of π come from the same
average.

Features. The probability that a row is odd comes from `surprise`.

Suspects. Each kind by itself: the rows above the threshold that maximises the expected F1 (Lipton et al.,
2014), among the thresholds at which flagged rows are expected to be noisy more often than not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betaln, gammaln, logit, logsumexp, ndtri, xlog1py, xlogy

from lossval_cli.noise.outliers import OutlierEstimate

Floats = npt.NDArray[np.float64]

SHARES = np.concatenate([[0.0, 0.0025, 0.005, 0.0075], np.arange(0.01, 0.1, 0.005), np.arange(0.1, 0.51, 0.01)])
"""Shares of wrong labels on the grid; beyond a half, labels would say the opposite of what they mean."""

SHARE_PRIOR = (1.0, 3.0)
"""Beta prior of the share, mean 1/4: more would say little in large tables and too much in small ones."""

SHARPENING = np.exp(np.linspace(-0.4, 1.5, 16))
"""τ for classes."""
SHARPENING_DEVIATION = 0.2
"""Of log τ, around what a share π of wrong labels does to the log-odds of a 95 % sure prediction."""

SCALING = np.exp(np.linspace(-0.7, 0.3, 16))
"""τ for numbers: factor on the local scale, which is a median over clean and noisy rows."""
SCALING_DEVIATION = 0.1
"""Of log τ, around what a share π of far residuals does to a median."""

UNPREDICTABLE = np.array([0.0, 0.05, 0.15, 0.3])
"""Share of rows whose label follows the base rate whatever the features say. A rare class is no noise."""
UNPREDICTABLE_MEAN = 0.03

TAILS = np.array([3.0, 5.0, 10.0, 30.0])
"""ν of the residuals' t distribution, alike in advance."""

TRUSTED_ROWS = 2_000
"""The likelihood counts as if there were no more rows: beyond, the model's form is what is uncertain."""

FEW_LABELS = 50
"""Numeric labels with no more distinct values than this are treated as the ordered classes they are."""

SCALE_WINDOW = 0.15
"""Share of rows, next to each other in prediction, that a local residual scale is taken over."""

LIKELIHOOD_ROWS = 1 << 17
"""Rows in the likelihood, of larger tables every so many-th."""

BLOCK_ROWS = 1 << 16
"""Rows that are averaged over at once: memory does not grow with the grid times the table."""

INTERVAL = 0.9
"""Nominal content of the intervals of shares."""


class NoiseEstimate(NamedTuple):
    """What is believed about the noise in N training rows."""

    probability: Floats  # (N,) that a row is noisy in either way
    label_probability: Floats  # (N,) that its label is wrong
    feature_probability: Floats  # (N,) that its features are odd
    label_suspect: npt.NDArray[np.bool_]  # (N,)
    feature_suspect: npt.NDArray[np.bool_]  # (N,)
    label_threshold: float  # probability from which a row is a suspect; 1.0 where there is none
    feature_threshold: float
    share: float  # expected share of noisy rows, with its interval
    share_low: float
    share_high: float
    outliers: OutlierEstimate | None = None


Shapes = Callable[[slice], Iterator[tuple[Floats, Floats]]]


class _Labels(NamedTuple):
    probability: Floats
    low: float
    high: float


def estimate_labels(
    predictions: Floats, y: npt.NDArray[np.generic], classes: int | None, outlier_estimate: OutlierEstimate
) -> NoiseEstimate:
    """Held-out predictions, (N, K) probabilities or (N,), and oddness -> what is believed of each row."""
    features = outlier_estimate.probability
    # Rows with odd features are predicted badly whatever their label: they say little of the wrong ones.
    weight = (1 - features) * min(1.0, TRUSTED_ROWS / len(y))
    if classes is None:
        labels = _judge_numbers(predictions, y.astype(np.float64), weight)
    else:
        labels = _judge_classes(predictions, y.astype(np.int64), weight)
    label_suspect, label_threshold = _suspects(labels.probability)
    feature_suspect, feature_threshold = _suspects(features)
    probability = 1 - (1 - labels.probability) * (1 - features)
    return NoiseEstimate(
        probability,
        labels.probability,
        features,
        label_suspect,
        feature_suspect,
        label_threshold,
        feature_threshold,
        float(probability.mean()),
        1 - (1 - labels.low) * (1 - outlier_estimate.share_low),
        1 - (1 - labels.high) * (1 - outlier_estimate.share_high),
        outlier_estimate,
    )


def with_thresholds(noise: NoiseEstimate, label: float, features: float) -> NoiseEstimate:
    """The same beliefs, with the rows flagged whose probabilities are at or above the thresholds."""
    return noise._replace(
        label_suspect=noise.label_probability >= label,
        feature_suspect=noise.feature_probability >= features,
        label_threshold=label,
        feature_threshold=features,
    )


def _judge_classes(predictions: Floats, y: npt.NDArray[np.int64], weight: Floats) -> _Labels:
    """predictions (N, K), y (N,), weight (N,) of each row in the likelihood."""
    K = predictions.shape[1]
    rates = np.bincount(y, minlength=K) / len(y)
    sure = 0.95
    # Of log τ, for each share.
    expected = np.log(logit(sure) / logit((1 - SHARES) * sure + SHARES * (1 - sure)))
    prior = [
        _log_normal(np.log(sharpening), expected, SHARPENING_DEVIATION) - unpredictable / UNPREDICTABLE_MEAN
        for sharpening in SHARPENING
        for unpredictable in UNPREDICTABLE
    ]

    def shapes(rows: slice) -> Iterator[tuple[Floats, Floats]]:
        own_class = y[rows]
        base_rate = rates[own_class]
        logits = np.log(np.clip(predictions[rows], 1e-9, 1.0))
        for sharpening in SHARPENING:
            sharpened = sharpening * logits
            own_logit = sharpened[np.arange(len(own_class)), own_class]
            predicted = np.exp(own_logit - logsumexp(sharpened, axis=1))
            for unpredictable in UNPREDICTABLE:
                own = (1 - unpredictable) * predicted + unpredictable * base_rate
                yield own, (1 - own) / (K - 1)

    return _average(shapes, prior, weight)


def _judge_numbers(predictions: Floats, y: Floats, weight: Floats) -> _Labels:
    """predictions (N,), y (N,), weight (N,) of each row in the likelihood."""
    distinct, index, counts = np.unique(y, return_inverse=True, return_counts=True)
    few = len(distinct) <= FEW_LABELS
    if not few:
        # Where labels are skewed or bounded so are residuals, and look like wrong labels.
        scores = ndtri((np.cumsum(counts) - counts / 2) / len(y))
        predictions, y, distinct = np.interp(predictions, distinct, scores), scores[index], scores
    residuals = y - predictions
    scale = _local_scale(predictions, residuals)
    by_base_rate, by_density = (counts[index] / len(y), None) if few else (None, _density(distinct, y))
    # With a share π far off, the median of all is the 0.5 / (1 − π) quantile of the clean.
    expected = np.log(ndtri(0.75) / ndtri(0.5 + 0.25 / (1 - np.minimum(SHARES, 0.45))))
    prior = [
        _log_normal(np.log(factor), expected, SCALING_DEVIATION) - unpredictable / UNPREDICTABLE_MEAN
        for factor in SCALING
        for _ in TAILS
        for unpredictable in (UNPREDICTABLE if few else [0.0])
    ]

    def shapes(rows: slice) -> Iterator[tuple[Floats, Floats]]:
        for factor in SCALING:
            width = factor * scale[rows]
            z = residuals[rows] / width
            for tails in TAILS:
                if by_density is not None:
                    yield np.exp(_log_t(z, tails)) / width, by_density[rows]
                    continue
                assert by_base_rate is not None
                by_label = _log_t((distinct - predictions[rows, None]) / width[:, None], tails)
                predicted = np.exp(_log_t(z, tails) - logsumexp(by_label, axis=1))
                for unpredictable in UNPREDICTABLE:
                    own = (1 - unpredictable) * predicted + unpredictable * by_base_rate[rows]
                    yield own, (1 - own) / max(1, len(distinct) - 1)

    return _average(shapes, prior, weight)


def _average(shapes: Shapes, prior: list[Floats], weight: Floats) -> _Labels:
    """Average over shares and shapes; `prior` (shares,) is the log density of each shape.

    `shapes` gives, for some rows, how likely each shape makes their label if it is right, and if it is
    wrong. Rows are gone through in blocks, twice; of many rows every so many-th is in the likelihood.
    """
    rows = len(weight)
    step = -(-rows // LIKELIHOOD_ROWS)
    log_weights = np.zeros((len(prior), len(SHARES)))
    for start in range(0, rows, BLOCK_ROWS * step):
        part = slice(start, min(start + BLOCK_ROWS * step, rows), step)
        for at, (c, q) in enumerate(shapes(part)):
            mixed = np.outer(1 - SHARES, c) + np.outer(SHARES, q)
            log_weights[at] += np.log(np.maximum(mixed, 1e-300)) @ (step * weight[part])
    log_weights += np.array(prior)
    a, b = SHARE_PRIOR
    log_weights += xlogy(a - 1, SHARES) + xlog1py(b - 1, -SHARES) - betaln(a, b)
    weights = np.exp(log_weights - log_weights.max())
    # The grid is not even: a node stands for the stretch up to its neighbours.
    weights *= np.gradient(SHARES)
    weights /= weights.sum()
    probability = np.zeros(rows)
    for start in range(0, rows, BLOCK_ROWS):
        part = slice(start, min(start + BLOCK_ROWS, rows))
        for at, (c, q) in enumerate(shapes(part)):
            for share in np.flatnonzero(weights[at] > 1e-4):
                pi = SHARES[share]
                wrong = pi * q
                probability[part] += weights[at, share] * wrong / np.maximum(wrong + (1 - pi) * c, 1e-300)
    cumulative = weights.sum(axis=0).cumsum()
    tail = (1 - INTERVAL) / 2
    low, high = np.interp([tail, 1 - tail], cumulative, SHARES)
    return _Labels(probability, float(low), float(high))


def _suspects(probability: Floats) -> tuple[npt.NDArray[np.bool_], float]:
    """Rows to flag, and the probability from which they are flagged (1.0: none)."""
    order = np.argsort(-probability, kind="stable")
    hits = probability[order].cumsum()
    count = np.arange(1, len(order) + 1)
    expected_f1 = 2 * hits / (count + hits[-1])
    expected_f1[hits < count / 2] = 0.0
    best = int(expected_f1.argmax())
    if expected_f1[best] == 0.0:
        return np.zeros(len(order), np.bool_), 1.0
    threshold = float(probability[order[best]])
    return probability >= threshold, threshold


def _local_scale(predictions: Floats, residuals: Floats) -> Floats:
    """(N,) robust deviation of the residuals of rows with similar predictions."""
    order = np.argsort(predictions, kind="stable")
    window = max(20, int(SCALE_WINDOW * len(order)))
    sizes = pd.Series(np.abs(residuals[order]))
    medians = sizes.rolling(window, center=True, min_periods=min(10, len(order))).median().bfill().ffill()
    scale = np.empty(len(order))
    # The median of a normal variable's absolute value is 0.6745 σ.
    scale[order] = medians.to_numpy() / 0.6745
    floor = 1e-3 * max(float(np.std(residuals)), 1e-12)
    return np.maximum(scale, floor)


def _log_normal(x: float, mean: Floats, deviation: float) -> Floats:
    result: Floats = -0.5 * ((x - mean) / deviation) ** 2 - np.log(deviation * np.sqrt(2 * np.pi))
    return result


def _log_t(z: Floats, tails: float) -> Floats:
    """Log density of Student's t."""
    constant = gammaln((tails + 1) / 2) - gammaln(tails / 2) - 0.5 * np.log(tails * np.pi)
    result: Floats = constant - (tails + 1) / 2 * np.log1p(z * z / tails)
    return result


def _density(distinct: Floats, y: Floats) -> Floats:
    """(N,) smooth density of the distinct labels at y, from a histogram of about √V bins."""
    bins = int(np.clip(np.sqrt(len(distinct)), 5, 100))
    counts, edges = np.histogram(distinct, bins=bins)
    # One label's worth spread evenly keeps empty stretches possible.
    smooth = (counts + 1 / bins) / (counts.sum() + 1)
    density: Floats = smooth / np.diff(edges)
    place = np.clip(np.searchsorted(edges, y, side="right") - 1, 0, bins - 1)
    return density[place]
