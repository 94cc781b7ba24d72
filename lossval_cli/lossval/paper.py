"""The published LossVal algorithm, to the letter (Wibiral et al., arXiv 2412.04158, and the authors' code).

One raw weight per training row, from 1 and unclamped, is trained by the same Adam as the network. On each
mini-batch of B rows against all J validation rows:

    L_w  = Σ_n w_n ℓ_n                                    a sum over the batch, not a mean
    OT_w = Sinkhorn divergence between masses w (B,) and ones (J,), neither normalised
    objective = L_w · OT_w²        (paper's formula; the code behind the paper's tables has L_w · |OT_w|)

This is the yardstick: slow by design, because each step solves its transport problem from scratch. Where
published choices are weak (weights may turn negative, masses don't match) they are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
from geomloss import SamplesLoss
from torch import Tensor
from torch.nn import functional

from lossval_cli.errors import TrainingError
from lossval_cli.losses import Loss, cross_entropy, squared_error
from lossval_cli.lossval.network import ACTIVATIONS
from lossval_cli.settings import EPOCHS, Settings

Objective = Literal["product", "loss", "transport", "additive"]

# The networks of the published experiments: linear maps counted from input to output, width, activation.
PUBLISHED_CLASSIFIER = (5, 100, "relu")
PUBLISHED_REGRESSOR = (3, 90, "tanh")

_BLUR = 0.05  # in units of the (standardised) features; geomloss's default, as in the published code
_PROBABILITY_FLOOR = 1e-8  # inside the logarithm of the published cross-entropy


@dataclass(frozen=True, kw_only=True)
class PaperSettings:
    """The settings that the published algorithm has, under the names of `Settings`."""

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 0.01
    layers: int | None = None
    """Linear maps, as the published code counts: 5 are four hidden layers and the output. None: as published."""
    hidden: int | None = None
    activation: str | None = None
    objective: Objective = "product"
    ot_power: int = 2
    absolute: bool = False

    @classmethod
    def of(cls, settings: Settings) -> PaperSettings:
        """Return the paper's settings for the `settings` of a run."""
        return cls(
            epochs=settings.epochs or EPOCHS[settings.effort],
            batch_size=settings.batch_size or 32,
            learning_rate=settings.learning_rate,
            layers=settings.layers,
            hidden=settings.hidden,
            activation=settings.activation,
            objective=settings.objective,  # type: ignore[arg-type]  # one of the four: Settings has checked it
            ot_power=settings.ot_power,
            absolute=settings.ot_absolute,
        )


class PaperEpoch(NamedTuple):
    """State of training over one epoch; means over its rows or batches, taken before each step."""

    epoch: int  # 1-based
    loss: float  # mean over rows of ℓ_n, unweighted
    transport: float | None  # mean over batches of the divergence; None where the objective has none
    objective: float  # mean over batches


class PaperFit(NamedTuple):
    """Result of `fit_paper`; tensors are on the CPU and detached."""

    weights: Tensor  # (N,) raw importance weights, may be negative
    predictions: Tensor  # (N, K) probabilities, or (N,)
    history: tuple[PaperEpoch, ...]


def published_cross_entropy(probabilities: Tensor, target: Tensor) -> Tensor:
    """ℓ = −log(p_y + 1e-8) on probabilities (B, K) and class indices (B,) -> (B,)."""
    own = probabilities.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return -(own + _PROBABILITY_FLOOR).log()


def sinkhorn_divergence(weights: Tensor, X: Tensor, X_val: Tensor) -> Tensor:
    """Debiased Sinkhorn divergence between masses `weights` (B,) on X (B, D) and ones on X_val (J, D).

    The cost is ‖x − x'‖²/2. Masses are not normalised: where their sums differ the problem has no solution,
    and the value is where geomloss's fixed schedule of steps stops; with negative weights it may be negative.
    Its gradient in the weights is geomloss's too: the potentials, as if they had converged.
    """
    diameter = 1.1 * torch.cdist(X, X_val).max().item()
    # With every row on every validation row geomloss would take the logarithm of a zero diameter.
    solver = SamplesLoss(
        "sinkhorn",
        p=2,
        blur=_BLUR,
        scaling=0.5,
        debias=True,
        diameter=diameter or _BLUR,
        backend="tensorized",
    )
    divergence: Tensor = solver(weights, X, X_val.new_ones(len(X_val)), X_val)
    return divergence


class BatchObjective(NamedTuple):
    """The published objective of one mini-batch and the divergence in it, None without one; scalars."""

    value: Tensor
    divergence: Tensor | None


def batch_objective(
    weights: Tensor,
    losses: Tensor,
    X: Tensor,
    X_val: Tensor,
    *,
    objective: Objective = "product",
    ot_power: int = 2,
    absolute: bool = False,
) -> BatchObjective:
    """Compute the objective of a batch. `weights` (B,) and `losses` (B,) are of its rows, `X` (B, D), `X_val` (J, D).

    `ot_power` 2 is the paper's formula, 1 with `absolute` the published code's, 0 leaves the transport out.
    The ablations: "loss" L_w, "transport" OT^p, "additive" (L_w + OT^p)/2.
    """
    weighted_loss = weights @ losses
    if objective == "loss" or ot_power == 0:
        return BatchObjective(weighted_loss, None)
    divergence = sinkhorn_divergence(weights, X, X_val)
    transport = (divergence.abs() if absolute else divergence) ** ot_power
    if objective == "transport":
        return BatchObjective(transport, divergence)
    # The published additive form has α = 1/2 on each side.
    value = (weighted_loss + transport) / 2 if objective == "additive" else weighted_loss * transport
    return BatchObjective(value, divergence)


