"""Out-of-fold predictions of an estimator, with the folds, groups and order of time that the networks have."""

from __future__ import annotations

import inspect
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from lossval_cli.errors import TrainingError
from lossval_cli.features.dataset import Dataset
from lossval_cli.lossval.cross_fitting import draw_folds
from lossval_cli.lossval.fixed_predictions import from_loss_units
from lossval_cli.models.choice import Estimator
from lossval_cli.models.inputs import Inputs, model_inputs, take
from lossval_cli.own_code import FAILURES, describe_error
from lossval_cli.runtime.sharing import share
from lossval_cli.settings import Settings

Floats = npt.NDArray[np.float64]

FOLDS = 5
"""Unless the setting says otherwise: each model sees four fifths of the rows."""

TRIED_ROWS = 200
"""Rows that are predicted twice, to see whether a model is deterministic and looks at them."""


class CrossFit(NamedTuple):
    """Output of an estimator for every row."""

    rows: Floats  # (N, K) or (N,) in the unit of the label, each by a model that was not fitted on the row's fold
    val: Floats | None  # (J, K) or (J,) of the validation rows, mean of the models; None where they are not needed
    notices: tuple[str, ...]


def cross_fit(dataset: Dataset, model: Estimator, settings: Settings) -> CrossFit:
    """Fit one model per fold; the processes of a run share the folds. Raises TrainingError, one line, where the user's
    code fails or its output cannot be used."""
    assert dataset.train.y is not None
    blank = model.make()
    X, y = model_inputs(dataset, dataset.train, blank), from_loss_units(dataset, dataset.train.y)
    # Rows that reviewers found right are trusted, too, but belong to no validation table.
    is_asked = dataset.held_out is None and dataset.val.y is not None
    X_val = take(model_inputs(dataset, dataset.val, blank), np.arange(dataset.val.table.rows)) if is_asked else None
    N, K = len(X), dataset.classes
    folds = settings.folds or FOLDS
    generator = torch.Generator().manual_seed(settings.seed)
    fold = draw_folds(
        N, max(2, folds), max(2, folds), generator, groups=dataset.fold_units, time=dataset.time_order
    ).numpy()

    def fit_without(left_out: int) -> tuple[Floats, Floats | None]:
        """Predictions of the rows of a fold, and of the validation rows, by a model of the others."""
        inside, outside = np.flatnonzero(fold != left_out), np.flatnonzero(fold == left_out)
        if K is not None and len(np.unique(y[inside])) < 2:
            raise TrainingError(f"model {model.name}: without fold {left_out} only one class is left to fit on")
        weights = None if dataset.weights is None else dataset.weights[inside]
        fitted = fit_one(model, take(X, inside), y[inside], weights)
        if model.is_own and left_out == fold.min():
            _try_out(model, fitted, take(X, np.arange(min(N, TRIED_ROWS))), K)
        on_val = None if X_val is None else predict_one(model, fitted, X_val, K)
        return predict_one(model, fitted, take(X, outside), K), on_val

    rows = np.zeros((N,) if K is None else (N, K))
    numbers = np.unique(fold)
    with warnings.catch_warnings():
        if not model.is_own:  # its models are fitted in threads, which share the filters of warnings
            warnings.simplefilter("ignore")
        found = share(numbers.tolist(), fit_without, in_threads=not model.is_own)
    for left_out, (predicted, _) in zip(numbers, found, strict=True):
        rows[fold == left_out] = predicted
    val = None if X_val is None else np.mean([on_val for _, on_val in found if on_val is not None], axis=0)
    notices = []
    if dataset.weights is not None and weight_option(blank) is None:
        notices.append(f"model {model.name}: its fit takes no sample_weight, so every row counts the same in it")
    if isinstance(X, pd.DataFrame):
        notices.append(
            f"model {model.name} takes columns of the table by name, so it gets them as they are, not encoded"
        )
    return CrossFit(rows, val, tuple(notices))


def weight_option(estimator: Any) -> str | None:
    """Return the name that `fit` has for sample weights: `sample_weight`, of a pipeline that of its last step; None
    where it takes none."""
    if steps := getattr(estimator, "steps", None):
        name, last = steps[-1]
        option = weight_option(last)
        return None if option is None else f"{name}__{option}"
    try:
        parameters = inspect.signature(estimator.fit).parameters
    except (AttributeError, TypeError, ValueError):
        return None
    return "sample_weight" if "sample_weight" in parameters else None


def fit_one(model: Estimator, X: Inputs, y: npt.NDArray[Any], weights: npt.NDArray[np.floating] | None) -> Any:
    """A new estimator fitted on X (n, D), y (n,) in the unit of the table or class numbers, and weights (n,) where it
    takes them. Raises TrainingError, one line, where the user's code fails."""
    made = model.make()
    options = {}
    if weights is not None and (option := weight_option(made)) is not None:
        options[option] = weights
    with _theirs(model, "fit"):
        made.fit(X, y, **options)
    return made


def predict_one(model: Estimator, fitted: Any, X: Inputs, K: int | None) -> Floats:
    """Return (n, K) probabilities of all classes, or (n,) in the unit of the table. Raises TrainingError."""
    method = "predict" if K is None else "predict_proba"
    with _theirs(model, method):
        found = np.asarray(getattr(fitted, method)(X), np.float64)
    if K is None:
        if found.shape == (len(X), 1):
            found = found[:, 0]
        if found.shape != (len(X),):
            raise TrainingError(f"model {model.name}: predict returned shape {found.shape} for {len(X)} rows")
    else:
        classes = getattr(fitted, "classes_", np.arange(K))
        if found.shape != (len(X), len(classes)):
            raise TrainingError(
                f"model {model.name}: predict_proba returned shape {found.shape} for {len(X)} rows and "
                f"{len(classes)} classes"
            )
        if not set(np.asarray(classes).tolist()) <= set(range(K)):
            raise TrainingError(
                f"model {model.name}: its classes_ are not among the labels it was fitted on, which are numbers from 0 "
                f"to {K - 1}"
            )
        whole = np.zeros((len(X), K))
        whole[:, np.asarray(classes, np.int64)] = found
        found = whole
        sums = found.sum(axis=1)
        if np.isfinite(found).all() and ((found < -1e-6).any() or (np.abs(sums - 1) > 0.01).any()):
            raise TrainingError(
                f"model {model.name}: predict_proba returned rows that are not probabilities with sum 1"
            )
    if not np.isfinite(found).all():
        raise TrainingError(f"model {model.name}: {method} returned a value that is not finite")
    return found


def _try_out(model: Estimator, fitted: Any, X: Inputs, K: int | None) -> None:
    first, again = (predict_one(model, fitted, X, K) for _ in range(2))
    if not np.allclose(first, again, atol=1e-6):
        raise TrainingError(f"model {model.name}: it is not deterministic: it predicts the same rows differently")
    if len(pd.DataFrame(X).drop_duplicates()) > 1 and np.ptp(first, axis=0).max() == 0:
        raise TrainingError(f"model {model.name}: it predicts the same for every row, so it ignores its input")


class _theirs:
    """Warnings of the user's model are silent; errors are reported as the user's."""

    def __init__(self, model: Estimator, method: str) -> None:
        self.model, self.method = model, method
        self.quiet = warnings.catch_warnings()

    def __enter__(self) -> None:
        self.quiet.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.quiet.__exit__(kind, error, trace)
        if isinstance(error, FAILURES):
            failed = TrainingError(f"model {self.model.name}: {self.method} failed: {describe_error(error)}")
            failed.cause = type(error).__name__
            raise failed from error
