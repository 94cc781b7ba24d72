"""Checks of predicted values: numbers must be finite, and probabilities sum to 1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.errors import UsageError
from lossval_cli.features.labels import ClassLabels
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_name, pluralize, quote

Floats = npt.NDArray[np.float64]

SUM_TOLERANCE = 0.01
"""Largest difference of a sum of probabilities from 1, since they are often rounded."""


class Values(NamedTuple):
    """Predictions as they were given, in our order of classes."""

    values: Floats  # (n, K) or (n,)
    is_named: bool  # whether names say which column is which
    notices: tuple[str, ...] = ()


def finite(values: Floats, name: str, table: Table | None = None) -> Floats:
    """Check that values (n, ...) are finite, and return them. `table` gives the line of a row for messages. Raises
    UsageError."""
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise UsageError(
            f"{name}: {_where(int(bad[0]), table)} has no prediction ({pluralize(len(bad), 'such row')} in all)"
        )
    return values


def in_range(values: Floats, name: str, table: Table | None = None) -> Floats:
    """Check probabilities (n, K), whatever they sum to, and return them. Raises UsageError."""
    finite(values.sum(axis=1), name, table)
    outside = np.flatnonzero((values < -1e-6).any(axis=1) | (values > 1 + 1e-6).any(axis=1))
    if len(outside):
        row = int(outside[0])
        worst = float(values[row][np.abs(values[row] - 0.5).argmax()])
        raise UsageError(
            f"{name}: {_where(row, table)} has {worst:.4g}, which is not a probability from 0 to 1; if "
            "these are logits, give their softmax"
        )
    return values


def probabilities(values: Floats, name: str, table: Table | None = None) -> Floats:
    """Check that probabilities (n, K) sum to 1 up to rounding, and return them. Raises UsageError."""
    values = in_range(values, name, table)
    sums = values.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE)
    if len(wrong):
        row = int(wrong[0])
        raise UsageError(
            f"{name}: {_where(row, table)}: probabilities sum to {sums[row]:.4g}, not 1 "
            f"({pluralize(len(wrong), 'such row')} in all)"
        )
    return np.ascontiguousarray(np.clip(values, 0, 1) / sums[:, None])


def of_second_class(values: Floats, labels: ClassLabels, name: str, table: Table | None = None) -> Values:
    """Turn one probability per row (n,) into (n, 2). Raises UsageError where there are more classes."""
    if len(labels.names) != 2:
        raise UsageError(
            f"{name}: one number per row, but label {format_name(labels.column)} has {len(labels.names)} classes: "
            "give one probability per class"
        )
    both = probabilities(np.column_stack([1 - values, values]), name, table)
    return Values(both, False, (f"{name}: read as the probability of {quote(labels.names[1])}",))


def _where(row: int, table: Table | None) -> str:
    return f"row {row}" if table is None else table.line_or_row(row)
