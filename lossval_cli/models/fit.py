"""Importance by a model in place of the networks: predictions that are given, an estimator, or a module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lossval_cli.errors import UsageError
from lossval_cli.features.dataset import Dataset
from lossval_cli.features.tags import TagLabels
from lossval_cli.lossval.fit import train
from lossval_cli.lossval.fixed_predictions import fit_predictions
from lossval_cli.lossval.state import Epoch
from lossval_cli.lossval.training import Fit
from lossval_cli.models.choice import Estimator, choose_model
from lossval_cli.models.cross_fit import cross_fit
from lossval_cli.models.inputs import check_columns
from lossval_cli.runtime.context import Runtime
from lossval_cli.runtime.row_source import draw_at_most
from lossval_cli.settings import NETWORKS, Settings

Floats = npt.NDArray[np.float64]

MOST_FITTED = 10_000
"""Rows that predictions of the validation rows are approximated from, where they were not given."""

REPRODUCED = 0.6
"""Share of the variance of predictions that features have to explain for that."""


def fit_model(
    dataset: Dataset,
    penalty: Floats | None,
    settings: Settings,
    runtime: Runtime,
    on_epoch: Callable[[Epoch], None] | None,
) -> Fit:
    """The importance of every training row, by the model that settings and dataset name; see `lossval.fit.train`."""
    if settings.method == "paper":
        return train(dataset, penalty, settings, runtime, on_epoch)
    assert penalty is not None
    predict: Callable[[npt.NDArray[np.float32]], Floats] | None = None
    notices: tuple[str, ...] = ()
    if (given := dataset.predictions) is not None:
        rows, name = given.rows, given.name
        if given.val is not None:
            predict = _only(given.val)
        elif dataset.held_out is None and dataset.val.y is not None:
            predict = _approximate(dataset, rows, settings.seed)
            what = "their labels are not used" if predict is None else "they are approximated from the features"
            notices = (f"{name}: without predictions of the validation rows (--val-predictions) {what}",)
    else:
        model = choose_model(settings, dataset.roles)
        if not isinstance(model, Estimator):
            make = None if model is None else model.make
            fit = train(dataset, penalty, settings, runtime, on_epoch, make_module=make)
            return fit if model is None else replace(fit, model=model.name)
        rows, on_val, notices = cross_fit(dataset, model, settings)
        name, predict = model.name, None if on_val is None else _only(on_val)
    fit = fit_predictions(dataset, rows, penalty, settings, runtime, name=name, predict=predict, on_epoch=on_epoch)
    return replace(fit, notices=notices)


def check_model(dataset: Dataset, settings: Settings, runtime: Runtime) -> None:
    """Refuse before training what cannot be done. Raises UsageError and SettingsError, one line."""
    model = choose_model(settings, dataset.roles)
    own = model is not None
    if isinstance(dataset.labels, TagLabels):
        if settings.method == "paper":
            raise UsageError("preset paper knows one label a row: use another preset for several tags")
        if runtime.processes.world_size > 1:
            raise UsageError(
                "rows with several tags are scored in one process: start it without torchrun, or with distributed=False"
            )
        if isinstance(model, Estimator):
            raise UsageError(
                f"--model {model.name} predicts one label a row, and rows have several tags: leave it out, or give "
                "--predictions of your own"
            )
    if not own and dataset.predictions is None:
        return
    what = "--model" if own else "--predictions"
    if isinstance(model, Estimator) and model.is_own:
        check_columns(dataset, model.make(), model.name)
    if own and dataset.predictions is not None:
        raise UsageError("--predictions and --model both say what predicts the labels: leave one out")
    if settings.method == "paper":
        raise UsageError(f"preset paper trains its own network: leave {what} out")


def trains_networks(dataset: Dataset, settings: Settings) -> bool:
    """Return whether the method's own networks are trained."""
    return dataset.predictions is None and settings.model == NETWORKS


def _only(predictions: Floats) -> Callable[[npt.NDArray[np.float32]], Floats]:
    """Predictions (J, ...) of the validation rows, the only other rows that are asked for."""
    return lambda X: predictions


def _approximate(
    dataset: Dataset, predictions: Floats, seed: int
) -> Callable[[npt.NDArray[np.float32]], Floats] | None:
    """Predictions of other rows, (n, D) -> (n, K) or (n,), by a forest that learns them from the training rows; None
    where the features cannot reproduce them out of bag: the model knows more than they say."""
    from sklearn.ensemble import ExtraTreesRegressor

    rows = draw_at_most(len(predictions), MOST_FITTED, np.random.default_rng(seed))
    forest = ExtraTreesRegressor(60, min_samples_leaf=2, bootstrap=True, oob_score=True, random_state=seed % 2**32).fit(
        dataset.train.X[rows], predictions[rows]
    )
    if not forest.oob_score_ >= REPRODUCED:
        return None

    def predict(X: npt.NDArray[np.float32]) -> Floats:
        found: Floats = forest.predict(X)
        return found

    return predict
