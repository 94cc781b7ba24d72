"""The label column -> class indices or a standardised target, and back to what the user wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.errors import CellError, SchemaError
from lossval_cli.features.class_order import ClassOrder
from lossval_cli.features.roles import Roles
from lossval_cli.tables.column_types import ColumnType, TypedColumn, is_number, is_text
from lossval_cli.tables.spelling import MOST_VALUES, describe_variants, find_variants, respelled
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_name, pluralize, quote

HEAVY_TAIL = 10.0
"""Standard deviations from the mean beyond which one target dominates a squared error: worth a notice."""

FARTHEST = 1e15
"""Standardised targets are held within ±FARTHEST, whose square float32 can still hold."""

MOST_STEPS = 12
"""Ordered classes that are listed."""

VALUES_SHOWN = 3
"""Values an error lists before it says how many more there are."""


@dataclass(frozen=True)
class ClassLabels:
    """The classes of the training rows: numbers in numeric order, anything else in text order; ordered classes in
    their own order."""

    column: str
    names: tuple[str, ...]
    """Each class as the training table writes it, in the first row of that class."""
    counts: npt.NDArray[np.int64]
    """Training rows per class (K,)."""
    notices: tuple[str, ...]
    _keys: pa.Array
    """What labels are compared with (K,): whole numbers exactly, other numbers as float64, anything else as text."""
    _trained: ColumnType
    is_ordered: bool = False
    """Whether the classes are steps of a scale."""
    _sorted: tuple[int, ...] = ()
    """(K,) where each class stands when they are sorted, of ordered classes."""

    @classmethod
    def fit(cls, train: Table, roles: Roles) -> ClassLabels:
        """Find the classes of `train`.

        Raises CellError for missing labels, SchemaError for a label that is all missing, has one
        class only, or has about a class per row.
        """
        column = roles.label
        typed = train.label_column(column)
        values = _comparable(train, column, typed)
        encoded = pc.dictionary_encode(values.combine_chunks())
        order = pc.array_sort_indices(encoded.dictionary).to_numpy()
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        classes = rank[encoded.indices.to_numpy()]
        first_rows = np.unique(classes, return_index=True)[1]
        names = tuple(_text(train.as_given(column)[int(row)].as_py()) for row in first_rows)
        where = f"{format_name(train.name)}: label column {format_name(column)}"
        if len(names) == 1:
            raise SchemaError(
                f"{where} has one class only, {quote(names[0])}: there is nothing to learn; "
                "name another column with --label"
            )
        if len(names) > max(2, train.rows / 2):
            advice = "use --task regression" if is_number(values.type) else "name another column with --label"
            raise SchemaError(
                f"{where} has {len(names):,} different values in {train.rows:,} rows, too many for classes; {advice}"
            )
        counts = np.bincount(classes, minlength=len(names)).astype(np.int64)
        single = [name for name, count in zip(names, counts, strict=True) if count == 1]
        notices = [f"label {_listed(single)}: one training row only"] if single else []
        notices += describe_variants(f"label {format_name(column)}", find_variants(names), "classes")
        notices += _merged(train, column, names, classes)
        keys = encoded.dictionary.take(pa.array(order))
        return cls(column, names, counts, tuple(notices), keys, typed.type)

    def encode(self, table: Table, what: str = "training") -> npt.NDArray[np.int64]:
        """Labels of `table` -> class indices (N,).

        Raises CellError for missing labels, and for labels that no training row has, naming them;
        `what` says which table that is ("validation").
        """
        values, keys = self._values(table), self._keys
        if values.type != keys.type and is_number(values.type) and is_number(keys.type):
            keys, values = keys.cast(pa.float64(), safe=False), values.cast(pa.float64(), safe=False)
        found = pc.index_in(values, value_set=keys)
        unseen = np.flatnonzero(found.is_null().to_numpy())
        if unseen.size:
            written = table.as_given(self.column).take(pa.array(unseen)).unique().to_pylist()
            where = table.location(int(unseen[0]))
            hint = respelled(map(_text, written), self.names)
            raise CellError(
                f"{where}, column {format_name(self.column)}: {what} label {_listed(written)} is in "
                f"no training row (training has {_listed(self.names)}){': ' * bool(hint)}{hint}; "
                f"correct or remove {pluralize(unseen.size, 'row')}"
            )
        return found.to_numpy().astype(np.int64)  # type: ignore[no-any-return]

    def _values(self, table: Table) -> pa.ChunkedArray:
        """Labels of `table` as they are compared with the keys."""
        own = table.column(self.column)
        if pa.types.is_boolean(own.type.dtype) and self._keys.to_pylist() == [0, 1]:
            return _comparable(table, self.column, replace(own, values=own.values.cast(pa.int64())))
        return _comparable(table, self.column, table.label_column(self.column, self._trained))

    def in_order(self, order: ClassOrder) -> ClassLabels:
        """The same classes as steps of a scale."""
        indices = np.array(order.indices)
        notice = (
            f"label {format_name(self.column)}: classes are ordered ({order.reason}), so that a label is the more "
            f"doubtful the more steps it is away: {' < '.join(self.names[i] for i in order.indices[:MOST_STEPS])}"
            f"{' < …' if len(indices) > MOST_STEPS else ''}; --unordered decides otherwise"
        )
        return replace(
            self,
            names=tuple(self.names[i] for i in indices),
            counts=self.counts[indices],
            notices=(*self.notices, notice),
            _keys=self._keys.take(pa.array(indices)),
            is_ordered=True,
            _sorted=order.indices,
        )

    def from_sorted(self, columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Columns (n, K) of the sorted classes, as scikit-learn has them, in the order of `names`."""
        return np.ascontiguousarray(columns[:, list(self._sorted)]) if self._sorted else columns

    def sorted_names(self) -> list[str]:
        """The classes as they are sorted."""
        return [self.names[i] for i in np.argsort(self._sorted)] if self._sorted else list(self.names)

    def decode(self, classes: npt.NDArray[np.integer]) -> list[str]:
        """Class indices (N,) -> names."""
        return [self.names[index] for index in classes.tolist()]


