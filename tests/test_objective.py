"""The gradients that drive the weights, against finite differences of the objective they belong to."""

from __future__ import annotations

import pytest
import torch

from lossval_cli.lossval.objective import Objective
from lossval_cli.lossval.transport import Transport


@pytest.mark.parametrize("form", ["product", "additive", "loss", "transport"])
@pytest.mark.parametrize("power", [1, 2])
def test_gradient_in_the_weights_equals_finite_differences(form: str, power: int) -> None:
    """∂ log LossVal / ∂w_n along directions that keep the mean at 1, with the transport solved to 1e-9."""
    generator = torch.Generator().manual_seed(0)
    N, J = 12, 7
    X, X_val = (torch.randn(rows, 3, generator=generator, dtype=torch.float64) for rows in (N, J))
    losses = torch.rand(N, generator=generator, dtype=torch.float64)
    weights = 0.5 + torch.rand(N, generator=generator, dtype=torch.float64)
    weights /= weights.mean()

    def solve(w: torch.Tensor) -> tuple[torch.Tensor, float]:
        found = Transport(X, X_val, epsilon=0.5).solve(w / N, tolerance=1e-9, max_sweeps=5000, generator=generator)
        return found.f, found.cost

    def log_objective(w: torch.Tensor) -> float:
        loss, cost = w @ losses / N, torch.tensor(solve(w)[1], dtype=torch.float64)
        value = {
            "product": loss * cost**power,
            "additive": loss + cost**power,
            "loss": loss,
            "transport": cost**power,
        }[form]
        return float(value.log())

    f, cost = solve(weights)
    for_label, for_feature = Objective(form, power).factors(
        weights @ losses / N, torch.tensor(cost, dtype=torch.float64)
    )
    gradient = (for_label * losses + for_feature * f) / N
    direction = torch.randn(N, generator=generator, dtype=torch.float64)
    direction -= direction.mean()
    step = 1e-4
    difference = (log_objective(weights + step * direction) - log_objective(weights - step * direction)) / (2 * step)
    assert difference == pytest.approx(float(gradient @ direction), rel=2e-4, abs=1e-8)


def test_power_zero_leaves_transport_out() -> None:
    objective = Objective("product", 0)
    assert not objective.uses_transport
    _, for_feature = objective.factors(torch.tensor(0.5), torch.tensor(2.0))
    assert float(for_feature) == 0.0
