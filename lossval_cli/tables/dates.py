"""Dates and times as people and programs write them, to microseconds since 1970 (UTC).

Every cell is taken apart by the first of `SPELLINGS` that it fits. Where day and month are both numbers, their order
is decided for the whole column: by the option, by a number above 12, by points (day first), by the training table, by
other columns of the file, by a day that is always the first of the month, by the order of the rows; else month first.
Whether a year of two digits comes first (24/01/31) is decided for the whole column, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.date_parts import DAY, Bools, DateParts, Ints, to_days
from lossval_cli.tables.date_spellings import (
    COMPACT,
    ISO,
    MONTH_POINT,
    NUMERIC,
    RESPELLED,
    SEASON,
    SHORT,
    SPELLINGS,
)
from lossval_cli.text.format import quote

_FEW_COMPACT: Final = 4
"""Different whole numbers from which all of them are hardly dates by accident."""
_MOST_SHORT_YEARS: Final = 60
"""Different two-digit years from which codes such as 14-03-87 are not dates."""
_CHANCE: Final = 1e-6
"""Probability below which days do not all fall into a few neighbouring days of the month by chance."""


@dataclass(frozen=True)
class DateForm:
    """The form of the dates of a column. day_first: the order of day and month, None where both are never numbers."""

    day_first: bool | None = None
    pattern: str | None = None
    """A strptime format that the user gave."""

    @property
    def order(self) -> str:
        """Order of the parts in words, for notices."""
        if self.pattern is not None:
            return self.pattern
        return {None: "year or month first", True: "day/month", False: "month/day"}[self.day_first]


class DateReading(NamedTuple):
    """U different cells read as dates."""

    values: Ints
    """(U,) microseconds since 1970."""
    found: Bools
    """(U,) whether the cell is a date."""
    form: DateForm
    is_sure: bool
    """True if the order of day and month follows from the column itself."""
    notes: list[str]


class DateHint(NamedTuple):
    """The order as known from elsewhere: from the user or training (`is_fixed`), or other columns of the file."""

    day_first: bool | None
    pattern: str | None = None
    is_fixed: bool = False


def read_iso(text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """A column (N,) of ISO dates without zones, the quick way; None where a cell is anything else."""
    if not pc.all(pc.match_substring_regex(text, ISO), min_count=0).as_py():
        return None
    try:
        return text.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return None


def are_compact(text: pa.ChunkedArray) -> bool:
    """Return True if all of several different cells are dates such as 20240131 (one whole number of eight digits in
    1,300), 202401, 20240131235959 or 01.2024; zeros alone (SAP) stand for none."""
    text = text.filter(pc.invert(pc.match_substring_regex(text, "^0+$")))
    if not len(text):
        return False
    lengths = pc.min_max(pc.utf8_length(text)).as_py()
    if lengths["min"] != lengths["max"] or lengths["min"] not in (6, 7, 8, 12, 14):
        return False
    form = MONTH_POINT if lengths["min"] == 7 else COMPACT
    fits = pc.all(pc.match_substring_regex(text, form), min_count=0).as_py()
    return bool(fits) and len(pc.unique(text)) >= _FEW_COMPACT


def read_dates(cells: pa.Array, counts: Ints, order: Ints, hint: DateHint) -> DateReading | None:
    """Read dates. cells (U,): the different cells of a column, cleaned; counts (U,): rows that have each; order (n,):
    the cell of every row that has one. None where no cell is a date.
    """
    if hint.pattern is not None:
        return _by_pattern(cells, hint.pattern)
    if hint.day_first is None and (pattern := _year_first(cells.filter(pa.array(counts > 0)))) is not None:
        reading = _by_pattern(cells, pattern)
        if reading is not None and 2 * reading.found.sum() > len(cells):
            i = int(np.argmax(reading.found))
            day = np.datetime64(int(reading.values[i]), "us").astype("datetime64[D]")
            note = f"{quote(cells[i].as_py())} is read as {day} (--date-format DMY or MDY reads the year last)"
            return reading._replace(notes=[note])
    for pattern, plain in RESPELLED:
        if pc.any(pc.match_substring_regex(cells, pattern)).as_py():
            cells = pc.replace_substring_regex(cells, pattern, plain)
    values = np.zeros(len(cells), np.int64)
    found = np.zeros(len(cells), bool)
    notes: list[str] = []
    for spelling in SPELLINGS:
        parts = DateParts(cells, spelling)
        fresh = parts.found & ~found
        if fresh.any():
            if spelling == SEASON and parts.are_seasons(fresh):
                continue
            read, fits = parts.read()
            fresh &= fits
            values[fresh] = read[fresh]
            found |= fresh
            if spelling in (COMPACT, MONTH_POINT):
                example = cells[int(np.argmax(fresh))].as_py()
                kind = "whole numbers" if spelling == COMPACT else "numbers"
                notes.append(f'{kind} such as {example} are read as dates (type = "number" in [columns] keeps them)')
    numeric = _Numeric(cells, counts)
    numeric_rows = numeric.found & ~found
    form, is_sure = DateForm(), True
    if numeric_rows.any():
        day_first, is_sure, order_notes = _decide_order(numeric, numeric_rows, cells, counts, order, hint)
        read, fits = numeric.read(day_first, strict=hint.is_fixed)
        fits &= numeric_rows
        values[fits] = read[fits]
        found |= fits
        form = DateForm(day_first)
        notes += order_notes
    return DateReading(values, found, form, is_sure, notes) if found.any() else None


def day_first_evidence(cells: pa.Array) -> bool | None:
    """The order of day and month in different cells (U,), where one of them shows it without doubt."""
    if _year_first(cells) is not None:
        return None
    numeric = _Numeric(cells, np.ones(len(cells), np.int64))
    day, month = int(numeric.only(True).sum()), int(numeric.only(False).sum())
    if numeric.found.sum() < 0.9 * len(cells) or bool(day) == bool(month):
        return None
    return day > 0


def _year_first(cells: pa.Array) -> str | None:
    """The strptime format of different cells (U,) such as 24/01/31, if their year comes first; else None.

    Read from the end, they would be of nearly thirty years, but all of the same few neighbouring days of the month.
    """
    parts = pc.extract_regex(cells, SHORT)
    found = parts.drop_null()
    if not len(found) or len(found) < 0.95 * len(cells):
        return None
    a, b, c = (pc.struct_field(found, name).cast(pa.int64()).to_numpy(zero_copy_only=False) for name in "abc")
    years, days = np.unique(a), np.unique(c)
    if b.min() < 1 or b.max() > 12 or years[-1] > 27 or not (1 <= days[0] <= 5 and 28 <= days[-1] <= 31):
        return None  # in front, 28 to 31 may be the last of the month
    if len(years) != np.ptp(a) + 1 or len(years) >= len(days):
        return None
    if len(years) == 1 and (years[0] <= 1 or days[0] > 1 or days[-1] < 31):
        return None  # the first of the month; or payments, always on the fifteenth
    if (len(years) / 31) ** len(found) > _CHANCE:
        return None
    mark, clock = (pc.struct_field(found, name)[0].as_py() for name in ("mark", "clock"))
    return f"%y{mark}%m{mark}%d" + {0: "", 6: " %H:%M", 9: " %H:%M:%S"}[len(clock)]


def _by_pattern(cells: pa.Array, pattern: str) -> DateReading | None:
    values, found = np.zeros(len(cells), np.int64), np.zeros(len(cells), bool)
    for i, cell in enumerate(cells.to_pylist()):
        try:
            moment = datetime.strptime(cell, pattern)
        except ValueError:
            continue
        offset = moment.utcoffset()
        plain = moment.replace(tzinfo=None) - offset if offset is not None else moment
        values[i] = np.datetime64(plain, "us").astype(np.int64)
        found[i] = True
    return DateReading(values, found, DateForm(None, pattern), True, []) if found.any() else None


class _Numeric:
    """Cells (U,) in which day and month are both numbers, `a` before `b`."""

    def __init__(self, cells: pa.Array, counts: Ints) -> None:
        self.a = np.zeros(len(cells), np.int64)
        self.b, self.year, self.moment = np.zeros_like(self.a), np.full_like(self.a, 1970), np.zeros_like(self.a)
        self.found = np.zeros(len(cells), bool)
        self.has_points = np.zeros(len(cells), bool)
        self.is_short_dots = np.zeros(len(cells), bool)
        for name, spelling in NUMERIC.items():
            parts = DateParts(cells, spelling)
            here = parts.found & ~self.found
            if not here.any():
                continue
            moment, in_day = parts.clock()
            here &= in_day
            year = parts.year()
            # Codes such as 14-03-87 have all years; dates written so short are of one lifetime.
            if name.endswith("short") and len(np.unique(year[here & (counts > 0)])) > _MOST_SHORT_YEARS:
                continue
            for own, read in ((self.a, parts.number("a", 0)), (self.b, parts.number("b", 0))):
                own[here] = read[here]
            self.year[here], self.moment[here] = year[here], moment[here]
            self.found |= here
            self.has_points |= here & name.startswith(".")
            self.is_short_dots |= here & (name == ". short")
        self._days = {day_first: self._read(day_first) for day_first in (True, False)}

    def only(self, day_first: bool) -> Bools:
        """Cells that are a date in this order alone."""
        return self._days[day_first][1] & ~self._days[not day_first][1]

    def read(self, day_first: bool, *, strict: bool) -> tuple[Ints, Bools]:
        """Microseconds, and which cells are dates; not `strict`: in the other order where this one is impossible."""
        days, fits = self._days[day_first]
        if not strict:
            other, other_fits = self._days[not day_first]
            other_fits = other_fits & ~fits
            days, fits = np.where(other_fits, other, days), fits | other_fits
        return days * DAY + self.moment, fits

    def _read(self, day_first: bool) -> tuple[Ints, Bools]:
        day, month = (self.a, self.b) if day_first else (self.b, self.a)
        days, real = to_days(self.year, month, day)
        return days, real & self.found & (day_first | ~self.is_short_dots)


def _decide_order(
    numeric: _Numeric, rows: Bools, cells: pa.Array, counts: Ints, order: Ints, hint: DateHint
) -> tuple[bool, bool, list[str]]:
    """Return two booleans (the day comes first; that is certain) and notes."""
    if hint.is_fixed and hint.day_first is not None:
        return hint.day_first, True, []
    day = int(counts[rows & numeric.only(True)].sum())
    month = int(counts[rows & numeric.only(False)].sum())
    if day and month:
        names = ("day/month", "month/day") if day >= month else ("month/day", "day/month")
        both = (
            f"its dates are written in both orders: {max(day, month):,} can only be {names[0]}, "
            f"{min(day, month):,} only {names[1]}; the others are read as {names[0]} "
            "(--date-format DMY or MDY fixes the order)"
        )
        return day >= month, True, [both]
    if day or month:
        return day > 0, True, []
    points = bool(counts[rows & numeric.has_points].sum() * 2 > counts[rows].sum())
    a, b = numeric.a[rows], numeric.b[rows]
    first, second = len(np.unique(a)), len(np.unique(b))
    if points:
        return True, True, []
    if hint.day_first is not None:
        taken, other = ("day/month", "MDY") if hint.day_first else ("month/day", "DMY")
        example = quote(cells[int(np.argmax(rows & (numeric.a != numeric.b)))].as_py())
        note = f"{example} is read as {taken}, as other dates are (--date-format {other} reads it the other way)"
        return hint.day_first, True, [] if np.array_equal(a, b) else [note]
    if (a == 1).all() and second > 1:
        return True, True, []
    if (b == 1).all() and first > 1:
        return False, True, []
    rising = {}
    for day_first in (True, False):
        moments = numeric.read(day_first, strict=False)[0][order[rows[order]]]
        steps = np.diff(moments)
        steps = steps[steps != 0]
        rising[day_first] = steps.size >= 8 and max((steps > 0).mean(), (steps < 0).mean()) > 0.98
    if rising[True] != rising[False]:
        return rising[True], True, []
    if np.array_equal(a, b):
        return False, True, []
    example = quote(cells[int(np.argmax(rows & (numeric.a != numeric.b)))].as_py())
    return (
        False,
        False,
        [f"{example} is read as month/day, though day/month is as possible (--date-format DMY reads it so)"],
    )
