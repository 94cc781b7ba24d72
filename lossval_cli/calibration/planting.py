"""Known noise in the user's own table: labels that become wrong, and cells of features that do.

A wrong label is another label of the column. Errors in features are of several kinds (`cell_errors.py`): those that
the detectors were fitted on are one of six, so that what is counted says something of errors that people make. Numbers
are rounded and written as their column is. What comes out is a table that is typed and encoded like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.calibration.cell_errors import CellErrors, draw_errors, with_typo
from lossval_cli.errors import UsageError
from lossval_cli.features.dataset import Dataset
from lossval_cli.tables.column_types import is_number, is_text
from lossval_cli.tables.numbers import NumberForm
from lossval_cli.tables.rewrite import Cells
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_name, pluralize

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

MOST_DECIMALS = 6
"""A column of numbers with no more decimals than this gets planted numbers with as many."""


class Planted(NamedTuple):
    """A table with noise in it, and where."""

    table: Table
    label: Bools  # (N,) rows whose label was changed
    features: Bools  # (N,) rows in which at least one feature was changed; never those above


def plant_noise(dataset: Dataset, rate: float, free: Bools, rng: np.random.Generator) -> Planted:
    """A copy of the training table in which the share `rate` of the rows `free` (N,) has a wrong label, and
    as many others corrupted features.

    Of each class one row keeps its label, so that none dies out. Missing numbers stay missing. Raises
    UsageError where the rate comes to less than one row.
    """
    table, y = dataset.train.table, dataset.train.y
    assert y is not None  # load_dataset refuses a training table without labels
    order = rng.permutation(np.flatnonzero(free))
    count = round(rate * len(order))
    keeps_label = np.zeros(len(y), bool)
    if dataset.classes is not None:
        keeps_label[np.unique(y, return_index=True)[1]] = True
    label_rows = order[~keeps_label[order]][:count]
    feature_rows = order[~np.isin(order, label_rows)][:count]
    if min(len(label_rows), len(feature_rows)) < max(count, 1):
        raise UsageError(
            f"--rates {rate:g}: {format_name(table.name)} has {pluralize(len(order), 'row')} that are not suspect, "
            "too few to plant errors in this share of them: give other rates or a larger table"
        )
    columns = {name: table.data[name] for name in table.column_names}
    columns[dataset.roles.label] = _with_labels(columns[dataset.roles.label], y, label_rows, rng)
    changed = np.zeros(len(feature_rows), bool)
    errors = _draw_errors(table, dataset.roles.features, feature_rows, rng)
    for name in dataset.roles.features:
        columns[name], differs = _with_errors(table, name, feature_rows, errors, rng)
        changed |= differs
    label, features = np.zeros(len(y), bool), np.zeros(len(y), bool)
    label[label_rows] = True
    features[feature_rows[changed]] = True
    return Planted(table.with_data(pa.table(columns)), label, features)


def flipped_labels(
    y: npt.NDArray[np.generic], rows: npt.NDArray[np.integer], rng: np.random.Generator
) -> npt.NDArray[np.generic]:
    """Return the flipped labels (len(rows),) of `rows`, from `y` (N,): another of the distinct labels, each alike.

    They move 1 to (labels − 1) places on in the sorted order, cyclically (Jiang et al., OpenDataVal, 2023).
    """
    distinct, position = np.unique(y, return_inverse=True)
    shift = rng.integers(1, len(distinct), size=len(rows))
    moved: npt.NDArray[np.generic] = distinct[(position[rows] + shift) % len(distinct)]
    return moved


def _with_labels(
    column: pa.ChunkedArray, y: npt.NDArray[np.generic], rows: Rows, rng: np.random.Generator
) -> pa.ChunkedArray:
    """The label column with other labels in `rows`, written as the first row that has them writes them."""
    distinct, first = np.unique(y, return_index=True)
    source = np.arange(len(y))
    source[rows] = first[np.searchsorted(distinct, flipped_labels(y, rows, rng))]
    return column.take(pa.array(source))


def _draw_errors(table: Table, names: Sequence[str], rows: Rows, rng: np.random.Generator) -> CellErrors:
    numbers = {
        name: pc.cast(table.typed(name), "float64", safe=False).to_numpy().astype(np.float64)
        for name in names
        if _holds_numbers(table, name)
    }
    rest = [name for name in names if name not in numbers]
    words = [name for name in rest if _holds_words(table, name)]
    return draw_errors(numbers, rows, rest, words, rng)


def _with_errors(
    table: Table, name: str, rows: Rows, errors: CellErrors, rng: np.random.Generator
) -> tuple[pa.ChunkedArray, Bools]:
    """A feature column with errors in `rows`, and in which of them (len(rows),) the cell changed."""
    column, typed = table.data[name], table.typed(name)
    source = np.arange(table.rows)
    if name in errors.numbers:
        values = pc.cast(typed, "float64", safe=False).to_numpy()
        new = _rounded(errors.numbers[name], values, rows)
        differs = (new != values[rows]) & ~np.isnan(new)
        return Cells(name, rows[differs], _written(new[differs], table, name)).put_into(column), differs
    replaced = errors.others[name]
    other = (rows + rng.integers(1, table.rows, size=len(rows))) % table.rows
    source[rows[replaced]] = other[replaced]
    before, after = (typed.take(pa.array(i)).to_pylist() for i in (rows, source[rows]))
    differs = np.array([old != new for old, new in zip(before, after, strict=True)], bool)
    column = column.take(pa.array(source))
    if name in errors.typos:
        typo = errors.typos[name] & np.array([bool(cell) for cell in before])
        cells = [with_typo(str(cell), rng) for cell in column.take(pa.array(rows[typo])).to_pylist()]
        column = Cells(name, rows[typo], pa.array(cells, column.type)).put_into(column)
        differs[typo] = [cell != before[i] for i, cell in zip(np.flatnonzero(typo), cells, strict=True)]
    return column, differs


def _rounded(new: Floats, values: Floats, rows: Rows) -> Floats:
    """Numbers (m,) for the cells of `rows`, with as many decimals as the column's `values` (N,) have."""
    present = values[~np.isnan(values)]
    with np.errstate(over="ignore", invalid="ignore"):
        for decimals in range(MOST_DECIMALS + 1):
            if np.array_equal(np.round(present, decimals), present):
                new = np.round(new, decimals)
                break
    rounded: Floats = np.where(np.isinf(new), values[rows], new) + 0.0  # no -0 in a column of whole numbers
    return rounded


