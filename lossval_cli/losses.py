"""Per-row losses: what the label part of the objective is made of, by name.

A loss maps a network's output and the targets of the same rows to one number a row. Members of an ensemble
are leading axes, so that E networks are scored in one call:

    classification   prediction (..., B, K) logits    target (..., B) int64     -> (..., B)
    multilabel       prediction (..., B, T) logits    target (B, T) 0 or 1      -> (..., B)
    regression       prediction (..., B)              target (..., B) float     -> (..., B)

Targets broadcast over the leading axes. `find_loss` turns what a user writes into a `Loss`: a name
("huber"), a name with its parameter ("huber(2)"), or a function of their own ("package.module:function").
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from lossval_cli.errors import CellError, SettingsError
from lossval_cli.own_code import FAILURES, Given, describe_error, load_object
from lossval_cli.text.format import closest_name

if TYPE_CHECKING:
    from torch import Tensor

Task = Literal["classification", "regression", "multilabel"]

SMALLEST_MISS = 2.0**-126
"""The smallest normal float32."""


@dataclass(frozen=True)
class Parameter:
    """The one number that shapes a loss, given in brackets: `quantile(0.9)`. The range includes its ends."""

    name: str  # the keyword of `per_row`
    low: float
    high: float


@dataclass(frozen=True)
class Loss:
    """A differentiable per-row loss and what it expects of the target.

    `target` and `link` matter for regression only: a classification target is a class index and the network's
    output holds logits.
    """

    name: str
    task: Task
    per_row: Callable[..., Tensor]  # (prediction, target) -> (..., B), shapes as in the module's docstring
    target: Literal["standardised", "raw"] = "standardised"  # raw: as the table has it
    link: Literal["identity", "log"] = "identity"  # log: the output is the logarithm of the predicted mean
    lowest: float | None = None  # the smallest target the loss is defined for
    parameter: Parameter | None = None
    ordered: bool = False  # classes must be steps of a scale, numbered in their order

    def respond(self, output: Tensor) -> Tensor:
        """The network's output as a prediction: probabilities (..., B, K), or the target's unit (..., B)."""
        if self.task == "classification":
            return output.softmax(-1)
        if self.task == "multilabel":
            return output.sigmoid()
        return output.exp() if self.link == "log" else output


# --- classification ---------------------------------------------------------------------------------------


def _own_class(values: Tensor, target: Tensor) -> Tensor:
    """Per row the entry of its own class: (..., B, K), (..., B) -> (..., B)."""
    return values.gather(-1, target.expand(values.shape[:-1]).unsqueeze(-1)).squeeze(-1)


def cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    """ℓ = −log p_y, with p = softmax(prediction)."""
    return -_own_class(prediction.log_softmax(-1), target)


def focal(prediction: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """ℓ = −(1 − p_y)^γ log p_y (Lin et al., 2017): rows already right count less; γ = 0 is cross_entropy."""
    log_p = _own_class(prediction.log_softmax(-1), target)
    # A sure row has p_y = 1 in floating point, where the power's slope is infinite for γ < 1 and 0·∞ is NaN:
    # the clamp cuts the gradient there, whose limit is 0.
    miss = (-log_p.expm1()).clamp_min(SMALLEST_MISS)
    return -(miss**gamma) * log_p


def label_smoothed_cross_entropy(prediction: Tensor, target: Tensor, smoothing: float = 0.1) -> Tensor:
    """ℓ = −(1 − s) log p_y − (s / K) Σ_k log p_k (Szegedy et al., 2016); s = 0 is cross_entropy."""
    log_p = prediction.log_softmax(-1)
    return -(1 - smoothing) * _own_class(log_p, target) - smoothing * log_p.mean(-1)


def cumulative_cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    """ℓ = −Σ_k log P(the target's side of the boundary after class k), of ordered classes 0 < 1 < …: the ranked
    ignorance score (Tödter & Ahrens, 2012), which grows with every step that the prediction is away; of two classes,
    cross_entropy."""
    import torch

    log_p = prediction.log_softmax(-1)
    up_to = log_p.logcumsumexp(-1)[..., :-1]  # log P(y ≤ k)
    beyond = log_p.flip(-1).logcumsumexp(-1).flip(-1)[..., 1:]  # log P(y > k)
    boundary = torch.arange(up_to.shape[-1], device=target.device)
    return -torch.where(target.unsqueeze(-1) <= boundary, up_to, beyond).sum(-1)


# --- several tags a row -----------------------------------------------------------------------------------


def binary_cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    """ℓ = −(1/T) Σ_t log P(tag t is as it is), each tag by its own logistic function."""
    from torch.nn.functional import softplus

    return (softplus(prediction) - target * prediction).mean(-1)


# --- regression -------------------------------------------------------------------------------------------


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """ℓ = (ŷ − y)²."""
    return (prediction - target).square()


def absolute(prediction: Tensor, target: Tensor) -> Tensor:
    """ℓ = |ŷ − y|."""
    return (prediction - target).abs()


def huber(prediction: Tensor, target: Tensor, delta: float = 1.0) -> Tensor:
    """ℓ = r²/2 where r = |ŷ − y| ≤ δ, δ (r − δ/2) beyond (Huber, 1964); δ in the target's unit."""
    error = (prediction - target).abs()
    inner = error.clamp_max(delta)
    return inner * (error - inner / 2)


def quantile(prediction: Tensor, target: Tensor, level: float = 0.5) -> Tensor:
    """ℓ = max(τ u, (τ − 1) u), u = y − ŷ (Koenker & Bassett, 1978); τ = 0.5 is half of `absolute`."""
    error = target - prediction
    return (level * error).maximum((level - 1) * error)


def poisson_deviance(prediction: Tensor, target: Tensor) -> Tensor:
    """ℓ = 2 (y log y − y η − y + e^η), η = prediction = log of the mean, y ≥ 0 the raw count, 0 log 0 = 0."""
    return 2 * (target.xlogy(target) - target * prediction - target + prediction.exp())


# --- the registry -----------------------------------------------------------------------------------------

_REGISTRY = {
    loss.name: loss
    for loss in (
        Loss("cross_entropy", "classification", cross_entropy),
        Loss("focal", "classification", focal, parameter=Parameter("gamma", 0, 10)),
        Loss(
            "label_smoothed_cross_entropy",
            "classification",
            label_smoothed_cross_entropy,
            parameter=Parameter("smoothing", 0, 0.9),
        ),
        Loss("cumulative_cross_entropy", "classification", cumulative_cross_entropy, ordered=True),
        Loss("binary_cross_entropy", "multilabel", binary_cross_entropy),
        Loss("squared_error", "regression", squared_error),
        Loss("absolute", "regression", absolute),
        Loss("huber", "regression", huber, parameter=Parameter("delta", 1e-6, 1e6)),
        Loss("quantile", "regression", quantile, parameter=Parameter("level", 0.001, 0.999)),
        Loss("poisson_deviance", "regression", poisson_deviance, target="raw", link="log", lowest=0),
    )
}


def loss_names(task: Task) -> list[str]:
    """The names of the losses that fit a task."""
    return [loss.name for loss in _REGISTRY.values() if loss.task == task]


def find_loss(spec: str, task: Task) -> Loss:
    """The loss a setting means.

    `spec` is a name, a name with its parameter ("huber(2)"), or "package.module:name". The last one IMPORTS
    AND RUNS the user's own code: the module is looked for where Python looks and then in the current
    directory, and `name` is a per-row function for the task at hand or a `Loss`. Raises SettingsError, in one
    line.
    """
    if ":" in spec or isinstance(spec, Given):
        loss = _import_loss(spec, task)
    else:
        bracket = re.fullmatch(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*", spec)
        name, value = bracket.groups() if bracket else (spec, None)
        if name not in _REGISTRY:
            raise _no_loss(name, loss_names(task))
        loss = _REGISTRY[name] if value is None else _with_parameter(_REGISTRY[name], value)
    if loss.task != task:
        fitting = ", ".join(loss_names(task))
        raise SettingsError([f"loss: {loss.name!r} is for {loss.task}, but the task is {task}; use one of {fitting}"])
    return loss


def find_any_loss(spec: str) -> Loss:
    """The loss of a name, whichever task it is for; the user's own is taken as it is. See `find_loss`."""
    name = spec.partition("(")[0].strip()
    known = _REGISTRY.get(name)
    if known is None and ":" not in spec:
        raise _no_loss(name, _REGISTRY)
    return find_loss(spec, "classification" if known is None else known.task)


def _no_loss(name: str, names: Iterable[str]) -> SettingsError:
    close = closest_name(name, list(_REGISTRY))
    hint = f"did you mean {close!r}?" if close else f"use one of {', '.join(names)}"
    return SettingsError([f"loss: there is no loss {name!r}; {hint}"])


def _with_parameter(loss: Loss, text: str) -> Loss:
    if loss.parameter is None:
        raise SettingsError([f"loss: {loss.name!r} has no parameter; write {loss.name!r} without brackets"])
    limits = f"{loss.parameter.name} must be a number from {loss.parameter.low:g} to {loss.parameter.high:g}"
    try:
        value = float(text)
    except ValueError:
        raise SettingsError([f"loss: {loss.name}({text}): {limits}"]) from None
    if not loss.parameter.low <= value <= loss.parameter.high:  # also catches nan
        raise SettingsError([f"loss: {loss.name}({text}): {limits}"])
    bound = partial(loss.per_row, **{loss.parameter.name: value})
    return replace(loss, name=f"{loss.name}({value:g})", per_row=bound, parameter=None)


def _import_loss(spec: str, task: Task) -> Loss:
    found = load_object(spec, "loss")
    if isinstance(found, Loss):
        return found
    if not callable(found):
        raise SettingsError([f"loss: {spec!r} is a {type(found).__name__}, not a function of (prediction, target)"])
    return Loss(str(spec), task, _natural(str(spec), found, task))


def _natural(name: str, function: Callable[[Tensor, Tensor], Tensor], task: Task) -> Callable[..., Tensor]:
    """A function of one network's rows, (B, K) or (B,) and targets (B,) or (B, T), for the shapes of this module.

    It returns one value per row, or several, (B, K), of which the mean counts.
    """
    own_axes, target_axes = 1 if task == "regression" else 2, 2 if task == "multilabel" else 1

    def one(prediction: Tensor, target: Tensor) -> Tensor:
        import torch

        shapes = f"for predictions {tuple(prediction.shape)} and targets {tuple(target.shape)}"
        try:
            rows = function(prediction, target)
        except torch.OutOfMemoryError:
            raise
        except FAILURES as error:
            raise SettingsError([f"loss: {name!r} failed {shapes}: {describe_error(error)}"]) from error
        if not isinstance(rows, torch.Tensor):
            raise SettingsError([f"loss: {name!r} must return a tensor, but returned {type(rows).__name__}"])
        if rows.ndim == 0:
            raise SettingsError(
                [f"loss: {name!r} returned a single number {shapes}; it must return one per row: reduction='none'"]
            )
        if len(rows) != len(prediction) or (task == "regression" and rows.ndim > 1):
            raise SettingsError(
                [f"loss: {name!r} returned shape {tuple(rows.shape)} {shapes}; it must return one value per row"]
            )
        return rows.flatten(1).mean(1) if rows.ndim > 1 else rows

    def per_row(prediction: Tensor, target: Tensor) -> Tensor:
        import torch

        axes = prediction.shape[:-own_axes]
        members = prediction.reshape(-1, *prediction.shape[-own_axes:])
        own = target.shape[-target_axes:]
        targets = target.expand(*axes, *own).reshape(-1, *own)
        rows = torch.stack([one(*pair) for pair in zip(members, targets, strict=True)])
        return rows.reshape(*axes, -1)

    return per_row


# --- checks -----------------------------------------------------------------------------------------------


def check_loss(loss: Loss, classes: int | None) -> None:
    """Run a loss on 2 members × 3 rows, so that a user's own function fails here and not in the first epoch.

    `classes` is K, or None for regression. Raises SettingsError when the call fails, when it does not return one
    number per row, when that is not finite, or when no gradient flows back to the prediction.
    """
    import torch

    shape = (2, 3) if classes is None else (2, 3, classes)
    prediction = torch.linspace(-1, 1, math.prod(shape)).reshape(shape).requires_grad_()
    target = torch.ones(3) if classes is None else torch.arange(3) % classes
    if loss.task == "multilabel" and classes is not None:
        target = torch.ones(3, classes)
    found = None
    try:
        rows = loss.per_row(prediction, target)
        if rows.shape != (2, 3):
            found = f"must return one number per row, here shape (2, 3), but returned {tuple(rows.shape)}"
        elif not rows.requires_grad or torch.autograd.grad(rows.sum(), prediction, allow_unused=True)[0] is None:
            found = "has no gradient with respect to the prediction"
        elif not bool(rows.isfinite().all()):
            found = f"returned a value that is not finite for predictions {shape[1:]} and targets (3,)"
    except SettingsError:
        raise
    except Exception as error:
        shapes = f"for predictions {shape[1:]} and targets (3,)"
        raise SettingsError([f"loss: {loss.name!r} failed {shapes}: {describe_error(error)}"]) from error
    if found is not None:
        raise SettingsError([f"loss: {loss.name!r} {found}"])


def check_targets(loss: Loss, y: np.ndarray, *, table: str, column: str, lines: np.ndarray | None = None) -> None:
    """Raise CellError for the first row whose raw target (N,) the loss is not defined for (a negative count).

    `lines` (N,) are the 1-based lines of a CSV, named beside the 0-based row where they are known.
    """
    if loss.lowest is None:
        return
    bad = np.flatnonzero(~(y >= loss.lowest))  # not (y < lowest): NaN is bad too
    if bad.size:
        row = int(bad[0])
        where = f"row {row}" if lines is None else f"row {row} (line {int(lines[row])})"
        raise CellError(
            f"{table}: column {column!r}, {where}: {float(y[row]):g} is below {loss.lowest:g}, the least "
            f"that loss {loss.name!r} is defined for; correct the value or choose another loss"
        )
