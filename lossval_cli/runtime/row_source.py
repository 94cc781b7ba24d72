"""The interface of encoded rows that are read on demand; without PyTorch."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

PAGE_ROWS = 1 << 12
"""Neighbouring rows that go into the same chunk: one read of a file."""


class RowSource(Protocol):
    """(N, D) float32 that is read when it is asked for: an array, or an encoded table on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, D)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> npt.NDArray[np.float32]: ...
