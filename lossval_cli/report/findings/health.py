"""Whether the run itself can be trusted: checks that are always reported."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lossval_cli.features.columns.number import as_floats
from lossval_cli.features.dataset import Dataset
from lossval_cli.features.labels import NumberLabels
from lossval_cli.features.typed_columns import TypedColumns
from lossval_cli.lossval.training import Fit
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.report.findings.names import cut, date
from lossval_cli.report.findings.units import find_unit_jumps
from lossval_cli.report.sentences.health import (
    classes_too_small,
    repeated_rows,
    scoring_networks,
    tied_rows,
    training_loss,
    transport_health,
    unit_jump,
    validation_rows,
)
from lossval_cli.runtime.row_source import draw_at_most
from lossval_cli.settings import Settings

FEW_VALIDATION_ROWS = 50
"""Fewer say little about where the data should lie."""

MANY_REPEATS = 0.5
"""Share of different rows below which a table is said to repeat itself."""

ROUGH = 0.25
"""Error of a row's potential for want of validation rows, as a share of what potentials differ by."""

UNIT_ROWS = 5_000
"""Rows, drawn at random, in which another unit is looked for."""

MANY_TIES = 0.01
"""Share of rows of equal importance beyond which their order says nothing."""


def check_health(dataset: Dataset, fit: Fit, noise: NoiseEstimate | None, settings: Settings) -> list[dict[str, str]]:
    """Return one record a check: `check`, `level` (ok or look) and `text`."""
    checks = [_loss(fit), _validation(dataset, noise)]
    if repeats := _repeats(dataset):
        checks.append(repeats)
    if fit.potentials is not None:
        checks.append(_transport(fit))
        if np.isfinite(fit.importance_std).any() or fit.model is None:
            checks.append(_spread(settings, len(dataset.train.X)))
    checks.append(_ties(fit))
    if noise is not None and noise.labels is not None and (rows := int(noise.labels.class_too_small.sum())):
        checks.append(("classes", True, classes_too_small(rows)))
    checks += _units(dataset, settings)
    return [{"check": name, "level": "ok" if good else "look", "text": text} for name, good, text in checks]


Check = tuple[str, bool, str]


def _loss(fit: Fit) -> Check:
    losses = [epoch.loss for epoch in fit.history]
    return "training", *training_loss(losses[0], losses[-1], len(losses), stopped=fit.stopped)


def _validation(dataset: Dataset, noise: NoiseEstimate | None) -> Check:
    rows, held_out = len(dataset.val.X), dataset.held_out is not None
    few = rows < FEW_VALIDATION_ROWS
    trusted = noise is not None and not held_out and dataset.val.y is not None
    return "validation", not few, validation_rows(rows, held_out=held_out, few=few, trusted=trusted)


def _repeats(dataset: Dataset) -> Check | None:
    """Check whether most rows of a table are the same few: they are counted, and weigh, as often as they occur."""
    tables = [("training", dataset.keys)]
    if dataset.held_out is None:
        tables.append(("validation", dataset.encoder.keys(dataset.val.table)))
    counts = [(what, len(own), len(pd.unique(own))) for what, own in tables]
    repeated = [one for one in counts if one[2] < MANY_REPEATS * one[1]]
    return ("repeats", False, repeated_rows(repeated)) if repeated else None


def _units(dataset: Dataset, settings: Settings) -> list[Check]:
    """Find columns that seem to be in another unit in part of the rows."""
    table = dataset.train.table
    rows = draw_at_most(table.rows, UNIT_ROWS, np.random.default_rng(settings.seed))
    frame, kinds = TypedColumns(table, dataset.encoder).take(rows), dict(dataset.encoder.types)
    if isinstance(dataset.labels, NumberLabels):
        label = dataset.roles.label
        frame[label], kinds[label] = as_floats(table.typed(label))[rows], "number"
    checks = []
    for jump in find_unit_jumps(frame, kinds):
        if isinstance(jump.level, str):
            where = f"where {cut(jump.where)} is {cut(jump.level)}"
        elif jump.where:
            where = f"from about {date(jump.level[0])} to {date(jump.level[1])} ({cut(jump.where)})"
        else:
            first, last = (table.line_or_row(int(rows[int(end)])) for end in jump.level)
            where = f"from about {first} to {last}"
        medians = (jump.median, jump.other_median)
        checks.append(("units", False, unit_jump(cut(jump.column), where, medians, jump.factor)))
    return checks


def _transport(fit: Fit) -> Check:
    assert fit.potentials is not None
    rough = fit.transport_sample is not None and fit.transport_sample["error"] > ROUGH
    converged = fit.potentials.converged
    text = transport_health(fit.potentials.marginal_error, fit.transport_sample, rough=rough, converged=converged)
    return "transport", converged and not rough, text


def _spread(settings: Settings, rows: int) -> Check:
    members, folds = settings.ensemble_size(rows)
    networks = members // folds if folds > 1 else members
    return "members", networks > 1, scoring_networks(networks, out_of_fold=folds > 1)


def _ties(fit: Fit) -> Check:
    tied = int(pd.Series(fit.importance).duplicated(keep=False).sum())
    many = tied > MANY_TIES * len(fit.importance)
    return "ties", not many, tied_rows(tied, many=many)
