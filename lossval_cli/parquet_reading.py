"""Parquet bytes, one file or many, to one table, within the limits on decoded size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lossval_cli.errors import ReadError, SchemaError
from lossval_cli.limits import allowed_size, check_columns, too_large
from lossval_cli.sources import Source
from lossval_cli.wording import counted, doubled_names, listed, plain

MAGIC = b"PAR1"
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_MAX_DEPTH = 32  # nesting of one column


def read_parquet(sources: Sequence[Source], name: str) -> pa.Table:
    """Read Parquet files one below the other; `key=value` directories become text columns.

    Raises ReadError for a damaged file or one past a limit, SchemaError for doubled columns or parts
    that do not have the same columns.
    """
    parts = [_with_partitions(_read_one(source), source) for source in sources]
    first = parts[0]
    for part, source in zip(parts, sources, strict=True):
        different = set(part.column_names) ^ set(first.column_names)
        if different:
            raise SchemaError(
                f"{plain(name)}: {plain(source.relative)} and {plain(sources[0].relative)} differ in "
                f"{counted(len(different), 'column')}: {listed(sorted(different))}"
            )
    try:
        table = pa.concat_tables(
            [part.select(first.column_names) for part in parts], promote_options="permissive"
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaError(
            f"{plain(name)}: one column has different types in its files ({_reason(error)})"
        ) from error
    if not table.num_columns:
        raise ReadError(f"{plain(name)} has no columns")
    if not table.num_rows:
        raise ReadError(f"{plain(name)} has a header and no rows")
    return table


def check_names(names: Sequence[str], name: str) -> None:
    """Raise SchemaError when two columns have one name."""
    doubled = [column for column, times in Counter(names).items() if times > 1]
    if doubled:
        raise doubled_names(plain(name), doubled)


def _read_one(source: Source) -> pa.Table:
    name = plain(source.name)
    if not source.data:
        raise ReadError(f"{name} is empty")
    if not (source.data.startswith(MAGIC) and source.data.endswith(MAGIC) and len(source.data) > 8):
        raise ReadError(f"{name} is not a whole Parquet file; it is damaged or cut short")
    limit = allowed_size(len(source.data))
    try:
        file = pq.ParquetFile(pa.BufferReader(source.data))
        check_columns(name, file.metadata.num_columns)
        check_names(file.schema_arrow.names, source.name)
        repeated = _repeating_columns(file, limit)
        if _stated_size(file) > limit:
            raise too_large(name, limit, len(source.data))
        if repeated:
            file = pq.ParquetFile(pa.BufferReader(source.data), read_dictionary=repeated)
        table = file.read()
        return _undo_dictionaries(table, repeated, source.name, limit, len(source.data))
    except (pa.ArrowException, OSError, MemoryError, ValueError, UnicodeDecodeError, RecursionError) as error:
        raise ReadError(f"{name} cannot be read as Parquet: {_reason(error)}") from error


def _stated_size(file: pq.ParquetFile) -> int:
    """Bytes the table needs at least: its encoded size, or 8 bytes (text: 4, boolean: 1/8) a value."""
    metadata = file.metadata
    if max(
        (leaf.path.count(".") for leaf in map(file.schema.column, range(metadata.num_columns))), default=0
    ) > (2 * _MAX_DEPTH):
        raise ReadError(f"a column is nested more than {_MAX_DEPTH} levels deep")
    widths = {"BOOLEAN": 1 / 8, "INT32": 4, "FLOAT": 4, "BYTE_ARRAY": 4}
    size = 0.0
    for group in range(metadata.num_row_groups):
        chunks = metadata.row_group(group)
        for column in range(metadata.num_columns):
            chunk = chunks.column(column)
            size += max(chunk.total_uncompressed_size, chunk.num_values * widths.get(chunk.physical_type, 8))
    return int(size)


def _repeating_columns(file: pq.ParquetFile, limit: int) -> list[str]:
    """Text columns whose dictionary could, written out, pass the limit; read as dictionaries first."""
    metadata, found = file.metadata, set()
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(column)
            coded = any("DICTIONARY" in encoding for encoding in chunk.encodings)
            text = chunk.physical_type == "BYTE_ARRAY" and "." not in chunk.path_in_schema
            if text and coded and chunk.num_values * chunk.total_uncompressed_size > limit:
                found.add(chunk.path_in_schema)
    return sorted(found)


def _undo_dictionaries(
    table: pa.Table, columns: Sequence[str], name: str, limit: int, stored: int
) -> pa.Table:
    """Write repeated text out, after adding up how long it will be."""
    schema = table.schema
    size = 0
    for column in columns:
        if not pa.types.is_dictionary(table[column].type):
            continue
        for chunk in table[column].chunks:
            lengths = pc.binary_length(chunk.dictionary)
            size += pc.sum(pc.cast(pc.take(lengths, chunk.indices), pa.int64())).as_py() or 0
            if size > limit:
                raise too_large(plain(name), limit, stored)
    stored_as_category = _categories(schema)
    for column in columns:
        kind = table[column].type
        if pa.types.is_dictionary(kind) and column not in stored_as_category:
            place = table.schema.get_field_index(column)
            table = table.set_column(place, column, table[column].cast(kind.value_type))
    return table


def _categories(schema: pa.Schema) -> set[str]:
    """Columns that pandas wrote as categories, from its metadata in the schema."""
    pandas = schema.pandas_metadata or {}
    return {
        entry["field_name"]
        for entry in pandas.get("columns", [])
        if entry.get("pandas_type") == "categorical"
    }


def _with_partitions(table: pa.Table, source: Source) -> pa.Table:
    """Add a column for each `key=value` directory on the way to the file."""
    for part in source.relative.split("/")[:-1]:
        key, equals, value = part.partition("=")
        if equals and key and key not in table.column_names:
            text = None if value == _HIVE_NULL else unquote(value)
            table = table.append_column(unquote(key), pa.array([text] * table.num_rows, pa.string()))
    return table


def _reason(error: Exception) -> str:
    """The first line of a library's message, cut to 160 characters."""
    lines = str(error).splitlines()
    return lines[0][:160] if lines else type(error).__name__
