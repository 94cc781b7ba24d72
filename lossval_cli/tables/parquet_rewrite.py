"""Parquet, one file or many, written again with changes as one file: the same columns, types, metadata and
compression."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lossval_cli.errors import SchemaError
from lossval_cli.limits import FREE_PARQUET_BYTES, allowed_size
from lossval_cli.tables.files import Source
from lossval_cli.tables.parquet_parts import reading
from lossval_cli.tables.parquet_reading import one_below_the_other, partitions, with_partitions
from lossval_cli.tables.parquet_whole import check_whole
from lossval_cli.tables.rewrite import Added, Cells, Mask
from lossval_cli.text.format import format_name


class ParquetOriginal:
    """The columns of Parquet files as stored, one file below the other, with what `key=value` directories
    say. `name` is for messages.

    Raises ReadError where a file is damaged, SchemaError where two do not fit together.
    """

    form: Literal["csv", "parquet"] = "parquet"

    def __init__(self, sources: Sequence[Source], name: str) -> None:
        self._groups: list[pq.RowGroupMetaData] = []
        stored = [self._read(source) for source in sources]
        self._metadata = stored[0].schema.metadata
        self._is_one = len(stored) == 1
        parts = [
            with_partitions(table, source.relative, table.num_rows) if partitions(source.relative) else table
            for table, source in zip(stored, sources, strict=True)
        ]
        self.table: pa.Table = parts[0] if self._is_one else one_below_the_other(parts, sources, name)
        self.name = name
        self.quoted: dict[str, Mask] = {}

    def _read(self, source: Source) -> pa.Table:
        limit = allowed_size(len(source.data), free=FREE_PARQUET_BYTES)
        check_whole(source, limit)
        with reading(format_name(source.name), "Parquet"):
            file = pq.ParquetFile(pa.BufferReader(source.data))
            groups = range(file.metadata.num_row_groups)
            self._groups += [file.metadata.row_group(group) for group in groups]
            # One by one: lists of categories of several groups are not implemented in one go.
            read = [file.read_row_group(group) for group in groups]
            return pa.concat_tables(read) if read else file.read()

    @property
    def rows(self) -> int:
        """N."""
        return int(self.table.num_rows)

    @property
    def names(self) -> list[str]:
        """Every column."""
        return list(self.table.column_names)

    def column(self, name: str) -> pa.ChunkedArray:
        """A column as stored, (N,). Raises SchemaError where there is none of it."""
        if name not in self.table.column_names:
            raise SchemaError(f"{format_name(self.name)} has no column {format_name(name)}")
        return self.table[name]

    def write(self, sink: BinaryIO, keep: Mask, *, cells: Cells | None = None, added: Added | None = None) -> None:
        """The rows of `keep` (N,) to an open binary file. OSError passes through."""
        table = self.table
        if cells is not None:
            place = table.column_names.index(cells.column)
            table = table.set_column(place, table.schema.field(place), _replaced(table[place], cells))
        table = table.filter(pa.array(keep))
        if added is not None:
            table = table.append_column(added.column, pa.array(added.values[keep]))
        stays = self._is_one and keep.all()
        metadata = self._metadata if stays else _without_ranges(self._metadata)
        most = max((group.num_rows for group in self._groups), default=0)
        pq.write_table(
            table.replace_schema_metadata(metadata),
            sink,
            compression=self._compression(),
            row_group_size=most or None,
        )

    def _compression(self) -> str:
        """That of the first column."""
        groups = [group for group in self._groups if group.num_columns]
        codec = groups[0].column(0).compression.lower() if groups else "snappy"
        return "none" if codec == "uncompressed" else codec


def _replaced(column: pa.ChunkedArray, cells: Cells) -> pa.ChunkedArray:
    """The column with some cells taken from `cells.values`, which stand behind it for a moment."""
    take = np.arange(len(column))
    take[cells.rows] = len(column) + np.arange(len(cells.rows))
    both = pa.chunked_array([*column.chunks, cells.values], column.type)
    return both.unify_dictionaries().take(pa.array(take))


def _without_ranges(metadata: dict[bytes, bytes] | None) -> dict[bytes, bytes] | None:
    """Metadata without the indexes that pandas stores as a range: of fewer rows they would name others."""
    try:
        told: dict[str, Any] = json.loads((metadata or {})[b"pandas"])
        told["index_columns"] = [index for index in told["index_columns"] if not isinstance(index, dict)]
    except (KeyError, TypeError, ValueError):
        return metadata
    return (metadata or {}) | {b"pandas": json.dumps(told).encode()}
