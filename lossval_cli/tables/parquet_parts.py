"""One Parquet file, decoded a block of rows at a time and counted on the way.

What a file says of its own size may be a lie, and a value that repeats takes next to nothing in it. So text
is read as dictionaries, lists and records not at all, since no column of ours is made of them, and the sizes
that blocks have when written out are added up.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lossval_cli.errors import ReadError
from lossval_cli.limits import check_columns, too_large
from lossval_cli.tables.column_types import is_text
from lossval_cli.tables.parquet_sizes import parquet_sizes
from lossval_cli.text.format import duplicate_names, format_name

MAGIC = b"PAR1"

BLOCK_ROWS = 1 << 14
"""Rows decoded at once, if they are not long."""

BLOCK_BYTES = 64 << 20
"""What a block of rows that are no text takes at most."""

GROWING_ROWS = 256
"""Rows decoded at once where each value may be as long as all before it together."""

GROWING_BYTES = 64 << 20
"""What a block of such rows takes at most, if one row does not take more."""

BUFFERS = 64 << 20
"""Of all columns, where a file is read in parts."""


class ParquetParts:
    """The row groups of one file. `name` is for messages, `limit` is what it may become when decoded."""

    form = "Parquet"

    def __init__(self, source: bytes | Path, name: str, limit: int) -> None:
        """Raises ReadError where it is damaged or past a limit."""
        self.name = format_name(name)
        self.decoded = 0
        """Bytes of the blocks of the present pass so far."""
        self._limit = limit
        self._stored = len(source) if isinstance(source, bytes) else source.stat().st_size
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            if not _is_whole(file):
                raise ReadError(f"{self.name} is not a whole Parquet file; it is damaged or cut short")
            sizes = parquet_sizes(file, limit)
        if sizes.bytes > limit:
            raise too_large(self.name, limit, self._stored)
        with reading(self.name, self.form):
            file = pq.ParquetFile(opened(source))
            check_columns(self.name, file.metadata.num_columns)
            self.schema: pa.Schema = file.schema_arrow
            check_names(self.schema.names, name)
            leaves = [file.schema.column(place) for place in range(file.metadata.num_columns)]
            # Only figures of row groups are used: on damaged files those of columns can end the process.
            groups = [file.metadata.row_group(group) for group in range(file.metadata.num_row_groups)]
            self.rows = [int(group.num_rows) for group in groups]
            if min(self.rows, default=0) < 0 or sum(self.rows) != file.metadata.num_rows:
                raise ReadError(f"{self.name} is damaged: its row groups and its number of rows differ")
            row = sum(max(leaf.length, 8) for leaf in leaves)
            if sum(max(group.total_byte_size, group.num_rows * row) for group in groups) > limit:
                raise too_large(self.name, limit, self._stored)
            repeating = [
                field.name for field in self.schema if is_bytes(field.type) and field.name not in sizes.growing
            ]
            self._file = pq.ParquetFile(
                opened(source),
                metadata=file.metadata,
                read_dictionary=repeating,
                buffer_size=0 if isinstance(source, bytes) else BUFFERS // (64 + len(leaves)),
            )
        most = min(GROWING_ROWS, GROWING_BYTES // max(sizes.bytes, 1)) if sizes.growing else BLOCK_ROWS
        self._block_rows = max(1, min(most, BLOCK_BYTES // max(row, 1)))

    def blocks(
        self, groups: Sequence[int] | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Rows of some row groups (None: all) in order, each block with its group; of some columns (None:
        all) those that are no lists or records. Raises ReadError."""
        flat = flat_columns(self.schema, columns)
        self.decoded = 0
        for group in range(len(self.rows)) if groups is None else groups:
            if not flat:
                yield group, only_rows(self.rows[group])
                continue
            left = self.rows[group]
            with reading(self.name, self.form):
                for batch in self._file.iter_batches(
                    self._block_rows, row_groups=[group], columns=flat, use_threads=False
                ):
                    batch.validate(full=True)  # text that is not UTF-8, indices out of range
                    left -= batch.num_rows
                    self.decoded += sum(decoded_size(column) for column in batch.columns)
                    if self.decoded > self._limit:
                        raise too_large(self.name, self._limit, self._stored)
                    if left < 0:
                        break
                    yield group, batch
            if left:
                raise ReadError(f"{self.name} is damaged: it has not as many rows as it says")


@contextlib.contextmanager
def reading(name: str, what: str) -> Iterator[None]:
    """What a library says of a damaged file, as a ReadError; `name` fit for a message."""
    try:
        yield
    except (pa.ArrowException, OSError, MemoryError, ValueError, UnicodeDecodeError, RecursionError) as error:
        lines = str(error).splitlines()
        reason = lines[0][:160] if lines else type(error).__name__
        raise ReadError(f"{name} cannot be read as {what}: {reason}") from error


def check_names(names: Sequence[str], name: str) -> None:
    """Raise SchemaError when two columns have one name."""
    doubled = [column for column, times in Counter(names).items() if times > 1]
    if doubled:
        raise duplicate_names(format_name(name), doubled)


def decoded_size(column: pa.Array) -> int:
    """Bytes of a column of a block; of a dictionary of text or bytes those it has when written out, in lists
    and records too."""
    kind = column.type
    if pa.types.is_struct(kind):
        return 8 * len(column) + sum(map(decoded_size, column.flatten()))
    if pa.types.is_map(kind):
        ends = column.offsets
        start, many = ends[0].as_py(), ends[-1].as_py() - ends[0].as_py()
        return 8 * len(column) + sum(decoded_size(part.slice(start, many)) for part in (column.keys, column.items))
    if pa.types.is_nested(kind):
        return 8 * len(column) + decoded_size(column.flatten())
    if not pa.types.is_dictionary(kind):
        return max(int(column.nbytes), 8 * len(column))
    if not is_bytes(kind.value_type):
        fixed = kind.value_type.byte_width if pa.types.is_fixed_size_binary(kind.value_type) else 0
        return (8 + fixed) * len(column)
    lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
    return 8 * len(column) + int(pc.sum(lengths.cast(pa.int64())).as_py() or 0)


def is_nested(kind: pa.DataType) -> bool:
    """Whether values of a type are lists or records, or such are its categories; JSON is both."""
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    if isinstance(inner, pa.BaseExtensionType):
        return is_nested(inner.storage_type) or is_bytes(inner.storage_type)
    return bool(pa.types.is_nested(inner) or pa.types.is_run_end_encoded(inner))


def flat_columns(schema: pa.Schema, columns: Sequence[str] | None) -> list[str]:
    """Those of `columns` (None: of all) that are no lists or records, in the order of the schema."""
    return [field.name for field in schema if not is_nested(field.type) and (columns is None or field.name in columns)]


def only_rows(rows: int) -> pa.RecordBatch:
    """So many rows of nothing that is in a file: a batch without columns has none."""
    return pa.RecordBatch.from_arrays([pa.nulls(rows)], [""])


def is_bytes(kind: pa.DataType) -> bool:
    """Whether values of a type may have any length."""
    return bool(is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def opened(source: bytes | Path) -> pa.NativeFile:
    """The bytes of a file, or the file, for the library to read."""
    return pa.BufferReader(source) if isinstance(source, bytes) else pa.OSFile(os.fsencode(source))


def _is_whole(file: BinaryIO) -> bool:
    size = file.seek(0, 2)
    file.seek(0)
    begins = file.read(4) == MAGIC
    file.seek(max(size - 4, 0))
    return begins and size > 8 and file.read(4) == MAGIC
