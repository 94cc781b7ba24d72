"""Everything that changes while training goes on, and its form in a checkpoint.

A checkpoint holds the rows of the whole table, whichever process they were with: a run may go on with
another number of processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from lossval_cli.lossval.cross_fitting import EvidenceAccumulator
from lossval_cli.lossval.network import Ensemble
from lossval_cli.lossval.optimizer import AdamW
from lossval_cli.lossval.transport import Potentials, Transport
from lossval_cli.runtime.distributed import ProcessGroup
from lossval_cli.runtime.stop import Saved


class Epoch(NamedTuple):
    """Where training stood after an epoch."""

    epoch: int  # 1-based
    epochs: int
    loss: float  # weighted mean of the rows' losses
    transport: float  # OT_w, in units of the median cost


@dataclass
class State:
    """Of one process. Rows are its own."""

    network: Ensemble
    optimizer: AdamW
    generator: torch.Generator
    evidence: EvidenceAccumulator
    transport: Transport
    potentials: Potentials
    weights: Tensor  # (n,) mean 1 over all rows
    epoch: int = 0  # epochs that are over
    step: int = 0
    chunk: int = 0  # where in the epoch
    batch: int = 0
    passes: int = 0  # that `totals.remembered` sums up
    history: list[Epoch] = field(default_factory=list)
    began: Tensor | None = None  # the generator as it was when the epoch began; None between epochs

    def tensors(self, processes: ProcessGroup) -> Saved:
        """For a checkpoint; of all rows on the first process."""
        total = self.transport.rows.total
        network = dict(zip(_names(self.network), self.network.parameters(), strict=True))
        by_row = self.evidence.tensors() | {"weights": self.weights, "f": self.potentials.f}
        tensors = {f"network.{name}": tensor.detach() for name, tensor in network.items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in self.optimizer.tensors().items()}
        for name, tensor in by_row.items():
            tensors[f"rows.{name}"] = _gathered(tensor, name, total, processes)
        tensors |= {"g": self.potentials.g, "next_g": self.transport.g, "noise": self.network.noise}
        assert self.began is not None
        tensors["generator"] = self.began
        progress = {
            "place": [self.epoch, self.step, self.chunk, self.batch, self.passes],
            "history": [list(epoch) for epoch in self.history],
            "cost": self.potentials.cost,
            "marginal_error": self.potentials.marginal_error,
            "converged": self.potentials.converged,
        }
        return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, progress

    def restore(self, saved: Saved) -> None:
        """Go on from a checkpoint of the same run."""
        tensors, progress = saved
        own = self.transport.rows.own
        device = self.weights.device
        with torch.no_grad():
            for name, parameter in zip(_names(self.network), self.network.parameters(), strict=True):
                parameter.copy_(tensors[f"network.{name}"])
            for name, tensor in self.evidence.tensors().items():
                tensor.copy_(_part(tensors[f"rows.{name}"], own, name))
            self.weights.copy_(tensors["rows.weights"][own])
        self.optimizer.restore({name: tensors[f"optimizer.{name}"] for name in self.optimizer.tensors()})
        self.potentials = Potentials(
            tensors["rows.f"][own].to(device),
            tensors["g"].to(device),
            progress["cost"],
            progress["marginal_error"],
            progress["converged"],
        )
        self.transport.g = tensors["next_g"].to(device)
        self.network.noise = tensors["noise"]
        self.began = tensors["generator"]
        self.epoch, self.step, self.chunk, self.batch, self.passes = progress["place"]
        self.history = [Epoch(*epoch) for epoch in progress["history"]]


_MANY_SLOTS = ("by_member", "judged")
"""Totals whose rows are the last axis."""


def _names(network: Ensemble) -> list[str]:
    return [str(at) for at in range(len(network.parameters()))]


def _gathered(tensor: Tensor, name: str, total: int, processes: ProcessGroup) -> Tensor:
    if name in _MANY_SLOTS:
        return torch.stack([processes.gather(slot, total) for slot in tensor])
    return processes.gather(tensor, total)


def _part(tensor: Tensor, own: slice, name: str) -> Tensor:
    return tensor[:, own] if name in _MANY_SLOTS else tensor[own]
