"""Parquet bytes, one file or many, to one table, within the limits on decoded size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lossval_cli.errors import ReadError, SchemaError
from lossval_cli.limits import FREE_PARQUET_BYTES, allowed_size, check_columns, too_large
from lossval_cli.tables.column_types import is_text
from lossval_cli.tables.sources import Source
from lossval_cli.wording import counted, doubled_names, listed, plain

MAGIC, ARROW_MAGIC = b"PAR1", b"ARROW1"
BLOCK_ROWS = 1 << 15
"""Rows decoded at once."""

_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def read_parquet(sources: Sequence[Source], name: str) -> pa.Table:
    """Read Parquet (or Arrow) files one below the other; `key=value` directories become text columns.

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
    if source.data.startswith(ARROW_MAGIC):
        return _read_arrow(source)
    if not (source.data.startswith(MAGIC) and source.data.endswith(MAGIC) and len(source.data) > 8):
        raise ReadError(f"{name} is not a whole Parquet file; it is damaged or cut short")
    try:
        return _decoded(source.data, name)
    except (pa.ArrowException, OSError, MemoryError, ValueError, UnicodeDecodeError, RecursionError) as error:
        raise ReadError(f"{name} cannot be read as Parquet: {_reason(error)}") from error


def _decoded(data: bytes, name: str) -> pa.Table:
    """The table in `data`; its lists and records are not read, since no column of ours is made of them.

    What a file says of its own size may be a lie, and a value that repeats takes next to nothing in it. So
    it is read a block of rows at a time, text as dictionaries, and the sizes are added up on the way.
    """
    limit = allowed_size(len(data), free=FREE_PARQUET_BYTES)
    file = pq.ParquetFile(pa.BufferReader(data))
    check_columns(name, file.metadata.num_columns)
    schema = file.schema_arrow
    check_names(schema.names, name)
    if _least_size(file) > limit:
        raise too_large(name, limit, len(data))
    declared = _categories(schema)
    flat = [field.name for field in schema if not pa.types.is_nested(field.type)]
    repeating = [field.name for field in schema if _is_bytes(field.type)]
    file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=repeating)
    batches, size, rows = [], 0, 0
    for batch in file.iter_batches(BLOCK_ROWS, columns=flat):
        batch.validate(full=True)  # text that is not UTF-8, indices out of range
        rows += batch.num_rows
        size += sum(_decoded_size(column) for column in batch.columns)
        if size > limit or rows > file.metadata.num_rows:
            raise too_large(name, limit, len(data))
        batches.append(batch)
    read = [field for field in file.schema_arrow if field.name in set(flat)]
    table = pa.Table.from_batches(batches, batches[0].schema if batches else pa.schema(read))
    return _with_categories(_with_nested(table, schema, file.metadata.num_rows), declared)


def _read_arrow(source: Source) -> pa.Table:
    """An Arrow IPC file (Feather 2), whose buffers may be compressed."""
    name, stored = plain(source.name), len(source.data)
    limit = allowed_size(stored, free=FREE_PARQUET_BYTES)
    try:
        file = pa.ipc.open_file(pa.BufferReader(source.data))
        check_columns(name, len(file.schema.names))
        check_names(file.schema.names, source.name)
        batches, size = [], 0
        for at in range(file.num_record_batches):
            batches.append(file.get_batch(at))
            size += batches[-1].nbytes
            if size > limit:
                raise too_large(name, limit, stored)
        table = pa.Table.from_batches(batches, file.schema)
        table.validate(full=True)
        return table
    except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
        raise ReadError(f"{name} cannot be read as an Arrow file: {_reason(error)}") from error


def _least_size(file: pq.ParquetFile) -> int:
    """Bytes the table says it needs, a number being 8 bytes wherever it goes later.

    Only row-group figures are used: on damaged files pyarrow's access to column chunks can end the process.
    """
    leaves = [file.schema.column(place) for place in range(file.metadata.num_columns)]
    row = sum(max(leaf.length, 8) for leaf in leaves)
    groups = [file.metadata.row_group(group) for group in range(file.metadata.num_row_groups)]
    return int(sum(max(group.total_byte_size, group.num_rows * row) for group in groups))


def _decoded_size(column: pa.Array) -> int:
    """Bytes of a column of a block; of a dictionary of text or bytes those it has when written out."""
    kind = column.type
    if not pa.types.is_dictionary(kind):
        return max(int(column.nbytes), 8 * len(column))
    if not _is_bytes(kind.value_type):
        return 8 * len(column)
    lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
    return 8 * len(column) + int(pc.sum(lengths.cast(pa.int64())).as_py() or 0)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _with_nested(table: pa.Table, schema: pa.Schema, rows: int) -> pa.Table:
    """The columns in the order of the file, those of lists and records empty."""
    if table.num_columns == len(schema):
        return table
    columns = [
        table[field.name] if field.name in table.column_names else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.table(columns, names=schema.names)


def _with_categories(table: pa.Table, declared: Sequence[str]) -> pa.Table:
    """Exactly the declared columns as dictionaries, the others written out."""
    for place, name in enumerate(table.column_names):
        column = table.column(place)
        if pa.types.is_dictionary(column.type) and name not in declared:
            table = table.set_column(place, name, column.cast(column.type.value_type))
        elif name in declared and not pa.types.is_dictionary(column.type):
            table = table.set_column(place, name, column.dictionary_encode())
    return table


def _categories(schema: pa.Schema) -> list[str]:
    """Columns declared as categories: by Arrow's type, or by pandas, which stores some as plain numbers."""
    pandas = schema.pandas_metadata
    entries = pandas.get("columns") if isinstance(pandas, dict) else None
    by_pandas = {
        entry.get("field_name")
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and entry.get("pandas_type") == "categorical"
    }
    return [field.name for field in schema if pa.types.is_dictionary(field.type) or field.name in by_pandas]


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
