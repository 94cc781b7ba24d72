"""The `lossval` method: log-weights and networks trained together, as the paper's algorithm box reads.

    price     how odd each row's features are, learned without labels                       (surprise)
    cost      c(x, x') = ¾ + ¼ ‖x − x'‖² / median + price(x)
    transport potentials f of the weighted training set to the validation rows              (transport)
    for each epoch, for each batch of rows:
        every member predicts every row; a row is judged by the members that never train on it: ℓ_n
        networks:     AdamW step on Σ w_n ℓ_n / Σ w_n over each member's own rows
        log-weights:  log w_n −= η ( ℓ_n / L + p f_n / OT ), the two parts kept apart       (objective)
    after each epoch: mean-1 normalisation of w; the potentials brought up to date now and then

Rows may lie on the device, in a file or with several processes (rows, team); sums go over all of them. After
any step training can be saved and go on from there to the same bits, or stop early (watch, state).

A step is multiplicative in w (mirror descent with the entropy as its mirror), so weights stay positive and
a row's log-weight is the sum of two running totals: what its label did and what its features did.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from lossval_cli.errors import Diverged, TrainingError
from lossval_cli.features.encoder import Block
from lossval_cli.losses import Loss
from lossval_cli.lossval.cross_fitting import EvidenceAccumulator, draw_folds, fold_masks
from lossval_cli.lossval.feature_scaling import FIT_ROWS, relevance
from lossval_cli.lossval.network import Ensemble
from lossval_cli.lossval.objective import Objective
from lossval_cli.lossval.optimizer import AdamW
from lossval_cli.lossval.state import Epoch, State
from lossval_cli.lossval.transport import Potentials, Transport, median_cost
from lossval_cli.lossval.validation_sample import choose_validation_sample, sampling_error
from lossval_cli.noise.outliers import OutlierEstimate, measure
from lossval_cli.runtime.distributed import SINGLE_PROCESS, ProcessGroup
from lossval_cli.runtime.row_loader import CHUNK_ROWS, Chunk, Rows, RowSource, chunk_count, draw_rows
from lossval_cli.runtime.stop import INTERRUPT, STOP, Interrupted, TrainingMonitor
from lossval_cli.settings import Settings
from lossval_cli.text.format import pluralize

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

LAST_PASS = 0.5
"""What predicting every row once takes, as a share of an epoch, with a margin."""

FEWEST_ON_DEVICE = 1 << 12
"""Rows at once below which no device is too small for a table: the networks are."""

PREDICTED_AT_ONCE = 1 << 13
"""Rows predicted at once in the last pass of a run that is cut short."""


class TrainingData(NamedTuple):
    """What is learned from. `y` holds class indices when `classes` is given, else what the loss wants."""

    X: RowSource  # (N, D)
    y: npt.NDArray[np.generic]  # (N,)
    X_val: npt.NDArray[np.float32]  # (J, D)
    blocks: tuple[Block, ...]
    classes: int | None
    held_out: npt.NDArray[np.int64] | None = None  # (J,) rows of X that X_val is; no member trains on them
    chunk_rows: int = CHUNK_ROWS  # shuffled together


@dataclass(frozen=True)
class Fit:
    """What training found out about each row: of all on the first process, on another of its own."""

    label_evidence: npt.NDArray[np.float64]
    feature_evidence: npt.NDArray[np.float64]
    """(N,) the two parts of log-importance; exp of their sum has mean 1."""
    spread: npt.NDArray[np.float64]
    """(N,) standard deviation of the label evidence over the members that judged the row; NaN with one."""
    predictions: npt.NDArray[np.float64]
    """(N, K) probabilities or (N,), by members that did not train on the row."""
    outlier_estimate: OutlierEstimate
    potentials: Potentials
    history: tuple[Epoch, ...]
    stopped: bool
    """Whether time was up before the last epoch."""
    anchors: dict[str, float] | None
    """Where the transport knows a part of the validation rows: `used`, `of`, and `error`, see `anchors`."""
    notices: tuple[str, ...]
    """What happened on the way that a reader has to know."""
    predict: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]
    """Mean prediction of all members for other rows: (n, D) -> (n, K) or (n,)."""


def fit_lossval(
    training_data: TrainingData,
    loss: Loss,
    settings: Settings,
    device: torch.device,
    on_epoch: Callable[[Epoch], None] | None = None,
    *,
    monitor: TrainingMonitor | None = None,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> Fit:
    """Train networks and weights on `problem`. Every draw follows from `settings.seed`.

    `watch` may end training early; `team`: the processes that share the rows, each called with the same
    arguments. Raises Diverged when the loss is no longer finite, and Interrupted when `watch` is.
    """
    notices: list[str] = []
    on_device = True
    with monitor or TrainingMonitor() as watching:
        while True:
            run: _Run | None = None
            try:
                run = _Run(training_data, loss, settings, device, watching, processes, on_device=on_device)
                return run.to_the_end(on_epoch, notices)
            except torch.OutOfMemoryError as error:
                training_data, on_device = _smaller(training_data, error, processes), False
            del run  # lets go of what filled the device
            torch.cuda.empty_cache()
            watching.resume = True
            notices.append(
                f"out of memory on {device}: begun again with rows read in blocks of "
                f"{min(training_data.chunk_rows, len(training_data.X)):,}"
            )


def _smaller(training_data: TrainingData, error: Exception, processes: ProcessGroup) -> TrainingData:
    """The same problem, a quarter as many rows on the device at once; TrainingError where that cannot be."""
    rows = min(training_data.chunk_rows, len(training_data.X))
    if rows <= FEWEST_ON_DEVICE or not processes.is_single:  # others are in the middle of a step
        raise TrainingError(
            f"out of memory on the device with {pluralize(rows, 'row')} at once: "
            "lower batch_size, members or hidden, or use --device cpu"
        ) from error
    return training_data._replace(chunk_rows=max(FEWEST_ON_DEVICE, rows // 4))


class _Run:
    """The algorithm box above, on one process's rows (n of N)."""

    def __init__(
        self,
        training_data: TrainingData,
        loss: Loss,
        settings: Settings,
        device: torch.device,
        monitor: TrainingMonitor,
        processes: ProcessGroup,
        *,
        on_device: bool,
    ) -> None:
        generator = torch.Generator().manual_seed(settings.seed)
        self.loss, self.settings, self.device, self.monitor, self.processes = (
            loss,
            settings,
            device,
            monitor,
            processes,
        )
        self.classes = training_data.classes
        self.objective = Objective(settings.objective, settings.ot_power)
        self.rows = rows = Rows(training_data.X, device, processes, training_data.chunk_rows, hold=on_device)
        self.y = torch.as_tensor(training_data.y[rows.own]).to(device)  # (n,)
        N, outputs, held_out = rows.total, training_data.classes or 1, training_data.held_out
        saved = monitor.load()

        # --- price and transport ---
        rng = np.random.default_rng(settings.seed)
        with threadpool_limits(1, user_api="blas"):  # its matrices are small: threads would wait for others
            classes = None if training_data.classes is None else training_data.y.astype(np.int64)
            self.outlier_estimate = measure(training_data.X, training_data.blocks, rng, rows.own, classes)
        most = settings.max_anchors
        anchors = choose_validation_sample(training_data.X_val, most, np.random.default_rng([settings.seed, most]))
        X_val = torch.as_tensor(training_data.X_val[anchors.rows]).to(device)
        epsilon = (1 - FIXED_COST) * settings.blur**2
        scale = median_cost(rows, X_val, generator) / (1 - FIXED_COST)
        self.anchors: dict[str, float] | None = None
        if len(anchors.rows) < anchors.of:
            error = sampling_error(
                rows,
                training_data.X_val,
                most,
                epsilon=epsilon,
                scale=scale,
                tolerance=TOLERANCE,
                sweeps=MOST_SWEEPS,
                seed=settings.seed,
            )
            self.anchors = {"used": len(anchors.rows), "of": anchors.of, "error": error}
        self.transport = Transport(
            rows,
            X_val,
            epsilon=epsilon,
            scale=scale,
            penalty=torch.as_tensor(FIXED_COST + self.outlier_estimate.penalty, dtype=X_val.dtype, device=device),
            own=_own_rows(rows, None if held_out is None else held_out[anchors.rows]),
        )
        weights = torch.ones(len(rows), device=device)  # (n,) mean 1 over all N
        sweeps = MOST_SWEEPS if saved is None else 1
        potentials = self.transport.solve(weights / N, tolerance=TOLERANCE, most=sweeps, generator=generator)

        # --- networks ---
        members, folds = settings.ensemble_size(N)
        self.network = Ensemble(
            members,
            rows.width,
            outputs,
            settings,
            generator=generator,
            device=device,
        )
        self.optimizer = AdamW(self.network.parameters(), weight_decay=settings.weight_decay)
        fold = draw_folds(N, members, folds, held_out, generator)
        at = draw_rows(N, FIT_ROWS, torch.Generator().manual_seed(settings.seed)).sort().values
        trains, _ = fold_masks(fold[at], members, folds)
        y = torch.as_tensor(training_data.y[at.numpy()])
        sample = rows.sample(at).cpu()
        scales = relevance(sample, y, trains, self.classes, len(training_data.blocks))
        self.network.scales = scales.to(device)
        fold = fold[rows.own].to(device)
        evidence = EvidenceAccumulator(fold, members, folds, outputs, by_all=held_out is not None)
        self.state = State(self.network, self.optimizer, generator, evidence, self.transport, potentials, weights)
        if saved is not None:
            self.state.restore(saved)

        batches = math.ceil(N / min(N, settings.batch_size or batch_size_for(N)))
        self.batches = max(batches, chunk_count(N, training_data.chunk_rows))
        self.remember_from = math.floor(settings.epochs * (1 - REMEMBERED))
        self.refreshes = REFRESHES if self.transport.is_cached else 1
        self._started, self._first_step = time.monotonic(), self.state.step

    def to_the_end(self, on_epoch: Callable[[Epoch], None] | None, notices: Sequence[str]) -> Fit:
        """All epochs, or as many as there is time for."""
        stopped = False
        while self.state.epoch < self.settings.epochs and not stopped:
            stopped = self.epoch()
            if on_epoch is not None:
                on_epoch(self.state.history[-1])
        return self.result(stopped, notices)

    def epoch(self) -> bool:
        """One epoch, or what is left of it; whether time was up before its end."""
        state = self.state
        if state.began is None:
            state.began = state.generator.get_state()
        else:
            state.generator.set_state(state.began)
        stopped = False
        for chunk in self.rows.chunks(self.batches, state.generator, skip=state.chunk):
            stopped = self._chunk(chunk)
            if stopped:
                self._last_pass()
                break
            state.chunk, state.batch = state.chunk + 1, 0
        self._end_epoch(last=stopped)
        return stopped

    def _chunk(self, chunk: Chunk) -> bool:
        """AdamW steps on the batches of a chunk of n rows; whether time was up before its end."""
        state, evidence = self.state, self.state.evidence
        batches = len(chunk.bounds) - 1
        y = self.y[chunk.rows]
        own, share = evidence.masks(chunk.rows)  # (E, n) each
        if self.objective.uses_loss:
            own = own * state.weights[chunk.rows]
        own = own * (batches / self.processes.sum(own.sum(1, keepdim=True)))  # sums to about 1 over a batch
        losses = torch.empty_like(own)
        kept = chunk.bounds[state.batch]

        def keep(stop: int) -> None:
            nonlocal kept
            evidence.keep(chunk.rows[kept:stop], losses[:, kept:stop] * share[:, kept:stop])
            kept = stop

        while state.batch < batches:
            start, stop = chunk.bounds[state.batch : state.batch + 2]
            output = self._output(chunk.X[start:stop], training=True)
            losses_here = self.loss.per_row(output, y[start:stop])  # (E, B)
            # The sum over members gives each the gradient of its own weighted mean loss.
            requests = self._step((losses_here * own[:, start:stop]).sum())
            losses[:, start:stop] = losses_here.detach()
            if state.epoch >= self.remember_from:
                self._remember(chunk.rows[start:stop], output.detach(), share[:, start:stop])
            state.batch += 1
            if not any(requests):
                continue
            keep(stop)  # whatever was asked for, it is saved: a run that stops can be gone on with
            self.monitor.save(lambda: state.tensors(self.processes), writes=self.processes.is_main)
            if requests[INTERRUPT]:
                raise Interrupted(
                    f"interrupted in epoch {state.epoch + 1} of {self.settings.epochs} and saved; "
                    "the same command with --resume goes on from there"
                )
            if requests[STOP]:
                return True
        keep(chunk.bounds[-1])
        return False

    def _step(self, value: Tensor) -> list[float]:
        """One step down `value`; what the processes want next."""
        factor = learning_rate_factor(self.state.step, self.settings.epochs * self.batches)
        torch.autograd.backward(value)
        self.state.step += 1
        seconds = (time.monotonic() - self._started) / (self.state.step - self._first_step)
        requests = self.monitor.requests(LAST_PASS * seconds * self.batches)
        requests = self.processes.sum_gradients(self.network.parameters(), requests)
        self.optimizer.step(self.settings.learning_rate * factor)
        return requests

    def _end_epoch(self, *, last: bool) -> None:
        """Log-weights and potentials from what the epoch found; `last`: whatever the settings say."""
        state, evidence, N = self.state, self.state.evidence, self.rows.total
        if last:
            state.passes = 1
        elif state.epoch >= self.remember_from:
            state.passes += 1
        heldout = evidence.heldout()  # (n,) ℓ_n
        mean_loss = self.processes.sum(state.weights @ heldout) / N  # L
        cost = torch.tensor(state.potentials.cost, device=self.device)  # OT
        for_label, for_feature = self.objective.factors(mean_loss, cost)
        evidence.add(for_label, for_feature, state.potentials.f, self.settings.weight_learning_rate)
        state.weights = _mean_one(evidence.label + evidence.feature, N, self.processes)
        due = last or _is_refresh(state.epoch, self.settings.epochs, self.refreshes)
        if self.objective.uses_transport and due:
            state.potentials = self.transport.refresh(state.weights / N, tolerance=TOLERANCE, generator=state.generator)
        found = Epoch(state.epoch + 1, self.settings.epochs, float(mean_loss), state.potentials.cost)
        if not math.isfinite(found.loss):
            raise (TrainingError if last else Diverged)(  # where time is up, none is left for smaller steps
                f"training diverged in epoch {found.epoch}: the loss is not finite; "
                f"lower learning_rate (now {self.settings.learning_rate:g})"
            )
        state.history.append(found)
        state.epoch, state.chunk, state.batch, state.began = found.epoch, 0, 0, None

    def _last_pass(self) -> None:
        """Every row as the networks now judge it, in place of an epoch that is cut short."""
        evidence = self.state.evidence
        evidence.prediction_sum.zero_()
        for start in range(0, len(self.rows), PREDICTED_AT_ONCE):
            part = slice(start, min(start + PREDICTED_AT_ONCE, len(self.rows)))
            places = torch.arange(part.start, part.stop, device=self.device)
            with torch.no_grad():
                output = self._output(self.rows[part])
                _, share = evidence.masks(places)
                evidence.keep(places, self.loss.per_row(output, self.y[part]) * share)
                self._remember(places, output, share)

    def _output(self, X: Tensor, *, training: bool = False) -> Tensor:
        """(B, D) -> what the loss takes, (E, B, K) or (E, B)."""
        output = self.network(X, training=training)
        return output if self.classes is not None else output.squeeze(-1)

    def _remember(self, rows: Tensor, output: Tensor, share: Tensor) -> None:
        answer = self.loss.respond(output)
        answer = answer if self.classes is not None else answer.unsqueeze(-1)
        self.state.evidence.prediction_sum[rows] += (answer * share[:, :, None]).sum(0)

    def result(self, stopped: bool, notices: Sequence[str]) -> Fit:
        """What is known at the end, collected by the first process."""
        state, evidence, N = self.state, self.state.evidence, self.rows.total
        label, feature, spread, predictions = (
            _to_numpy(self.processes.gather(values, N))
            for values in (
                evidence.label,
                evidence.feature,
                evidence.spread(),
                evidence.prediction_sum / max(1, state.passes),
            )
        )
        label_evidence, feature_evidence = _normalised(label, feature)
        return Fit(
            label_evidence,
            feature_evidence,
            spread,
            predictions if self.classes is not None else predictions[:, 0],
            self.outlier_estimate.gathered(self.processes, N),
            state.potentials,
            tuple(state.history),
            stopped,
            self.anchors,
            tuple(notices),
            _predictor(self.network, self.loss, self.classes, self.device),
        )


