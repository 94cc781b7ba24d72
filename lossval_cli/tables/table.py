"""Any labelled table to one `Table`: CSV as text with its line numbers, Parquet and DataFrames as stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.errors import CellError, ReadError, UsageError
from lossval_cli.tables.cell_options import CellKind, CellOptions
from lossval_cli.tables.column_types import ColumnType, FileHint, TypedColumn, is_number, is_text, tolerated
from lossval_cli.tables.dates import DateForm
from lossval_cli.tables.files import list_files
from lossval_cli.tables.frames import is_frame, read_frame, what_is_no_table
from lossval_cli.tables.missing import missing_words, without_missing
from lossval_cli.tables.numbers import NumberForm
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.reading import read_files
from lossval_cli.tables.stored_columns import Misfit, convert_stored, read_stored
from lossval_cli.tables.streamed import StreamedTable, can_stay
from lossval_cli.tables.text_columns import file_hint, read_text
from lossval_cli.tables.text_labels import is_text_label
from lossval_cli.text.format import format_name, pluralize, quote
from lossval_cli.text.urls import is_remote


@dataclass(frozen=True, eq=False)
class Table:
    """A table of N rows as it was read.

    data: CSV has every column as text, null where a cell is empty and not quoted; Parquet and DataFrames
    keep their types, and may be left in their files (`StreamedTable`).  name: as the user gave it, `<stdin>`
    or `<DataFrame>`.  lines: (N,) int64, for CSV the 1-based line of the file on which each record starts,
    else None.  sha256: of the bytes read, None for a DataFrame.  first: the row that row 0 is, where this is a
    block of a longer table.  options: how cells are to be read.  quoted: by column (N,), the cells of CSV that are in
    quotes though the word in them could mean missing.  types: of columns that were decided on a longer table.
    """

    data: pa.Table | StreamedTable
    name: str
    format: Literal["csv", "parquet", "frame"]
    lines: np.ndarray | None
    sha256: str | None
    first: int = 0
    options: CellOptions = field(default_factory=CellOptions)
    quoted: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    """Decisions of the reader, as notices."""
    parts: tuple[tuple[str, int], ...] = ()
    """Name and number of rows of each file, where text was read from several."""
    row_numbers: npt.NDArray[np.int64] | None = None
    """(N,) 0-based rows of the file, where some were left out; None: all are here."""
    index: pd.Index | None = None
    """(N,) of the pandas DataFrame that was read, whatever rows were left out since."""
    is_block: bool = False
    """True if these are some rows of a longer table, on which the types were decided."""
    _columns: dict[tuple[str, ColumnType | None], TypedColumn] = field(default_factory=dict, repr=False)
    _hint: list[FileHint] = field(default_factory=list, repr=False)

    @property
    def rows(self) -> int:
        """Number of data rows, N."""
        return int(self.data.num_rows)

    @cached_property
    def distinct_rows(self) -> int:
        """Number of rows of which no other is a copy as a whole, or that stand for their copies; lists and records are
        not compared."""
        keys = np.zeros(self.rows, np.uint64)
        for name in self.column_names:
            column = self.data[name]
            if pa.types.is_nested(column.type):
                continue
            encoded = column.combine_chunks().dictionary_encode()
            codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
            keys = keys * _MIXING + codes.astype(np.int64).view(np.uint64)
        return len(np.unique(keys))

    @property
    def column_names(self) -> list[str]:
        """Column names in the order of the file."""
        return list(self.data.column_names)

    def as_given(self, column: str) -> pa.ChunkedArray:
        """A column exactly as the file has it, (N,): text for CSV, the stored type otherwise."""
        return self.data[column]

    def typed(self, column: str) -> pa.ChunkedArray:
        """The values of `column`, (N,); missing and invalid cells are null."""
        return self.column(column).values

    def column(self, name: str) -> TypedColumn:
        """A column typed by its cells, whatever the format it came in. Every column is typed once."""
        return self._typed(name, None)

    def column_as(self, name: str, trained: ColumnType) -> TypedColumn:
        """A column as the type that the training table's column has.

        Cells that are not of that type are invalid. Raises CellError where more are than `tolerated`.
        """
        own = self._columns.get((name, None))
        if own is not None and own.type == trained:
            return own
        return self._typed(name, trained)

    def label_column(self, name: str, trained: ColumnType | None = None) -> TypedColumn:
        """A column as a label: numbers where it holds plain ones, else text, of which a word that can mean missing
        is a class where it is in quotes.

        trained: the type of the training table's label, which decides. Raises CellError as `column_as` does.
        """
        stored = self.data[name]
        if trained is not None and (trained != LABEL_TEXT or not is_text(stored.type)):
            return self.column_as(name, ColumnType(pa.string()) if trained == LABEL_TEXT else trained)
        if trained is None:
            column = self.column(name)
            if not is_text(stored.type) or not is_text_label(stored, column):
                return column
        key = (name, LABEL_TEXT)
        if key not in self._columns:
            trimmed = pc.utf8_trim_whitespace(stored.cast(pa.string()))
            kind = "label" if self.format == "csv" else "text"
            values = without_missing(trimmed, missing_words(self.options.missing, kind))
            if pc.any(pc.equal(values, "+"), min_count=0).as_py():  # and - is its opposite, no missing label
                values = pc.if_else(pc.fill_null(pc.equal(trimmed, "-"), False), trimmed, values)
            if name in self.quoted:
                values = pc.if_else(pa.array(self.quoted[name]), trimmed, values)
            self._columns[key] = TypedColumn(values, LABEL_TEXT, np.zeros(0, np.int64))
        return self._columns[key]

    def take(self, rows: npt.NDArray[np.int64]) -> Table:
        """Return some rows, with the types of all."""
        columns = (
            {}
            if isinstance(self.data, StreamedTable)
            else {key: column.take(rows) for key, column in self._columns.items()}
        )
        lines = None if self.lines is None else self.lines[rows]
        quoted = {name: mask[rows] for name, mask in self.quoted.items()}
        data = self.data.take(pa.array(rows))
        numbers = None if self.row_numbers is None else self.row_numbers[rows]
        return replace(
            self,
            data=data,
            lines=lines,
            quoted=quoted,
            types=self._known_types,
            parts=(),
            row_numbers=numbers,
            is_block=True,
            _columns=columns,
        )

    def with_data(self, data: pa.Table) -> Table:
        """Other cells in the same rows and columns, read as these are."""
        return replace(self, data=data, types=self._known_types, _columns={})

    @property
    def _known_types(self) -> dict[str, ColumnType]:
        """Types of the columns that were typed so far, here or on a longer table."""
        return {**self.types, **{name: column.type for (name, kind), column in self._columns.items() if kind is None}}

    def renamed(self, names: Mapping[str, str]) -> Table:
        """The same cells with other names of some columns, by the old ones; the table is in memory."""
        assert not isinstance(self.data, StreamedTable)
        data = self.data.rename_columns([names.get(name, name) for name in self.column_names])
        quoted = {names.get(name, name): mask for name, mask in self.quoted.items()}
        return replace(self, data=data, quoted=quoted, _columns={})

    def read_as(self, types: Mapping[str, CellKind]) -> Table:
        """The same table, of which some columns are number, date, boolean or text, whatever they look like."""
        if not types:
            return self
        kept = {key: column for key, column in self._columns.items() if key[0] not in types}
        return replace(self, options=self.options.with_types(types), _columns=kept)

    def column_notices(self, name: str, trained: ColumnType | None = None) -> list[str]:
        """Notices on a typed column: decisions, and its invalid cells with row or line."""
        column = self.column(name) if trained is None else self.column_as(name, trained)
        notices = [f"{format_name(name)}: {note}" for note in column.notes]
        if len(column.invalid):
            notices.append(self._invalid_notice(name, column))
        return notices

    def location(self, row: int) -> str:
        """The location of a 0-based row, for messages: `val.csv line 12`, or `val.parquet row 10`."""
        name = self.name if self.lines is None else self._file_of(row)
        return f"{format_name(name)} {self.line_or_row(row)}"

    def line(self, row: int) -> int | None:
        """The line of the file on which a data row starts, counted from 1; None where that is not known."""
        return None if self.lines is None else int(self.lines[row])

    def line_or_row(self, row: int) -> str:
        """Return `line 12`, or `row 10` where there are no lines."""
        if self.lines is not None:
            return f"line {self.lines[row]}"
        return f"row {self.first + (row if self.row_numbers is None else int(self.row_numbers[row]))}"

    def _file_of(self, row: int) -> str:
        stop = 0
        for name, rows in self.parts:
            stop += rows
            if row < stop:
                return name
        return self.name

    def _typed(self, name: str, trained: ColumnType | None) -> TypedColumn:
        key = (name, trained)
        if key in self._columns:
            return self._columns[key]
        stored, wanted = self.data[name], trained or self.types.get(name)
        if is_text(stored.type):
            text = stored.cast(pa.string())
            kind = self.options.types.get(name) if trained is None else None
            says_version = _VERSION_NAMES.fullmatch(name) is not None
            reading = read_text(text, self.options, self._file_hint, wanted, kind, says_version=says_version)
        else:
            reading = read_stored(stored)
            if self.options.types.get(name) == "text" and not pa.types.is_nested(reading.values.type):
                text = pa.string()
                reading = reading._replace(values=reading.values.cast(text), type=ColumnType(text))
        column = TypedColumn(reading.values, reading.type, reading.invalid, tuple(reading.notes))
        if trained is not None:
            column = self._checked(name, stored, column, trained)
        if not isinstance(self.data, StreamedTable):
            self._columns[key] = column
        return column

    def _checked(self, name: str, stored: pa.ChunkedArray, column: TypedColumn, trained: ColumnType) -> TypedColumn:
        """A column that was read as a trained type; CellError where it is not of that type."""
        if not is_text(stored.type):
            try:
                return replace(column, values=_converted(column.values, trained.dtype))
            except Misfit as misfit:
                raise CellError(self._misfit(name, misfit.row, misfit.value, trained)) from None
        is_text_read = pa.types.is_string(column.type.dtype)
        if is_text_read and not pa.types.is_string(trained.dtype):  # not one cell fits
            present = np.flatnonzero(column.values.is_valid().to_numpy())
            if not len(present):
                nothing = pa.chunked_array([pa.nulls(self.rows, trained.dtype)], trained.dtype)
                return TypedColumn(nothing, trained, np.zeros(0, np.int64))
            row = int(present[0])
            more = f" ({len(present):,} of {pluralize(self.rows, 'cell')} are not)" if len(present) > 1 else ""
            raise CellError(self._misfit(name, row, column.values[row].as_py(), trained) + more)
        invalid = len(column.invalid)
        cells = self.rows - column.values.null_count + invalid
        if invalid > (cells // 2 if self.is_block else tolerated(cells)):
            row = int(column.invalid[0])
            more = f" ({invalid:,} of {pluralize(cells, 'cell')} are not)" if invalid > 1 else ""
            raise CellError(self._misfit(name, row, self.as_given(name)[row].as_py(), trained) + more)
        return column if self.is_block else replace(column, notes=(*column.notes, *_other_form(column.type, trained)))

    def _misfit(self, name: str, row: int, value: object, trained: ColumnType) -> str:
        written = ""
        if isinstance(trained.form, NumberForm) and trained.form.mark:
            written = f" in {trained.form.mark}, as in training"
        return f"{self.location(row)}, column {format_name(name)}: {quote(value)} is not {trained.noun}{written}"

    def _invalid_notice(self, name: str, column: TypedColumn) -> str:
        found: dict[str, list[int]] = {}
        for row in column.invalid.tolist()[:MOST_INVALID]:
            found.setdefault(quote(self.as_given(name)[row].as_py()), []).append(row)
        shown = [f"{text} ({self._rows_named(rows)})" for text, rows in list(found.items())[:INVALID_SHOWN]]
        if len(found) > INVALID_SHOWN:
            shown[-1] += ", ..."
        noun = column.type.noun
        many = f"are not {_PLURALS.get(noun, noun)}" if len(column.invalid) > 1 else f"is not {noun}"
        count = f"{len(column.invalid):,} of {pluralize(self.rows, 'cell')}"
        return f"{format_name(name)}: {count} {many}: {', '.join(shown)}; read as missing"

    def _rows_named(self, rows: list[int]) -> str:
        """Return `line 12`, or `lines 12, 13, 14, ...`."""
        if len(rows) == 1:
            return self.line_or_row(rows[0])
        what, first = self.line_or_row(rows[0]).split()
        numbers = [first, *(self.line_or_row(row).split()[1] for row in rows[1:INVALID_SHOWN])]
        return f"{what}s {', '.join(numbers)}{', ...' if len(rows) > INVALID_SHOWN else ''}"

    def _file_hint(self) -> FileHint:
        """Evidence of the first columns of text in this table, found when a column first needs it."""
        if not self._hint:
            names = [name for name in self.column_names if is_text(self.data.schema.field(name).type)][:HINT_COLUMNS]
            rows = np.unique(np.linspace(0, self.rows - 1, min(self.rows, HINT_ROWS)).astype(np.int64))
            some = self.data.take(pa.array(rows))
            self._hint.append(file_hint([some[name] for name in names]))
        return self._hint[0]


_VERSION_NAMES: Final = re.compile(r"(?:.*[^A-Za-z])?[Vv]ersion|.*[a-z]Version|(?:.*_)?VERSION")

LABEL_TEXT: Final = ColumnType(pa.large_string())
"""Stands for a column that was read as a label."""

_MIXING: Final = np.uint64(0x9E3779B97F4A7C15)
"""An uneven number: sums of its powers, times the codes of cells, tell rows apart."""

_PLURALS: Final = {"a number": "numbers", "a date": "dates"}

INVALID_SHOWN, MOST_INVALID = 3, 1_000
"""Invalid cells of a column that a notice shows, and those that it looks at."""

HINT_COLUMNS, HINT_ROWS = 200, 2_000
"""Columns and rows of a table that are looked at for how it writes decimals and dates."""


def _other_form(own: ColumnType, trained: ColumnType) -> list[str]:
    """Notes on cells that are written in another way than in training, and were read all the same."""
    if isinstance(own.form, DateForm) and isinstance(trained.form, DateForm) and own.form != trained.form:
        return [f"its dates are written {own.form.order}, those of training {trained.form.order}"]
    mine = own.form if isinstance(own.form, NumberForm) else NumberForm()
    other = trained.form if isinstance(trained.form, NumberForm) else NumberForm()
    if mine.mark != other.mark and mine.mark:
        return [f"its numbers are written with {quote(mine.mark)}, those of training are not"]
    if mine.decimal != other.decimal:
        return [f"its decimal mark is {quote(mine.decimal)}, that of training {quote(other.decimal)}"]
    return []


def _converted(values: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    """Stored values as the type that training has; numbers of any kind stay as they are. Raises Misfit."""
    numeric = is_number(values.type)
    if numeric and is_number(dtype):
        return values
    if numeric and pa.types.is_boolean(dtype):
        other = pc.fill_null(pc.and_(pc.not_equal(values, 0), pc.not_equal(values, 1)), False)
        if pc.any(other, min_count=0).as_py():
            row = int(np.argmax(other.to_numpy()))
            raise Misfit(row, values[row].as_py())
    return convert_stored(values, dtype)


def read_table(source: Any, options: ReadOptions | None = None) -> Table:
    """Read a file, directory or glob, `-` for standard input, or a table in memory (`frames.read_frame`).

    A Table, which has been read, is passed through. Raises ReadError and SchemaError, one line each.
    """
    if isinstance(source, Table):
        return source
    options = options or ReadOptions()
    if is_frame(source):
        data, name = read_frame(source)
        index = source.index if isinstance(source, pd.DataFrame) else None
        return Table(data, name, "frame", None, None, options=options.cells, index=index)
    if not isinstance(source, str | Path):
        raise UsageError(what_is_no_table(source))
    read = read_files(str(source), options)
    return Table(
        read.data,
        read.name,
        read.format,
        read.lines,
        read.sha256,
        options=options.cells,
        quoted=read.quoted,
        notices=read.notices,
        parts=read.parts,
    )


def open_streamed(source: object) -> StreamedTable | None:
    """Parquet or Arrow files that are left where they are; None for any other source. Raises ReadError and
    SchemaError."""
    if not isinstance(source, str | Path) or str(source) == "-" or is_remote(str(source)):
        return None
    name = str(source)
    files = list_files(name)
    if not can_stay(files):
        return None
    data = StreamedTable(files, name)
    if not data.num_rows:
        raise ReadError(f"{format_name(name)} has a header and no rows")
    return data
