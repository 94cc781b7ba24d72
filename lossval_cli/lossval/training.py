"""The `lossval` method: networks and importance weights, learned together in one loop.

    w ← 1;  f, g ← transport of w/N to the validation rows
    for every epoch:
        for every batch of rows:                                                                 (network)
            each member: AdamW step on  Σ w_n ℓ_n / W  over the rows of the batch that it trains on
            ℓ_n ← mean loss of row n over the members that do not train on it              (cross_fitting)
        log w_n ← log w_n − η (ℓ_n / L + p f_n / OT),  then w to mean 1      once per epoch    (weights)
        f, g ← transport of the new w/N, warm-started,                       in some epochs    (transport)

    symbol  code            meaning                                                       shape
    N       len(rows)       training rows
    E       members         networks, trained side by side
    J       len(g)          validation rows in the transport
    B                       rows of a batch
    W       total           Σ s w of an average batch, over the rows that a member trains on  (E, 1)
    ℓ       evidence.losses loss of each row, out of fold                                 (N,)
    L       L               weighted mean loss, Σ s w ℓ / Σ s                              scalar
    w       state.w         importance weights, Σ s w = Σ s (mean 1)                       (N,)
    s       data.weights    sample weights, 1 unless given                                (N,)
    a       masses          masses of the training rows, s w / Σ s, sum 1                   (N,)
    f, g    potentials.f .g dual potentials of the transport, f with the outlier penalty  (N,), (J,)
    OT      potentials.cost transport cost, Σ a f                                          scalar
    p, η    settings        ot_power and weight_learning_rate (schedule)

A row's log-weight is the sum of two running totals, label evidence (what ℓ did) and feature evidence (what f
did). Rows may be on the device or in a file (row_loader). Several processes share the members within an epoch (parts),
the rows in the transport, and know the same after both. After any epoch training can be saved and resumed to the same
bits, or stopped early (stop, state).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from threading import Event

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lossval_cli.errors import Diverged
from lossval_cli.losses import Loss
from lossval_cli.lossval.cost import TOLERANCE
from lossval_cli.lossval.network import Ensemble
from lossval_cli.lossval.objective import Objective
from lossval_cli.lossval.own_networks import StackedModules
from lossval_cli.lossval.parts import Part, can_split, join_members, run_parts, split_members
from lossval_cli.lossval.setup import TrainingData, start_training, weights_on
from lossval_cli.lossval.state import Epoch, State
from lossval_cli.lossval.transport import Potentials
from lossval_cli.lossval.weights import normalise, step_weights
from lossval_cli.runtime.context import Runtime
from lossval_cli.runtime.distributed import SINGLE_PROCESS
from lossval_cli.runtime.row_loader import Chunk, Rows, chunk_count
from lossval_cli.settings import Settings

Floats = npt.NDArray[np.float64]

WARM_UP = 0.1
"""Share of steps over which the learning rate rises; after it a cosine to zero."""

AVERAGED = 0.25
"""Predictions are averaged over this last share of the epochs, losses over all of them."""

REFRESHES = 4
"""Times that the potentials follow the weights; once, at the end, where costs do not fit into memory: they
change little."""

PREDICTED_AT_ONCE = 1 << 13
"""Rows predicted at once after a run that was stopped before predictions were averaged."""


@dataclass(frozen=True)
class Fit:
    """The values that training found for each of the N rows."""

    importance: Floats
    """(N,) weights of mean 1. Those of the paper's algorithm may be negative."""
    importance_std: Floats
    """(N,) standard deviation over the members that scored the row; NaN with one."""
    label_evidence: Floats
    feature_evidence: Floats
    """(N,) the two parts of log importance; NaN for the paper's algorithm."""
    predictions: Floats
    """(N, K) probabilities or (N,), by members that did not train on the row."""
    history: tuple[Epoch, ...]
    potentials: Potentials | None = None
    transport_sample: dict[str, float] | None = None
    """The sample that stands for the validation rows, if there is one: `used`, `of`, and its standard `error`."""
    stopped: bool = False
    """True if the time limit ended training before the last epoch."""
    notices: tuple[str, ...] = ()
    """Events during training that a reader has to know."""
    warnings: tuple[str, ...] = ()
    """Those of `notices` that put the result in doubt."""
    predict: Callable[[npt.NDArray[np.float32]], Floats] | None = None
    """Mean prediction of all members for other rows: (n, D) -> (n, K) or (n,)."""
    model: str | None = None
    """Whose predictions these are, None: those of the method's own networks."""

    def __getstate__(self) -> dict[str, object]:
        """The state to be pickled: everything but the networks behind `predict`."""
        return self.__dict__ | {"predict": None}


