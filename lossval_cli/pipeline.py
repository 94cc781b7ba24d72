"""The table of contents: from two tables to a result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pyarrow as pa

from lossval_cli.errors import UsageError
from lossval_cli.features.dataset import Dataset, Source, load_dataset
from lossval_cli.features.storage_plan import StoragePlan
from lossval_cli.features.table_options import TableOptions
from lossval_cli.lossval.fit import train as train_importance
from lossval_cli.lossval.resume import run_identity
from lossval_cli.lossval.state import Epoch
from lossval_cli.lossval.time_estimate import LARGE, TimeEstimate, estimate_time
from lossval_cli.lossval.training import Fit
from lossval_cli.noise.estimate import estimate_noise, estimate_outliers
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.noise.thresholds import Thresholds
from lossval_cli.ranking import rank_rows
from lossval_cli.removal.study import RemovalStudy, study_removal
from lossval_cli.report.build import build_report
from lossval_cli.runtime.context import Runtime, open_runtime
from lossval_cli.runtime.device import pick_device
from lossval_cli.runtime.distributed import SINGLE_PROCESS, ProcessGroup
from lossval_cli.runtime.resources import Resources
from lossval_cli.settings import Settings


@dataclass(frozen=True)
class Result:
    """What a run found. `table` and `report` are what the files of a run directory hold."""

    table: pa.Table
    """One line per training row, lowest importance first."""
    report: dict[str, Any]
    """The content of report.json."""
    dataset: Dataset
    fit: Fit
    noise: NoiseEstimate | None
    """None for the paper's algorithm, which only ranks rows."""
    removal: RemovalStudy | None
    settings: Settings

    @property
    def is_complete(self) -> bool:
        """Whether training reached its last epoch."""
        return not self.fit.stopped

    @property
    def scores(self) -> pd.DataFrame:
        """`table` as a DataFrame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame


def run(
    train: Source,
    val: Source | None = None,
    test: Source | None = None,
    *,
    options: TableOptions | None = None,
    settings: Settings,
    thresholds: Thresholds | None = None,
    removal: str = "full",
    on_dataset: Callable[[Dataset], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_estimate: Callable[[TimeEstimate], None] | None = None,
    resources: Resources | None = None,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> Result | None:
    """Read, train, judge, study removal, report. `removal` is full, quick or off; `thresholds` decide which
    rows are suspect, without them the method does.

    `on_inputs` is shown what was read and decided before training starts (and may refuse it), `on_estimate`
    what a large table will take, `on_epoch` how training goes, and `on_stage` is told as each of read,
    train, removal and report begins.
    `resources` bound what it takes. `team`: of which this is a process. Only the first one returns what was
    found; all others train on rows of their own, show nothing and return None.
    Raises LossvalError, one line each; writes nothing but a checkpoint.
    """
    if thresholds is not None and settings.method == "paper":
        raise UsageError("thresholds: the published algorithm only ranks rows and flags none: use another preset")
    clock = Clock(on_stage)
    with open_runtime(settings, resources, processes) as runtime:
        with clock("read"):
            storage = _storage(runtime, settings)
            tables = (train, val, test if processes.is_main else None)
            dataset = load_dataset(*tables, options=options, settings=settings, storage=storage)
            runtime.open_checkpoint(run_identity(dataset, settings))
            if thresholds is not None:
                dataset = replace(dataset, notices=dataset.notices + thresholds.notices(dataset, settings))
            if processes.is_main and on_dataset is not None:
                on_dataset(dataset)
        if processes.is_main and on_estimate is not None and dataset.train.table.rows >= LARGE:
            on_estimate(estimate_time(dataset, settings, runtime.device))
        with clock("train"):
            fit, noise = value_rows(dataset, settings, runtime, thresholds=thresholds, on_epoch=on_epoch)
        if not processes.is_main:
            return None
        study = None
        if removal != "off" and runtime.has_time:
            with clock("removal"):
                study = study_removal(dataset, fit, noise, settings, runtime.device, removal)
        with clock("report"):
            table = rank_rows(dataset, fit, noise)
            report = build_report(dataset, fit, noise, study, table, settings, runtime.device)
    report["thresholds"] = None if thresholds is None else thresholds.to_dict()
    report["timing"] = clock.seconds
    return Result(table, report, dataset, fit, noise, study, settings)


def value_rows(
    dataset: Dataset,
    settings: Settings,
    runtime: Runtime | None = None,
    *,
    thresholds: Thresholds | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> tuple[Fit, NoiseEstimate | None]:
    """Outliers, training, noise: what is known about every training row.

    The noise is None for the paper's algorithm, which only ranks rows, and on all processes but the main one.
    """
    runtime = runtime or Runtime(pick_device(settings.device))
    if settings.method == "paper":
        return train_importance(dataset, None, settings, runtime, on_epoch), None
    outliers = estimate_outliers(dataset, settings)
    fit = train_importance(dataset, outliers.penalty, settings, runtime, on_epoch if runtime.is_main else None)
    outliers = outliers.gathered(dataset.storage.processes, len(dataset.train.X))
    if not runtime.is_main:
        return fit, None
    return fit, estimate_noise(dataset, fit.predictions, outliers, thresholds)


def _storage(runtime: Runtime, settings: Settings) -> StoragePlan:
    """Where encoded rows go; the paper's algorithm knows arrays only."""
    if settings.method != "paper":
        return StoragePlan(runtime.resources.memory, runtime.scratch, runtime.processes)
    if runtime.processes.world_size > 1:
        raise UsageError("method paper runs in one process: start it without torchrun")
    return StoragePlan(runtime.resources.memory)


class Clock:
    """Seconds spent in each named stage."""

    def __init__(self, on_stage: Callable[[str], None] | None = None) -> None:
        self._on_stage = on_stage
        self.seconds: dict[str, float] = {}
        self._stage = ""

    def __call__(self, stage: str) -> Clock:
        """Name the stage of the next `with`."""
        self._stage = stage
        return self

    def __enter__(self) -> None:
        if self._on_stage is not None:
            self._on_stage(self._stage)
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self._stage] = round(time.perf_counter() - self._start, 3)
