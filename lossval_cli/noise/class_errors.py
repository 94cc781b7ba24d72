"""Wrong class labels: those that out-of-fold predictions contradict, as in confident learning (Northcutt et al., 2021).

A label that is hard to predict is not wrong. Where predictions are calibrated, and there are no trusted rows, the
two look alike: then flags are few, and the interval of the share is wide.

    predictions     probabilities of the given label by several models                  (class_predictions)
    flips           the share that contradicts even the surest predictions              (random_flips)
    either class    which of two classes loses more of its labels, and if by mistake    (class_flips)
    true labels     with trusted rows: a model of the label as it should be             (trusted_labels)
    contradiction   the few labels that are doubtful on their own, whatever else shows
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lossval_cli.noise.class_flips import estimate_class_flips
from lossval_cli.noise.class_predictions import predict_given
from lossval_cli.noise.flags import in_order_of, with_mean
from lossval_cli.noise.label_estimates import LITTLE_SKILL, LabelErrors, Trusted
from lossval_cli.noise.ordered_classes import steps_apart
from lossval_cli.noise.out_of_fold import DEFAULT, Fitting
from lossval_cli.noise.random_flips import Flips, estimate_flips
from lossval_cli.noise.share_grid import INTERVAL
from lossval_cli.noise.stacking import own
from lossval_cli.noise.trusted_labels import TrueLabels, learn_true_labels
from lossval_cli.runtime.row_source import RowSource, draw_at_most

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

EXPECTED_DISAGREEMENTS = 3.5
"""Without trusted rows: the most wrong labels, relative to the labels that the prediction does not expect.
Systematic errors are predicted, and so remain unseen."""

FEW_TRUSTED = 20
"""Trusted rows that take half of what the upper end of the interval is higher without them."""

CONTRADICTION = 0.75
"""Odds 3 : 1 against the label, relative to the weights of the classes, from which it is doubtful on its own."""

UNSEEN, MOST_UNSEEN = 0.2, 0.3
"""Errors that follow the features show in no calibration: their expected number is this share of the most there can be,
and of MOST_UNSEEN of the rows."""
UNSEEN_BY_TRUSTED = 0.15
"""The same with trusted rows, which have a chance to show them."""
LEAST_SHOWN = 0.2
"""Such errors alone make no label more probably wrong than this."""

DOUBTFUL_SHARE = 0.010
"""Share of the rows, the most doubtful ones, that are flagged if they contradict although nothing shows wrong labels:
some always are (3 % on average in ten test sets; Northcutt et al., 2021)."""

DOUBTFUL_SHARE_RARE = 0.015
RARE = 0.1
"""The same where the rarer of two classes has no more than this share: it is usually the one that was overlooked."""

DOUBTFUL_PER_FLIP = 2.0
"""Ordered classes: labels that are probably two steps away, for each label that is flipped at random beyond doubt.
Neighbours are confused where nothing is wrong."""

FEWEST_OF_CLASS = 3
"""Distinct rows of a class below which its labels are not flagged."""


DRAWN = 4_096
"""Rows among which different ones are counted."""


class Scale(NamedTuple):
    """The kind of classes that labels are."""

    is_ordered: bool = False
    """Classes are numbered in their order, and a label is the more doubtful the more steps it is away."""
    labels: int = 1
    """Number of labels of a row, of which this is one: no more rows are doubted on their own for that."""


UNORDERED = Scale()


class _Doubt(NamedTuple):
    """The estimated errors in N labels, before rules of thumb."""

    score: Floats  # (N,) orders the rows: the higher, the more likely is the label wrong
    probability: Floats  # (N,)
    low: float  # interval of the share of wrong labels
    high: float
    open: float = 1.0  # how far the table leaves open whether labels are wrong
    shown: float = 0.0  # how sure trusted rows make it that some are


def find_wrong_classes(
    X: RowSource,
    y: Ints,
    network: Floats,
    *,
    trusted: Trusted | None = None,
    units: Ints | None = None,
    scale: Scale = UNORDERED,
    expected_share: float | None = None,
    fitting: Fitting = DEFAULT,
    alone: bool = False,
) -> LabelErrors:
    """Find wrong classes. X (N, D), classes y (N,) below K, the networks' out-of-fold probabilities (N, K).

    units (N,): rows of one unit are not predicted from one another.  scale: what kind of classes they are.
    expected_share: what the user expects.
    alone: no other models are fitted to the given labels.
    """
    N, K = network.shape
    units = np.arange(N) if units is None else units
    predictions = predict_given(
        X,
        y,
        network,
        trusted,
        units,
        is_ordered=scale.is_ordered,
        fitting=fitting,
        alone=alone,
    )
    given, calibrated = predictions.mixed[0], predictions.calibrated[0]
    rates = np.bincount(y, minlength=K) / N
    steps = steps_apart(y, K) if scale.is_ordered else None
    weights = 1 / np.sqrt(np.maximum(rates, 1e-9))
    distinct = _distinct_rows(X, N, fitting.seed)
    flips = estimate_flips(given, y, fitting.seed, distinct)
    if K == 2:
        classes = estimate_class_flips(given, y, fitting.seed, distinct)
        low = min(flips.low, classes.otherwise) if classes.by_mistake < INTERVAL else flips.low
        flips = flips._replace(probability=flips.probability * classes.by_mistake, low=low)
        if trusted is None:
            weights = np.sqrt(classes.lost)
    if trusted is None:
        doubt = _without_trusted_rows(given, calibrated, y, weights, steps, flips)
    else:
        y_trusted = trusted.y.astype(np.int64)
        truth = learn_true_labels(
            X, y, trusted.X, y_trusted, predictions.calibrated, predictions.base, fitting.seed, fitting.trees
        )
        doubt = _with_trusted_rows(truth, flips)

    skill, is_enough = _skill(calibrated, y, rates), _has_enough_rows(y, units, K)
    probability, low, high = doubt.probability, doubt.low, doubt.high
    if trusted is not None:
        high += max(0.0, _most(calibrated, y) - high) * FEW_TRUSTED / (FEW_TRUSTED + len(trusted.y))
    if expected_share is not None:
        share = float(np.clip(expected_share, low, high))
        probability = with_mean(doubt.score, share)
        low, high = max(low, 0.5 * share), min(high, 1.5 * share)
    elif skill >= LITTLE_SKILL:
        unseen = UNSEEN if trusted is None else UNSEEN_BY_TRUSTED
        probability = _with_unseen(doubt, unseen)
        most = DOUBTFUL_SHARE_RARE if K == 2 and rates.min() <= RARE else DOUBTFUL_SHARE
        contradiction = np.where(is_enough, _contradiction(given, y, weights), 0.0)
        probability = _with_doubtful(probability, doubt.score, contradiction, doubt.open * most / scale.labels)
        if steps is not None:
            far = np.where(is_enough, (given * (steps > 1)).sum(axis=1), 0.0)
            probability = _with_doubtful(probability, doubt.score, far, doubt.open * DOUBTFUL_PER_FLIP * flips.low)
    probability = np.where(is_enough, probability, 0.0)
    share = float(probability.mean())
    return LabelErrors(probability, share, min(low, share), max(high, share), calibrated, skill, ~is_enough)


def _without_trusted_rows(
    given: Floats, calibrated: Floats, y: Ints, weights: Floats, steps: Floats | None, flips: Flips
) -> _Doubt:
    """The share of flips, given to the rows whose predictions contradict their label most."""
    score = _contradiction(given, y, weights, steps)
    return _Doubt(score, in_order_of(score, flips.probability), flips.low, max(_most(calibrated, y), flips.high))


def _most(calibrated: Floats, y: Ints) -> float:
    """Return the largest share of wrong labels there can be, without trusted rows."""
    return min(0.5, EXPECTED_DISAGREEMENTS * float(1 - own(calibrated, y).mean()))


def _with_trusted_rows(truth: TrueLabels, flips: Flips) -> _Doubt:
    """The model of the true label, as far as trusted rows show that labels are wrong."""
    probability = np.maximum(in_order_of(truth.score, flips.probability), truth.shown * truth.score)
    low, high = max(flips.low, truth.low), max(truth.high, flips.high)
    return _Doubt(truth.score, probability, low, high, truth.open, truth.shown)


def _with_unseen(doubt: _Doubt, share: float) -> Floats:
    """Return probabilities (N,) with errors that follow the features and show in no calibration; `share`: of the most
    there can be."""
    unseen = with_mean(doubt.score, doubt.open * share * min(doubt.high, MOST_UNSEEN))
    result: Floats = np.maximum(doubt.probability, unseen * LEAST_SHOWN / (unseen + LEAST_SHOWN))
    return result


def _contradiction(probabilities: Floats, y: Ints, weights: Floats, steps: Floats | None = None) -> Floats:
    """Compute how far another class beats the row's own, (N,) from 0 to 1: p' / (p' + p_own), where each probability is
    multiplied by the weight of its class (K,). steps (N, K): of ordered classes, another one counts for as much as it
    is steps away.

    If class k loses a share ρ_k of its labels, the odds against a label are about ρ_other p_other / p_own. Weights √ρ
    give this, up to a constant where all ρ are the same. If as many labels of each class are wrong, ρ is in inverse
    proportion to the frequency of the class.
    """
    relative = probabilities * weights
    mine = own(relative, y)
    if steps is not None:
        relative = relative * steps
    relative[np.arange(len(y)), y] = -1.0
    other = relative.max(axis=1)
    result: Floats = other / np.maximum(other + mine, 1e-300)
    return result


def _with_doubtful(probability: Floats, score: Floats, contradiction: Floats, most: float) -> Floats:
    """Raise the probability of rows that contradict the prediction to 0.5 to 0.6, for at most a share `most` of all
    rows, those with the highest score first. It is not raised further, since there is no other evidence."""
    candidates = np.flatnonzero(contradiction >= CONTRADICTION)
    count = int(most * len(score))
    if not len(candidates) or not count:
        return probability
    chosen = candidates[np.argsort(-score[candidates], kind="stable")[:count]]
    raised = probability.copy()
    least = score[chosen].min()
    raised[chosen] = np.maximum(raised[chosen], 0.5 + 0.1 * (score[chosen] - least) / max(1 - least, 1e-9))
    return raised


def _has_enough_rows(y: Ints, units: Ints, K: int) -> Bools:
    """Return whether the class of each row has enough distinct rows, (N,)."""
    pairs = pd.unique(pd.factorize(units)[0] * K + y)  # NumPy's unique sorts
    result: Bools = np.bincount(pairs % K, minlength=K)[y] >= FEWEST_OF_CLASS
    return result


def _distinct_rows(X: RowSource, N: int, seed: int) -> int:
    """The number of distinct rows of X (N, D) among DRAWN drawn ones."""
    rows = draw_at_most(N, DRAWN, np.random.default_rng(seed))
    values = np.ascontiguousarray(X[rows] + np.float32(0))  # one zero for −0 and 0
    return len(np.unique(values.view(np.dtype((np.void, values.strides[0]))))) if values.shape[1] else 1


def _skill(probabilities: Floats, y: Ints, rates: Floats) -> float:
    present = rates[rates > 0]
    entropy = float(-(present * np.log(present)).sum())
    loss = float(-np.log(np.clip(own(probabilities, y), 1e-4, 1.0)).mean())
    return 1 - loss / entropy if entropy > 0 else 0.0
