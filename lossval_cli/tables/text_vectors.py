"""Embeddings and images that were saved as text: `[0.1, 0.2, …]`, NumPy's `[0.1 0.2 …]`, or many numbers in a row."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.column_types import tolerated

_NUMBER: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_LIST: Final = "^(?:{})$".format(
    "|".join(
        rf"{start}\s*{_NUMBER}(?:[\s,;]+{_NUMBER})+[\s,]*{end}"
        for start, end in ((r"\[", r"\]"), (r"(?:POINT ?|Point ?)?\(", r"\)"), (r"\{", r"\}"))
    )
)
_ROW: Final = rf"^{_NUMBER}(?:[ ,;|]+{_NUMBER}){{7,}}$"
"""Without brackets only long ones: three numbers are a telephone number more often."""
_PLACE: Final = r"^-?\d{1,3}\.\d{2,}[ ,;]+-?\d{1,3}\.\d{2,}$"
"""Latitude and longitude."""
_CALLS: Final = (
    (r"(?:np\.)?(?:float|int)\d*\(([^()]*)\)", r"\1"),
    (r"^(?:array|tensor)\((\[[^\]]*\]).*\)$", r"\1"),
    (rf"^\(?({_NUMBER}) ?([+-]) ?({_NUMBER[5:]})[ij]\)?$", r"[\1 \2\3]"),
)
"""Scalars and arrays as Python prints them within a list or a frame; and complex numbers, which are two numbers."""
_FIRST: Final = 100
"""Cells of which nearly all have to look like lists before all are read."""
VECTOR: Final = pa.list_(pa.float64())


def are_vectors(text: pa.ChunkedArray) -> bool:
    """Return True if nearly all cells (n,) that have a value are lists of at least two numbers."""
    first = _bare(text.slice(0, _FIRST).drop_null())
    return len(first) > 0 and int((~_fits(first)).sum()) <= tolerated(len(first))


def read_vectors(text: pa.ChunkedArray) -> tuple[pa.ChunkedArray, npt.NDArray[np.bool_]]:
    """Cells (N,) as lists of float64, null where a cell is no such list, and which cells are."""
    text = _bare(text)
    fits = np.asarray(_fits(text))
    bare = pc.replace_substring_regex(text.combine_chunks(), r"[^0-9eE.+-]+", " ")
    words = pc.utf8_split_whitespace(
        pc.if_else(pa.array(fits), pc.utf8_trim_whitespace(bare), pa.scalar(None, pa.string()))
    )
    numbers = pc.list_flatten(words).cast(pa.float64())
    lengths = pc.fill_null(pc.list_value_length(words), 0).to_numpy(zero_copy_only=False)
    offsets = np.append(0, np.cumsum(lengths)).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets, mask=np.append(~fits, False)), numbers)
    return pa.chunked_array([lists]), fits


def _bare(text: pa.ChunkedArray) -> pa.ChunkedArray:
    for pattern, plain in _CALLS:
        text = pc.replace_substring_regex(text, pattern, plain)
    return text


def _fits(text: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(text), bool)
    for pattern in (_LIST, _ROW, _PLACE):
        found |= pc.fill_null(pc.match_substring_regex(text, pattern), False).to_numpy()
    return found
