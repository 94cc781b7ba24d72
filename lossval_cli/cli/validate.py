"""`lossval validate`: what `score` would make of a table, without training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lossval_cli.cli.console import say, show
from lossval_cli.cli.option_groups import grouped_options
from lossval_cli.cli.options import Force, check_one_stdin
from lossval_cli.cli.run_options import RunOptions, RuntimeOptions
from lossval_cli.errors import LossvalError, UsageError
from lossval_cli.runtime.atomic_write import check_file, write_file
from lossval_cli.text.format import escape_control, pluralize

if TYPE_CHECKING:
    from lossval_cli.features.dataset import Dataset

EXAMPLES = """\b
Examples:
  lossval validate data.csv
  lossval validate data.parquet --val val.parquet --label price
  lossval validate jan.csv feb.csv mar.csv --val val.csv
  lossval validate data.csv --write-columns columns.toml
"""


@grouped_options
def validate(
    tables: Annotated[list[str], typer.Argument(metavar="TABLE...", help="Tables to check.", show_default=False)],
    options: RunOptions,
    runtime: RuntimeOptions,
    write_columns: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write role and type of each column of TABLE, to edit and give to --config."),
    ] = None,
    force: Force = False,
) -> None:
    """Check tables and settings without training.

    Shows the role of each column and how it is encoded. Exits with 0 if `lossval score` would start training
    on every TABLE, else with 2.
    """
    settings = options.settings()
    check_one_stdin(*tables, options.val, options.test)
    if write_columns is not None:
        if len(tables) > 1:
            raise UsageError("--write-columns is for one TABLE: its columns are written")
        check_file(write_columns, force=force, read=(*tables, options.val, options.test))
    from lossval_cli.features.dataset import load_dataset
    from lossval_cli.runtime.device import check_device_name, pick_device

    check_device_name(settings.device)
    if settings.device.startswith("cuda"):
        pick_device(settings.device)
    failed = 0
    for i, table in enumerate(tables):
        try:
            dataset = load_dataset(table, options.val, options.test, options=options.tables(), settings=settings)
        except LossvalError as error:
            if len(tables) == 1:
                raise
            say(f"error: {error}")
            failed += 1
            continue
        if not runtime.quiet:
            show(("\n" if i else "") + "\n".join(_description(dataset)) + "\n")
        if write_columns is not None:
            _write_columns(dataset, write_columns, force=force)
    if failed:
        raise typer.Exit(2)


def _write_columns(dataset: Dataset, path: Path, *, force: bool) -> None:
    from lossval_cli.features.table_options import columns_toml

    name = escape_control(dataset.train.table.name)
    head = f"# Columns of {name}, as lossval reads them. Change what is wrong and pass this file with --config.\n"
    write_file(path, head + columns_toml(dataset.column_rules()), force=force)


def _description(dataset: Dataset) -> list[str]:
    from rich.cells import cell_len, set_cell_size

    from lossval_cli.features.tags import TagLabels
    from lossval_cli.text.escape import escape_ci

    roles, table = dataset.roles, dataset.train.table
    classes = "" if dataset.classes is None else f" into {dataset.classes} classes"
    if isinstance(dataset.labels, TagLabels):
        classes = f" with {len(dataset.labels.names)} tags"
    lines = [
        f"{escape_control(table.name)}: {table.rows:,} rows, {pluralize(len(table.column_names), 'column')}; "
        f"{roles.task}{classes}, {pluralize(dataset.encoder.width, 'encoded feature')}"
    ]
    for what, part in (("validation", dataset.val), ("test", dataset.test)):
        if part is not None and not (what == "validation" and dataset.held_out is not None):
            lines.append(f"{escape_control(part.table.name)}: {part.table.rows:,} rows for {what}")
    lines += ["", "column                      role      taken as"]
    kinds = {str(column["column"]): column for column in dataset.encoder.describe()}
    for name in table.column_names:
        role, taken = _role(dataset, name), ""
        if name in kinds:
            column = kinds[name]
            dims = int(str(column["dims"]))
            taken = str(column["type"] if dims else column["reason"])
            if column.get("encoding") == "standardised together":
                taken = "list of numbers"
            if column["type"] == "number" and dims > 1:
                taken += ", and whether it is missing"
            elif dims > 1:
                taken += f", {dims} numbers"
            role = role if dims else "dropped"
        shown = escape_ci(name)
        if shown.lstrip().startswith("::"):  # would be a workflow command in the log of a CI run
            shown = f"'{shown}'"
        shown = shown if cell_len(shown) <= 26 else set_cell_size(shown, 25) + "…"
        lines.append(f"{set_cell_size(shown, 26)}  {role:8}  {escape_control(taken)}".rstrip())
    if dataset.notices:
        lines += ["", *(escape_control(notice) for notice in dataset.notices)]
    return lines


def _role(dataset: Dataset, column: str) -> str:
    role = dataset.column_rules()[column].role
    return "excluded" if role == "exclude" else str(role)
