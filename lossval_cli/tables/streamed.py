"""Parquet and Arrow files that stay where they are: columns, rows and blocks are read when asked for.

A column is read whole, one at a time; blocks of rows are read in the order of the files. Nothing else of the
table is ever in memory. Fragments are passed over or read: row groups of Parquet, record batches of Arrow.
Several processes may read a column or rows together, each from its own fragments. A file that is not what it
was when it was first looked at is refused.
"""

from __future__ import annotations

import copy
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.errors import ReadError
from lossval_cli.limits import FREE_PARQUET_BYTES, MAX_EXPANSION, too_large
from lossval_cli.tables.files import Listed
from lossval_cli.tables.parquet import (
    ARROW_MAGIC,
    BLOCK_ROWS,
    MAGIC,
    ArrowReader,
    ParquetReader,
    decoded_size,
    open_reader,
    reading,
)
from lossval_cli.tables.stored_types import (
    as_declared,
    as_schema,
    common_schema,
    is_binary,
    notice_of_bytes,
    text_in_bytes,
    with_partitions,
)
from lossval_cli.text.format import format_name

LARGEST_BATCH = 256 << 20
"""Bytes of a record batch of an Arrow file, which is read at once."""

LARGEST_PIECE = 64 << 20
"""Bytes of a block once its text is written out; a larger one is cut, down to single rows."""

FIRST_ROWS = 1 << 10
"""Rows from which the size of a row is estimated."""

Share = Callable[[pa.Table], Sequence[pa.Table]]
"""A table of this process -> those of all processes, in their order."""


