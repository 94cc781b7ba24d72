"""Runs on the table as it is, and on copies of it with planted noise.

The user's table may hold real errors, of which nothing is known. Rows that are suspect in the table as it is are
therefore left out: nothing is planted in them, and they count neither as hits nor as false flags. All other rows are
taken to be right. Errors that the first run missed make the measured precision too low; right rows that are left out
with the errors make it too high. Each precision therefore comes with a lower bound, which counts every flag on a row
that was left out as false.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.calibration.planting import plant_noise
from lossval_cli.errors import UsageError
from lossval_cli.features.dataset import Dataset, load_dataset
from lossval_cli.features.read_tables import Source
from lossval_cli.features.table_options import TableOptions
from lossval_cli.features.tags import TagLabels
from lossval_cli.lossval.state import Epoch
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.pipeline import value_rows
from lossval_cli.settings import Settings

Bools = npt.NDArray[np.bool_]
OnEpoch = Callable[[Epoch], None]


class Trial(NamedTuple):
    """One run on a table with planted noise; arrays are (N,)."""

    rate: float
    repeat: int
    label: Bools  # rows whose label was changed
    features: Bools  # rows whose features were changed
    noise: NoiseEstimate


@dataclass(frozen=True)
class Baseline:
    """The run on the table as it is."""

    dataset: Dataset
    options: TableOptions
    settings: Settings
    noise: NoiseEstimate
    seconds: float

    @property
    def eligible(self) -> Bools:
        """(N,) rows that are not suspect: noise is planted in them alone, and they alone are counted."""
        return ~(self.noise.label_suspect | self.noise.feature_suspect)


def run_baseline(
    train: Source,
    val: Source | None,
    *,
    options: TableOptions,
    settings: Settings,
    on_dataset: Callable[[Dataset], None],
    on_epoch: OnEpoch | None = None,
) -> Baseline:
    """Read and score the table as it is. Raises LossvalError, one line; UsageError for a preset that
    estimates no noise."""
    if settings.method == "paper":
        raise UsageError("preset paper only ranks rows and flags none: calibrate another preset")
    dataset = load_dataset(train, val, options=options, settings=settings)
    if isinstance(dataset.labels, TagLabels):
        raise UsageError("calibrate plants one wrong label a row, and rows have several tags: it cannot measure them")
    on_dataset(dataset)
    start = time.perf_counter()
    noise = _noise(dataset, settings, on_epoch)
    return Baseline(dataset, options, settings, noise, time.perf_counter() - start)


def run_trial(baseline: Baseline, rate: float, repeat: int, on_epoch: OnEpoch | None = None) -> Trial:
    """Plant noise at `rate` of each kind in the training table and score it as `score` would.

    Roles and task are those of the table as it is. What is planted depends on seed, rate and repeat alone.
    """
    dataset = baseline.dataset
    rng = np.random.default_rng([baseline.settings.seed, round(rate * 1_000_000), repeat])
    planted = plant_noise(dataset, rate, baseline.eligible, rng)
    settings = replace(baseline.settings, task=dataset.roles.task)
    noisy = load_dataset(
        planted.table,
        None if dataset.held_out is not None else dataset.val.table,
        options=replace(
            baseline.options, label=dataset.roles.label, ids=dataset.roles.ids, exclude=dataset.roles.excluded
        ),
        settings=settings,
    )
    return Trial(rate, repeat, planted.label, planted.features, _noise(noisy, settings, on_epoch))


def _noise(dataset: Dataset, settings: Settings, on_epoch: OnEpoch | None) -> NoiseEstimate:
    _, noise = value_rows(dataset, settings, on_epoch=on_epoch)
    assert noise is not None  # the lossval method estimates noise
    return noise
