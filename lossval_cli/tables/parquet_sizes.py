"""How large the pages of a Parquet file become, by their own headers, before any of it is decoded.

The library allocates what the header of a page says, up to 2 GiB for a few bytes that repeat, whatever the
footer says, and damaged figures of a column can end its process: here they are only numbers. Footer and
headers are Thrift in its compact protocol, with the fields of
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from lossval_cli.limits import MAX_EXPANSION

LARGEST = (1 << 31) // MAX_EXPANSION
"""Stored bytes from which a single page, however it was made, is within the limit."""

DELTAS = {6, 7}
"""DELTA_LENGTH_BYTE_ARRAY, of which the library makes no dictionary, and DELTA_BYTE_ARRAY: text by what it
has in common with the text before, so that a value may be as long as all before."""

LEAST = 256
"""Bytes that a page counts for at least: so many are not walked through for nothing."""

MOST_DEPTH = 32
"""Of structs in structs; Parquet itself has six."""

FEW_BYTES = 1 << 16
"""What is read for a page's header; statistics may make it long."""


class ParquetSizes(NamedTuple):
    """What is in a file: bytes of all pages once unpacked, 0 in a file of LARGEST bytes or more; values
    of columns and of parts of lists and records, by path; columns of text that may grow once more when it is
    decoded."""

    bytes: int
    values: dict[str, int]
    growing: frozenset[str]


def parquet_sizes(file: BinaryIO, most: int) -> ParquetSizes:
    """Of an open Parquet file; bytes are counted until they are more than `most`. Where a footer or header
    is damaged what was found before it counts: the library reads no further either."""
    total = 0
    values: dict[str, int] = {}
    growing: set[str] = set()
    end = file.seek(0, 2)
    for chunk in _chunks(file):
        encodings, path = chunk.get(2), _path(chunk)
        if isinstance(encodings, list) and not DELTAS.isdisjoint(filter(_whole, encodings)):
            growing.update(path[:1])
        found = 0
        for header in _headers(file, chunk, end) if end < LARGEST else ():
            total += max(_whole(header.get(2)), LEAST)
            found += _values(header)
            if total > most:
                break
        values[".".join(path)] = values.get(".".join(path), 0) + max(_whole(chunk.get(5)), found)
    return ParquetSizes(total, values, frozenset(growing))


def _path(chunk: dict[int, Any]) -> list[str]:
    path = chunk.get(3)
    parts = path if isinstance(path, list) else []
    return [part.decode("utf-8", "replace") for part in parts if isinstance(part, bytes)]


def _chunks(file: BinaryIO) -> Iterator[dict[int, Any]]:
    """ColumnMetaData of every chunk in the footer."""
    end = file.seek(0, 2)
    if end < 12:
        return
    file.seek(end - 8)
    length = int.from_bytes(file.read(4), "little")
    file.seek(max(end - 8 - length, 0))
    try:
        footer = _struct(io.BytesIO(file.read(min(length, end))))
    except (ValueError, RecursionError):
        return
    for group in _dicts(footer.get(4)):
        for column in _dicts(group.get(1)):
            yield from _dicts([column.get(3)])


def _headers(file: BinaryIO, chunk: dict[int, Any], end: int) -> Iterator[dict[int, Any]]:
    """PageHeader of every page of a chunk, up to as many values as it says it has."""
    at, other = _whole(chunk.get(9)), _whole(chunk.get(11))
    at = other if 0 < other < at else at
    end, left = min(at + _whole(chunk.get(7)), end), _whole(chunk.get(5))
    while 0 <= at < end and left > 0:
        file.seek(at)
        head = io.BytesIO(file.read(FEW_BYTES))
        try:
            header = _struct(head)
        except (ValueError, RecursionError):
            return
        yield header
        left -= _values(header)
        at += head.tell() + max(_whole(header.get(3)), 0)


def _values(header: dict[int, Any]) -> int:
    return sum(max(_whole(inner.get(1)), 0) for inner in _dicts([header.get(5), header.get(8)]))


def _dicts(found: Any) -> list[dict[int, Any]]:
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _whole(found: Any) -> int:
    return found if isinstance(found, int) else 0


def _struct(data: io.BytesIO, depth: int = 0) -> dict[int, Any]:
    """A struct as {number of the field: value}; unknown fields too."""
    if depth > MOST_DEPTH:
        raise ValueError("nested too deeply")
    fields: dict[int, Any] = {}
    number = 0
    while head := _byte(data):
        step, kind = head >> 4, head & 15
        number = number + step if step else _signed(data)
        fields[number] = kind == 1 if kind in (1, 2) else _value(data, kind, depth)
    return fields


def _value(data: io.BytesIO, kind: int, depth: int) -> Any:
    if kind in (1, 2, 3):
        return _byte(data)
    if kind in (4, 5, 6):
        return _signed(data)
    if kind in (7, 8):
        return _bytes(data, 8 if kind == 7 else _varint(data))
    if kind in (9, 10):
        head = _byte(data)
        count = head >> 4 if head >> 4 < 15 else _varint(data)
        return [_value(data, head & 15, depth + 1) for _ in range(count)]
    if kind == 11:
        count = _varint(data)
        kinds = _byte(data) if count else 0
        for _ in range(count):
            _value(data, kinds >> 4, depth + 1)
            _value(data, kinds & 15, depth + 1)
        return None
    if kind == 12:
        return _struct(data, depth + 1)
    raise ValueError(f"no type {kind}")


def _byte(data: io.BytesIO) -> int:
    found = data.read(1)
    if not found:
        raise ValueError("cut short")
    return found[0]


def _bytes(data: io.BytesIO, size: int) -> bytes:
    found = data.read(size)
    if len(found) < size:
        raise ValueError("cut short")
    return found


def _varint(data: io.BytesIO) -> int:
    found = 0
    for place in range(10):
        byte = _byte(data)
        found |= (byte & 127) << (7 * place)
        if byte < 128:
            return found
    raise ValueError("a number without end")


def _signed(data: io.BytesIO) -> int:
    found = _varint(data)
    return (found >> 1) ^ -(found & 1)
