"""Choices, and options that are shared by commands that do not train."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lossval_cli.errors import UsageError


class Format(StrEnum):
    """Format in which scores are written."""

    csv = "csv"
    parquet = "parquet"
    jsonl = "jsonl"


class Sort(StrEnum):
    """Order of the rows: which comes first."""

    worst = "worst"
    best = "best"
    original = "original"


class Removal(StrEnum):
    """Thoroughness of the removal study."""

    full = "full"
    quick = "quick"
    off = "off"


class ProgressMode(StrEnum):
    """Form in which progress is shown."""

    auto = "auto"
    json = "json"
    off = "off"


class TextFormat(StrEnum):
    """Format in which findings are written."""

    text = "text"
    json = "json"
    markdown = "markdown"


RunDirectory = Annotated[
    Path, typer.Argument(metavar="RUN_DIR", help="Run directory of `lossval score`.", show_default=False)
]
Data = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="The table that was scored [default: its recorded path, else next to RUN_DIR]."),
]
SafeCsv = Annotated[
    bool, typer.Option("--safe-csv", help="Put ' in front of text cells that a spreadsheet would evaluate.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]


def check_one_stdin(*tables: str | None) -> None:
    """Raise UsageError when more than one table is to be read from standard input."""
    if sum(table == "-" for table in tables) > 1:
        raise UsageError("only one table can be read from standard input (-)")
