"""The state of training: what changes from epoch to epoch, and its form in a checkpoint.

Between two epochs every process knows all of it: a run may be resumed with another number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from lossval_cli.lossval.cross_fitting import EvidenceAccumulator
from lossval_cli.lossval.network import Ensemble
from lossval_cli.lossval.optimizer import AdamW
from lossval_cli.lossval.own_networks import StackedModules
from lossval_cli.lossval.transport import Potentials, Transport
from lossval_cli.runtime.stop import Saved


class Epoch(NamedTuple):
    """State of training after an epoch."""

    epoch: int  # 1-based
    epochs: int
    loss: float  # L, weighted mean of the rows' losses
    transport: float  # OT, in units of the typical cost


@dataclass
class State:
    """The state of all members and rows."""

    network: Ensemble | StackedModules
    optimizer: AdamW
    generator: torch.Generator
    evidence: EvidenceAccumulator
    transport: Transport
    potentials: Potentials
    w: Tensor
    """(N,) importance weights, mean 1."""
    transport_sample: dict[str, float] | None
    """Where a sample stands for the validation rows: `used`, `of`, and its standard `error`."""
    step: int = 0
    """AdamW steps taken."""
    history: list[Epoch] = field(default_factory=list)

    def tensors(self) -> Saved:
        """Return the tensors for a checkpoint, between two epochs."""
        network = dict(zip(_names(self.network), self.network.parameters(), strict=True))
        by_row = self.evidence.tensors() | {"w": self.w, "f": self.potentials.f}
        tensors = {f"network.{name}": tensor.detach() for name, tensor in network.items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in self.optimizer.tensors().items()}
        tensors |= {f"rows.{name}": tensor for name, tensor in by_row.items()}
        tensors |= {"g": self.potentials.g, "next_g": self.transport.g, "noise": self.network.noise}
        tensors["generator"] = self.generator.get_state()
        progress = {
            "step": self.step,
            "prediction_epochs": self.evidence.prediction_epochs,
            "history": [list(epoch) for epoch in self.history],
            "cost": self.potentials.cost,
            "marginal_error": self.potentials.marginal_error,
            "converged": self.potentials.converged,
        }
        return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, progress

    def restore(self, saved: Saved) -> None:
        """Continue from a checkpoint of the same run."""
        tensors, progress = saved
        device = self.w.device
        with torch.no_grad():
            for name, parameter in zip(_names(self.network), self.network.parameters(), strict=True):
                parameter.copy_(tensors[f"network.{name}"])
            for name, tensor in self.evidence.tensors().items():
                tensor.copy_(tensors[f"rows.{name}"])
            self.w.copy_(tensors["rows.w"])
        self.optimizer.restore({name: tensors[f"optimizer.{name}"] for name in self.optimizer.tensors()})
        self.potentials = Potentials(
            tensors["rows.f"].to(device),
            tensors["g"].to(device),
            progress["cost"],
            progress["marginal_error"],
            progress["converged"],
        )
        self.transport.g = tensors["next_g"].to(device)
        self.network.noise = tensors["noise"]
        self.generator.set_state(tensors["generator"])
        self.step, self.evidence.prediction_epochs = progress["step"], progress["prediction_epochs"]
        self.history = [Epoch(*epoch) for epoch in progress["history"]]


def _names(network: Ensemble | StackedModules) -> Sequence[str]:
    return [str(i) for i in range(len(network.parameters()))]