def _written(numbers: Floats, table: Table, name: str) -> pa.Array:
    """Return `numbers` as cells of a column of `table`: as text where it is text, within what its type can hold."""
    stored = table.data[name].type
    if is_text(stored):
        kind = table.column(name).type
        if isinstance(kind.form, NumberForm):
            return pa.array([kind.form.write(number, None) for number in numbers.tolist()], stored)
        whole = pa.types.is_integer(kind.dtype)
        return pa.array([f"{number:.0f}" if whole else repr(number) for number in numbers.tolist()], stored)
    dtype = np.dtype(stored.to_pandas_dtype())
    limits = np.iinfo(dtype) if pa.types.is_integer(stored) else np.finfo(dtype)
    largest = float(limits.max)
    if largest > limits.max:  # as float64, the largest int64 is one more than it is
        largest = float(np.nextafter(largest, 0))
    return pa.array(np.clip(numbers, float(limits.min), largest).astype(dtype), stored)


def _holds_numbers(table: Table, name: str) -> bool:
    stored = table.data[name].type
    return is_number(table.typed(name).type) and (is_text(stored) or is_number(stored))


def _holds_words(table: Table, name: str) -> bool:
    stored, typed = table.data[name].type, table.typed(name).type
    return any(check(stored) and is_text(typed) for check in (pa.types.is_string, pa.types.is_large_string))
