"""The cost of moving a training row to a validation row, and the transport problem that it makes.

    c(x, x') = ¾ + ¼ ‖x − x'‖² / median + penalty(x)

The median is that of ‖x − x'‖² between training and validation rows, so a typical cost is 1 plus the penalty.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lossval_cli.lossval.transport import Transport, median_cost
from lossval_cli.lossval.validation_sample import choose_validation_sample, sampling_error
from lossval_cli.runtime.row_loader import Rows
from lossval_cli.settings import Settings

FIXED_COST = 0.75
"""Cost of moving a row at all; distance makes up the rest of a typical cost. Typical rows lie at different
distances from the validation rows without being any worse, which must not drown their labels."""

TOLERANCE = 0.01
"""Marginal error below which the transport counts as converged; ranks do not change below it."""

MAX_SWEEPS = 100


class TransportProblem(NamedTuple):
    """The transport of one run, and what is known about its validation rows."""

    transport: Transport
    sample: dict[str, float] | None
    """Where a sample stands for the validation rows: `used`, `of`, and its standard `error`."""


def make_transport(
    rows: Rows,
    X_val: npt.NDArray[np.float32],
    penalty: npt.NDArray[np.float64],
    settings: Settings,
    generator: torch.Generator,
    *,
    held_out: npt.NDArray[np.int64] | None = None,
    weights: npt.NDArray[np.floating] | None = None,
) -> TransportProblem:
    """Make the transport cost. X_val (J, D); penalty (N,); held_out (J,) the training rows that X_val is, if it was
    drawn from them; weights (N,) of the rows in the median."""
    most = settings.max_anchors
    sample = choose_validation_sample(X_val, most, np.random.default_rng([settings.seed, most]))
    used = torch.as_tensor(X_val[sample.rows]).to(rows.device)
    epsilon = (1 - FIXED_COST) * settings.blur**2
    scale = median_cost(rows, used, generator, weights) / (1 - FIXED_COST)
    health: dict[str, float] | None = None
    if len(sample.rows) < sample.of:
        error = sampling_error(
            rows,
            X_val,
            most,
            epsilon=epsilon,
            scale=scale,
            tolerance=TOLERANCE,
            max_sweeps=MAX_SWEEPS,
            seed=settings.seed,
        )
        health = {"used": len(sample.rows), "of": sample.of, "error": error}
    transport = Transport(
        rows,
        used,
        epsilon=epsilon,
        scale=scale,
        penalty=torch.as_tensor(FIXED_COST + penalty).to(rows.device),
        own=None if held_out is None else _own_validation_row(rows, held_out[sample.rows]),
    )
    return TransportProblem(transport, health)


def _own_validation_row(rows: Rows, held_out: npt.NDArray[np.int64]) -> Tensor:
    """Return as (N,) the validation row that each training row is, −1 where none."""
    own = torch.full((len(rows),), -1, dtype=torch.int64)
    own[torch.as_tensor(held_out)] = torch.arange(len(held_out))
    return own.to(rows.device)
