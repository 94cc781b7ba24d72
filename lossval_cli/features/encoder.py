"""Columns -> the float32 matrix the method sees, fitted on training rows only.

What each column is (a number, a category, …) is decided here, once, on the training table; how it becomes
numbers is described in `lossval_cli.features.columns`, one kind a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.errors import SchemaError
from lossval_cli.features.columns.category import (
    MANY_LEVELS,
    HashedEncoder,
    OneHotEncoder,
    frequent_levels,
    level_counts,
)
from lossval_cli.features.columns.date import DateEncoder, as_seconds
from lossval_cli.features.columns.number import NumberEncoder, as_floats
from lossval_cli.features.columns.text import TextEncoder, mean_words
from lossval_cli.features.columns.vector import VectorEncoder, as_digests, as_matrix, common_length
from lossval_cli.features.row_keys import Keys, row_keys
from lossval_cli.runtime.sharing import share
from lossval_cli.tables.column_types import ColumnType
from lossval_cli.tables.spelling import describe_variants, find_variants, respelled
from lossval_cli.tables.stored_types import is_vector
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_name, pluralize, quote

Kind = Literal["number", "boolean", "category", "date", "text"]
ColumnEncoder = NumberEncoder | OneHotEncoder | HashedEncoder | DateEncoder | TextEncoder | VectorEncoder

TEXT_SEED = 0
"""Seed of the text directions: fixed, so that one table has one encoding whatever seed the training has."""

FIRST_CELLS = 1_000
"""Cells of a column in which nearly every column that varies has two values: no need to look at all of them."""


@dataclass(frozen=True)
class Block:
    """Position of one column in the encoded matrix: X[:, start:stop]."""

    column: str
    kind: Kind
    start: int
    stop: int


@dataclass(frozen=True)
class Encoder:
    """Training columns as encoders, in the order of the features; nothing of a later table changes it.

    Every block has total variance 1 over the training rows (see `columns.scaling`), so two random training
    rows differ by about 2 per column in squared distance, whatever the column's kind, unit and width.
    """

    blocks: tuple[Block, ...]
    notices: tuple[str, ...]
    types: dict[str, Kind]
    """Kind of every feature column that is used."""
    dropped: dict[str, str]
    """Feature columns that are not used, with the reason."""
    _sources: tuple[Source, ...]
    _encoders: tuple[ColumnEncoder, ...]

    @classmethod
    def fit(cls, train: Table, features: Sequence[str], kinds: Mapping[str, str] | None = None) -> Encoder:
        """Decide what each of `features` is and how it is encoded, from `train` alone. kinds: what the user said
        that some of them hold.

        Raises SchemaError if no column is left.
        """

        def fit_one(column: str) -> tuple[Kind, Source, ColumnEncoder] | str:
            typed = train.column(column)
            if reason := _useless(typed.values, len(typed.invalid)):
                return reason
            source = Source(column, typed.type, common_length(typed.values) if is_vector(typed.type.dtype) else 0)
            prepared = source.prepared(typed.values)
            kind, encoder = _fit_column(prepared, source.dtype, len(typed.invalid), (kinds or {}).get(column))
            return kind, source, encoder

        blocks: list[Block] = []
        sources: list[Source] = []
        encoders: list[ColumnEncoder] = []
        dropped: dict[str, str] = {}
        notices: list[str] = []
        start = 0
        for column, found in zip(features, share(features, fit_one), strict=True):
            if isinstance(found, str):
                dropped[column] = found
                continue
            kind, source, encoder = found
            blocks.append(Block(column, kind, start, start + encoder.width))
            sources.append(source)
            encoders.append(encoder)
            notices += [*train.column_notices(column), *_fit_notices(column, encoder)]
            start += encoder.width
        unused = [f"column {format_name(name)} is not used: {reason}" for name, reason in dropped.items()]
        if not blocks:
            reasons = "; ".join(unused) or "it has only the label, ids and excluded columns"
            raise SchemaError(f"{format_name(train.name)}: no feature column is left to learn from: {reasons}")
        types = {block.column: block.kind for block in blocks}
        return cls(tuple(blocks), tuple(unused + notices), types, dropped, tuple(sources), tuple(encoders))

    @property
    def width(self) -> int:
        """D, the number of columns of X."""
        return self.blocks[-1].stop

    @property
    def one_hot(self) -> tuple[slice, ...]:
        """Columns of X that hold the levels of one category, for each category that is encoded so."""
        pairs = zip(self.blocks, self._encoders, strict=True)
        return tuple(slice(block.start, block.stop) for block, encoder in pairs if isinstance(encoder, OneHotEncoder))

    def transform(self, table: Table) -> npt.NDArray[np.float32]:
        """`table` -> X (N, D) float32, finite.

        Raises CellError where a column is not of its training type.
        """
        X = np.empty((table.rows, self.width), np.float32)
        for block, source, encoder in zip(self.blocks, self._sources, self._encoders, strict=True):
            encoder.write(source.read(table), X[:, block.start : block.stop])
        return X

    def read(self, table: Table) -> Iterator[tuple[str, Any]]:
        """Yield each used column of `table` by name: float64 (n,), missing as NaN and dates as seconds, or text.

        Raises CellError as `transform` does.
        """
        for source in self._sources:
            yield source.column, source.compared(table)

    def readers(self, table: Table) -> dict[str, Callable[[], Any]]:
        """What reads each used column as `read` does, by name."""
        return {source.column: partial(source.compared, table) for source in self._sources}

    def keys(self, table: Table) -> Keys:
        """Return (n,) keys of the features of a table's rows, comparable with those of other tables."""
        return row_keys((values for _, values in self.read(table)), table.rows)

    @property
    def nouns(self) -> dict[str, str]:
        """Noun for a cell of each used column: a number, a date, …"""
        return {source.column: source.trained.noun for source in self._sources}

    def invalid(self, table: Table) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
        """Rows of `table` whose cells are not of their column's type, of each used column."""
        for source in self._sources:
            yield source.column, table.column_as(source.column, source.trained).invalid

    def differences(self, table: Table) -> tuple[str, ...]:
        """Return notices on what `table` holds that training rows do not: missing cells, levels, far numbers."""
        notices = []
        for source, encoder in zip(self._sources, self._encoders, strict=True):
            values = source.read(table)
            if source.dimensions:
                values = as_digests(values)
            where = f"{format_name(table.name)}: column {format_name(source.column)}"
            absent = int(np.isnan(values).sum()) if isinstance(values, np.ndarray) else values.null_count
            notices += [
                f"{format_name(table.name)}: {note}" for note in table.column_notices(source.column, source.trained)
            ]
            absent -= len(table.column_as(source.column, source.trained).invalid)
            if absent and encoder.missing == 0:
                numeric = isinstance(encoder, NumberEncoder | DateEncoder)
                stand_in = "; replaced by the training median" if numeric else ""
                notices.append(f"{where}: {pluralize(absent, 'missing cell')}, training has none{stand_in}")
            if isinstance(encoder, NumberEncoder):
                far, present = encoder.far(values), len(values) - absent
                if 2 * far > present:
                    notices.append(
                        f"{where}: {far:,} of {pluralize(present, 'number')} lie far from those of "
                        "training; are they in the same unit?"
                    )
            if isinstance(encoder, OneHotEncoder | HashedEncoder) and (unseen := encoder.unseen(values)):
                levels = [level for level in pc.unique(values).to_pylist() if level is not None]
                hint = respelled(levels, _levels(encoder))
                unseen_rows = f"{where}: {pluralize(unseen, 'row')} with a level that no training row has"
                notices.append(f"{unseen_rows}; {hint}" if hint else unseen_rows)
        return tuple(notices)

    def describe(self) -> list[dict[str, object]]:
        """Return one JSON-serialisable record a feature column: its type, numbers used, missing share, levels, …"""
        used: list[dict[str, object]] = [
            {
                "column": block.column,
                "type": block.kind,
                "encoding": _ENCODINGS[type(encoder)],
                "dims": encoder.width,
                **encoder.describe(),
            }
            for block, encoder in zip(self.blocks, self._encoders, strict=True)
        ]
        return used + [
            {"column": column, "type": "dropped", "dims": 0, "reason": reason}
            for column, reason in self.dropped.items()
        ]


