"""`lossval score`: from a table to ranked rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from lossval_cli.cli import options
from lossval_cli.cli.console import is_screen, show
from lossval_cli.cli.progress import Progress, choose_mode
from lossval_cli.cli.writing import write_rows
from lossval_cli.errors import UsageError
from lossval_cli.runs.destination import Destination, find_destination

if TYPE_CHECKING:
    from lossval_cli.features.dataset import Dataset
    from lossval_cli.pipeline import Result

EXAMPLES = """\b
Examples:
  lossval score data.csv --val val.csv
  lossval score data.parquet --label price --id customer -o prices
  lossval score data.csv --val val.csv -o worst.csv --top 100
  cat data.csv | lossval score - --val val.csv -o - | head
  lossval score data.csv --set epochs=50 --set loss=focal
"""


def score(
    train: Annotated[
        str,
        typer.Argument(
            metavar="TRAIN",
            help="Table whose rows are judged: CSV, Parquet, a directory or glob of Parquet files, or - for "
            "CSV on standard input.",
            show_default=False,
        ),
    ],
    val: options.Val = None,
    test: options.Test = None,
    label: options.Label = None,
    ids: options.Ids = None,
    exclude: options.Exclude = None,
    task: options.Task = None,
    val_fraction: options.ValFraction = None,
    preset: options.Preset = None,
    config: options.Config = None,
    assignments: options.Assignments = None,
    device: options.Device = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    metric: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"{options.METRIC_HELP} [default: accuracy or rmse]."),
    ] = None,
    removal: Annotated[options.Removal | None, typer.Option(help=f"{options.REMOVAL_HELP} [default: full].")] = None,
    thresholds: options.ThresholdFile = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR|FILE|-",
            help="Run directory; or a .csv, .csv.gz, .jsonl or .parquet file for the scores alone; or - for "
            "standard output [default: <train>.lossval/].",
        ),
    ] = None,
    form: Annotated[
        options.Format | None, typer.Option("--format", help="Of the scores [default: as the table].")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a directory that is not ours, or over a file.")
    ] = False,
    columns: Annotated[str | None, typer.Option(metavar="A,B", help="Columns to write, with -o FILE or -o -.")] = None,
    sort: Annotated[
        options.Sort | None,
        typer.Option(help="Row that comes first, with -o FILE or -o - [default: worst]."),
    ] = None,
    top: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only the first N rows, with -o FILE or -o -.")
    ] = None,
    safe_csv: options.SafeCsv = False,
    redact: Annotated[
        bool,
        typer.Option(
            "--redact",
            help="Leave ids and feature values out of scores and reports; labels, row and line numbers stay.",
        ),
    ] = False,
    time_limit: options.TimeLimit = None,
    max_memory: options.MaxMemory = None,
    checkpoint_every: options.CheckpointEvery = None,
    resume: options.Resume = False,
    show_settings: options.ShowSettings = False,
    quiet: options.Quiet = False,
    progress: options.ProgressOption = options.ProgressMode.auto,
) -> None:
    """Rank the rows of TRAIN by how much they help, and say which are suspect and why.

    Writes a run directory with the scores and a report, and prints a summary. Training learns from TRAIN
    alone; what helps is judged by VAL.
    """
    shortcuts = {
        "task": task,
        "val_fraction": val_fraction,
        "device": device,
        "seed": seed,
        "threads": threads,
        "metric": metric,
    }
    settings = options.resolve_settings(preset, config, assignments, shortcuts)
    if show_settings:
        show(options.settings_toml(settings, preset, config, assignments, shortcuts))
        return
    options.check_one_stdin(train, val, test)
    limits = options.thresholds_of(thresholds)
    destination = find_destination(output, train, None if form is None else form.value)
    _check_choices(destination, columns=columns, sort=sort, top=top, safe_csv=safe_csv)
    destination.check(force=force, read=(train, val, test, config, thresholds))
    results = None if destination.kind == "stream" else destination.path
    resources = options.read_resources(time_limit, max_memory, checkpoint_every, resume, results)
    started = datetime.now(UTC)
    quiet = quiet or options.is_assistant()
    with (
        options.processes() as processes,
        Progress(choose_mode(progress.value, quiet=quiet), quiet=quiet) as shown,
    ):
        from lossval_cli.pipeline import run
        from lossval_cli.runs.scores_io import pick, split_names

        names = [] if columns is None else split_names(columns)
        result = run(
            train,
            val,
            test,
            label=label,
            ids=ids or (),
            exclude=exclude or (),
            settings=settings,
            thresholds=limits,
            # Only the reports of a run directory say what removal does.
            removal=removal.value if removal else "full" if destination.kind == "directory" else "off",
            on_dataset=lambda dataset: _start_training(dataset, names, redact, shown),
            on_epoch=shown.epoch,
            on_stage=shown.stage,
            on_estimate=lambda estimate: shown.notices([estimate.text()]),
            resources=resources,
            processes=processes,
        )
        if result is None:
            return
        shown.notices(result.valuation.notices)
        shown.stage("write")
        files: list[str] = []
        if redact:
            result = _redacted(result)
        if destination.kind == "directory":
            given = {
                "train": train,
                "val": val,
                "test": test,
                "label": label,
                "ids": ids,
                "exclude": exclude,
                "preset": preset,
                "config": None if config is None else str(config),
                "set": assignments,
                "removal": removal,
                "thresholds": None if thresholds is None else str(thresholds),
                "output": output,
                "format": form,
                "safe_csv": safe_csv,
                "redact": redact,
                "time_limit": time_limit,
            }
            files = _write_directory(result, destination, started, given, safe_csv=safe_csv, force=force)
        else:
            order = sort.value if sort else "worst"
            table = pick(result.table, columns=names, sort=order, top=top or 0)
            write_rows(table, destination, safe_csv=safe_csv, force=force)
        options.forget_checkpoint(resources, result)
    if not quiet and destination.kind != "stream":
        _show_summary(result, destination, files)


def _check_choices(
    destination: Destination,
    *,
    columns: str | None,
    sort: options.Sort | None,
    top: int | None,
    safe_csv: bool,
) -> None:
    """Raise UsageError for options that the destination has no use for."""
    if destination.kind == "directory":
        for option, value in (("--columns", columns), ("--sort", sort), ("--top", top)):
            if value is not None:
                raise UsageError(f"{option} is for -o FILE or -o -: a run directory holds every row and column")
    if safe_csv and destination.form in ("jsonl", "parquet"):
        raise UsageError(f"--safe-csv is about CSV, and the scores are written as {destination.form}")
    if destination.kind == "stream" and destination.form == "parquet" and is_screen(sys.stdout):
        raise UsageError("Parquet is not for terminals: redirect standard output, or use -o FILE.parquet")


def _start_training(dataset: Dataset, names: list[str], redact: bool, shown: Progress) -> None:
    """The last moment to refuse: what the scores will hold is known, and nobody has waited yet."""
    from lossval_cli.runs.scores_io import check_columns
    from lossval_cli.score_columns import given_names, score_columns

    label, ids = dataset.roles.label, dataset.roles.ids
    called = given_names(label, ids)
    hidden = {called[name] for name in ids} if redact else set()
    check_columns(names, [name for name in score_columns(label, ids) if name not in hidden])
    shown.notices(dataset.notices)


def _redacted(result: Result) -> Result:
    from lossval_cli.runs.redaction import redact_report, redact_table
    from lossval_cli.score_columns import given_names

    roles = result.dataset.roles
    called = given_names(roles.label, roles.ids)
    return replace(
        result,
        table=redact_table(result.table, [called[name] for name in roles.ids]),
        report=redact_report(result.report),
    )


def _write_directory(
    result: Result,
    destination: Destination,
    started: datetime,
    given: Mapping[str, object],
    *,
    safe_csv: bool,
    force: bool,
) -> list[str]:
    """Write the run directory and return the names of its files."""
    from lossval_cli.runs.directory import run_files
    from lossval_cli.runs.record import build_run_record
    from lossval_cli.runtime.atomic_write import write_directory

    form = destination.format_for(result.dataset.train.table.format)
    if safe_csv and form != "csv":
        raise UsageError(f"--safe-csv is about CSV, and the scores are written as {form}: add --format csv")
    record = build_run_record(
        result.dataset,
        result.settings,
        device=result.report["model"]["device"],
        options={name: value for name, value in given.items() if value},
        thresholds=result.report["thresholds"],
        directory=destination.path,
        started=started,
        timing=result.report["timing"],
    )
    files = run_files(result.table, result.report, record, form, safe_csv=safe_csv)
    write_directory(destination.path, files, force=force)
    return list(files)


def _show_summary(result: Result, destination: Destination, files: Sequence[str]) -> None:
    from lossval_cli.cli.console import show_styled
    from lossval_cli.report.display import summary
    from lossval_cli.runs.record import path_below

    written, name = [str(destination.path)], result.dataset.train.table.name
    if destination.kind == "directory":
        written = [f"{destination.path}/", *files]
    elsewhere = not name.startswith("<") and path_below(name, destination.path) is None
    show_styled(summary(result.report, result.table, written, name if elsewhere else None))
