"""What users hand to `lossval_cli.torch.LossVal`, checked: each mistake is one UsageError that says what to give."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import issparse
from torch import Tensor

from lossval_cli.errors import UsageError
from lossval_cli.losses import Loss
from lossval_cli.text.format import show

PerRowLoss = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) -> (B,), or (B, K), of which the mean over K counts."""


def as_whole_number(rows: SupportsIndex) -> int:
    """N, the number of training rows."""
    try:
        number = 0 if isinstance(rows, bool) else operator.index(rows)
    except TypeError:
        number = 0
    if number < 1:
        raise UsageError(f"LossVal: rows must be the number of training rows, not {show(rows)}")
    return number


def as_tensor(values: Any, what: str) -> Tensor:
    """Real numbers as a dense tensor of their own; `what` names them in messages."""
    if issparse(values):
        values = values.toarray()
    try:
        # A copy: tables hand out what must not be written to.
        tensor = values if isinstance(values, Tensor) else torch.as_tensor(np.array(values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"LossVal: {what} must be a tensor or an array of numbers, not {kind_of(values)}") from error
    if tensor.is_complex():
        raise UsageError(f"LossVal: {what} must be real numbers, not complex ones")
    return tensor if tensor.layout is torch.strided else tensor.to_dense()


def kind_of(values: object) -> str:
    """A tensor by its shape and type, anything else by its kind."""
    if isinstance(values, Tensor):
        return f"{tuple(values.shape)} {str(values.dtype).removeprefix('torch.')}"
    return type(values).__name__


def as_finite(X_val: Tensor) -> Tensor:
    """X_val as it is, if all of it is finite."""
    if not bool(X_val.isfinite().all()):
        raise UsageError("LossVal: X_val holds a value that is not finite")
    return X_val


def as_features(values: Tensor | npt.ArrayLike, what: str) -> Tensor:
    """Return the features (B, ...) as (B, D), floating."""
    values = as_tensor(values, what)
    if values.ndim == 0 or len(values) == 0:
        raise UsageError(f"LossVal: {what} must hold one row each, not shape {tuple(values.shape)}")
    flat = values.flatten(1) if values.ndim > 1 else values.unsqueeze(1)
    return flat if flat.is_floating_point() else flat.float()


def as_loss(function: PerRowLoss) -> Loss:
    """Return a function of the user as a loss."""
    if not callable(function):
        raise UsageError(f"LossVal: loss must be a name or a function of (outputs, targets), not {show(function)}")
    return Loss(getattr(function, "__qualname__", type(function).__name__), "classification", function)


def as_row_losses(losses: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
    """Losses (B, ...) -> (B,). Raises UsageError for losses that are not one or several values per row."""
    rows = len(outputs)
    shapes = f"for outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)}"
    if not isinstance(losses, Tensor):
        raise UsageError(f"LossVal: the loss returned {type(losses).__name__}, not a tensor of one value per row")
    if losses.ndim == 0:
        raise UsageError(f"LossVal: the loss returned one number {shapes}; return one per row: reduction='none'")
    if len(losses) != rows:
        raise UsageError(f"LossVal: the loss returned shape {tuple(losses.shape)} {shapes}, not one value per row")
    if losses.shape == (rows, rows) and rows > 1 and {outputs.ndim, targets.ndim} == {1, 2}:
        raise UsageError(f"LossVal: the loss returned {tuple(losses.shape)} {shapes}: squeeze one of them")
    if outputs.requires_grad and torch.is_grad_enabled() and not losses.requires_grad:
        raise UsageError("LossVal: the loss has no gradient with respect to the outputs")
    return losses.flatten(1).mean(1) if losses.ndim > 1 else losses