@dataclass(frozen=True)
class Source:
    """Way to read a column from every table: as the training table's column was."""

    column: str
    trained: ColumnType
    dimensions: int = 0
    """Length of the vectors that the cells are, 0 for any other column."""

    @property
    def dtype(self) -> pa.DataType:
        """float64 for all numbers, so that 1.5 is welcome in a validation column of whole numbers."""
        return pa.float64() if pa.types.is_integer(self.trained.dtype) else self.trained.dtype

    def read(self, table: Table) -> Any:
        """The column as its encoder takes it: float64 (n,) with NaN for missing, or large_string (n,)."""
        return self.prepared(table.column_as(self.column, self.trained).values)

    def compared(self, table: Table) -> Any:
        """The column in cells that can be compared: a vector as its digest."""
        values = self.read(table)
        return as_digests(values) if self.dimensions else values

    def prepared(self, values: pa.ChunkedArray) -> Any:
        """A typed column as its encoder takes it."""
        if self.dimensions:
            return as_matrix(values, self.dimensions)
        if pa.types.is_string(self.dtype):
            return values.cast(pa.large_string())
        return as_seconds(values) if pa.types.is_timestamp(self.dtype) else as_floats(values)


_ENCODINGS: dict[type, str] = {
    NumberEncoder: "standardised",
    OneHotEncoder: "one-hot",
    HashedEncoder: "hashed",
    DateEncoder: "linear and cyclic",
    TextEncoder: "n-gram directions",
    VectorEncoder: "standardised together",
}


