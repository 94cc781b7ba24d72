"""A model of the true label, learned from trusted rows, with predictions of the given label among its inputs.

Systematic errors are learned by every model of the given labels; only rows with true labels show them. Models fitted
on the trusted rows and the prediction of the given label itself are pooled, weighted by how well they predict
trusted labels that they were not fitted on. With few trusted rows the prediction of the given label keeps its
weight, so that nothing is learned from accidents. (In the spirit of gold loss correction, Hendrycks et al., 2018,
with the features as inputs too.)

How many labels are wrong is another question, since given and true label of one row are never seen together:

    flips     the given label depends on the true one alone, T[true, given] (Hendrycks et al., 2018): then T is known
              from p(given | x) = Σ p(true | x) T, and with it how probable it is that a label is wrong
    a rule    the given label follows the features: it says little beyond them, and is wrong with 1 − p(true = y | x)

Which of the two it is shows in how well flips explain the given labels and, of two classes, in the rank order: flips
make given labels harder to predict than true ones, and a rule makes them easier.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from lossval_cli.noise.flags import log_odds, with_mean
from lossval_cli.noise.stacking import LEAST_PROBABILITY, fill_classes, log_ratios, own, pool_logarithms
from lossval_cli.runtime.row_source import RowSource
from lossval_cli.runtime.sharing import row_blocks, share

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FEWEST_TRUSTED = 20
"""Trusted rows below which no model is fitted."""

FEWEST_PER_CLASS = 3
"""Trusted rows for each of their classes, on average, below which no model is fitted."""

TREES = 100
FEWEST_TREES = 40
"""A row that every tree has drawn is predicted by none: with so many trees one in a hundred million."""

FOLDS = 5

LITTLE_GAIN, CLEAR_GAIN = 1.5, 4.0
"""Nats by which true labels are predicted better than given labels would be, from which on errors begin to show, and
from which on they are certain. Clean tables stay below 2.4."""

NO_GAIN = 1.0
"""Nats by which they are predicted worse, from which on trusted rows speak against errors."""

LITTLE_LEFT, CLEARLY_LEFT = 2.0, 3.5
"""Nats for each class but one, in as many rows as there are trusted ones, by which flips explain the given labels
worse than predictions of them do: below, errors are flips, and above, they follow the features."""

MOST_OF_RANKS = 3.0
"""Nats, at most, that the rank order speaks for a rule or for flips: trusted rows may be easier than others."""

LEAST_FOLLOWS = 0.4
"""Weight of a rule in the order of rows of two classes, at least: with two kinds of flips, a rule looks like them."""

LEAST_KEPT = 0.3
"""Part of what the given labels say about the true ones that flips leave, at least."""

LABEL_POWER = 0.25
"""Power of the likelihood of a label where errors follow a rule: it then says little beyond the features."""

UNSEEN, REACH = 0.5, 1.2
"""The most wrong labels, relative to as many as there were if the given label said nothing beyond the features:
where trusted rows see none, and where they see some."""

STEPS = 60


class TrueLabels(NamedTuple):
    """The evidence of trusted rows about the labels of N training rows."""

    score: Floats  # (N,) probability that each given label is wrong, if any are
    shown: float  # how sure it is that any are
    open: float  # how far they leave open whether any are
    low: float  # interval of the share of wrong labels
    high: float


def learn_true_labels(
    X: RowSource,
    y: Ints,
    X_trusted: npt.NDArray[np.float32],
    y_trusted: Ints,
    given: tuple[Floats, Floats],
    base_predictions: list[tuple[Floats, Floats]],
    seed: int,
    trees: float,
) -> TrueLabels:
    """Learn the true labels. X (N, D), given labels y (N,), trusted rows X_trusted (J, D), y_trusted (J,); given:
    out-of-fold probabilities of the given label of both, (N, K) and (J, K), and base_predictions: those they were mixed
    from; trees: of the forest, as a multiple."""
    K = given[0].shape[1]
    classes = len(np.unique(y_trusted))
    is_enough = len(y_trusted) >= max(FEWEST_TRUSTED, FEWEST_PER_CLASS * classes) and classes > 1
    predictions = [given, *(_fit(X, X_trusted, y_trusted, base_predictions, K, seed, trees) if is_enough else [])]
    truth, by_trusted = pool_logarithms(predictions, y_trusted, folds=FOLDS, seed=seed)

    gain = float(_log_likelihood(by_trusted, y_trusted) - _log_likelihood(given[1], y_trusted)) / (K / 2)
    shown = float(np.clip((gain - LITTLE_GAIN) / (CLEAR_GAIN - LITTLE_GAIN), 0, 1))

    # Flips: the given label depends on the true one alone. How much worse does that explain the given labels?
    flips = _fit_flips(truth, y)
    left = (_log_likelihood(given[0], y) - _log_likelihood(truth @ flips, y)) / len(y) * len(y_trusted) / (K - 1)
    as_flips = 1 - own(_given_the_label(truth, flips, y, 1.0), y)
    if K == 2 and is_enough:
        left += log_ratio_of_ranks(given[0][:, 1], y == 1, given[1][:, 1], y_trusted == 1, as_flips)
    by_rule = float(np.clip((left - LITTLE_LEFT) / (CLEARLY_LEFT - LITTLE_LEFT), 0, 1))
    as_rule = 1 - own(_given_the_label(truth, flips, y, LABEL_POWER), y)

    # The fewest wrong labels that agree with both predictions, and as many as there are if the given label says
    # nothing beyond the features.
    fewest = float(0.5 * np.abs(given[0] - truth).sum(axis=1).mean())
    most = float(1 - (given[0] * truth).sum(axis=1).mean())
    by_flips = float(as_flips.mean())
    if K > 2 and by_flips > fewest:  # with so many kinds of flips, an imprecise model of the truth looks like some
        by_flips = fewest
        as_flips = with_mean(as_flips, by_flips)
    follows = max(by_rule, 1 - shown)
    order = max(follows, LEAST_FOLLOWS) if K == 2 else follows
    mixed = expit(order * log_odds(as_rule) + (1 - order) * log_odds(as_flips))
    score = with_mean(mixed, follows * most + (1 - follows) * by_flips)
    unseen = most * (UNSEEN + (REACH - UNSEEN) * float(np.clip(gain, 0, 1)))
    low = shown * (by_rule * 0.8 * fewest + (1 - by_rule) * 0.6 * by_flips)
    seen = order * REACH * most + (1 - order) * (0.75 * by_flips + 0.25 * most)
    doubt = (1 - shown) * float(np.clip(1 + gain / NO_GAIN, 0, 1))
    return TrueLabels(score, shown, doubt, low, (1 - shown) * unseen + shown * seen)


def log_ratio_of_ranks(
    predicted: Floats, y: Bools, predicted_trusted: Floats, y_trusted: Bools, wrong: Floats
) -> float:
    """Log likelihood ratio, in nats, of the rank order of trusted rows: errors that follow a rule over flips.

    Of two classes: predictions of the given label (N,) and (J,), labels, and each given label's probability of being a
    flip (N,). If shares α and β of the two given classes are flips, the area under the curve is A − ½ = (1 − α − β)
    (A_true − ½) (Menon et al., 2015). If they follow the features, true labels are no easier than given ones.
    """
    if min(y.sum(), (~y).sum(), y_trusted.sum(), (~y_trusted).sum()) < FEWEST_PER_CLASS:
        return 0.0
    area, error = _area(predicted, y)
    area_trusted, error_trusted = _area(predicted_trusted, y_trusted)
    kept = max(1 - wrong[y].mean() - wrong[~y].mean(), LEAST_KEPT)
    if_flips = min(0.5 + (area - 0.5) / kept, 1.0)
    if_rule = min(area_trusted, area)
    variance = error**2 + error_trusted**2
    ratio = ((area_trusted - if_flips) ** 2 - (area_trusted - if_rule) ** 2) / (2 * variance)
    return float(np.clip(ratio, -MOST_OF_RANKS, MOST_OF_RANKS))


def _area(predicted: Floats, y: Bools) -> tuple[float, float]:
    """Area under the ROC curve and its standard error (Hanley & McNeil, 1982)."""
    area = float(roc_auc_score(y, predicted))
    ones, zeros = y.sum(), (~y).sum()
    of_ones, of_zeros = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (ones - 1) * (of_ones - area**2) + (zeros - 1) * (of_zeros - area**2)
    return area, float(np.sqrt(max(variance, 0.25) / (ones * zeros)))


def _fit_flips(truth: Floats, y: Ints) -> Floats:
    """Return (K, K) probability of each given class, a row for each true one, by expectation maximisation."""
    K = truth.shape[1]
    flips = np.full((K, K), 0.1 / max(1, K - 1))
    np.fill_diagonal(flips, 0.9)
    of_class = [truth[y == k] for k in range(K)]  # (n_k, K)
    for _ in range(STEPS):
        # Column k: of the rows given class k, how many are truly of each class.
        counts = flips * np.column_stack(
            [part.T @ (1 / np.maximum(part @ flips[:, k], 1e-300)) for k, part in enumerate(of_class)]
        )
        flips = (counts + 2 / K) / (counts.sum(axis=1, keepdims=True) + 2)
    return flips


def _given_the_label(truth: Floats, flips: Floats, y: Ints, power: float) -> Floats:
    """Return the probability (N, K) of the true class, given features and label; `power`: of the likelihood of the
    label."""
    joint = truth * flips[:, y].T ** power
    result: Floats = joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300)
    return result


def _fit(
    X: RowSource,
    X_trusted: npt.NDArray[np.float32],
    y_trusted: Ints,
    base_predictions: list[tuple[Floats, Floats]],
    K: int,
    seed: int,
    trees: float,
) -> list[tuple[Floats, Floats]]:
    """Probabilities of the training rows (N, K) and, out-of-fold, of the trusted rows (J, K), by each model."""
    scaler = StandardScaler().fit(X_trusted)
    logs, logs_trusted = (np.hstack([log_ratios(base[i]) for base in base_predictions]) for i in (0, 1))

    def inputs(model: Any, rows: npt.NDArray[np.float32], logs: Floats) -> Floats:
        scaled = rows if isinstance(model, ExtraTreesClassifier) else np.clip(scaler.transform(rows), -5, 5)
        return np.hstack([scaled, logs])

    def fit(model: Any) -> tuple[Any, Floats]:
        return _fit_out_of_fold(model, inputs(model, X_trusted, logs_trusted), y_trusted, K, seed)

    fitted = share(_models(seed, trees), fit, in_threads=True)

    def predict(block: slice) -> list[Floats]:
        rows, own_logs = X[block], logs[block]
        return [
            fill_classes(model.predict_proba(inputs(model, rows, own_logs)), model.classes_, K) for model, _ in fitted
        ]

    blocks = share(row_blocks(len(X)), predict, in_threads=True)
    return [
        (np.concatenate(rows), out_of_fold)
        for rows, (_, out_of_fold) in zip(zip(*blocks, strict=True), fitted, strict=True)
    ]


def _models(seed: int, trees: float) -> list[Any]:
    """A forest and two logistic regressions, of which the features of few trusted rows bear the stronger penalty."""
    forest = ExtraTreesClassifier(
        max(FEWEST_TREES, round(TREES * trees)),
        min_samples_leaf=3,
        max_features=0.3,
        bootstrap=True,
        oob_score=True,
        random_state=seed,
    )
    return [forest, *(LogisticRegression(C=inverse_penalty, max_iter=500) for inverse_penalty in (0.01, 0.3))]


def _fit_out_of_fold(model: Any, A: Floats, y: Ints, K: int, seed: int) -> tuple[Any, Floats]:
    """The model fitted to A (J, F) and y (J,), and its out-of-fold probabilities (J, K)."""
    if isinstance(model, ExtraTreesClassifier):  # each row by the trees that did not draw it
        model.fit(A, y)
        return model, fill_classes(model.oob_decision_function_, model.classes_, K)
    out_of_fold = np.zeros((len(A), K))
    for fitted, left_out in KFold(FOLDS, shuffle=True, random_state=seed).split(A):
        out_of_fold[left_out] = _probabilities(model, A[fitted], y[fitted], A[left_out], K)
    return model.fit(A, y), out_of_fold


def _probabilities(model: Any, A: Floats, y: Ints, rows: Floats, K: int) -> Floats:
    if len(np.unique(y)) < 2:
        return np.tile(np.eye(K)[y[0]], (len(rows), 1))
    model.fit(A, y)
    return fill_classes(model.predict_proba(rows), model.classes_, K)


def _log_likelihood(probabilities: Floats, y: Ints) -> float:
    return float(np.log(np.clip(own(probabilities, y), LEAST_PROBABILITY, 1.0)).sum())