def _predictor(
    network: Ensemble, loss: Loss, classes: int | None, device: torch.device
) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]:
    """Holds on to the networks alone: rows and totals are let go of."""

    def predict(X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        answer = loss.respond(network.predict(torch.as_tensor(X).to(device))).mean(0)
        return _to_numpy(answer if classes is not None else answer.squeeze(-1))

    return predict


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


def _own_rows(rows: Rows, held_out: npt.NDArray[np.int64] | None) -> Tensor | None:
    """(n,) the validation row that each training row is, −1 where none."""
    if held_out is None:
        return None
    own = torch.full((rows.total,), -1, dtype=torch.int64)
    own[torch.as_tensor(held_out)] = torch.arange(len(held_out))
    return own[rows.own].to(rows.device)


def _mean_one(log_weights: Tensor, total: int, processes: ProcessGroup) -> Tensor:
    """(n,) weights of mean 1 over the `total` rows of all processes."""
    if processes.is_single:
        return torch.softmax(log_weights, 0) * total
    weights = (log_weights - processes.largest(log_weights.max())).exp_()
    return weights * (total / processes.sum(weights.sum()))


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


def _to_numpy(values: Tensor) -> npt.NDArray[np.float64]:
    return values.detach().cpu().numpy().astype(np.float64)
