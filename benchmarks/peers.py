"""The methods that are measured: each a function `(split, seed) -> importance (N,)`, higher = more useful.

A method that knows more than a ranking returns `Scores`. `METHODS` at the end names them all; an entry is all
it takes to add one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

from benchmarks.protocol import Split

BAGGED = 100
NEIGHBOURS = 10  # K of KNN-Shapley in OpenDataVal's experiments


@dataclass(frozen=True)
class Scores:
    """What a method says about N training rows."""

    importance: np.ndarray  # (N,)
    noise_probability: np.ndarray | None = None  # (N,) in [0, 1]
    flags: np.ndarray | None = None  # (N,) bool, rows the method itself calls suspects
    noise_share: tuple[float, float, float] | None = None  # estimated share of noisy rows, and its interval


Method = Callable[[Split, int], "np.ndarray | Scores"]


# ---------------------------------------------------------------- LossVal


def lossval_default(split: Split, seed: int) -> Scores:
    """`lossval_cli.score` as a user calls it, on DataFrames, with the default preset and the task named."""
    import pandas as pd

    import lossval_cli

    def frame(X: np.ndarray, y: np.ndarray) -> pd.DataFrame:
        columns = {f"x{i:03d}": X[:, i] for i in range(X.shape[1])}
        return pd.DataFrame(columns | {"label": y})

    result = lossval_cli.score(
        frame(split.X_train, split.y_train),
        frame(split.X_val, split.y_val),
        label="label",
        task=split.task,
        seed=seed,
        removal="off",
        device="cpu",
    )
    found = result.scores.sort_values("row")
    share = result.report["summary"]["estimated_noise_share"]
    return Scores(
        found["importance"].to_numpy(),
        noise_probability=found["noise_probability"].to_numpy(),
        flags=(found["suspect"] != "").to_numpy(),
        noise_share=(share["value"], share["low"], share["high"]),
    )


def lossval_paper(split: Split, seed: int) -> np.ndarray:
    """LossVal as published (Wibiral et al., 2024): the weights after 30 epochs, product with OT squared."""
    import torch  # here, because no other peer needs it

    from lossval_cli.lossval.paper import fit_paper

    classes = int(split.y_train.max()) + 1 if split.task == "classification" else None
    generator = torch.Generator().manual_seed(seed)
    fit = fit_paper(split.X_train, split.y_train, split.X_val, classes=classes, generator=generator)
    return fit.weights.numpy(force=True)


# ---------------------------------------------------------------- label specialists


def cleanlab(classifier: BaseEstimator, regressor: BaseEstimator, split: Split, seed: int) -> np.ndarray:
    """Label quality of cleanlab (Northcutt et al., 2021) on 5-fold out-of-fold predictions.

    Classes: self-confidence, the predicted probability of the given label. Numbers: its regression score.
    """
    from cleanlab import rank, regression  # here, because only benchmarks need it installed

    X, y = split.X_train, split.y_train
    if split.task == "regression":
        folds = KFold(5, shuffle=True, random_state=seed)
        return regression.rank.get_label_quality_scores(y, cross_val_predict(regressor, X, y, cv=folds))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    probabilities = cross_val_predict(classifier, X, y, cv=folds, method="predict_proba")
    return rank.get_label_quality_scores(y, probabilities, method="self_confidence")


def cleanlab_linear(split: Split, seed: int) -> np.ndarray:
    return cleanlab(LogisticRegression(max_iter=1_000), LinearRegression(), split, seed)


def cleanlab_forest(split: Split, seed: int) -> np.ndarray:
    forests = RandomForestClassifier(random_state=seed), RandomForestRegressor(random_state=seed)
    return cleanlab(*forests, split, seed)


def cleanlab_boosting(split: Split, seed: int) -> np.ndarray:
    boosting = (
        HistGradientBoostingClassifier(random_state=seed),
        HistGradientBoostingRegressor(random_state=seed),
    )
    return cleanlab(*boosting, split, seed)


# ---------------------------------------------------------------- KNN-Shapley


def knn_shapley(split: Split, _seed: int) -> np.ndarray:
    """Exact Shapley value of each training row for a KNN model on the validation rows (Jia et al., 2019)."""
    X, X_val = split.X_train.astype(np.float64), split.X_val.astype(np.float64)
    squared = (X**2).sum(1) - 2 * X_val @ X.T  # (J, N), up to a constant per validation row
    order = np.argsort(squared, axis=1, kind="stable")
    if split.task == "classification":
        values = knn_class_values(split.y_train[order] == split.y_val[:, None], NEIGHBOURS)
    else:
        values = knn_number_values(split.y_train[order].astype(np.float64), split.y_val, NEIGHBOURS)
    per_row = np.empty_like(values)
    np.put_along_axis(per_row, order, values, axis=1)
    return per_row.mean(axis=0)


def knn_class_values(hits: np.ndarray, k: int) -> np.ndarray:
    """Values (J, N) from hits (J, N), whether the i-th nearest row has the validation row's label.

    Theorem 1 of Jia et al. (VLDB 2019), with i from 1, nearest first:
    s_N = hit_N / N,   s_i = s_{i+1} + (hit_i - hit_{i+1}) / K * min(K, i) / i. Written for N >= K.
    """
    hits = hits.astype(np.float64)
    i = np.arange(1, hits.shape[1])
    steps = (hits[:, :-1] - hits[:, 1:]) / k * np.minimum(k, i) / i
    return _sum_from_the_farthest(hits[:, -1:] / hits.shape[1], steps)


def knn_number_values(y: np.ndarray, target: np.ndarray, k: int) -> np.ndarray:
    """Values (J, N) from y (J, N), targets of the i-th nearest rows, and the validation targets (J,).

    Theorem 6 of Jia et al. (VLDB 2019), for the utility -(sum of the K nearest / K - target)^2, and 0 for the
    empty set. With q_i = min(K, i), and each other row l weighted by the chance that it is among the K
    nearest together with i:
    s_i = s_{i+1} + (y_{i+1} - y_i) / K * q_i / i * [ (y_i + y_{i+1} + (q_i - 1)/(i - 1) sum_{l<i} y_l
          + i/q_i sum_{l>i+1} q_{l-1} (q_{l-1} - 1) / ((l - 1)(l - 2)) y_l) / K - 2 target ].  For N >= K.
    """
    n = y.shape[1]
    target = target.astype(np.float64)[:, None]
    i = np.arange(1, n)
    q = np.minimum(k, i)
    nearer = (np.cumsum(y, axis=1)[:, :-1] - y[:, :-1]) * (q - 1) / np.maximum(i - 1, 1)
    rank = np.arange(3, n + 1)  # l of the third nearest row on
    others = np.minimum(k, rank - 1)
    tail = y[:, 2:] * others * (others - 1) / ((rank - 1) * (rank - 2))
    farther = np.zeros_like(nearer)
    farther[:, :-1] = np.cumsum(tail[:, ::-1], axis=1)[:, ::-1]
    pair = (y[:, :-1] + y[:, 1:] + nearer + i / q * farther) / k - 2 * target
    steps = (y[:, 1:] - y[:, :-1]) / k * q / i * pair

    last = y[:, -1:]
    rest = y[:, :-1].mean(axis=1, keepdims=True)
    farthest = -(k - 1) / (n * k) * last * (last / k - 2 * target + rest) - (last / k - target) ** 2 / n
    return _sum_from_the_farthest(farthest, steps)


def _sum_from_the_farthest(farthest: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(J, N) values: the farthest row's (J, 1), and towards the nearest the steps (J, N - 1) added up."""
    nearer = farthest + np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([nearer, farthest], axis=1)


