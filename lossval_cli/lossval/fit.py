"""Dataset -> Fit, by the method of the settings, with retries if training diverges or runs out of memory.

Training is repeated with a tenth of the step size where it diverges or ends with nearly all weight on a few
rows, and with fewer rows on the device where its memory is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from lossval_cli.errors import Diverged, TrainingError, UsageError
from lossval_cli.features.dataset import Dataset
from lossval_cli.features.tags import TagLabels
from lossval_cli.lossval.own_networks import MakeModule
from lossval_cli.lossval.paper import PaperEpoch, PaperSettings, fit_paper
from lossval_cli.lossval.setup import TrainingData
from lossval_cli.lossval.state import Epoch
from lossval_cli.lossval.training import Fit, train_lossval
from lossval_cli.runtime.context import Runtime
from lossval_cli.settings import Settings
from lossval_cli.text.format import pluralize

Floats = npt.NDArray[np.float64]
OnEpoch = Callable[[Epoch], None]

MAX_RESTARTS = 2
"""Times that training is repeated with smaller steps; if that does not help, the settings are to blame."""

DIVERGED = "training diverged: the loss was not finite"
"""A reason to repeat training."""

MIN_EFFECTIVE_SHARE = 0.02
"""Share of the rows that weights have to be spread over; sound runs keep more than half."""

MIN_ROWS_ON_DEVICE = 1 << 12
"""No device is too small for a table read in blocks of so few rows: the networks need more."""


def train(
    dataset: Dataset,
    penalty: Floats | None,
    settings: Settings,
    runtime: Runtime,
    on_epoch: OnEpoch | None = None,
    *,
    make_module: MakeModule | None = None,
) -> Fit:
    """Learn the importance of every training row, with the method's networks or those of `make_module`.

    penalty (N,): outlier penalty in nats; None for the paper's algorithm, which
    has none. Raises TrainingError where training diverges, and UsageError where the paper's algorithm is to
    be saved, cut short or shared by several processes.
    """
    if settings.method == "paper":
        fit = _train_paper(dataset, settings, runtime, on_epoch)
    else:
        assert penalty is not None
        with runtime.monitor:
            fit = fit_with_retries(dataset, penalty, settings, runtime, on_epoch, make_module=make_module)
    if runtime.is_main and not np.isfinite(fit.importance).all():
        raise TrainingError("some importances are not finite: lower learning_rate or weight_learning_rate")
    return fit


def fit_with_retries(
    dataset: Dataset,
    penalty: Floats,
    settings: Settings,
    runtime: Runtime,
    on_epoch: OnEpoch | None,
    *,
    make_module: MakeModule | None,
) -> Fit:
    """Run `train_lossval`, repeated with smaller steps where that helps; the notices of the fit say so.

    Raises Diverged when it does not help, and TrainingError when there is no time left to repeat it.
    """
    monitor, processes = runtime.monitor, dataset.layout.processes
    monitor.load_restarts()
    warnings: list[str] = []
    while True:
        reduced, notices = reduce_learning_rates(settings, monitor.restarts)
        is_last = len(monitor.restarts) == MAX_RESTARTS
        try:
            fit = _fit_in_memory(training_data(dataset, penalty, make_module), dataset, reduced, runtime, on_epoch)
        except Diverged as error:
            if is_last:
                raise
            if not _has_time(runtime, dataset):
                raise TrainingError(str(error)) from error
            reason = DIVERGED
        else:
            if not processes.all_gather_object(processes.is_main and _has_collapsed(fit.importance))[0]:
                break
            reason = f"weights collapsed onto a few of {pluralize(len(dataset.train.X), 'row')}"
            if is_last or fit.stopped:
                warnings.append(f"{reason}: lower weight_learning_rate (now {reduced.weight_learning_rate:g})")
                break
            del fit  # before there is another
        monitor.restarts += (reason,)
    if fit.stopped:
        done, planned = len(fit.history), fit.history[-1].epochs
        warnings.append(
            f"the time limit ended training after epoch {done} of {planned}: the scores are less reliable than those "
            "of a complete run"
        )
    return replace(fit, notices=(*notices, *warnings, *fit.notices), warnings=tuple(warnings))


def reduce_learning_rates(settings: Settings, reasons: Sequence[str]) -> tuple[Settings, tuple[str, ...]]:
    """Settings of the training that is repeated for the last of these reasons, and a notice for each."""
    notices = []
    for reason in reasons:
        if reason == DIVERGED:
            settings = replace(settings, learning_rate=settings.learning_rate / 10)
        settings = replace(settings, weight_learning_rate=settings.weight_learning_rate / 10)
        notices.append(
            f"{reason}; repeated with learning_rate {settings.learning_rate:g} and "
            f"weight_learning_rate {settings.weight_learning_rate:g}"
        )
    return settings, tuple(notices)


def _fit_in_memory(
    data: TrainingData, dataset: Dataset, settings: Settings, runtime: Runtime, on_epoch: OnEpoch | None
) -> Fit:
    """Run `train_lossval`, repeated with a quarter of the rows on the device while its memory is not enough."""
    runtime = replace(runtime, processes=dataset.layout.processes)
    notices: list[str] = []
    while True:
        try:
            fit = train_lossval(data, dataset.loss, settings, runtime, on_epoch, on_device=not notices)
            return replace(fit, notices=tuple(notices))
        except torch.OutOfMemoryError as error:
            rows = min(data.chunk_rows, len(data.X))
            if rows <= MIN_ROWS_ON_DEVICE or runtime.processes.world_size > 1:  # others wait
                raise TrainingError(
                    f"out of memory on the device with {pluralize(rows, 'row')} at once: "
                    "lower batch_size, members or hidden, or use --device cpu"
                ) from error
        data = data._replace(chunk_rows=max(MIN_ROWS_ON_DEVICE, rows // 4))
        notices.append(
            f"out of memory on {runtime.device}: repeated with rows read in blocks of "
            f"{min(data.chunk_rows, len(data.X)):,}"
        )
        torch.cuda.empty_cache()
        runtime.monitor.resume = True


def training_data(dataset: Dataset, penalty: Floats, make_module: MakeModule | None = None) -> TrainingData:
    """The parts of a dataset that training needs; penalty (N,)."""
    y = dataset.train.y
    assert y is not None  # load_dataset sees to it that the training table has a label
    return TrainingData(
        dataset.train.X,
        dataset.labels.matrix(y.astype(np.int64)) if isinstance(dataset.labels, TagLabels) else y,
        dataset.val.X[:],
        len(dataset.encoder.blocks),
        dataset.outputs,
        penalty,
        held_out=dataset.held_out,
        weights=dataset.weights,
        groups=dataset.fold_units,
        time=dataset.time_order,
        chunk_rows=dataset.layout.chunk_rows,
        make_module=make_module,
    )


def _has_time(runtime: Runtime, dataset: Dataset) -> bool:
    """Return True if all processes have time left."""
    return all(dataset.layout.processes.all_gather_object(runtime.has_time))


def _has_collapsed(importance: Floats) -> bool:
    """Return True if a few rows hold nearly all weight, or some none at all: their order then says little.

    (Σw)²/Σw² is the number of rows of equal weight that would count for as much (Kish, 1965).
    """
    effective = float(importance.sum()) ** 2 / float(np.square(importance).sum())
    return bool(effective < MIN_EFFECTIVE_SHARE * len(importance) or (importance <= 0).any())


def _train_paper(dataset: Dataset, settings: Settings, runtime: Runtime, on_epoch: OnEpoch | None) -> Fit:
    if runtime.monitor.is_needed:
        raise UsageError(
            "method paper has neither checkpoints nor a time limit: leave out --checkpoint-every, --resume and "
            "--time-limit"
        )
    if dataset.weights is not None:
        raise UsageError("method paper has no sample weights: leave out --weight")
    y = dataset.train.y
    assert y is not None
    paper = PaperSettings.of(settings)

    def report(epoch: PaperEpoch) -> None:
        if on_epoch is not None:
            on_epoch(_as_epoch(epoch, paper.epochs))

    fit = fit_paper(
        dataset.train.X[:],
        y,
        dataset.val.X[:],
        paper,
        classes=dataset.classes,
        generator=torch.Generator().manual_seed(settings.seed),
        # The published losses are the method's own; a loss the user names replaces them.
        loss=dataset.loss if settings.loss else None,
        device=runtime.device,
        on_epoch=report,
    )
    unknown = np.full(len(y), np.nan)
    return Fit(
        importance=fit.weights.double().numpy(),
        importance_std=unknown,
        label_evidence=unknown,
        feature_evidence=unknown,
        predictions=fit.predictions.double().numpy(),
        history=tuple(_as_epoch(epoch, paper.epochs) for epoch in fit.history),
    )


def _as_epoch(epoch: PaperEpoch, epochs: int) -> Epoch:
    transport = float("nan") if epoch.transport is None else epoch.transport
    return Epoch(epoch.epoch, epochs, epoch.loss, transport)
