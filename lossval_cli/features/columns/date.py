"""Dates -> how late (one standardised number) and where in the day, week and year (points on circles)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.features.columns.number import as_floats
from lossval_cli.features.columns.scaling import Floats, Standardiser, unit_block

DAY = 86_400.0
CYCLES = {"day": DAY, "week": 7 * DAY, "year": 365.2425 * DAY}
"""Periods in seconds, counted from 1970-01-01: only the phase differs from a calendar's."""

RADIUS = 0.5**0.5
"""An evenly filled circle has variance 1/2 beside the linear part's 1: how late counts most."""


def as_seconds(values: pa.ChunkedArray) -> Floats:
    """A timestamp[us] column -> float64 (n,) seconds since 1970 (UTC), missing as NaN."""
    return as_floats(values.cast(pa.int64())) / 1e6


@dataclass(frozen=True)
class DateEncoder:
    """Seconds -> linear part, sine and cosine of each cycle the training rows span, missing indicator."""

    standard: Standardiser
    median: float
    cycles: tuple[str, ...]
    indicator: bool
    centres: Floats
    factor: float
    missing: float

    @classmethod
    def fit(cls, seconds: Floats, *, indicator: bool = True) -> DateEncoder:
        """Fit on `seconds` (N,), NaN where missing, at least two of them different.

        A cycle is used where training rows span nearly a period and lie at different places of it: dates
        without a time have no daily cycle, and within one year the linear part says all that the yearly one
        could.
        """
        absent = np.isnan(seconds)
        present = seconds[~absent]
        span = float(present.max() - present.min())
        cycles = tuple(
            name
            for name, period in CYCLES.items()
            if span >= 0.9 * period and np.ptp(np.mod(present, period)) > 1e-6 * period
        )
        draft = cls(
            standard=Standardiser.fit(present - np.median(present)),
            median=float(np.median(present)),
            cycles=cycles,
            indicator=indicator and bool(absent.any()),
            centres=np.zeros(0),
            factor=1.0,
            missing=float(absent.mean()),
        )
        centres, factor = unit_block(list(draft._parts(seconds)))
        return cls(draft.standard, draft.median, cycles, draft.indicator, centres, factor, draft.missing)

    @property
    def width(self) -> int:
        """Numbers this column becomes."""
        return 1 + 2 * len(self.cycles) + int(self.indicator)

    def write(self, seconds: Floats, out: npt.NDArray[np.float32]) -> None:
        """Encode `seconds` (n,), NaN where missing, into `out` (n, width)."""
        for i, part in enumerate(self._parts(seconds)):
            out[:, i] = (part - self.centres[i]) * self.factor

    def _parts(self, seconds: Floats) -> Iterator[Floats]:
        absent = np.isnan(seconds)
        filled = np.where(absent, self.median, seconds)
        yield self.standard.apply(filled - self.median)
        for name in self.cycles:
            angle = 2 * np.pi / CYCLES[name] * np.mod(filled, CYCLES[name])
            yield RADIUS * np.sin(angle)
            yield RADIUS * np.cos(angle)
        if self.indicator:
            yield absent.astype(np.float64)

    def describe(self) -> dict[str, object]:
        """Describe the column for the run's record."""
        return {"missing_share": self.missing, "indicator": self.indicator, "cycles": list(self.cycles)}
