"""`lossval report`: write the pages of a run again, without training."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lossval_cli.cli import options
from lossval_cli.cli.console import results, say
from lossval_cli.errors import UsageError
from lossval_cli.text.format import format_name, join_names

EXAMPLES = """\b
Examples:
  lossval report data.lossval
  lossval report data.lossval -o page.html
  lossval report data.lossval -o - >> "$GITHUB_STEP_SUMMARY"
"""


class ReportFormat(StrEnum):
    """Format of the page."""

    html = "html"
    md = "md"
    json = "json"


_ENDINGS = {
    ".html": ReportFormat.html,
    ".htm": ReportFormat.html,
    ".md": ReportFormat.md,
    ".markdown": ReportFormat.md,
    ".json": ReportFormat.json,
}


def report(
    run: options.RunDirectory,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|-",
            help="A .html, .md or .json file, or - for standard output [default: both pages in RUN_DIR].",
        ),
    ] = None,
    form: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="Output format [default: by the name of FILE; md for -]."),
    ] = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the report of a run again, without training.

    The pages are made from report.json alone; the same version of lossval writes the same bytes.
    """
    chosen = _chosen(output, form)
    from jinja2 import TemplateError

    from lossval_cli.runs.directory import json_bytes, render_pages
    from lossval_cli.runs.loaded import damaged, read_part
    from lossval_cli.runtime.atomic_write import check_file, write_file

    if output not in (None, "-"):
        check_file(Path(str(output)), force=force, read=[run])
    content = read_part(run, "report.json")
    try:
        pages = render_pages(json_bytes(content))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, TemplateError) as error:
        raise damaged(run, error) from error
    if output == "-":
        with results() as stream:
            stream.write(pages[f"report.{chosen}"])
        return
    wanted = {run / name: pages[name] for name in ("report.html", "report.md")}
    if output is not None:
        wanted = {Path(output): pages[f"report.{chosen}"]}
    for path, page in wanted.items():
        write_file(path, page, force=force or output is None)
    if not quiet:
        say(f"wrote {join_names(map(str, wanted))}")


def _chosen(output: str | None, form: ReportFormat | None) -> ReportFormat:
    """The page that is asked for. Raises UsageError where name and format do not say."""
    if output is None:
        if form is not None:
            raise UsageError("--format goes with -o: without it, both pages are written into RUN_DIR")
        return ReportFormat.html
    if output == "-":
        return form or ReportFormat.md
    if not output or "\0" in output:
        raise UsageError(f"-o {output!r} is not a file name")
    named = _ENDINGS.get(Path(output).suffix.lower())
    if named is None and form is None:
        raise UsageError(f"-o {format_name(output)}: name a .html, .md or .json file, or add --format")
    if named is not None and form is not None and named is not form:
        raise UsageError(f"-o {format_name(output)} and --format {form} contradict each other: leave one out")
    return form or named or ReportFormat.html
