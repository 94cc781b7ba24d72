"""Times of day and durations as seconds: 10:30, 1:02:03.5, 2 days 01:00:00, PT1H30M, 1h 30m."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.cell_parts import Parts
from lossval_cli.tables.numbers import NumberForm, NumberReading

_CLOCK: Final = (
    r"^(?:(?P<days>-?\d{1,5}) days?,? \+?)?(?P<sign>-)?"
    r"(?P<hours>\d{1,5})[:h](?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d(?:[.,]\d{1,9})?)|(?P<tenths>[.,]\d{1,3}))?"
    r" ?(?:(?P<half>[AaPp]\.?[Mm]\.?)|Uhr|(?:UTC)?[+-]\d{2}:?\d{2}|Z)?$"
)
_SPOKEN: Final = (
    r"^P?(?:(?P<days>\d+) ?(?:d|D|days?),? ?)?T?(?:(?P<hours>\d+) ?(?:h|H|hrs?|hours?) ?)?"
    r"(?:(?P<minutes>\d+) ?(?:m|M|mins?|minutes?) ?)?(?:(?P<seconds>\d+(?:[.,]\d{1,9})?) ?(?:s|S|secs?|seconds?))?$"
)
"""ISO 8601 (PT1H30M) and 1h 30m."""
_SECONDS: Final = {"days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}


def read_durations(cells: pa.Array) -> NumberReading | None:
    """Times of day and durations such as 10:30, 1:02:03.5, 2 days 01:00:00, PT1H30M and 1h 30m, as seconds; None where
    no cell is one."""
    parts = Parts(cells, _CLOCK)
    spoken = Parts(cells, _SPOKEN)
    units = np.sum([spoken.has(unit) for unit in _SECONDS], axis=0)
    is_iso = np.asarray(pc.starts_with(cells, "P"))
    spoken_found = spoken.found & (units > 0) & bool((spoken.found & ((units > 1) | is_iso)).any())
    if not (parts.found.any() or spoken_found.any()):
        return None
    hours = parts.floats("hours").copy()  # Arrow's arrays are read-only
    half = pc.utf8_lower(pc.utf8_slice_codeunits(parts.text("half"), 0, 1))
    hours = hours + 12.0 * (np.asarray(pc.equal(half, "p")) & (hours < 12))
    hours = hours - 12.0 * (np.asarray(pc.equal(half, "a")) & (hours == 12))
    days, minutes, seconds = np.nan_to_num(parts.floats("days")), parts.floats("minutes"), parts.floats("seconds")
    values = 86_400 * days + 3600 * hours + 60 * minutes + np.nan_to_num(seconds)
    has_tenths = parts.has("tenths")  # 20:41.5 are minutes and seconds
    values = np.where(has_tenths, 60 * hours + minutes + parts.floats("tenths"), values)
    values = np.where(parts.has("sign"), -values, values)
    in_words = np.sum([np.nan_to_num(spoken.floats(unit)) * _SECONDS[unit] for unit in _SECONDS], axis=0)
    values = np.where(spoken_found & ~parts.found, in_words, values)
    return NumberReading(values, NumberForm(is_clock=True), False, [])
