"""How much each column says about the label by itself, so that networks need not find that out among many.

Without any relation a column's F statistic is about 1, so 1 − 1/F is the share of it that is signal (the
shrinkage of James & Stein, 1961, for one column). Of many columns some have a large F by chance: their 1 is
replaced by what is usual for the largest of a tenth of them (2 ln C of C columns; Donoho & Johnstone, 1994).
A member's inputs are scaled by the signal, down to a least: columns may say together what neither says alone.
The more columns there are to a row, the less of that can be learned, and the more there is to mistake for it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

LEAST = 0.5
"""Scale of a column that says nothing, where rows are enough for the columns."""

ENOUGH = 50
"""Rows a column from which a table is not wide."""
FEWEST_ROWS = 1_000
"""Tables of fewer rows are treated as if they had as many: short ones are not wide."""

FIT_ROWS = 8_192
"""Rows that relevance is taken from where there are more."""


def relevance(X: Tensor, y: Tensor, trains: Tensor, classes: int | None, columns: int, least: float = LEAST) -> Tensor:
    """(E, D) up to 1, for each of E members from the rows it trains on alone.

    X (n, D) of a table of so many `columns`, which become one input or several; y (n,), trains (E, n) 1
    where a member trains on a row; `classes` K, or None for numbers; `least`: scale of a column that says
    nothing, where there are ENOUGH rows a column.
    """
    least *= min(1.0, max(len(X), FEWEST_ROWS) / (ENOUGH * columns))
    chance = max(1.0, 2 * math.log(columns / 10))
    X = X.double()
    X = X - X.mean(0)
    alike, which = torch.unique(trains, dim=0, return_inverse=True)  # as many as folds
    found = [1 - chance / _f_statistic(X[rows], y[rows], classes) for rows in alike.bool()]
    return torch.stack(found)[which].clamp(least, 1.0).to(trains)


def _f_statistic(X: Tensor, y: Tensor, classes: int | None) -> Tensor:
    """(D,) of a one-way analysis of variance, for numbers of a straight line; above 0."""
    n = len(X)
    X = X - X.mean(0)
    if classes is not None:
        groups = one_hot(y, classes).to(X)  # (n, K)
        sums, freedom = groups.T @ X, classes - 1
        explained = (sums.square() / groups.sum(0).clamp(min=1).unsqueeze(1)).sum(0)
    else:
        target = (y - y.mean()).to(X)
        explained, freedom = (target @ X).square() / target.square().sum().clamp(min=1e-30), 1
    total = X.square().sum(0)
    rest = (total - explained).clamp(min=0) / max(1, n - freedom - 1)
    statistic = explained / max(1, freedom) / rest.clamp(min=1e-30)
    return torch.where(total > 0, statistic, 0.0).clamp(min=1e-30)
