"""The fused step without torch.optim's classes is theirs to the bit, and spares their import."""

from __future__ import annotations

import pytest
import torch

from lossval_cli.lossval.optimizer import AdamW


@pytest.mark.slow
def test_steps_are_those_of_torch_and_go_on_from_a_checkpoint() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = [torch.randn(3, 4, 5, generator=generator).requires_grad_() for _ in range(2)]
    theirs = [parameter.detach().clone().requires_grad_() for parameter in ours]
    one = AdamW(ours, weight_decay=0.02)
    other = torch.optim.AdamW(theirs, lr=1.0, weight_decay=0.02, fused=True)
    for step in range(6):
        if step == 3:
            saved = {name: tensor.clone() for name, tensor in one.tensors().items()}
            one = AdamW(ours, weight_decay=0.02)
            one.restore(saved)
        gradients = [torch.randn(3, 4, 5, generator=generator) for _ in ours]
        for parameter, counterpart, gradient in zip(ours, theirs, gradients, strict=True):
            parameter.grad, counterpart.grad = gradient.clone(), gradient.clone()
        rate = 0.01 / (1 + step)
        one.step(rate)
        other.param_groups[0]["lr"] = rate
        other.step()
        assert all(parameter.grad is None for parameter in ours)
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
