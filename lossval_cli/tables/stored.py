"""Parquet and Arrow files that stay where they are: columns, rows and blocks are read when asked for.

A column is read whole, one at a time; blocks of rows are read in the order of the files. Nothing else of the
table is ever in memory. Whole fragments are read: row groups of Parquet, record batches of Arrow. Several
processes may read a column or rows together, each from its own fragments.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds

from lossval_cli.errors import ReadError, SchemaError
from lossval_cli.limits import check_columns
from lossval_cli.tables.sources import Listed
from lossval_cli.wording import doubled_names, plain

PARQUET, ARROW = b"PAR1", b"ARROW1"
"""First bytes of the two formats."""

BLOCK_ROWS = 1 << 14
"""Rows read at once."""

FIRST_ROWS = 1 << 10
"""Rows by which it is told how large a row is."""

_SPARING = {"batch_size": BLOCK_ROWS, "batch_readahead": 1, "fragment_readahead": 1, "use_threads": False}
"""How files are scanned: little is read ahead."""


Share = Callable[[pa.Table], Sequence[pa.Table]]
"""A table of this process -> those of all processes, in their order."""


class StoredColumns:
    """The rows of one or more files of one format. Has what is used of a pyarrow.Table."""

    ends: npt.NDArray[np.int64]
    """(fragments,) rows of the table up to the end of each."""

    def __init__(self, files: Sequence[Listed], name: str) -> None:
        """Raises ReadError for damaged files and SchemaError for columns that do not fit together."""
        self.files = files
        self.name = name
        form = "parquet" if _begins(files[0].path) == PARQUET else "ipc"
        folders = [part for file in files for part in file.relative.split("/")[:-1]]
        keys = dict.fromkeys(part.partition("=")[0] for part in folders if "=" in part)
        partitions = ds.partitioning(pa.schema([(key, pa.string()) for key in keys]), flavor="hive")
        try:
            schemas = [ds.dataset(file.path, format=form).schema for file in files]
            doubled = [column for column in schemas[0].names if schemas[0].names.count(column) > 1]
            if doubled:
                raise doubled_names(plain(name), list(dict.fromkeys(doubled)))
            for schema, file in zip(schemas, files, strict=True):
                if set(schema.names) != set(schemas[0].names):
                    raise SchemaError(
                        f"{plain(name)}: {plain(file.relative)} has other columns than the first file"
                    )
            schema = pa.unify_schemas(schemas, promote_options="permissive").remove_metadata()
            for key in keys:
                schema = schema.append(pa.field(key, pa.string()))
            paths = [file.path for file in files]
            self._dataset = ds.dataset(
                paths, schema=schema, format=form, partitioning=partitions if keys else None
            )
            self._fragments = list(_fragments(self._dataset))
            self.ends = np.cumsum([fragment.rows for fragment in self._fragments])
            self.num_rows = int(self.ends[-1])
        except (pa.ArrowException, OSError) as error:
            lines = str(error).splitlines() or [type(error).__name__]
            raise ReadError(f"{plain(name)} cannot be read: {lines[0][:160]}") from error
        check_columns(name, len(schema.names))
        self.schema = schema
        self._own: slice | None = None
        self._share: Share | None = None

    def read_together(self, own: slice, share: Share) -> StoredColumns:
        """The same rows; when a column or rows are asked for, this process reads the range `own` alone and
        gets the others by `share`. All have to ask for the same, in the same order."""
        together = copy.copy(self)
        together._own, together._share = own, share
        return together

    @property
    def column_names(self) -> list[str]:
        """In the order of the first file."""
        return list(self.schema.names)

    def __getitem__(self, column: str) -> pa.ChunkedArray:
        """One column, read now."""
        if self._share is None:
            return self._read(columns=[column])[column]
        own = [block.select([column]) for _, block in self.blocks(self._own, columns=[column])]
        empty = pa.schema([self.schema.field(column)]).empty_table()
        return pa.concat_tables(self._share(pa.concat_tables([empty, *own])))[column]

    def take(self, rows: Any) -> pa.Table:
        """The rows at places `rows` (k,), in that order."""
        places = np.asarray(rows, np.int64)
        order = np.argsort(places, kind="stable")
        wanted = places[order]
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

    def blocks(
        self,
        own: slice | None = None,
        wanted: npt.NDArray[np.int64] | None = None,
        columns: list[str] | None = None,
    ) -> Iterator[tuple[int, pa.Table]]:
        """Blocks of rows in order, each with the place of its first row: of the range `own`, or those that
        hold one of the sorted rows `wanted`; all `columns` or some. Fragments without any are not read."""
        start, stop = (0, self.num_rows) if own is None else (own.start, own.stop)
        for fragment, end in zip(self._fragments, self.ends.tolist(), strict=True):
            first = end - fragment.rows
            if end <= start or first >= stop:
                continue
            if wanted is not None and not len(_within(wanted, first, fragment.rows)):
                continue
            for block in self._blocks_of(fragment, columns or self.column_names):
                begin, first = first, first + block.num_rows
                low, high = max(begin, start), min(first, stop)
                if low < high and (wanted is None or len(_within(wanted, begin, block.num_rows))):
                    yield low, block.slice(low - begin, high - low)

    def _blocks_of(self, fragment: _Fragment, columns: list[str]) -> Iterator[pa.Table]:
        schema = pa.schema([self.schema.field(column) for column in columns])
        try:
            for batch in fragment.source.to_batches(schema=self.schema, columns=columns, **_SPARING):
                yield pa.Table.from_batches([batch], schema)
        except (pa.ArrowException, OSError) as error:
            raise self._broken(error) from error
        finally:
            pa.default_memory_pool().release_unused()

    def _read(self, columns: list[str]) -> pa.Table:
        try:
            return self._dataset.to_table(
                columns=columns,
                batch_size=BLOCK_ROWS,
                batch_readahead=1,
                fragment_readahead=1,
                use_threads=False,
            )
        except (pa.ArrowException, OSError) as error:
            raise self._broken(error) from error
        finally:
            pa.default_memory_pool().release_unused()

    def _broken(self, error: Exception) -> ReadError:
        lines = str(error).splitlines() or [type(error).__name__]
        return ReadError(f"{plain(self.name)} cannot be read: {lines[0][:160]}")

    def row_bytes(self) -> float:
        """Bytes of a row once read, from the first rows."""
        first = self.take(np.arange(min(FIRST_ROWS, self.num_rows)))
        return float(first.nbytes / max(1, first.num_rows))


@dataclass(frozen=True)
class _Fragment:
    """What is read at once or not at all."""

    source: Any
    """Has `to_batches` of a pyarrow.dataset.Fragment."""
    rows: int


def _fragments(dataset: ds.Dataset) -> Iterator[_Fragment]:
    for file in dataset.get_fragments():
        if isinstance(file, ds.ParquetFileFragment):
            for group in file.split_by_row_group():
                yield _Fragment(group, sum(part.num_rows for part in group.row_groups))
            continue
        keys = ds.get_partition_keys(file.partition_expression)
        with pa.OSFile(file.path) as source:
            reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=[0]))
            batches = reader.num_record_batches
            for at in range(batches):
                # Only the first column of a batch is read: how many rows are in each stands nowhere else.
                rows = file.count_rows() if batches == 1 else reader.get_batch(at).num_rows
                yield _Fragment(_RecordBatch(file.path, at, keys), int(rows))


class _RecordBatch(NamedTuple):
    """One of an Arrow file, to be read by itself; a Fragment of pyarrow.dataset is the whole file."""

    path: str
    number: int
    keys: dict[str, str]
    """Columns that stand in the path."""

    def to_batches(
        self, schema: pa.Schema, columns: list[str], batch_size: int, **_: object
    ) -> Iterator[pa.RecordBatch]:
        """The columns as `schema` has them, in batches of up to `batch_size` rows."""
        with pa.OSFile(self.path) as source:
            stored = pa.ipc.open_file(source).schema.names
            wanted = [stored.index(name) for name in columns if name not in self.keys] or [0]
            options = pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
            batch = pa.ipc.open_file(source, options=options).get_batch(self.number)
        parts = {}
        for name in columns:
            values = pa.repeat(self.keys[name], len(batch)) if name in self.keys else batch.column(name)
            parts[name] = values.cast(schema.field(name).type)
        yield from pa.table(parts).to_batches(max_chunksize=batch_size)


def can_stay(files: Sequence[Listed]) -> bool:
    """Whether these files can be read in parts: all Parquet, or all Arrow files."""
    begins = {_begins(file.path) for file in files}
    return begins in ({PARQUET}, {ARROW})


def _begins(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            head = file.read(len(ARROW))
    except OSError:
        return b""
    return next((magic for magic in (PARQUET, ARROW) if head.startswith(magic)), b"")


def _within(places: npt.NDArray[np.int64], start: int, rows: int) -> npt.NDArray[np.int64]:
    """Those of the sorted `places` from `start` on, `rows` long."""
    low, high = np.searchsorted(places, [start, start + rows])
    return places[low:high]
