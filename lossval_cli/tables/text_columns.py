"""A column of text as numbers, dates, true/false or text, decided by what nearly all of its cells are.

A column has a type if at least 95 % of the cells that have a value are of it. The others are invalid cells: read as
missing, and listed with row and text. Everything else is text. Columns of plain numbers and ISO dates are read in one
go (`_read_plain`); of other columns, each distinct cell is read once (`Cells`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.cell_options import CellOptions
from lossval_cli.tables.column_types import (
    TIME,
    ColumnType,
    FileHint,
    Reading,
    is_number,
    tolerated,
    without_infinite,
)
from lossval_cli.tables.dates import (
    DateForm,
    are_compact,
    day_first_evidence,
    read_iso,
)
from lossval_cli.tables.missing import missing_words, without_missing
from lossval_cli.tables.numbers import (
    are_exponent_codes,
    decimal_evidence,
    may_be_thousands,
)
from lossval_cli.tables.text_cells import Cells, cleaned, sampled
from lossval_cli.tables.text_vectors import VECTOR, are_vectors, read_vectors
from lossval_cli.text.format import quote

T = TypeVar("T")
_WRAPPED: Final = r"^(?:=?\"([^\"]*)\"|'([^']*)')$"
"""Quotes that spreadsheets write to keep text as it is, and those of programs that quote with apostrophes."""


def read_text(
    text: pa.ChunkedArray,
    options: CellOptions,
    hint: Callable[[], FileHint],
    wanted: ColumnType | None = None,
    kind: str | None = None,
    *,
    says_version: bool = False,
) -> Reading:
    """A column of text (N,) typed by its cells.

    hint: asked where the column leaves a choice open.  wanted: the type that training decided: the cells that are not
    of it are invalid, however many.  kind: number, date, boolean or text by the user's wish, which is the same.
    says_version: whether the column is named so: 3.10 is not 3.1 there.
    """
    trimmed = pc.utf8_trim_whitespace(text.cast(pa.string()))
    if kind == "text" or (wanted is not None and pa.types.is_string(wanted.dtype)):
        return _as_text(trimmed, options)
    present = without_missing(trimmed, missing_words(options.missing, "typed"))
    if present.null_count == len(present):
        return Reading(present, ColumnType(pa.string()), np.zeros(0, np.int64), [])
    sample, free = sampled(present), wanted is None and kind is None
    first = sample[0].as_py()
    is_code = free and first.isdigit() and _is_code(present) and not are_compact(sample)
    if free and (is_code or (says_version and _are_versions(sample))):
        return _as_text(trimmed, options)
    if (reading := _read_plain(present, options, wanted, kind)) is not None:
        return reading
    notes: list[str] = []
    if first[0] in "='\"" and pc.all(pc.match_substring_regex(sample, _WRAPPED)).as_py():
        bare = pc.utf8_trim_whitespace(pc.replace_substring_regex(present, _WRAPPED, r"\1\2"))
        present = without_missing(bare, missing_words(options.missing, "typed"))
        sample = sampled(present)
        if not len(sample):
            return _as_text(trimmed, options)
        notes.append(f"{quote(first)} is read as {quote(sample[0].as_py())}, without the marks around it")
        if free and _is_code(present):
            return _as_text(trimmed, options)
    reading = Cells(present, options, hint, wanted, kind).read()
    if reading is None and ((free and are_vectors(sample)) or (wanted is not None and pa.types.is_list(wanted.dtype))):
        reading = _as_vectors(present)
    if reading is None:
        return _as_text(trimmed, options)
    return reading._replace(notes=[*notes, *reading.notes])


def present_text(text: pa.ChunkedArray, options: CellOptions) -> pa.ChunkedArray:
    """A column of text (N,), blanks around cells trimmed, null where a number, date or boolean would be missing."""
    trimmed = pc.utf8_trim_whitespace(text.cast(pa.string()))
    return without_missing(trimmed, missing_words(options.missing, "typed"))


def file_hint(texts: list[pa.ChunkedArray]) -> FileHint:
    """Certain evidence of columns of text (each (N,), a sample) on decimal marks, and on the order of day and month."""
    decimals: list[str | None] = []
    orders: list[bool | None] = []
    for text in texts:
        cells = pc.unique(cleaned(pc.utf8_trim_whitespace(text.cast(pa.string())).drop_null().combine_chunks()))
        if not len(cells):
            continue
        decimals.append(decimal_evidence(cells))
        orders.append(day_first_evidence(cells))
    return FileHint(_agreed(decimals), _agreed(orders))


def _agreed(found: list[T | None]) -> T | None:
    known = [value for value in found if value is not None]
    if not known:
        return None
    most = max(set(known), key=known.count)
    return most if 2 * known.count(most) > len(known) else None


def _as_vectors(present: pa.ChunkedArray) -> Reading:
    lists, fits = read_vectors(present)
    invalid = np.flatnonzero(~fits & present.is_valid().to_numpy())
    return Reading(lists, ColumnType(VECTOR), invalid, ["its cells are lists of numbers, read as vectors"])


def _as_text(trimmed: pa.ChunkedArray, options: CellOptions) -> Reading:
    words = missing_words(options.missing, "text")
    return Reading(without_missing(trimmed, words), ColumnType(pa.string()), np.zeros(0, np.int64), [])


def _read_plain(
    present: pa.ChunkedArray, options: CellOptions, wanted: ColumnType | None, kind: str | None
) -> Reading | None:
    """The quick way: every cell is a number such as -1234.5, an ISO date, or true or false."""
    sample = sampled(present)
    if kind in (None, "number") and (wanted is None or is_number(wanted.dtype)):
        if options.decimal == "," or options.thousands == ".":
            return None
        free = wanted is None and kind is None
        if free and are_compact(sample):
            return None
        values = _plain_numbers(sample, None)
        is_decimal = free and values is not None and pa.types.is_floating(values.type)
        if is_decimal and (are_exponent_codes(sample) or (options.decimal is None and may_be_thousands(sample))):
            return None
        if values is not None and (values := _plain_numbers(present, values.type)) is not None:
            return without_infinite(values)
    if kind in (None, "date") and options.date_format is None and (wanted is None or wanted.dtype == TIME):
        if wanted is not None and isinstance(wanted.form, DateForm) and wanted.form.pattern is not None:
            return None
        dates = read_iso(sample)
        if dates is not None and (dates := read_iso(present)) is not None:
            return Reading(dates, ColumnType(TIME), np.zeros(0, np.int64), [])
    return None


def _plain_numbers(text: pa.ChunkedArray, dtype: pa.DataType | None) -> pa.ChunkedArray | None:
    """Read text as int64, else float64, else None."""
    for kind in (pa.int64(), pa.float64()) if dtype in (None, pa.int64()) else (pa.float64(),):
        try:
            numbers = text.cast(kind)
        except pa.ArrowInvalid:
            continue
        if pa.types.is_integer(kind) and pc.any(pc.match_substring(text, "x", ignore_case=True), min_count=0).as_py():
            return None  # 0x1F
        if pa.types.is_floating(kind) and pc.any(pc.starts_with(text, "+"), min_count=0).as_py():
            return None  # +3 may be a whole number
        return numbers
    return None


def _are_versions(sample: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.match_substring_regex(sample, r"^\d+(?:\.\d+)*$")).as_py()) and bool(
        pc.any(pc.match_substring_regex(sample, r"\.")).as_py()
    )


def _is_code(text: pa.ChunkedArray) -> bool:
    """Return True if whole numbers are codes, such as 01234: many begin with a zero, or some do and all have one
    length."""
    zeros = pc.starts_with(text, "0")
    if not pc.any(zeros, min_count=0).as_py():
        return False
    first = text.filter(pc.fill_null(zeros, False))
    leading = int(pc.sum(pc.match_substring_regex(first, r"^0\d+$")).as_py() or 0)
    if not leading:
        return False
    lengths = pc.min_max(pc.utf8_length(text)).as_py()
    cells = len(text) - text.null_count
    # A float or signed column is not one of codes.
    only_digits = pc.all(pc.match_substring_regex(text, r"^\d+$"), min_count=0).as_py()
    return bool(only_digits and (lengths["min"] == lengths["max"] or leading > tolerated(cells)))