def train_lossval(
    data: TrainingData,
    loss: Loss,
    settings: Settings,
    runtime: Runtime,
    on_epoch: Callable[[Epoch], None] | None = None,
    *,
    on_device: bool = True,
) -> Fit:
    """Train networks and weights. Every random draw follows from `settings.seed`.

    The processes of `runtime` share the members; each calls this with the same arguments. Rows are kept on the device
    where they fit, unless `on_device` is false. Raises Diverged when the loss is no longer finite, Interrupted when the
    monitor of `runtime` is.
    """
    processes, monitor = runtime.processes, runtime.monitor
    rows = Rows(data.X, runtime.device, data.chunk_rows, hold=on_device)
    N, y, s = len(rows), torch.as_tensor(data.y).to(rows.device), weights_on(runtime.device, data.weights)
    objective = Objective(settings.objective, settings.ot_power)
    state = start_training(data, rows, s, settings, runtime)
    network, evidence, transport = state.network, state.evidence, state.transport
    epochs, batch_size, peak_rate, eta = settings.schedule(N)
    batches = math.ceil(N / batch_size)
    batches = max(batches, chunk_count(N, data.chunk_rows))
    first_averaged = math.floor(epochs * (1 - AVERAGED))
    rates = [peak_rate * learning_rate_factor(step, epochs * batches) for step in range(epochs * batches)]
    own_loss = ":" in loss.name
    shared = processes if can_split(network) else SINGLE_PROCESS  # each trains all that cannot be split
    parts = split_members(network, state.optimizer, evidence.members, shared, in_threads=not own_loss)
    refreshes = REFRESHES if transport.is_cached else 1
    stopped = False
    monitor.start()
    for epoch in range(len(state.history), epochs):
        # --- networks: each member descends Σ w ℓ / Σ w over the rows it trains on ----------------------
        is_averaged = epoch >= first_averaged
        for chunk in rows.chunks(batches, state.generator):  # m rows: all of them, or as many as fit
            trains, scores = evidence.masks(chunk.rows)  # (E, m): 1 or 0, and shares that sum to 1
            coefficients = trains * (state.w * s if objective.uses_loss else torch.ones_like(state.w) * s)[chunk.rows]
            coefficients *= (len(chunk.bounds) - 1) / coefficients.sum(1, keepdim=True)  # sum to about 1 over a batch
            take_steps = partial(
                _take_steps,
                chunk=chunk,
                y=y,
                coefficients=coefficients,
                scores=scores if is_averaged else None,
                rates=rates[state.step : state.step + len(chunk.bounds) - 1],
                loss=loss,
                classes=data.classes,
            )
            found = run_parts(parts, take_steps)
            state.step += len(chunk.bounds) - 1
            losses = torch.zeros_like(coefficients)  # of members that another process trains
            for part, (part_losses, _) in zip(parts, found, strict=True):
                losses[part.members] = part_losses
            evidence.record_losses(chunk.rows, losses * scores)
            if is_averaged:
                evidence.record_predictions(chunk.rows, sum(predictions for _, predictions in found))
        join_members(network, state.optimizer, parts, shared)
        evidence.join(shared)
        if is_averaged:
            evidence.count_predictions()

        # --- log-weights: one mirror step, in which the label part and the feature part are kept apart ---
        state.w, L = step_weights(
            evidence,
            state.w,
            state.potentials,
            objective,
            eta=eta,
            s=s,
        )
        if not math.isfinite(L):
            raise Diverged(
                f"training diverged in epoch {epoch + 1}: the loss is not finite; "
                f"lower learning_rate (now {settings.learning_rate:g})"
                f"{f', or look at your loss {loss.name}' if own_loss else ''}"
            )

        # --- transport: the potentials of the new weights, warm-started ----------------------------------
        if objective.uses_transport and is_refresh(epoch, epochs, refreshes):
            a = state.w * s / N
            # No step follows the last epoch.
            previous = state.potentials if epoch == epochs - 1 else None
            state.potentials = transport.refresh(a, tolerance=TOLERANCE, generator=state.generator, previous=previous)

        state.history.append(Epoch(epoch + 1, epochs, L, state.potentials.cost))
        stopped = monitor.end_epoch(epoch + 1, epochs, state.tensors, processes)
        if on_epoch is not None:
            on_epoch(state.history[-1])
        if stopped:
            break
    if evidence.prediction_epochs == 0:
        _predict_out_of_fold(state, loss, data.classes)
    return _fit(state, data, loss, stopped=stopped)


