"""The few types that a column has: a number, a date, true or false, text; and how many cells may not fit its type.

`text_columns` finds the type of a column of text, `stored_columns` that of values stored with a type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.dates import DateForm
from lossval_cli.tables.numbers import NumberForm

Rows = npt.NDArray[np.int64]

TIME: Final = pa.timestamp("us")

_INVALID_SHARE: Final = 20
"""One cell in 20 may not fit the type of its column ..."""
_FEW_INVALID: Final = 2
"""... and two in small tables, if they are at most one in ten."""


@dataclass(frozen=True)
class ColumnType:
    """Type of a column, int64, float64, bool, timestamp[us], string or a stored nested type, and how a column of text
    writes it. form: None is `-1234.5`, or an ISO date.  words: those of this column that say why a value is missing
    (BDL), besides the usual ones.
    """

    dtype: pa.DataType
    form: NumberForm | DateForm | None = None
    words: tuple[str, ...] = ()

    @property
    def noun(self) -> str:
        """Noun for a cell of the column: a number, a date, …"""
        return _NOUNS.get(str(self.dtype), str(self.dtype))


_NOUNS: Final = {
    "int64": "a number",
    "double": "a number",
    "bool": "true or false",
    "timestamp[us]": "a date",
}


@dataclass(frozen=True, eq=False)
class TypedColumn:
    """One column of N rows, typed.

    values: (N,) int64, float64, bool, timestamp[us], string or a nested type as stored; null where the cell is missing
    or invalid.  invalid: (k,) rows whose cells are not of the type that nearly all others have, rising.
    notes: what was decided about the column where it left a choice, as clauses of a notice.
    """

    values: pa.ChunkedArray
    type: ColumnType
    invalid: npt.NDArray[np.int64]
    notes: tuple[str, ...] = ()

    def take(self, rows: npt.NDArray[np.int64]) -> TypedColumn:
        """The cells of some rows."""
        invalid = np.flatnonzero(np.isin(rows, self.invalid))
        return TypedColumn(self.values.take(pa.array(rows)), self.type, invalid, self.notes)


class FileHint(NamedTuple):
    """Format that other columns of a file show, for columns that leave it open."""

    decimal: str | None
    day_first: bool | None


class Reading(NamedTuple):
    """A column of text with its type."""

    values: pa.ChunkedArray  # (N,), null where missing or invalid
    type: ColumnType
    invalid: Rows  # rising
    notes: list[str]  # what was decided, as clauses of a notice on the column


def tolerated(cells: int) -> int:
    """Return how many of `cells` cells may fail to fit the type that the others have."""
    return max(cells // _INVALID_SHARE, min(_FEW_INVALID, cells // 10))


def without_infinite(values: pa.ChunkedArray) -> Reading:
    """Numbers with what is infinite or NaN missing; an infinite one is an invalid cell."""
    invalid = np.zeros(0, np.int64)
    if pa.types.is_floating(values.type):
        finite = pc.is_finite(values)
        if not pc.all(finite, min_count=0).as_py():
            invalid = np.flatnonzero(pc.fill_null(pc.is_inf(values), False).to_numpy())
            values = pc.if_else(finite, values, pa.scalar(None, values.type))
    return Reading(values, ColumnType(values.type), invalid, [])


def is_number(dtype: pa.DataType) -> bool:
    """Return whether a type holds integers or floats."""
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type holds character strings of any layout."""
    view = getattr(pa.types, "is_string_view", None)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or bool(view and view(kind))
