"""From text to numbers, dates, booleans or words, one column at a time.

What a column of text is, is decided on all its values at once: whole numbers if every value that is not
missing is one, else numbers, else true/false, else dates, else numbers as people write them (`1,234.50`,
`$12`, `45 %`, `80 kg`), else text. Values stored with a type (Parquet, DataFrame) are brought to the same few
types, so that one table gives the same columns from any format.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NULL_TOKENS: Final = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?", "-")
TIME: Final = pa.timestamp("us")
_SAMPLE = 500  # values tried before the whole column

_SECONDS = r":\d{2}(?::\d{2}(?:\.\d+)?)?"
_HALF_DAY = r" ?[AaPp]\.?[Mm]\.?"
_CLOCK = rf"(?:[ T]\d{{1,2}}{_SECONDS}|[ T](?:0?[1-9]|1[0-2]){_SECONDS}{_HALF_DAY})?"
_MONTHS: Final = (
    *("jan(?:uary)?", "feb(?:ruary)?", "mar(?:ch)?", "apr(?:il)?", "may", "june?", "july?", "aug(?:ust)?"),
    *("sept?(?:ember)?", "oct(?:ober)?", "nov(?:ember)?", "dec(?:ember)?"),
)
_MONTH = rf"(?:{'|'.join(_MONTHS)})\.?"
_DAY_MONTH = rf"\d{{1,2}}(?:[ -]|\.[ ]?){_MONTH}[ -]"

# form -> (what all values match, how they are rewritten as year-month-day)
_DATE_FORMS: Final = {
    "iso": (rf"^\d{{4}}-\d{{2}}-\d{{2}}{_CLOCK}$", None),
    "iso_zone": (rf"^\d{{4}}-\d{{2}}-\d{{2}}{_CLOCK}(?:Z|[+-]\d{{2}}:?\d{{2}})$", None),
    "month_first": (rf"^\d{{1,2}}([/.-])\d{{1,2}}([/.-])\d{{4}}{_CLOCK}$", r"\3-0\1-0\2\4"),
    "day_first": (rf"^\d{{1,2}}([/.-])\d{{1,2}}([/.-])\d{{4}}{_CLOCK}$", r"\3-0\2-0\1\4"),
    "year_first": (rf"^\d{{4}}[/.]\d{{1,2}}[/.]\d{{1,2}}{_CLOCK}$", r"\1-0\2-0\3\4"),
    "month_first_short": (rf"^\d{{1,2}}([/.-])\d{{1,2}}([/.-])\d{{2}}{_CLOCK}$", r"\3-0\1-0\2\4"),
    "day_first_short": (rf"^\d{{1,2}}([/.-])\d{{1,2}}([/.-])\d{{2}}{_CLOCK}$", r"\3-0\2-0\1\4"),
    "day_and_name": (rf"(?i)^{_DAY_MONTH}\d{{4}}{_CLOCK}$", r"\3-0\2-0\1\4"),
    "day_and_name_short": (rf"(?i)^{_DAY_MONTH}\d{{2}}{_CLOCK}$", r"\3-0\2-0\1\4"),
    "name_and_day": (rf"(?i)^{_MONTH} \d{{1,2}},? \d{{4}}{_CLOCK}$", r"\3-0\1-0\2\4"),
}


_MARKS: Final = "$€£¥%"
_GROUPS: Final = "'\u00a0\u202f"
"""Stand between groups of digits in some countries; a plain space stands between numbers too."""
_GAP: Final = "[ \u00a0\u202f]?"
_UNIT: Final = re.compile(rf"[+-]?[\d.,{_GROUPS}]*\d{_GAP}([^\W\d_]\D{{,7}}|[°\"']\D{{,7}})")
"""What may stand behind a number, if it does behind all numbers of a column."""


class NumberForm(NamedTuple):
    """How all numbers of a column are written, where not as `-1234.5`."""

    decimal: str = "."
    group: str = ""
    """Characters that may stand between groups of three digits."""
    mark: str = ""
    """Currency or per cent sign that every number has, before or after it, or unit, after it."""

    @property
    def pattern(self) -> str:
        """What every value matches."""
        digits = rf"(?:\d+|\d{{1,3}}(?:[{self.group}]\d{{3}})+)" if self.group else r"\d+"
        number = rf"(?:{digits}(?:[{self.decimal}]\d+)?|[{self.decimal}]\d+)"
        if self.mark:
            before = rf"{self._mark}{_GAP}[+-]?{number}|" if self.mark in _MARKS else ""
            return rf"^[+-]?(?:{before}{number}{_GAP}{self._mark})$"
        return rf"^[+-]?{number}(?:[eE][+-]?\d+)?$"

    @property
    def _mark(self) -> str:
        """1 year, 2 years."""
        one = self.mark.removesuffix("s")
        return rf"{re.escape(one)}s?" if len(one) > 2 and one.isalpha() else re.escape(self.mark)

    def plain(self, text: pa.ChunkedArray) -> pa.ChunkedArray:
        """The same numbers as `-1234.5`."""
        text = pc.replace_substring_regex(text, self._mark, "")
        text = pc.replace_substring_regex(text, rf"[ {_GROUPS}{self.group}]", "")
        return pc.replace_substring(text, self.decimal, ".")

    def write(self, number: str) -> str:
        """`-1234.5` as this form has it, without groups."""
        text = number.replace(".", self.decimal)
        if self.mark in _MARKS:
            return text + self.mark if self.mark == "%" else self.mark + text
        return f"{text} {self.mark}"


def _number_forms(value: str, comma_allowed: bool) -> list[NumberForm]:
    """The forms to try for a column with this value among its first. A comma may be a decimal one only where
    `comma_allowed`, and is one there unless the column says otherwise."""
    unit = _UNIT.fullmatch(value)
    mark = next((sign for sign in _MARKS if sign in value), unit[1] if unit else "")
    forms = [NumberForm(",", "", mark), NumberForm(",", "." + _GROUPS, mark)] if comma_allowed else []
    return [*forms, NumberForm(".", "", mark), NumberForm(".", "," + _GROUPS, mark)]


@dataclass(frozen=True)
class TextType:
    """What a column of text holds: int64, float64, bool, timestamp[us] or string, and how it is written.

    form: a key of the known date forms, for timestamps; for numbers None is `-1234.5`.
    """

    dtype: pa.DataType
    form: str | NumberForm | None = None


class Misfit(Exception):
    """A value that is not of the type asked for: its 0-based row and the value as given."""

    def __init__(self, row: int, value: object) -> None:
        self.row = row
        self.value = value
        super().__init__(row, value)


def without_nulls(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text with surrounding blanks trimmed and NULL_TOKENS made null, (N,) string."""
    trimmed = pc.utf8_trim_whitespace(text)
    missing = pc.is_in(trimmed, value_set=pa.array(NULL_TOKENS, trimmed.type))
    return pc.if_else(missing, pa.scalar(None, trimmed.type), trimmed)


