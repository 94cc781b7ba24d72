"""The interface of encoded rows that are read on demand; without PyTorch."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

CHUNK_ROWS = 1 << 16
"""Rows that are shuffled together, at most."""

CHUNK_BYTES = 1 << 26
"""Bytes of float32 that they take, at most, unless rows are wider than CHUNK_BYTES / PAGES."""

PAGES = 1 << 8
"""Pages of a chunk: neighbouring rows, one read of a file. So many that the rows of a sorted table are mixed."""


def chunk_rows(width: int) -> int:
    """Rows of a chunk, a power of two. They depend on the width of a row alone, and so the order in which rows are
    visited does not depend on memory."""
    rows = CHUNK_ROWS
    while rows > PAGES and 4 * width * rows > CHUNK_BYTES:
        rows //= 2
    return rows


def draw_at_most(rows: int, most: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return row numbers, ascending: all of them, or `most` that are drawn."""
    return np.arange(rows) if rows <= most else np.sort(rng.choice(rows, most, replace=False))


class RowSource(Protocol):
    """(N, D) float32 that is read when it is asked for: an array, or an encoded table on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, D)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> npt.NDArray[np.float32]: ...
