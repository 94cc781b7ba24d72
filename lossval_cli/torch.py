"""LossVal in your own PyTorch loop: any model, any per-row loss, any order of batches.

    objective = LossVal(len(train), X_val)
    for epoch in range(epochs):
        for index, X, y in batches:                      # index: which training rows these are
            loss = objective(model(X), y, X, index)      # a scalar
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            objective.step()
        objective.end_epoch()
    print(objective.scores())

`variant="default"` is the objective of `lossval score` (lossval/objective.py lists how it deviates from the
paper), and takes the same weight step by the same code. `variant="paper"` is LossVal as published (Wibiral et
al., arXiv 2412.04158): one raw weight per row, trained by Adam, and a Sinkhorn divergence on every batch.

Only the networks differ from `lossval score`: it trains an ensemble and weighs a row by members that never
trained on it; here your model scores the rows that it trains on, as in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, SupportsIndex

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.distributed as dist
from torch import Tensor, nn

from lossval_cli.errors import Diverged, UsageError
from lossval_cli.losses import cross_entropy, find_any_loss
from lossval_cli.lossval.cost import MAX_SWEEPS, TOLERANCE, make_transport
from lossval_cli.lossval.cross_fitting import IN_SAMPLE, EvidenceAccumulator
from lossval_cli.lossval.objective import Objective
from lossval_cli.lossval.optimizer import AdamW
from lossval_cli.lossval.paper import batch_objective, published_cross_entropy
from lossval_cli.lossval.transport import Potentials, Transport
from lossval_cli.lossval.weights import normalise, step_weights
from lossval_cli.own_code import describe_error
from lossval_cli.runtime.row_loader import Rows
from lossval_cli.settings import Settings
from lossval_cli.text.format import pluralize, show
from lossval_cli.torch_inputs import (
    PerRowLoss,
    as_features,
    as_finite,
    as_loss,
    as_row_losses,
    as_tensor,
    as_whole_number,
    kind_of,
)

__all__ = ["LossVal"]

EXPECTED = {
    "classification": "logits (B, K) and classes (B,), whole numbers from 0 to K - 1",
    "regression": "numbers (B,) and targets (B,)",
    "multilabel": "logits (B, T) and tags (B, T), each 0 or 1",
}
"""The outputs and targets that named losses take."""


class LossVal(nn.Module):
    """Importance weights of the training rows, and the scalar to backpropagate: LossVal (Wibiral et al., arXiv
    2412.04158) for a training loop of your own.

    Everything that is learned is in `state_dict`; `.to(device)` moves it. With torch.distributed every process
    calls the same methods on its own batches and ends with the same weights; the model may be wrapped in
    DistributedDataParallel, this module must not be.
    """

    X_val: Tensor  # (J, D)
    w: Tensor  # (N,) weights of mean 1
    loss_sum: Tensor  # (N,) of this epoch
    seen: Tensor  # (N,) times that a row was in a batch of this epoch
    last_loss: Tensor  # (N,) NaN: never seen
    g: Tensor  # potentials of the trusted rows, kept between epochs
    epochs: Tensor
    X: Tensor  # (N, D) features of the rows, as last given
    placed: Tensor  # (N,) times that features were given in this epoch
    has_features: Tensor  # (N,) bool
    moved: Tensor  # whether features changed in this epoch
    adam_mean: Tensor
    adam_square: Tensor
    adam_step: Tensor

    def __init__(
        self,
        rows: SupportsIndex,
        X_val: Tensor | npt.ArrayLike,
        *,
        loss: str | PerRowLoss = "cross_entropy",
        variant: Literal["default", "paper"] = "default",
        objective: Literal["product", "loss", "transport", "additive"] = "product",
        ot_power: int = 2,
        learning_rate: float = 0.01,
        blur: float = 0.55,
        absolute: bool = False,
        seed: int = 0,
    ) -> None:
        """Weights of 1 for each row.

        rows: N, how many training rows there are; `index` counts them from 0.  X_val (J, ...): features of the trusted
        rows, in the space of the features given with each batch, finite; standardise them as you would for nearest
        neighbours.  loss: a name as in `lossval presets` ("cross_entropy" on logits, "huber(0.5)"), or a function of
        (outputs, targets) that returns one value per row, (B,), or several, (B, K), of which the mean counts.
        variant: `default`, the objective of `lossval score`, or `paper`, as published.  objective: what moves the
        weights: the `product` of loss and transport, one of them alone (`loss`, `transport`), or their sum
        (`additive`).  ot_power: exponent p of the transport cost, 0, 1 or 2.  learning_rate: of the weights, per epoch;
        for the paper's variant, of their Adam.  blur: width of the transport's smoothing, as a multiple of the typical
        distance between training and trusted rows (the paper's variant has its own).  absolute: |OT| in the paper's
        variant, as in the code behind its tables.  seed: of the rows that stand for others in large problems.

        Raises UsageError and SettingsError, one line each.
        """
        super().__init__()
        if variant not in ("default", "paper"):
            raise UsageError(f"LossVal: variant must be default or paper, not {show(variant)}")
        rows = as_whole_number(rows)
        # Checks the ranges, too.
        checked = {"objective": objective, "ot_power": ot_power, "blur": blur, "seed": seed}
        self._settings = Settings.resolve(overrides=checked | {"weight_learning_rate": learning_rate})
        self._absolute = absolute
        self.rows, self.variant = rows, variant
        self.loss = find_any_loss(loss) if isinstance(loss, str) else as_loss(loss)
        self._is_own_loss = not isinstance(loss, str) or ":" in loss
        self._is_tried = not self._is_own_loss  # whether its gradient was looked at
        X_val = as_features(X_val, "X_val").detach().clone()
        if variant == "default":
            X_val = X_val.float()
        self.register_buffer("X_val", as_finite(X_val))
        if variant == "paper":
            self.weights = nn.Parameter(X_val.new_ones(rows))
            self.register_buffer("adam_mean", X_val.new_zeros(rows))
            self.register_buffer("adam_square", X_val.new_zeros(rows))
            self.register_buffer("adam_step", torch.zeros(()))
            self._adam = AdamW([self.weights], weight_decay=0.0)
            return
        self._objective = Objective(objective, ot_power)
        self.evidence = EvidenceAccumulator(torch.full((rows,), IN_SAMPLE, dtype=torch.int16), 1, 1, 1)
        for name, values in {
            "w": torch.ones(rows),
            "loss_sum": torch.zeros(rows),
            "seen": torch.zeros(rows),
            "last_loss": torch.full((rows,), math.nan),
            "g": torch.zeros(min(len(X_val), self._settings.max_anchors)),
            "epochs": torch.zeros((), dtype=torch.int64),
        }.items():
            self.register_buffer(name, values)
        # Features come again with the batches: a checkpoint need not hold them.
        for name, values in {
            "X": torch.zeros(0),
            "placed": torch.zeros(rows),
            "has_features": torch.zeros(rows, dtype=torch.bool),
            "moved": torch.zeros((), dtype=torch.bool),
        }.items():
            self.register_buffer(name, values, persistent=False)
        self._transport: Transport | None = None

    def forward(self, outputs: Tensor, targets: Tensor, features: Tensor | None, index: Tensor) -> Tensor:
        """The scalar to backpropagate, for B rows of a batch: `objective(outputs, targets, features, index)`.

        outputs (B, K) logits, or (B,), or whatever the loss takes.  targets (B, ...): what the loss compares them with.
        features (B, ...): what the transport compares with X_val, inputs or the embedding of a layer; None: as given in
        an earlier epoch (default variant).  index (B,): which of the N rows these are, whole numbers from 0.

        Returns a scalar in the unit of the loss: Σ w ℓ / Σ w over the batch; for the paper's variant Σ w ℓ · OT^p. In
        evaluation mode nothing is recorded. Raises UsageError, one line, for shapes that do not fit, row numbers that
        do not exist, outputs without a gradient, and a loss that fails, reduces to one number or has no gradient.
        """
        index = self._index(index, outputs)
        losses = self._row_losses(outputs, targets)
        if self.training and torch.is_grad_enabled() and not losses.requires_grad:
            raise UsageError(
                "LossVal: the outputs have no gradient: give those of the model as they are, not detached, or call "
                "under torch.no_grad() to record losses alone"
            )
        if features is not None:
            features = as_features(features, "features").to(self.X_val)
            if features.shape != (len(index), self.X_val.shape[1]):
                raise UsageError(
                    f"LossVal: features of shape {tuple(features.shape)} do not fit {pluralize(len(index), 'row')} of "
                    f"the batch and X_val of shape {tuple(self.X_val.shape)}"
                )
        if self.variant == "paper":
            if features is None:
                raise UsageError("LossVal: variant paper needs the features of every batch")
            return batch_objective(
                self.weights[index],
                losses,
                features,
                self.X_val,
                objective=self._settings.objective,  # type: ignore[arg-type]  # Settings has checked it
                ot_power=self._settings.ot_power,
                absolute=self._absolute,
            ).value
        w = self.w[index] if self._objective.uses_loss else torch.ones_like(losses)
        if self.training:
            self._record(index, losses.detach().float(), None if features is None else features.detach())
        return (w * losses).sum() / w.sum()

    def step(self) -> None:
        """Take a step after `backward` of each batch. The paper's variant moves the weights by Adam; the default
        variant moves them in `end_epoch`, and does nothing here.

        Leave `objective.parameters()` out of your own optimizer, or put them in and do not call this. Raises UsageError
        if there is no gradient.
        """
        if self.variant != "paper":
            return
        if self.weights.grad is None:
            raise UsageError("LossVal: call backward() on the objective before step()")
        _all_reduce(self.weights.grad)
        # The state of Adam is in buffers, so that it is saved and moved with the module.
        self._adam.means, self._adam.squares = [self.adam_mean], [self.adam_square]
        self._adam.steps = [self.adam_step]
        self._adam.step(self._settings.weight_learning_rate)

    def end_epoch(self, X_val: Tensor | npt.ArrayLike | None = None) -> None:
        """End an epoch: take one mirror step of all weights (default variant).

        X_val (J, ...): the current embedding of the trusted rows, if it changes; None: unchanged. Rows that were in no
        batch of this epoch keep their last loss. Raises Diverged where a loss or a weight is not finite, UsageError
        for an X_val of another shape and for an epoch without rows.
        """
        if X_val is not None:
            moved = as_finite(as_features(X_val, "X_val").detach().to(self.X_val))
            if moved.shape != self.X_val.shape:
                raise UsageError(
                    f"LossVal: X_val was of shape {tuple(self.X_val.shape)} and is now of {tuple(moved.shape)}"
                )
            self.X_val, self._transport = moved, None
        if self.variant == "paper":
            if not bool(self.weights.isfinite().all()):
                raise Diverged("LossVal: a weight is not finite: lower learning_rate")
            return
        potentials = self._solve()
        self._end_losses()
        self.w, _ = step_weights(
            self.evidence,
            self.w,
            potentials,
            self._objective,
            eta=self._settings.weight_learning_rate,
        )
        self.epochs += 1

    def scores(self) -> pd.DataFrame:
        """The scores of each training row.

        Returns a DataFrame (N, 3) with one line per row, in their order: `importance`, `label_evidence` and
        `feature_evidence` (in nats). Importances are the weights: of mean 1, and in the default variant the exponential
        of the sum of the two evidences. In the paper's variant they may be negative, and evidences are NaN.
        """
        if self.variant == "paper":
            importance = self.weights.detach().double().cpu().numpy()
            label = feature = np.full(self.rows, np.nan)
        else:
            label, feature = (part.double().cpu().numpy() for part in (self.evidence.label, self.evidence.feature))
            label, feature = normalise(label, feature, None)
            importance = np.exp(label + feature)
        columns = {"importance": importance, "label_evidence": label, "feature_evidence": feature}
        return pd.DataFrame(columns, index=pd.RangeIndex(self.rows, name="row"))

    def extra_repr(self) -> str:
        """The text that `print(objective)` shows."""
        return f"rows={self.rows}, X_val={tuple(self.X_val.shape)}, variant={self.variant!r}, loss={self.loss.name!r}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LossVal:
        """Moved to another device: the transport is made there again."""
        self._transport = None
        return super()._apply(fn, recurse)  # type: ignore[no-any-return, no-untyped-call]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        """A state of other rows is refused in one line, also where this is a part of the model that is loaded."""
        variant = "paper" if f"{prefix}weights" in state_dict else "default"
        name = f"{prefix}{'w' if variant == 'default' else 'weights'}"
        if name in state_dict and variant != self.variant:
            raise UsageError(f"LossVal: the saved state is of variant {variant}, and this objective of {self.variant}")
        if name in state_dict and len(state_dict[name]) != self.rows:
            raise UsageError(
                f"LossVal: the saved state is of {pluralize(len(state_dict[name]), 'row')}, and this objective of "
                f"{self.rows:,}: make it with as many rows, in the same order"
            )
        X_val = state_dict.get(f"{prefix}X_val", self.X_val)
        if X_val.shape != self.X_val.shape:
            raise UsageError(
                f"LossVal: X_val of the saved state is of shape {tuple(X_val.shape)}, and that of this objective of "
                f"{tuple(self.X_val.shape)}"
            )
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    # --- one batch --------------------------------------------------------------------------------------------

    def _index(self, index: Tensor, outputs: Tensor) -> Tensor:
        if not isinstance(outputs, Tensor) or outputs.ndim == 0:
            raise UsageError(f"LossVal: outputs must be a tensor of one line per row, not {kind_of(outputs)}")
        if outputs.device != self.X_val.device:
            raise UsageError(
                f"LossVal: outputs are on {outputs.device}, and the objective is on {self.X_val.device}: move it with "
                "objective.to(device)"
            )
        index = as_tensor(index, "index")
        if index.ndim != 1 or index.is_floating_point() or index.dtype == torch.bool or len(index) != len(outputs):
            raise UsageError(
                f"LossVal: index must hold the row numbers of the batch, one for each of {len(outputs)} outputs; it is "
                f"of shape {tuple(index.shape)} and type {index.dtype}"
            )
        # Looking at numbers on a GPU would make it wait in every batch.
        if index.device.type == "cpu" and len(index) and not (0 <= int(index.min()) <= int(index.max()) < self.rows):
            raise UsageError(
                f"LossVal: index holds {int(index.min())} to {int(index.max())}, but the {self.rows} rows are counted "
                "from 0"
            )
        return index.to(self.X_val.device)

    def _row_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the losses (B,) of the batch."""
        if not self._is_own_loss:
            targets = as_tensor(targets, "targets").to(outputs.device)
        if isinstance(targets, Tensor) and targets.ndim and len(targets) != len(outputs):
            raise UsageError(f"LossVal: {len(targets)} targets for {pluralize(len(outputs), 'row')} of outputs")
        is_column = outputs.ndim == 2 and outputs.shape[1] == 1
        if self.loss.task == "regression" and is_column and targets.ndim == 1:
            outputs = outputs.squeeze(1)
        try:
            if self.loss.per_row is cross_entropy and self.variant == "paper":
                losses = published_cross_entropy(outputs.softmax(-1), targets)
            else:
                losses = self.loss.per_row(outputs, targets)
        except Exception as error:
            takes = "" if self._is_own_loss else f"; it takes {EXPECTED[self.loss.task]}"
            raise UsageError(
                f"LossVal: loss {self.loss.name} failed for outputs {kind_of(outputs)} and targets {kind_of(targets)}: "
                f"{describe_error(error)}{takes}"
            ) from error
        losses = as_row_losses(losses, outputs, targets)
        if not self._is_tried and losses.requires_grad and outputs.requires_grad:
            self._is_tried = True
            if torch.autograd.grad(losses.sum(), outputs, retain_graph=True, allow_unused=True)[0] is None:
                raise UsageError("LossVal: the loss has no gradient with respect to the outputs")
        return losses

    def _record(self, index: Tensor, losses: Tensor, features: Tensor | None) -> None:
        """A row may be in an epoch several times: its mean counts."""
        self.loss_sum.index_add_(0, index, losses)
        self.seen.index_add_(0, index, torch.ones_like(losses))
        if features is None:
            return
        if len(self.X) == 0:
            self.X = features.new_zeros(self.rows, features.shape[1])
        self.moved |= ~self.has_features[index].all() | (self.X[index] != features).any()
        self.X[index] = features
        self.has_features[index] = True
        self.placed[index] = 1

    # --- the end of an epoch ----------------------------------------------------------------------------------

    def _end_losses(self) -> None:
        """The losses of the epoch, of all processes, for the weight step."""
        _all_reduce(self.loss_sum)
        _all_reduce(self.seen)
        is_seen = self.seen > 0
        if not bool(is_seen.any()):
            raise UsageError("LossVal: no row was seen in this epoch: call the objective in training mode first")
        self.last_loss = torch.where(is_seen, self.loss_sum / self.seen, self.last_loss)
        wrong = (is_seen & ~self.last_loss.isfinite()).nonzero()
        if len(wrong):
            raise Diverged(
                f"LossVal: the loss of row {int(wrong[0])} is not finite: lower the learning rate, or fix the loss"
            )
        # A row that was never seen is taken for an average one.
        average = self.last_loss.nanmean()
        self.evidence.losses[0] = torch.where(self.last_loss.isnan(), average, self.last_loss)
        self.loss_sum.zero_()
        self.seen.zero_()

    def _solve(self) -> Potentials:
        """The potentials of the present weights and features."""
        if not self._objective.uses_transport:
            return Potentials(torch.zeros_like(self.w), self.g, 1.0, 0.0, converged=True)
        self._share_features()
        has = self.has_features
        if not bool(has.any()):
            raise UsageError("LossVal: no row has features: pass them with the batches of the first epoch")
        generator = torch.Generator().manual_seed(self._settings.seed + int(self.epochs))
        masses = self.w * has / (self.w * has).sum()
        if self._transport is None:
            if not bool(self.X.isfinite().all()):
                raise UsageError("LossVal: features hold a value that is not finite")
            counted = None if bool(has.all()) else has.double().cpu().numpy()
            X_val = self.X_val.cpu().numpy()
            rows = Rows(self.X, self.X.device)
            penalty = np.zeros(self.rows)
            self._transport = make_transport(rows, X_val, penalty, self._settings, generator, weights=counted).transport
            self._transport.g = self.g.clone()
        if int(self.epochs) == 0:
            found = self._transport.solve(masses, tolerance=TOLERANCE, max_sweeps=MAX_SWEEPS, generator=generator)
        else:
            found = self._transport.refresh(masses, tolerance=TOLERANCE, generator=generator)
        self.g = self._transport.g.clone()
        return found._replace(f=torch.where(has, found.f, found.cost))

    def _share_features(self) -> None:
        """Bring together the features that each process has seen in this epoch."""
        moved = _all_reduce(self.moved.float()) > 0
        if bool(moved):
            self._transport = None
            if _is_distributed():
                if len(self.X) == 0:
                    self.X = self.X_val.new_zeros(self.rows, self.X_val.shape[1])
                total = _all_reduce(self.X * self.placed[:, None])
                count = _all_reduce(self.placed)
                is_new = count > 0
                self.X = torch.where(is_new[:, None], total / count.clamp(min=1)[:, None], self.X)
                self.has_features |= is_new
        self.moved.zero_()
        self.placed.zero_()


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _all_reduce(values: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if _is_distributed():
        dist.all_reduce(values)
    return values
