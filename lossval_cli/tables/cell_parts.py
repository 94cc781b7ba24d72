"""Cells taken apart by regular expressions, as NumPy arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class Parts:
    """The pieces of U cells that a pattern of named groups takes apart, as NumPy arrays."""

    def __init__(self, cells: pa.Array, pattern: str) -> None:
        self._parts = pc.extract_regex(cells, pattern)
        self.found: Bools = np.asarray(self._parts.is_valid())

    def text(self, name: str) -> pa.Array:
        """Return a group as text (U,), empty where there is none."""
        return pc.fill_null(pc.struct_field(self._parts, name), "")

    def has(self, name: str) -> Bools:
        """Return (U,) whether a group is not empty."""
        return np.asarray(pc.not_equal(self.text(name), ""))

    def equals(self, name: str, value: str) -> Bools:
        """Return (U,) whether a group is this text."""
        return np.asarray(pc.equal(self.text(name), value))

    def floats(self, name: str) -> Floats:
        """Return a group (U,) as numbers, NaN where it is empty."""
        return as_floats(pc.replace_substring(self.text(name), ",", "."), self.has(name))


def as_floats(texts: pa.Array, wanted: Bools) -> Floats:
    """Texts (U,) as numbers where `wanted`, NaN elsewhere. All wanted ones have to be numbers."""
    chosen = pc.if_else(pa.array(wanted), texts, pa.scalar(None, texts.type))
    floats: Floats = chosen.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return floats


def matches(texts: pa.Array, pattern: str) -> Bools:
    """Return (U,) whether each text matches a pattern; null does not."""
    found: Bools = pc.fill_null(pc.match_substring_regex(texts, pattern), False).to_numpy(zero_copy_only=False)
    return found
