"""Wrong numeric labels: residuals in units of those of rows with similar predictions.

Two questions are asked, since each misses what the other finds.

Is the label another row's?  A mixture of right and wrong labels around the prediction  (number_mixture).

Does the label lie beyond everything?  In the label's own units (or logarithms, if it is skewed) the tail of
right labels is extrapolated from the bulk of the residuals alone, so that gross errors neither hide themselves nor
saturate; what lies beyond is flagged at a false discovery rate (Benjamini & Hochberg, 1995).

Trusted rows show how far right labels lie from their prediction, and whether another prediction is nearer to the true
label than that of the given one (trusted_numbers).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import t as student_t

from lossval_cli.noise.label_estimates import LabelErrors, Trusted
from lossval_cli.noise.number_cells import NumberCells, Sides
from lossval_cli.noise.number_mixture import (
    FewValues,
    ManyValues,
    Posterior,
    Predicted,
    Scores,
    fit_mixture,
    local_scale,
    log_t,
)
from lossval_cli.noise.out_of_fold import DEFAULT, Fitting, draw_folds, predict_numbers
from lossval_cli.noise.stacking import mix, stack_numbers
from lossval_cli.noise.trusted_numbers import learn_true_numbers
from lossval_cli.runtime.row_loader import RowSource

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEW_VALUES = 50
"""Distinct values up to which labels are treated as ordered classes."""

MOST_ALIKE = 0.3
"""Share of the rows with one and the same value (zero claims, say), from which the other labels are not compared
with the prediction, which lies between the two: that a row is among them is mostly chance."""

FINE_WINDOW = 0.08
"""Share of rows, next to each other in prediction, that a local scale in the label's unit is taken over."""

LEAST_LOCAL = 0.1
"""Least local scale, as a share of the typical one: where labels are cut off (at most 10), nearly all are the same."""

LEAST_BEYOND = 0.25
"""Distance from the prediction, in standard deviations of the labels, within which a label never counts as beyond
everything: where features determine labels, models still err in places."""
OUTER_TENTHS = 2 * ndtri(0.9)
"""Distance between the outer tenths of a normal variable, in standard deviations."""

BULK = 0.93
"""Share of the residuals, the smaller ones, that the tail is extrapolated from."""
TAIL = (0.75, 0.93)
"""Quantiles that the tail of all labels is fitted between."""
BULK_SCALES = np.exp(np.linspace(-0.8, 0.8, 33))
BULK_TAILS = (2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 30.0)

RARE_VALUE = 0.01
"""Share of the rows up to which one of few values may be beyond everything."""

MODE, AS_WIDE = 0.025, 2.0
"""Share of the rows from which labels beyond everything are a second mode, not errors, unless they spread so many times
as wide as the others: a tenth of them in another unit."""
MODE_REACH = 3.0
"""Distance a mode reaches from its middle, in lengths of the shortest interval that holds half of it."""

FEWEST = 20
"""Labels below which nothing is said about their tail."""

FALSE_DISCOVERIES = 0.02
"""False discovery rate of labels that lie beyond everything."""

SKEWED = 0.2
"""Quantile skewness (Bowley's, of the outer tenths) from which logarithms are taken."""


