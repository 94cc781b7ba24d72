"""Stored columns as a few plain types: views, dictionaries of views, run ends and extensions written out; what the
path of a file says added; and several files one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.errors import SchemaError
from lossval_cli.tables.column_types import is_number
from lossval_cli.text.format import format_name, join_names, pluralize

_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_HOLLOW = pa.list_(pa.null())
"""Stands for lists, records and maps that are left out."""


def is_left_out(kind: pa.DataType) -> bool:
    """Return whether values of a type are not read: records, maps, and lists of anything but numbers and text."""
    is_coded = pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind)
    inner = kind.value_type if is_coded else kind
    if isinstance(inner, pa.BaseExtensionType):
        return is_left_out(inner.storage_type) or getattr(inner, "extension_name", "") == "arrow.json"
    return bool(pa.types.is_nested(inner)) and not is_vector(inner) and not is_text_list(inner)


def is_text_list(kind: pa.DataType) -> bool:
    """Return whether a value is a list of text, which only a label can be."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind)) and (
        pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
    )


def is_vector(kind: pa.DataType) -> bool:
    """Return whether a value is a list of numbers."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return str(kind).startswith("list_view") and is_number(kind.value_type)
    return is_number(kind.value_type)


def as_declared(table: pa.Table, schema: pa.Schema, rows: int) -> pa.Table:
    """Return all columns of the file in its order: those that are left out empty, exactly the declared ones categories,
    and plain types."""
    categories = _categories(schema)
    columns = []
    for field in schema:
        if is_left_out(field.type):
            columns.append(pa.nulls(rows, _HOLLOW))
            continue
        column = as_plain(table[field.name])
        if pa.types.is_dictionary(column.type) and field.name not in categories:
            column = column.cast(column.type.value_type)
        elif field.name in categories and not (pa.types.is_dictionary(column.type) or pa.types.is_nested(column.type)):
            column = column.dictionary_encode()
        columns.append(column)
    return pa.table(columns, names=schema.names)


def as_plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column in types that every function of the library knows."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        storage = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        return _as_hex(storage) if kind.extension_name == "arrow.uuid" else as_plain(storage)
    if pa.types.is_run_end_encoded(kind):
        return as_plain(pa.chunked_array(map(pc.run_end_decode, column.chunks), kind.value_type))
    if pa.types.is_dictionary(kind):
        plain = _PLAIN.get(str(kind.value_type))
        if plain is None:
            return column
        chunks = [
            pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(plain), ordered=kind.ordered)
            for chunk in column.chunks
        ]
        return pa.chunked_array(chunks, pa.dictionary(kind.index_type, plain, kind.ordered))
    if str(kind) in _PLAIN:
        return column.cast(_PLAIN[str(kind)])
    if str(kind).startswith(("list_view", "large_list_view")):
        return column.cast(pa.large_list(kind.value_type))
    return column


_PLAIN = {"string_view": pa.string(), "binary_view": pa.binary()}


def _as_hex(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """UUIDs as they are usually written."""
    texts = [None if value is None else value.hex() for value in column.to_pylist()]
    dashed = [None if t is None else f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}" for t in texts]
    return pa.chunked_array([pa.array(dashed, pa.string())])


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


def text_in_bytes(table: pa.Table) -> list[str]:
    """Columns of bytes all of which are UTF-8 text, as Impala and older Spark store text."""
    return [field.name for field in table.schema if is_binary(field.type) and _is_utf8(table[field.name])]


def bytes_as_text(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return some columns of bytes as text. Raises ArrowInvalid where one is not UTF-8."""
    for name in columns:
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
    return table


def notice_of_bytes(name: str, columns: Sequence[str]) -> str:
    """Return the notice on columns of bytes that are read as text."""
    verb = "is" if len(columns) == 1 else "are"
    what = "column" if len(columns) == 1 else "columns"
    return f"{format_name(name)}: {what} {join_names(columns)} {verb} stored as bytes and read as text (UTF-8)"


def is_binary(kind: pa.DataType) -> bool:
    """Return whether values are bytes of any length."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_utf8(column: pa.ChunkedArray) -> bool:
    if column.null_count == len(column):
        return False
    try:
        column.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def stack(parts: Sequence[pa.Table], names: Sequence[str], name: str) -> pa.Table:
    """Stack several tables into one, its columns in the order of the first. `names` are those of the parts, `name` that
    of all.

    Raises SchemaError, which names the parts, where their columns differ.
    """
    schema = common_schema([part.schema for part in parts], names, name)
    return pa.concat_tables([as_schema(part, schema) for part in parts])


def common_schema(schemas: Sequence[pa.Schema], names: Sequence[str], name: str) -> pa.Schema:
    """The schema that the parts of a table fit into. Raises SchemaError, which names two parts that differ."""
    first = schemas[0]
    fields = {field.name: field.remove_metadata() for field in first}
    for schema, part in zip(schemas[1:], names[1:], strict=True):
        different = set(schema.names) ^ set(fields)
        if different:
            raise SchemaError(
                f"{format_name(name)}: {format_name(part)} and {format_name(names[0])} differ in "
                f"{pluralize(len(different), 'column')}: {join_names(sorted(different))}"
            )
        for field in schema:
            try:
                fields[field.name] = _common_field(fields[field.name], field.remove_metadata())
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                raise SchemaError(
                    f"{format_name(name)}: column {format_name(field.name)} holds {_words(field.type)} in "
                    f"{format_name(part)} and {_words(fields[field.name].type)} in {format_name(names[0])}: store it "
                    "as one type in all files"
                ) from None
    return pa.schema([fields[column].with_nullable(True) for column in first.names])


def _common_field(one: pa.Field, other: pa.Field) -> pa.Field:
    if one.type.equals(other.type):
        return one
    pair = (one.type, other.type)
    if any(map(pa.types.is_dictionary, pair)):  # categories of one part, text of another
        plain = [pa.field(one.name, k.value_type if pa.types.is_dictionary(k) else k) for k in pair]
        value = _common_field(*plain).type
        return pa.field(one.name, pa.dictionary(pa.int32(), value) if all(map(pa.types.is_dictionary, pair)) else value)
    (field,) = pa.unify_schemas([pa.schema([one]), pa.schema([other])], promote_options="permissive")
    return field


def _words(kind: pa.DataType) -> str:
    return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)


def as_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of `schema` with its types. Raises ArrowInvalid where a value does not fit."""
    return pa.table([_as(table[field.name], field.type) for field in schema], schema=schema)


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type).dictionary_encode().cast(kind)
    return column.cast(kind)


def with_partitions(table: pa.Table, relative: str, rows: int) -> pa.Table:
    """Add a text column of `rows` cells for each `key=value` directory on the way to the file, its path being
    `relative`."""
    columns = dict(zip(table.column_names, table.columns, strict=True))
    for key, value in partitions(relative).items():
        columns.setdefault(key, pa.array([value], pa.string()).take(pa.array(np.zeros(rows, np.int32))))
    return pa.table(columns)


def partitions(relative: str) -> dict[str, str | None]:
    """Return the keys and values that the directories of a path state."""
    found: dict[str, str | None] = {}
    for part in relative.split("/")[:-1]:
        key, equals, value = part.partition("=")
        if equals and key:
            found.setdefault(unquote(key), None if value == _HIVE_NULL else unquote(value))
    return found
