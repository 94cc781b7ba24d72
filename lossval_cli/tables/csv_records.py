"""Find the records of a CSV file, its header, and the lines that are not rows.

Comments, titles, empty rows, a second header and totals are left out, each with a notice.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lossval_cli.errors import ReadError
from lossval_cli.limits import MAX_RECORD_BYTES, check_columns
from lossval_cli.tables.csv_delimiter import SNIFFED_BYTES, SNIFFED_RECORDS, sniff_delimiter
from lossval_cli.tables.csv_header import (
    count_second_headers,
    count_titles,
    has_row_names,
    is_note,
    is_second_header,
    looks_like_data,
    total_word,
)
from lossval_cli.tables.csv_layout import Layout, field_counts, find_layout
from lossval_cli.tables.encodings import Decoded, decode_text
from lossval_cli.tables.foreign import is_aligned, refuse_text
from lossval_cli.tables.options import ReadOptions
from lossval_cli.text.format import duplicate_names, format_name, join_names, pluralize, quote

csv.field_size_limit(MAX_RECORD_BYTES)  # Python's own limit is 128 KiB a field
_SEP_LINE = re.compile(rb"(?:sep|SEP)=([,;\t| ])(?:\r\n?|\n)")
"""The first line that Excel writes and reads."""
_BLANK_BYTES = 256  # of a line without anything in it
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\u200e\u200f"
"""Characters without width that pages and editors leave at the ends of names."""


@dataclass(frozen=True)
class CsvRecords:
    """The boundaries of the records of a CSV file.

    text: the bytes, with how to write them again.  header: (start, stop) of the line of names, None without one.
    starts, stops: (N,) byte offsets of the rows; what lies between two rows is blank or a comment.
    quotes: as in Layout.  names: of every column of the file.
    """

    text: Decoded
    delimiter: str
    header: tuple[int, int] | None
    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    quotes: npt.NDArray[np.int64]
    names: list[str]
    notices: tuple[str, ...]
    missing_fields: int
    """Fields that every row has at its end and the header has not; -1 where the header has one more."""

    @property
    def data(self) -> bytes:
        """All bytes after the byte-order mark."""
        return self.text.data


def find_records(data: bytes, name: str, options: ReadOptions | None = None) -> CsvRecords:
    """Split decompressed CSV bytes into a header and records; errors are those of `read_csv`."""
    options = options or ReadOptions()
    name = format_name(name)
    text = decode_text(data, name, options.encoding)
    data = text.data
    if not data or data.isspace():
        raise ReadError(f"{name} is empty")
    refuse_text(data, name)
    sep_line = _SEP_LINE.match(data)
    delimiter = sep_line[1].decode() if sep_line else sniff_delimiter(data, options.comment)
    if delimiter in " ," and not sep_line and is_aligned(data):
        raise ReadError(f"{name} has columns aligned with spaces: save it as CSV, with a comma between cells")
    layout = find_layout(data, delimiter)
    if layout.open_line is not None:
        raise ReadError(f"{name} line {layout.open_line}: a quoted field opens here and is never closed")
    _check_lengths(layout, len(data), name)
    return _Splitter(text, name, delimiter, layout, options).split(skip=int(bool(sep_line)))


class _Splitter:
    """Tells the header and the rows among the records of one file, and collects what is to be said of it."""

    def __init__(self, text: Decoded, name: str, delimiter: str, layout: Layout, options: ReadOptions) -> None:
        self.text, self.name, self.delimiter, self.layout, self.options = text, name, delimiter, layout, options
        self.data = text.data
        self.starts, self.lines = layout.starts, layout.lines
        self.stops = np.append(layout.starts[1:], len(self.data))
        self.notices = [f"{name}: {notice}" for notice in text.notices]
        self.missing_fields = 0

    def split(self, skip: int) -> CsvRecords:
        self._keep(slice(skip, None))
        if not self.starts.size:
            raise ReadError(f"{self.name} has a sep= line and nothing below it")
        self._drop_comments()
        self._drop_empty_rows_at_end()
        records = self._sample()
        if self._drop_blank_lines(Counter(map(len, records)).most_common(1)[0][0]):
            records = self._sample()
        self._check_width(records)
        if self.options.header is False:
            names = [f"column_{i}" for i in range(1, len(records[0]) + 1)]
            header = None
        else:
            titles = count_titles(records) if self.options.header is None else 0
            if titles:
                self._notice(f"{_lines_of(self.lines[:titles])} above the header {_are(titles)} left out")
                self._keep(slice(titles, None))
                records = records[titles:]
            names = self._names(records)
            if self.options.header is None and looks_like_data(records[0], records[1:]):
                few = ", ".join(quote(cell.strip()) for cell in records[0][:4])
                raise ReadError(
                    f"{self.name} line {self.lines[0]} looks like data, not like column names ({few}): add --no-header "
                    "if the table has no line of names, --header if these are the names"
                )
            header = (int(self.starts[0]), int(self.stops[0]))
            self._drop_repeated_header()
            self._keep(slice(1, None))
            more = count_second_headers(records[1:]) if self.options.header is None else 0
            for i in range(more):
                few = ", ".join(quote(cell.strip()) for cell in records[1 + i][:4] if cell.strip())
                self._notice(
                    f"line {self.lines[i]} ({few}) is left out: it holds units, types or a second line of names"
                )
            self._keep(slice(more, None))
            records = records[more:]
            if self.options.header is None:
                self._drop_notes(records[1:])
                self._drop_totals(records[1:])
        if not self.starts.size:
            raise ReadError(f"{self.name} has a header and no rows")
        return CsvRecords(
            self.text,
            self.delimiter,
            header,
            self.starts,
            self.stops,
            self.lines,
            self.layout.quotes,
            names,
            tuple(self.notices),
            self.missing_fields,
        )

    def _keep(self, which: slice | npt.NDArray[np.bool_]) -> None:
        self.starts, self.stops, self.lines = self.starts[which], self.stops[which], self.lines[which]

    def _notice(self, text: str) -> None:
        self.notices.append(f"{self.name}: {text}")

    def _check_width(self, records: Sequence[Sequence[str]]) -> None:
        """Check the width before anything else looks at the header: a header of a million fields takes long."""
        header = slice(int(self.starts[0]), int(self.stops[0]))
        one = Layout(np.zeros(1, np.int64), np.ones(1, np.int64), self.layout.quotes - header.start, None)
        check_columns(self.name, max(int(field_counts(self.data[header], self.delimiter, one)[0]), len(records[0])))

    def _drop_comments(self) -> None:
        """Drop comment lines: those the user names, else lines above the header that begin with # and do not have its
        fields."""
        comment = self.options.comment
        if comment == "":
            raise ReadError("--comment '': give the character that comment lines begin with, or leave the option out")
        first = np.frombuffer(self.data, np.uint8)[self.starts]
        if comment is not None:
            wanted = comment.encode(self.text.codec)
            keep = np.array([not self.data.startswith(wanted, int(start)) for start in self.starts])
            if not keep.all():
                self._notice(f"{_lines_of(self.lines[~keep])} {_are(int((~keep).sum()))} left out as comments")
            self._keep(keep)
        else:
            count = int(np.argmax(first != ord("#"))) if (first != ord("#")).any() else len(first)
            if not count or self.options.header is False:
                return
            records = self._sample()
            width = Counter(map(len, records[count:] or records)).most_common(1)[0][0]
            while count and len(records[count - 1]) == width > 1:  # "#chrom\tstart": the header itself
                count -= 1
            if count:
                self._notice(f"{_lines_of(self.lines[:count])}, beginning with #, {_are(count)} left out as comments")
                self._keep(slice(count, None))
        if not self.starts.size:
            raise ReadError(f"{self.name} holds nothing but comment lines")

    def _drop_empty_rows_at_end(self) -> None:
        """Drop rows of delimiters alone, as spreadsheets export them."""
        blank = self.delimiter.encode() + b" \t\r\n\x1a"
        count = 0
        while count < self.starts.size - 1:
            i = self.starts.size - 1 - count
            if self.data[self.starts[i] : self.stops[i]].strip(blank):
                break
            count += 1
        if not count:
            return
        rows = [self.data[self.starts[i] : self.stops[i]].strip(b" \t\r\n\x1a") for i in range(-count, 0)]
        if filled := sum(map(bool, rows)):
            self._notice(f"{pluralize(filled, 'empty row')} at the end {_are(filled)} left out")
        self._keep(slice(None, -count))

    def _drop_blank_lines(self, width: int) -> bool:
        """Leave out lines of spaces and tabs alone that are not a row of empty cells; return True if there are any."""
        first = np.frombuffer(self.data, np.uint8)[self.starts]
        blank = np.flatnonzero(((first == ord(" ")) | (first == ord("\t"))) & (self.stops - self.starts < _BLANK_BYTES))
        keep = np.ones(self.starts.size, bool)
        for i in blank if width > 1 else ():
            line = self.data[self.starts[i] : self.stops[i]]
            keep[i] = bool(line.strip()) or line.count(self.delimiter.encode()) == width - 1
        self._keep(keep)
        return not keep.all()

    def _drop_repeated_header(self) -> None:
        """Drop rows that are the header once more, as when files are joined."""
        header = self.data[self.starts[0] : self.stops[0]].rstrip(b"\r\n").lower()
        if self.delimiter.encode() not in header:
            return
        lengths = self.stops - self.starts
        first = np.frombuffer(self.data, np.uint8)[self.starts]
        same = np.flatnonzero((np.abs(lengths - lengths[0]) <= 2) & ((first | 0x20) == (first[0] | 0x20)))[1:]
        again = [i for i in same if self.data[self.starts[i] : self.stops[i]].rstrip(b"\r\n").lower() == header]
        if again:
            self._notice(f"{_lines_of(self.lines[again])} {_are(len(again))} left out: the header repeated")
            keep = np.ones(self.starts.size, bool)
            keep[again] = False
            self._keep(keep)

    def _drop_notes(self, rows: Sequence[Sequence[str]]) -> None:
        """Drop sources and dates below the table, padded to its width."""
        count = 0
        while (left := self.starts.size - count) > len(rows) // 2 and is_note(
            self._record(left - 1), self._above(rows)
        ):
            count += 1
        if count:
            self._notice(
                f"{_lines_of(self.lines[-count:])} {_are(count)} left out: a note below the table; --header keeps it"
            )
            self._keep(slice(None, -count))
            self._drop_empty_rows_at_end()

    def _above(self, rows: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
        """The rows of the sample without what may be notes and empty rows at its end."""
        return rows[: max(len(rows) // 2, 4)]

    def _drop_totals(self, rows: Sequence[Sequence[str]]) -> None:
        """Drop rows at the end that sum up the others."""
        words: list[str] = []
        while (left := self.starts.size - len(words)) > 1:
            word = total_word(self._record(left - 1), rows[: left - 1])
            if not word:
                break
            if word in words:  # a level of a column, by which the file is sorted
                return
            words.append(word)
        if words:
            count = len(words)
            self._notice(
                f"{_lines_of(self.lines[-count:])} ({', '.join(map(quote, words[::-1]))}) {_are(count)} left out: "
                "a total of the rows above; --header keeps it"
            )
            self._keep(slice(None, -count))

    def _record(self, i: int) -> list[str]:
        """The cells of one record."""
        record = self.data[self.starts[i] : self.stops[i]].decode(self.text.codec, "replace")
        try:
            return next(csv.reader(io.StringIO(record, newline=""), delimiter=self.delimiter), [""])
        except csv.Error as error:
            raise ReadError(f"{self.name} line {self.lines[i]}: the record cannot be read ({error})") from None

    def _sample(self) -> list[list[str]]:
        """The cells of the first records, header included."""
        cells: list[list[str]] = []
        for i in range(min(self.starts.size, SNIFFED_RECORDS)):
            cells.append(self._record(i))
            if self.stops[i] - self.starts[0] > SNIFFED_BYTES and i >= 1:
                break
        return cells

    def _names(self, records: Sequence[list[str]]) -> list[str]:
        """Column names, blanks around them trimmed; an empty one becomes `unnamed_3` (counted from 1).

        A header may have one field fewer than the rows (R names rows without naming that column) or one more (a
        delimiter at its end).
        """
        given, rows = records[0], records[1:]
        if any(len(row) != len(given) for row in rows):
            if has_row_names(given, rows):
                given = ["", *given]
            elif all(len(row) == len(given) + 1 and not row[-1].strip() for row in rows):
                given, self.missing_fields = [*given, ""], 1
            elif given[-1].strip() in ("", "Comment") and all(len(row) == len(given) - 1 for row in rows):
                given, self.missing_fields = given[:-1], -1
        given = [cell.strip().strip(_INVISIBLE).strip() for cell in given]
        given[0] = given[0].removeprefix("ï»¿") or given[0]  # a byte-order mark read as letters
        given = self._without_quotes(given)
        doubled = [cell for cell, times in Counter(given).items() if times > 1 and cell]
        if doubled:
            if looks_like_data(records[0], rows):
                return given  # which is refused for that
            if len(rows) > 1 and is_second_header(rows[0], rows[1:]):
                raise ReadError(
                    f"{self.name} has two lines of column names, {self.lines[0]} and {self.lines[1]}, and the first "
                    f"repeats {join_names(doubled)}: delete one of the lines"
                )
            raise duplicate_names(self.name, doubled)
        taken = set(given)
        names = []
        for i, cell in enumerate(given, start=1):
            invented = f"unnamed_{i}"
            while not cell and invented in taken:
                invented += "_"
            names.append(cell or invented)
        return names

    def _without_quotes(self, given: list[str]) -> list[str]:
        """Remove quotes around names that CSV does not treat as quotes: apostrophes, or quotes behind a blank."""
        bare = [re.sub(r"^(['\"])(.+)\1$", r"\2", cell) for cell in given]
        changed = sum(a != b for a, b in zip(given, bare, strict=True))
        if changed < max(len(given) - 1, 1) or "" in given:
            return given
        self._notice(f"names are read without the quotes around them ({quote(given[-1])})")
        return bare


def _check_lengths(layout: Layout, size: int, name: str) -> None:
    lengths = np.diff(np.append(layout.starts, size))
    worst = int(lengths.argmax())
    if lengths[worst] > MAX_RECORD_BYTES:
        raise ReadError(
            f"{name} line {layout.lines[worst]}: the record is {lengths[worst]:,} bytes long; at most "
            f"{MAX_RECORD_BYTES:,} are read"
        )


def _lines_of(lines: npt.NDArray[np.int64]) -> str:
    """Return `line 3`, `lines 1 and 2` or `5 lines (the first is line 8)`."""
    if len(lines) > 2:
        return f"{len(lines):,} lines (the first is line {lines[0]})"
    return ("line " if len(lines) == 1 else "lines ") + " and ".join(map(str, lines))


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
