"""One 64-bit key per row, equal for rows whose cells are equal, and which rows have to stay together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Keys = npt.NDArray[np.uint64]
Units = npt.NDArray[np.int64]

_MISSING = np.uint64(0x6D697373)
"""Stands for a missing cell; any constant does."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""An uneven number with well-mixed bits: keys of columns in another order differ."""


MOST_BY_CHANCE = 0.05
"""Other rows that may be expected to agree with a row by chance, if its equals are to count as copies."""

COLUMNS_COMPARED = 3
"""Columns whose cells may multiply up to that chance: more would take columns that depend on one another for
evidence."""

LARGEST_SHARE, LARGEST_GROUP = 0.02, 5
"""Share of the rows, or number of them where that is more, beyond which equal rows are a state of many rows."""


def row_keys(columns: Iterable[Any], rows: int) -> Keys:
    """Return one key per row, (n,), equal for rows whose cells are all equal, missing ones included.

    `columns` are float64 (n,) or text, in the same order for every table that is compared. Two different
    rows share a key with a probability of about 2⁻⁶⁴.
    """
    keys = np.zeros(rows, np.uint64)
    for values in columns:
        keys = keys * _FACTOR + _hashed(values)
    return keys


def with_label(keys: Keys, y: npt.NDArray[np.generic]) -> Keys:
    """Keys of rows together with their labels."""
    return keys * _FACTOR + _hashed(y.astype(np.float64))


def are_among(keys: Keys, others: Keys) -> npt.NDArray[np.bool_]:
    """Return (n,) whether each key is one of `others`. Few of either are looked up among many in the time that it takes
    to read these once; np.isin would sort them."""
    if len(keys) < len(others):
        others = others[pd.Series(others).isin(keys)]
    found: npt.NDArray[np.bool_] = pd.Series(keys).isin(others).to_numpy()
    return found


def repeated_share(keys: Keys) -> float:
    """Share of rows with a duplicate in their own table: as many are expected to have one in another table."""
    return float(pd.Series(keys).duplicated(keep=False).mean())


def find_copies(keys: Keys, columns: Iterable[Any]) -> Units | None:
    """Return (n,) numbers, the same for rows that are copies of one another, 0..U-1; None where there are none.

    keys (n,): of the same `columns`, as `row_keys` gives them.  Rows of few categories agree by chance, and a state
    that many rows share (a sensor that is off) is not a record entered twice: equal rows count as copies only
    where at most MOST_BY_CHANCE other rows would be expected to agree with them in their COLUMNS_COMPARED rarest
    cells, if columns were independent, and where they are few (LARGEST_SHARE).
    """
    n = len(keys)
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return None
    distinct, first, inverse, sizes = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    limit = max(LARGEST_GROUP, LARGEST_SHARE * n)
    repeated = np.flatnonzero((sizes > 1) & (sizes <= limit))
    if not len(repeated):
        return None
    rarest = np.zeros((len(repeated), COLUMNS_COMPARED))  # logarithms of shares, ascending
    improbable = np.zeros(len(repeated), np.bool_)
    for values in columns:
        codes = pd.factorize(_hashed(values))[0]
        others = np.bincount(codes)[codes[first[repeated]]] - sizes[repeated] + 1
        rarest = np.sort(np.column_stack([rarest, np.log(others / n)]), axis=1)[:, :COLUMNS_COMPARED]
        improbable = np.log(n) + rarest.sum(axis=1) < np.log(MOST_BY_CHANCE)
        if improbable.all():
            break
    copied = np.zeros(len(distinct), np.bool_)
    copied[repeated[improbable]] = True
    if not copied.any():
        return None
    alone = ~copied[inverse]
    units = inverse.reshape(-1).astype(np.int64)
    units[alone] = len(distinct) + np.arange(int(alone.sum()))
    return np.unique(units, return_inverse=True)[1].reshape(-1).astype(np.int64)


def join_units(first: Units | None, second: Units | None) -> Units | None:
    """Return (n,) numbers, the same for rows that are connected by either partition; None where both are None.

    Two groups that share a copy of one row become one unit.
    """
    from scipy.sparse import coo_array  # here, since commands that only read runs load no SciPy
    from scipy.sparse.csgraph import connected_components

    if first is None or second is None:
        return second if first is None else first
    size = int(first.max()) + 1
    edges = coo_array(
        (np.ones(len(first), np.bool_), (first, second + size)), shape=(size + int(second.max()) + 1,) * 2
    )
    _, component = connected_components(edges, directed=False)
    return np.unique(component[first], return_inverse=True)[1].reshape(-1).astype(np.int64)


def _hashed(values: Any) -> Keys:
    if isinstance(values, np.ndarray):
        numbers = np.where(np.isnan(values), np.nan, values + 0.0)  # one NaN, and one zero for −0 and 0
        keys: Keys = pd.util.hash_array(numbers)
        return keys
    text = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    encoded = pc.dictionary_encode(text)
    levels = pd.util.hash_array(np.array(encoded.dictionary.to_pylist(), object), categorize=False)
    codes = pc.fill_null(encoded.indices, len(levels)).to_numpy(zero_copy_only=False).astype(np.int64)
    keys = np.append(levels, _MISSING)[codes].astype(np.uint64)
    return keys  # noqa: RET504
