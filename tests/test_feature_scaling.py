"""Inputs scaled by what their column says about the label, from the rows a member trains on alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import f_oneway, linregress

from lossval_cli.lossval.feature_scaling import ENOUGH_ROWS, MIN_ROWS, MIN_SCALE, relevance

ROWS = 400


def training_data(classes: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Six columns, of which the first says much and the second something."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, 6))
    value = 2 * X[:, 0] + 0.4 * X[:, 1] + rng.standard_normal(ROWS)
    y = value if classes is None else np.digitize(value, [-1.0, 1.0])[: len(value)]
    return torch.from_numpy(X).float(), torch.from_numpy(np.asarray(y))


@pytest.mark.parametrize("classes", [3, None])
def test_it_is_one_minus_one_over_f(classes: int | None) -> None:
    """F as scipy.stats has it, for all rows."""
    X, y = training_data(classes)
    found = relevance(X, y, torch.ones(1, ROWS), classes, 6)[0].numpy()
    for i in range(6):
        column = X[:, i].double().numpy()
        if classes is None:
            fit = linregress(column, y.numpy())
            statistic = (ROWS - 2) * fit.rvalue**2 / (1 - fit.rvalue**2)
        else:
            statistic = f_oneway(*(column[y.numpy() == k] for k in range(classes))).statistic
        assert found[i] == pytest.approx(max(MIN_SCALE, 1 - 1 / statistic), abs=1e-4)
    assert found[0] > 0.95 > MIN_SCALE + 0.3 > found[2:].min()


@pytest.mark.parametrize("classes", [3, None])
def test_a_row_has_no_say_where_it_is_not_trained_on(classes: int | None) -> None:
    """Or a wrong label would choose the columns that defend it."""
    X, y = training_data(classes)
    trains = torch.ones(4, ROWS)
    trains[1, :100] = trains[3, :100] = 0
    before = relevance(X, y, trains, classes, 6)
    y[:100] = y[:100].flip(0)
    after = relevance(X, y, trains, classes, 6)
    assert torch.equal(before[1], after[1])
    assert torch.equal(before[3], after[3])
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[0], before[2])


@pytest.mark.parametrize("classes", [3, None])
def test_columns_without_spread_and_labels_without_spread_say_nothing(classes: int | None) -> None:
    X, y = training_data(classes)
    X[:, 0] = 7.0
    assert relevance(X, y, torch.ones(1, ROWS), classes, 6)[0, 0] == MIN_SCALE
    assert (relevance(X, torch.zeros_like(y), torch.ones(1, ROWS), classes, 6) == MIN_SCALE).all()


@pytest.mark.slow
def test_units_and_order_of_columns_do_not_matter() -> None:
    X, y = training_data(3)
    trains = torch.ones(1, ROWS)
    before = relevance(X, y, trains, 3, 6)
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    after = relevance((1000 * X + 5)[:, order], y, trains, 3, 6)
    torch.testing.assert_close(after, before[:, order], atol=1e-4, rtol=0)


@pytest.mark.parametrize("classes", [3, None])
def test_of_many_columns_those_that_say_much_by_chance_are_kept_small(classes: int | None) -> None:
    """Of 494 columns of noise hardly one is left above the least scale; the telling one stays what it was."""
    X, y = training_data(classes)
    noise = torch.from_numpy(np.random.default_rng(1).standard_normal((ROWS, 494))).float()
    few = relevance(X, y, torch.ones(1, ROWS), classes, 6)[0]
    many = relevance(torch.cat([X, noise], 1), y, torch.ones(1, ROWS), classes, 500)[0]
    least = MIN_SCALE * MIN_ROWS / (ENOUGH_ROWS * 500)
    assert float(few.min()) == MIN_SCALE
    assert float(many.min()) == pytest.approx(least)
    assert (many[6:] > least).sum() <= 5
    assert 0.9 < float(many[0]) < float(few[0])


def test_one_column_that_becomes_many_inputs_is_no_wide_table() -> None:
    X, y = training_data(3)
    noise = torch.from_numpy(np.random.default_rng(1).standard_normal((ROWS, 494))).float()
    found = relevance(torch.cat([X, noise], 1), y, torch.ones(1, ROWS), 3, 7)
    assert float(found.min()) == MIN_SCALE
