"""Which columns only name the rows: found by what they hold, and left out of the features."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.table import Table

_FEW_ROWS = 20  # in a smaller table a column without a telling name may be unique by accident
_EXPECTED_TWINS = 10  # chance of no two equal values by accident is then about exp(-10)
_TEXT_WORDS, _TEXT_LENGTH = 5, 64  # averages from which unique text is prose (a SHA-256 has 64 characters)
_UNNAMED = re.compile(r"unnamed_\d+_*|unnamed: ?\d+|__index_level_\d+__", re.IGNORECASE)
_ID_WORDS = frozenset({"id", "ids", "idx", "index", "key", "uid", "uuid", "guid", "rowid", "rownames", "rownum"})


def why_identifier(table: Table, column: str) -> str | None:
    """Why a column is taken for an id, in a few words, or None when it is a feature.

    An id is a whole-number or text column without missing values and without two equal values, that is
    not unique by accident:

    - whole numbers: the column has no name (as an exported index), or its name says id, or it rises or falls
      from each row to the next, or its values are so close together that by chance at least ten pairs
      would be equal (1..N in any order is the extreme case);
    - text: its name says id, or it is short (below five words and 64 characters on average). Longer
      unique text is prose, a feature.

    Floats, dates and booleans never are. Without a telling name the table needs at least 20 rows.
    """
    values = table.typed(column)
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind)) or table.rows < 2:
        return None
    if values.null_count or pc.count_distinct(values).as_py() < table.rows:
        return None
    if is_unnamed(column) and pa.types.is_integer(kind):
        return "an unnamed index"
    if _says_id(column):
        return "unique in every row and named so"
    if table.rows < _FEW_ROWS:
        return None
    if pa.types.is_integer(kind):
        return _why_integers(values, table.rows)
    return None if _is_prose(values) else "unique in every row"


def is_unnamed(column: str) -> bool:
    """Whether the file gave the column no name (`unnamed_1`; pandas: `Unnamed: 0`, `__index_level_0__`)."""
    return _UNNAMED.fullmatch(column) is not None


def _says_id(column: str) -> bool:
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", column)
    return any(word.lower() in _ID_WORDS for word in words) or column.lower() in _ID_WORDS


def _why_integers(values: pa.ChunkedArray, rows: int) -> str | None:
    bounds = pc.min_max(values).as_py()
    span = bounds["max"] - bounds["min"] + 1
    if span == rows:
        return "a running index"
    array = values.combine_chunks()
    rising = pc.greater(array.slice(1), array.slice(0, rows - 1))
    if pc.all(rising).as_py() or not pc.any(rising).as_py():
        return "unique in every row and in order"
    if rows * (rows - 1) / (2 * span) >= _EXPECTED_TWINS:
        return "unique in every row"
    return None


def _is_prose(values: pa.ChunkedArray) -> bool:
    words = pc.add(pc.count_substring_regex(values, r"\S\s+\S"), 1)
    mean_words, mean_length = pc.mean(words).as_py(), pc.mean(pc.utf8_length(values)).as_py()
    return bool(mean_words >= _TEXT_WORDS or mean_length > _TEXT_LENGTH)
