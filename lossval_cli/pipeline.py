"""The table of contents: from two tables to a result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from lossval_cli.errors import UsageError
from lossval_cli.features.dataset import Dataset, load_dataset
from lossval_cli.features.read_tables import Source
from lossval_cli.features.table_options import TableOptions
from lossval_cli.features.tags import TagLabels
from lossval_cli.lossval.resume import run_identity, settings_identity
from lossval_cli.lossval.state import Epoch
from lossval_cli.lossval.time_estimate import LARGE, TimeEstimate, estimate_time
from lossval_cli.lossval.training import Fit
from lossval_cli.models.fit import check_model, fit_model, trains_networks
from lossval_cli.noise.estimate import estimate_noise, estimate_outliers
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.noise.thresholds import Thresholds
from lossval_cli.ranking import rank_rows, restore_rows
from lossval_cli.removal.study import study_removal
from lossval_cli.report.build import build_report
from lossval_cli.report.types import Report
from lossval_cli.result import Result
from lossval_cli.runs.matching import add_keys
from lossval_cli.runs.reviewed_rows import find_reviewed
from lossval_cli.runtime.context import Runtime, open_runtime
from lossval_cli.runtime.device import pick_device
from lossval_cli.runtime.distributed import SINGLE_PROCESS, ProcessGroup
from lossval_cli.runtime.resources import Resources
from lossval_cli.runtime.sharing import by_one, sharing
from lossval_cli.settings import Settings


class Tables(NamedTuple):
    """The tables that a run reads: DataFrames, or paths."""

    train: Source
    val: Source | None = None
    """None: a part of the training table is held out."""
    test: Source | None = None
    """For the removal study alone."""


def _ignore(_: object) -> None:
    """Ignore an event."""


@dataclass(frozen=True, kw_only=True)
class Callbacks:
    """Called as a run gets on."""

    stage: Callable[[str], None] = _ignore
    """`read`, `train`, `removal` and `report`, as each begins."""
    dataset: Callable[[Dataset], None] = _ignore
    """Called with the dataset before training starts; may refuse it by raising."""
    estimate: Callable[[TimeEstimate], None] = _ignore
    """Called with the estimated time of training, for large tables."""
    epoch: Callable[[Epoch], None] = _ignore


def run(
    tables: Tables,
    settings: Settings,
    *,
    options: TableOptions | None = None,
    thresholds: Thresholds | None = None,
    decisions: Path | None = None,
    removal: str = "full",
    resources: Resources | None = None,
    processes: ProcessGroup = SINGLE_PROCESS,
    callbacks: Callbacks | None = None,
) -> Result:
    """Read and encode, train, estimate noise, study removal, rank, report.

    `options` say how the tables are read; `thresholds` which rows are suspect, without them the method
    decides; `decisions` is a file of what reviewers decided about rows, which then count as trusted; `removal` is
    full, quick or off. Of several `processes` the main one alone calls `callbacks`; all return the result.
    Raises LossvalError, one line each; writes nothing but a checkpoint.
    """
    callbacks = callbacks if callbacks is not None and processes.is_main else Callbacks()
    clock, started = Clock(callbacks.stage), datetime.now(UTC)
    with open_runtime(settings, resources, processes) as runtime, sharing(processes):
        with clock.stage("read"):
            data = _load(tables, options, settings, thresholds, runtime, decisions)
            callbacks.dataset(data)
        if processes.is_main and data.train.table.rows >= LARGE and trains_networks(data, settings):
            callbacks.estimate(estimate_time(data, settings, runtime.device))
        with clock.stage("train"):
            fit, noise = value_rows(data, settings, runtime, thresholds=thresholds, on_epoch=callbacks.epoch)
        study = None
        if removal != "off" and by_one(lambda: runtime.has_time) and not isinstance(data.labels, TagLabels):
            with clock.stage("removal"):
                study = study_removal(data, fit, noise, settings, removal)
        with clock.stage("report"):
            scores = rank_rows(data, fit, noise)
            report = build_report(data, fit, noise, study, scores, settings, runtime.device)
            scores = restore_rows(scores, data)
            add_keys(report, scores, data)
    report |= {"thresholds": thresholds and thresholds.to_dict(), "timing": clock.seconds}
    return Result(scores, cast(Report, report), data, fit, noise, study, settings, source=tables.train, started=started)


def value_rows(
    dataset: Dataset,
    settings: Settings,
    runtime: Runtime | None = None,
    *,
    thresholds: Thresholds | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> tuple[Fit, NoiseEstimate | None]:
    """Find outliers, train and estimate noise: all that is known about every training row.

    The noise is None for the paper's algorithm, which only ranks rows. Every process knows the same.
    """
    runtime = runtime or Runtime(str(pick_device(settings.device)))
    if settings.method == "paper":
        return fit_model(dataset, None, settings, runtime, on_epoch), None
    outliers = estimate_outliers(dataset, settings).gathered(dataset.layout.processes, len(dataset.train.X))
    fit = fit_model(with_trusted_rows(dataset), outliers.penalty, settings, runtime, on_epoch)
    noise = estimate_noise(
        dataset,
        fit.predictions,
        outliers,
        thresholds,
        predict=fit.predict,
        expected_share=settings.expect_noise,
        seed=settings.seed,
        trees=settings.tree_factor(),
        alone=fit.model is not None,
    )
    assert noise.labels is not None
    if fit.model is not None:  # predictions of the user's own are shown as they are, not calibrated
        return fit, noise
    return replace(fit, predictions=noise.labels.predictions), noise


def with_trusted_rows(dataset: Dataset) -> Dataset:
    """The dataset whose validation rows are joined by the training rows that reviewers found right: their features
    serve the transport."""
    if dataset.reviewed is None or not dataset.reviewed.is_right.any():
        return dataset
    rows, train, val = dataset.reviewed.rows[dataset.reviewed.is_right], dataset.train, dataset.val
    if dataset.held_out is not None:
        assert train.y is not None
        rows = np.union1d(dataset.held_out, rows)
        return replace(dataset, held_out=rows, val=replace(val, X=train.X[rows], y=train.y[rows]))
    y = None if val.y is None or train.y is None else np.concatenate([val.y, train.y[rows]])
    return replace(dataset, val=replace(val, X=np.vstack([val.X[:], train.X[rows]]), y=y))


def _load(
    tables: Tables,
    options: TableOptions | None,
    settings: Settings,
    thresholds: Thresholds | None,
    runtime: Runtime,
    decisions: Path | None = None,
) -> Dataset:
    """Read and encode the tables, and open the checkpoint."""
    runtime.processes.check_agreement(settings_identity(settings))
    is_paper = settings.method == "paper"
    if is_paper and thresholds is not None:
        raise UsageError("thresholds: preset paper only ranks rows and flags none: use another preset")
    if decisions is not None and (is_paper or runtime.processes.world_size > 1):
        raise UsageError("--decisions needs another preset than paper, and one process")
    if is_paper and runtime.processes.world_size > 1:
        raise UsageError("method paper runs in one process: start it without torchrun")
    data = load_dataset(
        tables.train,
        tables.val,
        tables.test,
        options=options,
        settings=settings,
        runtime=replace(runtime, scratch=None) if is_paper else runtime,  # the paper's algorithm takes arrays only
    )
    if isinstance(data.labels, TagLabels):
        if decisions is not None:
            raise UsageError("--decisions knows one label a row, and rows have several tags: leave it out")
        data = replace(data, notices=(*data.notices, "no removal study: it knows one label a row"))
    if decisions is not None:
        reviewed, notices = find_reviewed(data, decisions)
        data = replace(data, reviewed=reviewed, notices=(*data.notices, *notices))
    check_model(data, settings, runtime)
    identity = run_identity(data, settings)
    runtime.processes.check_agreement(identity)
    runtime.open_checkpoint(identity)
    if thresholds is None:
        return data
    differences = thresholds.warnings(data, settings)
    notices = (*data.notices, thresholds.notice(), *differences)
    return replace(data, notices=notices, warnings=(*data.warnings, *differences))


class Clock:
    """Seconds spent in each named stage."""

    def __init__(self, on_stage: Callable[[str], None]) -> None:
        self._on_stage = on_stage
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens in the `with`, after `on_stage` heard of it."""
        self._on_stage(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)
