"""Whether all of a Parquet file may be decoded, with the lists and records that are left out when a table is
only judged.

They are decoded here a block of rows at a time, as plain Parquet types with text as dictionaries, so that a
value that stands there a million times is held once; then what would be written out is counted.
"""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from lossval_cli.errors import ReadError
from lossval_cli.limits import too_large
from lossval_cli.tables.files import Source
from lossval_cli.tables.parquet_parts import (
    BLOCK_ROWS,
    MAGIC,
    ParquetParts,
    decoded_size,
    flat_columns,
    reading,
)
from lossval_cli.tables.parquet_sizes import parquet_sizes
from lossval_cli.text.format import format_name


def check_whole(source: Source, limit: int) -> None:
    """Raise ReadError where the file is damaged, or would take more than `limit` bytes once decoded."""
    parts = ParquetParts(source.data, source.name, limit)
    refused = too_large(parts.name, limit, len(source.data))
    sizes = parquet_sizes(io.BytesIO(source.data), limit)
    nested = [field for field in parts.schema if field.name not in flat_columns(parts.schema, None)]
    if sum(parts.rows) * sum(missing_bytes(field.type) for field in nested) > limit:
        raise refused
    with reading(parts.name, parts.form):
        file = _as_plain_types(source.data)
        leaves = [file.schema.column(place) for place in range(len(file.schema))]
    if sum(max(leaf.length, 8) * sizes.values.get(leaf.path, 0) for leaf in leaves) > limit:
        raise refused
    inside = [leaf for leaf in leaves if leaf.path != leaf.name]
    begins = tuple(f"{name}." for name in sizes.growing)
    growing = [leaf.path for leaf in inside if leaf.path.startswith(begins)]
    for path in growing:
        if sizes.values.get(path, 0) * sizes.bytes > limit:
            raise ReadError(
                f"{parts.name}: text in lists or records ({format_name(path)}) may become any size: store it in "
                "another encoding than DELTA_BYTE_ARRAY or DELTA_LENGTH_BYTE_ARRAY"
            )
    for _ in parts.blocks():
        pass
    if not inside:
        return
    decoded = parts.decoded
    with reading(parts.name, parts.form):
        texts = [leaf.path for leaf in inside if leaf.path not in growing and _is_text(leaf)]
        file = _as_plain_types(source.data, read_dictionary=texts)
        names = list(dict.fromkeys(field.name for field in nested))
        for group in range(len(parts.rows)):  # over the end of one the library has no dictionary
            for batch in file.iter_batches(BLOCK_ROWS, row_groups=[group], columns=names, use_threads=False):
                decoded += sum(decoded_size(column) for column in batch.columns)
                if decoded > limit:
                    raise refused


def missing_bytes(kind: pa.DataType) -> int:
    """What a missing value takes: a list of one size is spelled out even so."""
    if isinstance(kind, pa.BaseExtensionType):
        return missing_bytes(kind.storage_type)
    if pa.types.is_fixed_size_list(kind):
        return 8 + int(kind.list_size) * missing_bytes(kind.value_type)
    if pa.types.is_struct(kind):
        return 8 + sum(missing_bytes(kind.field(place).type) for place in range(kind.num_fields))
    return int(kind.byte_width) if pa.types.is_fixed_size_binary(kind) else 8


def _as_plain_types(data: bytes, **options: object) -> pq.ParquetFile:
    """The file without Arrow's own types, which its footer may name: those of fixed size, extensions."""
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size : -8].replace(b"ARROW:schema", b"arrow:ignore")
    metadata = pq.read_metadata(pa.BufferReader(MAGIC + footer + data[-8:]))
    return pq.ParquetFile(pa.BufferReader(data), metadata=metadata, **options)


def _is_text(leaf: pq.ColumnSchema) -> bool:
    return bool(leaf.physical_type == "BYTE_ARRAY" and leaf.logical_type.type != "DECIMAL")
