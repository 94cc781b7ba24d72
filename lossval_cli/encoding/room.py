"""How much memory a run may take, and what follows: which tables stay in their files, how long a chunk is."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lossval_cli.encoding.encoded_file import block_table
from lossval_cli.encoding.footprint import (
    LARGEST_CHUNK,
    PROCESS,
    SAMPLE,
    SMALLEST_CHUNK,
    Size,
    amount,
    largest_chunk,
    spare_memory,
)
from lossval_cli.errors import ReadError, UsageError
from lossval_cli.method.rows import PAGE_ROWS
from lossval_cli.method.team import ALONE, Team
from lossval_cli.tables.stored import StoredColumns
from lossval_cli.tables.table import Table, read_table, stored_table
from lossval_cli.wording import counted, plain

FEWEST_BYTES = 64 * 10**6
"""A table smaller than this once read is read, whatever memory there is."""


LARGE_BLOCK = 16 << 20
"""Bytes: above what a step of training allocates again and again, below what grows with the table."""

_MMAP_THRESHOLD = -3
"""Of glibc's malloc.h."""


FEWEST_SHARED = 5
"""Rows a process has at least."""


@dataclass(frozen=True)
class Room:
    """memory: bytes a process may take, None: what is free.  scratch: makes the directory for encoded rows;
    without it every table is read into memory."""

    memory: int | None = None
    scratch: Callable[[], Path] | None = None
    team: Team = ALONE
    chunk_rows: int = LARGEST_CHUNK
    peak: int | None = None
    """Bytes the run is expected to take at most, once that is known."""

    def table(self, source: Any) -> Table:
        """Read a table, or leave it where it is if it would not fit. Raises ReadError, SchemaError."""
        stored = self._stored(source) if self.scratch is not None else None
        if stored is None:
            self._refuse_file(source)
            return read_table(source)
        assert isinstance(stored.data, StoredColumns)
        decoded = stored.data.row_bytes() * stored.rows
        limit = self.memory or spare_memory()
        guess = Size(stored.rows, len(stored.column_names), 2, 0, 8, 2).resident(int(2 * decoded))
        if guess <= limit or (decoded < FEWEST_BYTES and self.memory is None):
            return read_table(source)
        _return_freed_memory()
        return stored

    def _stored(self, source: Any) -> Table | None:
        """Of the whole table only how large it is once read is looked at; not even that of a small file."""
        is_file = isinstance(source, str | Path) and Path(source).is_file()
        if self.memory is None and is_file and Path(source).stat().st_size < FEWEST_BYTES // 16:
            return None
        try:
            return stored_table(source)
        except ReadError:  # reading it says what is the matter
            return None

    def fitted(self, table: Table, size: Size) -> Room:
        """With the chunk and the peak of a run of this size; UsageError where the memory asked for is not
        enough, or there are more processes than rows for them."""
        if not self.team.is_alone and table.rows < FEWEST_SHARED * self.team.size:
            raise UsageError(
                f"{self.team.size} processes are too many for {counted(table.rows, 'row')}: start fewer"
            )
        if not isinstance(table.data, StoredColumns):
            peak = size.resident(int(2 * table.data.nbytes))
            if self.memory is not None and peak > self.memory:
                raise self._too_little(
                    table, peak, ": give more, or store it as Parquet, which is read in parts"
                )
            return replace(self, peak=peak)
        processes = self.team.size
        chunk = largest_chunk(size, self.memory or spare_memory(), processes)
        if chunk is None:
            raise self._too_little(table, size.streamed(SMALLEST_CHUNK, processes), ": give more")
        return replace(self, chunk_rows=chunk, peak=size.streamed(chunk, processes))

    def file(self, name: str) -> Path:
        """Where encoded rows go."""
        assert self.scratch is not None
        return self.scratch() / name

    def _refuse_file(self, source: Any) -> None:
        """A file that takes too much by itself is not read."""
        if self.memory is None or not isinstance(source, str | Path) or not Path(source).is_file():
            return
        least = PROCESS + 2 * Path(source).stat().st_size
        if least > self.memory:
            raise UsageError(
                f"--max-memory {amount(self.memory)} cannot be kept: {plain(str(source))} needs more than "
                f"{amount(least)}; raise it, or store the table as Parquet, which is read in parts"
            )

    def _too_little(self, table: Table, needed: int, advice: str) -> UsageError:
        given = self.memory or spare_memory()
        what = "--max-memory" if self.memory is not None else "the free memory of"
        return UsageError(
            f"{what} {amount(given)} is not enough for {plain(table.name)}: "
            f"{counted(table.rows, 'row')} need about {amount(needed)}{advice}"
        )


def _return_freed_memory() -> None:
    """Have glibc give large blocks back to the system when they are freed, which it learns not to do."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, LARGE_BLOCK)


def fitting_rows(table: Table) -> tuple[Table, list[str]]:
    """The rows that columns are decided on, and a notice where these are not all: of a table that stays in
    its files, pages evenly spread over it, as many as may be held."""
    if not isinstance(table.data, StoredColumns):
        return table, []
    most = int(SAMPLE / table.data.row_bytes())
    if table.rows <= most:
        return block_table(table, table.data.take(np.arange(table.rows)), 0), []
    pages = max(1, most // PAGE_ROWS)
    starts = np.linspace(0, table.rows - PAGE_ROWS, pages).astype(np.int64)
    rows = np.unique((starts[:, None] + np.arange(PAGE_ROWS)).ravel())
    notice = (
        f"{plain(table.name)}: what its columns hold is decided on {counted(len(rows), 'row')} of "
        f"{table.rows:,}, evenly spread"
    )
    return block_table(table, table.data.take(rows), 0), [notice]
