"""One Parquet or Arrow file, read a block of rows at a time and counted on the way.

pyarrow.dataset would read the same files. On 2 million rows of 20 columns its scanner took 1.2 times as long and 410
MiB instead of 362 (readahead), and it cannot start in the middle of an Arrow file, which processes that share one do.

What a file says of its own size may be wrong, and a value that repeats takes next to nothing in it. So what the
footer states is held against the limit first; text is read as dictionaries, and blocks are added up as they come.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lossval_cli.errors import ReadError
from lossval_cli.limits import MAX_FOOTER_ITEMS, MAX_FOOTER_STRING, check_columns, too_large
from lossval_cli.tables.column_types import is_text
from lossval_cli.tables.stored_types import is_left_out
from lossval_cli.text.format import duplicate_names, format_name

MAGIC = b"PAR1"
ARROW_MAGIC = b"ARROW1"
STREAM_MAGIC = b"\xff\xff\xff\xff"
"""The first bytes of an Arrow IPC stream."""

BLOCK_ROWS = 1 << 14
"""Rows decoded at once, if they are not long."""

BLOCK_BYTES = 64 << 20
"""Most bytes of a block of rows without text."""

BUFFERS = 64 << 20
"""Of all columns, where a file is read in parts."""

_DELTAS = {"DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"}
"""Encodings of text that the library cannot read as dictionaries."""


class ParquetReader:
    """The row groups of one Parquet file. `name` is for messages, `limit` is what it may become when decoded."""

    form = "Parquet"

    def __init__(self, source: bytes | Path, name: str, limit: int) -> None:
        """Raise ReadError where it is damaged or past a limit."""
        self.name = format_name(name)
        self.decoded = 0
        """Bytes of the blocks of the present pass so far."""
        self._limit = limit
        self._stored = len(source) if isinstance(source, bytes) else source.stat().st_size
        if not _is_whole(source, self._stored):
            raise ReadError(f"{self.name} is not a whole Parquet file; it is damaged or cut short")
        with reading(self.name, self.form):
            file = open_parquet(source)
            metadata = file.metadata
            check_columns(self.name, metadata.num_columns)
            self.schema: pa.Schema = file.schema_arrow
            check_names(self.schema.names, name)
            leaves = [file.schema.column(i) for i in range(metadata.num_columns)]
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
            self.rows = [int(group.num_rows) for group in groups]
            if min(self.rows, default=0) < 0 or sum(self.rows) != metadata.num_rows:
                raise ReadError(f"{self.name} is damaged: its row groups and its number of rows differ")
            row = sum(max(leaf.length, 8) for leaf in leaves)
            if sum(max(group.total_byte_size, group.num_rows * row) for group in groups) > limit:
                raise too_large(self.name, limit, self._stored)
            repeating = [
                leaf.name
                for i, leaf in enumerate(leaves)
                if leaf.path == leaf.name
                and is_bytes(self.schema.field(leaf.name).type)
                and not any(_DELTAS & set(group.column(i).encodings) for group in groups)
            ]
            self._file = open_parquet(
                source,
                metadata=metadata,
                read_dictionary=repeating,
                buffer_size=0 if isinstance(source, bytes) else BUFFERS // (64 + len(leaves)),
            )
        self._block_rows = max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(row, 1)))

    def blocks(
        self, groups: Sequence[int] | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Rows of some row groups (None: all) in order, each block with its group; of some columns (None: all) those
        that are read. Raises ReadError."""
        names = read_columns(self.schema, columns)
        self.decoded = 0
        for group in range(len(self.rows)) if groups is None else groups:
            if not names:
                yield group, only_rows(self.rows[group])
                continue
            left = self.rows[group]
            with reading(self.name, self.form):
                for batch in self._file.iter_batches(
                    self._block_rows, row_groups=[group], columns=names, use_threads=False
                ):
                    batch.validate(full=True)  # text that is not UTF-8, indices out of range
                    left -= batch.num_rows
                    self.decoded += decoded_size(batch)
                    if self.decoded > self._limit:
                        raise too_large(self.name, self._limit, self._stored)
                    if left < 0:
                        break
                    yield group, batch
            if left:
                raise ReadError(f"{self.name} is corrupt: it does not have the number of rows that its footer declares")


