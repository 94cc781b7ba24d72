"""Predictions in named columns, each named after its class, perhaps with a prefix that all columns share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.errors import SchemaError, UsageError
from lossval_cli.features.class_order import canonical_label
from lossval_cli.features.columns.number import as_floats
from lossval_cli.features.labels import ClassLabels, NumberLabels
from lossval_cli.features.predictions.values import Values, finite, in_range, of_second_class, probabilities
from lossval_cli.features.tags import TagLabels
from lossval_cli.tables.table import Table
from lossval_cli.text.format import closest_name, format_name, join_names, pluralize, quote

Floats = npt.NDArray[np.float64]

NAMES_OF_NUMBERS = ("prediction", "predicted", "y_pred", "pred")
"""Names of the column of predicted numbers, looked for where a file has several columns."""


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


def read_named_columns(
    table: Table, names: Sequence[str], labels: ClassLabels | NumberLabels | TagLabels, name: str
) -> Values:
    """The columns `names` of a table in our order of classes. Raises SchemaError and UsageError."""
    values = {column: _numbers(table, column, labels, name) for column in names}
    if isinstance(labels, NumberLabels):
        chosen = [column for column in names if column in NAMES_OF_NUMBERS] if len(names) > 1 else list(names)
        if len(chosen) != 1:
            raise SchemaError(
                f"{name}: {pluralize(len(names), 'column')} ({_some(names)}), but the label is a number: one column is "
                "needed, or one called prediction"
            )
        return Values(finite(values[chosen[0]], name, table), True)
    if isinstance(labels, TagLabels):
        absent = [tag for tag in labels.names if tag not in values]
        if absent or len(names) > len(labels.names):
            raise SchemaError(f"{name}: one column per tag is needed, named after it: {_some(labels.names)}")
        return Values(in_range(np.column_stack([values[tag] for tag in labels.names]), name, table), True)
    return _of_classes(values, labels, name, table)


def _of_classes(values: dict[str, Floats], labels: ClassLabels, name: str, table: Table) -> Values:
    """Probabilities (n, K)."""
    names, K = list(values), len(labels.names)
    order = _order(names, labels)
    if order is None and len(names) == 1 and K == 2:
        return of_second_class(values[names[0]], labels, name, table)
    if order is not None and len(order) == 1 and K == 2:
        ((k, column),) = order.items()
        first = probabilities(np.column_stack([values[column], 1 - values[column]]), name, table)
        return Values(first if k == 0 else np.ascontiguousarray(first[:, ::-1]), True)
    if order is not None:
        is_counted = list(order.values()) == [str(k) for k in range(K)]
        whole = probabilities(np.column_stack([values[order[k]] for k in range(K)]), name, table)
        return Values(whole, not is_counted)
    if names == [str(k) for k in range(K)]:
        whole = probabilities(np.column_stack(list(values.values())), name, table)
        said = f"columns {names[0]} to {names[-1]} are read as the classes in sorted order"
        return Values(labels.from_sorted(whole), False, (f"{name}: {said}: {_some(labels.sorted_names())}",))
    raise SchemaError(_what_is_wrong(names, labels, name))


def _order(names: Sequence[str], labels: ClassLabels) -> dict[int, str] | None:
    """Map each class index, or one of two, to its column; None where the names do not match the classes.

    A column is named after its class, perhaps with a prefix that all columns share (`p_yes`, `p_no`).
    """
    classes = [canonical_label(label) for label in labels.names]
    shared = _common_beginning(names)
    for start in sorted({0, *(i + 1 for i, letter in enumerate(shared) if letter in "_-:. "), len(shared)}):
        called = {canonical_label(column[start:]): column for column in names}
        if set(called) == set(classes) or (len(names) == 1 and len(classes) == 2 and set(called) <= set(classes)):
            return {classes.index(label): column for label, column in called.items()}
    if len(names) == 1 and len(classes) == 2:
        end = [k for k, label in enumerate(classes) if canonical_label(names[0]).endswith(f"_{label}")]
        return {end[0]: names[0]} if len(end) == 1 else None
    return None


def _what_is_wrong(names: Sequence[str], labels: ClassLabels, name: str) -> str:
    classes = [canonical_label(label) for label in labels.names]
    called = {canonical_label(column): column for column in names}
    absent = [label for label in labels.names if canonical_label(label) not in called]
    unknown = [column for label, column in called.items() if label not in classes]
    problems = [f"no column for class {_some(absent)}"] if absent else []
    problems += [f"column {_some(unknown)} is not a class"] if unknown else []
    return (
        f"{name}: {' and '.join(problems)}; one column per class of label {format_name(labels.column)} is needed, "
        f"named after it: {_some(labels.names)}"
    )


def _numbers(table: Table, column: str, labels: ClassLabels | NumberLabels | TagLabels, name: str) -> Floats:
    typed = table.typed(column)
    if not (pa.types.is_floating(typed.type) or pa.types.is_integer(typed.type) or pa.types.is_boolean(typed.type)):
        first = next((str(cell) for cell in table.as_given(column).to_pylist() if cell is not None), "")
        hint = ": give probabilities, not predicted labels" if isinstance(labels, ClassLabels) else ""
        raise SchemaError(f"{name}: column {format_name(column)} holds {quote(first)}, which is not a number{hint}")
    return as_floats(typed)


def _some(names: Sequence[str]) -> str:
    return join_names([quote(name) for name in names], 6)


def _common_beginning(names: Sequence[str]) -> str:
    """The prefix that several names share; empty for a single name."""
    first, last = min(names), max(names)
    same = next((i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return first[:same] if len(names) > 1 else ""
