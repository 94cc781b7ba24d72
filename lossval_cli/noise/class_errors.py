"""Which class labels are wrong: out-of-fold predictions of several models, flips, and trusted rows.

A label that is hard to predict is not wrong. Where predictions are calibrated, and there are no trusted rows, the
two look alike: then flags are few, and the interval of the share is wide.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.noise.flags import LEAST_FLAGGED, choose_suspects, in_order_of, with_mean
from lossval_cli.noise.label_estimates import LabelErrors, Trusted
from lossval_cli.noise.ordered_classes import predict_ordered, steps_apart
from lossval_cli.noise.out_of_fold import LARGE, OutOfFold, draw_folds, predict_classes
from lossval_cli.noise.random_flips import TOWARDS_FREQUENT, estimate_flips
from lossval_cli.noise.stacking import LEAST_PROBABILITY, calibrate, mix, own, stack
from lossval_cli.noise.trusted_labels import learn_true_labels
from lossval_cli.runtime.row_loader import RowSource

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

STACK_CREDIT = (10.0, 0.02, 60.0)
"""Pseudo-count of each prediction: so many rows, and a share of all rows up to so many. Where labels are wrong, the
prediction that fits them best is not the best one; in large tables the difference is clear."""

CLEARLY_WORSE = 0.01
"""Nats per row behind the best prediction of a large table, at which one loses most of its weight."""

CLEAR_FLIPS = 0.01
"""Lower end of the interval of flips, above which there are some."""

EXPECTED_DISAGREEMENTS = 3.5
"""Without trusted rows: the most wrong labels, relative to the labels that the prediction does not expect.
Systematic errors are predicted, and so remain unseen."""

CONTRADICTION = 0.75
"""Odds 3 : 1 against the label, relative to class frequencies, from which it is doubtful on its own."""

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
"""Three or more classes: as many again for each label that is flipped at random beyond doubt. Annotators
confuse classes in ways that are partly systematic. Of ordered classes, only those that are probably two steps away:
neighbours are confused where nothing is wrong."""

FLAGGED_FLIPS = 1.75
"""Two classes, where trusted rows show no errors: labels that are flagged at most, relative to the lower end of the
interval of flips. Where half of a table is hard to predict and the other is not, some seem to show."""
ALWAYS_FLAGGED = 3
"""Labels that may be flagged in the smallest of tables."""

FEWEST_OF_CLASS = 3
"""Distinct rows of a class below which its labels are not flagged."""

LITTLE_SKILL = 0.1
"""Share of the base rate's uncertainty that predictions remove, below which the features hardly explain the label, and
a contradiction on its own means nothing."""


class Scale(NamedTuple):
    """What kind of classes labels are."""

    is_ordered: bool = False
    """Classes are numbered in their order, and a label is the more doubtful the more steps it is away."""
    are_numbers: bool = False
    """Classes are written as numbers, of which neighbours are easily confused."""
    labels: int = 1
    """How many labels a row has of which this is one: no more rows are doubted on their own for that."""


UNORDERED = Scale()


def find_wrong_classes(
    X: RowSource,
    y: Ints,
    network: Floats,
    *,
    trusted: Trusted | None = None,
    units: Ints | None = None,
    scale: Scale = UNORDERED,
    expected_share: float | None = None,
    seed: int = 0,
    trees: float = 1.0,
    alone: bool = False,
) -> LabelErrors:
    """X (N, D), classes y (N,) below K, the networks' out-of-fold probabilities (N, K).

    units (N,): rows of one unit are not predicted from one another.  scale: what kind of classes they are.
    expected_share: what the user expects.  trees: of the forests, as a multiple.
    alone: no other models are fitted to the given labels.
    """
    N, K = network.shape
    units = np.arange(N) if units is None else units
    fold = draw_folds(y, units, seed)
    others = trusted or Trusted.none(X.shape[1], network)
    trusted_fold, J = others.folds(fold), len(others.X)

    models = {} if alone else predict_classes(X, y, K, fold, others.X, trusted_fold, seed, trees)
    ordered: dict[str, OutOfFold] = {}
    if scale.is_ordered and not alone:
        ordered = predict_ordered(X, y, K, fold, others.X, trusted_fold, seed, trees)
    steps = steps_apart(y, K) if scale.is_ordered else None
    every = models | ordered
    base_predictions = [(network, others.unseen_predictions(network)), *((m.rows, m.trusted) for m in every.values())]
    credit = np.full(len(base_predictions), STACK_CREDIT[0] + min(STACK_CREDIT[1] * N, STACK_CREDIT[2]))
    weights = stack([rows for rows, _ in base_predictions], y, credit)
    if N > LARGE:
        fit = np.array([np.log(np.clip(own(rows, y), LEAST_PROBABILITY, 1.0)).mean() for rows, _ in base_predictions])
        weights = weights * np.exp((fit - fit.max()) / CLEARLY_WORSE)
        weights /= weights.sum()
    given, given_trusted = (mix(weights, [base[i] for base in base_predictions]) for i in (0, 1))
    compared = base_predictions
    if trusted is not None and steps is not None:
        # The model of the true label, fitted to few rows, follows the order less well: compared with predictions that
        # follow it, every given label would seem to know more than the true one.
        compared = base_predictions[: len(base_predictions) - len(ordered)]
        weights = weights[: len(compared)] / weights[: len(compared)].sum()
        given, given_trusted = (mix(weights, [base[i] for base in compared]) for i in (0, 1))
    calibrated, calibrated_trusted = calibrate(compared, (given, given_trusted), y)
    rates = np.bincount(y, minlength=K) / N
    if own(given, y).mean() < (given @ rates).mean():
        # Less right than by chance: the rows come in sets of like ones, one for each class (pairs, before and after).
        # The labels of the others of a set say nothing of what is wrong.
        given, calibrated = np.tile(rates, (N, 1)), np.tile(rates, (N, 1))
        given_trusted, calibrated_trusted = np.tile(rates, (J, 1)), np.tile(rates, (J, 1))
    flips = estimate_flips(given, y, seed)

    skill = _skill(calibrated, y, rates)
    is_enough = _has_enough_rows(y, units, K)
    doubt, shown = (
        1.0,
        0.0,
    )  # how far the table leaves open whether labels are wrong, and trusted rows show that some are
    if trusted is None:
        # Where flips show, they are taken to hit both classes alike.
        power = 0.5 if K > 2 else 0.0 if flips.low > CLEAR_FLIPS else TOWARDS_FREQUENT
        score = _contradiction(given, y, rates, power, steps)
        probability = in_order_of(score, flips.probability)
        low, high = flips.low, min(0.5, EXPECTED_DISAGREEMENTS * float(1 - own(calibrated, y).mean()))
    else:
        truth = learn_true_labels(
            X, y, trusted.X, trusted.y.astype(np.int64), (calibrated, calibrated_trusted), base_predictions, seed, trees
        )
        score, doubt, shown = truth.score, truth.open, truth.shown
        probability = np.maximum(in_order_of(score, flips.probability), shown * score)
        low, high = max(flips.low, truth.low), truth.high
    high = max(high, flips.high)
    if expected_share is not None:
        share = float(np.clip(expected_share, low, high))
        probability = with_mean(score, share)
        low, high = max(low, 0.5 * share), min(high, 1.5 * share)
    elif skill >= LITTLE_SKILL:
        unseen = with_mean(score, doubt * (UNSEEN if trusted is None else UNSEEN_BY_TRUSTED) * min(high, MOST_UNSEEN))
        probability = np.maximum(probability, unseen * LEAST_SHOWN / (unseen + LEAST_SHOWN))
        most = DOUBTFUL_SHARE_RARE if K == 2 and rates.min() <= RARE else DOUBTFUL_SHARE
        if K > 2 and not (scale.is_ordered or scale.are_numbers):
            most = max(most, DOUBTFUL_PER_FLIP * flips.low)
        probability = _with_doubtful(
            probability,
            score,
            np.where(is_enough, _contradiction(given, y, rates, 0.5), 0.0),
            doubt * most / scale.labels,
        )
        if steps is not None:
            far = np.where(is_enough, (given * (steps > 1)).sum(axis=1), 0.0)
            most = doubt * DOUBTFUL_PER_FLIP * flips.low
            probability = _with_doubtful(probability, score, far, most)
    if not shown and expected_share is None and K == 2:
        most = max(DOUBTFUL_SHARE_RARE, FLAGGED_FLIPS * flips.low)
        beyond = np.argsort(-probability, kind="stable")[max(ALWAYS_FLAGGED, int(most * N)) :]
        probability[beyond] = np.minimum(probability[beyond], LEAST_FLAGGED - 0.01)
    probability = np.where(is_enough, probability, 0.0)
    suspect, threshold = choose_suspects(probability)
    share = float(probability.mean())
    return LabelErrors(
        probability,
        suspect,
        threshold,
        share,
        min(low, share),
        max(high, share),
        calibrated,
        skill,
        ~is_enough,
    )


def _contradiction(probabilities: Floats, y: Ints, rates: Floats, power: float, steps: Floats | None = None) -> Floats:
    """(N,) how far another class beats the row's own, 0 to 1: p' / (p' + p_own), where each probability is divided by
    a power of the class's frequency, since the rare class is the one that is overlooked. steps (N, K): of ordered
    classes, another one counts for as much as it is steps away."""
    relative = probabilities / np.maximum(rates, 1e-9) ** power
    mine = own(relative, y)
    if steps is not None:
        relative = relative * steps
    relative[np.arange(len(y)), y] = -1.0
    other = relative.max(axis=1)
    result: Floats = other / np.maximum(other + mine, 1e-300)
    return result


def _with_doubtful(probability: Floats, score: Floats, contradiction: Floats, most: float) -> Floats:
    """Rows that contradict, as many as a share `most` of all, those of the highest score first, are more probably
    wrong than not."""
    candidates = np.flatnonzero(contradiction >= CONTRADICTION)
    count = int(most * len(score))
    if not len(candidates) or not count:
        return probability
    chosen = candidates[np.argsort(-score[candidates], kind="stable")[:count]]
    raised = probability.copy()
    least = score[chosen].min()
    raised[chosen] = np.maximum(raised[chosen], 0.5 + 0.25 * (score[chosen] - least) / max(1 - least, 1e-9))
    return raised


def _has_enough_rows(y: Ints, units: Ints, K: int) -> Bools:
    """(N,) whether the row's class has enough distinct rows."""
    pairs = np.unique(np.unique(units, return_inverse=True)[1] * K + y)
    result: Bools = np.bincount(pairs % K, minlength=K)[y] >= FEWEST_OF_CLASS
    return result


def _skill(probabilities: Floats, y: Ints, rates: Floats) -> float:
    present = rates[rates > 0]
    entropy = float(-(present * np.log(present)).sum())
    loss = float(-np.log(np.clip(own(probabilities, y), 1e-4, 1.0)).mean())
    return 1 - loss / entropy if entropy > 0 else 0.0
