"""Where the records of a CSV text begin, and on which line of the file, without a Python loop over rows.

Quotes follow the rule of Python's csv module and of Arrow: a quote opens a field only at the field's
first byte, a doubled quote inside stands for one, and what follows the closing quote is plain text.
In a well-formed file the parity of the quotes before a line break then says whether the break ends a
record; a stray quote (`5" pipe`) breaks parity, is noticed, and an exact walk over the quotes takes over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

_QUOTE, _LF, _CR = 0x22, 0x0A, 0x0D
_CHUNK = 1 << 24  # bytes looked at together: bounds the temporary mask


@dataclass(frozen=True)
class Layout:
    """The records of a text, blank lines left out; the header is record 0.

    starts: (R,) byte offset of each record.  lines: (R,) 1-based line of the file it starts on.
    quotes: (Q,) byte offsets at which the text goes in and out of quotes by turns.
    open_line: line of a quote that is never closed, or None.
    """

    starts: np.ndarray
    lines: np.ndarray
    quotes: np.ndarray
    open_line: int | None


def find_layout(data: bytes, delimiter: str) -> Layout:
    """The layout of `data` (no byte-order mark). A line ends at LF, CR LF or a CR alone."""
    view = np.frombuffer(data, np.uint8)
    ends = positions(view, _LF)
    returns = positions(view, _CR)
    if returns.size:
        following = view[np.minimum(returns + 1, view.size - 1)]
        alone = returns[(following != _LF) | (returns == view.size - 1)]
        if alone.size:
            ends = np.sort(np.concatenate([ends, alone]))
    starts = np.concatenate([np.zeros(1, np.int64), ends + 1])
    if starts[-1] == view.size:
        starts = starts[:-1]
    quotes = positions(view, _QUOTE)
    if quotes.size and not _parity_holds(view, quotes, ord(delimiter)):
        quotes = _walk_quotes(data, delimiter)
    lines = np.arange(1, starts.size + 1, dtype=np.int64)
    open_line = _line_of_open_quote(quotes, starts)
    blank = (view[starts] == _LF) | (view[starts] == _CR)
    keep = ~blank & ~inside_quotes(quotes, starts)
    return Layout(starts[keep], lines[keep], quotes, open_line)


def field_counts(data: bytes, delimiter: str, layout: Layout) -> np.ndarray:
    """Number of fields of each record, (R,)."""
    separators = positions(np.frombuffer(data, np.uint8), ord(delimiter))
    separators = separators[~inside_quotes(layout.quotes, separators)]
    bounds = np.append(layout.starts, len(data))
    return np.diff(np.searchsorted(separators, bounds)) + 1


def positions(view: np.ndarray, byte: int) -> np.ndarray:
    """Offsets of one byte value, (P,) int64."""
    found = [np.flatnonzero(view[start : start + _CHUNK] == byte) + start for start in range(0, view.size, _CHUNK)]
    return np.concatenate(found).astype(np.int64, copy=False) if found else np.zeros(0, np.int64)


def inside_quotes(quotes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return whether each offset lies between an opening quote and its closing one, (P,) bool."""
    if not quotes.size:
        return np.zeros(offsets.size, bool)
    return (np.searchsorted(quotes, offsets) & 1).astype(bool)


def _parity_holds(view: np.ndarray, quotes: np.ndarray, delimiter: int) -> bool:
    """Return whether each quote that parity takes for an opening one begins a field or is half of a doubled one."""
    opening = quotes[0::2]
    before = view[np.maximum(opening - 1, 0)]
    begins = (opening == 0) | (before == delimiter) | (before == _LF) | (before == _CR)
    doubled = np.zeros(opening.size, bool)
    doubled[1:] = quotes[1::2][: opening.size - 1] == opening[1:] - 1
    return bool(np.all(begins | doubled))


def _walk_quotes(data: bytes, delimiter: str) -> np.ndarray:
    """The same offsets found one quoted field at a time; a quote that begins no field is plain text."""
    opener = re.compile(rb"(?:\A|(?<=[\r\n" + re.escape(delimiter.encode()) + rb']))"')
    spans: list[int] = []
    start = 0
    while found := opener.search(data, start):
        spans.append(found.start())
        close = data.find(b'"', found.end())
        while close >= 0 and data[close + 1 : close + 2] == b'"':
            close = data.find(b'"', close + 2)
        if close < 0:
            break
        spans.append(close)
        start = close + 1
    return np.asarray(spans, np.int64)


def _line_of_open_quote(quotes: np.ndarray, starts: np.ndarray) -> int | None:
    if quotes.size % 2 == 0:
        return None
    last = quotes.size - 1
    while last >= 2 and quotes[last] == quotes[last - 1] + 1:  # a doubled quote: the field opened earlier
        last -= 2
    return int(np.searchsorted(starts, quotes[last], side="right"))
