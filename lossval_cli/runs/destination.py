"""The destination of `-o`: a run directory, one file of scores, or standard output."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lossval_cli.errors import UsageError
from lossval_cli.runtime.atomic_write import check_directory, check_file
from lossval_cli.text.format import format_name
from lossval_cli.text.urls import shown_url

Format = Literal["csv", "jsonl", "parquet"]

SCORE_FILES: dict[str, tuple[Format, bool]] = {
    ".csv": ("csv", False),
    ".csv.gz": ("csv", True),
    ".jsonl": ("jsonl", False),
    ".jsonl.gz": ("jsonl", True),
    ".parquet": ("parquet", False),
    ".pq": ("parquet", False),
}
"""Ending of a scores file -> its format, and whether it is packed with gzip."""

_OTHER_FILES = (".tsv", ".txt", ".json", ".ndjson", ".xls", ".xlsx", ".html", ".htm", ".md", ".gz", ".zip")
"""Endings that nobody gives to a directory on purpose."""

_TABLE_SUFFIXES = (
    ".csv",
    ".tsv",
    ".txt",
    ".parquet",
    ".parq",
    ".pq",
    ".arrow",
    ".feather",
    ".gz",
    ".zst",
    ".bz2",
)


@dataclass(frozen=True)
class Destination:
    """Destination of the results: what to write and where. `form` is None where the format of the training table
    decides."""

    kind: Literal["directory", "file", "stream"]
    path: Path
    form: Format | None
    packed: bool = False

    def check(self, *, force: bool, read: Iterable[str | Path | None] = ()) -> None:
        """Raise OutputError if it is clear already that nothing can be written there, or that it would be
        written over what is `read`."""
        if self.kind == "directory":
            check_directory(self.path, force=force)
        elif self.kind == "file":
            check_file(self.path, force=force, read=read)

    def format_for(self, table_format: str) -> Format:
        """The format of the scores of a run on a table of `table_format`."""
        if self.form is not None:
            return self.form
        return "parquet" if self.kind == "directory" and table_format == "parquet" else "csv"


def find_destination(output: str | None, train: str, form: Format | None) -> Destination:
    """Read `-o` (None: not given) and `--format`; UsageError where they contradict each other."""
    if output == "-":
        return Destination("stream", Path("-"), form or "csv")
    if output is None:
        return Destination("directory", Path(default_directory(train)), form)
    if not output or "\0" in output:
        raise UsageError(f"-o {output!r} is not a file name")
    name = os.path.basename(output).lower()
    path = Path(output)
    ending = next((end for end in SCORE_FILES if name.endswith(end)), None)
    if path.is_dir() or output.endswith("/"):
        ending = None
    elif ending is None and name.endswith(_OTHER_FILES):
        raise UsageError(
            f"-o {format_name(output)}: scores are written as .csv, .csv.gz, .jsonl, .jsonl.gz or .parquet; "
            "a name without such an ending is a directory"
        )
    if ending is None:
        return Destination("directory", path, form)
    by_name, packed = SCORE_FILES[ending]
    if form is not None and form != by_name:
        raise UsageError(f"-o {format_name(output)} and --format {form} contradict each other: leave one out")
    return Destination("file", path, by_name, packed)


def default_directory(train: str) -> str:
    """`<stem>.lossval`: the name of the table without endings; of a glob what is fixed in it."""
    if train == "-":
        return "stdin.lossval"
    path = shown_url(train).rstrip("/") or "/"
    if glob.has_magic(path) and not os.path.lexists(path):
        fixed = path[: min(path.find(mark) for mark in "*?[" if mark in path)]
        stem = os.path.basename(fixed).rstrip("-_.=") or os.path.basename(os.path.dirname(fixed))
    else:
        stem = os.path.basename(os.path.abspath(path))
        while (ending := os.path.splitext(stem)[1]).lower() in _TABLE_SUFFIXES and ending != stem:
            stem = stem[: -len(ending)]
    return (stem.lstrip(".") or "table") + ".lossval"
