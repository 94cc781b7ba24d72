"""JSON to columns: one object per line (JSON lines), or an array of objects."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.json

from lossval_cli.errors import ReadError
from lossval_cli.limits import check_columns
from lossval_cli.text.format import format_name

_BLOCK_BYTES = 16 << 20
_OBJECT = re.compile(rb'\{\s*("|\})')
_ARRAY = re.compile(rb"\[\s*(\{|\[|\])")


@dataclass(frozen=True)
class JsonRows:
    """Columns as stored, and for JSON lines the (N,) lines of the rows."""

    data: pa.Table
    lines: npt.NDArray[np.int64] | None


def is_json(data: bytes) -> bool:
    """Return whether text begins with an object or an array of objects."""
    head = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    return bool(_OBJECT.match(head) or _ARRAY.match(head))


def read_json(data: bytes, name: str) -> JsonRows:
    """Read JSON lines or an array of objects. `name` is for messages.

    A column of numbers and text together becomes text, each cell as it stands in the file. Raises ReadError with the
    line of what is not JSON.
    """
    name = format_name(name)
    data = data.removeprefix(b"\xef\xbb\xbf")
    if _ARRAY.match(data[:4096].lstrip()):
        rows = _load(data, name)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ReadError(f"{name} is JSON, but not an array of objects: save one object per row")
        return JsonRows(_from_rows(rows, name), None)
    lines = np.array([i for i, _ in _rows(data)], np.int64)
    longest = max(map(len, data.split(b"\n")))
    try:
        table = pa.json.read_json(
            io.BytesIO(data),
            read_options=pa.json.ReadOptions(block_size=max(_BLOCK_BYTES, 2 * longest)),
            parse_options=pa.json.ParseOptions(newlines_in_values=False),
        )
    except pa.ArrowException:  # mixed types, or not JSON: said with the line
        table = None
    if table is None or table.num_rows != len(lines):
        first = data.lstrip()
        if b"\n" in first and not _parses(first.split(b"\n", 1)[0]) and _parses(data):
            raise ReadError(f"{name} is one JSON object, not a table: save one object per line, or an array of objects")
        table = _from_rows([_load(row, name, line) for line, row in _rows(data)], name)
    if table.num_rows == 1 and any(pa.types.is_nested(field.type) for field in table.schema):
        raise ReadError(
            f"{name} is one JSON object that holds others, not a table: save one object per row "
            '(pandas: to_json(orient="records"))'
        )
    check_columns(name, table.num_columns)
    return JsonRows(table, lines)


def _from_rows(rows: list[Any], name: str) -> pa.Table:
    """Columns in the order in which they are first named; missing keys are missing cells."""
    if not rows:
        raise ReadError(f"{name} has no rows")
    names = list(dict.fromkeys(key for row in rows for key in row))
    check_columns(name, len(names))
    if not names:
        raise ReadError(f"{name} has no columns")
    return pa.table({column: _column([row.get(column) for row in rows]) for column in names})


def _column(cells: list[Any]) -> pa.Array:
    try:
        return pa.array(cells)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array(
            [None if cell is None else cell if isinstance(cell, str) else json.dumps(cell) for cell in cells]
        )


def _load(text: bytes, name: str, line: int | None = None) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" line {line or getattr(error, 'lineno', 1)}"
        raise ReadError(f"{name}{where} is not JSON: {getattr(error, 'msg', error)}") from None
    if line is not None and not isinstance(value, dict):
        raise ReadError(f"{name} line {line} is JSON, but not an object: save one object per row")
    return value


def _parses(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _rows(data: bytes) -> list[tuple[int, bytes]]:
    return [(i, line) for i, line in enumerate(data.split(b"\n"), start=1) if line.strip()]
