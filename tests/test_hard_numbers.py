"""Numeric labels of difficult shapes: right ones are left alone, and ten times too large is found all the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from lossval_cli.noise.flags import choose_suspects
from lossval_cli.noise.number_errors import estimate_number_errors
from lossval_cli.noise.number_mixture import Predicted, Scores

Floats = npt.NDArray[np.float64]

ROWS = 1500


def predicted(y: Floats, expected: Floats) -> Predicted:
    """Predictions that are as good as can be, in the normal scores of y."""
    return Predicted(Scores.of(y).score(expected), y)


def two_modes(rng: np.random.Generator, second: float) -> tuple[Floats, Floats]:
    """Numbers about 20, and a share about 60 that nothing predicts; and what is expected."""
    s = rng.normal(size=ROWS)
    y = np.where(rng.random(ROWS) < second, 60, 20) + 3 * s + 2 * rng.normal(size=ROWS)
    return y.round(1), 20 + 40 * second + 3 * s


@pytest.mark.parametrize("second", [0.05, 0.5])
def test_ten_times_too_large_is_found_beside_two_modes(second: float) -> None:
    y, expected = two_modes(np.random.default_rng(0), second)
    y[:15] *= 10
    found = choose_suspects(estimate_number_errors(predicted(y, expected), 0).probability)[0]
    assert found[:15].all()
    assert found[15:].mean() <= 0.025  # the rarer mode itself: some of it looks like another row's label


def test_ten_times_too_large_is_found_beside_many_zeros() -> None:
    rng = np.random.default_rng(0)
    s = rng.normal(size=ROWS)
    y = np.where(rng.random(ROWS) < 0.2, 0.0, (30 + 8 * s + 4 * rng.normal(size=ROWS)).round(1))
    wrong = np.flatnonzero(y > 20)[:15]
    y[wrong] *= 10
    found = choose_suspects(estimate_number_errors(predicted(y, 24 + 6.4 * s), 0).probability)[0]
    assert found[wrong].all()
    assert found.sum() <= 15 + 0.02 * ROWS


@pytest.mark.parametrize("form", ["normal", "skewed", "heavy"])
def test_numbers_that_nothing_predicts_leave_open_whether_any_is_wrong(form: str) -> None:
    """Right and wrong labels look alike then: the interval contains none, and hardly a label is flagged."""
    rng = np.random.default_rng(0)
    y = {
        "normal": rng.normal(size=ROWS),
        "skewed": np.exp(rng.normal(size=ROWS)).round(2),
        "heavy": rng.standard_t(3, ROWS),
    }[form]
    found = estimate_number_errors(predicted(y, np.median(y) + 0.1 * rng.normal(size=ROWS)), 0)
    assert found.low <= 0.005
    assert found.share <= 0.1
    assert choose_suspects(found.probability)[0].mean() <= 0.005


def test_a_count_is_right_where_its_prediction_lies_within_a_step_of_it() -> None:
    """Where other columns determine a count, most predictions are exact, and 1.7 for a 2 is no error."""
    rng = np.random.default_rng(0)
    y = np.ceil(np.exp(rng.normal(4, 1.5, ROWS)))
    expected = y + 0.002 * y * rng.normal(size=ROWS)
    rough = np.flatnonzero(y < 40)[::4]
    expected[rough] += rng.uniform(0.3, 0.5, len(rough)) * rng.choice([-1, 1], len(rough))
    y[:3], expected[:3] = 2000, 200
    found = choose_suspects(estimate_number_errors(predicted(y, expected), 0).probability)[0]
    assert found[:3].all()
    assert not found[3:].any()


def test_a_model_that_errs_a_little_in_places_finds_no_errors_in_a_label_that_follows_from_the_features() -> None:
    """A weight in ounces beside one in pounds: predictions are exact but for the ends."""
    rng = np.random.default_rng(0)
    y = (120 + 20 * rng.normal(size=ROWS)).round()
    expected = y + 0.02 * rng.normal(size=ROWS)
    ends = np.flatnonzero(np.abs(y - 120) > 38)
    expected[ends] += rng.uniform(1.5, 4, len(ends)) * rng.choice([-1, 1], len(ends))
    y[:3] += 60
    found = choose_suspects(estimate_number_errors(predicted(y, expected), 0).probability)[0]
    assert found[:3].all()
    assert not found[3:].any()


@pytest.mark.slow
def test_a_count_of_few_values_that_nothing_predicts_is_left_alone() -> None:
    """Cigarettes a day: most people smoke none, the others one of thirty numbers."""
    rng = np.random.default_rng(0)
    many = np.array([1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 18, 19, 20, 25, 28, 30, 33, 35, 40, 50, 60, 80])
    chance = np.where(many % 10, 0.4, 1.0) / (1 + np.abs(many - 20) / 20)
    y = np.where(rng.random(ROWS) < 0.6, 0, rng.choice(many, ROWS, p=chance / chance.sum())).astype(float)
    found = estimate_number_errors(predicted(y, np.full(ROWS, 0.5) + 0.1 * rng.normal(size=ROWS)), 0)
    assert not choose_suspects(found.probability)[0].any()
