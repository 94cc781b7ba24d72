"""CSV bytes to a table of text: delimiter, header, records and the line each record starts on."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.csv

from lossval_cli.errors import ReadError
from lossval_cli.limits import MAX_RECORD_BYTES, check_columns
from lossval_cli.tables.csv_layout import Layout, field_counts, find_layout
from lossval_cli.text.format import duplicate_names, format_name, pluralize

_DELIMITERS = (",", ";", "\t", "|", " ")
_DELIMITER_NAMES = {"\t": "tabs", " ": "spaces", ",": "commas", ";": "semicolons", "|": "bars"}
_TOLD_DELIMITER = re.compile(rb"(?:sep|SEP)=([,;\t| ])\r?\n")
"""The first line that Excel writes and reads."""
_SNIFFED_BYTES = 1 << 18
_SNIFFED_RECORDS = 200
_BLOCK_BYTES = 4 << 20
_BINARY = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"SQLite format 3", "an SQLite database"),
    (b"ARROW1", "an Arrow or Feather file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\xff\xfe\0\0", "UTF-32 text"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"%PDF", "a PDF document"),
)


@dataclass(frozen=True)
class CsvText:
    """What a CSV file holds: text columns (null = an empty unquoted cell), (N,) lines, delimiter."""

    data: pa.Table
    lines: np.ndarray
    delimiter: str


@dataclass(frozen=True)
class CsvRecords:
    """Where the records of a CSV file begin. bom: the byte-order mark, or nothing; data: all bytes after it;
    names: of every column of the file."""

    bom: bytes
    data: bytes
    delimiter: str
    layout: Layout
    names: list[str]


def read_csv(data: bytes, name: str) -> CsvText:
    """Read decompressed CSV bytes. `name` is for messages.

    Raises ReadError (empty, not text, not UTF-8, ragged, no rows, past a limit) and SchemaError
    (two columns of one name).
    """
    records = find_records(data, name)
    return CsvText(read_texts(records, name), records.layout.lines[1:], records.delimiter)


def find_records(data: bytes, name: str) -> CsvRecords:
    """Split decompressed CSV bytes into a header and records; errors are those of `read_csv`."""
    name = format_name(name)
    bom = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    data = data.removeprefix(bom)
    _check_text(data, name)
    told = _TOLD_DELIMITER.match(data)
    delimiter = told[1].decode() if told else sniff_delimiter(data)
    layout = find_layout(data, delimiter)
    if told:
        layout = replace(layout, starts=layout.starts[1:], lines=layout.lines[1:])
        if not layout.starts.size:
            raise ReadError(f"{name} has a sep= line and nothing below it")
    if layout.open_line is not None:
        raise ReadError(f"{name} line {layout.open_line}: a quoted field opens here and is never closed")
    _check_lengths(layout, len(data), name)
    names = _read_header(data, layout, delimiter, name)
    if layout.starts.size == 1:
        raise ReadError(f"{name} has a header and no rows")
    return CsvRecords(bom, data, delimiter, layout, names)


def read_texts(records: CsvRecords, name: str) -> pa.Table:
    """Every cell of the records as text, (N,) a column, null where it is empty and not quoted."""
    table = _parse(records.data, records.layout, records.delimiter, records.names, format_name(name))
    return _without_empty_unnamed(table)


def sniff_delimiter(data: bytes) -> str:
    """The delimiter among comma, semicolon, tab, bar and space that splits the first records best.

    Best: it occurs in the header, and the most records have as many fields as the header. Ties go to the
    one that makes more fields. A space counts only when nothing else splits the header and every record
    agrees. Text in one column gives a comma.
    """
    head = data[:_SNIFFED_BYTES]
    text = head.decode("utf-8", "ignore")
    best, best_rank = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        widths = _widths(text, delimiter, whole=len(head) == len(data))
        if not widths or widths[0] < 2:
            continue
        agreeing = sum(width == widths[0] for width in widths) / len(widths)
        if delimiter == " " and (best_rank[1] or agreeing < 1 or len(widths) < 2):
            continue
        if (agreeing, widths[0]) > best_rank:
            best, best_rank = delimiter, (agreeing, widths[0])
    return best


def _widths(text: str, delimiter: str, *, whole: bool) -> list[int]:
    """Fields of the first records under one delimiter; a record cut off by the sample is left out."""
    widths = []
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if record:
                widths.append(len(record))
            if len(widths) > _SNIFFED_RECORDS:
                return widths
    except csv.Error:
        pass
    return widths if whole or len(widths) < 2 else widths[:-1]


def _check_text(data: bytes, name: str) -> None:
    if not data.strip():
        raise ReadError(f"{name} is empty")
    for magic, what in _BINARY:
        if data.startswith(magic):
            raise ReadError(f"{name} is {what}, not CSV or Parquet; save it as UTF-8 CSV")
    if (nul := data.find(b"\0")) >= 0:
        raise ReadError(f"{name} is not text: it holds a zero byte at byte {nul}; save it as UTF-8 CSV")
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _BLOCK_BYTES):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + _BLOCK_BYTES], final=start + _BLOCK_BYTES >= len(data))
        except UnicodeDecodeError as error:
            at = start - pending + error.start
            before = data[:at]
            line = before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n") + 1
            raise ReadError(
                f"{name} line {line}: byte 0x{data[at]:02x} (offset {at}) is not UTF-8; "
                "convert the file, for example with iconv -f windows-1252 -t utf-8"
            ) from None


def _check_lengths(layout: Layout, size: int, name: str) -> None:
    lengths = np.diff(np.append(layout.starts, size))
    worst = int(lengths.argmax())
    if lengths[worst] > MAX_RECORD_BYTES:
        raise ReadError(
            f"{name} line {layout.lines[worst]}: the record is {lengths[worst]:,} bytes long; at most "
            f"{MAX_RECORD_BYTES:,} are read"
        )


def _read_header(data: bytes, layout: Layout, delimiter: str, name: str) -> list[str]:
    """Column names, blanks around them trimmed; an empty one becomes `unnamed_3` (its 1-based place)."""
    end = int(layout.starts[1]) if layout.starts.size > 1 else len(data)
    header = data[int(layout.starts[0]) : end]
    columns = int(
        field_counts(data[:end], delimiter, Layout(layout.starts[:1], layout.lines[:1], layout.quotes, None))[0]
    )
    check_columns(name, columns)
    try:
        given = next(csv.reader(io.StringIO(header.decode(), newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise ReadError(f"{name} line {layout.lines[0]}: the header cannot be read ({error})") from None
    given = [cell.strip() for cell in given]
    doubled = [cell for cell, times in Counter(given).items() if times > 1 and cell]
    if doubled:
        raise duplicate_names(name, doubled)
    taken = set(given)
    names = []
    for place, cell in enumerate(given, start=1):
        invented = f"unnamed_{place}"
        while not cell and invented in taken:
            invented += "_"
        names.append(cell or invented)
    return names


def _parse(data: bytes, layout: Layout, delimiter: str, names: list[str], name: str) -> pa.Table:
    first = int(layout.starts[1])
    longest = int(np.diff(np.append(layout.starts, len(data))).max())
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(pa.py_buffer(data).slice(first)),
            read_options=pa.csv.ReadOptions(column_names=names, block_size=max(_BLOCK_BYTES, 2 * longest)),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=bool(layout.quotes.size), ignore_empty_lines=True
            ),
            convert_options=pa.csv.ConvertOptions(
                check_utf8=False,  # already checked, with the place of the fault
                column_types={column: pa.string() for column in names},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _ragged(data, layout, delimiter, len(names), name) or ReadError(
            f"{name} cannot be read as CSV: {str(error).splitlines()[0][:200]}"
        ) from error
    if table.num_rows != layout.starts.size - 1:
        raise ReadError(f"{name} cannot be split into rows without doubt; quote fields that hold quotes or line breaks")
    return table


def _ragged(data: bytes, layout: Layout, delimiter: str, expected: int, name: str) -> ReadError | None:
    counts = field_counts(data, delimiter, layout)
    wrong = np.flatnonzero(counts != expected)
    if not wrong.size:
        return None
    row = int(wrong[0])
    return ReadError(
        f"{name} line {layout.lines[row]}: {pluralize(int(counts[row]), 'field')}, but the header has "
        f"{expected} (separated by {_DELIMITER_NAMES[delimiter]})"
    )


def _without_empty_unnamed(table: pa.Table) -> pa.Table:
    """Without the columns that a delimiter at the end of each line makes: no name and nothing in them."""
    empty = [
        column
        for column in table.column_names
        if column.startswith("unnamed_") and table[column].null_count == table.num_rows
    ]
    return table.drop_columns(empty) if len(empty) < table.num_columns else table
