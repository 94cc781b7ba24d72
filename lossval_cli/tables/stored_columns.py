"""Values stored with a type (Parquet, Arrow, DataFrames) as the few types that columns have.

Integers, floats and decimals of any width become numbers, time zones are converted to UTC, categories become text. So
one table gives the same columns from any format.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.column_types import TIME, ColumnType, Reading, is_text, without_infinite


class Misfit(Exception):
    """A value that is not of the type asked for: its 0-based row and the value as given."""

    def __init__(self, row: int, value: object) -> None:
        self.row = row
        self.value = value
        super().__init__(row, value)


def first_failure(values: pa.ChunkedArray, convert: Callable[[pa.ChunkedArray], object]) -> int:
    """Row of the first value on which `convert` raises ArrowInvalid, by bisection."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(values.slice(low, middle - low))
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def normalised(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A stored column as int64, float64, bool, timestamp[us] (UTC if zoned), string, or as it is if nested.

    NaN becomes null. Categories become text, so that a category of numbers stays a category. Durations
    become seconds, times of day seconds since midnight.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        kind = column.type
    if pa.types.is_dictionary(kind):
        decoded = column.cast(kind.value_type)
        return normalised(decoded).cast(pa.string()) if not pa.types.is_nested(kind.value_type) else decoded
    if pa.types.is_integer(kind):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            return column.cast(pa.float64(), safe=False)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = column.cast(pa.float64(), safe=False)
        return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False).cast(TIME)
    if pa.types.is_duration(kind):
        return pc.divide(
            column.cast(pa.duration("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False), 1e6
        )
    if pa.types.is_time(kind):
        return pc.divide(column.cast(pa.time64("us"), safe=False).cast(pa.int64()).cast(pa.float64()), 1e6)
    if is_text(kind):
        return column.cast(pa.string())
    return column


def read_stored(column: pa.ChunkedArray) -> Reading:
    """A column stored with a type other than text, (N,); an infinite number is an invalid cell."""
    values = normalised(column)
    reading = without_infinite(values) if pa.types.is_floating(values.type) else None
    return reading or Reading(values, ColumnType(values.type), np.zeros(0, np.int64), [])


def convert_stored(column: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    """A `normalised` column brought to another of the same few types; raises Misfit."""
    if column.type == dtype:
        return column
    if pa.types.is_null(column.type):
        return pa.chunked_array([pa.nulls(len(column), dtype)], dtype)
    try:
        return column.cast(dtype)
    except pa.ArrowNotImplementedError:
        row = int(np.argmax(~np.asarray(column.is_null()))) if len(column) else 0
        raise Misfit(row, column[row].as_py()) from None
    except pa.ArrowInvalid:
        row = first_failure(column, lambda part: part.cast(dtype))
        raise Misfit(row, column[row].as_py()) from None
