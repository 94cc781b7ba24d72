"""Cells taken apart by one spelling of dates: their years, months, days and times."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.date_spellings import AFTER_NOON, BEFORE_NOON, ZONES
from lossval_cli.tables.month_names import month_number

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

SECOND: Final = 10**6
DAY: Final = 86_400 * SECOND
"""Microseconds."""

_CENTURY: Final = 69
"""Two digits from here on are of the twentieth century, as POSIX has it."""


class DateParts:
    """Cells (U,) taken apart by one spelling."""

    def __init__(self, cells: pa.Array, spelling: str) -> None:
        self._parts = pc.extract_regex(cells, spelling)
        self._names = {field.name for field in self._parts.type}
        self.found: Bools = np.asarray(self._parts.is_valid())

    def read(self) -> tuple[Ints, Bools]:
        """Microseconds, and which of the cells are dates that exist."""
        fits = self.found.copy()
        month, day = self.number("month", 1), self.number("day", 1)
        if "name" in self._names:
            named = self._mapped("name", {name: month_number(name) for name in self._different("name")})
            month, fits = named, fits & (named > 0)
        if "quarter" in self._names:
            month = 3 * self.number("quarter", 1) - 2
        year = self.year()
        days, real = to_days(year, month, day)
        if "week" in self._names:
            week, weekday = self.number("week", 1), self.number("weekday", 1)
            first, _ = to_days(year, np.ones_like(year), np.full_like(year, 4))
            days = first - (first + 3) % 7 + 7 * (week - 1) + weekday - 1
            real = (week >= 1) & (week <= 53)
        moment, in_day = self.clock()
        if "since" in self._names:
            moment = 1000 * self.number("since", 0)
        return days * DAY + moment, fits & real & in_day

    def are_seasons(self, fresh: Bools) -> bool:
        """Return True if the second of two numbers is always the year behind the first: 2010-11, 2011-12."""
        year, month = self.number("year", 0)[fresh], self.number("month", 0)[fresh]
        return len(np.unique(year)) > 1 and bool(((year + 1) % 100 == month).all())

    def clock(self) -> tuple[Ints, Bools]:
        """Microseconds since midnight in UTC, and which of them are times."""
        hour, minute, second = self.number("hour", 0), self.number("minute", 0), self.number("second", 0)
        fits = (hour <= 24) & (minute <= 59) & (second <= 60)
        half = self._half()
        halved = half != ""
        fits &= ~halved | ((hour >= 1) & (hour <= 12))
        hour = np.where(halved, hour % 12 + np.where(half == "p", 12, 0), hour)
        fraction = self.number("fraction", 0, digits=6)
        moment = (3600 * hour + 60 * minute + np.minimum(second, 59)) * SECOND + fraction
        for name in ("zone", "zone2"):
            offsets = {zone: _offset(zone) for zone in self._different(name)}
            known = {zone: seconds for zone, seconds in offsets.items() if seconds is not None}
            fits &= self._mapped(name, dict.fromkeys(known, 1)) == 1
            moment = moment - self._mapped(name, known) * SECOND
        return moment, fits

    def year(self) -> Ints:
        """Four digits, or two of the century that POSIX says."""
        year = self.number("year", 1970)
        short = np.asarray(pc.equal(pc.utf8_length(self._text("year")), 2))
        return np.where(short, year + np.where(year < _CENTURY, 2000, 1900), year)

    def number(self, name: str, default: int, digits: int = 0) -> Ints:
        """A group as whole numbers, `default` where it is empty; as a fraction of so many digits."""
        if name not in self._names:
            return np.full(len(self.found), default, np.int64)
        text = self._text(name)
        if digits:
            text = pc.utf8_slice_codeunits(pc.utf8_rpad(text, digits, "0"), 0, digits)
        text = pc.if_else(pc.equal(text, ""), str(default), text)
        numbers: Ints = text.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return numbers

    def _half(self) -> npt.NDArray[np.str_]:
        if "half" not in self._names:
            return np.full(len(self.found), "")
        noon = self._mapped("noon", dict.fromkeys(BEFORE_NOON, 1) | dict.fromkeys(AFTER_NOON, 2))
        written = pa.array(np.array(["", "a", "p"])[noon])
        both = pc.binary_join_element_wise(written, self._text("half"), self._text("half2"), "")
        return pc.utf8_lower(both).to_numpy(zero_copy_only=False).astype(str)  # type: ignore[no-any-return]

    def _text(self, name: str) -> pa.Array:
        if name not in self._names:
            return pa.array([""] * len(self.found))
        return pc.utf8_trim_whitespace(pc.fill_null(pc.struct_field(self._parts, name), ""))

    def _different(self, name: str) -> list[str]:
        return pc.unique(self._text(name)).to_pylist()  # type: ignore[no-any-return]

    def _mapped(self, name: str, meaning: dict[str, int]) -> Ints:
        """Return the number (U,) that each cell's group means, 0 where it means none."""
        encoded = self._text(name).dictionary_encode()
        numbers = np.array([meaning.get(text, 0) for text in encoded.dictionary.to_pylist()], np.int64)
        return numbers[np.asarray(encoded.indices)] if len(numbers) else np.zeros(len(self.found), np.int64)


def to_days(year: Ints, month: Ints, day: Ints) -> tuple[Ints, Bools]:
    """Days since 1970-01-01 in the Gregorian calendar, and which dates exist."""
    months = 12 * (year - 1970) + np.clip(month, 1, 12) - 1
    first, following = (
        count.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) for count in (months, months + 1)
    )
    real = (month >= 1) & (month <= 12) & (day >= 1) & (first + day <= following) & (year >= 1)
    return first + day - 1, real


def _offset(zone: str) -> int | None:
    """Seconds east of Greenwich; None for letters that are not a known zone."""
    zone = zone.strip()
    if not zone:
        return 0
    for prefix in ("UTC", "GMT"):
        if zone.startswith(prefix) and len(zone) > 3:
            zone = zone[3:]
    if zone[0] in "+-":
        digits = zone[1:].replace(":", "")
        seconds = 3600 * int(digits[:2]) + 60 * int(digits[2:] or 0)
        return -seconds if zone[0] == "-" else seconds
    hours = ZONES.get(zone)
    return None if hours is None else 3600 * hours