def infer_text(text: pa.ChunkedArray, *, comma_allowed: bool = False) -> TextType:
    """The narrowest TextType that every value fits; string when there is none or nothing but nulls.

    text: as `without_nulls` returns it. comma_allowed: whether numbers may be written with a decimal comma.
    """
    if text.null_count == len(text):
        return TextType(pa.string())
    sample = text.drop_null().slice(0, _SAMPLE)
    candidates = [TextType(pa.int64()), TextType(pa.float64())]
    candidates += [TextType(pa.float64(), NumberForm(","))] if comma_allowed else []
    candidates += [TextType(pa.bool_())]
    candidates += [TextType(TIME, form) for form in _DATE_FORMS]
    candidates += [TextType(pa.float64(), form) for form in _number_forms(sample[0].as_py(), comma_allowed)]
    for candidate in candidates:
        if _fits(sample, candidate) and _fits(text, candidate):
            return candidate
    return TextType(pa.string())


def parse_text(text: pa.ChunkedArray, kind: TextType) -> pa.ChunkedArray:
    """Text as `without_nulls` returns it, converted; raises Misfit at the first value that does not fit."""
    try:
        return _convert(text, kind)
    except pa.ArrowInvalid:
        row = first_failure(text, lambda part: _convert(part, kind))
        raise Misfit(row, text[row].as_py()) from None


