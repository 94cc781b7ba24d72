"""The table that a run was made on, as it lies on disk, known by its hash."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from lossval_cli.errors import ReadError
from lossval_cli.outputs.whole_files import RECORD
from lossval_cli.runs.past_run import ScoredRun, damaged, read_part
from lossval_cli.tables.csv_editing import CsvOriginal
from lossval_cli.tables.editing import Original
from lossval_cli.tables.parquet_editing import ParquetOriginal
from lossval_cli.tables.parquet_parts import MAGIC
from lossval_cli.tables.sources import Source, decompress, digest, read_file
from lossval_cli.wording import plain


def find_original(run: Path, data: str | None) -> str:
    """The path of the training table: `data` where given, else what run.json says.

    Raises ReadError where that is not one file on disk.
    """
    record = read_part(run, RECORD)
    try:
        train = record["inputs"]["train"]
        name, relative = str(train["name"]), train["path"]
        recorded = None if relative is None else os.path.relpath(run.resolve().parent / relative)
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(run, error) from error
    path = data or recorded
    if path is None:
        where = "standard input" if name.startswith("<") else f"{plain(name)} in another directory"
        raise ReadError(f"{plain(str(run))} was made on {where}: say where the table is with --data FILE")
    if os.path.isdir(path) or (glob.has_magic(path) and not os.path.lexists(path)):
        raise ReadError(
            f"{plain(path)} stands for several files, and one is written: score their rows as one file"
        )
    if not os.path.exists(path) and data is None:
        raise ReadError(f"{plain(path)} is not there any more: say where the table is with --data FILE")
    return path


def open_original(path: str, run: ScoredRun, directory: Path) -> Original:
    """The table at `path`; ReadError where it is not the one that `run`, of `directory`, was made on."""
    source = Source(path, os.path.basename(path), read_file(path))
    if digest([source]) != run.report["data"]["tables"]["train"]["sha256"]:
        raise ReadError(
            f"{plain(path)} is not the table that {plain(str(directory))} was made on (its SHA-256 differs): "
            "score it again, or name the right one with --data FILE"
        )
    table: Original
    if source.data.startswith(MAGIC):
        table = ParquetOriginal(source.data, path)
    else:
        table = CsvOriginal(decompress(source), path)
    if table.rows != len(run.row):
        raise ReadError(f"{plain(str(directory))} is damaged: its scores are not those of {plain(path)}")
    return table
