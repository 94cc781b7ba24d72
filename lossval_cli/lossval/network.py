"""E small networks trained side by side, one batched matrix product per layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from lossval_cli.settings import Settings

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "silu": functional.silu,
}

PREDICTED_AT_ONCE = 65_536
"""Rows per block: the values between the layers are held in memory."""


class Ensemble:
    """E multilayer perceptrons of the same sizes and different draws.

    settings.layers: linear maps from D inputs to `outputs`, settings.hidden units between them. Members share
    the rows of a batch but no parameter: (B, D) -> (E, B, outputs). `scales` (E, D), where there are any, are
    factors of each member's inputs.
    """

    def __init__(
        self,
        members: int,
        inputs: int,
        outputs: int,
        settings: Settings,
        *,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        """Three layers of 100 and SiLU where the settings leave that to the method."""
        layers, hidden = settings.layers or 3, settings.hidden or 100
        activation = settings.activation or "silu"
        self.activation = ACTIVATIONS[activation]
        self.dropout = settings.dropout
        # Dropout is drawn on the device itself; its stream starts from the run's generator.
        self._noise = torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=generator)))
        sizes = [inputs, *[hidden] * (layers - 1), outputs]
        self.matrices, self.biases = [], []
        for depth, (rows, columns) in enumerate(pairwise(sizes)):
            last = depth == layers - 1
            # He et al. (2015) for rectifiers, Glorot & Bengio (2010) for tanh; small last map: members
            # start undecided.
            gain = 0.3 if last else (1.0 if activation == "tanh" else math.sqrt(2))
            drawn = torch.randn(members, rows, columns, generator=generator) * (gain / math.sqrt(rows))
            self.matrices.append(drawn.to(device).requires_grad_())
            self.biases.append(torch.zeros(members, 1, columns, device=device, requires_grad=True))
        self.scales: Tensor | None = None

    def __call__(self, X: Tensor, *, training: bool = False) -> Tensor:
        """X (B, D) -> (E, B, outputs)."""
        hidden = X.expand(len(self.matrices[0]), -1, -1)
        if self.scales is not None:
            hidden = hidden * self.scales.unsqueeze(1)
        for matrix, bias in zip(self.matrices[:-1], self.biases[:-1], strict=True):
            hidden = self.activation(torch.baddbmm(bias, hidden, matrix))
            if training and self.dropout:
                keep = 1 - self.dropout
                # One draw per member and unit, the same for the rows of a batch: B times fewer than one
                # per row.
                mask = torch.empty_like(bias).bernoulli_(keep, generator=self._noise)
                hidden = hidden * mask.div_(keep)
        return torch.baddbmm(self.biases[-1], hidden, self.matrices[-1])

    @property
    def is_on_cpu(self) -> bool:
        """True if the processor computes them."""
        return self.biases[0].device.type == "cpu"

    def part(self, members: slice) -> Ensemble:
        """Return some of the members: the same numbers, with gradients of their own."""
        part = copy(self)
        part.matrices, part.biases = (
            [values.detach()[members].requires_grad_() for values in each] for each in (self.matrices, self.biases)
        )
        part.scales = None if self.scales is None else self.scales[members]
        return part

    def parameters(self) -> list[Tensor]:
        """Everything that is learned, matrices first."""
        return [*self.matrices, *self.biases]

    @property
    def noise(self) -> Tensor:
        """State of the generator that draws dropout masks."""
        return self._noise.get_state()

    @noise.setter
    def noise(self, state: Tensor) -> None:
        self._noise.set_state(state)

    def predict(self, X: Tensor) -> Tensor:
        """Outputs without dropout or gradients, in blocks, (E, N, outputs)."""
        with torch.no_grad():
            return torch.cat([self(part) for part in torch.split(X, PREDICTED_AT_ONCE)], dim=1)
