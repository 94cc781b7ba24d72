"""Any labelled table to one `Table`: CSV as text with its line numbers, Parquet and DataFrames as stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from lossval_cli.errors import CellError, ReadError, SchemaError
from lossval_cli.limits import check_columns
from lossval_cli.tables.column_types import (
    Misfit,
    NumberForm,
    TextType,
    convert_stored,
    infer_text,
    is_text,
    normalised,
    parse_text,
    without_nulls,
)
from lossval_cli.tables.files import list_files
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.parquet_parts import check_names
from lossval_cli.tables.reading import read_files
from lossval_cli.tables.streamed import StreamedTable, can_stay
from lossval_cli.text.format import format_name, pluralize, quote


@dataclass(frozen=True, eq=False)
class Table:
    """A table of N rows as it was read.

    data: CSV has every column as text, null where a cell is empty and not quoted; Parquet and DataFrames
    keep their types, and may be left in their files (`stored_columns`).  name: as the user gave it, `<stdin>`
    or `<DataFrame>`.  lines: (N,) int64, for CSV the 1-based line of the file on which each record starts,
    else None.  sha256: of the bytes read, None for a DataFrame.  decimal_comma: whether numbers may be
    written `1,5` (CSV separated by semicolons or tabs).  first: the row that row 0 is, where this is a block
    of a longer table.
    """

    data: pa.Table | StreamedTable
    name: str
    format: Literal["csv", "parquet", "frame"]
    lines: np.ndarray | None
    sha256: str | None
    decimal_comma: bool = False
    first: int = 0
    notices: tuple[str, ...] = ()
    """What the reader decided for the user."""
    parts: tuple[tuple[str, int], ...] = ()
    """Name and number of rows of each file, where text was read from several."""
    _text_types: dict[str, TextType] = field(default_factory=dict, repr=False)

    @property
    def rows(self) -> int:
        """Number of data rows, N."""
        return int(self.data.num_rows)

    @property
    def column_names(self) -> list[str]:
        """Column names in the order of the file."""
        return list(self.data.column_names)

    def as_given(self, column: str) -> pa.ChunkedArray:
        """A column exactly as the file has it, (N,): text for CSV, the stored type otherwise."""
        return self.data[column]

    def typed(self, column: str) -> pa.ChunkedArray:
        """A column as int64, float64, bool, timestamp[us], string (or a nested type as stored), (N,).

        Text is typed by its values, whatever the format it came in; missing values are null.
        """
        stored = self.data[column]
        if not is_text(stored.type):
            return normalised(stored)
        return parse_text(without_nulls(stored.cast(pa.string())), self.text_type(column))

    def text_type(self, column: str) -> TextType:
        """What a text column was found to hold, with the order of day and month of its dates."""
        if column not in self._text_types:
            text = without_nulls(self.data[column].cast(pa.string()))
            self._text_types[column] = infer_text(text, comma_allowed=self.decimal_comma)
        return self._text_types[column]

    def form(self, column: str) -> str | NumberForm | None:
        """How a text column is written (pass it to `typed_as` of another table), None for any other."""
        return self.text_type(column).form if is_text(self.data[column].type) else None

    def typed_as(self, column: str, dtype: pa.DataType, *, form: str | NumberForm | None = None) -> pa.ChunkedArray:
        """A column as the type another table's column has, (N,).

        Ask for float64 rather than int64 where `3.5` is as good as `3`. form: as the other table's
        `form` gave it; without it dates and numbers are read by themselves. Raises CellError at the first
        value that cannot be converted.
        """
        stored = self.data[column]
        try:
            if not is_text(stored.type):
                return convert_stored(normalised(stored), dtype)
            text = without_nulls(stored.cast(pa.string()))
            if pa.types.is_string(dtype):
                return text
            own = self.text_type(column)
            return parse_text(text, TextType(dtype, form or own.form))
        except Misfit as misfit:
            raise CellError(
                f"{self.place(misfit.row)}, column {format_name(column)}: {quote(misfit.value)} is not "
                f"{_KIND_NAMES.get(str(dtype), str(dtype))}"
            ) from None

    def place(self, row: int) -> str:
        """Where a 0-based row is, for messages: `val.csv line 12`, or `val.parquet row 10`."""
        if self.lines is not None:
            return f"{format_name(self._file_of(row))} line {self.lines[row]}"
        return f"{format_name(self.name)} row {self.first + row}"

    def _file_of(self, row: int) -> str:
        stop = 0
        for name, rows in self.parts:
            stop += rows
            if row < stop:
                return name
        return self.name


_KIND_NAMES = {
    "int64": "a whole number",
    "double": "a number",
    "bool": "true or false",
    "timestamp[us]": "a date",
}


def read_table(source: str | Path | pd.DataFrame | Table, options: ReadOptions | None = None) -> Table:
    """Read a CSV or Parquet file, directory or glob, `-` for standard input, or a DataFrame.

    A Table, which has been read, is passed through. Raises ReadError and SchemaError, one line each.
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, pd.DataFrame):
        return _from_frame(source)
    read = read_files(str(source), options or ReadOptions())
    return Table(
        read.data,
        read.name,
        read.format,
        read.lines,
        read.sha256,
        read.decimal_comma,
        notices=read.notices,
        parts=read.parts,
    )


def open_streamed(source: object) -> StreamedTable | None:
    """Parquet or Arrow files that are left where they are; None for any other source. Raises ReadError and
    SchemaError."""
    if not isinstance(source, str | Path) or str(source) == "-":
        return None
    name = str(source)
    files = list_files(name)
    if not can_stay(files):
        return None
    data = StreamedTable(files, name)
    if not data.num_rows:
        raise ReadError(f"{format_name(name)} has a header and no rows")
    return data


def _from_frame(frame: pd.DataFrame) -> Table:
    """A DataFrame without its index; columns of mixed objects become text."""
    name = "<DataFrame>"
    labels = [str(label) for label in frame.columns]
    check_names(labels, name)
    check_columns(name, len(labels))
    if not labels:
        raise ReadError(f"{name} has no columns")
    if not len(frame):
        raise ReadError(f"{name} has no rows")
    columns = {label: _from_series(frame.iloc[:, place], label) for place, label in enumerate(labels)}
    return Table(pa.table(columns), name, "frame", None, None)


def _from_series(series: pd.Series, label: str) -> pa.ChunkedArray:
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
