"""Which character separates the fields of a CSV file."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter

_DELIMITERS = (",", ";", "\t", "|", " ", "\x01", "^", "~")
_RARE_DELIMITERS = (" ", "\x01", "^", "~")
SNIFFED_BYTES = 1 << 18
SNIFFED_RECORDS = 200


def sniff_delimiter(data: bytes, comment: str | None) -> str:
    """The delimiter among comma, semicolon, tab, bar, space, control-A (Hive), caret and tilde that splits the first
    records best.

    Best: it splits the header into as many fields as most records have, else most records have the same number.
    Ties go to the one that makes more fields. A space and what follows it count only when nothing else splits
    the records and every record agrees. Text in one column gives a comma.
    """
    head = data[:SNIFFED_BYTES]
    text = head.decode("utf-8", "ignore")
    if comment or text.startswith("#"):
        text = re.sub(rf"(?m)^{re.escape(comment or '#')}.*(\n|\Z)", "", text)
    best, best_rank = ",", (False, 0.0, 0)
    for delimiter in _DELIMITERS:
        widths = _widths(text, delimiter, whole=len(head) == len(data))
        if not widths:
            continue
        width, times = max(Counter(widths).items(), key=lambda item: (item[1], item[0]))
        if widths[0] >= 2 and 2 * times <= len(widths):
            width, times = widths[0], widths.count(widths[0])
        rank = (widths[0] == width, times / len(widths), width)
        if delimiter == " " and widths[0] == width - 1 and times == len(widths) - 1:
            rank = (True, 1.0, width)  # R names rows, and not the column of their names
        if width < 2 or (delimiter in _RARE_DELIMITERS and (best_rank[2] or rank[1] < 1 or len(widths) < 2)):
            continue
        if rank > best_rank:
            best, best_rank = delimiter, rank
    return best


def _widths(text: str, delimiter: str, *, whole: bool) -> list[int]:
    """Fields of the first records under one delimiter; a record cut off by the sample is left out."""
    widths = []
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if record:
                widths.append(len(record))
            if len(widths) > SNIFFED_RECORDS:
                return widths
    except csv.Error:
        pass
    return widths if whole or len(widths) < 2 else widths[:-1]
