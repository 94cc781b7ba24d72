"""A CSV file written again with changes; all other bytes are those of the input.

Every change is an edit, (start, stop, new bytes) of the text; whatever no edit covers is copied. So header,
byte-order mark, delimiter, quotes, line endings and every digit stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from lossval_cli.errors import ReadError
from lossval_cli.tables.csv import quoted_words, read_texts
from lossval_cli.tables.csv_layout import inside_quotes, positions
from lossval_cli.tables.csv_records import CsvRecords, find_records
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.rewrite import Added, Cells, Mask, Original
from lossval_cli.tables.text_columns import file_hint
from lossval_cli.text.format import format_name, quote

Edit = tuple[int, int, bytes]

_LOOKED_AT = 1_000  # rows from which it is known how numbers are written


class CsvOriginal(Original):
    """The decompressed bytes of a CSV file and where its records lie. `name` is for messages."""

    form = "CSV"

    def __init__(self, data: bytes, name: str, options: ReadOptions | None = None) -> None:
        """Raise ReadError as `find_records` does, and for an encoding that would not be written back as it is."""
        self.records: CsvRecords = find_records(data, name, options)
        text = self.records.text
        if bytes(text.mark) + bytes(text.encode(text.data)) != data:
            raise ReadError(
                f"{format_name(name)} cannot be written back byte for byte in {text.stored}: save it as UTF-8"
            )
        self.name = name

    @property
    def rows(self) -> int:
        """N."""
        return len(self.records.starts)

    @cached_property
    def table(self) -> pa.Table:
        """All columns as text, read when they are asked for: rows can be left out without."""
        return read_texts(self.records, self.name)

    @cached_property
    def quoted(self) -> Mapping[str, Mask]:
        """Mask (N,) by column of cells in quotes though the word in them could mean missing."""
        return quoted_words(self.records, self.table, self.name)

    @property
    def names(self) -> list[str]:
        """Every column of the file, those without a name and content too."""
        return self.records.names

    def write(
        self,
        sink: BinaryIO,
        keep: Mask,
        *,
        cells: Sequence[Cells] = (),
        added: Added | None = None,
        rows_alone: bool = False,
    ) -> None:
        """The records of `keep` (N,) to an open binary file; rows_alone: without what stands above the first record
        and below the last. OSError passes through."""
        edits = [*self._without(~keep)]  # sorted, a new last cell stays before what is appended to it
        for one in cells:
            edits += self._replaced(one, keep)
        if added is not None:
            edits += self._appended(added, keep, with_name=not rows_alone)
        first, last = 0, len(self.records.data)
        if rows_alone:
            first, last = int(self.records.starts[0]), int(self.records.stops[-1])
        else:
            sink.write(self.records.text.mark)
        for piece in _apply(self.records.data, sorted(edits, key=itemgetter(0)), first, last):
            sink.write(self.records.text.encode(piece))

    def _end(self, start: int, stop: int) -> int:
        """Return the offset at which the last field of a record ends."""
        # A line break inside quotes is followed by the closing quote, so none of it is taken off.
        return start + len(self.records.data[start:stop].rstrip(b"\r\n\x1a"))

    def _without(self, drop: Mask) -> Iterator[Edit]:
        """Yield each run of records to drop as one edit."""
        turns = np.flatnonzero(np.diff(np.concatenate([[False], drop, [False]]).astype(np.int8)))
        for first, last in turns.reshape(-1, 2).tolist():
            yield int(self.records.starts[first]), int(self.records.stops[last - 1]), b""

    def _replaced(self, cells: Cells, keep: Mask) -> Iterator[Edit]:
        column = self.names.index(cells.column)
        for row, text in zip(cells.rows.tolist(), cells.values.to_pylist(), strict=True):
            if keep[row]:
                start, stop = self._field(row, column)
                quoted = self.records.data[start : start + 1] == b'"'
                yield start, stop, b"" if text is None else self._spelled(text, quoted=quoted)

    def _appended(self, added: Added, keep: Mask, *, with_name: bool) -> Iterator[Edit]:
        between = self.records.delimiter.encode()
        if self.records.header is not None and with_name:
            head = self._end(*self.records.header)
            quoted = self.records.data[head - 1 : head] == b'"'
            gap = between * (1 + self.records.missing_fields)
            yield head, head, gap + self._spelled(added.column, quoted=quoted)
        rows = np.flatnonzero(keep)
        for row, number in zip(rows.tolist(), added.values[rows].tolist(), strict=True):
            end = self._end(int(self.records.starts[row]), int(self.records.stops[row]))
            text = repr(number).replace(".", ",") if self._commas else repr(number)
            yield end, end, between + self._spelled(text, quoted=False)

    @cached_property
    def _commas(self) -> bool:
        """True if the first rows hold a column of numbers such as `1,5`."""
        first = self.table.slice(0, _LOOKED_AT)
        return self.records.delimiter in ";\t" and file_hint(first.columns).decimal == ","

    def _field(self, row: int, column: int) -> tuple[int, int]:
        """Start and stop of one field, its quotes included."""
        start = int(self.records.starts[row])
        stop = self._end(start, int(self.records.stops[row]))
        view = np.frombuffer(self.records.data, np.uint8, stop - start, start)
        separators = positions(view, ord(self.records.delimiter)) + start
        separators = separators[~inside_quotes(self.records.quotes, separators)]
        edges = [start - 1, *separators.tolist(), stop]
        return edges[column] + 1, edges[column + 1]

    def _spelled(self, text: str, *, quoted: bool) -> bytes:
        """Write one field, in quotes where the one it replaces was or where it would not read back without."""
        if quoted or not text or any(char in text for char in f'{self.records.delimiter}"\r\n'):
            text = '"' + text.replace('"', '""') + '"'
        try:
            return text.encode(self.records.text.codec)
        except UnicodeEncodeError:
            raise ReadError(
                f"{format_name(self.name)} is stored in {self.records.text.codec}, which cannot write {quote(text)}: "
                "save it as UTF-8"
            ) from None


def _apply(data: bytes, edits: Iterable[Edit], first: int, last: int) -> Iterator[bytes | memoryview]:
    """Yield `data` from `first` to `last` with its edits, which are sorted and do not overlap, in pieces."""
    view, done = memoryview(data), first
    for start, stop, new in edits:
        yield view[done:start]
        yield new
        done = stop
    yield view[done:last]
