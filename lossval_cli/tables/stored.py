"""Parquet and Arrow files that stay where they are: columns, rows and blocks are read when asked for.

A column is read whole, one at a time; blocks of rows are read in the order of the files. Nothing else of the
table is ever in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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


_SPARING = {"batch_size": BLOCK_ROWS, "batch_readahead": 1, "fragment_readahead": 1, "use_threads": False}
"""How files are scanned: little is read ahead."""


class StoredColumns:
    """The rows of one or more files of one format. Has what is used of a pyarrow.Table."""

    def __init__(self, files: Sequence[Listed], name: str) -> None:
        """Raises ReadError for damaged files and SchemaError for columns that do not fit together."""
        self._name = name
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
            self.num_rows = int(self._dataset.count_rows())
        except (pa.ArrowException, OSError) as error:
            lines = str(error).splitlines() or [type(error).__name__]
            raise ReadError(f"{plain(name)} cannot be read: {lines[0][:160]}") from error
        check_columns(name, len(schema.names))
        self.schema = schema

    @property
    def column_names(self) -> list[str]:
        """In the order of the first file."""
        return list(self.schema.names)

    def __getitem__(self, column: str) -> pa.ChunkedArray:
        """One column, read now."""
        return self._read(columns=[column])[column]

    def take(self, rows: Any) -> pa.Table:
        """The rows at places `rows` (k,), in that order."""
        places = np.asarray(rows, np.int64)
        order = np.argsort(places, kind="stable")
        parts = [
            block.take(pa.array(wanted - start))
            for start, block in self.blocks(None, places[order])
            if len(wanted := _within(places[order], start, block.num_rows))
        ]
        table = pa.concat_tables(parts) if parts else self.schema.empty_table()
        if np.array_equal(order, np.arange(len(order))):
            return table
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return table.take(pa.array(back))

    def blocks(
        self, own: slice | None = None, wanted: npt.NDArray[np.int64] | None = None
    ) -> Iterator[tuple[int, pa.Table]]:
        """Blocks of rows in order, each with the place of its first row: of the range `own`, or those that
        hold one of the sorted rows `wanted`. Files and row groups without any are passed over."""
        start, stop = (0, self.num_rows) if own is None else (own.start, own.stop)
        at = 0
        for fragment in self._fragments():
            rows = _rows_of(fragment)
            first, at = at, at + rows
            if at <= start or first >= stop or (wanted is not None and not len(_within(wanted, first, rows))):
                continue
            for batch in self._batches(fragment):
                block = pa.Table.from_batches([batch], self.schema)
                begin, first = first, first + block.num_rows
                low, high = max(begin, start), min(first, stop)
                if low < high and (wanted is None or len(_within(wanted, begin, block.num_rows))):
                    yield low, block.slice(low - begin, high - low)

    def _fragments(self) -> Iterator[Any]:
        for fragment in self._dataset.get_fragments():
            split = getattr(fragment, "split_by_row_group", None)
            yield from split() if split is not None else [fragment]

    def _batches(self, fragment: Any) -> Iterator[pa.RecordBatch]:
        try:
            yield from fragment.to_batches(schema=self.schema, **_SPARING)
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
        return ReadError(f"{plain(self._name)} cannot be read: {lines[0][:160]}")

    def row_bytes(self) -> float:
        """Bytes of a row once read, from the first rows."""
        fragment = next(self._fragments())
        few = _SPARING | {"batch_size": BLOCK_ROWS // 16}
        for batch in fragment.to_batches(schema=self.schema, **few):
            if batch.num_rows:
                pa.default_memory_pool().release_unused()
                return float(batch.nbytes / batch.num_rows)
        return 1.0


def _rows_of(fragment: Any) -> int:
    """Of one row group or file; what a part of a Parquet file counts is the whole file."""
    groups = getattr(fragment, "row_groups", None)
    return int(fragment.count_rows() if groups is None else sum(group.num_rows for group in groups))


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
