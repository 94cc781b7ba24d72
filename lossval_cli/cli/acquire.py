"""`lossval acquire`: which unlabelled rows to have labelled next."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lossval_cli.cli import options
from lossval_cli.cli.console import is_screen, say
from lossval_cli.cli.writing import write_rows
from lossval_cli.errors import UsageError
from lossval_cli.text.format import format_name

EXAMPLES = """\b
Examples:
  lossval acquire unlabelled.csv --run data.lossval -n 100 -o next.csv
  cat unlabelled.csv | lossval acquire - --run data.lossval | head
"""


def acquire(
    pool: Annotated[
        str,
        typer.Argument(
            metavar="POOL",
            help="Table of unlabelled rows with the feature columns of the training table, or - for standard input.",
            show_default=False,
        ),
    ],
    run: Annotated[Path, typer.Option(metavar="RUN_DIR", help="Run directory of `lossval score`.", show_default=False)],
    number: Annotated[int, typer.Option("-n", "--number", metavar="N", min=1, help="Number of rows to select.")] = 100,
    data: options.Data = None,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|-",
            help="A .csv, .csv.gz, .jsonl or .parquet file, or - for standard output.",
        ),
    ] = "-",
    form: Annotated[
        options.Format | None,
        typer.Option("--format", help="Output format [default: by the name of the file, else csv]."),
    ] = None,
    safe_csv: options.SafeCsv = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Rank the rows of POOL by how much labelling them would help.

    Predicts the importance of each row from its features, with a model fitted to a run on labelled rows, and
    selects rows that are important and differ from one another. A label column is not read. Reports on
    standard error how well the prediction works on held-out rows.
    """
    from lossval_cli.runs.destination import find_destination

    options.check_one_stdin(pool, data)
    destination = find_destination(output, pool, None if form is None else form.value)
    if destination.kind == "directory":
        raise UsageError(f"-o {format_name(output)}: rows are written to a .csv, .csv.gz, .jsonl or .parquet file")
    chosen = destination.format_for("csv")
    if safe_csv and chosen != "csv":
        raise UsageError(f"--safe-csv applies to CSV, but the rows are written as {chosen}")
    if destination.kind == "stream" and chosen == "parquet" and is_screen(sys.stdout):
        raise UsageError("Parquet cannot be shown on a terminal: redirect standard output, or use -o FILE.parquet")
    destination.check(force=force, read=(pool, data, run))
    from lossval_cli.runs.pool import rank_pool

    ranking = rank_pool(run, pool, data, number)
    if not quiet:
        for line in (*ranking.notices, ranking.quality):
            say(line)
    write_rows(ranking.table, destination, safe_csv=safe_csv, force=force)
