"""The `lossval` method: log-weights and networks trained together, as the paper's algorithm box reads.

    price     how odd each row's features are, learned without labels                       (surprise)
    cost      c(x, x') = ¾ + ¼ ‖x − x'‖² / median + price(x)
    transport potentials f of the weighted training set to the validation rows              (transport)
    for each epoch, for each batch of rows:
        every member predicts every row; a row is judged by the members that never train on it: ℓ_n
        networks:     AdamW step on Σ w_n ℓ_n / Σ w_n over each member's own rows
        log-weights:  log w_n −= η ( ℓ_n / L + p f_n / OT ), the two parts kept apart       (objective)
    after each epoch: mean-1 normalisation of w; the potentials brought up to date now and then

A step is multiplicative in w (mirror descent with the entropy as its mirror), so weights stay positive and
a row's log-weight is the sum of two running totals: what its label did and what its features did.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from lossval_cli.encoding.encoder import Block
from lossval_cli.errors import TrainingError
from lossval_cli.method.losses import Loss
from lossval_cli.method.network import Ensemble
from lossval_cli.method.objective import Objective
from lossval_cli.method.surprise import Oddness, measure
from lossval_cli.method.transport import Potentials, Transport, median_cost
from lossval_cli.settings import Settings

WARM_UP = 0.1
"""Share of steps over which the learning rate rises; after it a cosine to zero."""

REMEMBERED = 0.25
"""Predictions are averaged over this last share of the epochs, weights over all of them."""

FIXED_COST = 0.75
"""Cost of moving a row at all; the rest of a median cost is for distance, and the price comes on top.
Ordinary
rows lie at different distances from validation rows without being any worse, which must not drown their
labels."""

REFRESHES = 4
"""Times that the potentials are brought up to date with the weights; once, at the end, where costs are not
in memory: they change little."""

TOLERANCE = 0.01
"""Marginal error below which the transport is called converged: far below what moves a rank."""

MOST_SWEEPS = 100

LARGEST_RELATIVE_LOSS = 20.0
"""No single visit counts for more than this many average losses: one row must not use up all range of w."""


class Problem(NamedTuple):
    """What is learned from. `y` holds class indices when `classes` is given, else what the loss wants."""

    X: npt.NDArray[np.float32]  # (N, D)
    y: npt.NDArray[np.generic]  # (N,)
    X_val: npt.NDArray[np.float32]  # (J, D)
    blocks: tuple[Block, ...]
    classes: int | None
    held_out: npt.NDArray[np.int64] | None = None  # (J,) rows of X that X_val is; no member trains on them


class Epoch(NamedTuple):
    """Where training stood after an epoch."""

    epoch: int  # 1-based
    epochs: int
    loss: float  # weighted mean of the rows' losses
    transport: float  # OT_w, in units of the median cost


@dataclass(frozen=True)
class Fit:
    """What training found out about each row."""

    label_evidence: npt.NDArray[np.float64]
    feature_evidence: npt.NDArray[np.float64]
    """(N,) the two parts of log-importance; exp of their sum has mean 1."""
    spread: npt.NDArray[np.float64]
    """(N,) standard deviation of the label evidence over the members that judged the row; NaN with one."""
    predictions: npt.NDArray[np.float64]
    """(N, K) probabilities or (N,), by members that did not train on the row."""
    oddness: Oddness
    potentials: Potentials
    history: tuple[Epoch, ...]
    predict: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]
    """Mean prediction of all members for other rows: (n, D) -> (n, K) or (n,)."""


def fit_lossval(
    problem: Problem,
    loss: Loss,
    settings: Settings,
    device: torch.device,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Fit:
    """Train networks and weights on `problem`. Every draw follows from `settings.seed`.

    Raises TrainingError when the loss is no longer finite.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    X, X_val = (torch.as_tensor(rows).to(device) for rows in (problem.X, problem.X_val))
    y = torch.as_tensor(problem.y).to(device)
    N, (E, folds) = len(X), settings.ensemble_size(len(X))
    objective = Objective(settings.objective, settings.ot_power)

    # --- price and transport ---
    with threadpool_limits(1, user_api="blas"):  # its matrices are small: threads would wait for one another
        oddness = measure(problem.X, problem.blocks, rng)
    transport = Transport(
        X,
        X_val,
        epsilon=(1 - FIXED_COST) * settings.blur**2,
        scale=median_cost(X, X_val, generator) / (1 - FIXED_COST),
        price=torch.as_tensor(FIXED_COST + oddness.price, dtype=X.dtype, device=device),
        own=_own_rows(N, problem.held_out, device),
    )
    weights = torch.ones(N, device=device)  # (N,) mean 1
    potentials = transport.solve(weights / N, tolerance=TOLERANCE, most=MOST_SWEEPS, generator=generator)

    # --- networks ---
    network = Ensemble(
        E,
        X.shape[1],
        problem.classes or 1,
        layers=settings.layers or 3,
        hidden=settings.hidden or 100,
        activation=settings.activation or "silu",
        dropout=settings.dropout,
        generator=generator,
        device=device,
    )
    optimizer = torch.optim.AdamW(
        [*network.matrices, *network.biases],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    masks = _fold_masks(N, E, folds, problem.held_out, generator)
    trains, judges = (mask.to(device) for mask in masks)  # (E, N) each

    share = judges / judges.sum(0)  # (E, N) what each member's judgement of a row counts for

    # --- totals ---
    label = torch.zeros(N, device=device)
    feature = torch.zeros(N, device=device)
    by_member = torch.zeros(E, N, device=device)
    remembered = torch.zeros(N, problem.classes or 1, device=device)

    batches = math.ceil(N / min(N, settings.batch_size or batch_size_for(N)))
    steps, step = settings.epochs * batches, 0
    remember_from = math.floor(settings.epochs * (1 - REMEMBERED))
    refreshes = REFRESHES if transport.is_cached else 1
    history = []
    for epoch in range(settings.epochs):
        order = torch.randperm(N, generator=generator).to(device)
        # Shuffled once, so that a batch is a slice.
        X_epoch, y_epoch, share_epoch = X[order], y[order], share[:, order]
        own_epoch = (trains * weights if objective.uses_loss else trains)[:, order]
        own_epoch = own_epoch * (batches / own_epoch.sum(1, keepdim=True))  # sums to about 1 over a batch
        losses_epoch = torch.empty(E, N, device=device)
        for start, stop in pairwise([*(at * N // batches for at in range(batches)), N]):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * learning_rate_factor(step, steps)
            step += 1
            output = network(X_epoch[start:stop], training=True)  # (E, B, K)
            if problem.classes is None:
                output = output.squeeze(-1)
            losses = loss.per_row(output, y_epoch[start:stop])  # (E, B)
            # The sum over members gives each the gradient of its own weighted mean loss.
            value = (losses * own_epoch[:, start:stop]).sum()
            optimizer.zero_grad()
            torch.autograd.backward(value)
            optimizer.step()
            losses_epoch[:, start:stop] = losses.detach()
            if epoch >= remember_from:
                answer = loss.respond(output.detach())
                answer = answer if problem.classes is not None else answer.unsqueeze(-1)
                remembered[order[start:stop]] += (answer * share_epoch[:, start:stop, None]).sum(0)

        # --- log-weights ---
        judged = torch.empty_like(losses_epoch)
        judged[:, order] = losses_epoch * share_epoch
        heldout = judged.sum(0)  # (N,) ℓ_n
        mean_loss = weights @ heldout / N  # L
        cost = torch.tensor(potentials.cost, device=device)  # OT
        for_label, for_feature = objective.factors(mean_loss, cost)
        eta = settings.weight_learning_rate
        label -= eta * (for_label * heldout).clamp(max=LARGEST_RELATIVE_LOSS)
        by_member -= eta * (for_label * judged / share.clamp(min=1e-12)).clamp(max=LARGEST_RELATIVE_LOSS)
        feature -= eta * for_feature * potentials.f
        weights = torch.softmax(label + feature, 0) * N
        if objective.uses_transport and _is_refresh(epoch, settings.epochs, refreshes):
            potentials = transport.refresh(weights / N, tolerance=TOLERANCE, generator=generator)
        history.append(Epoch(epoch + 1, settings.epochs, float(mean_loss), potentials.cost))
        if not math.isfinite(history[-1].loss):
            raise TrainingError(
                f"training diverged in epoch {epoch + 1}: the loss is not finite; "
                f"lower learning_rate (now {settings.learning_rate:g})"
            )
        if on_epoch is not None:
            on_epoch(history[-1])

    def predict(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        answer = loss.respond(network.predict(torch.as_tensor(rows).to(device))).mean(0)
        return _to_numpy(answer if problem.classes is not None else answer.squeeze(-1))

    predictions = _to_numpy(remembered / (settings.epochs - remember_from))
    label_evidence, feature_evidence = _normalised(_to_numpy(label), _to_numpy(feature))
    return Fit(
        label_evidence,
        feature_evidence,
        _spread(by_member, judges),
        predictions if problem.classes is not None else predictions[:, 0],
        oddness,
        potentials,
        tuple(history),
        predict,
    )


def batch_size_for(rows: int) -> int:
    """About an eighth of the rows, a power of two from 32 to 1,024."""
    return int(2 ** min(10, max(5, round(math.log2(rows / 8)))))


def learning_rate_factor(step: int, steps: int) -> float:
    """Factor of the learning rate: linear warm-up, then a cosine to zero."""
    place = (step + 1) / steps
    if place < WARM_UP:
        return place / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (place - WARM_UP) / (1 - WARM_UP)))


def _is_refresh(epoch: int, epochs: int, refreshes: int) -> bool:
    """Evenly spread over the run, the last epoch included so that what is reported is of the final
    weights."""
    every = max(1, math.ceil(epochs / refreshes))
    return (epochs - 1 - epoch) % every == 0


def _fold_masks(
    rows: int, members: int, folds: int, held_out: npt.NDArray[np.int64] | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(E, N) each: 1 where a member trains on a row, and 1 where it judges the row.

    Member e leaves out fold e mod `folds`, so every row is judged by as many members, ±1. Held-out rows
    are trained on by none and judged by all. Without folds members judge the rows they train on.
    """
    trains = torch.ones(members, rows)
    judges = trains.clone()
    if members > 1 and folds > 1:
        fold = torch.randperm(rows, generator=generator) % folds  # (N,)
        trains = (fold != torch.arange(members).unsqueeze(1) % folds).float()
        judges = 1 - trains
    if held_out is not None:
        trains[:, held_out], judges[:, held_out] = 0.0, 1.0
    return trains, judges


def _own_rows(rows: int, held_out: npt.NDArray[np.int64] | None, device: torch.device) -> Tensor | None:
    """(N,) the validation row that each training row is, −1 where none."""
    if held_out is None:
        return None
    own = torch.full((rows,), -1, dtype=torch.int64)
    own[torch.as_tensor(held_out)] = torch.arange(len(held_out))
    return own.to(device)


def _normalised(
    label: npt.NDArray[np.float64], feature: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Shift both parts so that each alone, and then their sum, is the logarithm of weights of mean 1."""
    label = label - _log_mean_exp(label)
    feature = feature - _log_mean_exp(feature)
    together = _log_mean_exp(label + feature)  # 0 where the parts are independent
    return label - together / 2, feature - together / 2


def _log_mean_exp(values: npt.NDArray[np.float64]) -> float:
    top = float(values.max())
    return top + math.log(float(np.exp(values - top).mean()))


def _spread(by_member: Tensor, judges: Tensor) -> npt.NDArray[np.float64]:
    """(N,) standard deviation of the judging members' totals; NaN where one member judged."""
    count = judges.sum(0)
    mean = (by_member * judges).sum(0) / count
    squares = ((by_member - mean).square() * judges).sum(0)
    return _to_numpy((squares / (count - 1)).sqrt())


def _to_numpy(values: Tensor) -> npt.NDArray[np.float64]:
    return values.detach().cpu().numpy().astype(np.float64)
