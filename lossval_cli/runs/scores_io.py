"""Scores as CSV, JSON lines or Parquet: which rows and columns, in which order, and their bytes.

CSV and JSON lines are built a column at a time and joined once per block of rows, so a million rows take
seconds and little memory. Numbers are written with the fewest digits that read back as the same number.
pyarrow.csv.write_csv is not used: it quotes every name and text cell (up to pyarrow 26), and writes no JSON lines.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lossval_cli.errors import UsageError
from lossval_cli.runs.destination import Format
from lossval_cli.tables.column_types import is_text
from lossval_cli.text.escape import FORMULA_STARTS, PLAIN_NUMBER
from lossval_cli.text.format import did_you_mean, format_name, join_names

BLOCK_ROWS = 1 << 16
"""Rows that are text at the same time."""

_NEEDS_QUOTES = r'[",\r\n]|^$'
"""A text cell with none of these reads back as it is; an empty one without quotes would read as missing."""


def split_names(text: str) -> list[str]:
    """`--columns` text -> names; a name with a comma is quoted as in CSV."""
    rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        return [name for row in rows for name in row if name]
    except csv.Error as error:
        raise UsageError(f"--columns {format_name(text)}: {error}") from error


def check_columns(names: Sequence[str], present: Sequence[str]) -> None:
    """Raise UsageError for a name the scores do not have."""
    for name in names:
        if name not in present:
            hint = did_you_mean(name, present) or f"columns are {join_names(present, 99)}"
            raise UsageError(f"--columns {format_name(name)}: the scores have no such column; {hint}")
    if len(set(names)) < len(names):
        raise UsageError(f"--columns {join_names(names)}: a column is named more than once")


def pick(table: pa.Table, *, columns: Sequence[str] = (), sort: str = "worst", top: int = 0) -> pa.Table:
    """Select some columns (none: all) of the first `top` rows (0: all). `table` is worst first; `sort` is worst, best
    or original."""
    if sort == "best":  # rows without a label have no importance and stay last
        table = table.take(pc.sort_indices(table, [("importance", "descending"), ("rank", "descending")]))
    elif sort == "original":
        table = table.take(pc.sort_indices(table["row"]))
    if top:
        table = table.slice(0, top)
    return table.select(list(columns)) if columns else table


def write_scores(table: pa.Table, sink: BinaryIO, form: Format, *, safe: bool = False, packed: bool = False) -> None:
    """Write `table` to an open binary file. OSError passes through.

    safe: CSV cells of the user's that a spreadsheet would take for a formula get a `'` in front.
    packed: gzip, with no name and no time in it, so that the same scores are the same bytes.
    """
    if packed:
        with gzip.GzipFile(filename="", mode="wb", fileobj=sink, mtime=0, compresslevel=6) as pack:
            write_scores(table, pack, form, safe=safe)  # type: ignore[arg-type]  # writes are all it needs
        return
    if form == "parquet":
        pq.write_table(table.replace_schema_metadata(None), sink, compression="zstd")
        return
    for line in _csv(table, safe) if form == "csv" else _jsonl(table):
        sink.write(line)


def _csv(table: pa.Table, safe: bool) -> Iterator[bytes]:
    names = pa.array(table.column_names, pa.string())
    yield ",".join(_quoted(_neutral(names) if safe else names).to_pylist()).encode() + b"\n"

    def cell(values: pa.Array) -> pa.Array:
        texts = as_text(values)
        if is_text(values.type):
            texts = _quoted(_neutral(texts) if safe else texts)
        elif not _is_plain(values.type):
            texts = _quoted(texts)
        # A blank line is not a record: a lone missing cell is written as an empty one.
        return pc.fill_null(texts, '""' if table.num_columns == 1 else "")

    yield from _lines(table, [cell] * table.num_columns, ",", "", "\n")


def _jsonl(table: pa.Table) -> Iterator[bytes]:
    def keyed(name: str) -> Callable[[pa.Array], pa.Array]:
        key = json.dumps(name, ensure_ascii=False) + ": "
        return lambda values: pc.binary_join_element_wise(key, _json(values), "")

    yield from _lines(table, [keyed(name) for name in table.column_names], ", ", "{", "}\n")


def _lines(
    table: pa.Table, cells: Sequence[Callable[[pa.Array], pa.Array]], between: str, before: str, after: str
) -> Iterator[bytes]:
    """Blocks of whole lines: every column through its `cells` function, joined row by row."""
    for start in range(0, table.num_rows, BLOCK_ROWS):
        block = table.slice(start, BLOCK_ROWS).combine_chunks()
        texts = [cell(_array(column)) for cell, column in zip(cells, block.columns, strict=True)]
        rows = texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, between)
        yield "".join(f"{before}{row}{after}" for row in rows.to_pylist()).encode()


def as_text(values: pa.Array) -> pa.Array:
    """Return any column as text, null where missing: numbers shortest, booleans true/false, dates as ISO 8601."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_floating(values.type):
        texts = pc.cast(pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values), pa.string())
        return pc.if_else(pc.equal(texts, "-0"), "-0.0", texts)  # JSON's -0 is the integer
    if _is_plain(values.type) or is_text(values.type) or pa.types.is_temporal(values.type):
        return pc.cast(values, pa.string())
    return pa.array([None if cell is None else _spelled(cell) for cell in values.to_pylist()], pa.string())


def _json(values: pa.Array) -> pa.Array:
    """A column as JSON values; numbers and booleans as such, all else as strings, `null` where missing."""
    texts = as_text(values)
    if pa.types.is_floating(values.type):  # JSON has no infinity
        texts = pc.if_else(pc.is_finite(values), texts, pa.scalar(None, pa.string()))
    elif not _is_plain(values.type):
        coded = texts.dictionary_encode()
        escaped = [json.dumps(text, ensure_ascii=False) for text in coded.dictionary.to_pylist()]
        texts = pa.array(escaped, pa.string()).take(coded.indices)
    return pc.fill_null(texts, "null")


def _spelled(cell: object) -> str:
    if isinstance(cell, bytes):
        return cell.hex()
    return json.dumps(cell, default=str, ensure_ascii=False) if isinstance(cell, list | dict) else str(cell)


def _is_plain(dtype: pa.DataType) -> bool:
    """Return whether a value's text can hold nothing that CSV or JSON would mistake."""
    types = pa.types
    return bool(types.is_integer(dtype) or types.is_floating(dtype) or types.is_boolean(dtype))


def _quoted(texts: pa.Array) -> pa.Array:
    doubled = pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', "")
    return pc.if_else(pc.match_substring_regex(texts, _NEEDS_QUOTES), doubled, texts)


def _neutral(texts: pa.Array) -> pa.Array:
    starts = pc.match_substring_regex(texts, f"^[{FORMULA_STARTS}]")
    formula = pc.and_not(starts, pc.match_substring_regex(texts, f"^{PLAIN_NUMBER}$"))
    return pc.if_else(formula, pc.binary_join_element_wise("'", texts, ""), texts)


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
