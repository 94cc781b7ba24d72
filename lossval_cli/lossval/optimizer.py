"""AdamW (Loshchilov & Hutter, 2019) by PyTorch's fused step.

Without the classes of torch.optim: their first use loads PyTorch's compiler, which takes as long as loading
PyTorch, and longer than training on a small table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

import torch
from torch import Tensor
from torch.optim.adamw import adamw

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class AdamW:
    """Takes steps along the gradients that backward() has left in `parameters`."""

    def __init__(self, parameters: Sequence[Tensor], *, weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self.means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    def step(self, learning_rate: float) -> None:
        """Take one step; the gradients are gone after it."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        with torch.no_grad():
            adamw(
                self.parameters,
                gradients,
                self.means,
                self.squares,
                [],
                self.steps,
                fused=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=learning_rate,
                weight_decay=self.weight_decay,
                eps=EPSILON,
                maximize=False,
            )
        for parameter in self.parameters:
            parameter.grad = None

    def part(self, parameters: Sequence[Tensor], members: slice) -> AdamW:
        """Return what takes the steps of some members, the first axis of all parameters; `parameters`: of these. It
        shares the running means."""
        part = copy(self)
        part.parameters = list(parameters)
        part.means, part.squares = ([values[members] for values in each] for each in (self.means, self.squares))
        if members.start > 0:  # each counts its own steps, the first part those of the whole
            part.steps = [step.clone() for step in self.steps]
        return part

    def tensors(self) -> dict[str, Tensor]:
        """Return what a step changes besides the parameters, by name."""
        kinds = {"mean": self.means, "square": self.squares, "step": self.steps}
        return {f"{kind}.{i}": tensor for kind, each in kinds.items() for i, tensor in enumerate(each)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `tensors` returned."""
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])