class StreamedTable:
    """The rows of one or more files of one format. Has what is used of a pyarrow.Table."""

    ends: npt.NDArray[np.int64]
    """(fragments,) rows of the table up to the end of each."""

    def __init__(self, files: Sequence[Listed], name: str) -> None:
        """Raise ReadError for damaged files and SchemaError for columns that do not fit together."""
        self.files = files
        self.name = name
        self._files = [_File(file, os.stat(file.path)) for file in files]
        self._stored = sum(file.stamp.st_size for file in self._files)
        # No limit but that of expansion: nothing holds all of it at once.
        self._limit = max(FREE_PARQUET_BYTES, MAX_EXPANSION * self._stored)
        self._rows: list[list[int]] = []
        schemas, needed = [], 0
        for file in self._files:
            reader = file.open(self._limit)
            self._rows.append(reader.rows)
            with reading(reader.name, reader.form):
                few = as_declared(reader.schema.empty_table(), reader.schema, 0)
                schemas.append(with_partitions(few, file.listed.relative, 0).schema.remove_metadata())
            needed += 8 * sum(reader.rows) * len(reader.schema.names)
            if needed > self._limit:
                raise too_large(format_name(self.name), self._limit, self._stored)
        self.schema: pa.Schema = common_schema(schemas, [file.listed.relative for file in self._files], name)
        if not self.schema.names:
            raise ReadError(f"{format_name(name)} has no columns")
        self.ends = np.cumsum([many for rows in self._rows for many in rows], dtype=np.int64)
        self.num_rows = sum(map(sum, self._rows))
        self._own: slice | None = None
        self._share: Share | None = None
        self.notices: tuple[str, ...] = ()
        if not any(is_binary(field.type) for field in self.schema):
            return
        if texts := text_in_bytes(self.take(np.arange(min(FIRST_ROWS, self.num_rows)))):
            kinds = [field.with_type(pa.string()) if field.name in texts else field for field in self.schema]
            self.schema = pa.schema(kinds)
            self.notices = (notice_of_bytes(name, texts),)

    def read_together(self, own: slice, share: Share) -> StreamedTable:
        """The same rows; when a column or rows are asked for, this process reads the range `own` alone and
        gets the others by `share`. All have to ask for the same, in the same order."""
        together = copy.copy(self)
        together._own, together._share = own, share
        return together

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, in the order of the first file."""
        return list(self.schema.names)

    def __getitem__(self, column: str) -> pa.ChunkedArray:
        """Read one column now."""
        empty = pa.schema([self.schema.field(column)]).empty_table()
        own = pa.concat_tables([empty, *(block for _, block in self.blocks(self._own, columns=[column]))])
        return (own if self._share is None else pa.concat_tables(self._share(own)))[column]

    def take(self, rows: Any) -> pa.Table:
        """The rows with numbers `rows` (k,), in that order."""
        numbers = np.asarray(rows, np.int64)
        order = np.argsort(numbers, kind="stable")
        wanted = numbers[order]
        if self._own is not None:
            wanted = _within(wanted, self._own.start, self._own.stop - self._own.start)
        parts = [
            block.take(pa.array(here - start))
            for start, block in self.blocks(self._own, wanted)
            if len(here := _within(wanted, start, block.num_rows))
        ]
        table = pa.concat_tables(parts) if parts else self.schema.empty_table()
        if self._share is not None:
            table = pa.concat_tables(self._share(table))
        if np.array_equal(order, np.arange(len(order))):
            return table
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return table.take(pa.array(back))

    def row_bytes(self) -> float:
        """Bytes of a row once read, from the first rows."""
        first = self.take(np.arange(min(FIRST_ROWS, self.num_rows)))
        return max(1.0, int(first.nbytes) / max(1, int(first.num_rows)))  # columns without a value take nothing

    def blocks(
        self,
        own: slice | None = None,
        wanted: npt.NDArray[np.int64] | None = None,
        columns: list[str] | None = None,
    ) -> Iterator[tuple[int, pa.Table]]:
        """Blocks of rows in order, each with the number of its first row: of the range `own`, or those that
        hold one of the sorted rows `wanted`; all `columns` or some. Fragments without any are not read.

        Raises ReadError for damage, for a file that is not what it was, and past a limit.
        """
        start, stop = (0, self.num_rows) if own is None else (own.start, own.stop)
        if wanted is not None:
            stop = min(stop, int(wanted[-1]) + 1) if len(wanted) else start
        for begin, block in self._blocks(columns, start, stop, wanted):
            low, high = max(begin, start), min(begin + block.num_rows, stop)
            if low < high and (wanted is None or len(_within(wanted, begin, block.num_rows))):
                yield low, block.slice(low - begin, high - low)

    def _blocks(
        self, columns: list[str] | None, start: int, stop: int, wanted: npt.NDArray[np.int64] | None
    ) -> Iterator[tuple[int, pa.Table]]:
        """Blocks of the fragments that hold rows of a range, of some columns, until its end."""
        first, before = 0, 0
        for file, rows in zip(self._files, self._rows, strict=True):
            begins = first + np.cumsum([0, *rows])
            first = int(begins[-1])
            groups = [
                group
                for group, many in enumerate(rows)
                if begins[group] < stop
                and begins[group + 1] > start
                and (wanted is None or len(_within(wanted, int(begins[group]), many)))
            ]
            if not groups:
                continue
            reader = file.open(self._limit, rows)
            if reader.rows != rows:
                raise file.changed()
            names = None if columns is None else [name for name in columns if name in reader.schema.names]
            row, current = 0, -1
            for group, batch in reader.blocks(groups, names):
                row = row if group == current else int(begins[group])
                current = group
                if row >= stop:
                    break
                if before + reader.decoded > self._limit:
                    raise too_large(format_name(self.name), self._limit, self._stored)
                for piece in _pieces(batch):
                    with reading(format_name(self.name), reader.form):
                        block = self._fitted(piece, reader.schema, columns, file.listed.relative)
                    yield row, block
                    row += block.num_rows
            before += reader.decoded
            file.check()
            pa.default_memory_pool().release_unused()

    def _fitted(self, batch: pa.RecordBatch, schema: pa.Schema, columns: list[str] | None, relative: str) -> pa.Table:
        """A block as a table of all columns, or of some, with the types of this table."""
        fields = [self.schema.field(name) for name in columns or self.schema.names]
        names = {field.name for field in fields}
        read = pa.schema([field for field in schema if field.name in names], schema.metadata)
        table = as_declared(pa.Table.from_batches([batch]), read, batch.num_rows)
        table = with_partitions(table, relative, batch.num_rows)
        return as_schema(table, pa.schema(fields))


class _File(NamedTuple):
    """A file, and what the system said of it when it was first looked at."""

    listed: Listed
    stamp: os.stat_result

    def open(self, limit: int, rows: list[int] | None = None) -> ParquetReader | ArrowReader:
        """A reader of it; rows: of its fragments, once they are known.

        Raises ReadError where it is damaged, or has changed since.
        """
        self.check()
        return open_reader(Path(self.listed.path), self.listed.path, limit, LARGEST_BATCH, rows)

    def check(self) -> None:
        """Raise ReadError where it is another file, longer, shorter or newer."""
        try:
            now = os.stat(self.listed.path)
        except OSError as error:
            raise self.changed() from error
        if any(getattr(now, of) != getattr(self.stamp, of) for of in _OF_A_FILE):
            raise self.changed()

    def changed(self) -> ReadError:
        """The error for a file that is not what it was."""
        return ReadError(
            f"{format_name(self.listed.path)} has changed while it was read: start again when nothing writes to it"
        )


_OF_A_FILE = ("st_dev", "st_ino", "st_size", "st_mtime_ns")


def can_stay(files: Sequence[Listed]) -> bool:
    """Return whether these files can be read in parts: all Parquet, or all Arrow files."""
    begins = {_begins(file.path) for file in files}
    return begins in ({MAGIC}, {ARROW_MAGIC})


def _begins(path: str) -> bytes:
    """The magic of one of the two formats, if the file has one; what can be read once is not looked into."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return b""
        with Path(path).open("rb") as file:
            head = file.read(len(ARROW_MAGIC))
    except OSError:
        return b""
    return next((magic for magic in (MAGIC, ARROW_MAGIC) if head.startswith(magic)), b"")


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A block in halves of halves, until each takes little when its text is written out."""
    many = batch.num_rows > BLOCK_ROWS
    if batch.num_rows > 1 and (many or decoded_size(batch) > LARGEST_PIECE):
        middle = batch.num_rows // 2
        yield from _pieces(batch.slice(0, middle))
        yield from _pieces(batch.slice(middle))
    else:
        yield batch


def _within(numbers: npt.NDArray[np.int64], start: int, rows: int) -> npt.NDArray[np.int64]:
    """Return the sorted row `numbers` that lie in `rows` rows from `start` on."""
    low, high = np.searchsorted(numbers, [start, start + rows])
    return numbers[low:high]