def first_failure(values: pa.ChunkedArray, convert: Callable[[pa.ChunkedArray], object]) -> int:
    """Row of the first value on which `convert` raises ArrowInvalid, by bisection."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(values.slice(low, middle - low))
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def normalised(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A stored column as int64, float64, bool, timestamp[us] (UTC if zoned), string, or as it is if nested.

    NaN becomes null. Categories become text, so that a category of numbers stays a category. Durations
    become seconds, times of day seconds since midnight.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        kind = column.type
    if pa.types.is_dictionary(kind):
        decoded = column.cast(kind.value_type)
        return normalised(decoded).cast(pa.string()) if not pa.types.is_nested(kind.value_type) else decoded
    if pa.types.is_integer(kind):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            return column.cast(pa.float64(), safe=False)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = column.cast(pa.float64(), safe=False)
        return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False).cast(TIME)
    if pa.types.is_duration(kind):
        return pc.divide(
            column.cast(pa.duration("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False), 1e6
        )
    if pa.types.is_time(kind):
        return pc.divide(column.cast(pa.time64("us"), safe=False).cast(pa.int64()).cast(pa.float64()), 1e6)
    if is_text(kind):
        return column.cast(pa.string())
    return column


def is_text(kind: pa.DataType) -> bool:
    """Whether a type holds character strings of any layout."""
    view = getattr(pa.types, "is_string_view", None)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or bool(view and view(kind))


def convert_stored(column: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    """A `normalised` column brought to another of the same few types; raises Misfit."""
    if column.type == dtype:
        return column
    if pa.types.is_null(column.type):
        return pa.chunked_array([pa.nulls(len(column), dtype)], dtype)
    try:
        return column.cast(dtype)
    except pa.ArrowNotImplementedError:
        row = int(np.argmax(~np.asarray(column.is_null()))) if len(column) else 0
        raise Misfit(row, column[row].as_py()) from None
    except pa.ArrowInvalid:
        row = first_failure(column, lambda part: part.cast(dtype))
        raise Misfit(row, column[row].as_py()) from None


def _fits(text: pa.ChunkedArray, kind: TextType) -> bool:
    try:
        _convert(text, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _convert(text: pa.ChunkedArray, kind: TextType) -> pa.ChunkedArray:
    """Convert trimmed text; raises ArrowInvalid when one value does not fit."""
    if pa.types.is_string(kind.dtype):
        return text
    if pa.types.is_boolean(kind.dtype):
        lowered = pc.utf8_lower(text)
        _refuse(pc.is_in(lowered, value_set=pa.array(["true", "false", None])))
        return pc.equal(lowered, "true")
    if pa.types.is_timestamp(kind.dtype):
        return _convert_dates(text, kind.form if isinstance(kind.form, str) else "iso")
    if isinstance(kind.form, NumberForm):
        _refuse(pc.fill_null(pc.match_substring_regex(text, kind.form.pattern), True))
        text = kind.form.plain(text)
    text = pc.replace_substring_regex(text, r"^\+([\d.])", r"\1")
    numbers = text.cast(kind.dtype)
    if pa.types.is_integer(kind.dtype):
        _refuse(pc.invert(pc.fill_null(pc.match_substring(text, "x", ignore_case=True), False)))  # 0x1F
        return numbers
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)


def _convert_dates(text: pa.ChunkedArray, form: str) -> pa.ChunkedArray:
    pattern, rewrite = _DATE_FORMS[form]
    _refuse(pc.fill_null(pc.match_substring_regex(text, pattern), True))
    if rewrite is not None:
        for number, name in enumerate(_MONTHS, 1) if "name" in form else ():
            text = pc.replace_substring_regex(text, rf"(?i)[ .-]*\b{name}\b\.?[ -]*", f"-{number}-")
        text = pc.replace_substring_regex(text, r"^-(\d+-\d+),? ", r"\1-")
        parts = r"^(\d+)[/.-](\d+)[/.-](\d+)(.*)$"
        text = pc.replace_substring_regex(text, parts, rewrite)
        text = pc.replace_substring_regex(text, r"-0(\d\d)", r"-\1")
        text = pc.replace_substring_regex(text, r"^([0-5]\d|6[0-8])-", r"20\1-")  # POSIX: 69 is 1969
        text = pc.replace_substring_regex(text, r"^(\d\d)-", r"19\1-")
    text = pc.replace_substring_regex(text, r"([ T])(\d):", r"\10\2:")
    text = pc.replace_substring_regex(text, r"(\.\d{6})\d+", r"\1")
    if form == "iso_zone":
        return text.cast(pa.timestamp("us", "UTC")).cast(TIME)
    halved = pc.match_substring_regex(text, _HALF_DAY + "$")
    times = pc.replace_substring_regex(text, _HALF_DAY + "$", "").cast(TIME)
    if not pc.any(halved).as_py():
        return times
    twelve = pa.scalar(12 * 60 * 60 * 10**6, pa.duration("us"))
    times = pc.if_else(pc.and_(halved, pc.equal(pc.hour(times), 12)), pc.subtract(times, twelve), times)
    late = pc.match_substring_regex(text, r"[Pp]\.?[Mm]\.?$")
    return pc.if_else(late, pc.add(times, twelve), times)


def _refuse(fine: pa.ChunkedArray) -> None:
    if not pc.all(fine, min_count=0).as_py():
        raise pa.ArrowInvalid("a value does not fit")
