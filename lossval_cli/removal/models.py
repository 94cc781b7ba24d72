"""The models that a removal study trains: gradient boosting and a linear model, of scikit-learn, and the estimator of
`--model`.

The first two are what a reader is likely to train. The networks of the method withstand wrong labels better than most
models do, so they would say that nothing helps where boosting or a linear model gains much.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.features.dataset import Dataset
from lossval_cli.lossval.fixed_predictions import from_loss_units, to_loss_units
from lossval_cli.models.choice import Estimator, choose_model
from lossval_cli.models.cross_fit import fit_one, predict_one, weight_option
from lossval_cli.models.inputs import Inputs, model_inputs, take
from lossval_cli.removal.plan import Plan, Pool
from lossval_cli.runtime.own_estimators import own_estimators
from lossval_cli.runtime.sharing import share
from lossval_cli.settings import NETWORKS, Settings

Floats = npt.NDArray[np.float64]

SUBSET = 0.8
"""Share of the pool that models are trained on for each seed, the same rows for every strategy: how much a gain
depends on the rows at hand is part of its uncertainty."""

BINS = 255
"""Of each column for boosting: as many as scikit-learn's takes."""

LEAVES = 15
OWN_SEEDS = 2
"""Of an estimator of the user's own, whose fits may be slow."""

SIZES = ((4, 50), (4, 25), (2, 25))
"""Seeds, and rounds of boosting with each. The first that AFFORDABLE allows, so that the study takes no longer than
the valuation; the last up to MAX_COST, above which there is no boosting."""
AFFORDABLE = 8_000
MAX_COST = 50_000
"""Seeds × rounds × trees a round × (columns + OVERHEAD), about 0.03 ms each."""
OVERHEAD = 25


@dataclass(frozen=True)
class Evaluation:
    """The rows that retrained models are evaluated on."""

    name: str
    """`test` or `validation`."""
    X: npt.NDArray[np.float32]  # (n, D)
    y: npt.NDArray[Any]  # (n,)
    rows: npt.NDArray[np.int64]
    """(n,) which of that table they are."""


class Kind(NamedTuple):
    """A kind of model, and how many of it are trained."""

    name: str
    """`boosting`, `linear`, `forest` or `own`."""
    seeds: int
    rounds: int = 0
    estimator: Estimator | None = None
    """That of `--model`, for the last two."""

    @property
    def takes_weights(self) -> bool:
        """True if rows can be weighted."""
        return self.estimator is None or weight_option(self.estimator.make()) is not None


def own_kind(dataset: Dataset, settings: Settings, seeds: int) -> Kind | None:
    """The estimator of `--model`; None where there is none, or one that the study trains anyway."""
    if dataset.predictions is not None or settings.model in (NETWORKS, "boosting", "linear"):
        return None
    model = choose_model(settings, dataset.roles)
    if not isinstance(model, Estimator):
        return None
    return Kind("own" if model.is_own else model.name, min(seeds, OWN_SEEDS), estimator=model)


def boosting_kind(dataset: Dataset, seeds: int) -> Kind | None:
    """Boosting of the size that is affordable; None where none is."""
    classes = dataset.classes or 1
    trees = (classes if classes > 2 else 1) * (dataset.train.X.shape[1] + OVERHEAD)
    for most, rounds in SIZES:
        used = min(seeds, most)
        if used * rounds * trees <= (AFFORDABLE if (most, rounds) != SIZES[-1] else MAX_COST):
            return Kind("boosting", used, rounds)
    return None


@own_estimators()
def retrain(
    kind: Kind, dataset: Dataset, pool: Pool, plan: Plan, sets: list[int], evaluation: Evaluation, seed: int
) -> Floats:
    """Predictions (seeds, sets, n, K) or (seeds, sets, n) of a model for each seed and set of weights.

    Raises TrainingError where an estimator of the user's own fails.
    """
    assert dataset.train.y is not None
    X, y, classes = dataset.train.X[pool.rows], dataset.train.y[pool.rows], dataset.classes
    X_eval = evaluation.X
    own_X: Inputs = X
    own_X_eval: Inputs = X_eval
    if kind.estimator is not None and kind.estimator.is_own:
        own_X, own_X_eval = _own_inputs(kind.estimator, dataset, pool, evaluation)
    if kind.name == "boosting":
        X, X_eval = _binned(X, X_eval)
    rng = np.random.default_rng([seed, len(X)])
    drawn = [np.sort(rng.choice(len(X), max(2, round(SUBSET * len(X))), replace=False)) for _ in range(kind.seeds)]
    shape = (len(evaluation.y), *(() if classes is None else (classes,)))

    def predict(draw: int, index: int) -> Floats:
        weights = plan.weights[draw, index, drawn[draw]].astype(np.float64)
        labels = pool.relabelled if index == plan.relabelled_set else y
        assert labels is not None
        rows, weights = drawn[draw][weights > 0], weights[weights > 0]
        predictions = np.zeros(shape)
        if classes is not None and len(seen := np.unique(labels[rows])) < 2:
            predictions[:, seen.astype(np.int64)] = 1.0
            return predictions
        if kind.estimator is not None:
            own = fit_one(kind.estimator, take(own_X, rows), from_loss_units(dataset, labels[rows]), weights)
            return to_loss_units(dataset, predict_one(kind.estimator, own, own_X_eval, classes))
        model = _model(kind, is_classifier=classes is not None, seed=seed)
        model.fit(X[rows], labels[rows], sample_weight=weights)
        if classes is None:
            predictions[:] = model.predict(X_eval)
        else:
            predictions[:, model.classes_.astype(np.int64)] = model.predict_proba(X_eval)
        return predictions

    tasks = [(draw, index) for draw in range(kind.seeds) for index in sets]
    with warnings.catch_warnings():
        if kind.estimator is None:
            warnings.simplefilter("ignore")  # of convergence: both sides of a comparison stop as early
        trained = share(tasks, lambda task: predict(*task), in_threads=kind.estimator is None)
    return np.stack(trained).reshape(kind.seeds, len(sets), *shape)


def _own_inputs(model: Estimator, dataset: Dataset, pool: Pool, evaluation: Evaluation) -> tuple[Inputs, Inputs]:
    """The rows of the pool and those of the evaluation, as an estimator of the user's own takes them."""
    blank = model.make()
    X = take(model_inputs(dataset, dataset.train, blank), pool.rows)
    return X, take(model_inputs(dataset, dataset.test or dataset.val, blank), evaluation.rows)


def _binned(
    X: npt.NDArray[np.float32], X_eval: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return X (N, D) and X_eval (n, D) as the numbers of quantile bins of each column of X.

    With weights, scikit-learn's boosting takes one weighted percentile per bin and column of each fit: minutes in a
    table of 300 columns. Columns of no more values than bins need none.
    """
    edges = np.quantile(X, np.linspace(0, 1, BINS)[1:-1], axis=0, method="lower").T
    columns = [np.unique(edge) for edge in edges]
    parts = [np.stack([np.searchsorted(c, x) for c, x in zip(columns, part.T, strict=True)], 1) for part in (X, X_eval)]
    return parts[0].astype(np.float32), parts[1].astype(np.float32)


def _model(kind: Kind, *, is_classifier: bool, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    if kind.name == "linear":
        return LogisticRegression(max_iter=200) if is_classifier else Ridge()
    boosting = HistGradientBoostingClassifier if is_classifier else HistGradientBoostingRegressor
    return boosting(
        max_iter=kind.rounds,
        learning_rate=min(0.3, 5 / kind.rounds),
        max_leaf_nodes=LEAVES,
        early_stopping=False,
        random_state=seed % 2**32,
    )