def find_wrong_numbers(
    X: RowSource,
    y: Floats,
    network: Floats,
    *,
    trusted: Trusted | None = None,
    units: Ints | None = None,
    expected_share: float | None = None,
    fitting: Fitting = DEFAULT,
    alone: bool = False,
) -> LabelErrors:
    """Find wrong numbers. X (N, D), labels y (N,), the networks' out-of-fold predictions (N,) in the unit of y.

    units (N,): rows of one unit are not predicted from one another.  expected_share: what the user expects.
    alone: no other models are fitted to the given labels.
    """
    scores = Scores.of(y)
    t = scores.score(y)
    fold = draw_folds(np.round(2 * t).astype(np.int64), np.arange(len(y)) if units is None else units, fitting.seed)
    others = trusted or Trusted.none(X.shape[1], network)
    models = {} if alone else predict_numbers(X, t, fold, others.X, others.folds(fold), fitting)
    by_network = scores.score(others.unseen_predictions(network))
    base_predictions = [(scores.score(network), by_network), *models.values()]
    weights = stack_numbers([rows for rows, _ in base_predictions], t)
    given, given_trusted = (mix(weights, [base[i] for base in base_predictions]) for i in (0, 1))
    rows, checked = Predicted(given, y), None
    if trusted is not None:
        y_trusted = trusted.y.astype(np.float64)
        predicted, by_trusted = learn_true_numbers(
            X, trusted.X, scores.score(y_trusted), (given, given_trusted), base_predictions, fitting.seed, fitting.trees
        )
        rows, checked = Predicted(predicted, y), Predicted(by_trusted, y_trusted)
    found = estimate_number_errors(rows, fitting.seed, checked=checked, expected_share=expected_share)
    variance = float(t.var())
    return LabelErrors(
        *found,
        scores.value(rows.scores),
        1 - float(np.square(t - rows.scores).mean()) / variance if variance > 0 else 0.0,
        np.zeros(len(y), np.bool_),
    )


def estimate_number_errors(
    rows: Predicted, seed: int, *, checked: Predicted | None = None, expected_share: float | None = None
) -> Posterior:
    """Estimate errors from out-of-fold predictions and labels; checked: the same of trusted rows."""
    y, scores = rows.y, Scores.of(rows.y)
    most_common = int(scores.counts.argmax())
    alike = scores.counts[most_common] / len(y)
    beyond = np.zeros(len(y), np.bool_)
    others = y != scores.values[most_common]
    # The other labels may be few as well, each with a value of its own: a claim in a twentieth of the rows.
    are_apart = others.sum() >= FEWEST and len(scores.values) > max(2, 0.5 * others.sum())
    if alike >= MOST_ALIKE and (len(scores.values) > FEW_VALUES or are_apart):
        beyond[others] = _lies_beyond(y[others], np.full(int(others.sum()), np.median(y[others])))
        found = Posterior(np.zeros(len(y)), 0.0, 0.0, 0.5 * float(1 - alike))
    else:
        kind = FewValues if len(scores.values) <= FEW_VALUES else ManyValues
        model = kind(rows, scores, rows)
        right = None if checked is None else kind(checked, scores, rows)
        found = fit_mixture(model, seed, checked=right, expected_share=expected_share)
        beyond = _lies_beyond(y, scores.value(rows.scores)) | _is_far_from_all(y)
        if kind is FewValues:  # a value that many rows have is one of the label's
            beyond &= (scores.counts <= RARE_VALUE * len(y))[scores.nearest(y)]
    probability = np.where(beyond, np.maximum(found.probability, 1 - FALSE_DISCOVERIES), found.probability)
    surely = float(beyond.mean())
    share, low, high = max(found.share, surely), max(found.low, 0.9 * surely), max(found.high, 1.2 * surely)
    return Posterior(probability, share, low, high)


def _lies_beyond(y: Floats, predicted: Floats) -> npt.NDArray[np.bool_]:
    """Return (n,) whether each label lies farther from its prediction than right labels ever would; both in the unit of
    the label."""
    if len(y) < FEWEST:
        return np.zeros(len(y), np.bool_)
    low, middle, high = np.quantile(y, [0.1, 0.5, 0.9])
    skewness = (high + low - 2 * middle) / max(high - low, 1e-300)
    if abs(skewness) > SKEWED:  # distances from the crowded end, as logarithms
        sign = np.sign(skewness)
        end = (sign * y).min()
        offset = max(0.1 * max(float(np.median(sign * y) - end), 1e-12), _step(sign * y))
        y, predicted = (np.log(np.maximum(sign * values - end, 0) + offset) for values in (y, predicted))
    residual = y - predicted
    scale = local_scale(predicted, residual, FINE_WINDOW)
    z = np.abs(residual) / np.maximum(scale, LEAST_LOCAL * np.median(scale))
    factor, tails = _bulk(z)
    chance = 2 * student_t.sf(z / factor, tails)
    spread = float(np.diff(np.quantile(y, [0.1, 0.9]))[0]) / OUTER_TENTHS
    result: npt.NDArray[np.bool_] = _discovered(chance) & (np.abs(residual) > LEAST_BEYOND * spread)
    for side in (result & (residual > 0), result & (residual < 0)):
        result[side] &= ~_second_mode(residual[side], residual[~result], len(z))
    return result


