"""Categories -> one indicator per level if there are few levels, a small hashed vector per level if there are many."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.features.columns.scaling import LARGEST, Floats

MANY_LEVELS = 40
"""Above this a category is hashed: one-hot would cost more memory than it tells."""

HASH_WIDTH = 15
"""Numbers a hashed level becomes; two levels differ by about the same, ±35 %, whatever their names."""

FREQUENCY_SHARE = 0.25
"""Part of a hashed block's variance that says how common the level is."""


def level_counts(values: pa.ChunkedArray) -> dict[str | None, int]:
    """Text column -> rows per level, levels in text order, missing (None) last."""
    counted = pc.value_counts(values)
    levels = counted.field("values").to_pylist()
    counts = dict(zip(levels, counted.field("counts").to_pylist(), strict=True))
    named = sorted(level for level in levels if level is not None)
    ordered: dict[str | None, int] = {level: counts[level] for level in named}
    if None in counts:
        ordered[None] = counts[None]
    return ordered


def frequent_levels(counts: dict[str | None, int]) -> list[str]:
    """Levels worth a number of their own: those of two rows and one row in a thousand at least.

    All levels where pooling the others would leave nothing to tell apart, or would pool just one.
    """
    rows = sum(counts.values())
    named = [level for level in counts if level is not None]
    kept = [level for level in named if counts[level] >= max(2, rows / 1000)]
    pooled = len(named) - len(kept)
    slots = len(kept) + (pooled > 0) + (None in counts)
    return named if pooled < 2 or slots < 2 else kept


@dataclass(frozen=True)
class OneHotEncoder:
    """One number a level; missing is a level if training rows have it; rare levels share one.

    A level never seen in training joins the rare ones; without any it has no level: equally far from all
    others.
    """

    levels: tuple[str, ...]
    pooled: int
    """Rare training levels that share a number; 0: none."""
    shares: Floats
    """Training share of each number: levels, then rare, then missing."""
    factor: float
    missing: float

    @classmethod
    def fit(cls, counts: dict[str | None, int], levels: Sequence[str]) -> OneHotEncoder:
        """Fit on rows per training level; `levels` get a number of their own."""
        rows = sum(counts.values())
        absent = counts.get(None, 0)
        kept = [counts[level] for level in levels]
        rare = rows - absent - sum(kept)
        shares = np.array([*kept, *([rare] if rare else []), *([absent] if absent else [])], np.float64) / rows
        variance = float(np.sum(shares * (1 - shares)))
        farthest = float(np.max(np.maximum(shares, 1 - shares)))
        factor = 1.0 / max(float(np.sqrt(variance)), farthest / LARGEST)
        pooled = len(counts) - (None in counts) - len(levels)
        return cls(tuple(levels), pooled, shares, factor, absent / rows)

    @property
    def width(self) -> int:
        """Numbers this column becomes."""
        return len(self.shares)

    def write(self, values: pa.ChunkedArray, out: npt.NDArray[np.float32]) -> None:
        """Encode text `values` (n,) into `out` (n, width)."""
        found = pc.index_in(values, value_set=pa.array(self.levels, values.type))
        slot = pc.fill_null(found, -1).to_numpy().astype(np.int64)
        absent = values.is_null().to_numpy()
        if self.pooled:
            slot[(slot < 0) & ~absent] = len(self.levels)
        if self.missing:
            slot[absent] = self.width - 1
        out[:] = -self.shares * self.factor
        rows = np.flatnonzero(slot >= 0)
        out[rows, slot[rows]] = ((1.0 - self.shares) * self.factor)[slot[rows]]

    def unseen(self, values: pa.ChunkedArray) -> int:
        """Count the `values` that are levels which no training row has and that are not pooled with rare ones."""
        known = pc.is_in(values, value_set=pa.array(self.levels, values.type))
        return 0 if self.pooled else int(pc.sum(pc.and_(pc.invert(known), values.is_valid())).as_py() or 0)

    def describe(self) -> dict[str, object]:
        """Describe the column for the run's record."""
        return {"missing_share": self.missing, "levels": list(self.levels), "rare_levels_pooled": self.pooled}


@dataclass(frozen=True)
class HashedEncoder:
    """A fixed point of the unit sphere for each level, from its name alone, and how common it is in training.

    No target enters, so nothing leaks, and no fitted table is needed for new levels: their point is as good
    as any, with frequency 0. (A feature hasher of the same width would make one level in 16 equal to
    another.)
    """

    counts: dict[str | None, int]
    centres: Floats
    factor: float
    frequency_factor: float
    missing: float

    @classmethod
    def fit(cls, counts: dict[str | None, int]) -> HashedEncoder:
        """Fit on rows per training level."""
        rows = sum(counts.values())
        weights = np.array(list(counts.values()), np.float64) / rows
        points = _points(list(counts))
        log_count = np.log1p(weights * rows)
        frequency_mean = float(weights @ log_count)
        frequency_deviation = float(np.sqrt(weights @ (log_count - frequency_mean) ** 2))
        centre = weights @ points
        variance = float(weights @ np.sum((points - centre) ** 2, axis=1))
        share = FREQUENCY_SHARE if frequency_deviation > 1e-9 else 0.0
        return cls(
            counts=counts,
            centres=np.append(centre, frequency_mean),
            factor=float(np.sqrt((1 - share) / variance)),
            frequency_factor=float(np.sqrt(share)) / frequency_deviation if share else 0.0,
            missing=counts.get(None, 0) / rows,
        )

    @property
    def width(self) -> int:
        """Numbers this column becomes."""
        return HASH_WIDTH + int(self.frequency_factor > 0)

    def write(self, values: pa.ChunkedArray, out: npt.NDArray[np.float32]) -> None:
        """Encode text `values` (n,) into `out` (n, width)."""
        indexed = pc.dictionary_encode(values.combine_chunks(), null_encoding="encode")
        levels = indexed.dictionary.to_pylist()
        row_level = indexed.indices.to_numpy()
        encoded = np.empty((len(levels), self.width), np.float32)
        encoded[:, :HASH_WIDTH] = (_points(levels) - self.centres[:HASH_WIDTH]) * self.factor
        if self.frequency_factor > 0:
            log_count = np.log1p([float(self.counts.get(level, 0)) for level in levels])
            encoded[:, HASH_WIDTH] = (log_count - self.centres[HASH_WIDTH]) * self.frequency_factor
        out[:] = encoded[row_level]

    def unseen(self, values: pa.ChunkedArray) -> int:
        """Count the `values` that are levels which no training row has."""
        seen = {level for level in self.counts if level is not None}
        return sum(n for level, n in level_counts(values).items() if level is not None and level not in seen)

    def describe(self) -> dict[str, object]:
        """Describe the column for the run's record."""
        return {
            "missing_share": self.missing,
            "levels_hashed": sum(level is not None for level in self.counts),
        }


def _points(levels: Sequence[str | None]) -> Floats:
    """Levels -> (len, HASH_WIDTH) directions from BLAKE2b, the same on every machine; missing has its own."""
    digests = b"".join(
        hashlib.blake2b(
            b"" if level is None else level.encode("utf-8", "surrogatepass"),
            digest_size=4 * HASH_WIDTH,
            person=b"missing" if level is None else b"level",
        ).digest()
        for level in levels
    )
    raw = np.frombuffer(digests, "<u4").reshape(len(levels), HASH_WIDTH)
    points = raw / 2.0**31 - 1.0
    unit: Floats = points / np.linalg.norm(points, axis=1, keepdims=True)
    return unit
