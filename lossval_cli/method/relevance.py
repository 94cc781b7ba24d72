"""How much each column says about the label by itself, so that networks need not find that out among many.

Without any relation a column's F statistic is about 1, so 1 − 1/F is the share of it that is signal (the
shrinkage of James & Stein, 1961, for one column). A member's inputs are scaled by it, down to LEAST: columns
may say together what neither says alone.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

LEAST = 0.5
"""Scale of a column that says nothing."""

FIT_ROWS = 8_192
"""Rows that relevance is taken from where there are more."""


def relevance(X: Tensor, y: Tensor, trains: Tensor, classes: int | None) -> Tensor:
    """(E, D) from LEAST to 1, for each of E members from the rows it trains on alone.

    X (n, D), y (n,), trains (E, n) 1 where a member trains on a row; `classes` K, or None for numbers.
    """
    X = X.double()
    X = X - X.mean(0)
    alike, which = torch.unique(trains, dim=0, return_inverse=True)  # as many as folds
    found = [_signal(X[rows], y[rows], classes) for rows in alike.bool()]
    return torch.stack(found)[which].clamp(LEAST, 1.0).to(trains)


def _signal(X: Tensor, y: Tensor, classes: int | None) -> Tensor:
    """(D,) 1 − 1/F of a one-way analysis of variance, for numbers of a straight line."""
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
    signal = 1 - rest / (explained / max(1, freedom)).clamp(min=1e-30)
    return torch.where(total > 0, signal, 0.0)
