"""A model of the true number, learned from trusted rows, with predictions of the given number among its inputs.

As for classes (trusted_labels): a rule by which given numbers are wrong, a scale that is off for some rows say, shows
in trusted rows alone. Which prediction counts is decided by trusted rows that it was not fitted on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from lossval_cli.noise.stacking import mix, stack_numbers
from lossval_cli.runtime.row_source import RowSource
from lossval_cli.runtime.sharing import row_blocks, share

Floats = npt.NDArray[np.float64]

FEWEST_TRUSTED = 20
"""Trusted rows below which no model is fitted."""

CLEARLY_NEARER = 0.95
"""Share of the given prediction's mean error below which the error of another prediction must be for it to be used."""

TREES = 60
FOLDS = 5


def learn_true_numbers(
    X: RowSource,
    X_trusted: npt.NDArray[np.float32],
    trusted: Floats,
    given: tuple[Floats, Floats],
    base_predictions: list[tuple[Floats, Floats]],
    seed: int,
    trees: float,
) -> tuple[Floats, Floats]:
    """Learn the true numbers. X (N, D), trusted rows X_trusted (J, D) with true numbers (J,); given: out-of-fold
    predictions of the given number of both, (N,) and (J,), and base_predictions: the predictions they were mixed from;
    trees: of the forest, as a multiple.

    Returns predictions of the true number, (N,) and, by models that were not fitted on the row, (J,).
    """
    if len(trusted) < FEWEST_TRUSTED:
        return given
    scaler = StandardScaler().fit(X_trusted)

    def inputs(rows: npt.NDArray[np.float32], predictions: list[Floats]) -> Floats:
        return np.column_stack([np.clip(scaler.transform(rows), -5, 5), *predictions])

    A = inputs(X_trusted, [by_trusted for _, by_trusted in base_predictions])
    fitted = share(
        _models(X_trusted.shape[1], seed, trees), lambda kind: (*kind, _fit_out_of_fold(*kind, A, trusted, seed))
    )
    most = CLEARLY_NEARER * np.abs(given[1] - trusted).mean()
    used = [one for one in fitted if np.abs(one[2] - trusted).mean() <= most]

    def predict(block: slice) -> list[Floats]:
        rows = inputs(X[block], [rows[block] for rows, _ in base_predictions])
        return [model.predict(rows[:, columns]) for model, columns, _ in used]

    blocks = share(row_blocks(len(X)), predict, in_threads=True) if used else []
    found = [given]
    for rows, (_, _, out_of_fold) in zip(zip(*blocks, strict=True), used, strict=True):
        found.append((np.concatenate(rows), out_of_fold))
    weights = stack_numbers([by_trusted for _, by_trusted in found], trusted)
    return mix(weights, [rows for rows, _ in found]), mix(weights, [by_trusted for _, by_trusted in found])


def _models(features: int, seed: int, trees: float) -> list[tuple[Any, slice]]:
    """Models, and the columns that each is fitted to: the predictions alone, or the features before them too."""
    forest = ExtraTreesRegressor(max(1, round(trees * TREES)), min_samples_leaf=3, max_features=0.5, random_state=seed)
    return [(Ridge(1.0), slice(features, None)), (Ridge(100.0), slice(None)), (forest, slice(None))]


def _fit_out_of_fold(model: Any, columns: slice, A: Floats, y: Floats, seed: int) -> Floats:
    """Fit the model to some columns of A (J, F) and y (J,), and return its out-of-fold predictions (J,)."""
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    out_of_fold: Floats = cross_val_predict(model, A[:, columns], y, cv=folds)
    model.fit(A[:, columns], y)
    return out_of_fold
