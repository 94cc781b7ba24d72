"""What training starts from: the data, equal weights, the first transport, folds and untrained networks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lossval_cli.lossval.cost import MAX_SWEEPS, TOLERANCE, make_transport
from lossval_cli.lossval.cross_fitting import EvidenceAccumulator, draw_folds, fold_masks
from lossval_cli.lossval.feature_scaling import FIT_ROWS, relevance
from lossval_cli.lossval.network import Ensemble
from lossval_cli.lossval.optimizer import AdamW
from lossval_cli.lossval.own_networks import MakeModule, StackedModules
from lossval_cli.lossval.state import State
from lossval_cli.runtime.context import Runtime
from lossval_cli.runtime.row_loader import Rows, RowSource, draw_rows
from lossval_cli.runtime.row_source import CHUNK_ROWS
from lossval_cli.settings import Settings


class TrainingData(NamedTuple):
    """Data to learn from. `y` holds class indices when `classes` is given, else what the loss wants."""

    X: RowSource  # (N, D)
    y: npt.NDArray[np.generic]  # (N,)
    X_val: npt.NDArray[np.float32]  # (J, D)
    columns: int  # of the table; each is one or several of the D inputs
    classes: int | None  # K
    penalty: npt.NDArray[np.float64]  # (N,) outlier penalty, in nats
    held_out: npt.NDArray[np.int64] | None = None  # (J,) rows of X that X_val is; no member trains on them
    weights: npt.NDArray[np.floating] | None = None  # (N,) sample weights, at least 0; None: all equal
    groups: npt.NDArray[np.int64] | None = None  # (N,) rows with the same number share a fold
    time: npt.NDArray[np.generic] | None = None  # (N,) folds are contiguous in it
    chunk_rows: int = CHUNK_ROWS  # shuffled together
    make_module: MakeModule | None = None  # networks of the user's own


def start_training(data: TrainingData, rows: Rows, s: Tensor | float, settings: Settings, runtime: Runtime) -> State:
    """The state before the first epoch, or that of the checkpoint to resume from.

    s (N,) or 1: the sample weights, with mean 1.
    """
    N, device = len(rows), rows.device
    generator = torch.Generator().manual_seed(settings.seed)
    saved = runtime.monitor.load()

    transport, sample = make_transport(
        rows, data.X_val, data.penalty, settings, generator, held_out=data.held_out, weights=data.weights
    )
    w = torch.ones(N, device=device)
    sweeps = MAX_SWEEPS if saved is None else 1
    potentials = transport.solve(w * s / N, tolerance=TOLERANCE, max_sweeps=sweeps, generator=generator)

    members, folds = settings.ensemble_size(N)
    sizes = members, rows.width, data.classes or 1
    network: Ensemble | StackedModules
    if data.make_module is None:
        network = Ensemble(*sizes, settings, generator=generator, device=device)
    else:
        network = StackedModules(data.make_module, *sizes, generator=generator, device=device)
    optimizer = AdamW(network.parameters(), weight_decay=settings.weight_decay)
    fold = draw_folds(N, members, folds, generator, held_out=data.held_out, groups=data.groups, time=data.time)
    drawn = draw_rows(N, FIT_ROWS, torch.Generator().manual_seed(settings.seed)).sort().values
    trains, _ = fold_masks(fold[drawn], members, folds)
    y = torch.as_tensor(data.y[drawn.numpy()])
    if data.weights is not None:
        trains = trains * torch.as_tensor(mean_one_weights(data.weights)[drawn.numpy()], dtype=trains.dtype)
    if isinstance(network, Ensemble):
        network.scales = relevance(rows.pick(drawn).cpu(), y, trains, data.classes, data.columns).to(device)
    evidence = EvidenceAccumulator(
        fold.to(device), members, folds, data.classes or 1, scored_by_all=data.held_out is not None
    )
    state = State(network, optimizer, generator, evidence, transport, potentials, w, sample)
    if saved is not None:
        state.restore(saved)
    return state


def weights_on(device: torch.device, weights: npt.NDArray[np.floating] | None) -> Tensor | float:
    """Return (N,) sample weights of mean 1, or 1.0 where none are given."""
    if weights is None:
        return 1.0
    return torch.as_tensor(mean_one_weights(weights), dtype=torch.float32).to(device)


def mean_one_weights(weights: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return (N,) weights, divided by their mean."""
    return weights / np.mean(weights, dtype=np.float64)
