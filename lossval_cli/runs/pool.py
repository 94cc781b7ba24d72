"""Candidates for labelling, read with the run that ranks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lossval_cli.errors import ReadError
from lossval_cli.features.encoder import Encoder
from lossval_cli.features.identifiers import find_repeated
from lossval_cli.features.roles import Roles, check_agreement
from lossval_cli.runs.acquisition import Forecast, forecast, pick
from lossval_cli.runs.loaded import LoadedRun, damaged, read_part, read_run, read_table_of
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
        kinds = {str(name): str(kind) for name, kind in (said.get("types") or {}).items()}
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(run_directory, error) from error
    train = _training_table(run_directory, run, data)
    options = ReadOptions.of_record(record.get("settings"))
    options = replace(options, cells=options.cells.with_types(kinds))
    train = train.read_as(options.cells.types)
    table = read_table(pool, options)
    notices = check_agreement(train, roles, table, needs_label=False, can_exclude=False)
    encoder = Encoder.fit(train, roles.features, kinds)
    notices += (*_repeated_ids(table, roles.ids), *_known_rows(train, table, encoder))
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


def _repeated_ids(pool: Table, ids: Sequence[str]) -> list[str]:
    """Ids that several candidates share do not say which one is meant."""
    notices = []
    for name in ids:
        if name in pool.column_names and (found := find_repeated(pool, name)) is not None:
            notices.append(
                f"{format_name(pool.name)}: column {format_name(name)}: {found}; row and line say which is meant"
            )
    return notices


def _known_rows(train: Table, pool: Table, encoder: Encoder) -> list[str]:
    """Candidates that have the features of a training row: labelling them teaches little."""
    known = int(np.isin(encoder.keys(pool), encoder.keys(train)).sum())
    if not known:
        return []
    return [f"{format_name(pool.name)}: {known:,} of {pluralize(pool.rows, 'row')} have the features of a training row"]


def _training_table(path: Path, run: LoadedRun, data: str | None) -> Table:
    called = format_name(str(path))
    if run.was_in_memory:
        raise ReadError(
            f"{called} was made on a table in memory ({run.name}), which is in no file: write it to a file, and score "
            "that"
        )
    if data is None:
        if run.train is None:
            raise ReadError(
                f"{format_name(run.path or run.name)}, which {called} was made on, is no longer there or has "
                "changed: give its path with --data FILE, or score it again"
            )
        return run.train
    return read_table_of(run, path, data)


def _quality(expected: Forecast, count: int, pool: Table) -> str:
    low, high = expected.interval
    correlation = f"rank correlation {expected.correlation:.2f}, likely {low:.2f} to {high:.2f}"
    said = f"{count:,} of {pluralize(pool.rows, 'row')} of {escape_control(pool.name)}"
    if expected.is_clear:
        return f"{said}; on held-out training rows, predicted and real importance agree: {correlation}"
    if not np.isfinite(expected.correlation):
        correlation = "no rank correlation on held-out training rows"
    return f"{said}; features do not predict importance here ({correlation}): rows drawn at random are as good"
