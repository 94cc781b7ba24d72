"""How large the record batches of an Arrow file become, before any of it is decoded.

A compressed buffer says its decoded size in its first 8 bytes, and the library takes that much memory at its
word. The footer, a flatbuffer, says where batches are: https://arrow.apache.org/docs/format/Columnar.html
"""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

MAGIC = b"ARROW1"

MOST_BLOCKS = 1 << 20
"""Batches of one file; a million rows a batch, and this is more than any disk holds."""


class BatchSize(NamedTuple):
    """Of one record batch or dictionary: rows, and bytes once decoded."""

    rows: int
    bytes: int


class ArrowSizes(NamedTuple):
    """Of one file, in its order."""

    batches: list[BatchSize]
    dictionaries: list[BatchSize]

    @property
    def bytes(self) -> int:
        """Of everything."""
        return sum(part.bytes for part in (*self.batches, *self.dictionaries))


def arrow_sizes(file: BinaryIO) -> ArrowSizes:
    """What an open Arrow IPC file says of its parts. Raises ValueError where it is damaged."""
    end = file.seek(0, 2)
    tail = _read(file, end - 10, 10, end)
    (length,) = struct.unpack("<i", tail[:4])
    if tail[4:] != MAGIC:
        raise ValueError("the end of the file is missing")
    footer = _Table.root(_read(file, end - 10 - length, length, end))
    dictionaries, batches = footer.structs(2, 24), footer.structs(3, 24)
    return ArrowSizes(
        [_size(file, block, end) for block in batches], [_size(file, block, end) for block in dictionaries]
    )


def _size(file: BinaryIO, block: bytes, end: int) -> BatchSize:
    """Of the message that a block of the footer (offset, size of the message, size of its body) points at."""
    offset, told, _ = struct.unpack("<qi4xq", block)
    head = _read(file, offset, told, end)
    prefix = 8 if head[:4] == b"\xff\xff\xff\xff" else 4
    message = _Table.root(head[prefix:])
    batch = message.table(2)
    if message.scalar(1, "<B") == 2:  # a dictionary: its values are a batch
        batch = batch.table(1)
    rows, packed = batch.scalar(0, "<q"), batch.has(3)
    total = 0
    for buffer in batch.structs(2, 16):
        start, size = struct.unpack("<qq", buffer)
        if packed and size >= 8:
            (decoded,) = struct.unpack("<q", _read(file, offset + told + start, 8, end))
            size = size - 8 if decoded == -1 else decoded
        if size < 0:
            raise ValueError("a buffer of less than no bytes")
        total += size
    if rows < 0:
        raise ValueError("a batch of less than no rows")
    return BatchSize(rows, total)


def _read(file: BinaryIO, start: int, size: int, end: int) -> bytes:
    if start < 0 or size < 0 or start + size > end:
        raise ValueError("a part lies outside the file")
    file.seek(start)
    return file.read(size)


class _Table(NamedTuple):
    """One table of a flatbuffer: fields are found through its vtable. Raises ValueError outside `data`."""

    data: bytes
    at: int

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, _number(data, 0, "<I"))

    def _field(self, number: int) -> int | None:
        table = self.at - _number(self.data, self.at, "<i")
        slot = 4 + 2 * number
        if slot + 2 > _number(self.data, table, "<H"):
            return None
        offset = _number(self.data, table + slot, "<H")
        return self.at + offset if offset else None

    def has(self, number: int) -> bool:
        return self._field(number) is not None

    def scalar(self, number: int, form: str) -> int:
        """0 where it is left out."""
        at = self._field(number)
        return 0 if at is None else _number(self.data, at, form)

    def table(self, number: int) -> _Table:
        at = self._field(number)
        if at is None:
            raise ValueError("a part is missing")
        return _Table(self.data, at + _number(self.data, at, "<I"))

    def structs(self, number: int, size: int) -> list[bytes]:
        """A vector of structs of `size` bytes; empty where it is left out."""
        at = self._field(number)
        if at is None:
            return []
        start = at + _number(self.data, at, "<I")
        count = _number(self.data, start, "<I")
        if count > MOST_BLOCKS or start + 4 + count * size > len(self.data):
            raise ValueError("a list is longer than what holds it")
        return [self.data[start + 4 + place * size : start + 4 + (place + 1) * size] for place in range(count)]


def _number(data: bytes, at: int, form: str) -> int:
    if at < 0:
        raise ValueError("a part lies outside the file")
    try:
        (found,) = struct.unpack_from(form, data, at)
    except struct.error as error:
        raise ValueError("a part lies outside the file") from error
    return int(found)
