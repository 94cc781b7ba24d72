"""Which tags of a row are wrong, of several that each is there or not.

Every tag is a question of two classes, answered from the networks' out-of-fold probabilities and a forest for all tags
together (multi-output randomised trees; Geurts et al., 2006). A row is as doubtful as the most doubtful of its tags:
many tags alone make no row suspect.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lossval_cli.noise.class_errors import Scale, find_wrong_classes
from lossval_cli.noise.label_estimates import LabelErrors, Trusted
from lossval_cli.noise.out_of_fold import DEFAULT, Fitting, draw_folds, predict_tags
from lossval_cli.noise.stacking import mix, stack
from lossval_cli.runtime.row_loader import RowSource

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STACK_CREDIT = 20.0
"""Rows that each prediction is credited with in advance."""


def find_wrong_tags(
    X: RowSource,
    Y: npt.NDArray[np.float32],
    network: Floats,
    *,
    trusted: Trusted | None = None,
    units: Ints | None = None,
    expected_share: float | None = None,
    fitting: Fitting = DEFAULT,
    alone: bool = False,
) -> LabelErrors:
    """Find wrong tags. X (N, D), tags Y (N, T) of 0 and 1, the networks' out-of-fold probabilities (N, T); trusted.y
    (J, T).

    units (N,): rows of one unit are not predicted from one another.  expected_share: of rows with a wrong tag, as the
    user expects it.  alone: no other models are fitted to the given tags.
    """
    N, T = Y.shape
    units = np.arange(N) if units is None else units
    predictions, of_trusted = network, None if trusted is None else trusted.predictions
    if not alone:
        fold = draw_folds(Y.sum(axis=1).astype(np.int64), units, fitting.seed)
        others = trusted or Trusted.none(X.shape[1], network)
        forest = predict_tags(X, Y, fold, others.X, others.folds(fold), fitting)
        predictions = np.empty_like(network)
        of_trusted = None if trusted is None else np.empty_like(trusted.predictions)
        for t in range(T):
            own = Y[:, t].astype(np.int64)
            both = [_two(part[:, t]) for part in (network, forest.rows)]
            weights = stack(both, own, np.full(2, STACK_CREDIT))
            predictions[:, t] = mix(weights, both)[:, 1]
            if trusted is not None and of_trusted is not None:
                of_trusted[:, t] = mix(weights, [trusted.predictions[:, t], forest.trusted[:, t]])
    found = []
    for t in range(T):
        known = None
        if trusted is not None and of_trusted is not None:
            known = Trusted(trusted.X, trusted.y[:, t].astype(np.int64), _two(of_trusted[:, t]), trusted.copy_of)
        found.append(
            find_wrong_classes(
                X,
                Y[:, t].astype(np.int64),
                _two(predictions[:, t]),
                trusted=known,
                units=units,
                scale=Scale(labels=T),
                expected_share=None if expected_share is None else expected_share / T,
                fitting=fitting,
                alone=True,
            )
        )
    tags = np.column_stack([one.probability for one in found])
    probability = tags.max(axis=1)
    share = float(probability.mean())
    calibrated = np.column_stack([one.predictions[:, 1] for one in found])
    return LabelErrors(
        probability,
        share,
        min(share, max(one.low for one in found)),
        max(share, min(0.5, sum(one.high for one in found))),
        calibrated,
        float(np.mean([one.skill for one in found])),
        np.all([one.class_too_small for one in found], axis=0),
        tags,
    )


def corrected_tags(has: npt.NDArray[np.bool_], wrong: Floats, suspect: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return (N, T) tags as they should be: those that are more probably wrong than not are the other way round, and of
    a suspect row the most doubtful one in any case. has (N, T), wrong (N, T) probabilities, suspect (N,)."""
    turned = wrong > 0.5
    rows = np.flatnonzero(suspect)
    turned[rows, wrong[rows].argmax(axis=1)] = True
    return has ^ turned


def _two(p: Floats) -> Floats:
    """Turn the probability of a tag (n,) into those of its absence and presence, (n, 2)."""
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.column_stack([1 - p, p])
