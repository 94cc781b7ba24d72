"""Out-of-fold models of large tables: categories are taken as they are, and threads change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lossval_cli.noise.out_of_fold import Fitting, _join_levels, predict_classes, predict_numbers
from lossval_cli.runtime.sharing import share


def one_hot(levels: np.ndarray, count: int) -> np.ndarray:
    """Levels (n,), -1 for one that training rows do not have -> centred indicators (n, count)."""
    return ((levels[:, None] == np.arange(count)) - 1 / count).astype(np.float32)


def test_the_columns_of_a_category_become_one_column_again() -> None:
    numbers = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    X = np.hstack([numbers[:, :1], one_hot(np.array([2, 0, -1, 1]), 3), numbers[:, 1:]])
    joined = _join_levels(X, (slice(1, 4),))
    np.testing.assert_array_equal(joined[:, :2], numbers)
    np.testing.assert_array_equal(joined[:, 2], [2, 0, np.nan, 1])


@pytest.mark.slow
def test_predictions_of_a_large_table_do_not_depend_on_threads() -> None:
    rng = np.random.default_rng(0)
    N, before = 10_100, torch.get_num_threads()
    levels = rng.integers(0, 6, N)
    X = np.hstack([rng.normal(size=(N, 1)).astype(np.float32), one_hot(levels, 6)])
    y = (np.array([1, 0, 0, 1, 1, 0])[levels] ^ (X[:, 0] > 1.5)).astype(np.int64)
    fold, no_trusted_rows = np.arange(N) % 5, (np.zeros((0, 7), np.float32), np.zeros(0, np.int64))
    fitting = Fitting(trees=0.2, categories=(slice(1, 7),))
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            classes = predict_classes(X, y, 2, fold, *no_trusted_rows, fitting)["boosting"].rows[:, 1]
            numbers = predict_numbers(X, y.astype(np.float64), fold, *no_trusted_rows, fitting)["boosting"].rows
            found.append(np.stack([classes, numbers]))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)
    assert ((found[0] > 0.5) == y).mean() > 0.99


@pytest.mark.parametrize("in_threads", [False, True])
def test_results_are_in_the_order_of_the_tasks_and_errors_are_raised(in_threads: bool) -> None:
    assert share(range(20), lambda task: task**2, in_threads=in_threads) == [task**2 for task in range(20)]
    with pytest.raises(ZeroDivisionError):
        share([1, 0], lambda task: 1 / task, in_threads=in_threads)
