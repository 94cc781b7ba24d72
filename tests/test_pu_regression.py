"""The share of outliers and what tells them apart, where both are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_expit, logit

from lossval_cli.noise.pu_regression import RIDGE, SHARE_PRIOR, fit_pu_regression
from lossval_cli.noise.pu_regression import _Posterior as Posterior

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def drawn(share: float, rows: int, seed: int, distance: float = 4.0) -> Arrays:
    """Rows N(0, 1) of which a share is moved, a moved copy of each, and weights of 1."""
    rng = np.random.default_rng(seed)
    own, copies = rng.standard_normal((rows, 2)), rng.standard_normal((rows, 2))
    own[: round(share * rows)] += distance / np.sqrt(2)
    copies += distance / np.sqrt(2)
    ceiling = np.median(copies, axis=0)
    return np.minimum(own, ceiling), np.minimum(copies, ceiling), np.ones(rows)


@pytest.mark.parametrize("share", [0.0, 0.03, 0.1, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_the_share_is_found_and_lies_in_its_interval(share: float, seed: int) -> None:
    found = fit_pu_regression(*drawn(share, 1_000, seed))
    assert found.share == pytest.approx(share, abs=0.03 + 0.2 * share)
    assert found.interval[0] <= share <= found.interval[1]
    assert found.interval[0] <= found.share <= found.interval[1]


def test_without_noisy_rows_the_interval_starts_at_zero() -> None:
    assert fit_pu_regression(*drawn(0.0, 300, 0)).interval[0] == 0.0


def test_rows_like_the_corrupted_copies_get_the_higher_log_ratio() -> None:
    own, copies, weight = drawn(0.1, 800, 1)
    beta = fit_pu_regression(own, copies, weight).coefficients
    log_ratio = beta[0] + own @ beta[1:]
    assert np.median(log_ratio[:80]) > 2 > -2 > np.median(log_ratio[80:])


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5])
def test_newton_comes_to_where_another_minimiser_does(share: float) -> None:
    """The posterior is written here once more, as the module's head has it."""
    own, copies, weight = drawn(0.1, 200, 2, distance=2.0)
    x = np.concatenate([own, copies])

    def loss(beta: np.ndarray) -> float:
        ratio = beta[0] + x @ beta[1:]
        odds = ratio - np.log(1 - share + share * np.exp(ratio))
        likelihood = log_expit(-odds[:200]).sum() + log_expit(odds[200:]).sum()
        return float(0.5 * RIDGE * beta[1:] @ beta[1:] - likelihood - SHARE_PRIOR * np.log(1 - share))

    point = Posterior.of(own, copies, weight).best(float(logit(share)), np.zeros(3))
    assert point.value == pytest.approx(minimize(loss, np.zeros(3)).fun, abs=0.02)


def test_a_row_of_weight_two_is_two_rows() -> None:
    own, copies, weight = drawn(0.1, 300, 3)
    twice = fit_pu_regression(*(np.concatenate([values, values[:150]]) for values in (own, copies, weight)))
    weight[:150] = 2.0
    once = fit_pu_regression(own, copies, weight)
    assert once.share == pytest.approx(twice.share, rel=0.02)
    np.testing.assert_allclose(once.coefficients, twice.coefficients, atol=0.05)
