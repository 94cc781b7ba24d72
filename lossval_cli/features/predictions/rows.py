"""Rows of the given predictions, matched with the rows of the table.

They are matched by a pandas index or by columns of ids, in any order. An array, or a table whose index only counts from
0, has its rows in the order of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from lossval_cli.errors import SchemaError, UsageError
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_name, join_names, pluralize, quote

Ints = npt.NDArray[np.int64]

SAVED_INDEX = ("unnamed_1", "Unnamed: 0", "__index_level_0__")
"""Names of the column of a pandas index that was saved without a name."""


def rows_by_count(given: int, name: str, table: Table, all_rows: Table) -> Ints:
    """Return (n,) row numbers of `table`, the labelled rows of `all_rows`, among `given` rows: one for each row of
    either.

    Raises UsageError for any other number of rows.
    """
    if given == table.rows:
        return np.arange(given)
    if given == all_rows.rows and table.row_numbers is not None:
        return table.row_numbers
    raise UsageError(
        f"{name}: {pluralize(given, 'row')}, but {format_name(table.name)} has {pluralize(all_rows.rows, 'row')}: "
        "one prediction per row is needed, in its order"
    )


def rows_by_index(index: pd.Index, name: str, table: Table, all_rows: Table) -> Ints | None:
    """Return (n,) positions in `index` of the rows of `table`; None for an index that only counts rows.

    Raises SchemaError where rows cannot be matched.
    """
    ours = pd.RangeIndex(all_rows.rows) if all_rows.index is None else all_rows.index
    is_counted = index.equals(pd.RangeIndex(len(index)))
    if is_counted and (isinstance(index, pd.RangeIndex) or not ours.isin(index).all()):
        return None
    advice = f"give the index of {format_name(table.name)}, or reset it if the rows are in the same order"
    return _matched(index, ours, "index", name, table, advice)


def saved_index(given: Table) -> pd.Index | None:
    """The pandas index that a table was saved with; None without one."""
    name = next((name for name in given.column_names if name in SAVED_INDEX), None)
    return None if name is None else pd.Index(given.typed(name).to_pandas(), name=name)


def rows_by_ids(given: Table, ids: Sequence[str], name: str, table: Table, all_rows: Table) -> Ints | None:
    """Return (n,) rows of `given` with the ids of the rows of `table`; None without ids. Raises SchemaError."""
    if not ids:
        return None
    theirs, ours = (_keys(part, ids) for part in (given, all_rows))
    advice = f"give one row for each row of {format_name(table.name)}"
    return _matched(theirs, ours, join_names(map(format_name, ids)), name, table, advice)


def _keys(table: Table, ids: Sequence[str]) -> pd.Index:
    columns = [table.as_given(column).cast(pa.string()).to_pylist() for column in ids]
    return pd.Index(columns[0]) if len(columns) == 1 else pd.MultiIndex.from_arrays(columns)


def _matched(theirs: pd.Index, ours: pd.Index, what: str, name: str, table: Table, advice: str) -> Ints:
    wanted = ours if table.row_numbers is None else ours[table.row_numbers]
    if theirs.equals(ours):
        return np.arange(len(ours)) if table.row_numbers is None else table.row_numbers
    if theirs.equals(wanted):
        return np.arange(len(wanted))
    found = np.full(len(wanted), -1) if not theirs.is_unique else theirs.get_indexer(wanted)
    for keys, whose in ((theirs, name), (wanted, format_name(table.name))):
        if not keys.is_unique:
            twice = _shown(keys[keys.duplicated()][0])
            raise SchemaError(
                f"{name}: its rows are not in the order of {format_name(table.name)}, and cannot be matched by {what}, "
                f"since {twice} is in {whose} more than once: {advice}"
            )
    absent = np.flatnonzero(found < 0)
    if len(absent):
        row = int(absent[0])
        raise SchemaError(
            f"{name}: no row has {what} {_shown(wanted[row])}, as {table.line_or_row(row)} of "
            f"{format_name(table.name)} has ({pluralize(len(absent), 'such row')} in all): {advice}"
        )
    return found.astype(np.int64)


def _shown(key: Any) -> str:
    return join_names([quote(part) for part in key]) if isinstance(key, tuple) else quote(key)
