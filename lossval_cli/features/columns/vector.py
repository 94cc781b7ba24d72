"""Embeddings: a list of numbers per cell -> one block, its dimensions standardised together."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.features.columns.scaling import Floats, unit_block


def common_length(values: pa.ChunkedArray) -> int:
    """The length that most lists have; 0 where there are none."""
    lengths = Counter(pc.list_value_length(values).drop_null().to_pylist())
    return int(lengths.most_common(1)[0][0]) if lengths else 0


def as_matrix(values: pa.ChunkedArray, width: int) -> Floats:
    """Lists (n,) -> float64 (n, width); a row of NaN where a list is missing, of another length, or not finite."""
    lists = values.combine_chunks()
    fits = np.asarray(pc.fill_null(pc.equal(pc.list_value_length(lists), width), False))
    flat = pc.list_flatten(lists.filter(pa.array(fits))).cast(pa.float64()).to_numpy(zero_copy_only=False)
    matrix = np.full((len(lists), width), np.nan)
    matrix[fits] = flat.reshape(-1, width)
    matrix[~np.isfinite(matrix).all(axis=1)] = np.nan
    return matrix


def as_digests(matrix: Floats) -> pa.Array:
    """Return a text per row, (n,), equal for equal vectors and null for missing ones: what rows are compared by."""
    missing = np.isnan(matrix[:, 0])
    digests = [hashlib.blake2b(row.tobytes(), digest_size=12).hexdigest() for row in matrix]
    return pa.array(digests, pa.large_string(), mask=missing)


@dataclass(frozen=True)
class VectorEncoder:
    """Vectors less their training mean, scaled by one factor: the geometry of the embedding stays as it is."""

    dimensions: int
    indicator: bool
    centres: Floats
    factor: float
    missing: float

    @classmethod
    def fit(cls, matrix: Floats) -> VectorEncoder:
        """Fit on `matrix` (N, d), a row of NaN where the vector is missing; at least two vectors differ."""
        absent = np.isnan(matrix[:, 0])
        mean = matrix[~absent].mean(axis=0)
        filled = np.where(absent[:, None], mean, matrix)
        parts = [*filled.T, *([absent.astype(np.float64)] if absent.any() else [])]
        centres, factor = unit_block(parts)
        return cls(matrix.shape[1], bool(absent.any()), centres, factor, float(absent.mean()))

    @property
    def width(self) -> int:
        """Numbers this column becomes."""
        return self.dimensions + int(self.indicator)

    def write(self, matrix: Floats, out: npt.NDArray[np.float32]) -> None:
        """Encode `matrix` (n, d) into `out` (n, width); what is far beyond float32 is held at its end."""
        absent = np.isnan(matrix[:, 0])
        with np.errstate(over="ignore"):
            scaled = (matrix - self.centres[: self.dimensions]) * self.factor
        scaled[absent] = 0.0
        out[:, : self.dimensions] = np.clip(scaled, -1e6, 1e6)
        if self.indicator:
            out[:, -1] = (absent - self.centres[-1]) * self.factor

    def describe(self) -> dict[str, object]:
        """Describe the column for the run's record."""
        return {"missing_share": self.missing, "indicator": self.indicator, "dimensions": self.dimensions}
