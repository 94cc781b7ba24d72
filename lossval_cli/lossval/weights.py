"""The importance weights of an epoch: one mirror step on their logarithms, from losses and potentials.

    L  ← Σ s w ℓ / N,   OT ← Σ a f
    label evidence   ← label evidence   − η · factor(L, OT) · ℓ_n          (objective)
    feature evidence ← feature evidence − η · factor(L, OT) · f_n
    w  ← exp(label + feature), scaled to mean 1

The training loop, fixed predictions and `lossval_cli.torch.LossVal` take this step.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lossval_cli.lossval.cross_fitting import EvidenceAccumulator
from lossval_cli.lossval.objective import Objective
from lossval_cli.lossval.transport import Potentials

Floats = npt.NDArray[np.float64]


def step_weights(
    evidence: EvidenceAccumulator,
    w: Tensor,
    potentials: Potentials,
    objective: Objective,
    *,
    eta: float,
    s: Tensor | float = 1.0,
) -> tuple[Tensor, float]:
    """The weights (N,) after one mirror step, and the weighted mean loss L that it was taken at.

    `evidence` holds the losses of the epoch and is moved in place; w (N,) weights before the step; s (N,) or 1
    sample weights of mean 1; eta the step size. L is not finite where the losses are not; nothing is moved then.
    """
    L = (w * s) @ evidence.held_out_loss() / len(w)
    if not math.isfinite(L):
        return w, float(L)
    OT = torch.tensor(potentials.cost, device=w.device)
    for_label, for_feature = objective.factors(L, OT)
    evidence.mirror_step(for_label, for_feature, potentials.f, eta)
    return mean_one(evidence.label + evidence.feature, s), float(L)


def mean_one(log_weights: Tensor, s: Tensor | float) -> Tensor:
    """Return (N,) weights whose mean over all rows, each counted s times, is 1."""
    if isinstance(s, float):
        return torch.softmax(log_weights, 0) * len(log_weights)
    w = (log_weights - log_weights.max()).exp_()
    return w * (len(w) / (w * s).sum())


def normalise(label: Floats, feature: Floats, weights: npt.NDArray[np.floating] | None) -> tuple[Floats, Floats]:
    """Shift both parts so that each alone, and then their sum, is the logarithm of weights of mean 1."""
    label = label - _log_mean_exp(label, weights)
    feature = feature - _log_mean_exp(feature, weights)
    both = _log_mean_exp(label + feature, weights)  # 0 where the parts are independent
    return label - both / 2, feature - both / 2


def _log_mean_exp(values: Floats, weights: npt.NDArray[np.floating] | None) -> float:
    largest = float(values.max())
    return largest + math.log(float(np.average(np.exp(values - largest), weights=weights)))
