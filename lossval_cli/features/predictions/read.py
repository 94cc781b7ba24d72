"""Predictions of the user's own model for the training and the validation rows.

They have to be out-of-fold: each row's prediction by a model that was not fitted on that row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.errors import UsageError
from lossval_cli.features.labels import ClassLabels, NumberLabels
from lossval_cli.features.predictions.arrays import read_array
from lossval_cli.features.predictions.columns import prediction_columns, read_named_columns
from lossval_cli.features.predictions.plausible import check_numbers, check_order, not_sure, too_good
from lossval_cli.features.predictions.rows import rows_by_count, rows_by_ids, rows_by_index, saved_index
from lossval_cli.features.predictions.sources import load_predictions
from lossval_cli.features.predictions.values import Values
from lossval_cli.features.read_tables import ReadTables
from lossval_cli.features.target import Labels
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_name, join_names

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Predictions of the user's own model."""

    rows: Floats
    """(N, K) probabilities of the labelled training rows, in the order of `ClassLabels.names`; or (N,) in the unit
    of the label."""
    val: Floats | None
    """The same for the J validation rows; None where they were not given."""
    name: str
    """Their name in messages."""
    notices: tuple[str, ...]
    """Decisions made in reading them."""
    warnings: tuple[str, ...]
    """Reasons to doubt them."""


def read_predictions(
    read: ReadTables, y: npt.NDArray[np.generic], y_val: npt.NDArray[np.generic] | None, labels: Labels
) -> Predictions | None:
    """Read the predictions that the options name; None without any.

    y (N,) and y_val (J,) are class indices where labels are classes; y_val is None without a validation table. Raises
    UsageError, SchemaError or CellError, one line each.
    """
    source, val_source = read.options.predictions, read.options.val_predictions
    train, val = read.train, read.val
    if source is None:
        if val_source is not None:
            raise UsageError("--val-predictions needs --predictions, those of the training rows")
        return None
    given = _Given.of(source, "predictions", train)
    if val_source is None and val is not None and given.columns and set(given.columns) <= set(val.column_names):
        val_source = given.columns
    rows = _read(given, read, train, train if read.unlabelled is None else read.unlabelled.whole, labels)
    on_val = None
    if val_source is not None:
        if val is None:
            raise UsageError("--val-predictions needs --val, the table they belong to")
        on_val = _read(_Given.of(val_source, "val predictions", val), read, val, val, labels)
    name = given.name
    val_values = None if on_val is None else on_val.values
    notices = [*rows.notices, *(() if on_val is None else on_val.notices)]
    warnings: list[str] = []
    if isinstance(labels, ClassLabels):
        classes = y.astype(np.int64)
        warnings += check_order(rows.values, classes, labels, name, is_named=rows.is_named)
        warnings += not_sure(rows.values, name)
        warnings += too_good(rows.values, classes, val_values, y_val, name)
    elif isinstance(labels, NumberLabels):
        warnings += check_numbers(rows.values, labels.raw(train), name)
    return Predictions(rows.values, val_values, name, tuple(notices), tuple(warnings))


class _Given(NamedTuple):
    """Predictions as the user gives them."""

    source: Any
    columns: tuple[str, ...]
    """Columns of the table itself; none where `source` is a file, an array or a table."""
    name: str

    @classmethod
    def of(cls, source: Any, what: str, table: Table) -> _Given:
        columns = prediction_columns(source, table)
        if columns:
            return cls(source, columns, f"{format_name(table.name)} column {join_names(map(format_name, columns))}")
        return cls(source, columns, format_name(str(source)) if isinstance(source, str | Path) else f"<{what}>")


def _read(given: _Given, read: ReadTables, table: Table, all_rows: Table, labels: Labels) -> Values:
    """Predictions of the rows of `table`, which are rows of `all_rows`."""
    name = given.name
    if given.columns:
        return read_named_columns(table, given.columns, labels, name)
    content, index = load_predictions(given.source, name, read.reading)
    rows = None
    if isinstance(content, Table):
        ids = [column for column in read.roles.ids if column in content.column_names]
        rows = rows_by_ids(content, ids, name, table, all_rows)
        saved = saved_index(content)
        index = index if saved is None else saved
        left_out = {
            *ids,
            *(() if saved is None else saved.names),
            "row",
            "line",
            *([read.roles.label] if isinstance(labels, ClassLabels) else []),
        }
        names = [column for column in content.column_names if column not in left_out]
        found = read_named_columns(content, names, labels, name)
    else:
        found = read_array(content, labels, name)
    if rows is None and index is not None:
        rows = rows_by_index(index, name, table, all_rows)
    if rows is None:
        rows = rows_by_count(len(found.values), name, table, all_rows)
    return found._replace(values=found.values[rows])