def _take_steps(
    part: Part,
    stopped: Event,
    *,
    chunk: Chunk,
    y: Tensor,
    coefficients: Tensor,
    scores: Tensor | None,
    rates: Sequence[float],
    loss: Loss,
    classes: int | None,
) -> tuple[Tensor, Tensor]:
    """Take the steps of some members over the m rows of a chunk. Returns their losses (members, m), and their
    predictions (m, K) times `scores` (E, m), where these are given."""
    losses = torch.empty_like(coefficients[part.members])
    predictions = losses.new_zeros(losses.shape[1] if scores is not None else 0, classes or 1)
    for (start, stop), rate in zip(pairwise(chunk.bounds), rates, strict=True):
        if stopped.is_set():
            break
        batch = slice(start, stop)
        output = _squeeze(part.network(chunk.X[batch], training=True), classes)  # (E, B, K) or (E, B)
        batch_losses = loss.per_row(output, y[chunk.rows[batch]])  # (E, B)
        # The sum over members gives each of them the gradient of its own weighted mean loss.
        torch.autograd.backward((batch_losses * coefficients[part.members, batch]).sum())
        part.optimizer.step(rate)
        losses[:, batch] = batch_losses.detach()
        if scores is not None:
            predictions[batch] = _weighted(_predictions(loss, output.detach(), classes), scores[part.members, batch])
    return losses, predictions


def _weighted(predictions: Tensor, share: Tensor) -> Tensor:
    """Sum predictions (E, b, K), each member's times its share (E, b): (b, K)."""
    return (predictions * share[:, :, None]).sum(0)


def _predict_out_of_fold(state: State, loss: Loss, classes: int | None) -> None:
    """Record the predictions of the networks as they are, where training was stopped early."""
    rows, evidence = state.transport.rows, state.evidence
    for start in range(0, len(rows), PREDICTED_AT_ONCE):
        index = torch.arange(start, min(start + PREDICTED_AT_ONCE, len(rows)), device=rows.device)
        _, scores = evidence.masks(index)
        output = _squeeze(state.network.predict(rows[start : start + len(index)]), classes)
        evidence.record_predictions(index, _weighted(_predictions(loss, output, classes), scores))
    evidence.count_predictions()


def _fit(state: State, data: TrainingData, loss: Loss, *, stopped: bool) -> Fit:
    """The final values of all rows."""
    evidence, classes = state.evidence, data.classes
    label, feature, spread, predictions = (
        _to_numpy(values) for values in (evidence.label, evidence.feature, evidence.spread(), evidence.predictions())
    )
    label, feature = normalise(label, feature, data.weights)
    importance = np.exp(label + feature)
    return Fit(
        importance=importance,
        importance_std=importance * spread,  # d exp(e) = exp(e) de
        label_evidence=label,
        feature_evidence=feature,
        predictions=predictions if classes is not None else predictions[:, 0],
        history=tuple(state.history),
        potentials=state.potentials,
        transport_sample=state.transport_sample,
        stopped=stopped,
        predict=_predictor(state.network, loss, classes, state.w.device),
    )


def _squeeze(output: Tensor, classes: int | None) -> Tensor:
    """(E, B, outputs) -> what the loss takes, (E, B, K) or (E, B)."""
    return output if classes is not None else output.squeeze(-1)


def _predictions(loss: Loss, output: Tensor, classes: int | None) -> Tensor:
    """Turn (E, B, K) or (E, B) into (E, B, K) probabilities, or (E, B, 1) predicted numbers."""
    answer = loss.respond(output)
    return answer if classes is not None else answer.unsqueeze(-1)


def _predictor(
    network: Ensemble | StackedModules, loss: Loss, classes: int | None, device: torch.device
) -> Callable[[npt.NDArray[np.float32]], Floats]:
    """Return a predictor that keeps the networks alive, but not the rows and their totals."""

    def predict(X: npt.NDArray[np.float32]) -> Floats:
        answer = loss.respond(network.predict(torch.as_tensor(X).to(device))).mean(0)
        return _to_numpy(answer if classes is not None else answer.squeeze(-1))

    return predict


def learning_rate_factor(step: int, steps: int) -> float:
    """Factor of the learning rate: linear warm-up, then a cosine to zero."""
    progress = (step + 1) / steps
    if progress < WARM_UP:
        return progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def is_refresh(epoch: int, epochs: int, refreshes: int) -> bool:
    """Return whether an epoch is a refresh: they are evenly spread over the run; the last epoch is one, so that what is
    reported is of the final weights."""
    every = max(1, math.ceil(epochs / refreshes))
    return (epochs - 1 - epoch) % every == 0


def _to_numpy(values: Tensor) -> Floats:
    return values.detach().cpu().numpy().astype(np.float64)
