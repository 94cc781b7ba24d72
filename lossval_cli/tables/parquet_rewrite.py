"""Parquet or Arrow, one file or many, written again with changes as one file: the same columns, types and metadata,
and of Parquet the compression."""

from __future__ import annotations

import io
import json
import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from lossval_cli.errors import ReadError
from lossval_cli.limits import FREE_PARQUET_BYTES, allowed_size
from lossval_cli.tables.files import Source
from lossval_cli.tables.parquet import MAGIC, STREAM_MAGIC, ArrowReader, ParquetReader, open_parquet, reading
from lossval_cli.tables.rewrite import Added, Cells, Mask, Original
from lossval_cli.tables.stored_types import partitions, stack, with_partitions
from lossval_cli.text.format import format_name, join_names


class StoredOriginal(Original):
    """The columns of Parquet or Arrow files as stored, one file below the other, with what `key=value` directories
    say. `name` is for messages.

    Raises ReadError where a file is damaged, SchemaError where two do not fit together.
    """

    def __init__(self, sources: Sequence[Source], name: str) -> None:
        stored = [self._read(source) for source in sources]
        self._metadata = stored[0].schema.metadata
        self._is_one = len(stored) == 1
        parts = [
            with_partitions(table, source.relative, table.num_rows) if partitions(source.relative) else table
            for table, source in zip(stored, sources, strict=True)
        ]
        self.table = parts[0] if self._is_one else stack(parts, [source.relative for source in sources], name)
        self.name = name

    @abstractmethod
    def _read(self, source: Source) -> pa.Table: ...

    def _changed(self, keep: Mask, cells: Sequence[Cells], added: Added | None) -> pa.Table:
        """The rows of `keep` (N,) with new cells and the added column."""
        table = self.table
        try:
            for one in cells:
                i = table.column_names.index(one.column)
                table = table.set_column(i, table.schema.field(i), one.put_into(table[i]))
            table = table.filter(pa.array(keep))
        except pa.ArrowNotImplementedError as error:
            kinds = sorted({str(kind) for kind in table.schema.types if "view" in str(kind)})
            raise ReadError(
                f"{format_name(self.name)}: this version of pyarrow cannot change columns of the type "
                f"{join_names(kinds) or error}: save the table as Parquet, and score that"
            ) from error
        if added is not None:
            table = table.append_column(added.column, pa.array(added.values[keep]))
        stays = self._is_one and keep.all()
        return table.replace_schema_metadata(self._metadata if stays else _without_ranges(self._metadata))


class ParquetOriginal(StoredOriginal):
    """Parquet files."""

    form = "Parquet"

    def __init__(self, sources: Sequence[Source], name: str) -> None:
        self._groups: list[pq.RowGroupMetaData] = []
        self._leaves: list[pq.ColumnSchema] = []
        super().__init__(sources, name)

    def _read(self, source: Source) -> pa.Table:
        limit = allowed_size(len(source.data), free=FREE_PARQUET_BYTES)
        for _ in ParquetReader(source.data, source.name, limit).blocks():
            pass  # columns are within the limit, other than lists and records
        with reading(format_name(source.name), "Parquet"):
            file = open_parquet(source.data)
            self._leaves += [file.schema.column(i) for i in range(file.metadata.num_columns)]
            groups = range(file.metadata.num_row_groups)
            self._groups += [file.metadata.row_group(group) for group in groups]
            # One by one: lists of categories of several groups are not implemented in one go.
            read = [file.read_row_group(group) for group in groups]
            return pa.concat_tables(read) if read else file.read()

    def write(self, sink: BinaryIO, keep: Mask, *, cells: Sequence[Cells] = (), added: Added | None = None) -> None:
        """The rows of `keep` (N,) to an open binary file, with its row groups no longer than those read. OSError
        passes through."""
        table = self._changed(keep, cells, added)
        most = max((group.num_rows for group in self._groups), default=0)
        intervals = [leaf.name for leaf in self._leaves if leaf.converted_type == "INTERVAL"]
        buffer = io.BytesIO()
        pq.write_table(
            table,
            buffer if intervals else sink,
            compression=self._compression(),
            row_group_size=most or None,
            use_deprecated_int96_timestamps=any(leaf.physical_type == "INT96" for leaf in self._leaves),
        )
        if intervals:
            sink.write(_with_intervals(buffer.getvalue(), intervals, format_name(self.name)))

    def _compression(self) -> str:
        """Return the compression of the first column."""
        groups = [group for group in self._groups if group.num_columns]
        codec = groups[0].column(0).compression.lower() if groups else "snappy"
        return "none" if codec == "uncompressed" else codec


class ArrowOriginal(StoredOriginal):
    """Arrow files (Feather 2) or streams; the library does not say how a file was compressed, and none of its own is
    written."""

    form = "Arrow"

    def __init__(self, sources: Sequence[Source], name: str) -> None:
        self._is_stream = sources[0].data.startswith(STREAM_MAGIC)
        super().__init__(sources, name)

    def _read(self, source: Source) -> pa.Table:
        limit = allowed_size(len(source.data), free=FREE_PARQUET_BYTES)
        for _ in ArrowReader(source.data, source.name, limit).blocks():
            pass  # columns are within the limit
        open_as = pa.ipc.open_stream if source.data.startswith(STREAM_MAGIC) else pa.ipc.open_file
        with reading(format_name(source.name), "an Arrow file"):
            return open_as(pa.BufferReader(source.data)).read_all()

    def write(self, sink: BinaryIO, keep: Mask, *, cells: Sequence[Cells] = (), added: Added | None = None) -> None:
        """The rows of `keep` (N,) to an open binary file. OSError passes through."""
        table = self._changed(keep, cells, added).unify_dictionaries()
        write_as = pa.ipc.new_stream if self._is_stream else pa.ipc.new_file
        with write_as(sink, table.schema) as writer:
            writer.write_table(table)


def _without_ranges(metadata: dict[bytes, bytes] | None) -> dict[bytes, bytes] | None:
    """Metadata without the indexes that pandas stores as a range: of fewer rows they would name others."""
    try:
        pandas: dict[str, Any] = json.loads((metadata or {})[b"pandas"])
        pandas["index_columns"] = [index for index in pandas["index_columns"] if not isinstance(index, dict)]
    except (KeyError, TypeError, ValueError):
        return metadata
    return (metadata or {}) | {b"pandas": json.dumps(pandas).encode()}


def _with_intervals(data: bytes, columns: Sequence[str], name: str) -> bytes:
    """A Parquet file with the type INTERVAL given back to some columns of 12 bytes, which Arrow has no type for.

    In the footer a column is a Thrift struct that ends with a zero byte: type 7, length 12, repetition, name; field 6
    is the converted type, 21 for INTERVAL. Raises ReadError where the file does not say so afterwards.
    """
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size : -8]
    for column in columns:
        text = column.encode()
        element = re.escape(bytes([len(text)]) + text) if len(text) < 128 else b"(?!)"
        footer = re.sub(
            rb"(\x15\x0e\x15\x18\x15.\x18" + element + rb")\x00", b"\\1\x25\x2a\x00", footer, flags=re.DOTALL
        )
    patched = data[: -8 - size] + footer + len(footer).to_bytes(4, "little") + MAGIC
    with reading(name, "Parquet"):
        schema = pq.read_metadata(pa.BufferReader(patched)).schema
        kinds = {schema.column(i).name: schema.column(i).converted_type for i in range(len(schema))}
    if any(kinds.get(column) != "INTERVAL" for column in columns):
        raise ReadError(f"{name}: columns of the type INTERVAL cannot be written back: store them as seconds")
    return patched
