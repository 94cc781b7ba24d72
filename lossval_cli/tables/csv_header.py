"""Find the line of a CSV file that holds the column names, and the lines around it that are not data.

Everything is decided on the first records. The tests are strict, since a row that is left out by mistake costs more
than a title that is read as a name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

Record = Sequence[str]

MOST_TITLES = 30
"""Lines above the header at most."""
MOST_HEADERS = 3
"""Lines below the header that are no rows at most."""

MOST_PREAMBLE = 100
"""Largest number of lines above a line that says where the data begin."""

_HEADER_ENDS = re.compile(
    r"\W*(?:end[ _]?of[ _]?header|header[ _]?end|end[ _]header|begin[ _]data)\W*|\W+data\W+", re.IGNORECASE
)
"""`***End_of_Header***` of LabVIEW, `[Data]` of instruments."""

_NUMBER = re.compile(r"[+-]?(\d+([.,']\d+)*|[.,]\d+)([eE][+-]?\d+)?\s?%?")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}.*")
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "nil", "-", "?", "\\n", "<na>", "nat"})
_TYPES = frozenset({"string", "str", "text", "char", "varchar", "object", "category", "factor", "id"})
_FLAGS = frozenset({"", "class", "meta", "ignore"})
"""Roles that Orange writes below the types."""
_TOTALS = frozenset(
    [
        "total",
        "totals",
        "sum",
        "subtotal",
        "overall",
        "summe",
        "gesamt",
        "gesamtsumme",
        "insgesamt",
        "somme",
        "totale",
        "suma",
        "razem",
        "ogółem",
        "totaal",
        "totalt",
        "summa",
        "yhteensä",
        "итого",
        "всего",
        "合计",
        "合計",
        "总计",
        "總計",
        "小计",
        "총계",
        "합계",
        "toplam",
    ]
) | {"grand total", "total général", "total general"}
_AVERAGE_WORDS = (
    "mean average avg median min max minimum maximum std durchschnitt mittelwert moyenne media promedio średnia "
    "среднее 平均 평균"
)
_AVERAGES = frozenset(_AVERAGE_WORDS.split())
_MOSTLY = 0.9
"""Share of a column's cells that are numbers, from which it is one of numbers."""
_FEWEST = 4
"""Rows below the one in question, from which something can be said about it."""


def count_titles(records: Sequence[Record]) -> int:
    """Count the records above the header: all of them above a line that says where the data begin. Otherwise titles and
    notes, each shorter or longer than the table or with few filled cells, above a record that can be the header."""
    widths = Counter(len(record) for record in records)
    if not records or len(records) < _FEWEST:
        return 0
    for count in range(min(MOST_PREAMBLE, len(records) - _FEWEST), 0, -1):
        is_end = _HEADER_ENDS.fullmatch("".join(records[count - 1]))
        if is_end and not looks_like_data(records[count], records[count + 1 :]):
            return count
    width = widths.most_common(1)[0][0]
    count = padded = 0
    while count < min(MOST_TITLES, len(records) - 1):
        record = records[count]
        filled = sum(bool(cell.strip()) for cell in record)
        # One name fewer than cells may be a header: R does not name the column of row names.
        is_alone = width > 2 and not count and len(records[1]) == width
        is_other = len(record) < width - is_alone or len(record) >= width + 2
        if not (is_other or (width > 2 and 2 * filled <= width)):
            break
        padded += not is_other and filled > 1
        count += 1
    count += _names_below(records[count:])
    header = records[count]
    named = sum(bool(cell.strip()) for cell in header)
    needed = width if padded else width - 1  # half-empty lines are titles above a full header alone
    if count == 0 or len(header) < width - 1 or named < needed or looks_like_data(header, records[count + 1 :]):
        return 0
    return count


def looks_like_data(header: Record, rows: Sequence[Record]) -> bool:
    """Return True if the first record is a row like the others: each of its cells is a number where the column holds
    numbers, or one of the column's own values, and at least one says something.

    Rising whole numbers (0, 1, 2 or years) can be names. A header that is repeated among the rows is a header.
    """
    if len(rows) < _FEWEST or list(header) in [list(row) for row in rows]:
        return False
    numbers: list[float] = []
    words = 0
    for i, cell in enumerate(map(str.strip, header)):
        column = _column(rows, i)
        if _is_missing(cell) or not column:
            continue
        if _holds_numbers(column):
            if not _is_number(cell):
                return False
            numbers.append(_as_number(cell))
        elif cell in column:
            words += 1
        elif len(set(column)) <= _MOSTLY * len(column):
            return False
    rising = all(later > earlier for earlier, later in pairwise(numbers))
    names = rising and (len(numbers) > 1 or all(number == int(number) for number in numbers))
    return bool(words or (numbers and not names))


