"""Predictions of the user's own model: from a file, columns or an array to probabilities in our order of classes.

They have to be out-of-fold: each row's prediction by a model that was not fitted on that row. Nothing in the numbers
proves that, but predictions that are right everywhere, or far more often than on the trusted rows, are reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

from lossval_cli.errors import SchemaError, UsageError
from lossval_cli.features.class_order import canonical_label
from lossval_cli.features.columns.number import as_floats
from lossval_cli.features.labels import ClassLabels, NumberLabels
from lossval_cli.features.roles import Roles
from lossval_cli.features.tags import TagLabels
from lossval_cli.tables.frames import is_frame
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.table import Table, read_table
from lossval_cli.text.format import closest_name, format_name, join_names, pluralize, quote

Floats = npt.NDArray[np.float64]

SUM_TOLERANCE = 0.01
"""How far probabilities may be from a sum of 1: they are often rounded."""

FEWEST_PERFECT = 50
"""Rows from which predictions that are never wrong are remarkable."""

PERFECT = 0.002
"""Share of wrong predictions, at most, that is called perfect."""

BY_CHANCE = (
    "predictions agree with the labels no more than by chance: either the features do not predict this label, or the "
    "predictions belong to other rows; check that they are in the order of the table"
)
MUST_BE_OUT_OF_FOLD = (
    "they must be out-of-fold (cross_val_predict), since a model reproduces the labels of rows that it was fitted on, "
    "right or wrong"
)

IN_SAMPLE_GAP = 0.1
"""How much more often predictions are right on training rows than on trusted rows before that is reported: wrong
training labels make it less, not more."""

NAMES_OF_NUMBERS = ("prediction", "predicted", "y_pred", "pred")
"""What the column of a predicted number may be called where a file has several."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of the user's own model."""

    rows: Floats
    """(N, K) probabilities of the labelled training rows, in the order of `ClassLabels.names`; or (N,) in the unit
    of the label."""
    val: Floats | None
    """The same for the J validation rows; None where they were not given."""
    name: str
    """What they are called in messages."""
    notices: tuple[str, ...] = ()


def prediction_columns(source: Any, table: Table) -> tuple[str, ...]:
    """The columns of the training table that `source` names, separated by commas or as a list; none where it is a
    file, an array or a table.

    Raises UsageError where it is neither a file nor columns.
    """
    if source is None or isinstance(source, Path) or not isinstance(source, str | list | tuple):
        return ()
    names = source.split(",") if isinstance(source, str) else list(source)
    if not all(isinstance(name, str) for name in names):
        return ()
    names = [name.strip() for name in names]
    if isinstance(source, str) and (Path(source).exists() or source.endswith((".csv", ".npy", ".parquet", ".gz"))):
        return ()
    for name in names:
        if name not in table.column_names:
            near = closest_name(name, table.column_names)
            hint = f"; did you mean {quote(near)}?" if near else ""
            raise UsageError(
                f"--predictions: {quote(name)} is neither a file nor a column of {format_name(table.name)}{hint}"
            )
    return tuple(names)


def read_predictions(
    source: Any,
    val_source: Any,
    *,
    train: Table,
    all_rows: Table,
    val: Table | None,
    y: npt.NDArray[np.generic],
    y_val: npt.NDArray[np.generic] | None,
    labels: ClassLabels | NumberLabels | TagLabels,
    roles: Roles,
    reading: ReadOptions,
) -> Predictions:
    """`source` and `val_source` as the user gives them; `train` holds the labelled rows of `all_rows`; y (N,) and
    y_val (J,) are class indices where labels are classes.

    Raises UsageError, SchemaError or CellError, one line each.
    """
    columns = prediction_columns(source, train)
    read = _Reader(labels, roles, reading)
    if columns:
        name = f"{format_name(train.name)} column {join_names(map(format_name, columns))}"
        rows, is_named = read.columns(train, columns, name)
        if val_source is None and val is not None and all(column in val.column_names for column in columns):
            val_source = columns
    else:
        name = _name(source, "predictions")
        rows, is_named = read.source(source, name, train, all_rows)
    given_val = None
    if val_source is not None:
        if val is None:
            raise UsageError("--val-predictions needs --val, the table they belong to")
        val_columns = prediction_columns(val_source, val)
        if val_columns:
            given_val, _ = read.columns(val, val_columns, f"{format_name(val.name)} column {join_names(val_columns)}")
        else:
            given_val, _ = read.source(val_source, _name(val_source, "val predictions"), val, val)
    notices = list(read.notices)
    if isinstance(labels, ClassLabels):
        classes = y.astype(np.int64)
        notices += _check_order(rows, classes, labels, name, is_named=is_named)
        notices += _too_good(rows, classes, given_val, y_val, name)
    elif isinstance(labels, NumberLabels):
        notices += _check_numbers(rows, labels.raw(train), name)
    return Predictions(rows, given_val, name, tuple(notices))


