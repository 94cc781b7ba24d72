"""Weights of several predictions of the same thing, by how well each predicts what it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST_PROBABILITY = 1e-4
"""A single improbable label must not decide a weight."""

STEPS = 60

POOL_PENALTY = 2.0
"""Penalty on squared weights, in nats."""
MOST_WEIGHT = 3.0
LEAST_POOLED = 0.01
"""A prediction that is certain and wrong must not override the others."""

MOST_CALIBRATED_CLASSES, MOST_CALIBRATED_ROWS = 12, 10_000

TEMPERATURES = np.exp(np.linspace(-0.5, 1.2, 35))


def stack(probabilities: Sequence[Floats], y: Ints, prior: Floats) -> Floats:
    """Return (M,) weights, at least 0 and of sum 1, of M predictions (N, K) of the classes y (N,).

    The posterior mode of the mixture Σ_m w_m p_m(y), by expectation maximisation; prior (M,): pseudo-count of
    each prediction, in rows.
    """
    likelihood = np.clip([own(p, y) for p in probabilities], LEAST_PROBABILITY, 1.0)  # (M, N)
    weights = prior / prior.sum()
    for _ in range(STEPS):
        weights = weights * (likelihood @ (1 / (weights @ likelihood))) + prior
        weights /= weights.sum()
    result: Floats = weights
    return result


def pool_logarithms(
    predictions: Sequence[tuple[Floats, Floats]], y: Ints, *, folds: int, seed: int
) -> tuple[Floats, Floats]:
    """The logarithmic opinion pool Π_m p_m^{w_m} of pairs of predictions, (N, K) and (J, K).

    The weights, from 0 to MOST_WEIGHT, make the classes y (J,) most likely, with a penalty on their distance from
    the first prediction alone: few rows change little. The second of each pair is pooled by weights that other folds
    decide.
    """
    rows, others = ([np.log(np.clip(pair[i], LEAST_POOLED, 1.0)) for pair in predictions] for i in (0, 1))
    pooled = np.empty_like(others[0])
    if len(predictions) == 1 or len(y) < folds:
        return predictions[0]
    for decide, left_out in KFold(folds, shuffle=True, random_state=seed).split(y):
        weights = _pool_weights([logs[decide] for logs in others], y[decide])
        pooled[left_out] = softmax(mix(weights, [logs[left_out] for logs in others]), axis=1)
    result: Floats = softmax(mix(_pool_weights(others, y), rows), axis=1)
    return result, pooled


def _pool_weights(logs: Sequence[Floats], y: Ints) -> Floats:
    """Return the weights (M,) of the logarithms of M predictions (J, K)."""
    alone = np.eye(len(logs))[0]

    def loss(weights: Floats) -> float:
        likelihood = np.log(np.clip(own(softmax(mix(weights, logs), axis=1), y), LEAST_PROBABILITY, 1.0)).sum()
        return float(POOL_PENALTY * np.square(weights - alone).sum() - likelihood)

    start = np.full(len(logs), 1 / len(logs))
    result: Floats = minimize(loss, start, method="L-BFGS-B", bounds=[(0, MOST_WEIGHT)] * len(logs)).x
    return result


def stack_numbers(predictions: Sequence[Floats], y: Floats) -> Floats:
    """Return (M,) weights of M predictions (N,) of numbers y (N,), by the 16th power of their mean absolute error: a
    model that is a fifth farther off hardly counts."""
    errors = np.array([np.abs(y - p).mean() for p in predictions])
    closeness = (errors.min() / np.maximum(errors, 1e-300)) ** 16
    weights: Floats = closeness / closeness.sum()
    return weights


def mix(weights: Floats, predictions: Sequence[Floats]) -> Floats:
    """Σ_m w_m p_m, in the shape of one prediction."""
    result: Floats = sum(w * p for w, p in zip(weights, predictions, strict=True))
    return result


def calibrate(
    base_predictions: Sequence[tuple[Floats, Floats]], mixed: tuple[Floats, Floats], y: Ints
) -> tuple[Floats, Floats]:
    """Calibrate, on the given labels y (N,), probabilities of the training rows (N, K) and of other rows (J, K).

    base_predictions: of both, each out-of-fold; mixed: their mixture. Multinomial logistic regression on the logarithms
    of all of them; where there are many classes, a power of the mixture (temperature scaling; Guo et al., 2017).
    """
    K = mixed[0].shape[1]
    if K > MOST_CALIBRATED_CLASSES or len(np.unique(y)) < 2:
        power = _temperature(mixed[0], y)
        return sharpen(mixed[0], power), sharpen(mixed[1], power)
    logs = [np.hstack([log_ratios(base[i]) for base in base_predictions]) for i in (0, 1)]
    fitted = slice(None, None, -(-len(y) // MOST_CALIBRATED_ROWS))
    model = LogisticRegression(C=1.0, max_iter=300).fit(logs[0][fitted], y[fitted])
    rows, others = (
        fill_classes(model.predict_proba(part), model.classes_, K) if len(part) else np.zeros((0, K)) for part in logs
    )
    return rows, others


def log_ratios(probabilities: Floats) -> Floats:
    """Return (n, K) logarithms, centred in each row."""
    logs = np.log(np.clip(probabilities, 1e-3, 1.0))
    centred: Floats = logs - logs.mean(axis=1, keepdims=True)
    return centred


def fill_classes(probabilities: Floats, classes: Ints, K: int) -> Floats:
    """Extend (n, len(classes)) to (n, K), with zeros for classes that a model has not seen."""
    result = np.zeros((len(probabilities), K))
    result[:, classes] = probabilities
    return result


def _temperature(probabilities: Floats, y: Ints) -> float:
    """The power that makes out-of-fold probabilities (N, K) of y (N,) most likely: above 1 they were too timid."""
    fits = [np.log(np.clip(own(sharpen(probabilities, t), y), LEAST_PROBABILITY, 1)).sum() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmax(fits))])


def sharpen(probabilities: Floats, power: float) -> Floats:
    """p^power, normalised again, (n, K)."""
    powers = np.clip(probabilities, 1e-9, 1.0) ** power
    result: Floats = powers / powers.sum(axis=1, keepdims=True)
    return result


def own(probabilities: Floats, y: Ints) -> Floats:
    """Return (n,) probability of each row's own class."""
    result: Floats = probabilities[np.arange(len(y)), y]
    return result