def _useless(values: pa.ChunkedArray, invalid: int) -> str:
    """Explain why a typed training column cannot tell rows apart, or '' if it can."""
    if is_vector(values.type):
        matrix = as_matrix(values, common_length(values)) if common_length(values) else np.zeros((0, 1))
        present = matrix[~np.isnan(matrix[:, 0])]
        if not len(present):
            return "every cell is missing"
        return "" if np.ptp(present, axis=0).any() else "every row has the same vector"
    if not (_is_feature(values.type) or pa.types.is_null(values.type)):
        return "its cells are lists, records or bytes, not single values"
    if values.null_count == len(values):
        return "every cell is missing"
    if values.null_count != invalid or len(pc.unique(values.slice(0, FIRST_CELLS).drop_null())) > 1:
        return ""
    same = pc.unique(values.drop_null())
    return f"every row has the same value, {quote(same[0].as_py())}" if len(same) == 1 else ""


def _is_feature(dtype: pa.DataType) -> bool:
    types = pa.types
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_string, types.is_timestamp)
    return any(test(dtype) for test in tests)


def _fit_column(values: Any, dtype: pa.DataType, invalid: int, asked: str | None) -> tuple[Kind, ColumnEncoder]:
    """Prepared training `values`, not all alike -> what the column is, and its fitted encoder.

    Where every missing cell is an invalid one, missing is not a state that rows can be in: the median stands in.
    """
    if is_vector(dtype):
        return "text", VectorEncoder.fit(values)
    if pa.types.is_string(dtype):
        return _fit_levels(values, asked)
    indicator = int(np.isnan(values).sum()) > invalid
    if pa.types.is_boolean(dtype):
        return "boolean", NumberEncoder.fit(values, indicator=indicator)
    if pa.types.is_floating(dtype):
        return "number", NumberEncoder.fit(values, indicator=indicator)
    if np.nanmin(values) == np.nanmax(values):
        return "date", NumberEncoder.fit(values, indicator=indicator)
    return "date", DateEncoder.fit(values, indicator=indicator)


def _fit_levels(values: pa.ChunkedArray, asked: str | None) -> tuple[Kind, ColumnEncoder]:
    """Text cells: a number a level where few levels hold nearly all rows, else free text or hashed levels."""
    counts = level_counts(values)
    named = [level for level in counts if level is not None]
    kept = frequent_levels(counts)
    present = len(values) - counts.get(None, 0)
    pooled_share = 1 - sum(counts[level] for level in kept) / present
    if pooled_share > 0.05:
        kept = named
    if asked == "text" and len(named) > 2:
        return "text", TextEncoder.fit(values, named, TEXT_SEED)
    if len(kept) <= MANY_LEVELS:
        return "category", OneHotEncoder.fit(counts, kept)
    if asked != "category" and len(named) > MANY_LEVELS and (len(named) >= present / 2 or mean_words(named) >= 4):
        return "text", TextEncoder.fit(values, named, TEXT_SEED)
    return "category", HashedEncoder.fit(counts)


def _levels(encoder: OneHotEncoder | HashedEncoder) -> list[str]:
    return list(encoder.levels) if isinstance(encoder, OneHotEncoder) else [name for name in encoder.counts if name]


def _fit_notices(column: str, encoder: ColumnEncoder) -> Iterable[str]:
    if isinstance(encoder, OneHotEncoder | HashedEncoder):
        yield from describe_variants(f"column {format_name(column)}", find_variants(_levels(encoder)), "levels")
    if isinstance(encoder, HashedEncoder):
        yield f"column {format_name(column)} has {len(encoder.counts):,} levels: hashed to {encoder.width} numbers"
    if isinstance(encoder, TextEncoder):
        yield f"column {format_name(column)} reads as free text: {encoder.width} numbers from its n-grams"