class ArrowReader:
    """The record batches of one Arrow IPC file (Feather 2) or stream. Arguments are those of ParquetReader."""

    form = "an Arrow file"

    def __init__(
        self,
        source: bytes | Path,
        name: str,
        limit: int,
        largest: int | None = None,
        rows: list[int] | None = None,
    ) -> None:
        """`largest`: bytes that one batch may take, None: as many as all. rows: of each batch, if they have been
        counted before; the library has no count of them without a column. Raises ReadError where the file is damaged
        or past a limit."""
        self.name = format_name(name)
        self.decoded = 0
        self._limit = limit
        self._largest = largest
        self._source = source
        self._stored = len(source) if isinstance(source, bytes) else source.stat().st_size
        with reading(self.name, self.form):
            file = self._open(None)
            self.schema: pa.Schema = file.schema
            check_columns(self.name, len(self.schema.names))
            check_names(self.schema.names, name)
            self.rows = list(rows or ())
            for batch in () if rows else self._batches(self._open(_narrowest(self.schema)), None):
                self.rows.append(batch.num_rows)
                if 8 * sum(self.rows) * max(1, len(self.schema.names)) > limit:
                    raise too_large(self.name, limit, self._stored)

    def blocks(
        self, groups: Sequence[int] | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield some record batches (None: all) in order, each with its number; of some columns (None: all) those that
        are read. Raises ReadError."""
        names = read_columns(self.schema, columns)
        wanted = list(range(len(self.rows)) if groups is None else groups)
        self.decoded = 0
        if not names:
            yield from ((group, only_rows(self.rows[group])) for group in wanted)
            return
        with reading(self.name, self.form):
            batches = self._batches(self._open([self.schema.names.index(name) for name in names]), wanted)
        for group in wanted:
            with reading(self.name, self.form):
                batch = next(batches)
                batch.validate(full=True)
                size = decoded_size(batch)
            self.decoded += size
            if self.decoded > self._limit:
                raise too_large(self.name, self._limit, self._stored)
            if self._largest is not None and batch.nbytes > self._largest:
                raise ReadError(
                    f"{self.name} has a record batch of {batch.nbytes >> 20:,} MiB, and at most "
                    f"{self._largest >> 20:,} are read at once: write it with smaller batches, or as Parquet"
                )
            if batch.num_rows != self.rows[group] or batch.schema.names != names:
                raise ReadError(f"{self.name} is corrupt: it does not have the number of rows that its footer declares")
            yield group, batch

    def _open(self, fields: list[int] | None) -> pa.RecordBatchFileReader | pa.RecordBatchStreamReader:
        source, options = open_source(self._source), pa.ipc.IpcReadOptions(included_fields=fields or [])
        open_as = pa.ipc.open_stream if source.read(4) == STREAM_MAGIC else pa.ipc.open_file
        source.seek(0)
        return open_as(source, options=options)

    def _batches(self, file: pa.RecordBatchFileReader, groups: list[int] | None) -> Iterator[pa.RecordBatch]:
        if hasattr(file, "get_batch"):
            yield from map(file.get_batch, range(file.num_record_batches) if groups is None else groups)
            return
        yield from (batch for i, batch in enumerate(file) if groups is None or i in groups)


def _narrowest(schema: pa.Schema) -> list[int]:
    """The column that is read with least effort, if there is one."""
    if not schema.names:
        return []

    def bits(i: int) -> int:
        try:
            return int(schema.field(i).type.bit_width)
        except ValueError:  # text and nested types
            return 1 << 20

    return [min(range(len(schema.names)), key=bits)]


def open_reader(
    source: bytes | Path, name: str, limit: int, largest: int | None = None, rows: list[int] | None = None
) -> ParquetReader | ArrowReader:
    """The reader of a file by its first bytes. `largest` and `rows` are for Arrow. Raises ReadError."""
    head = source[:6] if isinstance(source, bytes) else _head(source)
    if head.startswith((ARROW_MAGIC, STREAM_MAGIC)):
        return ArrowReader(source, name, limit, largest, rows)
    return ParquetReader(source, name, limit)


def open_parquet(source: bytes | Path, **options: object) -> pq.ParquetFile:
    """A file within the limits on its footer. INT96 as microseconds: as nanoseconds the year 9999 becomes 1816."""
    return pq.ParquetFile(
        open_source(source),
        coerce_int96_timestamp_unit="us",
        thrift_string_size_limit=MAX_FOOTER_STRING,
        thrift_container_size_limit=MAX_FOOTER_ITEMS,
        **options,
    )


def open_source(source: bytes | Path) -> pa.NativeFile:
    """The bytes of a file, or the file, for the library to read."""
    return pa.BufferReader(source) if isinstance(source, bytes) else pa.OSFile(os.fsencode(source))


@contextlib.contextmanager
def reading(name: str, what: str) -> Iterator[None]:
    """Raise what a library says of a damaged file as a ReadError; `name` fit for a message."""
    try:
        yield
    except StopIteration as error:
        raise ReadError(f"{name} cannot be read as {what}: it is cut short") from error
    except (pa.ArrowException, OSError, MemoryError, ValueError, UnicodeDecodeError, RecursionError) as error:
        lines = str(error).splitlines()
        reason = lines[0][:160] if lines else type(error).__name__
        raise ReadError(f"{name} cannot be read as {what}: {reason}") from error


def check_names(names: Sequence[str], name: str) -> None:
    """Raise SchemaError when two columns have one name."""
    doubled = [column for column, times in Counter(names).items() if times > 1]
    if doubled:
        raise duplicate_names(format_name(name), doubled)


def decoded_size(batch: pa.RecordBatch) -> int:
    """Bytes of a block, with dictionaries of text or bytes written out."""
    return sum(map(_written_out, batch.columns))


def _written_out(column: pa.Array) -> int:
    kind = column.type
    if pa.types.is_run_end_encoded(kind):
        return 8 * len(column)
    if not pa.types.is_dictionary(kind) or not is_bytes(kind.value_type):
        return max(int(column.nbytes), 8 * len(column))
    lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
    return 8 * len(column) + int(pc.sum(lengths.cast(pa.int64())).as_py() or 0)


def read_columns(schema: pa.Schema, columns: Sequence[str] | None) -> list[str]:
    """Return the `columns` (None: all) that are read at all, in the order of the schema."""
    return [
        field.name for field in schema if not is_left_out(field.type) and (columns is None or field.name in columns)
    ]


def only_rows(rows: int) -> pa.RecordBatch:
    """Return `rows` rows without any content of the file: a batch without columns has no rows."""
    return pa.RecordBatch.from_arrays([pa.nulls(rows)], [""])


def is_bytes(kind: pa.DataType) -> bool:
    """Return whether values of a type may have any length."""
    return bool(not _is_view(kind) and (is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)))


def _is_view(kind: pa.DataType) -> bool:
    return str(kind) in ("string_view", "binary_view")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(ARROW_MAGIC))


def _is_whole(source: bytes | Path, size: int) -> bool:
    if size <= 8:
        return False
    if isinstance(source, bytes):
        return source[:4] == MAGIC == source[-4:]
    with source.open("rb") as file:
        begins = file.read(4) == MAGIC
        file.seek(-4, 2)
        return begins and file.read(4) == MAGIC
