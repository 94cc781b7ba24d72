"""LossVal with a model that does not learn: importance from out-of-fold predictions that are given.

The loop of training.py without networks. The loss of a row is that of its prediction, the same in every epoch;
weights and transport take the same steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.labels import NumberLabels
from lossval_cli.features.tags import TagLabels
from lossval_cli.losses import Loss
from lossval_cli.lossval.cost import MAX_SWEEPS, TOLERANCE, make_transport
from lossval_cli.lossval.cross_fitting import IN_SAMPLE, EvidenceAccumulator
from lossval_cli.lossval.objective import Objective
from lossval_cli.lossval.setup import weights_on
from lossval_cli.lossval.state import Epoch
from lossval_cli.lossval.training import REFRESHES, Fit, is_refresh
from lossval_cli.lossval.weights import normalise, step_weights
from lossval_cli.runtime.context import Runtime
from lossval_cli.runtime.row_loader import Rows
from lossval_cli.settings import Settings

Floats = npt.NDArray[np.float64]

LEAST_PROBABILITY = 1e-6
"""Where predictions are sure and wrong, the loss stays finite."""


def fit_predictions(
    dataset: Dataset,
    predictions: Floats,
    penalty: Floats,
    settings: Settings,
    runtime: Runtime,
    *,
    name: str,
    predict: Callable[[npt.NDArray[np.float32]], Floats] | None,
    on_epoch: Callable[[Epoch], None] | None,
) -> Fit:
    """Fit on fixed predictions, (N, K) probabilities or (N,) in the unit of the label; penalty (N,) outlier penalty in
    nats.

    `name` says whose predictions they are; `predict` gives those of other rows, in the same form.
    """
    rows = Rows(dataset.train.X, runtime.device, dataset.layout.chunk_rows)
    N, device = len(rows), rows.device
    generator = torch.Generator().manual_seed(settings.seed)
    transport, sample = make_transport(
        rows,
        dataset.val.X[:],
        penalty,
        settings,
        generator,
        held_out=dataset.held_out,
        weights=dataset.weights,
    )
    s = weights_on(device, dataset.weights)
    w = torch.ones(N, device=device)
    potentials = transport.solve(w * s / N, tolerance=TOLERANCE, max_sweeps=MAX_SWEEPS, generator=generator)
    evidence = EvidenceAccumulator(torch.full((N,), IN_SAMPLE, dtype=torch.int16), 1, 1, 1).to(device)
    objective = Objective(settings.objective, settings.ot_power)
    internal = to_loss_units(dataset, predictions)
    assert dataset.train.y is not None
    y = dataset.train.y
    if isinstance(dataset.labels, TagLabels):
        y = dataset.labels.matrix(y.astype(np.int64))
    losses = row_losses(dataset.loss, internal, y).to(device)
    refreshes = REFRESHES if transport.is_cached else 1
    epochs, *_, eta = settings.schedule(N)
    history = []
    for epoch in range(epochs):
        evidence.losses[0] = losses
        w, L = step_weights(evidence, w, potentials, objective, eta=eta, s=s)
        if objective.uses_transport and is_refresh(epoch, epochs, refreshes):
            # No step follows the last epoch.
            previous = potentials if epoch == epochs - 1 else None
            potentials = transport.refresh(w * s / N, tolerance=TOLERANCE, generator=generator, previous=previous)
        history.append(Epoch(epoch + 1, epochs, L, potentials.cost))
        if on_epoch is not None:
            on_epoch(history[-1])
    label, feature = (part.double().cpu().numpy() for part in (evidence.label, evidence.feature))
    label, feature = normalise(label, feature, dataset.weights)
    return Fit(
        importance=np.exp(label + feature),
        importance_std=np.full(N, np.nan),
        label_evidence=label,
        feature_evidence=feature,
        predictions=internal,
        history=tuple(history),
        potentials=potentials,
        transport_sample=sample,
        predict=None if predict is None else lambda X: to_loss_units(dataset, predict(X)),
        model=name,
    )


def to_loss_units(dataset: Dataset, predictions: Floats) -> Floats:
    """Predicted numbers in the unit that the loss works in; probabilities as they are."""
    if isinstance(dataset.labels, NumberLabels) and dataset.loss.target == "standardised":
        result: Floats = (predictions - dataset.labels.centre) / dataset.labels.scale
        return result
    return predictions


def from_loss_units(dataset: Dataset, values: npt.NDArray[np.generic]) -> Floats | npt.NDArray[np.int64]:
    """Return labels (n,) as models of the user's own learn them: class indices, or numbers in the unit of the table."""
    is_number = isinstance(dataset.labels, NumberLabels)
    return dataset.in_units(values.astype(np.float64)) if is_number else values.astype(np.int64)


def row_losses(loss: Loss, predictions: Floats, y: npt.NDArray[np.generic]) -> torch.Tensor:
    """Compute the losses (N,) of predictions (N, K) or (N,), as if a network had made them."""
    found = torch.as_tensor(predictions, dtype=torch.float32)
    if loss.task == "multilabel":
        return loss.per_row(found.logit(LEAST_PROBABILITY), torch.as_tensor(y))
    if loss.task == "classification":
        found = found.clamp(min=LEAST_PROBABILITY).log()
        return loss.per_row(found, torch.as_tensor(y.astype(np.int64)))
    if loss.link == "log":
        found = found.clamp(min=LEAST_PROBABILITY).log()
    return loss.per_row(found, torch.as_tensor(y.astype(np.float32)))
