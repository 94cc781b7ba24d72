"""`lossval score`: rank the rows of a table and write a run directory."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from lossval_cli.cli.console import is_screen, show
from lossval_cli.cli.option_groups import OptionGroup, grouped_options
from lossval_cli.cli.options import Format, SafeCsv, Sort, check_one_stdin
from lossval_cli.cli.run_options import RunOptions, RuntimeOptions
from lossval_cli.cli.scoring import scored
from lossval_cli.cli.writing import write_rows
from lossval_cli.errors import UsageError
from lossval_cli.runs.destination import Destination, find_destination
from lossval_cli.runtime.launcher import is_assistant
from lossval_cli.settings import Settings
from lossval_cli.text.escape import shell_word

if TYPE_CHECKING:
    from lossval_cli.features.dataset import Dataset
    from lossval_cli.report.types import Report
    from lossval_cli.result import Result
    from lossval_cli.runtime.distributed import ProcessGroup

EXAMPLES = """\b
Examples:
  lossval score data.csv --val val.csv
  lossval score data.parquet --label price --id customer -o prices
  lossval score data.csv --val val.csv -o worst.csv --top 100
  cat data.csv | lossval score - --val val.csv -o - | head
  lossval score data.csv --set epochs=50 --set loss=focal
"""


@dataclass(frozen=True, kw_only=True)
class ScoreOutput(OptionGroup):
    """Options of the scores' output: where they go, and in which form."""

    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR|FILE|-",
            help="Run directory; or a .csv, .csv.gz, .jsonl or .parquet file for the scores alone; or - for "
            "standard output [default: <train>.lossval/].",
        ),
    ] = None
    form: Annotated[Format | None, typer.Option("--format", help="Output format [default: that of the input].")] = None
    force: Annotated[
        bool,
        typer.Option("--force", help="Overwrite an existing file, or write into a directory lossval did not create."),
    ] = False
    columns: Annotated[str | None, typer.Option(metavar="A,B", help="Columns to write, with -o FILE or -o -.")] = None
    sort: Annotated[
        Sort | None,
        typer.Option(help="Order of the rows, with -o FILE or -o - [default: worst first]."),
    ] = None
    top: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Write only the first N rows, with -o FILE or -o -.")
    ] = None
    safe_csv: SafeCsv = False
    parts: Annotated[
        bool,
        typer.Option(
            "--parts",
            help="Write the scores of a run directory as Parquet files, one of each process, into a directory "
            "scores.parquet.",
        ),
    ] = False
    redact: Annotated[
        bool,
        typer.Option(
            "--redact",
            help="Leave ids and feature values out of scores and reports; labels, row and line numbers stay.",
        ),
    ] = False


@grouped_options
def score(
    train: Annotated[
        str,
        typer.Argument(
            metavar="TRAIN",
            help="Table to score: a file, directory, glob or URL of CSV, JSON lines, Parquet or Arrow, or - for "
            "standard input.",
            show_default=False,
        ),
    ],
    options: RunOptions,
    outputs: ScoreOutput,
    runtime: RuntimeOptions,
) -> None:
    """Rank the rows of TRAIN by how much they help, and say which are suspect and why.

    Writes a run directory with the scores and a report, and prints a summary. Networks are trained on TRAIN
    alone; importance is measured against VAL.
    """
    settings = options.settings()
    if runtime.show_settings:
        show(options.settings_toml())
        return
    check_one_stdin(train, options.val, options.test)
    thresholds = options.suspect_from()
    destination = find_destination(outputs.output, train, None if outputs.form is None else outputs.form.value)
    _check_choices(destination, outputs)
    read = (train, options.val, options.test, options.config, options.thresholds, options.decisions)
    destination.check(force=outputs.force, read=read)
    resources = runtime.resources(None if destination.kind == "stream" else destination.path)
    from lossval_cli.runs.score_parts import write_parts
    from lossval_cli.runs.scores_io import split_names

    names = [] if outputs.columns is None else split_names(outputs.columns)
    with scored(
        train,
        options,
        runtime,
        settings,
        resources,
        thresholds=thresholds,
        # Only the reports of a run directory say what removal does.
        removal=options.removal or ("full" if destination.kind == "directory" else "off"),
        check_dataset=lambda dataset: _check_names(dataset, names, outputs.redact),
    ) as (result, shown, processes):
        if outputs.redact:
            result = _redacted(result)
        if not processes.is_main:
            if outputs.parts:
                write_parts(result.table, None, processes)
            return
        shown.notices(_unused_decisions(destination, options))
        shown.stage("write")
        given = _recorded(train, options, outputs, runtime)
        files = _write(result, destination, outputs, names, given, processes)
    if not (runtime.quiet or is_assistant()) and destination.kind != "stream":
        _show_summary(result, destination, files)


