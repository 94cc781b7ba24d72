"""Number labels of few values: those with more than one mode are right, those replaced at random are found."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from lossval_cli.noise.number_errors import FALSE_DISCOVERIES, estimate_number_errors
from lossval_cli.noise.number_mixture import Predicted, Scores

Floats = npt.NDArray[np.float64]


def predicted(y: Floats, expected: Floats) -> Predicted:
    """Labels beside what a good model of their mean would predict."""
    return Predicted(Scores.of(y).score(expected), y)


def prices(seed: int) -> tuple[Floats, Floats]:
    """Full prices by shop, half of them reduced without a reason that the features know; and their means."""
    rng = np.random.default_rng(seed)
    full, reduced = np.array([0.89, 0.95, 0.99]), np.array([0.75, 0.75, 0.79])
    shop, is_full = rng.integers(0, 3, 3000), rng.random(3000) < 0.6
    noise = 0.01 * rng.normal(size=3000)
    return np.where(is_full, full[shop], reduced[shop]), 0.6 * full[shop] + 0.4 * reduced[shop] + noise


@pytest.mark.slow
def test_a_price_that_is_full_or_reduced_is_right_either_way() -> None:
    for seed in range(3):
        found = estimate_number_errors(predicted(*prices(seed)), seed)
        assert (found.probability > 0.5).mean() <= 0.02
        assert found.low <= 0.03


@pytest.mark.slow
def test_grades_that_were_replaced_at_random_are_found_all_the_same() -> None:
    rng = np.random.default_rng(0)
    expected = rng.uniform(0, 10, 3000)
    y = np.round(np.clip(expected + 0.5 * rng.normal(size=3000), 0, 10))
    wrong = rng.random(3000) < 0.1
    y[wrong] = rng.integers(0, 11, wrong.sum())
    found = estimate_number_errors(predicted(y, expected), 0)
    flagged, far = found.probability > 0.5, wrong & (np.abs(y - expected) > 2.5)
    assert flagged[far].mean() >= 0.9
    assert wrong[flagged].mean() >= 0.85
    assert 0.06 <= found.share <= 0.12


def test_a_label_ten_times_too_large_is_found_among_few_values() -> None:
    y, expected = prices(7)
    y[:20] *= 10
    found = estimate_number_errors(predicted(y, expected), 0)
    assert (found.probability[:20] > 0.5).all()
    assert (found.probability[20:] > 0.5).mean() <= 0.02


def test_a_second_mode_far_from_the_first_is_right_and_as_many_labels_in_another_unit_are_not() -> None:
    rng = np.random.default_rng(0)
    expected = rng.uniform(10, 30, 2000)
    y = (expected + rng.normal(size=2000)).round(2)
    other = rng.random(2000) < 0.05
    modes, units = np.where(other, y + 400, y), np.where(other, 100 * y, y)
    beyond = 1 - FALSE_DISCOVERIES  # the least probability of what lies beyond everything
    assert estimate_number_errors(predicted(modes, expected), 0).probability[other].min() < beyond
    assert (estimate_number_errors(predicted(units, expected), 0).probability[other] >= beyond).mean() >= 0.9
