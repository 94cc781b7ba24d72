"""How long training will take, reported before it starts: a few steps of its own size are timed."""

from __future__ import annotations

import math
import statistics
import time
from typing import NamedTuple

import torch

from lossval_cli.features.dataset import Dataset
from lossval_cli.lossval.network import Ensemble
from lossval_cli.lossval.optimizer import AdamW
from lossval_cli.runtime.memory import amount
from lossval_cli.settings import Settings
from lossval_cli.text.format import format_duration, pluralize

LARGE = 100_000
"""Rows from which an estimate is reported."""

TIMED_STEPS = 5

OVERHEAD = 1.3
"""Steps are timed; outliers, transport and the totals between steps take about a third more."""


class TimeEstimate(NamedTuple):
    """Time and memory of one run on this machine."""

    rows: int
    seconds: float
    """Seconds of training, without reading before it and without removal study and report after it."""
    peak_bytes: int | None

    def text(self) -> str:
        """Return the estimate as one line."""
        memory = "" if self.peak_bytes is None else f" and up to {amount(self.peak_bytes)} of memory"
        return f"estimate: {pluralize(self.rows, 'row')} take about {format_duration(self.seconds)} to train{memory}"


def estimate_time(dataset: Dataset, settings: Settings, device: torch.device) -> TimeEstimate:
    """Time TIMED_STEPS steps on rows of zeros."""
    rows, processes = dataset.train.table.rows, dataset.layout.processes
    members, _ = settings.ensemble_size(rows)
    epochs, batch, *_ = settings.schedule(rows)
    shared = 1 if settings.dropout else processes.world_size  # with dropout every process trains all networks
    network = Ensemble(
        math.ceil(members / shared),
        dataset.encoder.width,
        dataset.classes or 1,
        settings,
        generator=torch.Generator().manual_seed(0),
        device=device,
    )
    optimizer = AdamW(network.parameters(), weight_decay=settings.weight_decay)
    X = torch.zeros(batch, dataset.encoder.width, device=device)
    seconds = []
    for _ in range(TIMED_STEPS):
        start = time.perf_counter()
        torch.autograd.backward(network(X, training=True).square().mean())
        optimizer.step(settings.learning_rate)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    steps = epochs * math.ceil(rows / batch)
    return TimeEstimate(rows, OVERHEAD * steps * statistics.median(seconds), dataset.layout.peak_bytes)
