"""LossVal as a scikit-learn estimator: `LossValRanker().fit(X, y).importance_`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator

from lossval_cli.api import score
from lossval_cli.errors import LossvalError, UsageError

__all__ = ["LossValRanker"]

LABEL = "label"
SCORES = (
    "importance",
    "label_evidence",
    "feature_evidence",
    "noise_probability",
    "label_noise_probability",
    "feature_noise_probability",
    "suspect",
    "predicted",
)
"""Columns of the scores that are attributes of a fitted ranker."""


class RankerError(UsageError, ValueError):
    """Input that cannot be used. It is a ValueError, as scikit-learn expects, with a message of one line."""


class LossValRanker(BaseEstimator):  # type: ignore[misc]
    """Ranks the rows of (X, y) by how much they help, and says which are probably wrong.

    task: `auto`, `classification` or `regression`.  model: `networks`, `boosting`, `forest`, `linear`, an estimator, or
    a function of (inputs, outputs) that makes a torch.nn.Module.  loss: its name, or a function of (predictions,
    targets) that returns one value per row, (B,).  preset: its name.  epochs, members: how long and how many networks
    are trained.  seed: the random seed. None leaves a setting as the preset has it.

    After `fit`, for the N rows in their order: importance_ (N,) of mean 1; label_evidence_, feature_evidence_ (N,) in
    nats; noise_probability_, label_noise_probability_, feature_noise_probability_ (N,); suspect_ (N,) '', 'label',
    'features' or 'label+features'; predicted_ (N,) the label that models of other rows predict; result_ the `Result`.
    """

    def __init__(
        self,
        task: str = "auto",
        *,
        model: Any = "networks",
        loss: Any = None,
        preset: str | None = None,
        epochs: int | None = None,
        members: int | None = None,
        seed: int = 0,
    ) -> None:
        self.task = task
        self.model = model
        self.loss = loss
        self.preset = preset
        self.epochs = epochs
        self.members = members
        self.seed = seed

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        X_val: npt.ArrayLike | None = None,
        y_val: npt.ArrayLike | None = None,
        predictions: Any = None,
    ) -> LossValRanker:
        """Score the rows.

        X (N, D) numbers, NaN where missing.  y (N,) classes or numbers.  X_val (J, D), y_val (J,): rows that are
        trusted; where they are not given, a part of (X, y) is held out.  predictions (N, K) or (N,): out-of-fold
        predictions of a model of your own, as for `score`.

        Returns the estimator. Raises RankerError, a ValueError of one line.
        """
        rows, labels = _validated(self, X, y)
        train, val = _table(rows, labels), None
        if X_val is not None:
            trusted = np.asarray(X_val, np.float64)
            if trusted.ndim != 2 or trusted.shape[1] != rows.shape[1]:
                raise RankerError(f"X_val is of shape {trusted.shape}, but X has {rows.shape[1]} features")
            val = _table(trusted, None if y_val is None else np.asarray(y_val))
        elif y_val is not None:
            raise RankerError("y_val needs X_val")
        given = {"epochs": self.epochs, "members": self.members, "preset": self.preset}
        options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        try:
            self.result_ = score(
                train,
                val,
                label=LABEL,
                features=list(train.columns[:-1]),
                predictions=predictions,
                removal="off",
                task=self.task,
                model=self.model,
                loss=self.loss,
                seed=self.seed,
                **options,
            )
        except LossvalError as error:
            raise RankerError(f"{error} (n_samples = {len(rows)})") from error
        found = self.result_.scores.sort_values("row")
        for name in SCORES:
            setattr(self, f"{name}_", found[name].to_numpy())
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        return tags


def _validated(estimator: Any, X: Any, y: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """X (N, D) and y (N,) as scikit-learn checks them; sets n_features_in_ and feature_names_in_."""
    try:
        from sklearn.utils.validation import validate_data
    except ImportError:  # before 1.6
        checked = estimator._validate_data(X, y, dtype="numeric", force_all_finite="allow-nan")
    else:
        checked = validate_data(estimator, X, y, dtype="numeric", ensure_all_finite="allow-nan")
    found: tuple[npt.NDArray[Any], npt.NDArray[Any]] = checked
    return found


def _table(X: npt.NDArray[Any], y: npt.NDArray[Any] | None) -> pd.DataFrame:
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    if y is not None:
        frame[LABEL] = y
    return frame
