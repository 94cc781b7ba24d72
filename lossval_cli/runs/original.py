"""The table that a run was made on, as it lies on disk in one file or many, known by its hash."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from lossval_cli.errors import ReadError
from lossval_cli.runs.loaded import LoadedRun, damaged, not_the_table, path_of_train, read_part
from lossval_cli.runtime.atomic_write import RECORD
from lossval_cli.tables.csv_rewrite import CsvOriginal
from lossval_cli.tables.files import Source, decompress, digest, list_files, read_file
from lossval_cli.tables.json_lines import is_json
from lossval_cli.tables.json_rewrite import JsonOriginal
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.parquet import ARROW_MAGIC, MAGIC, STREAM_MAGIC
from lossval_cli.tables.parquet_rewrite import ArrowOriginal, ParquetOriginal
from lossval_cli.tables.parts_rewrite import PartsOriginal
from lossval_cli.tables.rewrite import Original
from lossval_cli.text.format import format_name
from lossval_cli.text.urls import is_remote


def find_original(run: Path, data: str | None) -> str:
    """Find the original of the training table: `data` where given, else what run.json says or lies beside the run.

    Raises ReadError where that is not there, or was a table in memory.
    """
    record = read_part(run, RECORD)
    try:
        train = record["inputs"]["train"]
        name, path, form = str(train["name"]), path_of_train(run, train), train.get("format")
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(run, error) from error
    if form == "frame":
        raise ReadError(
            f"{format_name(str(run))} was made on a table in memory ({name}), which is in no file: use Result.clean in "
            "Python, or score a file"
        )
    if data is not None:
        return data
    if path is None:
        where = "standard input" if name.startswith("<") else f"{format_name(name)} in another directory"
        raise ReadError(f"{format_name(str(run))} was made on {where}: name the table with --data FILE")
    if not os.path.exists(path) and not glob.has_magic(path) and not is_remote(path):
        raise ReadError(f"{format_name(path)} does not exist any more: name the table with --data FILE")
    return path


def open_original(path: str, run: LoadedRun, directory: Path) -> Original:
    """The table at `path`; ReadError where it is not the one that `run`, of `directory`, was made on, or
    cannot be written again."""
    sources = [Source(file.path, file.relative, read_file(file.path)) for file in list_files(path)]
    if digest(sources) != run.report["data"]["tables"]["train"]["sha256"]:
        raise not_the_table(path, directory)
    options = ReadOptions.of_record(read_part(directory, RECORD).get("settings"))
    table = _original(sources, path, options)
    if table.rows != len(run.row):
        raise ReadError(f"{format_name(str(directory))} is damaged: its scores do not belong to {format_name(path)}")
    return table


def _original(sources: Sequence[Source], path: str, options: ReadOptions) -> Original:
    """The files as they can be written again. Raises ReadError."""
    if all(source.data.startswith(MAGIC) for source in sources):
        return ParquetOriginal(sources, path)
    if all(source.data.startswith((ARROW_MAGIC, STREAM_MAGIC)) for source in sources):
        return ArrowOriginal(sources, path)
    if len(sources) == 1:
        return _text(sources[0], path, options)
    return PartsOriginal([_text(source, source.name, options) for source in sources], sources, path)


def _text(source: Source, name: str, options: ReadOptions) -> CsvOriginal | JsonOriginal:
    data = decompress(source)
    return JsonOriginal(data, name) if is_json(data) else CsvOriginal(data, name, options)
