"""Where `lossval check` writes its result: formats, files, standard output and the GitHub job summary."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lossval_cli.cli.console import show, show_styled, wants_colour
from lossval_cli.cli.option_groups import OptionGroup
from lossval_cli.errors import OutputError, UsageError, system_reason
from lossval_cli.runtime.atomic_write import check_file, repeated_file, write_file
from lossval_cli.text.format import join_names

if TYPE_CHECKING:
    from lossval_cli.checks.values import CheckResult


class OutputFormat(StrEnum):
    """Format in which the outcome is reported."""

    text = "text"
    json = "json"
    junit = "junit"
    sarif = "sarif"
    github = "github"
    gitlab = "gitlab"
    markdown = "markdown"


@dataclass(frozen=True, kw_only=True)
class OutputOptions(OptionGroup):
    """Options of output: the formats in which the outcome is written, and where to."""

    output_format: Annotated[
        list[OutputFormat] | None,
        typer.Option(
            metavar="FORMAT",
            help="text, json, junit, sarif, github, gitlab or markdown [default: text]. Repeatable.",
        ),
    ] = None
    output_file: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="File for each --output-format, or - for standard output."),
    ] = None


def pair_outputs(options: OutputOptions, read: Sequence[str | Path | None]) -> list[tuple[str, str]]:
    """Format and file, in pairs; one format without a file goes to standard output.

    Raises UsageError if they are not pairs, OutputError for a file that cannot be written or is `read`.
    """
    forms, files = options.output_format or [], options.output_file or []
    if not files and len(forms) <= 1:
        return [(form.value, "-") for form in forms]
    if len(forms) != len(files):
        raise UsageError(
            f"{len(forms)} --output-format and {len(files)} --output-file: give each format its file, "
            "- for standard output"
        )
    for file in files:
        if file != "-":
            check_file(Path(file), force=True, read=read)  # better refused now than after training
    if repeated_file(files) is not None:
        raise UsageError(f"--output-file {join_names(files)}: two formats cannot go to one file")
    return [(form.value, file) for form, file in zip(forms, files, strict=True)]


def write_outcome(outcome: CheckResult, outputs: Sequence[tuple[str, str]], *, quiet: bool) -> None:
    """Write the outcome as `outputs` say; where all goes to files, standard output still gets the text."""
    from lossval_cli.checks.formats import FORMATS

    for form, file in outputs:
        _write(FORMATS[form](outcome), file)
    if "github" in [form for form, _ in outputs] and os.environ.get("GITHUB_STEP_SUMMARY"):
        _append(Path(os.environ["GITHUB_STEP_SUMMARY"]), FORMATS["markdown"](outcome))
    if not quiet and "-" not in [file for _, file in outputs]:
        _show_text(FORMATS["text"](outcome))


def _write(text: str, file: str) -> None:
    if file == "-":
        _show_text(text)
    else:
        write_file(Path(file), text, force=True)  # CI writes the same file again and again


def _append(path: Path, text: str) -> None:
    """Add to the summary of a job, which other steps have written to."""
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text + "\n")
    except OSError as error:
        raise OutputError(f"GITHUB_STEP_SUMMARY {path} cannot be written: {system_reason(error)}") from error


def _show_text(text: str) -> None:
    """Outcomes in colour where a person is looking."""
    if not wants_colour(sys.stdout):
        show(text)
        return
    from rich.text import Text

    styles = {"PASSED": "green", "WARNED": "yellow", "FAILED": "bold red", "UNKNOWN": "bold red"}
    lines = []
    for line in text.splitlines():
        word = line.partition(" ")[0]
        lines.append(Text.assemble((word, styles.get(word, "")), line[len(word) :]))
    show_styled(lines)
