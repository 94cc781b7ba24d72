"""Whether the run itself can be trusted: checks that are reported whatever they say."""

from __future__ import annotations

import numpy as np

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.row_keys import Keys
from lossval_cli.lossval.training import Fit
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


def check_health(dataset: Dataset, fit: Fit, settings: Settings, keys: Keys) -> list[dict[str, str]]:
    """One record a check: `check`, `level` (ok or look) and `text`. `keys` (N,) of the training rows."""
    checks = [_loss(fit), _validation(dataset)]
    if repeats := _repeats(dataset, keys):
        checks.append(repeats)
    if fit.potentials is not None:
        checks += [_transport(fit), _spread(settings, len(dataset.train.X))]
    checks.append(_ties(fit))
    return [{"check": name, "level": "ok" if good else "look", "text": text} for name, good, text in checks]


Check = tuple[str, bool, str]


def _loss(fit: Fit) -> Check:
    losses = [epoch.loss for epoch in fit.history]
    first, last = losses[0], losses[-1]
    text = f"The loss went from {format_number(first)} to {format_number(last)} in {pluralize(len(losses), 'epoch')}."
    if fit.stopped:
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


def _transport(fit: Fit) -> Check:
    potentials = fit.potentials
    assert potentials is not None
    error = format_percent(potentials.marginal_error)
    sample = fit.transport_sample
    if sample is not None and sample["error"] > ROUGH:
        used, of, off = f"{sample['used']:,}", f"{sample['of']:,}", format_percent(sample["error"])
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


def _ties(fit: Fit) -> Check:
    counts = np.unique(fit.importance, return_counts=True)[1]
    tied = int(counts[counts > 1].sum())
    text = f"{pluralize(tied, 'row')} of equal importance." if tied else "All importances differ."
    if tied <= MANY_TIES * len(fit.importance):
        return "ties", True, text
    return "ties", False, f"{text} They are ranked in the order of the file."
