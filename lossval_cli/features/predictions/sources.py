"""Load the predictions that the user gives: a table whose columns have names, or an array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import issparse

from lossval_cli.errors import UsageError
from lossval_cli.tables.frames import is_frame
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.table import Table, read_table

Floats = npt.NDArray[np.float64]


def load_predictions(source: Any, name: str, reading: ReadOptions) -> tuple[Table | Floats, pd.Index | None]:
    """A table, or an array (n, ...); and the pandas index, if it has one.

    source: a file, a table in memory, a dict of columns, a column, or anything that NumPy
    converts to an array. Raises UsageError and ReadError.
    """
    if isinstance(source, str | Path) and str(source).endswith(".npy"):
        return _as_array(_load_array(Path(source), name), name), None
    if isinstance(source, Mapping):
        source = _frame(source, name)
    index = source.index if isinstance(source, pd.DataFrame | pd.Series) else None
    if isinstance(source, str | Path) or (is_frame(source) and not _is_column(source)):
        return read_table(source, reading), index
    return _as_array(source, name), index


def _is_column(source: Any) -> bool:
    """Return True for a single column of pandas, polars or Arrow, as opposed to a table."""
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
    if issparse(source):
        source = source.toarray()
    if isinstance(source, Iterator):
        source = list(source)
    try:
        array = np.asarray(source)
        if np.iscomplexobj(array):
            raise TypeError("complex numbers")
        array = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{name}: not numbers ({str(error).partition(chr(10))[0][:80]}): give probabilities"
        ) from error
    if array.ndim == 0:
        raise UsageError(f"{name}: a single number, but one per row is needed")
    return array
