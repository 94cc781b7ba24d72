"""Tables in memory to columns: pandas, polars, pyarrow and whatever else hands out Arrow data, and NumPy arrays."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.interchange

from lossval_cli.errors import ReadError, SchemaError, UsageError
from lossval_cli.limits import check_columns
from lossval_cli.tables.parquet import check_names
from lossval_cli.tables.stored_types import as_declared, bytes_as_text, text_in_bytes
from lossval_cli.text.format import format_name, pluralize


class SupportsArrow(Protocol):
    """A table that hands out its columns as Arrow data."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A PyCapsule with an ArrowArrayStream."""


LABEL = "label"
"""Name of y in (X, y)."""


def read_frame(source: Any) -> tuple[pa.Table, str]:
    """The columns of a table in memory, and its name in messages.

    source: a pandas DataFrame, whose index is left out, or what makes one (a dict of columns, a list of dicts);
    anything with `__arrow_c_stream__` (polars, pyarrow, DuckDB) or `__dataframe__`; or a pair of arrays, X (N, D) and
    y (N,), which become x0, x1, … and label. X may be sparse, or a DataFrame, which keeps its names.
    Raises UsageError for anything else, ReadError without rows or columns, SchemaError for doubled names.
    """
    if _makes_frame(source):
        try:
            source = pd.DataFrame(source)
        except (ValueError, TypeError) as error:
            raise SchemaError(f"<{type(source).__name__}> cannot be read: {error}") from error
    if isinstance(source, pd.DataFrame):
        name, names = "<DataFrame>", [str(label) for label in source.columns]
        check_names(names, name)
        _check_size(name, len(names), len(source))
        columns = [_from_series(source.iloc[:, i], label) for i, label in enumerate(names)]
        return _plain(pa.table(columns, names=names)), name
    if isinstance(source, tuple) and len(source) == 2:
        return _from_arrays(*source), "<arrays>"
    name = f"<{type(source).__name__}>"
    if isinstance(source, pd.Series):
        raise UsageError("a Series is one column, not a table: give a DataFrame that holds the label and features")
    try:
        source = source.collect() if _is_lazy(source) else source
        if hasattr(source, "__arrow_c_stream__"):
            table = pa.table(source)
        elif hasattr(source, "__dataframe__"):
            table = pa.interchange.from_dataframe(source)
        else:
            raise UsageError(what_is_no_table(source))
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError) as error:
        if (column := _unknown_to_arrow(source)) is not None:
            raise SchemaError(f"{name} {column}, which Arrow does not know: cast it to another type") from error
        raise SchemaError(f"{name} cannot be read: {str(error).partition(chr(10))[0][:160]}") from error
    check_names(table.column_names, name)
    _check_size(name, table.num_columns, table.num_rows)
    return _plain(table), name


def _unknown_to_arrow(source: Any) -> str | None:
    """The first column of a polars frame whose type pyarrow does not read (Int128), with its type."""
    for label, kind in getattr(source, "schema", {}).items():
        try:
            pa.table(source.select(label))
        except pa.ArrowException:
            return f"column {format_name(label)} is of type {kind}"
    return None


def is_frame(source: Any) -> bool:
    """Return True if `source` is a table in memory rather than the name of a file."""
    protocols = ("__arrow_c_stream__", "__dataframe__")
    is_known = isinstance(source, pd.DataFrame | tuple) or _is_lazy(source) or _makes_frame(source)
    return is_known or any(hasattr(source, protocol) for protocol in protocols)


def what_is_no_table(source: Any) -> str:
    """The message about a source that is not a table."""
    if hasattr(source, "shape") and hasattr(source, "dtype"):
        return f"{type(source).__name__} is an array without a label: give (X, y), or a table with a label column"
    return f"{type(source).__name__} is not a table: give a path, a pandas, polars or Arrow table, or (X, y)"


def _makes_frame(source: Any) -> bool:
    """Return True for a dict of columns, a list of dicts, or an array whose columns have names."""
    is_records = isinstance(source, list) and bool(source) and all(isinstance(row, dict) for row in source)
    return is_records or isinstance(source, dict) or (isinstance(source, np.ndarray) and source.dtype.names is not None)


def _is_lazy(source: Any) -> bool:
    """Return True if `source` is a LazyFrame of polars, which is a query."""
    return type(source).__name__ == "LazyFrame" and hasattr(source, "collect")


def _from_arrays(X: Any, y: Any) -> pa.Table:
    """Make a table from X (N, D) and y (N,)."""
    if isinstance(X, pd.DataFrame) and np.shape(y) == (len(X),):
        if LABEL in X:
            raise SchemaError(f"(X, y): X has a column {LABEL}, and y is given too: leave one of them out")
        return read_frame(X.assign(**{LABEL: np.asarray(y)}))[0]
    from scipy.sparse import issparse  # commands that only read load no scipy

    if issparse(X):
        check_columns("<arrays>", X.shape[1] + 1)
        X = X.toarray()
    X, y = np.asarray(X), np.asarray(y)
    if X.ndim != 2 or y.shape != (len(X),):
        raise UsageError(f"(X, y) must be of shapes (N, D) and (N,), not {X.shape} and {y.shape}")
    _check_size("<arrays>", X.shape[1] + 1, len(X))
    columns = {f"x{i}": _from_series(pd.Series(X[:, i]), f"x{i}") for i in range(X.shape[1])}
    return pa.table(columns | {LABEL: _from_series(pd.Series(y), LABEL)})


def _check_size(name: str, columns: int, rows: int) -> None:
    check_columns(name, columns)
    if not columns:
        raise ReadError(f"{name} has no columns")
    if not rows:
        raise ReadError(f"{name} has no rows")


def _plain(table: pa.Table) -> pa.Table:
    table = as_declared(table, table.schema.remove_metadata(), table.num_rows)
    return bytes_as_text(table, text_in_bytes(table))


def _from_series(series: pd.Series, label: str) -> pa.ChunkedArray:
    """A column; one of mixed objects becomes text."""
    if isinstance(series.dtype, pd.CategoricalDtype) and isinstance(series.dtype.categories, pd.IntervalIndex):
        series = series.cat.rename_categories(series.dtype.categories.astype(str))  # of pandas.cut
    try:
        return _chunked(pa.array(series, from_pandas=True))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        pass
    try:
        return _chunked(
            pa.array([None if gone else str(cell) for cell, gone in zip(series, series.isna(), strict=True)])
        )
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise SchemaError(
            f"<DataFrame> column {format_name(label)}: {pluralize(len(series), 'value')} cannot be read"
        ) from error


def _chunked(values: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
