"""Candidates for labelling, read beside the run that judges them, and ranked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lossval_cli.errors import ReadError
from lossval_cli.features.encoder import Encoder
from lossval_cli.features.roles import Roles, check_agreement
from lossval_cli.runs.acquisition import Forecast, forecast, pick
from lossval_cli.runs.loaded import LoadedRun, damaged, read_part, read_run
from lossval_cli.runtime.atomic_write import RECORD
from lossval_cli.score_columns import given_names
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.table import Table, read_table
from lossval_cli.text.format import escape_control, format_name, pluralize

PREDICTED = "predicted_importance"


class Ranking(NamedTuple):
    """The best candidates and what is to be said of them."""

    table: pa.Table
    """rank, row, line, ids, predicted_importance; best first."""
    notices: tuple[str, ...]
    quality: str
    """How far the predictions can be trusted."""


def rank_pool(run_directory: Path, pool: str, data: str | None, count: int) -> Ranking:
    """Rank the rows of `pool`, at most `count` of them, by what the run at `run_directory` says of such rows.

    data: the training table, where it is not where the run left it. Raises ReadError, SchemaError and
    CellError, one line each.
    """
    run, record = read_run(run_directory), read_part(run_directory, RECORD)
    try:
        said = record["roles"]
        ids, excluded, features = (tuple(map(str, said[key])) for key in ("ids", "excluded", "features"))
        roles = Roles(said["label"], ids, excluded, features, said["task"], ())
        seed = int(record["seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(run_directory, error) from error
    train = _training_table(run_directory, run, record, data)
    options = ReadOptions.of_record(record.get("settings"))
    table = read_table(pool, options)
    notices = check_agreement(train, roles, table, needs_label=False, can_exclude=False)
    encoder = Encoder.fit(train, roles.features)
    X, X_pool = encoder.transform(train)[run.row[run.labelled]], encoder.transform(table)
    rng = np.random.default_rng([seed, table.rows])
    evidence, importance = run.feature_evidence[run.labelled], run.importance[run.labelled]
    parted = bool(np.isfinite(evidence).all())  # the published algorithm does not split importance
    expected = forecast(X, evidence if parted else importance, X_pool, rng)
    importance = np.exp(expected.value) if parted else expected.value
    chosen = pick(X_pool, importance, count, rng)
    take = pa.array(chosen)
    columns: dict[str, Any] = {
        "rank": pa.array(np.arange(1, len(chosen) + 1)),
        "row": take,
        "line": pa.nulls(len(chosen), pa.int64()) if table.lines is None else pa.array(table.lines[chosen]),
    }
    for name, called in given_names(roles.label, roles.ids).items():
        if name in roles.ids and name in table.column_names:
            columns[called + "_given" * (called == PREDICTED)] = table.as_given(name).take(take)
    columns[PREDICTED] = pa.array(importance[chosen])
    return Ranking(
        pa.table(columns),
        (*notices, *encoder.differences(table)),
        _quality(expected, len(chosen), table),
    )


def _training_table(path: Path, run: LoadedRun, record: dict[str, Any], data: str | None) -> Table:
    called = format_name(str(path))
    if data is None:
        if run.train is None:
            raise ReadError(
                f"{format_name(run.path or run.name)}, which {called} was made on, is not there any more or has "
                "changed: say where it is with --data FILE, or score it again"
            )
        return run.train
    table = read_table(data, ReadOptions.of_record(record.get("settings")))
    if table.sha256 != record["inputs"]["train"]["sha256"]:
        raise ReadError(
            f"{format_name(table.name)} is not the table that {called} was made on (its SHA-256 differs): score it "
            "again, or name the right table with --data FILE"
        )
    return table


def _quality(expected: Forecast, count: int, pool: Table) -> str:
    low, high = expected.interval
    correlation = f"rank correlation {expected.correlation:.2f}, likely {low:.2f} to {high:.2f}"
    said = f"{count:,} of {pluralize(pool.rows, 'row')} of {escape_control(pool.name)}"
    if expected.is_clear:
        return f"{said}; on held-out training rows, predicted and real importance agree: {correlation}"
    if not np.isfinite(expected.correlation):
        correlation = "no rank correlation on held-out training rows"
    return f"{said}; features do not predict importance here ({correlation}): rows drawn at random are as good"
