"""A linear prediction of every number from the other columns of its row, for columns that are nearly a sum of others.

A forest predicts with the means of leaves and cannot follow a close relation, such as a fee that is a hundredth of a
balance. Where a linear one is closer it takes the forest's place. All columns are regressed on all others at once: with
P the inverse of the inputs' second moments, the prediction of z_j is −Σ_{k≠j} P_jk z_k / P_jj. Numbers are on the scale
of their column, so a ratio is a sum of logarithms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RIDGE = 0.01
"""Added to the inputs' variance of 1."""

ROWS_PER_INPUT = 5
"""Rows for each input below which no linear prediction is fitted."""

LEFT_OUT = 0.05
"""Share of the rows that is left out of the second fit: those that the first predicts worst."""

CLOSER = 0.6
"""Ratio of median absolute errors to the forest's below which the linear prediction takes its place."""

BULK, BENT = 2.0, 0.25
"""Deviations of an input within which the relation is known, and share of what an input adds beyond them that may be
wrong: relations are straight in the bulk."""

NORMAL_MEDIAN = 0.6745
"""Median absolute deviation of a normal column."""


@dataclass(frozen=True)
class LinearCells:
    """The columns that are predicted linearly."""

    centre: Floats  # (p,) of the inputs
    spread: Floats
    coefficients: Mapping[int, Floats]
    """(p,) on standardised inputs, of each column that is predicted."""
    variance: Mapping[int, float]
    """Robust, of its residuals."""

    @classmethod
    def fit(
        cls, inputs: npt.NDArray[np.float32], input_of: Mapping[int, int], errors: Mapping[int, Floats]
    ) -> LinearCells:
        """Fit on inputs (n, p). input_of: the input that holds each column's number; errors (n,): of the forest's
        predictions of a column, NaN where its cell is missing."""
        n, p = inputs.shape
        centre, spread = inputs.mean(axis=0).astype(np.float64), inputs.std(axis=0).astype(np.float64)
        columns = [column for column in errors if spread[input_of[column]] > 0]
        if n < ROWS_PER_INPUT * p or not columns:
            return cls(centre, spread, {}, {})
        spread = np.where(spread > 0, spread, 1.0)
        z = (inputs - centre) / spread
        own = [input_of[column] for column in columns]
        kept = np.ones(n, bool)
        for _ in range(2):
            precision = np.linalg.inv(z[kept].T @ z[kept] / kept.sum() + RIDGE * np.eye(p))
            residuals = z @ precision[:, own] / np.diag(precision)[own]
            sizes = np.abs(residuals) / np.maximum(np.median(np.abs(residuals), axis=0), 1e-9)
            worst = sizes.max(axis=1)
            kept = worst <= np.quantile(worst, 1 - LEFT_OUT)
        coefficients, variance = {}, {}
        for i, column in enumerate(columns):
            known = np.isfinite(errors[column])
            error = float(np.median(np.abs(residuals[known, i]))) * spread[own[i]]
            if error < CLOSER * float(np.median(np.abs(errors[column][known]))):
                weights = -precision[:, own[i]] / precision[own[i], own[i]]
                weights[own[i]] = 0.0
                coefficients[column] = weights * spread[own[i]]
                variance[column] = (error / NORMAL_MEDIAN) ** 2
        return cls(centre, spread, coefficients, variance)

    def predict(self, inputs: npt.NDArray[np.float32], input_of: Mapping[int, int]) -> dict[int, tuple[Floats, Floats]]:
        """Predict (n,) cells of each column that is predicted, and the variances (n,), from inputs (n, p)."""
        z = (inputs - self.centre) / self.spread
        beyond = np.square(BENT * np.maximum(np.abs(z) - BULK, 0.0))
        return {
            column: (self.centre[input_of[column]] + z @ weights, self.variance[column] + beyond @ np.square(weights))
            for column, weights in self.coefficients.items()
        }
