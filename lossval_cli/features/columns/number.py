"""Numbers and yes/no columns -> one standardised number, and one indicator where training rows lack it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.features.columns.scaling import Floats, Standardiser, unit_block


def as_floats(values: pa.ChunkedArray) -> Floats:
    """An int64, float64 or bool column -> float64 (n,), missing as NaN, false as 0 and true as 1."""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    floats: Floats = pc.cast(values, pa.float64(), safe=False).to_numpy()
    return floats


@dataclass(frozen=True)
class NumberEncoder:
    """A number, or false/true as 0/1, standardised robustly; missing -> median with an indicator."""

    standard: Standardiser | None
    """None where training rows hold one value or none at all: only the indicator is left."""
    indicator: bool
    centres: Floats
    factor: float
    missing: float

    @classmethod
    def fit(cls, values: Floats, *, indicator: bool = True) -> NumberEncoder:
        """Fit on `values` (N,), NaN where missing; not all of them alike. indicator: whether that a value is missing
        says something, where one is."""
        absent = np.isnan(values)
        present = values[~absent]
        varies = present.size > 0 and bool(np.any(present != present[0]))
        standard = Standardiser.fit(present) if varies else None
        indicator = indicator and bool(absent.any())
        draft = cls(standard, indicator, np.zeros(2), 1.0, float(absent.mean()))
        centres, factor = unit_block(draft._parts(values, absent))
        return cls(standard, indicator, centres, factor, float(absent.mean()))

    @property
    def width(self) -> int:
        """Numbers this column becomes."""
        return int(self.standard is not None) + int(self.indicator)

    def write(self, values: Floats, out: npt.NDArray[np.float32]) -> None:
        """Encode `values` (n,), NaN where missing, into `out` (n, width)."""
        for i, part in enumerate(self._parts(values, np.isnan(values))):
            part -= self.centres[i]
            part *= self.factor
            out[:, i] = part

    def far(self, values: Floats) -> int:
        """Count the `values` (n,) that lie where only outliers of the training rows do."""
        return 0 if self.standard is None else self.standard.far(values[~np.isnan(values)])

    def _parts(self, values: Floats, absent: npt.NDArray[np.bool_]) -> list[Floats]:
        """Number and indicator before they share the block's variance: an absent value lies 1 aside."""
        parts = []
        if self.standard is not None:
            number = self.standard.apply(values)
            number[absent] = self.standard.imputed
            parts.append(number)
        if self.indicator:
            parts.append(absent.astype(np.float64))
        return parts

    def describe(self) -> dict[str, object]:
        """Describe the column for the run's record: centre and spread in the column's own unit."""
        if self.standard is None:
            return {"missing_share": self.missing, "indicator": True}
        with np.errstate(over="ignore", under="ignore"):
            centre, spread = np.ldexp([self.standard.centre, self.standard.spread], self.standard.exponent)
        return {
            "missing_share": self.missing,
            "indicator": self.indicator,
            "centre": float(centre),
            "spread": float(min(spread, np.finfo(np.float64).max)),
        }
