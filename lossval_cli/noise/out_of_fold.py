"""Out-of-fold predictions by scikit-learn models: what a row's label should be, from other rows alone.

Networks alone learn systematic errors too well and large tables too slowly. A penalised linear model, randomised
trees and boosted trees err in other ways, and cost seconds. Rows of one unit (copies, groups) share a fold, so
that no row is predicted from its own copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from lossval_cli.runtime.row_source import RowSource
from lossval_cli.runtime.sharing import row_blocks, share

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FOLDS = 5

LARGE = 10_000
"""Rows above which there is no forest, and boosting takes more and larger trees: data replace regularisation."""

MOST_FITTED = 60_000
"""Rows, at most, that models are fitted on; the others are predicted only."""

MOST_FITTED_LINEAR = 10_000
"""Rows, at most, that a linear model is fitted on: it has few parameters."""

MOST_BOOSTED_CLASSES = 12
"""Boosting grows a tree for every class in every round; beyond, a forest has to do."""

Model = Callable[[], Any]


class Fitting(NamedTuple):
    """How models besides the networks are fitted."""

    seed: int = 0
    trees: float = 1.0  # of forests and of boosting, as a multiple of the default
    categories: tuple[slice, ...] = ()  # columns of X that are one category, one-hot


DEFAULT = Fitting()


class OutOfFold(NamedTuple):
    """Predictions of one kind of model: probabilities (n, K), or numbers (n,)."""

    rows: Floats  # (N, ...) of the training rows, each by a model that was not fitted on its unit
    trusted: Floats  # (J, ...) of the trusted rows, by models that were not fitted on their units


def draw_folds(strata: Ints, units: Ints, seed: int) -> Ints:
    """Draw the fold (N,) of every row, 0..FOLDS-1: whole units, dealt out within strata (the stratum of a unit is that
    of its first row). strata (N,), units (N,) any integers."""
    rng = np.random.default_rng([seed, len(units)])
    _, first, unit = np.unique(units, return_index=True, return_inverse=True)
    order = rng.permutation(len(first))
    order = order[np.argsort(strata[first[order]], kind="stable")]
    fold = np.empty(len(first), np.int64)
    fold[order] = np.arange(len(first)) % FOLDS
    return fold[unit]


def predict_classes(
    X: RowSource,
    y: Ints,
    K: int,
    fold: Ints,
    X_trusted: npt.NDArray[np.float32],
    trusted_fold: Ints,
    fitting: Fitting,
) -> dict[str, OutOfFold]:
    """Name of the model -> probabilities (N, K) and (J, K).

    y (N,) classes; fold (N,) as `draw_folds` gives it; trusted_fold (J,) is the fold of the training rows that a
    trusted row is a copy of, -1 where it is none and every model may predict it.
    """
    large = len(y) > LARGE

    def boosting() -> Any:
        model = HistGradientBoostingClassifier(**_boosting(large, fitting))
        return _on_categories(model, X.shape[1], fitting.categories if large else ())

    models: dict[str, Model] = {"linear": lambda: _linear_classifier(0.1 if large else 0.01)}
    if not large:
        models["forest"] = lambda: ExtraTreesClassifier(
            round(40 * fitting.trees), min_samples_leaf=3, random_state=fitting.seed
        )
    if K <= MOST_BOOSTED_CLASSES:
        models["boosting"] = boosting

    def respond(model: Any, rows: npt.NDArray[np.float32]) -> Floats:
        probabilities = np.zeros((len(rows), K))
        probabilities[:, model.classes_] = model.predict_proba(rows)
        return probabilities

    return _cross_fit(models, respond, X, y, fold, X_trusted, trusted_fold, (K,), fitting.seed)


def predict_tags(
    X: RowSource,
    Y: npt.NDArray[np.float32],
    fold: Ints,
    X_trusted: npt.NDArray[np.float32],
    trusted_fold: Ints,
    fitting: Fitting,
) -> OutOfFold:
    """Probabilities (N, T) and (J, T) of tags Y (N, T) that are there (1) or not (0), by one forest for all of them."""

    def make() -> Any:
        return ExtraTreesRegressor(
            round(60 * fitting.trees), min_samples_leaf=3, max_features=0.5, random_state=fitting.seed
        )

    def respond(model: Any, rows: npt.NDArray[np.float32]) -> Floats:
        probabilities: Floats = model.predict(rows)
        return probabilities

    return _cross_fit({"forest": make}, respond, X, Y, fold, X_trusted, trusted_fold, (Y.shape[1],), fitting.seed)[
        "forest"
    ]


def predict_numbers(
    X: RowSource,
    y: Floats,
    fold: Ints,
    X_trusted: npt.NDArray[np.float32],
    trusted_fold: Ints,
    fitting: Fitting,
) -> dict[str, OutOfFold]:
    """Name of the model -> predictions (N,) and (J,), in the unit of y (N,); see `predict_classes`."""
    large = len(y) > LARGE

    def boosting() -> Any:
        small = _rounds(80, 0.1, fitting.trees) | {"max_leaf_nodes": 15, "l2_regularization": 1.0}
        # Numbers lose by fewer trees, unlike classes: .004 of AUROC on pol.
        many = _rounds(100, 0.1, fitting.trees)
        model = HistGradientBoostingRegressor(**_boosting(True, fitting) | (many if large else small))
        return _on_categories(model, X.shape[1], fitting.categories if large else ())

    models: dict[str, Model] = {"linear": lambda: make_pipeline(StandardScaler(), Ridge(10.0)), "boosting": boosting}
    if not large:
        models["forest"] = lambda: ExtraTreesRegressor(
            round(40 * fitting.trees), min_samples_leaf=2, max_features=0.5, random_state=fitting.seed
        )

    def respond(model: Any, rows: npt.NDArray[np.float32]) -> Floats:
        predicted: Floats = model.predict(rows)
        return predicted

    return _cross_fit(models, respond, X, y, fold, X_trusted, trusted_fold, (), fitting.seed)


def _linear_classifier(inverse_penalty: float) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=inverse_penalty, max_iter=200))


def _on_categories(boosting: Any, width: int, categories: Sequence[slice]) -> Any:
    """Boosting that takes a category, one-hot in X (n, width), as one column: it splits the levels into two sets, in a
    fraction of the time that it takes for a column per level."""
    if not categories:
        return boosting
    numbers = width - sum(one.stop - one.start for one in categories)
    boosting.set_params(categorical_features=np.arange(numbers, numbers + len(categories)))
    return make_pipeline(FunctionTransformer(_join_levels, kw_args={"categories": categories}), boosting)


def _join_levels(X: npt.NDArray[np.float32], categories: Sequence[slice]) -> npt.NDArray[np.float32]:
    """X (n, D) -> the columns of no category, then one column per category: which level, NaN where it is unknown."""
    is_number = np.ones(X.shape[1], bool)
    joined = []
    for one in categories:
        is_number[one] = False
        level = X[:, one].argmax(axis=1)
        is_known = np.take_along_axis(X[:, one], level[:, None], axis=1) > 0  # centred: every other level is below 0
        joined.append(np.where(is_known, level[:, None], np.nan))
    return np.hstack([X[:, is_number], *joined]).astype(np.float32)


def _boosting(large: bool, fitting: Fitting) -> dict[str, Any]:
    """Small tables get small trees on few columns: large ones would learn the errors too."""
    common = {"early_stopping": False, "random_state": fitting.seed, "l2_regularization": 5.0}
    if large:
        return common | _rounds(75, 0.13, fitting.trees) | {"max_leaf_nodes": 31}
    return common | _rounds(40, 0.07, fitting.trees) | {"max_leaf_nodes": 8, "max_features": 0.3}


def _rounds(count: int, rate: float, trees: float) -> dict[str, Any]:
    """Fewer rounds make larger steps."""
    return {"max_iter": round(count * trees), "learning_rate": min(0.3, rate / trees)}


def _cross_fit(
    kinds: Mapping[str, Model],
    respond: Callable[[Any, npt.NDArray[np.float32]], Floats],
    X: RowSource,
    y: npt.NDArray[Any],
    fold: Ints,
    X_trusted: npt.NDArray[np.float32],
    trusted_fold: Ints,
    outputs: tuple[int, ...],
    seed: int,
) -> dict[str, OutOfFold]:
    """Fit each kind of model without every fold, and predict; processes share first the fits, then the rows."""

    def fit(kind: str, left_out: int) -> Any:
        inside = np.flatnonzero(fold != left_out)
        most = MOST_FITTED_LINEAR if kind == "linear" else MOST_FITTED
        if len(inside) > most:
            inside = np.sort(np.random.default_rng([seed, left_out]).choice(inside, most, replace=False))
        if outputs and len(np.unique(y[inside])) < 2:
            return DummyClassifier().fit(np.zeros((len(inside), 1)), y[inside])
        return kinds[kind]().fit(X[inside], y[inside])

    pairs = [(kind, left_out) for left_out in range(FOLDS) for kind in kinds]
    models = dict(zip(pairs, share(pairs, lambda pair: fit(*pair), in_threads=True), strict=True))

    def predict(block: slice) -> list[Floats]:
        X_block, fold_block = X[block], fold[block]
        found = [np.zeros((len(X_block), *outputs)) for _ in kinds]
        for left_out in range(FOLDS):
            mine = fold_block == left_out
            for kind, rows in zip(kinds, found, strict=True):
                if mine.any():
                    rows[mine] = respond(models[kind, left_out], X_block[mine])
        return found

    blocks = share(row_blocks(len(y)), predict, in_threads=True)
    alone = trusted_fold < 0
    result = {}
    for kind, rows in zip(kinds, zip(*blocks, strict=True), strict=True):
        trusted = np.zeros((len(X_trusted), *outputs))
        for left_out in range(FOLDS):
            model, copies = models[kind, left_out], trusted_fold == left_out
            if alone.any():
                trusted[alone] += respond(model, X_trusted[alone]) / FOLDS
            if copies.any():
                trusted[copies] = respond(model, X_trusted[copies])
        result[kind] = OutOfFold(np.concatenate(rows), trusted)
    return result
