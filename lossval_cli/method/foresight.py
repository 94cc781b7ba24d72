"""What training will take, said before it begins: a few steps of its own size are timed."""

from __future__ import annotations

import math
import statistics
import time
from typing import NamedTuple

import torch

from lossval_cli.encoding.footprint import amount
from lossval_cli.encoding.inputs import Inputs
from lossval_cli.method.network import Ensemble
from lossval_cli.method.optimizer import AdamW
from lossval_cli.method.training import batch_size_for
from lossval_cli.settings import Settings
from lossval_cli.wording import counted

LARGE = 100_000
"""Rows from which on people want to know."""

TIMED_STEPS = 5

BESIDES = 1.3
"""Steps are timed; prices, transport and what is added up between them come on top."""


class Foresight(NamedTuple):
    """Of one run on one machine."""

    rows: int
    seconds: float
    """Of training; reading is over by then, removal and reporting come after it."""
    peak_bytes: int | None

    def text(self) -> str:
        """One line."""
        memory = "" if self.peak_bytes is None else f" and up to {amount(self.peak_bytes)} of memory"
        return f"estimate: {counted(self.rows, 'row')} take about {_duration(self.seconds)} to train{memory}"


def foresee(inputs: Inputs, settings: Settings, device: torch.device) -> Foresight:
    """Times TIMED_STEPS steps on rows of zeros."""
    rows, team = inputs.train.table.rows, inputs.room.team
    members, _ = settings.ensemble_size(rows)
    batch = min(rows, settings.batch_size or batch_size_for(rows))
    network = Ensemble(
        members,
        inputs.encoder.width,
        inputs.classes or 1,
        settings,
        generator=torch.Generator().manual_seed(0),
        device=device,
    )
    optimizer = AdamW(network.parameters(), weight_decay=settings.weight_decay)
    X = torch.zeros(max(1, batch // team.size), inputs.encoder.width, device=device)
    seconds = []
    for _ in range(TIMED_STEPS):
        start = time.perf_counter()
        torch.autograd.backward(network(X, training=True).square().mean())
        optimizer.step(settings.learning_rate)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    steps = settings.epochs * math.ceil(rows / batch)
    return Foresight(rows, BESIDES * steps * statistics.median(seconds), inputs.room.peak)


def _duration(seconds: float) -> str:
    for unit, size in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}" if seconds >= 10 * size else f"{seconds / size:.1f} {unit}"
    return f"{max(1, round(seconds))} s"
