"""Which columns only identify rows, by their names or by the shape of their values; they are not features.

That all cells of a column differ does not make it an id: timestamps, titles, queries and amounts differ too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.features.identifier_names import INDEX_NAMES, is_unnamed, says_id, says_measured
from lossval_cli.tables.column_types import is_text
from lossval_cli.tables.table import Table
from lossval_cli.tables.text_columns import present_text
from lossval_cli.text.format import join_names, pluralize, quote

FEWEST_ROWS = 20
"""In a smaller table a sequence may be one by accident."""

NEARLY_ALL = 0.98
"""Share of the values that have to differ, and to have a shape, where only the shape speaks for an id."""

MOST = 0.5
"""Share of the values that have to differ where the name says id: below it every value names several rows."""

FEWEST_GROUPS, SURELY_GROUPS = 10, 20
"""Values from which a repeated key looks like groups of rows rather than like a category; the first where there are no
more than SURELY_GROUPS rows to each."""

YEARS = 1500, 2100
"""A sequence between these counts years."""

SAMPLE = 500
"""Values whose form is looked at before that of all."""

MOST_FORMS = 5
"""Forms of serial codes that one column may mix: `C-17` and `NEW-17`."""

MOST_REPORTED = 3
"""Repeated values that a notice names."""


_SHAPES = {
    "UUIDs": re.compile(r"\{?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?").pattern,
    "hexadecimal keys": r"(?:0x)?(?:[0-9a-f]{8,}|[0-9A-F]{8,})",
    "ULIDs": r"[0-7][0-9A-HJKMNP-TV-Z]{25}",
    "random keys": r"[0-9A-Za-z_-]{11,}={0,2}",
    "file names": r"[^,;]*[^,; ]\.(?i:jpe?g|png|gif|bmp|tiff?|webp|dcm|nii|wav|mp3|flac|ogg|mp4|avi|txt|json|xml|csv|"
    r"npy|pdf|gz)",
}
_RANDOM = {"hexadecimal keys": ("[a-fA-F]", "[0-9]"), "random keys": ("[a-z]", "[A-Z]", "[0-9]")}
"""What most keys of a shape have, all of one length."""


@dataclass(frozen=True)
class Identifier:
    """Reason why a column is an id, in a few words, and its values that stand in several rows."""

    why: str
    repeated: str = ""

    def describe(self) -> str:
        """The reason, with where the repeated values are."""
        return f"{self.why}; {self.repeated}" if self.repeated else self.why


def find_identifier(table: Table, column: str) -> Identifier | None:
    """Find out whether a column identifies rows; return None where it is a feature.

    An id is a column of whole numbers (also written 1001.0) or text

    - whose name says so (customer_id, CUSTOMERID, order_no, uuid; not paid, humid, valid) and of whose values at
      least half differ;
    - without a name, as an exported index has none, that counts rows;
    - of UUIDs, hexadecimal or random keys, file names or serial codes (`K-0001`) that nearly all differ;
    - or a sequence 1..N in any order, or rising mostly by one, of neither years nor times.

    A few repeated or missing values change nothing, and neither do copies of whole rows. Numbers with fractions, dates
    and booleans never are ids.
    """
    named, unnamed = says_id(column), is_unnamed(column)
    cells = _keys(table, column)
    if cells is None or table.rows < 2:
        return None
    present = len(cells) - cells.null_count
    if present < MOST * table.rows:
        return None
    is_number = pa.types.is_integer(cells.type)
    if not (named or unnamed or table.rows >= FEWEST_ROWS):
        return None
    shape = _text_shape(cells) if not is_number else "" if says_measured(column) else _number_shape(cells)
    if not (named or unnamed or shape):
        return None
    distinct = pc.count_distinct(cells, mode="only_valid").as_py()
    share = _share_of_rows(table, distinct, present, NEARLY_ALL if shape else MOST)
    if unnamed and (is_number or share >= NEARLY_ALL) and _counts_rows(column, share, shape):
        return Identifier("an index without a name")
    if named and share >= MOST:
        why = "id-like name, unique values" if distinct == present else "id-like name, nearly unique values"
        return Identifier(why, _repeated(table, cells) if distinct < present else "")
    if shape and share >= NEARLY_ALL:
        return Identifier(shape, _repeated(table, cells) if distinct < present else "")
    return None


def find_repeated(table: Table, column: str) -> str | None:
    """The values of an id column that several rows share, with where they are; None where all differ."""
    cells = _keys(table, column)
    return None if cells is None else _repeated(table, cells) or None


def find_group_key(table: Table, column: str) -> int | None:
    """Count the groups of rows that a column named like an id seems to hold; return None where it holds none. In
    groups, each value stands in two rows or more on average."""
    if not says_id(column) or (cells := _keys(table, column)) is None:
        return None
    present = len(cells) - cells.null_count
    distinct: int = pc.count_distinct(cells, mode="only_valid").as_py()
    fewest = FEWEST_GROUPS if present <= SURELY_GROUPS * distinct else SURELY_GROUPS
    is_key = distinct >= fewest and _share_of_rows(table, distinct, present, MOST) < MOST
    return distinct if is_key else None


def _share_of_rows(table: Table, distinct: int, present: int, needed: float) -> float:
    """Return the share of different values among the cells that have one; where fewer than `needed` do, copies of whole
    rows count once."""
    share = distinct / max(present, 1)
    if share >= needed or 2 * distinct < FEWEST_ROWS:
        return share
    return min(1.0, distinct / max(table.distinct_rows - (table.rows - present), 1))


def _keys(table: Table, column: str) -> pa.ChunkedArray | None:
    """The column as int64 or text, (N,), null where missing; None where it can hold no ids."""
    typed = table.typed(column)
    kind = typed.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if pa.types.is_floating(kind) and not (_are_whole(typed.slice(0, SAMPLE)) and _are_whole(typed)):
        return None
    stored = table.as_given(column)
    if is_number and is_text(stored.type):
        sample = present_text(stored.slice(0, SAMPLE), table.options).drop_null()
        if len(sample) and _matching(sample, _WRITTEN) < MOST:  # 80 kg, $12
            return None
    if pa.types.is_integer(kind) or pa.types.is_string(kind):
        return typed
    if not pa.types.is_floating(kind):
        return None
    largest = pc.max(pc.abs(typed)).as_py() or 0.0
    if largest < 2.0**53:
        return typed.cast(pa.int64())
    # 20 digits are more than a float holds: compared as they are written.
    return present_text(stored, table.options) if is_text(stored.type) else None


def _are_whole(numbers: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.equal(pc.floor(numbers), numbers), min_count=0).as_py())


def _counts_rows(column: str, share: float, shape: str) -> bool:
    """Return whether a column without a name is an index: pandas names its own; any other has to look like one."""
    return bool(INDEX_NAMES.fullmatch(column)) or bool(shape) or share >= MOST


def _number_shape(cells: pa.ChunkedArray) -> str:
    """Return `running numbers` where whole numbers are 1..N in any order, or rise from row to row, mostly by one; else
    ''."""
    numbers = cells.drop_null()
    bounds = pc.min_max(numbers).as_py()
    if YEARS[0] <= bounds["min"] and bounds["max"] <= YEARS[1]:
        return ""
    span, rows = bounds["max"] - bounds["min"] + 1, len(numbers)
    if NEARLY_ALL * rows <= span <= rows / NEARLY_ALL:
        return "running numbers"
    if span > 100 * rows:
        return ""
    steps = np.diff(numbers.to_numpy())
    restarts = steps <= 0
    return "running numbers" if restarts.mean() <= 1 - NEARLY_ALL and (steps == 1).mean() >= MOST else ""


def _text_shape(cells: pa.ChunkedArray) -> str:
    text = cells.drop_null()
    sample = text.slice(0, SAMPLE)
    for name, pattern in _SHAPES.items():
        anchored = rf"^{pattern}$"
        if _matching(sample, anchored) < NEARLY_ALL or _matching(text, anchored) < NEARLY_ALL:
            continue
        if letters := _RANDOM.get(name):
            lengths = pc.count_distinct(pc.utf8_length(text)).as_py()
            if lengths > 1 or any(_matching(text, letter) < MOST for letter in letters):
                continue
        return name
    return "serial codes" if _is_serial(sample) and _is_serial(text) else ""


_WRITTEN = r"^(?:=\"|'|#)?[+-]?[0-9]+(?:[,.' ][0-9]{3})*(?:\.0*)?[\"']?$"
"""How whole numbers that identify rows are written."""
_SERIAL = r"^[A-Za-z#][A-Za-z0-9_#-]{0,11}[0-9]+$"
_MONTH = r"(?i)(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"


def _is_serial(text: pa.ChunkedArray) -> bool:
    """Codes of one form or of few, letters and then digits that differ: `K-0001`, `PAT00012`, `INV-2024-17`."""
    if _matching(text, _SERIAL) < NEARLY_ALL or _matching(text, _MONTH) > 1 - NEARLY_ALL:
        return False
    forms = pc.value_counts(pc.replace_substring_regex(text, "[0-9]+", "0").combine_chunks())
    counts = np.sort(forms.field("counts").to_numpy())
    return bool(counts[-MOST_FORMS:].sum() >= NEARLY_ALL * len(text))


def _matching(text: pa.ChunkedArray, pattern: str) -> float:
    return float(pc.mean(pc.match_substring_regex(text, pattern).cast(pa.float64())).as_py() or 0.0)


def _repeated(table: Table, cells: pa.ChunkedArray) -> str:
    """Return `2 values repeated: '17' on lines 9 and 10; '4' on lines 30, 31, 32`; '' where none is."""
    encoded = cells.combine_chunks().dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(codes[codes >= 0], minlength=len(encoded.dictionary))
    again = np.flatnonzero(counts > 1)
    if not len(again):
        return ""
    where = [
        f"{quote(str(encoded.dictionary[code].as_py()))} on {_locations(table, np.flatnonzero(codes == code).tolist())}"
        for code in again[:MOST_REPORTED].tolist()
    ]
    more = f"; and {len(again) - MOST_REPORTED:,} more" if len(again) > MOST_REPORTED else ""
    return f"{pluralize(len(again), 'value')} repeated: {'; '.join(where)}{more}"


def _locations(table: Table, rows: list[int]) -> str:
    """Return `lines 10 and 11`, or `rows ...` where the table has no lines."""
    what = "rows" if table.lines is None else "lines"
    numbers = [str(table.first + row if table.lines is None else table.lines[row]) for row in rows]
    return f"{what} {join_names(numbers, 4)}" if len(numbers) != 2 else f"{what} {numbers[0]} and {numbers[1]}"