# ---------------------------------------------------------------- feature specialist, both, neither


def data_oob(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Data-OOB (Kwon & Zou, 2023): how well bagged trees that did not see a row predict its label, (N,). Of classes 0,
    1, … the share of right ones, of numbers minus the mean squared error."""
    is_classifier = np.issubdtype(y.dtype, np.integer)
    bagging = (BaggingClassifier if is_classifier else BaggingRegressor)(n_estimators=BAGGED, random_state=0).fit(X, y)
    found, votes = np.zeros(len(y)), np.zeros(len(y))
    for tree, drawn in zip(bagging.estimators_, bagging.estimators_samples_, strict=True):
        left_out = np.setdiff1d(np.arange(len(y)), drawn)
        predicted = tree.predict(X[left_out])
        if is_classifier:
            found[left_out] += bagging.classes_[predicted.astype(int)] == y[left_out]
        else:
            found[left_out] -= (predicted - y[left_out]) ** 2
        votes[left_out] += 1
    return found / np.maximum(votes, 1)


def isolation_forest(split: Split, seed: int) -> np.ndarray:
    """Isolation forest (Liu et al., 2008) on the features alone."""
    return IsolationForest(random_state=seed).fit(split.X_train).score_samples(split.X_train)


def two_specialists(split: Split, seed: int) -> np.ndarray:
    """The best label and the best feature specialist, as robust z-scores of which the smaller counts."""
    return np.minimum(robust_z(cleanlab_forest(split, seed)), robust_z(isolation_forest(split, seed)))


def robust_z(scores: np.ndarray) -> np.ndarray:
    """Scores as distances from their median in units of 1.4826 x median absolute deviation."""
    centred = scores - np.median(scores)
    spread = 1.4826 * np.median(np.abs(centred))  # the standard deviation, were they normal
    return centred / spread if spread > 0 else centred


def random(split: Split, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(len(split.y_train))


METHODS: dict[str, Method] = {
    "lossval": lossval_default,
    "lossval-paper": lossval_paper,
    "cleanlab-linear": cleanlab_linear,
    "cleanlab-forest": cleanlab_forest,
    "cleanlab-boosting": cleanlab_boosting,
    "knn-shapley": knn_shapley,
    "isolation-forest": isolation_forest,
    "two-specialists": two_specialists,
    "random": random,
}
