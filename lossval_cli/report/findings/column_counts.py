"""One pass over the columns: which category or range each row lies in, and how many suspects each holds.

Columns are read one after the other and only counts are kept, so that a million rows need no second copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.report.findings.names import cut, date
from lossval_cli.text.format import format_number

RANGES = 10
"""Ranges of about equally many rows that a column of numbers is cut into."""

FEW_VALUES = 12
"""Numbers with no more distinct values than this are taken value by value."""

MOST_LEVELS = 1_000
"""Levels of a category that are looked at, the most common ones."""

FAR_OUT = 4.0
"""Quartile ranges from the median beyond which a value is far out; one normal value in ten million is."""

SAMPLE = 100_000
"""Rows that ranges are found on; a quantile needs no more."""

Kinds = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ColumnCounts:
    """Rows and suspects in each category or range of one column."""

    column: str
    names: tuple[str, ...]
    """What each is called: a level, a range, `missing`."""
    rows: npt.NDArray[np.int64]  # (bins,)
    suspects: npt.NDArray[np.int64]  # (bins, kinds)
    members: npt.NDArray[Any]
    """(bins,) sum of the numbers of the rows: as many rows with the same sum are the same rows."""
    usual: tuple[str, str, str] | None
    """Numbers and dates: from where to where 98 % lie, far ones aside, and the median between; in words."""
    bounds: tuple[float, float] | None
    """The same ends as numbers."""


def count_column(column: str, kind: str, values: Any, suspects: Kinds) -> ColumnCounts:
    """Count the cells of a column. `values`: float64 (n,) with NaN for missing, or text; `suspects` (n, kinds) says who
    is one."""
    if isinstance(values, np.ndarray):
        codes, names = _ranges(values, kind)
    else:
        codes, names = _levels(values)
    bins = len(names)
    rows = np.bincount(codes + 1, minlength=bins + 1)[1:]
    members = np.bincount(codes + 1, weights=np.arange(float(len(codes))), minlength=bins + 1)[1:]
    by_kind = [np.bincount(codes[mask] + 1, minlength=bins + 1)[1:] for mask in suspects.T]
    usual, bounds = None, None
    if isinstance(values, np.ndarray) and kind in ("number", "date"):
        low, middle, high = _usual(_sample(values))
        word = date if kind == "date" else format_number
        usual, bounds = (word(low), word(middle), word(high)), (float(low), float(high))
    counted = np.stack(by_kind, axis=1) if by_kind else np.zeros((bins, 0), np.int64)
    return ColumnCounts(column, tuple(names), rows, counted, members, usual, bounds)


def _ranges(values: npt.NDArray[np.float64], kind: str) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the range (n,) that each number lies in, and the names of the ranges."""
    absent = np.isnan(values)
    sample = _sample(values)
    sample = sample[~np.isnan(sample)]
    word = date if kind == "date" else format_number
    if kind == "boolean":
        inner, names = np.array([0.5]), ["false", "true"]
    elif len(distinct := np.unique(sample)) <= FEW_VALUES:
        inner = distinct[1:] / 2 + distinct[:-1] / 2
        names = [word(value) for value in distinct]
    else:
        inner = np.unique(np.quantile(sample, np.arange(1, RANGES) / RANGES, method="lower"))
        inner = inner[inner < distinct[-1]]
        if not inner.size:  # nearly all values are the largest
            inner = distinct[-2:-1]
        between = [f"over {word(low)} to {word(high)}" for low, high in pairwise(inner)]
        names = [f"up to {word(inner[0])}", *between, f"over {word(inner[-1])}"]
    codes = np.searchsorted(inner, values, side="left").astype(np.int64)
    if absent.any():
        codes[absent] = len(names)
        names = [*names, "missing"]
    return codes, names


def _levels(values: Any) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the level (n,) of each text, −1 beyond the MOST_LEVELS most common, and the names of the levels."""
    encoded = pc.dictionary_encode(_combined(values))
    levels = encoded.dictionary
    codes = pc.fill_null(encoded.indices, len(levels)).to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(codes, minlength=len(levels) + 1)
    kept = np.sort(np.argsort(-counts[: len(levels)], kind="stable")[:MOST_LEVELS])
    i = np.full(len(levels) + 1, -1, np.int64)
    i[kept] = np.arange(len(kept))
    names = [cut(name) for name in levels.take(pa.array(kept)).to_pylist()]
    if counts[-1]:
        i[-1] = len(names)
        names.append("missing")
    return i[codes], names


def _usual(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """The 1 %, 50 % and 99 % quantile of values that are not far out: outliers must not pass as usual
    because they are frequent."""
    present = values[~np.isnan(values)]
    first, middle, third = np.quantile(present, [0.25, 0.5, 0.75], method="nearest")
    with np.errstate(over="ignore"):  # infinite: nothing is far out
        reach = FAR_OUT * (third - first)
        near = present[np.abs(present - middle) <= reach] if reach > 0 else present
    low, high = np.quantile(near, [0.01, 0.99], method="nearest")
    return float(low), float(middle), float(high)


def _combined(values: Any) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _sample(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return evenly spaced `values` where there are more than SAMPLE, else all."""
    return values[:: max(1, len(values) // SAMPLE)]
