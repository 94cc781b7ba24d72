"""Out-of-fold probabilities of the given classes: networks, linear model, forest and boosting, mixed and calibrated.

base         each model by itself                               (out_of_fold, ordered_classes)
mixed        weighted by how likely it makes the given labels   (stacking; Wolpert, 1992)
calibrated   logistic regression on the logarithms of all       (stacking)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.noise.label_estimates import Trusted
from lossval_cli.noise.ordered_classes import predict_ordered
from lossval_cli.noise.out_of_fold import LARGE, Fitting, draw_folds, predict_classes
from lossval_cli.noise.stacking import LEAST_PROBABILITY, calibrate, mix, own, stack
from lossval_cli.runtime.row_loader import RowSource

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Pair = tuple[Floats, Floats]
"""Probabilities of the training rows (N, K) and of the trusted rows (J, K)."""

STACK_CREDIT = (10.0, 0.02, 60.0)
"""Pseudo-count of each prediction: so many rows, and a share of all rows up to so many. Where labels are wrong, the
prediction that fits them best is not the best one; in large tables the difference is clear."""

CLEARLY_WORSE = 0.01
"""Nats per row behind the best prediction of a large table, at which one loses most of its weight."""


class ClassPredictions(NamedTuple):
    """Out-of-fold probabilities of the given classes."""

    base: list[Pair]  # of each model
    mixed: Pair
    calibrated: Pair


def predict_given(
    X: RowSource,
    y: Ints,
    network: Floats,
    trusted: Trusted | None,
    units: Ints,
    *,
    is_ordered: bool,
    fitting: Fitting,
    alone: bool,
) -> ClassPredictions:
    """Predict the given classes out-of-fold. X (N, D), classes y (N,), the networks' out-of-fold probabilities (N, K),
    units (N,): rows that share a fold.

    is_ordered: classes are numbered in their order.  alone: the networks' predictions are the only ones.
    """
    K = network.shape[1]
    fold = draw_folds(y, units, fitting.seed)
    others = trusted or Trusted.none(X.shape[1], network)
    trusted_fold = others.folds(fold)
    by_class = {} if alone else predict_classes(X, y, K, fold, others.X, trusted_fold, fitting)
    by_order = {}
    if is_ordered and not alone:
        by_order = predict_ordered(X, y, K, fold, others.X, trusted_fold, fitting)
    base = [(network, others.unseen_predictions(network)), *((m.rows, m.trusted) for m in by_class.values())]
    every = [*base, *((m.rows, m.trusted) for m in by_order.values())]
    weights, mixed_from = _weights([rows for rows, _ in every], y), every
    if trusted is not None and by_order:
        # The model of the true label, fitted to few rows, follows the order less well: compared with predictions that
        # follow it, every given label would seem to know more than the true one.
        weights, mixed_from = weights[: len(base)] / weights[: len(base)].sum(), base
    mixed = mix(weights, [rows for rows, _ in mixed_from]), mix(weights, [rows for _, rows in mixed_from])
    if _is_worse_than_chance(mixed[0], y):
        rates = np.bincount(y, minlength=K) / len(y)
        by_chance = np.tile(rates, (len(y), 1)), np.tile(rates, (len(others.X), 1))
        return ClassPredictions(every, by_chance, by_chance)
    return ClassPredictions(every, mixed, calibrate(mixed_from, mixed, y))


def _weights(predictions: Sequence[Floats], y: Ints) -> Floats:
    """Return weights (M,) of sum 1 of M predictions (N, K)."""
    credit = np.full(len(predictions), STACK_CREDIT[0] + min(STACK_CREDIT[1] * len(y), STACK_CREDIT[2]))
    weights = stack(predictions, y, credit)
    if len(y) > LARGE:
        fit = np.array([np.log(np.clip(own(p, y), LEAST_PROBABILITY, 1.0)).mean() for p in predictions])
        weights = weights * np.exp((fit - fit.max()) / CLEARLY_WORSE)
        weights /= weights.sum()
    return weights


def _is_worse_than_chance(probabilities: Floats, y: Ints) -> bool:
    """Return whether rows come in sets of like ones, one for each class (pairs, before and after).

    The labels of the others of a set then say nothing of what is wrong.
    """
    rates = np.bincount(y, minlength=probabilities.shape[1]) / len(y)
    return bool(own(probabilities, y).mean() < (probabilities @ rates).mean())
