"""Several CSV or JSON lines files written again with changes, as one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import BinaryIO

import numpy as np

from lossval_cli.errors import ReadError
from lossval_cli.tables.csv_rewrite import CsvOriginal
from lossval_cli.tables.files import Source
from lossval_cli.tables.json_rewrite import JsonOriginal
from lossval_cli.tables.rewrite import Added, Cells, Mask, Original
from lossval_cli.tables.stored_types import partitions, stack
from lossval_cli.text.format import format_name


class PartsOriginal(Original):
    """The rows of several text files, one file below the other. `name` is for messages.

    Raises ReadError where they cannot become one file as they are written.
    """

    def __init__(self, parts: Sequence[CsvOriginal | JsonOriginal], sources: Sequence[Source], name: str) -> None:
        self.form = parts[0].form
        self.name = name
        for part, source in zip(parts, sources, strict=True):
            reason = _difference(parts[0], part, source)
            if reason:
                raise ReadError(
                    f"{format_name(name)} cannot be written as one file: {format_name(part.name)} {reason}; save the "
                    "table as Parquet, and score that"
                )
        self._parts = parts
        self._ends = np.cumsum([part.rows for part in parts])
        self.table = stack([part.table for part in parts], [part.name for part in parts], name)

    @property
    def names(self) -> list[str]:
        """Every column of the files, those without a name and content too."""
        return self._parts[0].names

    @cached_property
    def quoted(self) -> Mapping[str, Mask]:
        """Mask (N,) by column of CSV cells in quotes though the word in them could mean missing."""
        names = {name for part in self._parts for name in part.quoted}
        nothing = [np.zeros(part.rows, np.bool_) for part in self._parts]
        return {
            name: np.concatenate([p.quoted.get(name, none) for p, none in zip(self._parts, nothing, strict=True)])
            for name in names
        }

    def write(self, sink: BinaryIO, keep: Mask, *, cells: Sequence[Cells] = (), added: Added | None = None) -> None:
        """The rows of `keep` (N,) to an open binary file, under what stands above those of the first file. OSError
        passes through."""
        for i, (part, stop) in enumerate(zip(self._parts, self._ends.tolist(), strict=True)):
            start = stop - part.rows
            own = [_cells_of(one, start, stop) for one in cells]
            more = None if added is None else Added(added.column, added.values[start:stop])
            end = _LastByte(sink)
            part.write(end, keep[start:stop], cells=own, added=more, rows_alone=i > 0)  # type: ignore[arg-type]
            if end.last not in (b"", b"\n", b"\r") and i + 1 < len(self._parts):
                sink.write(b"\n")


class _LastByte:
    """A file that is written to, and the last byte of what was."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self.last = b""

    def write(self, data: bytes | memoryview) -> int:
        """Pass it on."""
        if len(data):
            self.last = bytes(data[-1:])
        return self._sink.write(data)


def _cells_of(cells: Cells, start: int, stop: int) -> Cells:
    low, high = np.searchsorted(cells.rows, [start, stop])
    return Cells(cells.column, cells.rows[low:high] - start, cells.values[low:high])


def _difference(first: CsvOriginal | JsonOriginal, part: CsvOriginal | JsonOriginal, source: Source) -> str:
    """Explain why a file cannot follow the first one, '' where it can."""
    if part.form != first.form:
        return f"is {part.form} and {format_name(first.name)} is {first.form}"
    if partitions(source.relative):
        return "lies in a directory that gives it a column (key=value)"
    if isinstance(part, JsonOriginal):
        return "is an array" if part.is_array else ""
    assert isinstance(first, CsvOriginal)
    if part.names != first.names:
        return f"has its columns in another order than {format_name(first.name)}"
    mine, other = part.records, first.records
    if (mine.delimiter, mine.text.codec, mine.missing_fields) != (
        other.delimiter,
        other.text.codec,
        other.missing_fields,
    ):
        return f"has another delimiter or encoding than {format_name(first.name)}"
    return ""