class _Reader:
    """Sources of one run; collects notices."""

    def __init__(self, labels: ClassLabels | NumberLabels | TagLabels, roles: Roles, reading: ReadOptions) -> None:
        self.labels, self.roles, self.reading = labels, roles, reading
        self.notices: list[str] = []

    def source(self, source: Any, name: str, table: Table, all_rows: Table) -> tuple[Floats, bool]:
        """Predictions of the rows of `table`, from a file, an array or a table, and whether columns are named."""
        if isinstance(source, str | Path) and str(source).endswith(".npy"):
            source = _load_array(Path(source), name)
        if isinstance(source, Mapping):
            source = _frame(source, name)
        self._check_index(source, name, all_rows if _rows(source) == all_rows.rows else table)
        if isinstance(source, str | Path) or (is_frame(source) and not _is_column(source)):
            given = read_table(source, self.reading)
            rows = self._which(given.rows, name, table, all_rows)
            ids = [column for column in self.roles.ids if column in given.column_names]
            self._check_ids(given, name, all_rows if given.rows == all_rows.rows else table, ids)
            left_out = {*ids, "row", "line", *([self.roles.label] if isinstance(self.labels, ClassLabels) else [])}
            names = [column for column in given.column_names if column not in left_out]
            values, is_named = self.columns(given, names, name)
            return values[rows], is_named
        array = _as_array(source, name)
        rows = self._which(len(array), name, table, all_rows)
        if isinstance(self.labels, NumberLabels):
            if array.ndim == 2 and array.shape[1] == 1:
                array = array[:, 0]
            if array.ndim != 1:
                raise UsageError(f"{name}: shape {array.shape}, but the label is a number: give one per row, (N,)")
            return _finite(array, name)[rows], True
        if isinstance(self.labels, TagLabels):
            if array.shape != (len(array), len(self.labels.names)):
                raise UsageError(
                    f"{name}: shape {array.shape}, but label {format_name(self.labels.column)} has "
                    f"{len(self.labels.names)} tags: give one probability each, columns in the order "
                    f"{_some(self.labels.names)}"
                )
            return _in_range(array, name)[rows], False
        K = len(self.labels.names)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim == 1:
            return self._second_class(array, name)[rows], False
        if array.ndim != 2 or array.shape[1] != K:
            raise UsageError(
                f"{name}: shape {array.shape}, but label {format_name(self.labels.column)} has {K} classes: give "
                f"probabilities of shape ({len(array)}, {K}), columns in the order {_some(self.labels.sorted_names())}"
            )
        return self.labels.from_sorted(_probabilities(array, name)[rows]), False

    def columns(self, table: Table, names: Sequence[str], name: str) -> tuple[Floats, bool]:
        """Predictions in columns of a table, and whether their names say which class each is of."""
        values = {column: self._numbers(table, column, name) for column in names}
        if isinstance(self.labels, NumberLabels):
            chosen = [column for column in names if column in NAMES_OF_NUMBERS] if len(names) > 1 else list(names)
            if len(chosen) != 1:
                raise SchemaError(
                    f"{name}: {pluralize(len(names), 'column')} ({_some(names)}), but the label is a number: one "
                    "column is needed, or one called prediction"
                )
            return _finite(values[chosen[0]], name, table), True
        if isinstance(self.labels, TagLabels):
            absent = [tag for tag in self.labels.names if tag not in values]
            if absent or len(names) > len(self.labels.names):
                raise SchemaError(f"{name}: one column per tag is needed, called like it: {_some(self.labels.names)}")
            return _in_range(np.column_stack([values[tag] for tag in self.labels.names]), name, table), True
        order = self._order(names, name)
        if order is None:
            return self._second_class(values[names[0]], name, table), False
        if len(order) == 1 and len(self.labels.names) == 2:
            ((index, column),) = order.items()
            first = _probabilities(np.column_stack([values[column], 1 - values[column]]), name, table)
            return (first if index == 0 else np.ascontiguousarray(first[:, ::-1])), True
        stacked = np.column_stack([values[order[i]] for i in range(len(self.labels.names))])
        is_counted = list(order.values()) == [str(i) for i in range(len(names))]
        return _probabilities(stacked, name, table), not is_counted

    def _order(self, names: Sequence[str], name: str) -> dict[int, str] | None:
        """Class index -> its column; None for a single column that names no class of two.

        A column is called like its class, perhaps after a beginning that all columns share (`p_yes`, `p_no`).
        """
        assert isinstance(self.labels, ClassLabels)
        classes = [canonical_label(label) for label in self.labels.names]
        shared = _common_beginning(names)
        for start in sorted({0, *(i + 1 for i, letter in enumerate(shared) if letter in "_-:. "), len(shared)}):
            called = {canonical_label(column[start:]): column for column in names}
            if set(called) == set(classes) or (len(names) == 1 and len(classes) == 2 and set(called) <= set(classes)):
                return {classes.index(label): column for label, column in called.items()}
        if len(names) == 1 and len(classes) == 2:
            end = [i for i, label in enumerate(classes) if canonical_label(names[0]).endswith(f"_{label}")]
            return {end[0]: names[0]} if len(end) == 1 else None
        called = {canonical_label(column): column for column in names}
        if list(names) == [str(i) for i in range(len(classes))]:
            self.notices.append(
                f"{name}: columns {names[0]} to {names[-1]} are read as the classes in sorted order: "
                f"{_some(self.labels.sorted_names())}"
            )
            by_name = [canonical_label(label) for label in self.labels.sorted_names()]
            return {classes.index(label): column for label, column in zip(by_name, names, strict=True)}
        absent = [label for label in self.labels.names if canonical_label(label) not in called]
        unknown = [column for label, column in called.items() if label not in classes]
        problems = [f"no column for class {_some(absent)}"] if absent else []
        problems += [f"column {_some(unknown)} is not a class"] if unknown else []
        raise SchemaError(
            f"{name}: {' and '.join(problems)}; one column per class of label {format_name(self.labels.column)} is "
            f"needed, called like it: {_some(self.labels.names)}"
        )

    def _second_class(self, values: Floats, name: str, table: Table | None = None) -> Floats:
        """(N,) one probability per row -> (N, 2)."""
        assert isinstance(self.labels, ClassLabels)
        if len(self.labels.names) != 2:
            raise UsageError(
                f"{name}: one number per row, but label {format_name(self.labels.column)} has "
                f"{len(self.labels.names)} classes: give one probability per class"
            )
        self.notices.append(f"{name}: read as the probability of {quote(self.labels.names[1])}")
        return _probabilities(np.column_stack([1 - values, values]), name, table)

    def _numbers(self, table: Table, column: str, name: str) -> Floats:
        typed = table.typed(column)
        if not (pa.types.is_floating(typed.type) or pa.types.is_integer(typed.type) or pa.types.is_boolean(typed.type)):
            first = next((str(cell) for cell in table.as_given(column).to_pylist() if cell is not None), "")
            hint = ": give probabilities, not predicted labels" if isinstance(self.labels, ClassLabels) else ""
            raise SchemaError(f"{name}: column {format_name(column)} holds {quote(first)}, which is not a number{hint}")
        return as_floats(typed)

    def _which(self, rows: int, name: str, table: Table, all_rows: Table) -> npt.NDArray[np.int64]:
        """The rows of a source of so many rows that are those of `table`."""
        if rows == table.rows:
            return np.arange(rows)
        if rows == all_rows.rows and table.row_numbers is not None:
            return table.row_numbers
        raise UsageError(
            f"{name}: {pluralize(rows, 'row')}, but {format_name(table.name)} has {pluralize(all_rows.rows, 'row')}: "
            "one prediction per row is needed, in its order"
        )

    def _check_index(self, source: Any, name: str, table: Table) -> None:
        """A pandas index that has the rows of the table in another order says that they are in another order."""
        if not isinstance(source, pd.DataFrame | pd.Series) or len(source) != table.rows:
            return
        theirs, ours = source.index, pd.RangeIndex(table.rows) if table.index is None else table.index
        if theirs.equals(pd.RangeIndex(table.rows)) or theirs.equals(ours) or not theirs.is_unique:
            return
        if theirs.isin(ours).all() and ours.is_unique:
            row = int((theirs != ours).argmax())
            raise SchemaError(
                f"{name}: row {row} has index {quote(theirs[row])}, but row {row} of {format_name(table.name)} has "
                f"{quote(ours[row])}: bring them into the same order, or reset the index if they are in it"
            )

    def _check_ids(self, given: Table, name: str, table: Table, ids: Sequence[str]) -> None:
        """Predictions that carry an id column of the table must be in its order."""
        for column in ids:
            theirs, ours = (part.as_given(column).cast(pa.string()).to_pylist() for part in (given, table))
            for row, (own, expected) in enumerate(zip(theirs, ours, strict=False)):
                if own != expected:
                    raise SchemaError(
                        f"{name}: row {row} has {format_name(column)} {quote(own)}, but row {row} of "
                        f"{format_name(table.name)} has {quote(expected)}: bring them into the same order"
                    )


