"""Special spellings of numbers, replaced by plain ones: 1.5D+03, 4k7, 12,-, 1 1/2, 2×10⁻³, ▼ 3, 4.6 out of 5."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.cell_parts import Parts, as_floats, matches
from lossval_cli.text.format import quote

Counts = npt.NDArray[np.int64]

_RESPELLED: Final = (
    (r"(\d)[dD]([+-]\d{1,3})$", r"\1E\2"),  # Fortran
    (r"(\d)([.,])[-–—]{1,2}$", r"\1\200"),  # 12,- and 35.- are whole amounts of money
    (r"(\d) ?/-$", r"\1"),  # and so is Rs. 500/- in India
)
_OUT_OF: Final = r"^(?P<number>.*\d) ?(?:/|out of|of|von|sur|su|de|van|из) ?(?P<most>\d+)(?:[.,]0{1,2})?\D{0,20}$"
"""`4.6/5`, `4.6 out of 5 stars`."""
_MOSTLY: Final = 0.95

_VULGAR: Final = "¼½¾⅐-⅞"
_MIXED: Final = rf"^-?\d+(?: \d+/\d+|[{_VULGAR}])"
_FRACTION: Final = re.compile(
    rf"(-?)(\d{{0,9}})[ -]?(?:\b(\d{{1,4}})/([1-9]\d{{0,3}})|([{_VULGAR}]))( ?[^\d\s]{{0,8}})"
)
_POWER: Final = "⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹"
_RAISED: Final = re.compile(rf"(?<![\d.,])10([{_POWER}]+)$")
_PLAIN_POWER: Final = str.maketrans(_POWER, "-+0123456789")
_TRIANGLES: Final = "▲△▼▽"

_SCALE: Final = "[pnuµμmRrΩkKMG]"
_LETTER_POINT: Final = rf"^([+-]?\d{{1,2}})({_SCALE})(\d)$|^([+-]?\d)({_SCALE})(\d\d)$"
"""At most three digits, as in the standard series of part values; codes have more."""
_POINTED: Final = r"\1\4.\3\6 \2\5"
_SCALED: Final = rf"^[+-]?(?:\d+(?:[.,]\d+)?(?: ?{_SCALE}[FHΩ]?)?|(?:\d{{1,2}}{_SCALE}\d|\d{_SCALE}\d\d))$"


def respell(cells: pa.Array, counts: Counts, *, is_scaled: bool) -> tuple[pa.Array, list[str]]:
    """Cells (U,) with plain spellings, and notes on spellings that may be meant in another way.

    is_scaled: the training table has prefixes without a unit (100n), so 4k7 is a number.
    """
    for pattern, plain in _RESPELLED:
        if matches(cells, pattern).any():
            cells = pc.replace_substring_regex(cells, pattern, plain)
    if matches(cells, rf"10[{_POWER}]+$").any():
        cells = _each(cells, lambda cell: _RAISED.sub(lambda found: "10^" + found[1].translate(_PLAIN_POWER), cell))
    notes: list[str] = []
    if is_scaled:
        cells = pc.replace_substring_regex(cells, _LETTER_POINT, _POINTED)
    for change in (_with_letter_points, _with_triangles, _with_fractions, _out_of):
        before = cells
        cells = change(cells, counts)
        if cells is not before:
            i = int(np.argmax(np.asarray(pc.not_equal(before, cells)) & (counts > 0)))
            notes.append(f"{quote(before[i].as_py())} is read as {cells[i].as_py()}")
    return cells, notes


def _with_letter_points(cells: pa.Array, counts: Counts) -> pa.Array:
    """4k7 is 4.7 k (IEC 60062) in a column of 100n, 2R2 and 10k, but not in a column of codes. Nearly all cells must be
    written so, with different letters, or with the letter at the end of some numbers."""
    coded = matches(cells, _LETTER_POINT)
    if not coded.any() or counts[matches(cells, _SCALED)].sum() < _MOSTLY * counts.sum():
        return cells
    letters = pc.unique(pc.replace_substring_regex(cells.filter(pa.array(coded)), r"[\d+-]", ""))
    if len(letters) == 1 and not matches(cells, rf"\d ?{_SCALE}$").any():
        return cells
    return pc.replace_substring_regex(cells, _LETTER_POINT, _POINTED)


def _with_triangles(cells: pa.Array, counts: Counts) -> pa.Array:
    """▼ 2 beside ▲ 3 is negative; without ▼, ▲ is the minus of Japanese accounts."""
    if not matches(cells, f"^[{_TRIANGLES}]").any():
        return cells
    falls = "▼▽" if matches(cells, "^[▼▽]").any() else "▲△"
    cells = pc.replace_substring_regex(cells, f"^[{falls}] ?", "-")
    return pc.replace_substring_regex(cells, f"^[{_TRIANGLES}] ?", "+")


def _with_fractions(cells: pa.Array, counts: Counts) -> pa.Array:
    """Read 1 1/2 and 8½, and 3/4 beside them, as 1.5, 8.5 and 0.75; 3/4 alone may be a ratio."""
    if not matches(cells, _MIXED).any():
        return cells

    def as_decimal(cell: str) -> str:
        if (found := _FRACTION.fullmatch(cell)) is None:
            return cell
        sign, whole, over, under, vulgar, rest = found.groups()
        part = unicodedata.numeric(vulgar) if vulgar else int(over) / int(under)
        return f"{sign}{int(whole or 0) + part:g}{rest}"

    return _each(cells, as_decimal)


def _out_of(cells: pa.Array, counts: Counts) -> pa.Array:
    """Read `4.6 out of 5` as 4.6, where most cells are out of the same number."""
    parts = Parts(cells, _OUT_OF)
    if 2 * counts[parts.found].sum() < counts.sum():
        return cells
    most = parts.text("most")
    usual = most[int(np.argmax(np.where(parts.found, counts, 0)))]
    same = parts.found & np.asarray(pc.equal(most, usual))
    values = pc.replace_substring(parts.text("number"), ",", ".")
    plain = same & matches(values, r"^\d+(?:\.\d+)?$")
    if 2 * counts[plain].sum() < counts.sum() or np.nanmax(as_floats(values, plain)) > float(usual.as_py()):
        return cells
    return pc.if_else(pa.array(plain), parts.text("number"), cells)


def _each(cells: pa.Array, change: Callable[[str], str]) -> pa.Array:
    return pa.array([None if cell is None else change(cell) for cell in cells.to_pylist()], cells.type)
