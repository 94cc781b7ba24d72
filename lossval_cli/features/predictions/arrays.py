"""Predictions without names: an array whose columns are the classes in sorted order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lossval_cli.errors import UsageError
from lossval_cli.features.labels import ClassLabels, NumberLabels
from lossval_cli.features.predictions.values import Values, finite, in_range, of_second_class, probabilities
from lossval_cli.features.tags import TagLabels
from lossval_cli.text.format import format_name, join_names, quote

Floats = npt.NDArray[np.float64]


def read_array(array: Floats, labels: ClassLabels | NumberLabels | TagLabels, name: str) -> Values:
    """Reorder (n, K) probabilities to our order of classes; (n,) numbers and (n, T) tags keep their order.

    Raises UsageError for another shape, a missing value, or values that are not probabilities.
    """
    if not isinstance(labels, TagLabels) and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if isinstance(labels, NumberLabels):
        if array.ndim != 1:
            raise UsageError(f"{name}: shape {array.shape}, but the label is a number: give one per row, (N,)")
        return Values(finite(array, name), True)
    K = len(labels.names)
    if isinstance(labels, TagLabels):
        if array.shape != (len(array), K):
            raise UsageError(
                f"{name}: shape {array.shape}, but label {format_name(labels.column)} has {K} tags: give one "
                f"probability each, columns in the order {join_names(map(quote, labels.names), 6)}"
            )
        return Values(in_range(array, name), False)
    if array.ndim == 1:
        return of_second_class(array, labels, name)
    if array.shape != (len(array), K):
        raise UsageError(
            f"{name}: shape {array.shape}, but label {format_name(labels.column)} has {K} classes: give probabilities "
            f"of shape (rows, {K}), columns in the order {join_names(map(quote, labels.sorted_names()), 6)}"
        )
    return Values(labels.from_sorted(probabilities(array, name)), False)
