"""The transport against closed forms, against geomloss, and its invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from geomloss import SamplesLoss
from hypothesis import given, settings
from hypothesis import strategies as st

from lossval_cli.lossval.transport import Potentials, Transport, half_squared_distances, median_cost


def solve(X: torch.Tensor, X_val: torch.Tensor, masses: torch.Tensor, **options: object) -> Potentials:
    transport = Transport(X, X_val, **{"epsilon": 0.5, **options})
    return transport.solve(masses, tolerance=1e-6, max_sweeps=5000, generator=torch.Generator().manual_seed(0))


def clouds(rows: int, val_rows: int, columns: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    X_val = 0.5 + torch.randn(val_rows, columns, generator=generator, dtype=torch.float64)
    masses = torch.rand(rows, generator=generator, dtype=torch.float64)
    return X, X_val, masses / masses.sum()


def test_one_row_to_one_row_costs_their_distance() -> None:
    """1 × 1: the only plan moves everything, so OT = c and f = c whatever ε."""
    X, X_val = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])
    found = solve(X, X_val, torch.ones(1))
    assert found.cost == pytest.approx(12.5)
    assert found.converged


def test_matched_points_far_apart_cost_the_matching() -> None:
    """Far-apart clusters, tiny ε: the plan is the permutation, each pair at distance ½."""
    X = torch.tensor([[0.0], [100.0], [200.0]], dtype=torch.float64)
    X_val = torch.tensor([[201.0], [1.0], [101.0]], dtype=torch.float64)
    found = solve(X, X_val, torch.full((3,), 1 / 3, dtype=torch.float64), epsilon=1e-2)
    # The entropic cost of a permutation is Σ c/3 + ε log 3: each row has 1 of 3 places to go.
    assert found.cost == pytest.approx(0.5 + 1e-2 * math.log(3), abs=1e-6)


def test_very_blurred_transport_is_the_mean_distance() -> None:
    """ε → ∞: everything goes everywhere, OT = Σ a_n b_j c_nj."""
    X, X_val, masses = clouds(20, 7, 3, seed=1)
    found = solve(X, X_val, masses, epsilon=1e6)
    expected = masses @ half_squared_distances(X, X_val).mean(1)
    assert found.cost == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_potentials_equal_geomloss(seed: int) -> None:
    """At full batch, once both are centred, to geomloss's tolerance: ten times more of its steps, ten
    times nearer.

    geomloss stops after a schedule of steps that `scaling` makes fine or coarse, not at a marginal error.
    """
    X, X_val, masses = clouds(60, 25, 4, seed)
    epsilon = 2.0
    found = solve(X, X_val, masses, epsilon=epsilon)
    b = torch.full((25,), 1 / 25, dtype=torch.float64)
    apart = []
    for scaling in (0.99, 0.999):
        solver = SamplesLoss(
            "sinkhorn",
            p=2,
            blur=math.sqrt(epsilon),
            scaling=scaling,
            debias=False,
            potentials=True,
            backend="tensorized",
        )
        f, g = (potential.flatten() for potential in solver(masses, X, b, X_val))
        of_f = (found.f - masses @ found.f) - (f - masses @ f)
        of_g = (found.g - found.g.mean()) - (g - g.mean())
        apart.append(max(float(of_f.abs().max()), float(of_g.abs().max())))
        assert found.cost == pytest.approx(float(masses @ f + b @ g), abs=1e-4)
    assert apart[1] < 2e-3
    assert apart[1] < apart[0] / 5


def test_the_plan_has_both_marginals() -> None:
    X, X_val, masses = clouds(60, 25, 4, seed=0)
    found = solve(X, X_val, masses, epsilon=0.4)
    cost = half_squared_distances(X, X_val)
    plan = masses[:, None] / 25 * ((found.f[:, None] + found.g - cost) / 0.4).exp()
    torch.testing.assert_close(plan.sum(1), masses, atol=1e-12, rtol=0)
    torch.testing.assert_close(plan.sum(0), torch.full((25,), 1 / 25, dtype=torch.float64), atol=1e-6, rtol=0)


def test_f_is_the_gradient_of_the_cost_in_the_masses() -> None:
    """Finite differences along directions that keep the total mass."""
    X, X_val, masses = clouds(12, 6, 2, seed=3)
    found = solve(X, X_val, masses)
    direction = torch.randn(12, generator=torch.Generator().manual_seed(5), dtype=torch.float64) * masses
    direction -= direction.sum() * masses
    step = 1e-4
    up, down = (solve(X, X_val, masses + sign * step * direction).cost for sign in (1, -1))
    assert (up - down) / (2 * step) == pytest.approx(float(found.f @ direction), rel=1e-4, abs=1e-7)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 12), st.integers(1, 5))
def test_permuting_rows_permutes_potentials(seed: int, rows: int, val_rows: int, columns: int) -> None:
    X, X_val, masses = clouds(rows, val_rows, columns, seed)
    order = torch.as_tensor(np.random.default_rng(seed).permutation(rows))
    one, other = solve(X, X_val, masses), solve(X[order], X_val, masses[order])
    torch.testing.assert_close(one.f[order], other.f, atol=1e-8, rtol=0)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30))
def test_a_row_twice_is_a_row_of_double_mass(seed: int, rows: int) -> None:
    X, X_val, masses = clouds(rows, 8, 3, seed)
    halved = masses.clone()
    halved[0] /= 2
    twice = solve(torch.cat([X, X[:1]]), X_val, torch.cat([halved, halved[:1]]))
    once = solve(X, X_val, masses)
    torch.testing.assert_close(twice.f[:-1], once.f, atol=1e-6, rtol=0)
    assert twice.cost == pytest.approx(once.cost, abs=1e-6)


def test_a_row_without_mass_changes_nothing_and_still_gets_a_potential() -> None:
    X, X_val, masses = clouds(10, 5, 3, seed=9)
    far = torch.full((1, 3), 50.0, dtype=torch.float64)
    with_row = solve(torch.cat([X, far]), X_val, torch.cat([masses, masses.new_zeros(1)]))
    without = solve(X, X_val, masses)
    torch.testing.assert_close(with_row.f[:-1], without.f, atol=1e-6, rtol=0)
    assert with_row.f[-1] > without.f.max()


def test_scaling_features_scales_the_cost() -> None:
    """c is quadratic: features × 3 with ε × 9 is the same problem at 9 times the cost; `scale` divides it
    out."""
    X, X_val, masses = clouds(15, 6, 2, seed=4)
    base = solve(X, X_val, masses, epsilon=0.5)
    tripled = solve(3 * X, 3 * X_val, masses, epsilon=4.5)
    rescaled = solve(3 * X, 3 * X_val, masses, epsilon=0.5, scale=9.0)
    assert tripled.cost == pytest.approx(9 * base.cost, rel=1e-6)
    torch.testing.assert_close(rescaled.f, base.f, atol=1e-8, rtol=0)


def test_a_penalty_is_added_to_the_cost_of_its_row_alone() -> None:
    X, X_val, masses = clouds(15, 6, 2, seed=6)
    penalty = torch.rand(15, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    free, priced = solve(X, X_val, masses), solve(X, X_val, masses, penalty=penalty)
    torch.testing.assert_close(priced.f, free.f + penalty, atol=1e-8, rtol=0)
    assert priced.cost == pytest.approx(free.cost + float(masses @ penalty))


def test_a_held_out_row_is_not_transported_to_itself() -> None:
    """Otherwise a row that stands on both sides would look perfectly placed."""
    X = torch.tensor([[0.0], [0.0], [5.0]], dtype=torch.float64)
    X_val = X[2:]
    masses = torch.full((3,), 1 / 3, dtype=torch.float64)
    own = torch.tensor([-1, -1, 0])
    X_val = torch.cat([X_val, torch.tensor([[0.0]], dtype=torch.float64)])
    shared = solve(X, X_val, masses, epsilon=0.1)
    apart = solve(X, X_val, masses, epsilon=0.1, own=own)
    assert shared.f[2] < apart.f[2]


def test_marginal_error_is_reported_and_not_assumed() -> None:
    X, X_val, masses = clouds(30, 10, 3, seed=8)
    transport = Transport(X, X_val, epsilon=0.05)
    first = transport.solve(masses, tolerance=1e-9, max_sweeps=1, generator=torch.Generator())
    assert not first.converged
    assert first.marginal_error > 1e-3
    later = transport.solve(masses, tolerance=1e-4, max_sweeps=2000, generator=torch.Generator())
    assert later.converged
    assert later.marginal_error <= 1e-4


def test_many_rows_are_solved_on_a_part_and_measured_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The short cut for large tables must land near the full solution."""
    X, X_val, masses = clouds(3000, 20, 3, seed=2)
    whole = solve(X, X_val, masses)
    monkeypatch.setattr("lossval_cli.lossval.transport.SOLVE_ROWS", 1000)
    part = solve(X, X_val, masses)
    assert part.marginal_error < 0.05
    assert np.corrcoef(part.f.numpy(), whole.f.numpy())[0, 1] > 0.999


