"""Embeddings and images that were saved as text: `[0.1, 0.2, …]`, NumPy's `[0.1 0.2 …]`, or many numbers in a row."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_NUMBER: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_LIST: Final = rf"^\[\s*{_NUMBER}(?:[\s,]+{_NUMBER})+[\s,]*\]$"
_ROW: Final = rf"^{_NUMBER}(?:[ ,]+{_NUMBER}){{7,}}$"
"""Without brackets only long ones: three numbers are a telephone number more often."""
_FIRST: Final = 100
"""Cells that have to look like lists before all are read."""
VECTOR: Final = pa.list_(pa.float64())


def are_vectors(text: pa.ChunkedArray) -> bool:
    """Whether all cells (n,) that have a value are lists of at least two numbers."""
    first = text.slice(0, _FIRST).drop_null()
    return len(first) > 0 and bool(_fits(first).all())


def read_vectors(text: pa.ChunkedArray) -> tuple[pa.ChunkedArray, npt.NDArray[np.bool_]]:
    """Cells (N,) as lists of float64, null where a cell is no such list, and which cells are."""
    fits = np.asarray(_fits(text))
    bare = pc.utf8_trim(pc.replace_substring(text.combine_chunks(), ",", " "), "[] \t\r\n")
    words = pc.utf8_split_whitespace(pc.if_else(pa.array(fits), bare, pa.scalar(None, pa.string())))
    numbers = pc.list_flatten(words).cast(pa.float64())
    lengths = pc.fill_null(pc.list_value_length(words), 0).to_numpy(zero_copy_only=False)
    offsets = np.append(0, np.cumsum(lengths)).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets, mask=np.append(~fits, False)), numbers)
    return pa.chunked_array([lists]), fits


def _fits(text: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    either = pc.or_(pc.match_substring_regex(text, _LIST), pc.match_substring_regex(text, _ROW))
    found: npt.NDArray[np.bool_] = pc.fill_null(either, False).to_numpy()
    return found
