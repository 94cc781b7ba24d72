"""The different cells of a column of text, each taken apart once, as numbers, dates or booleans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.cell_options import CellOptions
from lossval_cli.tables.column_types import TIME, ColumnType, FileHint, Reading, Rows, is_number, tolerated
from lossval_cli.tables.dates import DateForm, DateHint, DateReading, read_dates
from lossval_cli.tables.durations import read_durations
from lossval_cli.tables.missing import WORDY
from lossval_cli.tables.numbers import NumberForm, NumberHint, NumberReading, are_exponent_codes, read_numbers
from lossval_cli.text.format import quote

Bools = npt.NDArray[np.bool_]

SAMPLE: Final = 500
"""Cells that are looked at before a whole column is read, evenly spread."""
_FEW_WORDS: Final = 3
_MANY_VALUES: Final = 20
"""Different words that may say why a value is missing, among so many different values."""
_ZEROS: Final = (
    *(0x660, 0x6F0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xE50, 0xED0, 0xF20, 0x1040, 0x17E0),
)
"""The digit zero in the scripts that have digits of their own."""
_CLEANED: Final = str.maketrans(
    dict.fromkeys(
        "\u200b\u200c\u200d\u2060\ufeff\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u00ad", ""
    )
    | dict.fromkeys("\u2212\u2013\u2012\u2010\u2011\ufe63\uff0d", "-")
    | {chr(0xFF01 + i): chr(0x21 + i) for i in range(94) if chr(0x21 + i) != "-"}
    | {"\u066b": ".", "\u066c": ",", "\u3000": " ", "\uffe5": "¥", "\ufe6a": "%", "\u066a": "%"}
    | dict.fromkeys("\u2007\u2009\u200a", "\u202f")
    | {chr(zero + digit): str(digit) for zero in _ZEROS for digit in range(10)}
)
"""Invisible characters, typographic signs, full-width letters and other digits -> what a number is written with."""
_TRUE: Final = ("true", "t", "yes", "y", "1", "1.0", "wahr", "vrai", "verdadero")
_FALSE: Final = ("false", "f", "no", "n", "0", "0.0", "falsch", "faux", "falso")


class Cells:
    """The different cells of a column that the quick way does not read, and how many rows have each."""

    def __init__(
        self,
        present: pa.ChunkedArray,
        options: CellOptions,
        hint: Callable[[], FileHint],
        wanted: ColumnType | None,
        kind: str | None,
    ) -> None:
        self.present, self.options, self.hint, self.wanted, self.kind = present, options, hint, wanted, kind

    def read(self) -> Reading | None:
        """Read the cells; return None where nearly all are neither numbers, dates nor booleans."""
        free = self.wanted is None and self.kind is None
        sample = sampled(self.present)
        if free and self._decide(sample, slack=3) is None:
            return None
        return self._decide(self.present, slack=1)

    def _decide(self, text: pa.ChunkedArray, slack: int) -> Reading | None:
        encoded = pc.dictionary_encode(text.combine_chunks())
        index = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        cells = encoded.dictionary
        order = index[index >= 0]
        counts = np.bincount(order, minlength=len(cells)).astype(np.int64)
        clean = cleaned(cells)
        wordy = np.zeros(len(cells), bool)
        if self.options.missing is None:
            wordy = np.asarray(pc.is_in(clean, value_set=pa.array(WORDY)))
        if self.wanted is not None and self.wanted.words:
            wordy = wordy | np.asarray(pc.is_in(clean, value_set=pa.array(self.wanted.words)))
        total = int(counts[~wordy].sum())
        if not total:
            return None
        if (
            self.wanted is None
            and self.kind is None
            and not self._may_be_typed(clean, np.where(wordy, 0, counts), total)
        ):
            return None
        allowed = tolerated(total) * slack
        for reader in (self._booleans, self._dates, self._durations, self._numbers):
            found = reader(clean, np.where(wordy, 0, counts), order, total)
            if found is None:
                continue
            values, fits, kind, notes = found
            misfits = int(counts[~fits & ~wordy].sum())
            if misfits > allowed and self.wanted is None:
                if kind.dtype != pa.bool_() and _are_few_words(clean, counts, fits, wordy):
                    words = clean.filter(pa.array(~fits & ~wordy & (counts > 0))).to_pylist()
                    kind, wordy = replace(kind, words=tuple(sorted(words))), wordy | ~fits
                elif self.kind is None:
                    continue
            if (
                slack == 1
                and self.wanted is None
                and self.kind is None
                and _are_codes(clean, counts, fits | wordy, total)
            ):
                continue
            wordy_rows = int(counts[wordy & ~fits].sum())
            if wordy_rows > tolerated(total + wordy_rows):
                most = cells[int(np.argmax(np.where(wordy, counts, 0)))].as_py()
                notes = [*notes, f"{wordy_rows:,} cells such as {quote(most)} are read as missing"]
                return _spread(values, fits, fits | wordy, kind, notes, index)
            return _spread(values, fits, fits, kind, notes, index)
        return None

    def _may_be_typed(self, clean: pa.Array, counts: Rows, total: int) -> bool:
        """Return True if most cells hold a digit, or are true or false: what has neither is text, and most columns of
        text are not looked at any further."""
        digits = np.asarray(pc.match_substring_regex(clean, "[0-9]"))
        words = np.asarray(pc.is_in(pc.utf8_lower(clean), value_set=pa.array([_TRUE[0], _FALSE[0]])))
        return bool(2 * counts[digits | words].sum() >= total)

    def _is_open(self, *kinds: str) -> bool:
        """Return True if the column may be of one of the kinds."""
        if self.kind is not None:
            return self.kind in kinds
        return self.wanted is None or _kind_of(self.wanted.dtype) in kinds

    def _booleans(self, clean: pa.Array, counts: Rows, order: Rows, total: int) -> _Found | None:
        if not self._is_open("boolean"):
            return None
        lowered = pc.utf8_lower(clean)
        decided = self.wanted is not None or self.kind is not None
        true = np.asarray(pc.is_in(lowered, value_set=pa.array(_TRUE if decided else _TRUE[:1])))
        false = np.asarray(pc.is_in(lowered, value_set=pa.array(_FALSE if decided else _FALSE[:1])))
        return _Found(pa.array(true), true | false, ColumnType(pa.bool_()), [])

    def _dates(self, clean: pa.Array, counts: Rows, order: Rows, total: int) -> _Found | None:
        if not self._is_open("date"):
            return None
        found = read_dates(clean, counts, order, self._date_hint(None))
        if found is None or (not decides(found, counts, total) and self.wanted is None and self.kind is None):
            return None
        if not found.is_sure and (elsewhere := self.hint().day_first) is not None:
            found = read_dates(clean, counts, order, self._date_hint(elsewhere))
            assert found is not None
        form = None if found.form == DateForm() else found.form
        return _Found(pa.array(found.values).view(TIME), found.found, ColumnType(TIME, form), found.notes)

    def _date_hint(self, elsewhere: bool | None) -> DateHint:
        given = self.options.date_format
        if given in ("DMY", "MDY"):
            return DateHint(given == "DMY", None, True)
        if given is not None and given != "YMD":
            return DateHint(None, given, True)
        trained = self.wanted.form if self.wanted is not None else None
        if isinstance(trained, DateForm):
            return DateHint(trained.day_first, trained.pattern)
        return DateHint(elsewhere)

    def _durations(self, clean: pa.Array, counts: Rows, order: Rows, total: int) -> _Found | None:
        trained = self.wanted.form if self.wanted is not None else None
        return self._from_numbers(read_durations(clean, trained)) if self._is_open("number") else None

    def _numbers(self, clean: pa.Array, counts: Rows, order: Rows, total: int) -> _Found | None:
        if not self._is_open("number"):
            return None
        if self.wanted is None and self.kind is None and are_exponent_codes(clean):
            return None
        fixed = self.options.decimal is not None or self.options.thousands not in (None, "none", " ", "'")
        trained = self.wanted.form if self.wanted is not None else None
        base = trained.mark if isinstance(trained, NumberForm) and trained.is_counted else None
        hint = NumberHint(self.options.decimal, self.options.thousands, fixed, base)
        found = read_numbers(clean, counts, hint, tolerated(total))
        if found is not None and found.is_open and not fixed:
            decimal = trained.decimal if isinstance(trained, NumberForm) else self.hint().decimal
            if decimal is not None:
                hint = NumberHint(decimal, self.options.thousands, base=base)
                found = read_numbers(clean, counts, hint, tolerated(total))
        return self._from_numbers(found)

    def _from_numbers(self, found: NumberReading | None) -> _Found | None:
        if found is None:
            return None
        if self.wanted is not None and not _same_unit(self.wanted.form, found.form):
            return None
        finite = np.isfinite(found.values)
        values = pa.array(np.where(finite, found.values, 0.0))
        whole = found.whole and bool((np.abs(found.values[finite]) < 2**53).all())
        whole &= self.wanted is None or pa.types.is_integer(self.wanted.dtype)
        dtype = pa.int64() if whole else pa.float64()
        return _Found(values.cast(dtype), finite, ColumnType(dtype, found.form), found.notes)


class _Found(NamedTuple):
    values: pa.Array  # (U,)
    fits: Bools  # (U,)
    type: ColumnType
    notes: list[str]


def decides(found: DateReading, counts: Rows, total: int) -> bool:
    """Return True if at least half of the cells are dates: only then is it worth asking the other columns."""
    return bool(2 * counts[found.found].sum() >= total)


def _spread(
    values: pa.Array,
    fits: Bools,
    valid: Bools,
    kind: ColumnType,
    notes: list[str],
    index: Rows,
) -> Reading:
    """Spread the reading of different cells (U,) to all rows (N,). fits: cells with a value; valid: those that are not
    invalid, the others of which are missing. index (N,): the cell of each row, -1 where it is missing."""
    known = pc.if_else(pa.array(fits), values, pa.scalar(None, values.type))
    taken = known.take(pa.array(index, mask=index < 0))
    invalid = np.flatnonzero((index >= 0) & ~np.append(valid, True)[index])
    return Reading(pa.chunked_array([taken]), kind, invalid, notes)


def _are_codes(clean: pa.Array, counts: Rows, fits: Bools, total: int) -> bool:
    """Return True if the cells that are not numbers look like codes (V45, E878, 12A): then the numbers are codes,
    too."""
    mixed = ~fits & np.asarray(pc.match_substring_regex(clean, r"^(?:\p{L}{1,3}-?\d+(?:\.\d+)?|\d+\p{L})$"))
    return int(counts[mixed].sum()) > max(4, total // 100)


def _are_few_words(clean: pa.Array, counts: Rows, fits: Bools, wordy: Bools) -> bool:
    """Return True if what does not fit are at most three words (BDL, suppressed) in a column of many numbers or dates:
    then they say why there is no value."""
    others = np.flatnonzero(~fits & ~wordy & (counts > 0))
    if len(others) > _FEW_WORDS or np.count_nonzero(fits & (counts > 0)) < _MANY_VALUES:
        return False
    words = pc.match_substring_regex(clean.take(pa.array(others)), r"^[^0-9]+$")
    return bool(pc.all(words).as_py()) and bool(counts[others].sum() <= counts[fits].sum())


def _same_unit(trained: object, own: NumberForm | None) -> bool:
    """Numbers in kg are not read as numbers in g; `12 S` alone, a debit in training, is not 12."""
    if not isinstance(trained, NumberForm) or own is None or not trained.mark or not own.mark:
        return True
    if own.mark.strip("° ").upper() == trained.mark.partition("/")[2]:
        return True
    return trained.mark.casefold().rstrip("s.") == own.mark.casefold().rstrip("s.") or trained.scale != own.scale


def cleaned(cells: pa.Array) -> pa.Array:
    """Cells (U,) without invisible characters, with plain digits and signs, blanks around them trimmed."""
    if pc.all(pc.string_is_ascii(cells), min_count=0).as_py():
        return cells
    text = [cell if cell is None or cell.isascii() else cell.translate(_CLEANED) for cell in cells.to_pylist()]
    return pc.utf8_trim_whitespace(pa.array(text, cells.type))


def _kind_of(dtype: pa.DataType) -> str:
    if pa.types.is_boolean(dtype):
        return "boolean"
    return "date" if pa.types.is_timestamp(dtype) else "number" if is_number(dtype) else "text"


def sampled(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return at most SAMPLE cells that have a value, evenly spread."""
    present = text.drop_null() if text.null_count else text
    if len(present) <= SAMPLE:
        return present
    return present.take(pa.array(np.linspace(0, len(present) - 1, SAMPLE).astype(np.int64)))
