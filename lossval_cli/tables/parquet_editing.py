"""A Parquet file written again with changes: the same columns, types, metadata and compression."""

from __future__ import annotations

import json
from typing import Any, BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lossval_cli.errors import SchemaError
from lossval_cli.limits import FREE_PARQUET_BYTES, allowed_size
from lossval_cli.tables.editing import Added, Cells, Mask
from lossval_cli.tables.parquet_parts import ParquetParts, reading
from lossval_cli.wording import plain


class ParquetOriginal:
    """The columns of one Parquet file as stored. `name` is for messages; ReadError where it is damaged."""

    form: Literal["csv", "parquet"] = "parquet"

    def __init__(self, data: bytes, name: str) -> None:
        ParquetParts(data, name, allowed_size(len(data), free=FREE_PARQUET_BYTES)).check()
        with reading(plain(name), "Parquet"):
            file = pq.ParquetFile(pa.BufferReader(data))
            self.table: pa.Table = file.read()
            self._groups = [file.metadata.row_group(at) for at in range(file.metadata.num_row_groups)]
        self.name = name
        self.decimal_comma = False

    @property
    def rows(self) -> int:
        """N."""
        return int(self.table.num_rows)

    @property
    def names(self) -> list[str]:
        """Every column of the file."""
        return list(self.table.column_names)

    def column(self, name: str) -> pa.ChunkedArray:
        """A column as stored, (N,). Raises SchemaError where the file has none of it."""
        if name not in self.table.column_names:
            raise SchemaError(f"{plain(self.name)} has no column {plain(name)}")
        return self.table[name]

    def write(
        self, sink: BinaryIO, keep: Mask, *, cells: Cells | None = None, added: Added | None = None
    ) -> None:
        """The rows of `keep` (N,) to an open binary file. OSError passes through."""
        table = self.table
        if cells is not None:
            place = table.column_names.index(cells.column)
            table = table.set_column(place, table.schema.field(place), _replaced(table[place], cells))
        table = table.filter(pa.array(keep))
        if added is not None:
            table = table.append_column(added.column, pa.array(added.values[keep]))
        metadata = self.table.schema.metadata if keep.all() else _without_ranges(self.table.schema.metadata)
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
