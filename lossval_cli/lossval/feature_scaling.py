"""How much each column says about the label by itself, so that networks need not find that out among many.

Without any relation a column's F statistic is about 1, so 1 − 1/F is the share of it that is signal (the
shrinkage of James & Stein, 1961, for one column). Of many columns some have a large F by chance: their 1 is
replaced by the typical largest of a tenth of them (2 ln C of C columns; Donoho & Johnstone, 1994).
A member's inputs are scaled by the signal, but never below a minimum: columns may say together what neither
says alone. The more columns there are per row, the less of that can be learned, and the more there is to
mistake for it.

The F statistic is computed here because scikit-learn's f_classif and f_regression take no sample weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

MIN_SCALE = 0.5
"""Scale of a column that says nothing, where there are enough rows for the columns."""

ENOUGH_ROWS = 50
"""Rows per column from which a table is not wide."""
MIN_ROWS = 1_000
"""Tables of fewer rows are treated as if they had as many: short ones are not wide."""

FIT_ROWS = 8_192
"""Rows that the statistics are computed on in larger tables."""


def relevance(
    X: Tensor, y: Tensor, weights: Tensor, classes: int | None, columns: int, min_scale: float = MIN_SCALE
) -> Tensor:
    """Compute the relevance (E, D), up to 1, for each of E members from the rows it trains on alone.

    X (n, D) of a table of so many `columns`, which are one or several inputs each; y (n,), or tags (n, T); weights
    (E, n), 0 where a member does not train on a row; `classes` K, or None for numbers; `min_scale`: scale of a column
    that says nothing, where there are ENOUGH_ROWS per column.
    """
    min_scale *= min(1.0, max(len(X), MIN_ROWS) / (ENOUGH_ROWS * columns))
    chance = max(1.0, 2 * math.log(columns / 10))
    X = X.double()
    X = X - X.mean(0)
    distinct, member = torch.unique(weights, dim=0, return_inverse=True)  # as many as folds
    if y.ndim > 1:  # several tags a row: what a column says of the one that it says most about
        return torch.stack([relevance(X, tag, weights, 2, columns, min_scale) for tag in y.long().T]).amax(0)
    signal = [1 - chance / _f_statistic(X[own > 0], y[own > 0], own[own > 0].double(), classes) for own in distinct]
    return torch.stack(signal)[member].clamp(min_scale, 1.0).to(weights)


def _f_statistic(X: Tensor, y: Tensor, weights: Tensor, classes: int | None) -> Tensor:
    """Compute the F statistic (D,) of a one-way analysis of variance, for numbers of a straight line; above 0. weights
    (n,)."""
    n, share = float(weights.sum()), (weights / weights.sum()).unsqueeze(1)
    X = X - (share * X).sum(0)
    weighted = weights.unsqueeze(1) * X
    if classes is not None:
        groups = one_hot(y, classes).to(X)  # (n, K)
        sums, sizes, freedom = groups.T @ weighted, weights @ groups, classes - 1
        explained = (sums.square() / torch.where(sizes > 0, sizes, 1.0).unsqueeze(1)).sum(0)
    else:
        target = (y - (share.squeeze(1) * y).sum()).to(X)
        explained, freedom = (target @ weighted).square() / (weights @ target.square()).clamp(min=1e-30), 1
    total = (X * weighted).sum(0)
    rest = (total - explained).clamp(min=0) / max(1.0, n - freedom - 1)
    statistic = explained / max(1, freedom) / rest.clamp(min=1e-30)
    return torch.where(total > 0, statistic, 0.0).clamp(min=1e-30)
