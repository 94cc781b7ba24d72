"""Parquet or Arrow bytes, one file or many, to one table, within the limits on decoded size."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from lossval_cli.errors import ReadError, SchemaError
from lossval_cli.limits import FREE_PARQUET_BYTES, allowed_size, too_large
from lossval_cli.tables.arrow_parts import ARROW_MAGIC, ArrowParts
from lossval_cli.tables.files import Source
from lossval_cli.tables.parquet_parts import ParquetParts, is_nested, reading
from lossval_cli.text.format import format_name, join_names, pluralize

MOST_MISSING = 64
"""Cells that a missing value of a nested type may have."""

_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def read_parquet(sources: Sequence[Source], name: str) -> pa.Table:
    """Read Parquet (or Arrow) files one below the other; `key=value` directories become text columns.

    Raises ReadError for a damaged file or one past a limit, SchemaError for doubled columns or parts
    that do not have the same columns.
    """
    stored = sum(len(source.data) for source in sources)
    limit = allowed_size(stored, free=FREE_PARQUET_BYTES)
    parts, size = [], 0
    for source in sources:
        part = _read_one(source, limit)
        parts.append(with_partitions(part, source.relative, part.num_rows))
        size += parts[-1].nbytes
        if size > limit:
            raise too_large(format_name(name), limit, stored)
    table = one_below_the_other(parts, sources, name)
    if not table.num_columns:
        raise ReadError(f"{format_name(name)} has no columns")
    if not table.num_rows:
        raise ReadError(f"{format_name(name)} has a header and no rows")
    return table


def one_below_the_other(parts: Sequence[pa.Table], sources: Sequence[Source], name: str) -> pa.Table:
    """One table of the tables of `sources`, its columns in the order of the first; `name` is that of all.

    Raises SchemaError where they do not have the same columns.
    """
    first = parts[0]
    for part, source in zip(parts, sources, strict=True):
        different = set(part.column_names) ^ set(first.column_names)
        if different:
            raise SchemaError(
                f"{format_name(name)}: {format_name(source.relative)} and {format_name(sources[0].relative)} differ in "
                f"{pluralize(len(different), 'column')}: {join_names(sorted(different))}"
            )
    try:
        return pa.concat_tables([part.select(first.column_names) for part in parts], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise different_types(name, error) from error


def different_types(name: str, error: Exception) -> SchemaError:
    """The error for files whose columns do not fit together."""
    reason = str(error).partition("\n")[0][:160]
    return SchemaError(f"{format_name(name)}: one column has different types in its files ({reason})")


def _read_one(source: Source, limit: int) -> pa.Table:
    if not source.data:
        raise ReadError(f"{format_name(source.name)} is empty")
    kind = ArrowParts if source.data.startswith(ARROW_MAGIC) else ParquetParts
    parts = kind(source.data, source.name, limit)
    batches = [batch for _, batch in parts.blocks()]
    with reading(parts.name, parts.form):
        table = pa.Table.from_batches(batches) if batches else parts.schema.empty_table()
        return as_declared(table, parts.schema, sum(parts.rows))


def as_declared(table: pa.Table, schema: pa.Schema, rows: int) -> pa.Table:
    """All columns of the file: those of lists and records empty, exactly the declared ones categories."""
    return _with_categories(_with_nested(table, schema, rows), _categories(schema))


def _with_nested(table: pa.Table, schema: pa.Schema, rows: int) -> pa.Table:
    """The columns in the order of the file, those of lists and records empty."""
    columns = [pa.nulls(rows, _hollow(field.type)) if is_nested(field.type) else table[field.name] for field in schema]
    return pa.table(columns, names=schema.names)


def _hollow(kind: pa.DataType) -> pa.DataType:
    """A nested type, or another in its place where missing values of it take much: a list of one size is
    spelled out even so."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.list_(pa.null())
    small = not pa.types.is_dictionary(kind) and _missing_cells(kind) <= MOST_MISSING
    return kind if small else pa.list_(pa.null())


def _missing_cells(kind: pa.DataType) -> int:
    """Cells of a missing value."""
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * _missing_cells(kind.value_type)
    if pa.types.is_struct(kind):
        return sum(_missing_cells(kind.field(place).type) for place in range(kind.num_fields))
    return 1


def _with_categories(table: pa.Table, declared: Sequence[str]) -> pa.Table:
    """Exactly the declared columns as dictionaries, the others written out."""
    for place, name in enumerate(table.column_names):
        column = table.column(place)
        if pa.types.is_dictionary(column.type) and name not in declared:
            table = table.set_column(place, name, column.cast(column.type.value_type))
        elif name in declared and not (pa.types.is_dictionary(column.type) or is_nested(column.type)):
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


def with_partitions(table: pa.Table, relative: str, rows: int) -> pa.Table:
    """Add a text column of `rows` cells for each `key=value` directory on the way to the file, its path
    being `relative`."""
    columns = dict(zip(table.column_names, table.columns, strict=True))
    for key, value in partitions(relative).items():
        columns.setdefault(key, pa.array([value], pa.string()).take(_zeros(rows)))
    return pa.table(columns)


def partitions(relative: str) -> dict[str, str | None]:
    """What the directories of a path say."""
    found: dict[str, str | None] = {}
    for part in relative.split("/")[:-1]:
        key, equals, value = part.partition("=")
        if equals and key:
            found.setdefault(unquote(key), None if value == _HIVE_NULL else unquote(value))
    return found


def _zeros(rows: int) -> pa.Array:
    return pa.array(np.zeros(rows, np.int32))
