"""Numbers and cells as the report writes them: short, finite, the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy.special import betaincinv

from lossval_cli.text.format import format_number

LONGEST_CELL = 80
"""Characters of a cell that the report shows; the table itself has the rest."""

Json = str | int | float | bool | None


def cell(value: Any) -> Json:
    """Return one cell as JSON can hold it: text cut to LONGEST_CELL, what is not a finite number as text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return cut(str(value))


def cut(text: str) -> str:
    """Text of at most LONGEST_CELL characters."""
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def rounded(values: Iterable[Any], digits: int = 5) -> list[float | None]:
    """Return numbers with `digits` significant digits, null where not finite: enough for a plot."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in map(float, values)]


def date(seconds: float) -> str:
    """Write seconds since 1970 as a date."""
    try:
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):  # years that datetime does not know
        return format_number(seconds)


def wilson(hits: Any, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Compute the 95 % interval of a share (Wilson, 1927), for hits out of rows; 0 to 1 where there are no rows."""
    hits, rows = np.asarray(hits, np.float64), np.asarray(rows, np.float64)
    z = 1.959964
    safe = np.maximum(rows, 1)
    p = hits / safe
    centre = (p + z * z / (2 * safe)) / (1 + z * z / safe)
    half = z * np.sqrt(p * (1 - p) / safe + z * z / (4 * safe * safe)) / (1 + z * z / safe)
    known = rows > 0
    return np.where(known, np.maximum(centre - half, 0), 0), np.where(known, np.minimum(centre + half, 1), 1)


def exact_interval(hits: int, rows: int, level: float = 0.95) -> tuple[float, float]:
    """Compute the interval of a share that is never too narrow (Clopper & Pearson, 1934); 0 to 1 without rows."""
    tail = (1 - level) / 2
    low = float(betaincinv(hits, rows - hits + 1, tail)) if hits else 0.0
    return low, float(betaincinv(hits + 1, rows - hits, 1 - tail)) if rows > hits else 1.0
