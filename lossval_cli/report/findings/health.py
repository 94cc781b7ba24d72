"""Whether the run itself can be trusted: checks that are reported whatever they say."""

from __future__ import annotations

import numpy as np

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.row_keys import Keys
from lossval_cli.lossval.fit import Valuation
from lossval_cli.report.findings.table_scan import keys_of
from lossval_cli.settings import Settings
from lossval_cli.text.format import format_number, format_percent, pluralize

FEW_VALIDATION_ROWS = 50
"""Fewer say little about where the data should lie."""

MANY_REPEATS = 0.5
"""Share of different rows below which a table is said to repeat itself."""

ROUGH = 0.25
"""Error of a row's potential for want of validation rows, as a share of what potentials differ by."""

MANY_TIES = 0.01
"""Share of rows of equal importance beyond which their order says nothing."""


def check_health(dataset: Dataset, valuation: Valuation, settings: Settings, keys: Keys) -> list[dict[str, str]]:
    """One record a check: `check`, `level` (ok or look) and `text`. `keys` (N,) of the training rows."""
    checks = [_loss(valuation), _validation(dataset)]
    if repeats := _repeats(dataset, keys):
        checks.append(repeats)
    if valuation.fit is not None:
        checks += [_transport(valuation), _spread(settings, len(dataset.train.X))]
    checks.append(_ties(valuation))
    return [{"check": name, "level": "ok" if good else "look", "text": text} for name, good, text in checks]


Check = tuple[str, bool, str]


def _loss(valuation: Valuation) -> Check:
    losses = [epoch.loss for epoch in valuation.history]
    first, last = losses[0], losses[-1]
    text = f"The loss went from {format_number(first)} to {format_number(last)} in {pluralize(len(losses), 'epoch')}."
    if valuation.fit is not None and valuation.fit.stopped:
        return "training", False, f"{text} Time was up before the last epoch: ranks are not settled."
    if len(losses) == 1 or last < first:
        return "training", True, text
    return "training", False, f"{text} It did not fall: lower learning_rate, or train longer."


def _validation(dataset: Dataset) -> Check:
    rows = len(dataset.val.X)
    whence = "held out from the training table" if dataset.held_out is not None else "given"
    text = f"{pluralize(rows, 'validation row')}, {whence}."
    if rows >= FEW_VALIDATION_ROWS:
        return "validation", True, text
    return "validation", False, f"{text} That is few: what they say of the features is uncertain."


def _repeats(dataset: Dataset, keys: Keys) -> Check | None:
    """Where most rows of a table are the same few: they are counted, and weigh, as often as they occur."""
    tables = [("training", keys)]
    if dataset.held_out is None:
        tables.append(("validation", keys_of(dataset, dataset.val.table)))
    told = []
    for what, own in tables:
        different = len(np.unique(own))
        if different < MANY_REPEATS * len(own):
            told.append(f"{len(own):,} {what} rows are {pluralize(different, 'different row')}, repeated")
    return ("repeats", False, f"{' and '.join(told)}. Each counts as often as it occurs.") if told else None


def _transport(valuation: Valuation) -> Check:
    assert valuation.fit is not None
    potentials = valuation.fit.potentials
    error = format_percent(potentials.marginal_error)
    anchors = valuation.fit.anchors
    if anchors is not None and anchors["error"] > ROUGH:
        used, of, off = f"{anchors['used']:,}", f"{anchors['of']:,}", format_percent(anchors["error"])
        return (
            "transport",
            False,
            f"The transport knows {used} of {of} validation rows and is off {off} for it: raise max_anchors.",
        )
    if potentials.converged:
        return "transport", True, f"The transport has converged (marginal error {error})."
    return "transport", False, f"The transport has not converged (marginal error {error}): raise blur."


def _spread(settings: Settings, rows: int) -> Check:
    members, folds = settings.ensemble_size(rows)
    judges = members // folds if folds > 1 else members
    if judges > 1:
        return "members", True, f"Each row was judged by {judges} networks that did not train on it."
    return "members", False, "Each row was judged by one network: importance_std is not known; raise members."


def _ties(valuation: Valuation) -> Check:
    counts = np.unique(valuation.importance, return_counts=True)[1]
    tied = int(counts[counts > 1].sum())
    text = f"{pluralize(tied, 'row')} of equal importance." if tied else "All importances differ."
    if tied <= MANY_TIES * len(valuation.importance):
        return "ties", True, text
    return "ties", False, f"{text} They are ranked in the order of the file."
