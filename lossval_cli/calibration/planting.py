"""Known noise in the user's own table: labels that become wrong, and features that become outliers.

As in the protocol of the benchmarks, for tables as people have them. A wrong label is another label of the
column. An outlier is corrupted in every column at once: to a number N(0, 1) is added in units of the column's
standard deviation, rounded as the column is; a category, text, date or whatever else has no scale becomes the
cell of another row, drawn for each column by itself. What comes out is a table that is typed and encoded like
any other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.errors import UsageError
from lossval_cli.features.dataset import Dataset
from lossval_cli.tables.column_types import is_text
from lossval_cli.tables.numbers import NumberForm
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
    assert y is not None  # the training table has a label: prepare() sees to it
    order = rng.permutation(np.flatnonzero(free))
    count = round(rate * len(order))
    keeps_label = np.zeros(len(y), bool)
    if dataset.classes is not None:
        keeps_label[np.unique(y, return_index=True)[1]] = True
    label_rows = order[~keeps_label[order]][:count]
    feature_rows = order[~np.isin(order, label_rows)][:count]
    if min(len(label_rows), len(feature_rows)) < max(count, 1):
        raise UsageError(
            f"--rates {rate:g} of {pluralize(len(order), 'row')} of {format_name(table.name)} that are not suspect "
            "leaves nothing to plant or nothing to plant it in: give other rates or a larger table"
        )
    columns = {name: table.data[name] for name in table.column_names}
    columns[dataset.roles.label] = _with_labels(columns[dataset.roles.label], y, label_rows, rng)
    changed = np.zeros(len(feature_rows), bool)
    for name in dataset.roles.features:
        columns[name], differs = _with_odd_cells(table, name, feature_rows, rng)
        changed |= differs
    label, features = np.zeros(len(y), bool), np.zeros(len(y), bool)
    label[label_rows] = True
    features[feature_rows[changed]] = True
    return Planted(table.with_data(pa.table(columns)), label, features)


def flipped_labels(
    y: npt.NDArray[np.generic], rows: npt.NDArray[np.integer], rng: np.random.Generator
) -> npt.NDArray[np.generic]:
    """(len(rows),) what the labels `y` (N,) of `rows` become: another of the distinct labels, each alike.

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


def _with_odd_cells(table: Table, name: str, rows: Rows, rng: np.random.Generator) -> tuple[pa.ChunkedArray, Bools]:
    """A feature column with corrupted cells in `rows`, and in which of them (len(rows),) the cell changed."""
    column, typed = table.data[name], table.typed(name)
    # Drawn for every column whatever it is, so that a column does not change what is planted in the next.
    noise = rng.standard_normal(len(rows))
    other = (rows + rng.integers(1, table.rows, size=len(rows))) % table.rows
    if _is_number(typed.type) and (is_text(column.type) or _is_number(column.type)):
        values = pc.cast(typed, "float64", safe=False).to_numpy()
        new = _moved(values, rows, noise)
        differs = new != values[rows]
        differs &= ~np.isnan(new)
        cells = _written(new[differs], table, name)
        source = np.arange(table.rows)
        source[rows[differs]] = table.rows + np.arange(int(differs.sum()))
        return pa.chunked_array([*column.chunks, cells]).take(pa.array(source)), differs
    source = np.arange(table.rows)
    source[rows] = other
    before, after = (typed.take(pa.array(i)).to_pylist() for i in (rows, other))
    differs = np.array([old != new for old, new in zip(before, after, strict=True)], bool)
    return column.take(pa.array(source)), differs


def _moved(values: Floats, rows: Rows, noise: Floats) -> Floats:
    """`values` of `rows` with `noise` added in units of their standard deviation, with as many decimals."""
    present = values[~np.isnan(values)]
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(present.std()) if present.size else 0.0
        if not np.isfinite(spread):  # no number can be moved by what is no number
            return values[rows]
        new = values[rows] + spread * noise
        for decimals in range(MOST_DECIMALS + 1):
            if np.array_equal(np.round(present, decimals), present):
                new = np.round(new, decimals)
                break
    new = np.where(np.isinf(new), values[rows], new)
    moved: Floats = new + 0.0  # no -0 in a column of whole numbers
    return moved


def _written(numbers: Floats, table: Table, name: str) -> pa.Array:
    """`numbers` as cells of a column of `table`: as text where it is text, within what its type can hold."""
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


def _is_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))
