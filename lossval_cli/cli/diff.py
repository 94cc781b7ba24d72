"""`lossval diff`: what changed between two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lossval_cli.cli import options
from lossval_cli.cli.console import show

EXAMPLES = """\b
Examples:
  lossval diff monday.lossval tuesday.lossval
  lossval diff old.lossval new.lossval --output-format json | jq .counts
"""


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Earlier run directory.", show_default=False)],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Later run directory.", show_default=False)],
    output_format: Annotated[options.TextFormat, typer.Option(help="Output format.")] = options.TextFormat.text,
) -> None:
    """Compare two run directories: rows that were added, removed or became suspect.

    Rows are matched by their ids or, where ids repeat or are missing, by their content (all columns but the label);
    both tables must then still be at their paths. Exits with 0 whatever changed.
    """
    from lossval_cli.runs.diff import compare, comparison_lines, comparison_markdown
    from lossval_cli.runs.loaded import read_run
    from lossval_cli.text.escape import escape_ci, escape_ci_json

    comparison = compare(read_run(old), read_run(new))
    if output_format is options.TextFormat.json:
        show(escape_ci_json(comparison.to_dict()))
    elif output_format is options.TextFormat.markdown:
        show(comparison_markdown(comparison))
    else:
        show("\n".join(escape_ci(line) for line in comparison_lines(comparison)) + "\n")
