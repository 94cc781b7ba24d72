"""`lossval history`: several runs over time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lossval_cli.cli import options
from lossval_cli.cli.console import say, show
from lossval_cli.text.format import format_name

EXAMPLES = """\b
Examples:
  lossval history monday.lossval tuesday.lossval wednesday.lossval
  lossval history runs/*.lossval --output-format json
  lossval history runs/*.lossval --chart history.html
"""


def history(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR...", help="Run directories.", show_default=False)],
    output_format: Annotated[options.TextFormat, typer.Option(help="Output format.")] = options.TextFormat.text,
    chart: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table with charts as an HTML page, too.")
    ] = None,
    force: options.Force = False,
) -> None:
    """Show suspects, noise, metric and decisions of several runs, oldest first.

    Compare shares only between runs on similar tables.
    """
    from lossval_cli.runs.history import HEAD, history_lines, history_markdown, history_rows, read_history
    from lossval_cli.runtime.atomic_write import check_file, write_file
    from lossval_cli.text.escape import escape_ci_json

    if chart is not None:
        check_file(chart, force=force, read=runs)
    facts = read_history(runs)
    if output_format is options.TextFormat.json:
        show(escape_ci_json({"schema_version": 1, "runs": [one.to_dict() for one in facts]}))
    elif output_format is options.TextFormat.markdown:
        show(history_markdown(facts))
    else:
        show("\n".join(history_lines(facts)) + "\n")
    if chart is not None:
        from lossval_cli.report.render_history import render_history

        page = render_history([one.to_dict() for one in facts], HEAD, history_rows(facts))
        write_file(chart, page, force=force)
        say(f"wrote {format_name(str(chart))}")