@dataclass(frozen=True)
class NumberLabels:
    """A numeric target, mean 0 and standard deviation 1 over the training rows."""

    column: str
    centre: float
    scale: float
    """Mean and standard deviation of the training target, in its own unit."""
    notices: tuple[str, ...]
    _trained: ColumnType

    @classmethod
    def fit(cls, train: Table, roles: Roles) -> NumberLabels:
        """Find mean and standard deviation.

        Raises CellError for a missing, infinite or non-numeric label and SchemaError for a target that is all
        missing, constant, or too spread for floating point.
        """
        column = roles.label
        trained = _number_type(train, column)
        values = _target(train, column, trained, "training")
        # Differences to one of the values are exact where they are small: 1e12 + noise keeps its noise.
        # The power of two keeps the squares of 1e300 from overflowing.
        origin = float(values[0])
        exponent = int(np.frexp(np.max(np.abs(values)))[1])
        shifted = np.ldexp(values, -exponent) - np.ldexp(origin, -exponent)
        deviation = float(shifted.std())
        where = f"{format_name(train.name)}: label column {format_name(column)}"
        if deviation == 0:
            raise SchemaError(
                f"{where} is {origin:g} in every row: there is nothing to learn; name another column with --label"
            )
        with np.errstate(over="ignore"):
            centre = origin + float(np.ldexp(shifted.mean(), exponent))
            scale = float(np.ldexp(deviation, exponent))
        if not (np.isfinite(centre) and np.isfinite(scale) and scale >= np.finfo(np.float64).tiny):
            raise SchemaError(f"{where} has a standard deviation beyond floating point; use another unit")
        farthest = float(np.max(np.abs(shifted - shifted.mean()))) / deviation
        advice = "its logarithm" if values.min() > 0 else "something that grows more slowly"
        notices = (
            f"label {format_name(column)} has heavy tails (a row lies {farthest:.0f} standard deviations from the "
            f"mean): consider predicting {advice} instead",
        )
        decided = tuple(train.column_notices(column))
        return cls(column, centre, scale, decided + (notices if farthest > HEAVY_TAIL else ()), trained)

    def encode(self, table: Table, what: str = "training") -> npt.NDArray[np.float32]:
        """Labels of `table` -> standardised target (N,) float32; CellErrors as for `fit`."""
        with np.errstate(over="ignore"):
            standard = (self.raw(table, what) - self.centre) / self.scale
        return np.clip(standard, -FARTHEST, FARTHEST).astype(np.float32)

    def raw(self, table: Table, what: str = "training") -> npt.NDArray[np.float64]:
        """Labels of `table` in the target's own unit, (N,); CellErrors as for `fit`."""
        return _target(table, self.column, self._trained, what)

    def decode(self, standard: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Standardised values (any shape) -> the target's own unit."""
        restored: npt.NDArray[np.float64] = standard.astype(np.float64) * self.scale + self.centre
        return restored


def _target(table: Table, column: str, trained: ColumnType, what: str) -> npt.NDArray[np.float64]:
    """Numeric labels (N,) float64, all finite."""
    try:
        typed = table.column_as(column, trained)
    except CellError as error:
        raise CellError(f"{error}; a {what} label must be one for --task regression") from error
    _refuse_missing(table, column, typed)
    values: npt.NDArray[np.float64] = pc.cast(typed.values, pa.float64(), safe=False).to_numpy()
    return values


def _number_type(table: Table, column: str) -> ColumnType:
    """The type that a numeric target has: as its cells say, else plain numbers."""
    own = table.column(column).type
    return own if is_number(own.dtype) else ColumnType(pa.float64())


def _comparable(table: Table, column: str, typed: TypedColumn) -> pa.ChunkedArray:
    """Typed labels as they are compared, none missing."""
    _refuse_missing(table, column, typed)
    return typed.values if is_number(typed.values.type) else typed.values.cast(pa.large_string())


def _refuse_missing(table: Table, column: str, typed: TypedColumn) -> None:
    rows = np.flatnonzero(typed.values.is_null().to_numpy())
    if not rows.size:
        return
    if rows.size == table.rows:
        raise SchemaError(
            f"{format_name(table.name)}: label column {format_name(column)} is missing in every row; "
            "name another column with --label"
        )
    if len(typed.invalid):
        row = int(typed.invalid[0])
        given = quote(table.as_given(column)[row].as_py())
        raise CellError(
            f"{table.location(row)}, column {format_name(column)}: label {given} is "
            f"not {typed.type.noun} ({pluralize(len(typed.invalid), 'such row')} in all); correct or remove the row"
        )
    given = table.as_given(column)[int(rows[0])].as_py()
    advice = (
        f"; if {quote(given)} is a label, quote it or name the words that mean missing with --missing" if given else ""
    )
    raise CellError(
        f"{table.location(int(rows[0]))}, column {format_name(column)}: the label is missing "
        f"({pluralize(rows.size, 'such row')} in all); fill it in or remove the row{advice}"
    )


def _merged(table: Table, column: str, names: Sequence[str], classes: npt.NDArray[np.int64]) -> list[str]:
    """A notice where different spellings count as one class: 1 and 1.0, TRUE and true, blanks around a word."""
    stored = table.as_given(column)
    if not is_text(stored.type):
        return []
    encoded = stored.combine_chunks().dictionary_encode()
    if len(encoded.dictionary) == len(names) or len(encoded.dictionary) > MOST_VALUES:
        return []
    first = np.unique(np.asarray(pc.fill_null(encoded.indices, 0)), return_index=True)[1]
    said = [
        f"{quote(written)} as {quote(names[classes[row]])}"
        for written, row in zip(encoded.dictionary.to_pylist(), first.tolist(), strict=False)
        if written not in names
    ]
    if not said:
        return []
    more = f" and {len(said) - VALUES_SHOWN} more" if len(said) > VALUES_SHOWN else ""
    return [f"label {format_name(column)}: read {', '.join(said[:VALUES_SHOWN])}{more}"]


def _text(value: object) -> str:
    return str(value).strip()


def _listed(values: Sequence[object]) -> str:
    head = ", ".join(quote(_text(value)) for value in values[:VALUES_SHOWN])
    return head if len(values) <= VALUES_SHOWN else f"{head} and {len(values) - VALUES_SHOWN} more"
