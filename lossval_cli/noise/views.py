"""The columns that detectors read from a typed table: numbers, levels, and two numbers for each column of free text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

TEXT_VIEWS = {"length": "length", "symbols": "share of characters that are neither letters nor spaces"}


@dataclass(frozen=True)
class TableView:
    """The numbers and levels that each column is read as."""

    kinds: Mapping[str, str]
    source: Mapping[str, str]
    """Column of the table behind each column of the view."""
    is_number: Mapping[str, bool]

    @classmethod
    def fit(cls, frame: pd.DataFrame, kinds: Mapping[str, str]) -> TableView:
        """Fit the views. `kinds`: number, date, boolean, category or text of each column."""
        source: dict[str, str] = {}
        is_number: dict[str, bool] = {}
        for column in frame.columns:
            names = [column]
            if kinds[column] == "text":
                names = [f"{column}\0{view}" for view in TEXT_VIEWS]
            elif kinds[column] in ("number", "date") and not np.isfinite(frame[column].to_numpy(float)).any():
                continue
            for name in names:
                source[name] = column
                is_number[name] = kinds[column] in ("number", "date", "text")
        return cls(dict(kinds), source, is_number)

    @property
    def levels(self) -> list[str]:
        """Columns of the view that hold levels."""
        return [name for name, number in self.is_number.items() if not number]

    @property
    def movable(self) -> list[str]:
        """Columns of the table that hold plain numbers, which may have been exchanged."""
        return [name for name, column in self.source.items() if self.kinds[column] == "number"]

    def prepare(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Numbers float64 with NaN, levels strings with None."""
        columns: dict[str, npt.NDArray[np.generic]] = {}
        for name, column in self.source.items():
            values = frame[column]
            if self.kinds[column] == "text":
                columns[name] = _text(values, name.rsplit("\0", 1)[1])
            elif self.is_number[name]:
                columns[name] = values.to_numpy(float)
            else:
                columns[name] = _levels(values)
        return pd.DataFrame(columns)


def _levels(values: pd.Series) -> npt.NDArray[np.object_]:
    """Strings with None; booleans in words."""
    cells: npt.NDArray[np.object_] = values.to_numpy(object)
    if pd.api.types.is_numeric_dtype(values.dtype):
        words = {0.0: "no", 1.0: "yes"}
        cells = np.array([words.get(float(v), str(v)) if v == v else None for v in values], object)
    missing = np.asarray(pd.isna(cells))
    if missing.any():
        cells = cells.copy()
        cells[missing] = None
    return cells


def _text(values: pd.Series, view: str) -> npt.NDArray[np.float64]:
    present = values.notna().to_numpy()
    found = np.full(len(values), np.nan)
    texts = values[present].astype(str)
    length = texts.str.len().to_numpy(float)
    if view == "length":
        found[present] = length
    else:
        plain = texts.str.count(r"[^\W\d_]|\s").to_numpy(float)
        found[present] = np.round((length - plain) / np.maximum(length, 1), 3)
    return found
