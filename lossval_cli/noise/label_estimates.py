"""The input and the result of label error detection: types shared by classes and numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LITTLE_SKILL = 0.1
"""Skill (of `LabelErrors`) below which the features hardly explain the label: one that is hard to predict contradicts
nothing, so that it is neither flagged nor relabelled for that."""


class Trusted(NamedTuple):
    """Rows with labels known to be right."""

    X: npt.NDArray[np.float32]  # (J, D)
    y: npt.NDArray[np.generic]  # (J,)
    predictions: Floats  # (J, K) or (J,) by the networks
    copy_of: Ints  # (J,) a training row with the same features, -1 where there is none

    @classmethod
    def none(cls, columns: int, network: Floats) -> Trusted:
        """Return no rows, in the shapes that go with `columns` features and the networks' predictions (N, K) or
        (N,)."""
        shape = (0, *network.shape[1:])
        return cls(np.zeros((0, columns), np.float32), np.zeros(0), np.zeros(shape), np.zeros(0, np.int64))

    def folds(self, fold: Ints) -> Ints:
        """Return as (J,) the fold of the training row that each row is a copy of, -1 where there is none; fold (N,)."""
        return np.where(self.copy_of >= 0, fold[self.copy_of], -1)

    def unseen_predictions(self, network: Floats) -> Floats:
        """Return (J, K) or (J,) the networks' predictions; of copies of a training row that row's, out-of-fold, from
        `network` (N, K) or (N,)."""
        is_copy = (self.copy_of >= 0).reshape(-1, *(1,) * (network.ndim - 1))
        return np.where(is_copy, network[self.copy_of], self.predictions)


class LabelErrors(NamedTuple):
    """The estimated errors in the labels of N training rows."""

    probability: Floats  # (N,) that the label is wrong
    share: float  # expected share of wrong labels, with its interval
    low: float
    high: float
    predictions: Floats  # (N, K) or (N,) out-of-fold, of all models together
    skill: float  # share of the base rate's uncertainty (log loss, or variance of scores) that predictions remove
    class_too_small: Bools  # (N,) too few rows of its class
    tags: Floats | None = None  # (N, T) of several tags a row: that each is wrong
