"""Cells that are not of the type of their column: read as missing, and a finding about their rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.tables.table import Table
from lossval_cli.text.format import quote

EXAMPLES = 20
"""Cells of a column that the report shows."""


class InvalidCells(NamedTuple):
    """The cells of one training column that do not fit its type."""

    column: str
    expected: str
    """What the others are: a number, a date, true or false."""
    rows: npt.NDArray[np.int64]
    """(k,) rising."""


def find_invalid_cells(train: Table, columns: Sequence[str]) -> tuple[InvalidCells, ...]:
    """The invalid cells of a training table in memory, by column."""
    found = []
    for name in columns:
        column = train.column(name)
        if len(column.invalid):
            found.append(InvalidCells(name, column.type.noun, column.invalid))
    return tuple(found)


def describe_invalid_cells(found: Sequence[InvalidCells], train: Table, columns: int) -> dict[str, Any]:
    """Describe for the report how many of the cells of `columns` features do not fit, and the first of each column."""
    return {
        "count": sum(len(cells.rows) for cells in found),
        "cells": train.rows * columns,
        "rows": len({row for cells in found for row in cells.rows.tolist()}),
        "columns": [
            {
                "column": cells.column,
                "expected": cells.expected,
                "count": len(cells.rows),
                "examples": _examples(cells, train),
            }
            for cells in found
        ],
    }


def _examples(cells: InvalidCells, train: Table) -> list[dict[str, Any]]:
    rows = cells.rows[:EXAMPLES]
    given = train.data.take(pa.array(rows))[cells.column].to_pylist()
    return [
        {"row": row, "line": train.line(row), "value": quote(value)}
        for row, value in zip(rows.tolist(), given, strict=True)
    ]
