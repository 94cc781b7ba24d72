"""The tables of a run: read, their columns decided on the training table alone, and in agreement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy.typing as npt
import pandas as pd

from lossval_cli.errors import DataError, UsageError
from lossval_cli.features.predictions.columns import prediction_columns
from lossval_cli.features.roles import Roles, check_agreement, decide_roles
from lossval_cli.features.streaming import read_or_stream, sample_rows, shard
from lossval_cli.features.table_options import TableOptions, asked_columns, spelled_as
from lossval_cli.features.unlabelled import Unlabelled, leave_out_unlabelled
from lossval_cli.metrics import find_metric
from lossval_cli.runtime.context import Runtime
from lossval_cli.settings import Settings
from lossval_cli.tables.frames import SupportsArrow
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.spelling import look_alike_names, same_names
from lossval_cli.tables.table import Table, read_table
from lossval_cli.text.format import format_name, join_names, pluralize, quote

Source: TypeAlias = str | Path | pd.DataFrame | SupportsArrow | tuple[npt.ArrayLike, npt.ArrayLike] | Table

FEWEST_ROWS = 10
"""Training rows below which nothing can be said of any of them."""


class ReadTables(NamedTuple):
    """The tables that were read, and the decisions made in reading them."""

    train: Table
    """Its labelled rows."""
    val: Table | None
    test: Table | None
    sharded: Table
    """The training table, of which each process reads its own rows."""
    sample: Table
    """Rows of it on which columns are decided."""
    unlabelled: Unlabelled | None
    roles: Roles
    options: TableOptions
    """With columns spelled as in the table, and those of predictions excluded."""
    reading: ReadOptions
    notices: list[str]


def read_tables(
    train: Source, val: Source | None, test: Source | None, options: TableOptions, settings: Settings, runtime: Runtime
) -> ReadTables:
    """Read the tables. Raises DataError and UsageError, one line each."""
    reading = ReadOptions.of(settings)
    reading = replace(reading, cells=reading.cells.with_types(asked_columns(options).kinds))
    table = read_or_stream(train, reading, runtime)
    options = spelled_as(options, table.column_names)
    reading = replace(reading, cells=reading.cells.with_types(asked_columns(options).kinds))
    table = table.read_as(reading.cells.types)
    _check_enough(table, "data row")
    own_columns = prediction_columns(options.predictions, table)
    options = replace(options, exclude=(*options.exclude, *own_columns))
    sharded = shard(table, runtime.processes)
    sample, sample_notices = sample_rows(sharded)
    has_order = options.multi_label is None and (options.ordered or options.order)
    roles = decide_roles(sample, options, "classification" if settings.task == "auto" and has_order else settings.task)
    if roles.task != "multilabel":
        find_metric(settings.metric, roles.task)  # better refused now than after training
    elif settings.metric is not None:
        raise UsageError("--metric is for the removal study, and rows with several tags have none")
    require = options.require_labels
    table, unlabelled, unlabelled_notices = leave_out_unlabelled(table, roles.label, "training", require_labels=require)
    if unlabelled is not None:
        sharded = sample = table
        _check_enough(table, "labelled row")
    notices = [*table.notices, *look_alike_names(table.column_names)]
    notices += [*roles.notices, *sample_notices, *unlabelled_notices]
    val_table = _read_other(val, "validation", table, roles, reading, notices, require_labels=require)
    test_table = _read_other(test, "test", table, roles, reading, notices, require_labels=require)
    return ReadTables(table, val_table, test_table, sharded, sample, unlabelled, roles, options, reading, notices)


def _read_other(
    source: Source | None,
    what: str,
    table: Table,
    roles: Roles,
    reading: ReadOptions,
    notices: list[str],
    *,
    require_labels: bool,
) -> Table | None:
    """A validation or test table that agrees with the training `table`; what is to be said of it goes to `notices`."""
    if source is None:
        return None
    other = read_table(source, reading)
    notices += other.notices
    if same := same_names(table.column_names, other.column_names):
        other = other.renamed({theirs: ours for ours, theirs in same.items()})
        notices.append(
            f"{format_name(other.name)}: {join_names([ascii(name) for name in same.values()])} is taken for "
            f"{join_names([ascii(name) for name in same])}, which looks the same"
        )
    notices += check_agreement(table, roles, other, needs_label=what == "test")
    if what != "test" and roles.label not in other.column_names:
        notices.append(
            f"{format_name(other.name)} has no column {quote(roles.label)}: its features are used, but it has no "
            "labels that help to find wrong ones"
        )
    other, _, unlabelled_notices = leave_out_unlabelled(other, roles.label, what, require_labels=require_labels)
    notices += unlabelled_notices
    return other


def _check_enough(table: Table, noun: str) -> None:
    if table.rows < FEWEST_ROWS:
        raise DataError(f"{table.name} has {pluralize(table.rows, noun)}: at least {FEWEST_ROWS} are needed")
