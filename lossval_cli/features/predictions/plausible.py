"""Checks that given predictions are plausible: out-of-fold, for these rows and classes, and in the unit of the label.

Numbers cannot prove that they are out-of-fold. Predictions that are right everywhere, or far more often than on the
trusted rows, are reported.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

from lossval_cli.errors import SchemaError
from lossval_cli.features.labels import ClassLabels
from lossval_cli.text.format import join_names, quote

Floats = npt.NDArray[np.float64]

FEWEST_PERFECT = 50
"""Fewest rows for which predictions without an error are reported."""

PERFECT = 0.002
"""Largest share of wrong predictions that still counts as perfect."""

IN_SAMPLE_GAP = 0.1
"""Difference in accuracy between training rows and trusted rows above which predictions seem to be in-sample. Wrong
training labels make the difference smaller, not larger."""

BY_CHANCE = (
    "predictions agree with the labels no more than by chance: either the features do not predict this label, or the "
    "predictions belong to other rows; check that they are in the order of the table"
)
MUST_BE_OUT_OF_FOLD = (
    "they must be out-of-fold (cross_val_predict), since a model reproduces the labels of rows that it was fitted on, "
    "right or wrong"
)


def check_order(rows: Floats, y: npt.NDArray[np.int64], labels: ClassLabels, name: str, *, is_named: bool) -> list[str]:
    """Look for an order of columns that fits the labels, where the given order fits them less than chance does.

    Raises SchemaError if columns without names fit better in another order; for named columns, returns a notice.
    """
    K = len(labels.names)
    counts = np.bincount(y, minlength=K)
    mean = np.zeros((K, K))  # of column k, over the rows of each class
    np.add.at(mean, y, rows)
    shares = counts / len(y)
    total = mean / len(y)
    own, chance = float(np.trace(total)), float(shares @ total.sum(axis=0))
    best = linear_sum_assignment(-total)[1]
    swapped = float(total[np.arange(K), best].sum())
    gains = rows[np.arange(len(y)), y] - rows @ shares
    if own >= chance or swapped < own + 0.05:
        if gains.mean() > 2 * gains.std() / np.sqrt(len(y)):
            return []
        return [f"{name}: {BY_CHANCE}"]
    moved = int(np.flatnonzero(best != np.arange(K))[0])
    text = f"{name}: predictions agree with the labels less than by chance"
    if is_named:
        return [f"{text}; do they belong to this table, and are they in its order of rows?"]
    column = labels.sorted_names().index(labels.names[int(best[moved])])
    raise SchemaError(
        f"{text}, and column {column} fits class {quote(labels.names[moved])} better: the order is "
        f"{join_names(map(quote, labels.sorted_names()), 6)}; give a table whose columns have the names of the classes"
    )


def check_numbers(rows: Floats, y: Floats, name: str) -> list[str]:
    """A notice where predicted numbers (N,) seem to be in-sample, of other rows, or not in the unit of y (N,)."""
    if np.ptp(rows) == 0 or np.ptp(y) == 0:
        return [f"{name}: every row has the same prediction, so labels are compared with one number"]
    agreement = float(spearmanr(rows, y).statistic)
    if len(y) >= FEWEST_PERFECT and (np.abs(rows - y) <= PERFECT * y.std()).mean() >= 1 - PERFECT:
        return [f"{name}: predictions reproduce the labels: {MUST_BE_OUT_OF_FOLD}"]
    if agreement < 2 / np.sqrt(len(y)):
        return [f"{name}: {BY_CHANCE}"]
    low, middle, high = np.quantile(y, [0.05, 0.5, 0.95])
    if not low - (high - low) <= np.median(rows) <= high + (high - low):
        return [
            f"{name}: predictions are around {np.median(rows):.4g}, and labels around {middle:.4g}; are they in the "
            "unit of the label?"
        ]
    return []


def not_sure(rows: Floats, name: str) -> list[str]:
    """A warning where probabilities (N, K) are predicted classes."""
    if not np.isin(rows, (0.0, 1.0)).all():
        return []
    return [f"{name}: every probability is 0 or 1; give those of predict_proba, which say how sure the model is"]


def too_good(
    rows: Floats,
    y: npt.NDArray[np.int64],
    val: Floats | None,
    y_val: npt.NDArray[np.generic] | None,
    name: str,
) -> list[str]:
    """A notice where predictions look as if the model had been fitted on the rows themselves."""
    right = float((rows.argmax(axis=1) == y).mean())
    if len(y) >= FEWEST_PERFECT and right >= 1 - PERFECT:
        return [f"{name}: predictions agree with {right:.1%} of the labels: {MUST_BE_OUT_OF_FOLD}"]
    if val is None or y_val is None or len(y_val) < FEWEST_PERFECT:
        return []
    on_val = float((val.argmax(axis=1) == y_val.astype(np.int64)).mean())
    if right - on_val <= IN_SAMPLE_GAP:
        return []
    return [
        f"{name}: predictions agree with {right:.0%} of the training labels, but with {on_val:.0%} of the validation "
        "labels; are they out-of-fold (cross_val_predict)? A model reproduces the labels it was fitted on"
    ]
