"""Inputs -> what is known about every training row, by whichever method the settings name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lossval_cli.errors import Diverged, TrainingError, UsageError
from lossval_cli.features.dataset import Dataset
from lossval_cli.lossval.paper import PaperEpoch, fit_paper
from lossval_cli.lossval.state import Epoch
from lossval_cli.lossval.training import Fit, TrainingData, fit_lossval
from lossval_cli.noise.label_errors import NoiseEstimate, estimate_noise
from lossval_cli.runtime.stop import TrainingMonitor
from lossval_cli.settings import Settings
from lossval_cli.text.format import pluralize

Floats = npt.NDArray[np.float64]

MOST_REPEATS = 2
"""Times that training is repeated with smaller steps; beyond, the settings are to blame."""

DIVERGED = "training diverged: the loss was not finite"
"""Why training is begun anew."""

FEWEST_EFFECTIVE = 0.02
"""Share of the rows that weights have to be spread over; sound runs keep more than half."""


@dataclass(frozen=True)
class Valuation:
    """Per training row, (N,) each; NaN where the method does not know."""

    importance: Floats
    importance_std: Floats
    label_evidence: Floats
    feature_evidence: Floats
    predictions: Floats
    """(N, K) probabilities, or (N,) in the unit the loss works in."""
    noise: NoiseEstimate | None
    """None for the published algorithm, which has importances only."""
    history: tuple[Epoch, ...]
    fit: Fit | None
    """What the lossval method knows besides; None for the published algorithm."""
    notices: tuple[str, ...] = ()
    """What came of training that a reader has to know."""


def value_rows(
    dataset: Dataset,
    settings: Settings,
    device: torch.device,
    on_epoch: Callable[[Epoch], None] | None = None,
    *,
    monitor: TrainingMonitor | None = None,
) -> Valuation:
    """Train and judge every training row. Raises TrainingError when training diverges and UsageError where
    the published algorithm is to be saved or cut short (`watch`), which it knows nothing of."""
    if settings.method == "paper":
        if monitor is not None and monitor.is_needed:
            raise UsageError(
                "method paper can be neither saved nor cut short: leave out --checkpoint-every, --resume "
                "and --time-limit"
            )
        valuation = _value_paper(dataset, settings, device, on_epoch)
    else:
        valuation = _value_lossval(dataset, settings, device, on_epoch, monitor)
    if not np.isfinite(valuation.importance).all():
        raise TrainingError("some importances are not finite: lower learning_rate or weight_learning_rate")
    return valuation


def fit_with_retries(
    dataset: Dataset,
    settings: Settings,
    device: torch.device,
    on_epoch: Callable[[Epoch], None] | None = None,
    monitor: TrainingMonitor | None = None,
) -> tuple[Fit, tuple[str, ...]]:
    """Train on this process's rows, together with the others of its team; where that diverges, or ends with
    nearly all weight on a few rows, again with a tenth of the steps. Also what a reader has to know of that.

    Raises Diverged when that does not help either.
    """
    monitor, processes = monitor or TrainingMonitor(), dataset.storage.processes
    monitor.find()
    while True:
        steps, notices = _reduce_learning_rates(settings, monitor.restarts)
        is_last = len(monitor.restarts) == MOST_REPEATS
        try:
            fit = _fit(dataset, steps, device, on_epoch, monitor)
            # The first process alone knows all weights.
            collapsed = b"yes" if processes.is_main and _has_collapsed(_importance(fit)) else b""
            if not processes.share(collapsed)[0]:
                return fit, notices
            what = f"the weight of {pluralize(len(dataset.train.X), 'row')} came to lie on a few of them"
            if is_last or fit.stopped:
                rate = steps.weight_learning_rate
                return fit, (*notices, f"{what}: lower weight_learning_rate (now {rate:g})")
            del fit  # before there is another
        except Diverged:
            if is_last:
                raise
            what = DIVERGED
        monitor.restarts += (what,)


def _reduce_learning_rates(settings: Settings, whys: Sequence[str]) -> tuple[Settings, tuple[str, ...]]:
    """Settings of the training that is begun anew for the last of these reasons, and a notice for each."""
    notices = []
    for why in whys:
        if why == DIVERGED:
            settings = replace(settings, learning_rate=settings.learning_rate / 10)
        settings = replace(settings, weight_learning_rate=settings.weight_learning_rate / 10)
        notices.append(
            f"{why}; repeated with learning_rate {settings.learning_rate:g} and "
            f"weight_learning_rate {settings.weight_learning_rate:g}"
        )
    return settings, tuple(notices)


def _fit(
    dataset: Dataset,
    settings: Settings,
    device: torch.device,
    on_epoch: Callable[[Epoch], None] | None,
    monitor: TrainingMonitor,
) -> Fit:
    y = dataset.train.y
    assert y is not None  # the training table has a label: prepare() sees to it
    training_data = TrainingData(
        dataset.train.X,
        y,
        dataset.val.X[:],
        dataset.encoder.blocks,
        dataset.classes,
        dataset.held_out,
        dataset.storage.chunk_rows,
    )
    return fit_lossval(
        training_data,
        dataset.loss,
        settings,
        device,
        on_epoch,
        monitor=monitor,
        processes=dataset.storage.processes,
    )


def _importance(fit: Fit) -> Floats:
    importance: Floats = np.exp(fit.label_evidence + fit.feature_evidence)
    return importance


def _has_collapsed(importance: Floats) -> bool:
    """Whether a few rows hold nearly all weight, or some none at all: their order then says little.

    (Σw)²/Σw² is the number of rows of equal weight that would count for as much (Kish, 1965).
    """
    effective = float(importance.sum()) ** 2 / float(np.square(importance).sum())
    return bool(effective < FEWEST_EFFECTIVE * len(importance) or (importance <= 0).any())


def _value_lossval(
    dataset: Dataset, settings: Settings, device: torch.device, on_epoch: Any, monitor: TrainingMonitor | None
) -> Valuation:
    y = dataset.train.y
    assert y is not None
    fit, notices = fit_with_retries(dataset, settings, device, on_epoch, monitor)
    importance = _importance(fit)
    return Valuation(
        importance,
        importance * fit.spread,  # d exp(e) = exp(e) de
        fit.label_evidence,
        fit.feature_evidence,
        fit.predictions,
        estimate_noise(fit.predictions, y, dataset.classes, fit.outlier_estimate),
        fit.history,
        fit,
        (*notices, *_notices(fit, settings)),
    )


def _notices(fit: Fit, settings: Settings) -> tuple[str, ...]:
    if not fit.stopped:
        return fit.notices
    return (
        *fit.notices,
        f"time was up in epoch {len(fit.history)} of {settings.epochs}: scores are of what had been learnt "
        "by then, and less settled than those of a whole run",
    )


def _value_paper(dataset: Dataset, settings: Settings, device: torch.device, on_epoch: Any) -> Valuation:
    y = dataset.train.y
    assert y is not None

    def report(epoch: PaperEpoch) -> None:
        if on_epoch is not None:
            on_epoch(_as_epoch(epoch, settings.epochs))

    fit = fit_paper(
        dataset.train.X[:],
        y,
        dataset.val.X[:],
        classes=dataset.classes,
        generator=torch.Generator().manual_seed(settings.seed),
        epochs=settings.epochs,
        batch_size=settings.batch_size or 32,
        learning_rate=settings.learning_rate,
        layers=settings.layers,
        hidden=settings.hidden,
        activation=settings.activation,
        # The published losses are the method's own; a loss the user names replaces them.
        loss=dataset.loss if settings.loss else None,
        objective=settings.objective,  # type: ignore[arg-type]  # one of the four: Settings has checked it
        ot_power=settings.ot_power,
        absolute=settings.ot_absolute,
        device=device,
        on_epoch=report,
    )
    unknown = np.full(len(y), np.nan)
    return Valuation(
        fit.weights.double().numpy(),
        unknown,
        unknown,
        unknown,
        fit.predictions.double().numpy(),
        None,
        tuple(_as_epoch(epoch, settings.epochs) for epoch in fit.history),
        None,
    )


def _as_epoch(epoch: PaperEpoch, epochs: int) -> Epoch:
    transport = float("nan") if epoch.transport is None else epoch.transport
    return Epoch(epoch.epoch, epochs, epoch.loss, transport)
