"""Scores as a directory of Parquet files: one of each process, in the order of the ranks."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from lossval_cli.runs.scores_io import write_scores
from lossval_cli.runtime.atomic_write import reporting, write_new
from lossval_cli.runtime.distributed import ProcessGroup
from lossval_cli.runtime.platform import sync_directory
from lossval_cli.runtime.sharing import by_one, share, sharing

PARTS = "scores.parquet"
"""What reads one Parquet file reads such a directory by the same name: pandas, pyarrow, Polars, DuckDB, Spark."""


def write_parts(table: pa.Table, directory: Path | None, processes: ProcessGroup) -> None:
    """Write the ranked rows (N) of a run as `PARTS` in a directory, of which the first process says where it is; each
    process writes its own range of rows, and all of them have to call this.

    Raises OutputError, in all of them, where one cannot write.
    """
    with sharing(processes):
        parts = by_one(lambda: _make(directory))

        def write(rank: int) -> None:
            own = processes.own(table.num_rows, rank)
            with reporting(parts):
                write_new(
                    parts / f"part-{rank:05}.parquet",
                    lambda file: write_scores(table.slice(own.start, own.stop - own.start), file, "parquet"),
                )

        share(range(processes.world_size), write)
    if directory is not None:
        sync_directory(parts)


def _make(directory: Path | None) -> Path:
    assert directory is not None
    parts = directory.absolute() / PARTS
    with reporting(parts):
        parts.mkdir()
    return parts