def _name(source: Any, what: str) -> str:
    return format_name(str(source)) if isinstance(source, str | Path) else f"<{what}>"


def _some(names: Sequence[str]) -> str:
    return join_names([quote(name) for name in names], 6)


def _common_beginning(names: Sequence[str]) -> str:
    """What all of several names begin with; nothing of a single one."""
    first, last = min(names), max(names)
    same = next((i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return first[:same] if len(names) > 1 else ""


def _rows(source: Any) -> int:
    has_rows = hasattr(source, "__len__") and not isinstance(source, str) and getattr(source, "ndim", 1) > 0
    return len(source) if has_rows else -1


def _is_column(source: Any) -> bool:
    """Whether this is a single column, of pandas, polars or Arrow, rather than a table."""
    return hasattr(source, "to_numpy") and not (hasattr(source, "columns") or hasattr(source, "column_names"))


def _frame(source: Mapping[Any, Any], name: str) -> pd.DataFrame:
    try:
        return pd.DataFrame({str(column): values for column, values in source.items()})
    except ValueError as error:
        raise UsageError(f"{name}: not a table: {str(error).partition(chr(10))[0]}") from error


def _load_array(path: Path, name: str) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"{name} cannot be read as a NumPy array: {str(error).partition(chr(10))[0]}") from error


def _as_array(source: Any, name: str) -> Floats:
    if hasattr(source, "detach"):
        source = source.detach().cpu().numpy()
    if _is_column(source):
        source = source.to_numpy()
    try:
        array = np.asarray(source, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{name}: not numbers ({str(error).partition(chr(10))[0][:80]}): give probabilities"
        ) from error
    if array.ndim == 0:
        raise UsageError(f"{name}: one number, where one per row is needed")
    return array


def _where(row: int, table: Table | None) -> str:
    return f"row {row}" if table is None else table.line_or_row(row)


def _finite(values: Floats, name: str, table: Table | None = None) -> Floats:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise UsageError(
            f"{name}: {_where(int(bad[0]), table)} has no prediction ({pluralize(len(bad), 'such row')} in all)"
        )
    return values


def _probabilities(values: Floats, name: str, table: Table | None = None) -> Floats:
    """(n, K) checked, and of sum 1 to rounding."""
    values = _in_range(values, name, table)
    sums = values.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE)
    if len(wrong):
        row = int(wrong[0])
        raise UsageError(
            f"{name}: {_where(row, table)}: probabilities sum to {sums[row]:.4g}, not 1 "
            f"({pluralize(len(wrong), 'such row')} in all)"
        )
    return np.ascontiguousarray(np.clip(values, 0, 1) / sums[:, None])


