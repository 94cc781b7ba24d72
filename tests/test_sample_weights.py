"""Weights, groups and times of rows: what they do in training and in the transport."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_training import fit, make_problem

from lossval_cli.lossval.cross_fitting import draw_folds
from lossval_cli.lossval.transport import Transport

pytestmark = pytest.mark.slow

ONE_BATCH = {"members": 4, "folds": 1, "batch_size": 1_000, "epochs": 8}
"""Nothing depends on which rows meet in a batch."""


@pytest.mark.parametrize("objective", ["product", "loss", "transport"])
def test_weight_two_is_the_row_twice(objective: str) -> None:
    """200 rows and copies of 50: all with weight 1, or the copied rows with weight 2 and their copies with 0."""
    data, _ = make_problem(200)
    copied = np.arange(0, 200, 4)
    rows = np.concatenate([np.arange(200), copied])
    table = data._replace(X=data.X[rows], y=data.y[rows], penalty=np.linspace(0, 1, 200)[rows])
    weights = np.ones(250)
    weights[copied], weights[200:] = 2.0, 0.0
    twice, weighted = (
        fit(table._replace(weights=given), objective=objective, **ONE_BATCH) for given in (None, weights)
    )
    for name in ("label_evidence", "feature_evidence", "predictions", "importance"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(twice, name), atol=2e-5, err_msg=name)
    assert np.average(weighted.importance, weights=weights) == pytest.approx(1.0)
    once = fit(table._replace(weights=np.where(weights == 2.0, 1.0, weights)), objective=objective, **ONE_BATCH)
    assert np.abs(once.importance - twice.importance).max() > 3e-4  # a weight does count


def test_equal_weights_are_no_weights() -> None:
    data, _ = make_problem(120)
    plain, weighted = fit(data), fit(data._replace(weights=np.full(120, 3.0)))
    np.testing.assert_allclose(plain.label_evidence, weighted.label_evidence, atol=1e-4)
    np.testing.assert_allclose(plain.feature_evidence, weighted.feature_evidence, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_mass_two_is_the_row_twice_in_the_transport(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    X, X_val = (torch.randn(size, 2, generator=generator, dtype=torch.float64) for size in (12, 5))
    penalty = torch.rand(12, generator=generator, dtype=torch.float64)
    masses = torch.ones(12, dtype=torch.float64)
    masses[:3] = 2
    rows = torch.cat([torch.arange(12), torch.arange(3)])
    costs = []
    for points, added, mass in ((X, penalty, masses), (X[rows], penalty[rows], torch.ones(15, dtype=torch.float64))):
        transport = Transport(points, X_val, epsilon=0.5, penalty=added)
        solution = transport.solve(mass / mass.sum(), tolerance=1e-9, max_sweeps=5_000, generator=generator)
        costs.append((solution.cost, solution.f[:12]))
    assert costs[0][0] == pytest.approx(costs[1][0], abs=1e-6)
    torch.testing.assert_close(costs[0][1], costs[1][1], atol=1e-5, rtol=0)


def test_a_row_of_weight_zero_teaches_nothing_and_is_scored_all_the_same() -> None:
    data, _ = make_problem(200)
    weights = np.ones(200)
    weights[:40] = 0.0
    wrong = data.y.copy()
    wrong[:40] = 1 - wrong[:40]
    right, changed = (fit(data._replace(y=y, weights=weights), **ONE_BATCH) for y in (data.y, wrong))
    np.testing.assert_allclose(right.predictions, changed.predictions, atol=1e-5)
    assert np.isfinite(right.importance).all() and (right.importance > 0).all()
    assert (right.label_evidence[:40] != changed.label_evidence[:40]).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=8, max_size=300), st.integers(2, 8))
def test_rows_of_a_group_share_a_fold(groups: list[int], folds: int) -> None:
    generator = torch.Generator().manual_seed(0)
    fold = draw_folds(len(groups), 8, folds, generator, groups=np.array(groups)).numpy()
    assert ((fold >= 0) & (fold < folds)).all()
    for group in set(groups):
        assert len(set(fold[np.array(groups) == group])) == 1
    largest = np.bincount(groups).max()
    assert np.bincount(fold, minlength=folds).max() <= len(groups) / folds + largest


def test_folds_follow_time_and_keep_groups_whole() -> None:
    rng = np.random.default_rng(0)
    time, groups = rng.integers(0, 100, 400), rng.integers(0, 200, 400)
    generator = torch.Generator()
    fold = draw_folds(400, 8, 4, generator, time=time).numpy()
    for earlier in range(3):
        assert time[fold == earlier].max() < time[fold == earlier + 1].min()
    assert np.bincount(fold).min() > 80
    whole = draw_folds(400, 8, 4, generator, time=time, groups=groups).numpy()
    assert all(len(set(whole[groups == group])) == 1 for group in set(groups))
