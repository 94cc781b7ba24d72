"""CSV bytes to a table of text, with the line on which each record starts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from lossval_cli.errors import ReadError
from lossval_cli.tables.csv_layout import Layout, field_counts
from lossval_cli.tables.csv_records import CsvRecords, find_records
from lossval_cli.tables.missing import ALWAYS, UNQUOTED
from lossval_cli.tables.options import ReadOptions
from lossval_cli.text.format import format_name, pluralize

_DELIMITER_NAMES = {
    "\t": "tabs",
    " ": "spaces",
    ",": "commas",
    ";": "semicolons",
    "|": "bars",
    "\x01": "control-A",
    "^": "carets",
    "~": "tildes",
}
_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True)
class CsvText:
    """Content of a CSV file: text columns (null = an empty unquoted cell), (N,) lines, delimiter, notices; and by
    column (N,) the cells that are in quotes though the word in them could mean missing."""

    data: pa.Table
    lines: npt.NDArray[np.int64]
    delimiter: str
    notices: tuple[str, ...]
    quoted: dict[str, npt.NDArray[np.bool_]]


def read_csv(data: bytes, name: str, options: ReadOptions | None = None) -> CsvText:
    """Read decompressed CSV bytes. `name` is for messages.

    Raises ReadError (empty, not text, ragged, no rows, no header, past a limit) and SchemaError (two columns of one
    name).
    """
    records = find_records(data, name, options)
    texts = read_texts(records, name)
    return CsvText(texts, records.lines, records.delimiter, records.notices, quoted_words(records, texts, name))


_WORDS = tuple(word for word in (*ALWAYS, *UNQUOTED) if word)
_QUOTED_WORD = re.compile(b'"(?:' + b"|".join(re.escape(word.encode()) for word in _WORDS) + b')"')


def quoted_words(records: CsvRecords, texts: pa.Table, name: str) -> dict[str, npt.NDArray[np.bool_]]:
    """Find the cells that are a word such as NA in quotes: most files have none, and are not parsed again."""
    if not records.quotes.size or not _QUOTED_WORD.search(records.data):
        return {}
    words = pa.array(_WORDS)
    suspected = [column for column in texts.column_names if pc.any(pc.is_in(texts[column], value_set=words)).as_py()]
    without = read_texts(records, name, null_words=("", *_WORDS))
    return {
        column: np.asarray(pc.and_(pc.is_in(texts[column], value_set=words), without[column].is_valid()))
        for column in suspected
        if column in without.column_names
    }


def read_texts(records: CsvRecords, name: str, null_words: Sequence[str] = ("",)) -> pa.Table:
    """Read every cell of the records as text, (N,) a column, null where it is empty and not quoted.

    null_words: what is null where it is not quoted.
    """
    name = format_name(name)
    starts, stops = records.starts, records.stops
    data: bytes | pa.Buffer = records.data
    between = np.flatnonzero(starts[1:] != stops[:-1])
    if between.size:  # rows that are left out lie among the others
        edges = [0, *(between + 1).tolist(), len(starts)]
        data = b"".join(records.data[starts[low] : stops[high - 1]] for low, high in pairwise(edges))
    else:
        data = pa.py_buffer(data).slice(int(starts[0]), int(stops[-1] - starts[0]))
    longest = int((stops - starts).max())
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            read_options=pa.csv.ReadOptions(
                column_names=records.names,
                block_size=max(_BLOCK_BYTES, 2 * longest),
                encoding="utf8" if records.text.codec == "utf-8" else records.text.codec,
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=records.delimiter, newlines_in_values=bool(records.quotes.size), ignore_empty_lines=True
            ),
            convert_options=pa.csv.ConvertOptions(
                check_utf8=False,  # already checked, with the line of the fault
                column_types={column: pa.string() for column in records.names},
                null_values=list(null_words),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _ragged(records, name) or ReadError(
            f"{name} cannot be read as CSV: {str(error).splitlines()[0][:200]}"
        ) from error
    if table.num_rows != len(starts):
        raise ReadError(f"{name} has ambiguous quoting; quote every field that contains quotes or line breaks")
    return _without_empty_unnamed(table)


def _ragged(records: CsvRecords, name: str) -> ReadError | None:
    """The error for the first record with too few or too many fields, with what to do about it."""
    spans = np.stack([records.starts, records.stops], axis=1).ravel()
    layout = Layout(spans, spans, records.quotes, None)
    counts = field_counts(records.data, records.delimiter, layout)[::2]
    wrong = np.flatnonzero(counts != len(records.names))
    if not wrong.size:
        return None
    i = int(wrong[0])
    of = "the first row has" if records.header is None else "the header has"
    return ReadError(
        f"{name} line {records.lines[i]}: {pluralize(int(counts[i]), 'field')}, but {of} "
        f"{len(records.names)} (separated by {_DELIMITER_NAMES[records.delimiter]}){_hint(records, i)}"
    )


def _hint(records: CsvRecords, i: int) -> str:
    record = records.data[records.starts[i] : records.stops[i]].strip()
    delimiter = records.delimiter.encode()
    if record[:1] in (b"#", b"%", b"!"):
        return f"; if it is a comment, add --comment '{record[:1].decode()}'"
    if delimiter + b' "' in record:
        return "; a field begins with a space before its quote: write no space there"
    if delimiter + b"'" in record or record.startswith(b"'"):
        return '; quote fields with double quotes ("), not single ones'
    if i == len(records.starts) - 1 and delimiter not in record:
        return "; delete this last line if it is a note, or fetch the file again if it is cut short"
    return ""


def _without_empty_unnamed(table: pa.Table) -> pa.Table:
    """Return the table without the columns that a delimiter at the end of each line makes: no name and nothing in
    them."""
    empty = [
        column
        for column in table.column_names
        if column.startswith("unnamed_") and table[column].null_count == table.num_rows
    ]
    return table.drop_columns(empty) if len(empty) < table.num_columns else table
