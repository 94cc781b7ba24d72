"""Predictions of the user's own model for the training and the validation rows.

They have to be out-of-fold: each row's prediction by a model that was not fitted on that row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lossval_cli.errors import UsageError
from lossval_cli.features.labels import ClassLabels, NumberLabels
from lossval_cli.features.predictions.arrays import read_array
from lossval_cli.features.predictions.columns import read_named_columns
from lossval_cli.features.predictions.plausible import check_numbers, check_order, not_sure, too_good
from lossval_cli.features.predictions.rows import rows_by_count, rows_by_ids, rows_by_index, saved_index
from lossval_cli.features.predictions.sources import load_predictions
from lossval_cli.features.predictions.values import Values
from lossval_cli.features.roles import Roles
from lossval_cli.features.tags import TagLabels
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.table import Table
from lossval_cli.text.format import closest_name, format_name, join_names, quote

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


def prediction_columns(source: Any, table: Table) -> tuple[str, ...]:
    """The columns of the training table that `source` names, separated by commas or as a list; none where it is a
    file, an array or a table.

    Raises UsageError where it is neither a file nor columns.
    """
    if source is None or isinstance(source, Path) or not isinstance(source, str | list | tuple):
        return ()
    names = source.split(",") if isinstance(source, str) else list(source)
    if not all(isinstance(name, str) for name in names):
        return ()
    names = [name.strip() for name in names]
    if isinstance(source, str) and (Path(source).exists() or source.endswith((".csv", ".npy", ".parquet", ".gz"))):
        return ()
    for name in names:
        if name not in table.column_names:
            near = closest_name(name, table.column_names)
            hint = f"; did you mean {quote(near)}?" if near else ""
            raise UsageError(
                f"--predictions: {quote(name)} is neither a file nor a column of {format_name(table.name)}{hint}"
            )
    return tuple(names)


def read_predictions(
    source: Any,
    val_source: Any,
    *,
    train: Table,
    all_rows: Table,
    val: Table | None,
    y: npt.NDArray[np.generic],
    y_val: npt.NDArray[np.generic] | None,
    labels: ClassLabels | NumberLabels | TagLabels,
    roles: Roles,
    reading: ReadOptions,
) -> Predictions:
    """`source` and `val_source` as the user gives them; `train` holds the labelled rows of `all_rows`; y (N,) and
    y_val (J,) are class indices where labels are classes.

    Raises UsageError, SchemaError or CellError, one line each.
    """
    columns = prediction_columns(source, train)
    if val_source is None and val is not None and columns and set(columns) <= set(val.column_names):
        val_source = columns
    name = _name(source, "predictions", train, columns)
    rows = _read(source, columns, name, train, all_rows, labels, roles, reading)
    on_val = None
    if val_source is not None:
        if val is None:
            raise UsageError("--val-predictions needs --val, the table they belong to")
        val_columns = prediction_columns(val_source, val)
        val_name = _name(val_source, "val predictions", val, val_columns)
        on_val = _read(val_source, val_columns, val_name, val, val, labels, roles, reading)
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


def _read(
    source: Any,
    columns: tuple[str, ...],
    name: str,
    table: Table,
    all_rows: Table,
    labels: ClassLabels | NumberLabels | TagLabels,
    roles: Roles,
    reading: ReadOptions,
) -> Values:
    """Predictions of the rows of `table`, in its `columns` or, without any, in `source`."""
    if columns:
        return read_named_columns(table, columns, labels, name)
    given, index = load_predictions(source, name, reading)
    rows = None
    if isinstance(given, Table):
        ids = [column for column in roles.ids if column in given.column_names]
        rows = rows_by_ids(given, ids, name, table, all_rows)
        saved = saved_index(given)
        index = index if saved is None else saved
        left_out = {
            *ids,
            *(() if saved is None else saved.names),
            "row",
            "line",
            *([roles.label] if isinstance(labels, ClassLabels) else []),
        }
        names = [column for column in given.column_names if column not in left_out]
        found = read_named_columns(given, names, labels, name)
    else:
        found = read_array(given, labels, name)
    if rows is None and index is not None:
        rows = rows_by_index(index, name, table, all_rows)
    if rows is None:
        rows = rows_by_count(len(found.values), name, table, all_rows)
    return found._replace(values=found.values[rows])


def _name(source: Any, what: str, table: Table, columns: tuple[str, ...]) -> str:
    if columns:
        return f"{format_name(table.name)} column {join_names(map(format_name, columns))}"
    return format_name(str(source)) if isinstance(source, str | Path) else f"<{what}>"
