"""The published algorithm: equal to the authors' values and gradients, and its training run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lossval_cli.errors import TrainingError
from lossval_cli.losses import find_loss, squared_error
from lossval_cli.lossval.paper import (
    PaperEpoch,
    PaperFit,
    PaperSettings,
    batch_objective,
    fit_paper,
    published_cross_entropy,
    sinkhorn_divergence,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "reference_losses.json").read_text(encoding="utf-8"))
CURVE = [0.275414, 0.163539, 0.122436, 0.0766290]  # mean squared error before each step, over epochs 1 to 4


# --- parity with the published code -----------------------------------------------------------------------


def losses_of(case: dict[str, Any], predictions: Tensor) -> Tensor:
    if case["task"] == "classification":
        return published_cross_entropy(predictions, torch.tensor(case["targets"]))
    return squared_error(predictions.squeeze(-1), torch.tensor(case["targets"], dtype=torch.float64))


def assert_same(actual: Tensor | None, case: dict[str, Any], key: str) -> None:
    assert actual is not None
    expected = torch.tensor(case[key], dtype=torch.float64)
    torch.testing.assert_close(actual.detach(), expected, rtol=1e-6, atol=0)


@pytest.fixture(params=GOLDEN["cases"], ids=lambda case: case["name"])
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    X, X_val = (torch.tensor(found[f"{part}_features"], dtype=torch.float64) for part in ("train", "val"))
    return {**found, "X": X, "X_val": X_val}


@pytest.fixture
def weights(case: dict[str, Any]) -> Tensor:
    return torch.tensor(case["weights"], dtype=torch.float64, requires_grad=True)


def test_golden_divergence(case: dict[str, Any], weights: Tensor) -> None:
    divergence = sinkhorn_divergence(weights, case["X"], case["X_val"])
    divergence.backward()
    assert_same(divergence, case, "sinkhorn_divergence")
    assert_same(weights.grad, case, "sinkhorn_divergence_grad_weights")


@pytest.mark.parametrize(("key", "ot_power", "absolute"), [("lossval_squared", 2, False), ("lossval_abs", 1, True)])
def test_golden_objective(case: dict[str, Any], weights: Tensor, key: str, ot_power: int, absolute: bool) -> None:
    predictions = torch.tensor(case["predictions"], dtype=torch.float64, requires_grad=True)
    rows = losses_of(case, predictions)
    choices: Any = {"ot_power": ot_power, "absolute": absolute}
    value = batch_objective(weights, rows, case["X"], case["X_val"], **choices).value
    value.backward()
    assert_same(value, case, key)
    assert_same(weights.grad, case, f"{key}_grad_weights")
    assert_same(predictions.grad, case, f"{key}_grad_predictions")


# --- the objective ----------------------------------------------------------------------------------------


def clouds(seed: int, scale: float = 1.0, rows: int = 12, val_rows: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """Masses (B,) that sum to J, X (B, 3), X_val (J, 3), float64."""
    generator = torch.Generator().manual_seed(seed)
    X, X_val = (scale * torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in (rows, val_rows))
    masses = torch.rand(rows, generator=generator, dtype=torch.float64) + 0.5
    return (masses / masses.sum() * val_rows).requires_grad_(), X, X_val


def test_gradient_of_the_divergence_against_finite_differences() -> None:
    # geomloss differentiates as if its potentials had converged. They do for clouds smaller than the blur
    # with equal masses, along directions that keep the total; elsewhere its schedule stops before.
    masses, X, X_val = clouds(seed=0, scale=0.005)
    direction = torch.linspace(-1, 1, len(masses), dtype=torch.float64)
    sinkhorn_divergence(masses, X, X_val).backward()
    assert masses.grad is not None
    step = 1e-5
    with torch.no_grad():
        ahead, behind = (sinkhorn_divergence(masses + sign * step * direction, X, X_val) for sign in (1, -1))
    assert (masses.grad @ direction).item() == pytest.approx(((ahead - behind) / (2 * step)).item(), rel=1e-3)


def test_gradients_of_the_losses_against_finite_differences() -> None:
    masses, X, X_val = clouds(seed=1)
    rows = torch.linspace(0.1, 2, len(masses), dtype=torch.float64, requires_grad=True)
    fixed = masses.detach()
    assert torch.autograd.gradcheck(lambda r: batch_objective(fixed, r, X, X_val).value, (rows,))
    assert torch.autograd.gradcheck(lambda r: batch_objective(fixed, r, X, X_val, objective="additive").value, (rows,))
    assert torch.autograd.gradcheck(lambda w, r: batch_objective(w, r, X, X_val, ot_power=0).value, (masses, rows))


def test_ablations_are_made_of_the_two_parts() -> None:
    masses, X, X_val = clouds(seed=2)
    rows = torch.linspace(0.1, 2, len(masses), dtype=torch.float64)
    loss, transport = (masses @ rows).item(), sinkhorn_divergence(masses, X, X_val).item()

    def value(**choices: Any) -> float:
        return batch_objective(masses, rows, X, X_val, **choices).value.item()

    assert value() == pytest.approx(loss * transport**2)
    assert value(ot_power=1) == pytest.approx(loss * transport)
    assert value(ot_power=0) == value(objective="loss") == pytest.approx(loss)
    assert value(objective="transport") == pytest.approx(transport**2)
    assert value(objective="additive", ot_power=1) == pytest.approx((loss + transport) / 2)


def test_absolute_reading_drops_the_sign() -> None:
    # Weights are not clamped: with a negative one the divergence can fall below zero.
    masses = torch.tensor([9.0, -23.0], dtype=torch.float64)
    X, X_val = (torch.tensor(rows, dtype=torch.float64) for rows in ([[0.0, 0.0], [0.1, 0.0]], [[4.0, 0.0]]))
    losses = torch.tensor([30.0, 1.0], dtype=torch.float64)
    signed, unsigned = (
        batch_objective(masses, losses, X, X_val, ot_power=1, absolute=choice).value.item() for choice in (False, True)
    )
    assert signed < 0
    assert unsigned == -signed


def test_identical_rows_cost_nothing_and_do_not_break_the_solver() -> None:
    X = torch.ones(6, 2, dtype=torch.float64)
    assert sinkhorn_divergence(torch.ones(6, dtype=torch.float64), X, X).item() == pytest.approx(0, abs=1e-12)


# --- training ---------------------------------------------------------------------------------------------


def two_clusters(rows: int = 200) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """X (N, 4) in two clusters, y with every tenth label wrong, X_val (50, 4), and which rows are wrong."""
    generator = torch.Generator().manual_seed(7)
    truth = torch.arange(rows + 50) % 2
    X = torch.randn(rows + 50, 4, generator=generator) + 3 * (2 * truth[:, None] - 1)
    noisy = torch.arange(rows) % 10 < 1
    y = torch.where(noisy, 1 - truth[:rows], truth[:rows])
    return X[:rows], y, X[rows:], noisy


def fit(*data: Any, seed: int = 0, **choices: Any) -> PaperFit:
    """Fit to data (X, y, X_val), or else to the two clusters."""
    X, y, X_val = data or two_clusters()[:3]
    choices = {"classes": 2, "epochs": 4, **choices}
    own = {name: choices.pop(name) for name in list(choices) if name in ("classes", "loss", "on_epoch")}
    return fit_paper(X, y, X_val, PaperSettings(**choices), generator=torch.Generator().manual_seed(seed), **own)


@pytest.mark.slow
def test_wrong_labels_end_below_right_ones_and_the_loss_falls() -> None:
    noisy = two_clusters()[-1]
    seen: list[PaperEpoch] = []
    result = fit(epochs=8, on_epoch=seen.append)
    assert result.weights[noisy].mean().item() < result.weights[~noisy].mean().item() - 0.05
    assert tuple(seen) == result.history
    assert [record.epoch for record in seen] == list(range(1, 9))
    assert seen[-1].objective < 0.9 * seen[0].objective
    assert all(record.transport is not None and record.transport > 0 for record in seen)
    assert result.weights.shape == (200,)
    assert result.predictions.shape == (200, 2)
    torch.testing.assert_close(result.predictions.sum(1), torch.ones(200))


@pytest.mark.slow
def test_pinned_learning_curve() -> None:
    generator = torch.Generator().manual_seed(3)
    X = torch.randn(150, 3, generator=generator, dtype=torch.float64)
    y = torch.tanh(X[:, 0]) + 0.1 * torch.randn(150, generator=generator, dtype=torch.float64)
    result = fit_paper(X[:120], y[:120], X[120:], PaperSettings(epochs=4), classes=None, generator=generator)
    curve = [record.loss for record in result.history]
    assert curve == pytest.approx(CURVE, rel=1e-4)
    assert curve[-1] < curve[0] / 3
    assert result.predictions.shape == (120,)


@pytest.mark.slow
def test_the_generator_decides_every_bit() -> None:
    before = torch.get_rng_state()
    first, again, other = fit(seed=5), fit(seed=5), fit(seed=6)
    assert torch.equal(first.weights, again.weights)
    assert torch.equal(first.predictions, again.predictions)
    assert first.history == again.history
    assert not torch.equal(first.weights, other.weights)
    assert torch.equal(before, torch.get_rng_state())  # nothing global is drawn from


@pytest.mark.slow
def test_the_loss_ablation_is_blind_to_the_validation_rows() -> None:
    X, y, X_val, _ = two_clusters()
    fits = [fit(X, y, rows, epochs=2, objective="loss") for rows in (X_val, X_val + 5)]
    assert torch.equal(fits[0].weights, fits[1].weights)
    assert [record.transport for record in fits[0].history] == [None, None]


def test_the_transport_ablation_is_blind_to_the_labels() -> None:
    X, y, X_val, _ = two_clusters()
    fits = [fit(X, t, X_val, epochs=1, objective="transport") for t in (y, 1 - y)]
    assert torch.equal(fits[0].weights, fits[1].weights)
    assert not bool((fits[0].weights == 1).all())


def test_layers_count_linear_maps_and_default_to_the_published_ones() -> None:
    published = fit(layers=5, hidden=100, activation="relu", epochs=1)
    assert torch.equal(published.weights, fit(epochs=1).weights)
    linear = fit(layers=1, epochs=1)  # logistic regression: no hidden layer, hence no activation
    assert torch.equal(linear.weights, fit(layers=1, hidden=7, activation="tanh", epochs=1).weights)


def test_losses_from_the_registry() -> None:
    default, named = fit(epochs=1), fit(epochs=1, loss=find_loss("cross_entropy", "classification"))
    assert torch.equal(default.weights, named.weights)  # the paper's cross-entropy either way
    assert not torch.equal(default.weights, fit(epochs=1, loss=find_loss("focal", "classification")).weights)
    X, _, X_val, _ = two_clusters()
    counts = torch.poisson((X[:, 0] / 4).exp(), generator=torch.Generator().manual_seed(0))
    poisson = find_loss("poisson_deviance", "regression")
    result = fit(X, counts, X_val, epochs=6, objective="loss", classes=None, loss=poisson)
    assert bool((result.predictions > 0).all())
    assert result.history[-1].loss < result.history[0].loss


def test_arrays_of_mixed_precision_are_taken() -> None:
    X, y, X_val, _ = two_clusters()
    arrays = X.numpy(), y.numpy().astype(np.float64), X_val.numpy()
    result = fit(*arrays, epochs=1, classes=None)
    assert result.weights.dtype == result.predictions.dtype == torch.float32


def test_divergence_of_training_is_said_in_one_line() -> None:
    X, _, X_val, _ = two_clusters()
    with pytest.raises(TrainingError, match=r"^preset paper: training diverged in epoch \d") as caught:
        fit(X, X.sum(1), X_val, epochs=3, learning_rate=1e30, classes=None)
    assert len(str(caught.value).splitlines()) == 1