def test_the_last_cost_of_many_rows_is_that_of_a_part_which_is_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing reads newer potentials of the rows, and held-out rows in the part are not transported to themselves."""
    X, X_val, masses = clouds(3000, 20, 3, seed=2)
    own = torch.full((3000,), -1)
    own[:400] = torch.arange(400) % 20
    later = masses * torch.linspace(0.5, 1.5, 3000)
    later /= later.sum()
    whole = Transport(X, X_val, epsilon=0.5, own=own)
    expected = whole.solve(later, tolerance=1e-6, max_sweeps=500, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr("lossval_cli.lossval.transport.SOLVE_ROWS", 2000)
    monkeypatch.setattr("lossval_cli.lossval.transport.CACHE_ENTRIES", 0)
    transport, generator = Transport(X, X_val, epsilon=0.5, own=own), torch.Generator().manual_seed(0)
    before = transport.solve(masses, tolerance=0.01, max_sweeps=100, generator=generator)
    after = transport.refresh(later, tolerance=0.01, generator=generator, previous=before)
    assert after.cost == pytest.approx(expected.cost, rel=0.03)
    assert after.f is before.f
    assert (after.marginal_error, after.converged) == (before.marginal_error, before.converged)


def test_costs_beyond_the_cache_are_computed_again_to_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, X_val, masses = clouds(200, 10, 3, seed=12)
    cached = solve(X, X_val, masses)
    monkeypatch.setattr("lossval_cli.lossval.transport.CACHE_ENTRIES", 0)
    monkeypatch.setattr("lossval_cli.lossval.transport.BLOCK_ENTRIES", 300)
    again = solve(X, X_val, masses)
    torch.testing.assert_close(again.f, cached.f, atol=1e-9, rtol=0)


def test_median_cost_of_identical_rows_is_one() -> None:
    """Otherwise a constant table would divide by zero."""
    X = torch.ones(5, 2)
    assert median_cost(X, X, torch.Generator().manual_seed(0)) == 1.0
