"""Times of day, durations and other quantities in two units as one number: 10:30, 1:02:03.5, 2 days 01:00:00, PT1H30M,
1h 30m, 5'10", 6 lb 3 oz, 47°10'12"N."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.cell_parts import Bools, Floats, Parts, matches
from lossval_cli.tables.numbers import NumberForm, NumberReading
from lossval_cli.text.format import quote

_CLOCK: Final = (
    r"^(?:(?P<days>-?\d{1,5}) days?,? \+?)?(?P<sign>-)?"
    r"(?P<hours>\d{1,5})[:h](?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d(?:[.,]\d{1,9})?)|(?P<tenths>[.,]\d{1,3}))?"
    r" ?(?:(?P<half>[AaPp]\.?[Mm]\.?)|Uhr|(?P<zone>(?:UTC)?[+-]\d{2}:?\d{2})|Z|(?:min)? ?/ ?(?:km|mi))?$"
)
_MOST_ZONES: Final = 4
"""Largest number of time zones in a column of times, counting none as one."""
_UNITS: Final = {
    "": (
        ("w|wks?|weeks?", 604_800.0),
        ("d|D|days?|Tage?", 86_400.0),
        (r"h|H|hrs?|hours?|Std\.?", 3600.0),
        (r"m|M|mins?|minutes?|Min\.?", 60.0),
        (r"s|S|secs?|seconds?|Sek\.?", 1.0),
    ),
    "years": (("y|Y|yrs?|years?", 1.0), ("m|M|mos?|mths?|months?", 1 / 12)),
    "ft": (("['′’]|ft|feet|foot", 1.0), ("[\"″”]|''|in|inch|inches", 1 / 12)),
    "lb": (("lbs?|pounds?", 1.0), ("oz|ounces?", 1 / 16)),
    "st": (("st|stones?", 1.0), ("lbs?|pounds?", 1 / 14)),
    "°": (("[°º]", 1.0), ("['′’]", 1 / 60), ("[\"″”]|''", 1 / 3600)),
}
"""Units written one behind the other, the largest first, by the unit of the result; '' stands for seconds."""


def read_durations(cells: pa.Array, trained: object) -> NumberReading | None:
    """Read times of day and durations such as 10:30, 2 days 01:00:00, PT1H30M and 1h 30m in seconds, and other
    quantities in two units (5'10") in the larger one. None where no cell is one.

    trained: the form of the column in the training table. If that is a duration or a quantity, one unit is enough where
    all cells have it (3h).
    """
    clocks, is_clock = _clocks(cells)
    usual = None
    if isinstance(trained, NumberForm) and trained.is_clock:
        usual = ""
    elif isinstance(trained, NumberForm) and not np.asarray(pc.ends_with(cells, trained.mark)).all():
        usual = trained.mark
    readings = {unit: _quantities(cells, units, alone=unit == usual) for unit, units in _UNITS.items()}
    unit = "" if is_clock.any() else max(readings, key=lambda name: np.isfinite(readings[name]).sum())
    values = np.where(is_clock, clocks, readings[unit])
    found = np.isfinite(values)
    if not found.any():
        return None
    if not unit:
        return NumberReading(values, NumberForm(is_clock=True), False, [])
    i = int(np.argmax(found))
    return NumberReading(
        values, NumberForm(mark=unit), False, [f"{quote(cells[i].as_py())} is read as {values[i]:.6g}"]
    )


def _clocks(cells: pa.Array) -> tuple[Floats, Bools]:
    """Return (U,) seconds, and (U,) True for cells that are times of day."""
    parts = Parts(cells, _CLOCK)
    found = parts.found
    if len(pc.unique(parts.text("zone"))) > _MOST_ZONES:  # 10:00-12:00 is a range
        found = found & ~parts.has("zone")
    hours = parts.floats("hours").copy()  # Arrow's arrays are read-only
    half = pc.utf8_lower(pc.utf8_slice_codeunits(parts.text("half"), 0, 1))
    hours = hours + 12.0 * (np.asarray(pc.equal(half, "p")) & (hours < 12))
    hours = hours - 12.0 * (np.asarray(pc.equal(half, "a")) & (hours == 12))
    days, minutes, seconds = np.nan_to_num(parts.floats("days")), parts.floats("minutes"), parts.floats("seconds")
    values = 86_400 * days + 3600 * hours + 60 * minutes + np.nan_to_num(seconds)
    has_tenths = parts.has("tenths")  # 20:41.5 are minutes and seconds, and 59.8 beside it is seconds
    values = np.where(has_tenths, 60 * hours + minutes + parts.floats("tenths"), values)
    values = np.where(parts.has("sign"), -values, values)
    if not has_tenths.any():
        return values, found
    short = Parts(cells, r"^(?P<seconds>\d{1,2}[.,]\d{1,3})$")
    return np.where(short.found, short.floats("seconds"), values), found | short.found


def _quantities(cells: pa.Array, units: tuple[tuple[str, float], ...], *, alone: bool) -> Floats:
    """Return (U,) sums of units, NaN for cells that are not quantities. No cell counts as one unless some cell has two
    units or is an ISO 8601 duration, or, with `alone`, all cells have a unit."""
    pieces = "".join(
        rf"(?:(?P<u{i}>\d{{1,9}}(?:[.,]\d{{1,9}})?) ?(?:{unit}),? ?T?)?" for i, (unit, _) in enumerate(units)
    )
    parts = Parts(cells, rf"^(?P<sign>[+-])?P?T?{pieces}(?P<side>[NSEW])?$")
    numbers = [parts.floats(f"u{i}") for i in range(len(units))]
    written = np.sum([np.isfinite(number) for number in numbers], axis=0)
    found = parts.found & (written > 0)
    if not (found & ((written > 1) | matches(cells, "^P"))).any() and not (alone and found.all()):
        return np.full(len(cells), np.nan)
    total = np.sum([np.nan_to_num(number) * size for number, (_, size) in zip(numbers, units, strict=True)], axis=0)
    negative = parts.equals("sign", "-") | parts.equals("side", "S") | parts.equals("side", "W")
    return np.where(found, np.where(negative, -total, total), np.nan)
