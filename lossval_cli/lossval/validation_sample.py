"""A sample of the validation rows that stands for all of them in the transport, and its standard error.

A sweep of the transport costs N × J. A validation table of more than `max_anchors` rows is represented by a
stratified sample: rows are ordered along the direction in which they differ most, cut into as many strata as
rows are wanted, and one row of each stratum is drawn. Each sampled row has the same mass.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lossval_cli.lossval.transport import Transport
from lossval_cli.runtime.row_loader import Rows, draw_rows

COMPARED_ROWS = 2_048
"""Training rows whose potentials are compared."""


class ValidationSample(NamedTuple):
    """Validation rows that are used, (A,) sorted, out of how many."""

    rows: npt.NDArray[np.int64]
    of: int


def choose_validation_sample(X_val: npt.NDArray[np.float32], most: int, rng: np.random.Generator) -> ValidationSample:
    """Choose at most `most` rows of X_val (J, D); all where there are no more."""
    J = len(X_val)
    if most >= J:
        return ValidationSample(np.arange(J), J)
    centred = X_val - X_val.mean(axis=0, dtype=np.float64)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    order = np.argsort(centred @ direction, kind="stable")
    edges = np.arange(most + 1) * J // most
    drawn = edges[:-1] + np.floor(rng.random(most) * np.diff(edges)).astype(np.int64)
    return ValidationSample(np.sort(order[drawn]), J)


def sampling_error(
    rows: Rows,
    X_val: npt.NDArray[np.float32],
    most: int,
    *,
    epsilon: float,
    scale: float,
    tolerance: float,
    max_sweeps: int,
    seed: int,
) -> float:
    """Standard error of a row's potential for having `most` rows instead of all of X_val, as a share of the
    standard deviation of potentials between rows.

    Estimated from the difference between two independent samples.
    """
    generator = torch.Generator().manual_seed(seed)
    X = rows.pick(draw_rows(len(rows), COMPARED_ROWS, generator))
    masses = torch.full((len(X),), 1 / len(X), device=X.device)
    potentials: list[Tensor] = []
    for draw in (1, 2):
        sample = choose_validation_sample(X_val, most, np.random.default_rng([seed, draw]))
        part = torch.as_tensor(X_val[sample.rows]).to(X.device)
        transport = Transport(X, part, epsilon=epsilon, scale=scale)
        f = transport.solve(masses, tolerance=tolerance, max_sweeps=max_sweeps, generator=generator).f
        potentials.append(f - f.mean())
    between_rows = float(torch.stack(potentials).mean(0).std())
    between_samples = float((potentials[0] - potentials[1]).std()) / 2**0.5
    return between_samples / between_rows if between_rows > 0 else 0.0