class _Network:
    """The published MLP: linear maps between `sizes`, activations between maps, PyTorch's initialisation."""

    def __init__(self, sizes: list[int], activation: str, generator: torch.Generator, like: Tensor) -> None:
        self.activation = ACTIVATIONS[activation]
        self.maps: list[tuple[Tensor, Tensor]] = []
        for inputs, outputs in pairwise(sizes):
            bound = 1 / math.sqrt(inputs)  # nn.Linear's own, for weight and bias alike
            drawn = (
                torch.empty(shape, dtype=like.dtype, device=generator.device).uniform_(
                    -bound, bound, generator=generator
                )
                for shape in ((outputs, inputs), (outputs,))
            )
            matrix, bias = (tensor.to(like.device).requires_grad_() for tensor in drawn)
            self.maps.append((matrix, bias))

    def parameters(self) -> list[Tensor]:
        return [tensor for pair in self.maps for tensor in pair]

    def __call__(self, X: Tensor) -> Tensor:  # (B, D) -> (B, K), or (B,) with one output
        for matrix, bias in self.maps[:-1]:
            X = self.activation(functional.linear(X, matrix, bias))
        return functional.linear(X, *self.maps[-1])


def fit_paper(
    X: Tensor | np.ndarray,
    y: Tensor | np.ndarray,
    X_val: Tensor | np.ndarray,
    settings: PaperSettings | None = None,
    *,
    classes: int | None,
    generator: torch.Generator,
    loss: Loss | None = None,
    device: torch.device | str = "cpu",
    on_epoch: Callable[[PaperEpoch], None] | None = None,
) -> PaperFit:
    """Train network and weights together as published.

    `X` (N, D) and `X_val` (J, D) are encoded features of one floating dtype, which everything here then has.
    `y` (N,) holds class indices when `classes` = K is given, else the target as the loss wants it. `loss` is
    one of those of `losses`; None and cross_entropy mean the published per-row loss: squared error, or
    cross-entropy with log(p + 1e-8). With objective "transport" only the weights learn, so that predictions
    are those of the untrained network. Every draw comes from `generator`: first the network, map by map,
    weights before bias, then one permutation of the rows per epoch.

    Raises TrainingError when an epoch ends with a loss or weight that is not finite.
    """
    settings, device = settings or PaperSettings(), torch.device(device)
    X, y, X_val = (torch.as_tensor(array).to(device) for array in (X, y, X_val))
    y = y.to(X.dtype if classes is None else torch.int64)
    default_layers, default_hidden, default_activation = (
        PUBLISHED_REGRESSOR if classes is None else PUBLISHED_CLASSIFIER
    )
    maps, width = settings.layers or default_layers, settings.hidden or default_hidden
    sizes = [X.shape[1], *[width] * (maps - 1), classes or 1]
    network = _Network(sizes, settings.activation or default_activation, generator, like=X)
    weights = torch.ones(len(X), dtype=X.dtype, device=device, requires_grad=True)  # (N,)
    # One Adam over both. Its momentum moves the weights of rows outside the batch too, as published.
    optimizer = torch.optim.Adam([weights, *network.parameters()], lr=settings.learning_rate)

    history = []
    for epoch in range(1, settings.epochs + 1):
        totals = torch.zeros(3, dtype=X.dtype, device=device)  # Σ ℓ, Σ divergence, Σ objective
        order = torch.randperm(len(X), generator=generator, device=generator.device).to(device)
        batches = torch.split(order, settings.batch_size)
        for rows in batches:
            w, X_batch = weights[rows], X[rows]  # (B,), (B, D)
            losses = _row_losses(network(X_batch), y[rows], classes, loss)  # (B,)
            value, divergence = batch_objective(
                w,
                losses,
                X_batch,
                X_val,
                objective=settings.objective,
                ot_power=settings.ot_power,
                absolute=settings.absolute,
            )
            optimizer.zero_grad()
            torch.autograd.backward(value)
            optimizer.step()
            parts = losses.sum(), losses.new_zeros(()) if divergence is None else divergence, value
            totals += torch.stack(parts).detach()
        loss_sum, transport_sum, objective_sum = totals.tolist()
        if not (math.isfinite(loss_sum) and bool(weights.isfinite().all())):
            raise TrainingError(
                f"preset paper: training diverged in epoch {epoch} (loss or weights not finite); "
                f"lower learning_rate (now {settings.learning_rate:g}) or epochs (now {settings.epochs})"
            )
        transport = None if divergence is None else transport_sum / len(batches)
        history.append(PaperEpoch(epoch, loss_sum / len(X), transport, objective_sum / len(batches)))
        if on_epoch is not None:
            on_epoch(history[-1])

    with torch.no_grad():
        predictions = _respond(network(X), classes, loss).cpu()
    return PaperFit(weights.detach().cpu(), predictions, tuple(history))


def _row_losses(output: Tensor, target: Tensor, classes: int | None, loss: Loss | None) -> Tensor:
    """Network output (B, K or 1) and targets (B,) -> (B,)."""
    if classes is None:
        per_row = squared_error if loss is None else loss.per_row
        return per_row(output.squeeze(-1), target)
    if loss is None or loss.per_row is cross_entropy:
        return published_cross_entropy(output.softmax(-1), target)
    return loss.per_row(output, target)


def _respond(output: Tensor, classes: int | None, loss: Loss | None) -> Tensor:
    """Network output (N, K or 1) -> probabilities (N, K), or predictions (N,) in the target's unit."""
    if classes is not None:
        return output.softmax(-1)
    return output.squeeze(-1) if loss is None else loss.respond(output.squeeze(-1))
