"""The table of contents: from two tables to a result."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from lossval_cli.errors import UsageError
from lossval_cli.features.dataset import Dataset, Source, Split, load_dataset
from lossval_cli.features.storage_plan import StoragePlan
from lossval_cli.features.table_options import TableOptions
from lossval_cli.lossval.fit import Valuation, fit_with_retries, value_rows
from lossval_cli.lossval.state import Epoch
from lossval_cli.lossval.time_estimate import LARGE, TimeEstimate, estimate_time
from lossval_cli.noise.label_errors import with_thresholds
from lossval_cli.noise.thresholds import Thresholds
from lossval_cli.ranking import rank_rows
from lossval_cli.removal.study import RemovalStudy, study_removal
from lossval_cli.report.build import build_report
from lossval_cli.runtime.atomic_write import scratch_directory
from lossval_cli.runtime.checkpoint import CheckpointFile
from lossval_cli.runtime.device import pick_device
from lossval_cli.runtime.distributed import SINGLE_PROCESS, ProcessGroup
from lossval_cli.runtime.resources import Resources
from lossval_cli.runtime.stop import TrainingMonitor
from lossval_cli.settings import Settings
from lossval_cli.version import __version__

CHECKPOINT_VERSION = 2
"""Raised when a checkpoint holds other things than before."""


@dataclass(frozen=True)
class Result:
    """What a run found. `table` and `report` are what the files of a run directory hold."""

    table: pa.Table
    """One line per training row, lowest importance first."""
    report: dict[str, Any]
    """The content of report.json."""
    dataset: Dataset
    valuation: Valuation
    removal: RemovalStudy | None
    settings: Settings

    @property
    def is_complete(self) -> bool:
        """Whether training came to its last epoch."""
        return self.valuation.fit is None or not self.valuation.fit.stopped

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
    resources = resources or Resources()
    deadline = time.monotonic() + resources.time_limit
    clock = Clock(on_stage)
    device = pick_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    with ExitStack() as scratch:
        with clock("read"):
            storage = _room(resources, settings, scratch, processes)
            tables = (train, val, test if processes.is_main else None)
            dataset = load_dataset(*tables, options=options, settings=settings, storage=storage)
            monitor = _watch(dataset, settings, resources, deadline)
            if not processes.is_main:
                fit_with_retries(dataset, settings, device, monitor=monitor)
                return None
            if thresholds is not None:
                dataset = replace(dataset, notices=dataset.notices + thresholds.notices(dataset, settings))
            if on_dataset is not None:
                on_dataset(dataset)
        if on_estimate is not None and dataset.train.table.rows >= LARGE:
            on_estimate(estimate_time(dataset, settings, device))
        with clock("train"):
            valuation = value_rows(dataset, settings, device, on_epoch, monitor=monitor)
        if thresholds is not None and valuation.noise is not None:
            noise = with_thresholds(valuation.noise, thresholds.label, thresholds.features)
            valuation = replace(valuation, noise=noise)
        study = None
        if removal != "off" and time.monotonic() < deadline:
            with clock("removal"):
                study = study_removal(dataset, valuation, settings, device, removal)
        with clock("report"):
            table = rank_rows(dataset, valuation)
            report = build_report(dataset, valuation, study, table, settings, device)
    report["thresholds"] = None if thresholds is None else thresholds.to_dict()
    report["timing"] = clock.seconds
    return Result(table, report, dataset, valuation, study, settings)


def _room(resources: Resources, settings: Settings, scratch: ExitStack, processes: ProcessGroup) -> StoragePlan:
    """Encoded rows go to a directory that lasts as long as `scratch`, made when it is needed."""
    if settings.method == "paper" and not processes.is_single:
        raise UsageError("method paper runs in one process: start it without torchrun")
    beside = resources.scratch
    if beside is None or settings.method == "paper":  # which knows arrays only
        return StoragePlan(resources.memory, processes=processes)
    make = cache(lambda: scratch.enter_context(scratch_directory(beside)))
    return StoragePlan(resources.memory, make, processes)


def _watch(dataset: Dataset, settings: Settings, resources: Resources, deadline: float) -> TrainingMonitor:
    """A checkpoint has to agree with the run in anything that changes what is found."""
    if resources.checkpoint is None:
        return TrainingMonitor(deadline=deadline)
    tables = {"train": dataset.train, "val": dataset.val}
    roles = dataset.roles
    harmless = ("device", "threads", "metric")
    identity = {
        "versions": {"lossval": __version__, "checkpoint": CHECKPOINT_VERSION},
        "settings": {name: value for name, value in settings.as_dict().items() if name not in harmless},
        "tables": {f"the {name} table": _digest(part) for name, part in tables.items()},
        "roles": {"label": roles.label, "features": list(roles.features), "task": roles.task},
        "order": {"the rows of a chunk": dataset.storage.chunk_rows},
    }
    checkpoint = CheckpointFile(resources.checkpoint, identity)
    return TrainingMonitor(checkpoint, every=resources.checkpoint_every, resume=resources.resume, deadline=deadline)


def _digest(part: Split) -> str:
    """Of the bytes of a table's files, or of what became of a DataFrame."""
    if part.table.sha256 is not None:
        return part.table.sha256
    total = hashlib.sha256(np.ascontiguousarray(part.X[:]).data)
    total.update(b"" if part.y is None else np.ascontiguousarray(part.y).data)
    return total.hexdigest()


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