def count_second_headers(rows: Sequence[Record]) -> int:
    """Records below the header that hold units, types, questions or more names (Qualtrics has two)."""
    count = 0
    while count < MOST_HEADERS and count < len(rows) and is_second_header(rows[count], rows[count + 1 :], count > 0):
        count += 1
    return count


def is_second_header(first: Record, rows: Sequence[Record], behind: bool = False) -> bool:
    """Return True if the record below the header holds units, types or more names: no number in any column of numbers,
    and no value of any other column that has repeated values. behind: whether the record above is one too."""
    if len(rows) < _FEWEST:
        return False
    if behind and any(first) and {cell.strip() for cell in first} <= _FLAGS:
        return True
    numeric = units = strange = 0
    for i, cell in enumerate(map(str.strip, first)):
        column = _column(rows, i)
        if not column:
            continue
        if _holds_numbers(column):
            if _is_number(cell):
                return False
            numeric += 1
            units += not _is_missing(cell)
        elif cell and cell.lower() not in _TYPES:
            if cell in column:
                return False
            strange += len(set(column)) > _MOSTLY * len(column)
    if sum(map(bool, first)) == 1 and units == 1 and first[0].strip() and len(first) > 2:
        return True  # the name of pandas' index
    enough = 2 * units >= numeric if behind else 2 * units > numeric
    return numeric > 0 and units > 0 and enough and not (strange and units < 2)


def _names_below(records: Sequence[Record]) -> int:
    """Count the lines above the names. They hold groups of columns, with names that repeat or are missing, or the
    station and serial numbers of a logger. The line below has a distinct name for each column; blank
    lines may lie between."""
    k = next((i for i, record in enumerate(records[1:], 1) if any(map(str.strip, record))), 0)
    if not 0 < k < MOST_HEADERS or not is_second_header(records[k], records[k + 1 :]):
        return 0
    above, below = [[cell.strip() for cell in record] for record in (records[0], records[k])]
    is_full = all(below) and len(set(below)) == len(below) and not any(map(_is_number, below))
    has_number = 0 < 2 * sum(map(_is_number, above)) < len(above)
    return k if is_full and ("" in above[1:] or len(set(above)) < len(above) or has_number) else 0


def is_note(last: Record, rows: Sequence[Record]) -> bool:
    """Return True if the last record is a note below the table: text in its first cell alone, as no other row has."""
    filled = [sum(map(bool, map(str.strip, row))) for row in rows]
    is_alone = len(last) > 2 and bool(last[0].strip()) and not any(map(str.strip, last[1:]))
    return is_alone and len(rows) >= _FEWEST and min(filled) > 1 and len(last[0].split()) > 1


def total_word(last: Record, rows: Sequence[Record]) -> str:
    """The cell by which the last record says that it sums up the others, '' where it does not: no other row has it,
    and the record lacks a cell that the others have, has the word where they have numbers, or (for sums) a number
    beyond all of theirs."""
    if len(rows) < _FEWEST:
        return ""
    said = ""
    average = strange = beyond = False
    for i, cell in enumerate(map(str.strip, last)):
        column = _column(rows, i)
        if not column:
            continue
        numeric = _holds_numbers(column)
        word = cell.casefold().rstrip(":. ")
        if (word in _TOTALS or word in _AVERAGES) and cell not in column:
            said, average, strange = cell, average or word in _AVERAGES, strange or numeric
        elif not cell:
            strange |= len(column) >= _MOSTLY * len(rows)
        elif numeric and _is_number(cell):
            values = [_as_number(other) for other in column]
            beyond |= not min(values) <= _as_number(cell) <= max(values)
    return said if strange or (beyond and not average) else ""


def has_row_names(header: Record, rows: Sequence[Record]) -> bool:
    """Return True if every row has one field more than the header because the first one names the row, as R writes
    it."""
    if len(rows) < 2 or any(len(row) != len(header) + 1 for row in rows):
        return False
    names = [row[0].strip() for row in rows]
    if len(set(names)) < len(names) or not all(names):
        return False
    if all(name.isdecimal() for name in names):
        numbers = [int(name) for name in names]
        return numbers == list(range(numbers[0], numbers[0] + len(names)))
    return not any(map(_is_number, names))


def _column(rows: Sequence[Record], i: int) -> list[str]:
    """The cells of one column that are not missing."""
    return [cell for row in rows if i < len(row) and not _is_missing(cell := row[i].strip())]


def _holds_numbers(column: Sequence[str]) -> bool:
    return sum(map(_is_number, column)) >= _MOSTLY * len(column)


def _is_number(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell))


def _as_number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return 0.5  # a date, or digits in groups: no column name


def _is_missing(cell: str) -> bool:
    return cell.lower() in _MISSING