def _in_range(values: Floats, name: str, table: Table | None = None) -> Floats:
    """(n, K) checked to be probabilities, whatever they sum to."""
    _finite(values.sum(axis=1), name, table)
    outside = np.flatnonzero((values < -1e-6).any(axis=1) | (values > 1 + 1e-6).any(axis=1))
    if len(outside):
        row = int(outside[0])
        worst = float(values[row][np.abs(values[row] - 0.5).argmax()])
        raise UsageError(
            f"{name}: {_where(row, table)} has {worst:.4g}, which is not a probability from 0 to 1; of logits, give "
            "the softmax"
        )
    return values


def _check_order(
    rows: Floats, y: npt.NDArray[np.int64], labels: ClassLabels, name: str, *, is_named: bool
) -> list[str]:
    """Whether another order of columns fits the labels where the given one says less than chance.

    Raises SchemaError where nothing names the columns; a notice where they are named.
    """
    K = len(labels.names)
    counts = np.bincount(y, minlength=K)
    mean = np.zeros((K, K))  # of column k, over the rows of each class
    np.add.at(mean, y, rows)
    shares = counts / len(y)
    total = mean / len(y)
    own, chance = float(np.trace(total)), float(shares @ total.sum(axis=0))
    best = linear_sum_assignment(-total)[1]
    swapped = float(total[np.arange(K), best].sum())
    gains = rows[np.arange(len(y)), y] - rows @ shares
    if own >= chance or swapped < own + 0.05:
        if gains.mean() > 2 * gains.std() / np.sqrt(len(y)):
            return []
        return [f"{name}: {BY_CHANCE}"]
    moved = int(np.flatnonzero(best != np.arange(K))[0])
    text = f"{name}: predictions agree with the labels less than by chance"
    if is_named:
        return [f"{text}; are they of this table, and in its order of rows?"]
    column = labels.sorted_names().index(labels.names[int(best[moved])])
    raise SchemaError(
        f"{text}, and column {column} fits class {quote(labels.names[moved])} better: the order is "
        f"{_some(labels.sorted_names())}; give a table whose columns have the names of the classes"
    )


