"""How much memory a run may take, and what follows: which tables stay in their files, how long a chunk is,
and which rows of such a table each process reads."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from lossval_cli.errors import UsageError
from lossval_cli.features.encoded_file import EncodedFile, EncodedPart, block_table, encode_to_file
from lossval_cli.features.encoder import Encoder
from lossval_cli.runtime.distributed import SINGLE_PROCESS, ProcessGroup
from lossval_cli.runtime.memory import (
    LARGEST_CHUNK,
    SAMPLE,
    SMALLEST_CHUNK,
    MemoryEstimate,
    amount,
    largest_chunk,
    process,
    spare_memory,
)
from lossval_cli.runtime.platform import return_freed_memory
from lossval_cli.runtime.row_loader import PAGE_ROWS
from lossval_cli.tables.files import digest_files
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.streamed import StreamedTable
from lossval_cli.tables.table import Table, open_streamed, read_table
from lossval_cli.text.format import format_name, pluralize

FEWEST_BYTES = 64 * 10**6
"""A table smaller than this once read is read, whatever memory there is."""


LARGE_BLOCK = 16 << 20
"""Bytes: above what a step of training allocates again and again, below what grows with the table."""


FEWEST_SHARED = 5
"""Rows a process has at least."""


@dataclass(frozen=True)
class StoragePlan:
    """memory: bytes a process may take, None: what is free.  scratch: makes the directory for encoded rows;
    without it every table is read into memory."""

    memory: int | None = None
    scratch: Callable[[], Path] | None = None
    processes: ProcessGroup = SINGLE_PROCESS
    chunk_rows: int = LARGEST_CHUNK
    peak: int | None = None
    """Bytes the run is expected to take at most, once that is known."""

    def table(self, source: Any, options: ReadOptions | None = None) -> Table:
        """Read a table, or leave it where it is if it would not fit. Raises ReadError, SchemaError."""
        stored = self._stored(source) if self.scratch is not None else None
        if stored is None:
            self._refuse_file(source)
            return read_table(source, options)
        decoded = self._together(stored).row_bytes() * stored.num_rows
        guess = MemoryEstimate(stored.num_rows, len(stored.column_names), 2, 0, 8, 2).resident(int(2 * decoded))
        if guess <= self._limit() or (decoded < FEWEST_BYTES and self.memory is None):
            return read_table(source, options)
        return_freed_memory(LARGE_BLOCK)
        digest = digest_files(stored.files) if self.processes.is_main else ""
        digest = self.processes.all_gather_object(digest)[0]
        return Table(stored, stored.name, "parquet", None, digest, notices=stored.notices)

    def together(self, table: Table) -> Table:
        """The same table, of which each process reads its own rows and gets the others from the others."""
        if self.processes.world_size == 1 or not isinstance(table.data, StreamedTable):
            return table
        return replace(table, data=self._together(table.data))

    def _together(self, stored: StreamedTable) -> StreamedTable:
        if self.processes.world_size == 1:
            return stored
        own = self.processes.with_fragments(stored.ends).own(stored.num_rows)
        return stored.read_together(
            own, lambda part: [_from_bytes(message) for message in self.processes.all_gather_object(_to_bytes(part))]
        )

    def _limit(self) -> int:
        """Bytes that a process may take: the same for all, of what is free where least is."""
        if self.memory is not None:
            return self.memory
        return -int(self.processes.all_reduce(torch.tensor(-spare_memory() // self.processes.local_world_size), "max"))

    def _stored(self, source: Any) -> StreamedTable | None:
        """Of the whole table only how large it is once read is looked at; not even that of a small file."""
        is_file = isinstance(source, str | Path) and Path(source).is_file()
        if self.memory is None and is_file and Path(source).stat().st_size < FEWEST_BYTES // 16:
            return None
        return open_streamed(source)

    def fitted(self, table: Table, size: MemoryEstimate) -> StoragePlan:
        """With the rows of each process, the chunk and the peak of a run of this size; UsageError where the
        memory asked for is not enough, or there are more processes than rows for them."""
        if self.processes.world_size > 1 and table.rows < FEWEST_SHARED * self.processes.world_size:
            raise UsageError(
                f"{self.processes.world_size} processes are too many for {pluralize(table.rows, 'row')}: start fewer"
            )
        if not isinstance(table.data, StreamedTable):
            peak = size.resident(int(2 * table.data.nbytes))
            if self.memory is not None and peak > self.memory:
                raise self._too_little(table, peak, ": give more, or store it as Parquet, which is read in parts")
            return replace(self, peak=peak)
        processes, limit = self.processes.with_fragments(table.data.ends), self._limit()
        ranges = [processes.own(table.rows, rank) for rank in range(processes.world_size)]
        share = max(rows.stop - rows.start for rows in ranges) / table.rows
        chunk = largest_chunk(size, limit, share)
        if chunk is None:
            raise self._too_little(table, size.streamed(SMALLEST_CHUNK, share), ": give more", limit)
        return replace(self, processes=processes, chunk_rows=chunk, peak=size.streamed(chunk, share))

    def encode(self, table: Table, encoder: Encoder, dtype: str) -> EncodedFile:
        """Each process its own rows of a stored table, into a file in the directory of the first
        where that is in reach, so that others can read of it. Once all have opened what they read, the files
        have no names any more: they go with the last process that holds them, however it ends."""
        assert self.scratch is not None
        place = os.fsencode(self.scratch().absolute()) if self.processes.is_main else b""
        first = Path(os.fsdecode(self.processes.all_gather_object(place)[0]))
        near = first.is_dir() and not self.processes.is_main
        file = (first if near else self.scratch()) / f"encoded-{self.processes.rank}"
        own = encode_to_file(table, encoder, file, dtype, self.processes.own(table.rows))
        files = self.processes.all_gather_object(os.fsencode(file.absolute()))  # which also waits until all are written
        parts = [
            own
            if rank == self.processes.rank
            else EncodedPart(self.processes.own(table.rows, rank), Path(os.fsdecode(name)))
            for rank, name in enumerate(files)
        ]
        encoded = EncodedFile(parts, own, dtype, table, encoder)
        self.processes.all_gather_object(b"")  # waits until all have opened them
        if not near:
            shutil.rmtree(file.parent, ignore_errors=True)
        return encoded

    def _refuse_file(self, source: Any) -> None:
        """A file that takes too much by itself is not read."""
        if self.memory is None or not isinstance(source, str | Path) or not Path(source).is_file():
            return
        least = process() + 2 * Path(source).stat().st_size
        if least > self.memory:
            raise UsageError(
                f"--max-memory {amount(self.memory)} cannot be kept: {format_name(str(source))} needs more than "
                f"{amount(least)}; raise it, or store the table as Parquet, which is read in parts"
            )

    def _too_little(self, table: Table, needed: int, advice: str, given: int | None = None) -> UsageError:
        given = given or self.memory or 0
        what = "--max-memory" if self.memory is not None else "the free memory of"
        return UsageError(
            f"{what} {amount(given)} is not enough for {format_name(table.name)}: "
            f"{pluralize(table.rows, 'row')} need about {amount(needed)}{advice}"
        )


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _from_bytes(message: bytes) -> pa.Table:
    return pa.ipc.open_stream(message).read_all()


def fitting_rows(table: Table) -> tuple[Table, list[str]]:
    """The rows that columns are decided on, and a notice where these are not all: of a table that stays in
    its files, pages evenly spread over it, as many as may be held."""
    if not isinstance(table.data, StreamedTable):
        return table, []
    most = int(SAMPLE / table.data.row_bytes())
    if table.rows <= most:
        return block_table(table, table.data.take(np.arange(table.rows)), 0), []
    pages = max(1, most // PAGE_ROWS)
    starts = np.linspace(0, table.rows - PAGE_ROWS, pages).astype(np.int64)
    rows = np.unique((starts[:, None] + np.arange(PAGE_ROWS)).ravel())
    notice = (
        f"{format_name(table.name)}: what its columns hold is decided on {pluralize(len(rows), 'row')} of "
        f"{table.rows:,}, evenly spread"
    )
    return block_table(table, table.data.take(rows), 0), [notice]
