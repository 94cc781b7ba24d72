"""Numbers as people write them: -1234.5, 1,234.50, 1.234,5, (1.25), 1.25-, $12, 45 %, 80 kg, 1.2K.

What the marks mean is decided for the whole column: a comma or a point that is not followed by exactly three digits is
a decimal mark; where every comma has three digits behind it, it separates thousands. Where both readings are possible
the other columns of the file decide (`hint`), and a notice says what was taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.cell_parts import Bools, Floats, Parts, as_floats, matches
from lossval_cli.tables.number_marks import SCALED, decide_marks, multiplier
from lossval_cli.tables.number_spellings import respell
from lossval_cli.text.format import quote

Counts = npt.NDArray[np.int64]

_GROUPS: Final = "'’\u00a0\u202f"
"""Separate groups of digits in some countries. A plain space separates numbers, too (555 123 456)."""

_CURRENCY: Final = (
    r"US\$|R\$|[AC]\$|[$€£¥₹₽₩₺₫฿₴₪₦₱¢₿]|CHF|EUR|USD|GBP|JPY|INR|CNY|SEK|NOK|DKK|PLN|CZK|HUF|AUD|CAD|BRL|RUB|"
    r"TRY|MXN|ZAR|Rs\.?|Fr\.|kr\.?|zł|Kč|Ft"
)
_UNIT: Final = r"[^\x00-!#$&(-@\[-`{-\x7f][^\d()\[\]*<>]{0,11}[²³]?"
_NUMBER: Final = (
    r"^(?P<before>[<>≤≥~≈]=? ?|(?:ca|approx|about|circa)\.? )?"
    rf"(?:(?P<outside>{_CURRENCY}) ?(?P<outer>\()|(?P<open>\())? ?(?P<sign>[+-])? ?"
    rf"(?P<currency>{_CURRENCY}|%)? ?(?P<second_sign>[+-])? ?"
    rf"(?P<body>[.,]?\d[\d.,{_GROUPS} ]*)(?:(?:[eE]| ?[×x·*] ?10(?:\^|\*\*))\+?(?P<exponent>-?\d+))?"
    r"[ \x{a0}\x{202f}]?"
    rf"(?P<unit>{_CURRENCY}|{_UNIT})?(?P<behind>-)?(?P<close>\))?"
    r"(?P<after> ?(?:[*†‡§#!+]+|\[\w{1,3}\]|\([a-z]\)|\([\d.,]+ ?%?\)|[¹²³⁴⁵⁶⁷⁸⁹]+|± ?[\d.,]+|\+/- ?[\d.,]+))?$"
)

_CODE: Final = r"^\d+[eE]\d+$"
"""Programs write 4E+01, 4.0E1 or 40, so that a column of 4E01 is one of codes."""
_WHOLE: Final = r"^\d+$"
_POINT: Final = r"^(?:\d*\.\d+|\d+\.)$"
_COMMA: Final = r"^\d*,\d+$"
_COMMA_GROUPS: Final = r"^[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}(?:\.\d*)?$"
_POINT_GROUPS: Final = r"^[1-9]\d{0,2}(?:\.\d{3})+(?:,\d*)?$"
_POINT_THREE: Final = r"^[1-9]\d{0,2}\.\d{3}$"
_OTHER_GROUPS: Final = rf"^\d{{1,3}}(?:[{_GROUPS}]\d{{3}})+(?:[.,]\d+)?$"
_SPACE_GROUPS: Final = r"^\d{1,3}(?: \d{3})+(?:[.,]\d+)?$"
_SURE_POINT: Final = (
    r"^0*\.\d+$|^\d+\.(?:\d{1,2}|\d{4,})?$|^\d{4,}\.\d+$|^\d{1,3}(?:,\d{2,3})+\.\d*$|"
    r"^\d{1,3}(?:,\d{2,3})+,\d{3}$"
)
_SURE_COMMA: Final = (
    r"^0*,\d+$|^\d+,(?:\d{1,2}|\d{4,})$|^\d{4,},\d+$|^\d{1,3}(?:\.\d{3})+,\d*$|^\d{1,3}(?:\.\d{3}){2,}$"
)

_NOTED: Final = r"^[~≈]|[±]|[+]/-|\[\w{1,3}\]$|\d ?\+$|\d\*+$|[.,]\d+\(\d+\)$|%\)$"
"""Notes that all numbers of a column may have; `<50` and `12(3)` are groups and sections where all cells are so."""
_FEW: Final = 5
"""Cells from which points followed by three digits, among short whole numbers, are taken for thousands."""


@dataclass(frozen=True)
class NumberForm:
    """The form of the numbers of a column, where it is not `-1234.5`.

    group: the mark between groups of three digits, if any.  mark: the currency or unit that nearly all numbers
    have, before or after, or the letters of debit and credit (`S/H`).  scale: what the written number is multiplied
    by: 0.01 where it is per cent.
    """

    decimal: str = "."
    group: str = ""
    mark: str = ""
    before: bool = False
    scale: float = 1.0
    is_counted: bool = False
    """Numbers are counted in thousands or millions (1.2K), or have units with different prefixes (m and km): `mark`."""
    is_clock: bool = False
    """Hours, minutes and seconds: the number is seconds."""

    def write(self, value: float, decimals: int | None) -> str:
        """A number as this form has it, with so many decimal places (None: as many as it takes)."""
        if self.is_clock:
            seconds = round(value)
            return f"{seconds // 3600}:{seconds // 60 % 60:02}" + (f":{seconds % 60:02}" if decimals != 0 else "")
        value = value / self.scale
        grouping = "," if self.group else ""
        text = f"{value:{grouping}}" if decimals is None else f"{value:{grouping}.{decimals}f}"
        if decimals is None and text.endswith(".0"):
            text = text[:-2]
        text = text.translate({ord(","): self.group or ",", ord("."): self.decimal})
        if not self.mark:
            return text
        debit, _, credit = self.mark.partition("/")
        if credit:
            return f"{text.removeprefix('-')} {debit if value < 0 else credit}"
        if self.before:
            return f"-{self.mark}{text[1:]}" if text.startswith("-") else self.mark + text
        return text + self.mark if self.mark == "%" else f"{text} {self.mark}"


class NumberReading(NamedTuple):
    """U different cells read as numbers."""

    values: Floats
    """(U,) NaN where the cell is not a number."""
    form: NumberForm | None
    """None for plain numbers."""
    whole: bool
    """True if all are written without decimals."""
    notes: list[str]
    """Decisions, as clauses of a notice on the column."""
    is_open: bool = False
    """True if commas or points leave both readings open."""


class NumberHint(NamedTuple):
    """The form as known from elsewhere: the user (`is_fixed`), the training table, or other columns of the file."""

    decimal: str | None
    thousands: str | None
    is_fixed: bool = False
    base: str | None = None
    """The unit with prefixes of the training table, '' for counts."""


def read_numbers(cells: pa.Array, counts: Counts, hint: NumberHint, allowed: int) -> NumberReading | None:
    """Read numbers. cells (U,): the different cells of a column, cleaned; counts (U,): rows that have each. allowed:
    rows that may be annotated (<0.01, 1.5*) before annotations are what the column is made of. None where no cell is a
    number.
    """
    cells, respelled = respell(cells, counts, is_scaled=hint.base == SCALED)
    parts = Parts(cells, _NUMBER)
    found = parts.found
    if not found.any():
        return None
    opened, behind = parts.has("open") | parts.has("outer"), parts.has("behind")
    signs = [parts.has("sign"), parts.has("second_sign"), behind, opened]
    found &= (opened == parts.has("close")) & (np.sum(signs, axis=0) <= 1)
    negative = parts.equals("sign", "-") | parts.equals("second_sign", "-") | behind | opened
    has_currency, has_unit = parts.has("outside") | parts.has("currency"), parts.has("unit")
    has_mark, has_both = has_currency | has_unit, has_currency & has_unit
    times = np.ones(len(cells))
    if has_both.any():  # $1.2M
        times = np.array([multiplier(unit) or np.nan for unit in parts.text("unit").to_pylist()])
        found &= ~has_both | np.isfinite(times)
        times = np.where(has_both & found, times, 1.0)
    found &= ~(parts.has("outside") & parts.has("currency"))

    body = pc.utf8_trim_whitespace(parts.text("body"))
    separators = _decide_separators(body, counts * found, hint, allowed)
    numbers, fits, decimals = _read_bodies(body, separators, hint, has_mark)
    found &= fits
    exponent = parts.floats("exponent")
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.where(negative, -times, times) * numbers * np.power(10.0, np.nan_to_num(exponent))

    marks = decide_marks(parts, values, counts * found, allowed, hint.base)
    found &= marks.fits
    notes = [*respelled, *separators.notes, *marks.notes]
    annotated = found & (parts.has("before") | parts.has("after"))
    if rows := int(counts[annotated].sum()):
        noted = annotated & matches(cells, _NOTED)
        mostly = rows > counts[found].sum() / 2 and not noted[annotated].all()
        if rows <= allowed or mostly:
            found &= ~annotated
        else:
            example = quote(cells[int(np.argmax(annotated))].as_py())
            notes.append(f"{rows:,} cells such as {example} are read as the number, without the sign or note")
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.where(found, values * marks.scales, np.nan)
    before = marks.before and marks.mark != ""
    form = NumberForm(separators.decimal, separators.group, marks.mark, before, marks.scale, marks.is_counted)
    whole = not (found & (decimals | parts.has("exponent") | has_both)).any() and bool((marks.scales[found] == 1).all())
    return NumberReading(values, None if form == NumberForm() else form, whole, notes, separators.is_open)


def are_exponent_codes(text: pa.ChunkedArray) -> bool:
    """Return True if most cells (N,) are codes such as 4E01, which programs do not write for 40."""
    return float(pc.mean(pc.match_substring_regex(text, _CODE).cast(pa.float64())).as_py() or 0.0) > 0.5


def may_be_thousands(text: pa.ChunkedArray) -> bool:
    """Return True if all cells (N,) are `1.250` or `950`, several of them with a point: it may separate thousands."""
    cells = pc.unique(text)
    if not pc.all(pc.match_substring_regex(cells, r"^-?[1-9]?\d{0,2}(?:\.\d{3})?$"), min_count=0).as_py():
        return False
    return bool(matches(cells, _POINT_THREE).sum() >= _FEW and not matches(cells, _SURE_POINT).any())


def decimal_evidence(cells: pa.Array) -> str | None:
    """The decimal mark of different cells (U,), where nearly all are numbers and one shows it without doubt."""
    parts = Parts(cells, _NUMBER)
    if parts.found.sum() < 0.9 * len(cells):
        return None
    body = pc.utf8_trim_whitespace(parts.text("body"))
    point = int((matches(body, _SURE_POINT) & parts.found).sum())
    comma = int((matches(body, _SURE_COMMA) & parts.found).sum())
    if bool(point) == bool(comma):
        return None
    return "." if point else ","


class _Separators(NamedTuple):
    decimal: str
    group: str  # that occurs in the column
    notes: list[str]
    is_open: bool  # whether commas or points leave both readings open


def _decide_separators(body: pa.Array, counts: Counts, hint: NumberHint, allowed: int) -> _Separators:
    """The meaning of commas and points, from all bodies (U,) of numbers with their counts."""

    def rows(pattern: str) -> int:
        return int(counts[matches(body, pattern)].sum())

    notes: list[str] = []
    is_open = False
    if hint.is_fixed:
        decimal = hint.decimal or ("," if hint.thousands == "." else ".")
    else:
        point, comma = rows(_SURE_POINT), rows(_SURE_COMMA)
        comma_three, point_three = rows(r"^[1-9]\d{0,2},\d{3}$"), rows(r"^[1-9]\d{0,2}\.\d{3}$")
        decimal = "."
        is_open = not point and not comma and bool(comma_three or point_three)
        if comma > point:
            decimal = "," if comma > allowed or not point_three else "."
        elif not point and not comma and _has_whole_among_thousands(body, counts):
            decimal, notes = ",", _thousands_note(body, counts)
        elif point == 0 and hint.decimal is not None:
            decimal = hint.decimal
            mark, three = (".", _POINT_THREE) if rows(_POINT_THREE) else (",", r"^[1-9]\d{0,2},\d{3}$")
            if mark == decimal and rows(three) and rows(r"^[1-9]\d{0,2}$") >= _FEW:
                example = body[int(np.argmax(matches(body, three) & (counts > 0)))].as_py()
                read = example.replace(",", ".")
                notes.append(
                    f"{quote(example)} is read as {read} (--thousands {mark} reads it as {read.replace('.', '')})"
                )
        elif point == 0 and comma_three:
            example = body[int(np.argmax(matches(body, r"^[1-9]\d{0,2},\d{3}$") & (counts > 0)))].as_py()
            read = example.replace(",", "")
            notes.append(f"{quote(example)} is read as {read} (--decimal , reads it as {example.replace(',', '.')})")
        elif point == 0 and point_three >= _FEW and rows(r"^\d{1,3}$") >= _FEW and not rows(r"^\d{4,}$"):
            decimal, notes = ",", _thousands_note(body, counts)
    if rows(_COMMA_GROUPS if decimal == "." else _POINT_GROUPS):
        return _Separators(decimal, "," if decimal == "." else ".", notes, is_open)
    group = ""
    if rows(_OTHER_GROUPS) or rows(_SPACE_GROUPS):
        first = body[int(np.argmax((matches(body, _OTHER_GROUPS) | matches(body, _SPACE_GROUPS)) & (counts > 0)))]
        group = next((char for char in first.as_py() if char in _GROUPS + " "), "")
    return _Separators(decimal, group, notes, is_open)


def _has_whole_among_thousands(body: pa.Array, counts: Counts) -> bool:
    """Return True if `1.250` and `950` cannot be decimals: zeros at the end are written, so that 950 would be
    950.000."""
    three = matches(body, _POINT_THREE) & (counts > 0)
    whole = matches(body, r"^[1-9]\d{0,2}$") & (counts > 0)
    padded = three & matches(body, "0$")
    return bool(padded.any() and three.sum() >= _FEW and whole.sum() >= _FEW and not matches(body, r"^\d{4,}$").any())


def _thousands_note(body: pa.Array, counts: Counts) -> list[str]:
    example = body[int(np.argmax(matches(body, _POINT_THREE) & (counts > 0)))].as_py()
    return [f"{quote(example)} is read as {example.replace('.', '')} (--decimal . reads it as {example})"]


def _read_bodies(
    body: pa.Array, separators: _Separators, hint: NumberHint, has_mark: Bools
) -> tuple[Floats, Bools, Bools]:
    """Bodies (U,) as numbers, which of them are numbers, and which are written with decimals. A cell that can only be
    read by the other meaning of comma and point is read by that."""
    by_point, by_comma = (
        matches(body, _POINT) | matches(body, _COMMA_GROUPS),
        (matches(body, _COMMA) | matches(body, _POINT_GROUPS)),
    )
    if not hint.is_fixed:
        by_point, by_comma = (
            (by_point, matches(body, _SURE_COMMA))
            if separators.decimal == "."
            else (matches(body, _SURE_POINT), by_comma)
        )
    elif separators.decimal == ".":
        by_comma = np.zeros(len(body), bool)
    else:
        by_point = np.zeros(len(body), bool)
    if hint.thousands == "none":
        by_point &= ~matches(body, _COMMA_GROUPS)
        by_comma &= ~matches(body, _POINT_GROUPS)
    if separators.decimal == ".":
        by_comma &= ~by_point
    else:
        by_point &= ~by_comma
    grouped = matches(body, _OTHER_GROUPS)
    spaced = matches(body, _SPACE_GROUPS)
    if hint.thousands != " ":
        # Numbers have more or fewer digits (987, 1 234, 12 345); telephone numbers and codes have all the same.
        digits = pc.utf8_length(body.filter(pa.array(spaced | matches(body, r"^\d{1,3}$"))))
        if len(pc.unique(digits)) < 2:
            spaced &= has_mark | matches(body, r"[.,]")
    if hint.thousands == "none":
        grouped, spaced = np.zeros_like(grouped), np.zeros_like(spaced)
    without = pc.replace_substring_regex(body, rf"[{_GROUPS} ]", "")
    as_point = pc.replace_substring(without, ",", "")
    as_comma = pc.replace_substring(pc.replace_substring(without, ".", ""), ",", ".")
    decimal_comma = by_comma | ((grouped | spaced) & matches(body, ","))
    written = pc.if_else(pa.array(decimal_comma), as_comma, as_point)
    fits = matches(body, _WHOLE) | by_point | by_comma | grouped | spaced
    return as_floats(written, fits), fits, fits & matches(written, r"\.")
