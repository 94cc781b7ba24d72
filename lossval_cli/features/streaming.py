"""Tables that do not fit into memory stay in their Parquet or Arrow files: which tables these are, how their
rows are divided among processes and chunks, and which rows decide the roles and types of columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lossval_cli.errors import UsageError
from lossval_cli.features.encoded_file import block_table
from lossval_cli.runtime.context import Runtime
from lossval_cli.runtime.distributed import ProcessGroup
from lossval_cli.runtime.memory import (
    SAMPLE,
    MemoryEstimate,
    amount,
    memory_limit,
    process,
)
from lossval_cli.runtime.platform import return_freed_memory
from lossval_cli.runtime.row_source import chunk_rows
from lossval_cli.tables.files import digest_files
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.streamed import StreamedTable
from lossval_cli.tables.table import Table, open_streamed, read_table
from lossval_cli.text.format import format_name, pluralize

FEWEST_BYTES = 64 * 10**6
"""A table smaller than this once read is read, whatever memory is free."""

LARGE_BLOCK = 16 << 20
"""Bytes: above what a training step allocates repeatedly, below what grows with the table."""

FEWEST_ROWS_PER_PROCESS = 5

SAMPLED_ROWS = 1 << 12
"""Neighbouring rows of the sample that columns are decided on."""


class Layout(NamedTuple):
    """Division of the training rows, and what it takes."""

    processes: ProcessGroup
    """With the range of rows of each."""
    chunk_rows: int
    """Rows shuffled together."""
    peak_bytes: int
    """Memory that the run is expected to take at most, per process."""


def read_or_stream(source: Any, options: ReadOptions, runtime: Runtime) -> Table:
    """Read a table, or leave it in its files if it would not fit into memory. Raises ReadError, SchemaError, and
    UsageError where a file alone takes more than the memory allowed."""
    memory, processes = runtime.resources.memory, runtime.processes
    streamed = None
    if runtime.scratch is not None and not (memory is None and _is_small_file(source)):
        streamed = open_streamed(source)
    if streamed is None:
        _refuse_large_file(source, memory)
        return read_table(source, options)
    decoded = _shard(streamed, processes).row_bytes() * streamed.num_rows
    guess = MemoryEstimate(streamed.num_rows, len(streamed.column_names), 2, 0, 8, 2).resident(int(2 * decoded))
    if guess <= memory_limit(memory, processes) or (decoded < FEWEST_BYTES and memory is None):
        return read_table(source, options)
    return_freed_memory(LARGE_BLOCK)
    digest = digest_files(streamed.files) if processes.is_main else ""
    digest = processes.all_gather_object(digest)[0]
    return Table(streamed, streamed.name, "parquet", None, digest, notices=streamed.notices)


def shard(table: Table, processes: ProcessGroup) -> Table:
    """The same table; each process reads its own rows of it and gets the others from the others."""
    if processes.world_size == 1 or not isinstance(table.data, StreamedTable):
        return table
    return replace(table, data=_shard(table.data, processes))


def _shard(streamed: StreamedTable, processes: ProcessGroup) -> StreamedTable:
    if processes.world_size == 1:
        return streamed
    own = processes.with_fragments(streamed.ends).own(streamed.num_rows)
    return streamed.read_together(
        own, lambda part: [_from_bytes(message) for message in processes.all_gather_object(_to_bytes(part))]
    )


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _from_bytes(message: bytes) -> pa.Table:
    return pa.ipc.open_stream(message).read_all()


def plan_layout(table: Table, size: MemoryEstimate, runtime: Runtime) -> Layout:
    """The rows of each process, the chunk and the peak of a run of this size. Raises UsageError where the memory
    allowed is not enough, or there are more processes than rows for them."""
    memory, processes = runtime.resources.memory, runtime.processes
    if processes.world_size > 1 and table.rows < FEWEST_ROWS_PER_PROCESS * processes.world_size:
        raise UsageError(
            f"{processes.world_size} processes are too many for {pluralize(table.rows, 'row')}: start fewer"
        )
    if not isinstance(table.data, StreamedTable):
        peak = size.resident(int(2 * table.data.nbytes))
        if memory is not None and peak > memory:
            advice = "give more, or store it as Parquet, which is read in parts"
            raise UsageError(f"--max-memory {amount(memory)} {_too_little(table, peak)}: {advice}")
        return Layout(processes, chunk_rows(size.width), peak)
    processes = processes.with_fragments(table.data.ends)
    limit = memory_limit(memory, processes)
    needed = size.streamed()
    if needed > limit:
        what = "--max-memory" if memory is not None else "the free memory of"
        raise UsageError(f"{what} {amount(limit)} {_too_little(table, needed)}: give more")
    return Layout(processes, chunk_rows(size.width), needed)


def _too_little(table: Table, needed: int) -> str:
    return f"is not enough for {format_name(table.name)}: {pluralize(table.rows, 'row')} need about {amount(needed)}"


def _is_small_file(source: Any) -> bool:
    return isinstance(source, str | Path) and Path(source).is_file() and Path(source).stat().st_size < FEWEST_BYTES / 16


def _refuse_large_file(source: Any, memory: int | None) -> None:
    if memory is None or not isinstance(source, str | Path) or not Path(source).is_file():
        return
    least = process() + 2 * Path(source).stat().st_size
    if least > memory:
        raise UsageError(
            f"--max-memory {amount(memory)} is too little: {format_name(str(source))} needs more than "
            f"{amount(least)}; raise it, or store the table as Parquet, which is read in parts"
        )


def sample_rows(table: Table) -> tuple[Table, list[str]]:
    """The rows that columns are decided on, and a notice where these are not all: of a table that stays in
    its files, pages evenly spread over it, as many as may be held."""
    if not isinstance(table.data, StreamedTable):
        return table, []
    most = int(SAMPLE / table.data.row_bytes())
    if table.rows <= most:
        return block_table(table, table.data.take(np.arange(table.rows)), 0), []
    pages = max(1, most // SAMPLED_ROWS)
    starts = np.linspace(0, table.rows - SAMPLED_ROWS, pages).astype(np.int64)
    rows = np.unique((starts[:, None] + np.arange(SAMPLED_ROWS)).ravel())
    notice = (
        f"{format_name(table.name)}: types and roles of its columns are decided on {pluralize(len(rows), 'row')} of "
        f"{table.rows:,}, evenly spread"
    )
    return block_table(table, table.data.take(rows), 0), [notice]