def _check_numbers(rows: Floats, y: Floats, name: str) -> list[str]:
    """A notice where predicted numbers (N,) seem to be in-sample, of other rows, or not in the unit of y (N,)."""
    if np.ptp(rows) == 0 or np.ptp(y) == 0:
        return [f"{name}: every row has the same prediction, so labels are compared with one number"]
    agreement = float(spearmanr(rows, y).statistic)
    if len(y) >= FEWEST_PERFECT and (np.abs(rows - y) <= PERFECT * y.std()).mean() >= 1 - PERFECT:
        return [f"{name}: predictions reproduce the labels: {MUST_BE_OUT_OF_FOLD}"]
    if agreement < 2 / np.sqrt(len(y)):
        return [f"{name}: {BY_CHANCE}"]
    low, middle, high = np.quantile(y, [0.05, 0.5, 0.95])
    if not low - (high - low) <= np.median(rows) <= high + (high - low):
        return [
            f"{name}: predictions are around {np.median(rows):.4g}, and labels around {middle:.4g}; are they in the "
            "unit of the label?"
        ]
    return []


def _too_good(
    rows: Floats,
    y: npt.NDArray[np.int64],
    val: Floats | None,
    y_val: npt.NDArray[np.generic] | None,
    name: str,
) -> list[str]:
    """A notice where predictions look as if the model had been fitted on the rows themselves."""
    right = float((rows.argmax(axis=1) == y).mean())
    if len(y) >= FEWEST_PERFECT and right >= 1 - PERFECT:
        return [f"{name}: predictions agree with {right:.1%} of the labels: {MUST_BE_OUT_OF_FOLD}"]
    if val is None or y_val is None or len(y_val) < FEWEST_PERFECT:
        return []
    on_val = float((val.argmax(axis=1) == y_val.astype(np.int64)).mean())
    if right - on_val <= IN_SAMPLE_GAP:
        return []
    return [
        f"{name}: predictions agree with {right:.0%} of the training labels, but with {on_val:.0%} of the validation "
        "labels; are they out-of-fold (cross_val_predict)? A model reproduces the labels it was fitted on"
    ]