def _is_far_from_all(y: Floats) -> npt.NDArray[np.bool_]:
    """Return (n,) whether each label lies beyond the tail of all labels, as a cell of a column would: ten times the
    highest of two modes, which are both far from the prediction between them."""
    column = NumberCells.fit(y)
    scaled = column.scale(y)
    distances = column.distance(scaled)
    return _discovered(np.exp(-Sides.fit(scaled, distances, TAIL).neg_log_p(scaled, distances)))


def _discovered(chance: Floats) -> npt.NDArray[np.bool_]:
    """Return a mask (n,) of the p-values (n,) that are discoveries at the false discovery rate (Benjamini & Hochberg,
    1995)."""
    order = np.argsort(chance, kind="stable")
    passed = np.flatnonzero(len(chance) * chance[order] <= FALSE_DISCOVERIES * np.arange(1, len(chance) + 1))
    found = np.zeros(len(chance), np.bool_)
    found[order[: passed[-1] + 1 if len(passed) else 0]] = True
    return found


def _step(values: Floats) -> float:
    """Return the distance from the least value to the next, where many rows have the least value, as counts do: 0 and 1
    differ by no more than 1 and 3."""
    distinct, counts = np.unique(values, return_counts=True)
    return float(distinct[1] - distinct[0]) if len(distinct) > 1 and counts[0] > RARE_VALUE * len(values) else 0.0


def _second_mode(residual: Floats, others: Floats, rows: int) -> npt.NDArray[np.bool_]:
    """Return a mask (n,) of the residuals beyond everything, on one side, that are a second mode of the label: around
    the shortest stretch that holds half of them, if it is about as wide as that of the other rows and enough of all
    `rows` are."""
    near = np.zeros(len(residual), np.bool_)
    if len(residual) < MODE * rows:
        return near
    low, width = _shortest_half(residual)
    if width <= AS_WIDE * _shortest_half(others)[1]:
        near = np.abs(residual - (low + width / 2)) <= MODE_REACH * width
    return near if near.sum() >= MODE * rows else np.zeros_like(near)


def _shortest_half(values: Floats) -> tuple[float, float]:
    """Start and length of the shortest stretch that holds half of the values (n,)."""
    ordered = np.sort(values)
    held = len(ordered) // 2 + 1
    lengths = ordered[held - 1 :] - ordered[: len(ordered) - held + 1]
    i = int(lengths.argmin())
    return float(ordered[i]), float(lengths[i])


def _bulk(z: Floats) -> tuple[float, float]:
    """Scale and degrees of freedom of |t| residuals, of which only the smaller ones are looked at; of the others it
    counts how many there are (censored maximum likelihood)."""
    border = float(np.quantile(z, BULK))
    small = z[z <= border]
    beyond = len(z) - len(small)
    best, found = -np.inf, (1.0, 30.0)
    for tails in BULK_TAILS:
        for scale in BULK_SCALES:
            chance = max(2 * float(student_t.sf(border / scale, tails)), 1e-300)
            fit = float((log_t(small / scale, tails) - np.log(scale)).sum()) + beyond * np.log(chance)
            if fit > best:
                best, found = fit, (float(scale), tails)
    return found
