"""A model of the true label, learned from trusted rows, with predictions of the given label among its inputs.

Systematic errors are learned by every model of the given labels; only rows with true labels show them. Models fitted
on the trusted rows and the prediction of the given label itself are pooled, weighted by how well they foretell
trusted labels that they were not fitted on. With few trusted rows the prediction of the given label keeps its
weight, so that nothing is learned from accidents. (In the spirit of gold loss correction, Hendrycks et al., 2018,
with the features as inputs too.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from lossval_cli.noise.stacking import LEAST_PROBABILITY, fill_classes, log_ratios, own, pool_logarithms
from lossval_cli.runtime.row_loader import RowSource

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST_TRUSTED = 20
"""Trusted rows below which no model is fitted."""

FEWEST_PER_CLASS = 3
"""Trusted rows for each of their classes, on average, below which no model is fitted."""

TREES = 150
FOLDS = 5
PREDICTED_AT_ONCE = 1 << 15

CLEAR_GAIN = 3.0
"""Nats by which true labels are foretold better than given labels would be, from which on errors show: clean
tables stay below."""
GAIN_WIDTH = 1.5

REACH = 1.5
"""The most wrong labels, relative to as many as there were if the given label said nothing beyond the features."""


class TrueLabels(NamedTuple):
    """What trusted rows say."""

    probabilities: Floats  # (N, K) of the true label of each training row, from its features
    share: float  # expected share of wrong labels
    low: float
    high: float


def learn_true_labels(
    X: RowSource,
    X_trusted: npt.NDArray[np.float32],
    y_trusted: Ints,
    given: tuple[Floats, Floats],
    voices: list[tuple[Floats, Floats]],
    flips_share: float,
    seed: int,
    trees: float = 1.0,
) -> TrueLabels:
    """X (N, D), trusted rows X_trusted (J, D), y_trusted (J,); given: out-of-fold probabilities of the given label of
    both, (N, K) and (J, K), and voices: the predictions they were mixed from; flips_share: share of wrong
    labels that random flips explain; trees: of the forest, as a multiple."""
    K = given[0].shape[1]
    classes = len(np.unique(y_trusted))
    is_enough = len(y_trusted) >= max(FEWEST_TRUSTED, FEWEST_PER_CLASS * classes) and classes > 1
    learned = _fit(X, X_trusted, y_trusted, voices, K, seed, trees) if is_enough else []
    predictions = [given, *learned]
    (rows, trusted), _ = pool_logarithms(predictions, y_trusted)

    # Least and most wrong labels that agree with both predictions: given and true label as equal as they can be,
    # and the given label saying nothing beyond the features.
    least = float(0.5 * np.abs(given[0] - rows).sum(axis=1).mean())
    most = float(1 - (given[0] * rows).sum(axis=1).mean())
    gain = float(_log_likelihood(trusted, y_trusted) - _log_likelihood(given[1], y_trusted))
    shown = float(np.clip((gain - CLEAR_GAIN * (K / 2)) / GAIN_WIDTH, 0, 1))
    unexplained = float(np.clip(1 - flips_share / max(least, 1e-9), 0, 1))
    share = shown * (least + unexplained * (most - least))
    return TrueLabels(rows, share, 0.7 * shown * least, REACH * most)


def _fit(
    X: RowSource,
    X_trusted: npt.NDArray[np.float32],
    y_trusted: Ints,
    voices: list[tuple[Floats, Floats]],
    K: int,
    seed: int,
    trees: float,
) -> list[tuple[Floats, Floats]]:
    """Probabilities of the training rows (N, K) and, out-of-fold, of the trusted rows (J, K), by each model."""
    scaler = StandardScaler().fit(X_trusted)
    logs, logs_trusted = (np.hstack([log_ratios(voice[i]) for voice in voices]) for i in (0, 1))

    def both(rows: npt.NDArray[np.float32], logs: Floats) -> Floats:
        return np.hstack([rows, logs])

    def scaled(rows: npt.NDArray[np.float32], logs: Floats) -> Floats:
        return np.hstack([np.clip(scaler.transform(rows), -5, 5), logs])

    def alone(rows: npt.NDArray[np.float32], logs: Floats) -> Floats:
        return logs

    forest = ExtraTreesClassifier(
        round(TREES * trees), min_samples_leaf=3, max_features=0.3, bootstrap=True, oob_score=True, random_state=seed
    )
    kinds: list[tuple[Any, Callable[[npt.NDArray[np.float32], Floats], Floats]]] = [
        (forest, both),
        (LogisticRegression(C=0.01, max_iter=500), scaled),
        (LogisticRegression(C=0.3, max_iter=500), scaled),
        (LogisticRegression(C=0.1, max_iter=500), alone),
    ]
    found = []
    for model, inputs in kinds:
        A = inputs(X_trusted, logs_trusted)
        out_of_fold = np.zeros((len(A), K))
        if model is not forest:
            for fitted, left_out in KFold(FOLDS, shuffle=True, random_state=seed).split(A):
                out_of_fold[left_out] = _probabilities(model, A[fitted], y_trusted[fitted], A[left_out], K)
        rows = np.empty((len(X), K))
        model.fit(A, y_trusted)
        if model is forest:  # each row by the trees that did not draw it
            out_of_fold = fill_classes(forest.oob_decision_function_, forest.classes_, K)
        for start in range(0, len(X), PREDICTED_AT_ONCE):
            part = slice(start, min(start + PREDICTED_AT_ONCE, len(X)))
            rows[part] = fill_classes(model.predict_proba(inputs(X[part], logs[part])), model.classes_, K)
        found.append((rows, out_of_fold))
    return found


def _probabilities(model: Any, A: Floats, y: Ints, rows: Floats, K: int) -> Floats:
    if len(np.unique(y)) < 2:
        return np.tile(np.eye(K)[y[0]], (len(rows), 1))
    model.fit(A, y)
    return fill_classes(model.predict_proba(rows), model.classes_, K)


def _log_likelihood(probabilities: Floats, y: Ints) -> float:
    return float(np.log(np.clip(own(probabilities, y), LEAST_PROBABILITY, 1.0)).sum())