def _unused_decisions(destination: Destination, options: RunOptions) -> list[str]:
    """Return a warning where the run directory holds decisions that this run was not given."""
    from lossval_cli.runs.decisions import DECISIONS

    path = destination.path / DECISIONS
    if destination.kind != "directory" or options.decisions is not None or not path.is_file():
        return []
    return [f"{path} was not used, and stays: --decisions {shell_word(str(path))} learns from it"]


def _recorded(train: str, *groups: OptionGroup) -> dict[str, object]:
    """The options that run.json keeps, by name. Settings stand there by themselves."""
    given: dict[str, object] = {"train": train}
    for group in groups:
        given |= group.given()
    left_out = {*Settings.knobs(), "force", "quiet", "progress"} - {"preset"}
    names = {"assignments": "set", "form": "format"}
    return {
        names.get(name, name): str(value) if isinstance(value, Path) else value
        for name, value in given.items()
        if name not in left_out
    }


def _check_choices(destination: Destination, outputs: ScoreOutput) -> None:
    """Raise UsageError for options that the destination has no use for."""
    if destination.kind == "directory":
        for option, value in (("--columns", outputs.columns), ("--sort", outputs.sort), ("--top", outputs.top)):
            if value is not None:
                raise UsageError(f"{option} needs -o FILE or -o -: a run directory holds every row and column")
    if outputs.parts and (destination.kind != "directory" or destination.form in ("csv", "jsonl") or outputs.safe_csv):
        raise UsageError("--parts writes Parquet files into a run directory: give -o DIR, or leave it out")
    if outputs.safe_csv and destination.form in ("jsonl", "parquet"):
        raise UsageError(f"--safe-csv applies to CSV, but the scores are written as {destination.form}")
    if destination.kind == "stream" and destination.form == "parquet" and is_screen(sys.stdout):
        raise UsageError("Parquet cannot be shown on a terminal: redirect standard output, or use -o FILE.parquet")


def _check_names(dataset: Dataset, names: list[str], redact: bool) -> None:
    """Refuse --columns that the scores will not have, before anything is trained."""
    from lossval_cli.runs.scores_io import check_columns
    from lossval_cli.score_columns import given_names, score_columns

    label, ids = dataset.roles.label, dataset.roles.ids
    called = given_names(label, ids)
    hidden = {called[name] for name in ids} if redact else set()
    check_columns(names, [name for name in score_columns(label, ids) if name not in hidden])


def _redacted(result: Result) -> Result:
    from lossval_cli.runs.redaction import redact_report, redact_table
    from lossval_cli.score_columns import given_names

    roles = result.dataset.roles
    called = given_names(roles.label, roles.ids)
    return replace(
        result,
        table=redact_table(result.table, [called[name] for name in roles.ids]),
        report=cast("Report", redact_report(result.report)),
    )


def _write(
    result: Result,
    destination: Destination,
    outputs: ScoreOutput,
    names: Sequence[str],
    given: Mapping[str, object],
    processes: ProcessGroup,
) -> list[str]:
    """Write the scores, or the run directory; the names of its files."""
    from lossval_cli.runs.scores_io import pick

    if destination.kind == "directory":
        return _write_directory(result, destination, outputs, given, processes)
    table = pick(result.table, columns=names, sort=outputs.sort or "worst", top=outputs.top or 0)
    write_rows(table, destination, safe_csv=outputs.safe_csv, force=outputs.force)
    return []


def _write_directory(
    result: Result,
    destination: Destination,
    outputs: ScoreOutput,
    given: Mapping[str, object],
    processes: ProcessGroup,
) -> list[str]:
    """Write the run directory; the names of its files."""
    from lossval_cli.result import directory_files
    from lossval_cli.runs.score_parts import PARTS, write_parts
    from lossval_cli.runtime.atomic_write import write_directory

    form = "parquet" if outputs.parts else destination.format_for(result.dataset.train.table.format)
    if outputs.safe_csv and form != "csv":
        raise UsageError(f"--safe-csv applies to CSV, but the scores are written as {form}: add --format csv")
    files = directory_files(result, destination.path, form, options=given, safe_csv=outputs.safe_csv)
    if not outputs.parts:
        write_directory(destination.path, files, force=outputs.force)
        return list(files)
    del files[PARTS]
    write_directory(
        destination.path,
        files,
        force=outputs.force,
        fill=lambda directory: write_parts(result.table, directory, processes),
    )
    return [f"{PARTS}/", *files]


def _show_summary(result: Result, destination: Destination, files: Sequence[str]) -> None:
    from lossval_cli.cli.console import show_styled
    from lossval_cli.report.display import summary
    from lossval_cli.runs.record import path_below

    written, name = [str(destination.path)], result.dataset.train.table.name
    if destination.kind == "directory":
        written = [f"{destination.path}/", *files]
    elsewhere = not name.startswith("<") and path_below(name, destination.path) is None
    show_styled(summary(result.report, result.table, written, name if elsewhere else None))
