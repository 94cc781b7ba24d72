"""Numbers that are checked by other numbers, and rows whose numbers are large together, in tables with heavy tails."""

from __future__ import annotations

import numpy as np
import pytest
from number_tables import outliers_of as found

from lossval_cli.noise.linear_cells import LinearCells
from lossval_cli.noise.number_cells import NumberCells, Side
from lossval_cli.noise.tails import Tail

LOOSE = (0.75, 0.93)


def test_a_number_that_contradicts_a_close_relation_is_found_within_the_usual_range() -> None:
    """A fee is a hundredth of a balance. Ten times that is an ordinary fee, of another balance."""
    rng = np.random.default_rng(0)
    balance = np.exp(7 + rng.standard_normal(1000))
    fee = 0.01 * balance * np.exp(0.05 * rng.standard_normal(1000))
    others = rng.standard_normal((1000, 3))
    wrong = np.argsort(np.abs(fee - np.median(fee)))[:10]
    fee[wrong] *= 10
    probability = found(np.column_stack([balance, fee, others])).probability
    assert fee[wrong].max() < np.delete(fee, wrong).max()
    assert (probability[wrong] > 0.5).mean() >= 0.9
    assert (np.delete(probability, wrong) > 0.5).mean() <= 0.01


@pytest.mark.slow
def test_rows_that_are_large_in_every_column_are_not_wrong() -> None:
    """Counts of files, some of which are far larger than most."""
    rng = np.random.default_rng(1)
    size = np.exp(rng.standard_normal(2000))
    counts = [rng.poisson(size * (1 + i) * np.exp(0.4 * rng.standard_normal(2000))) for i in range(8)]
    counts += [rng.poisson(0.25 * size) for _ in range(3)]
    assert (found(np.column_stack(counts)).probability > 0.5).mean() <= 0.01


def test_a_linear_prediction_takes_over_only_where_it_is_closer() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((600, 2)).astype(np.float32)
    inputs = np.column_stack([x, x.sum(axis=1)]).astype(np.float32)
    rough, exact = np.full(600, 0.5) * rng.choice([-1, 1], 600), np.zeros(600)
    model = LinearCells.fit(inputs, {0: 0, 1: 1, 2: 2}, {0: rough, 1: exact, 2: rough})
    assert set(model.coefficients) == {0, 2}
    predicted = model.predict(inputs, {0: 0, 1: 1, 2: 2})
    assert np.abs(predicted[2][0] - inputs[:, 2]).max() < 0.1


def side_above(values: np.ndarray) -> tuple[NumberCells, Side]:
    column = NumberCells.fit(values)
    scaled = column.scale(values)
    scaled = scaled[scaled >= 0]
    side = Side.fit(scaled, column.distance(scaled), len(values), LOOSE)
    assert side is not None
    return column, side


def test_a_count_far_beyond_the_others_has_the_tail_of_counts() -> None:
    children = np.random.default_rng(3).poisson(0.9, 2000).astype(float)
    column, side = side_above(children)
    few, many = column.scale(np.array([children.max()])), column.scale(np.array([24.0]))
    assert side.neg_log_p(few, column.distance(few))[0] < 7
    assert side.neg_log_p(many, column.distance(many))[0] > 12


def test_codes_are_no_counts() -> None:
    codes = np.random.default_rng(4).choice([1.0, 2.0, 3.0, 50.0, 99.0], 2000, p=[0.5, 0.25, 0.15, 0.09, 0.01])
    assert not isinstance(side_above(codes)[1].light, Tail)


def test_a_far_value_is_no_step_of_a_scale() -> None:
    """44 among priorities from 1 to 4, three times; a level that many rows have is one of the scale."""
    rng = np.random.default_rng(5)
    priority = rng.choice([1.0, 2.0, 3.0, 4.0], 2000, p=[0.3, 0.2, 0.2, 0.3])
    for cells, far in ((3, True), (30, False)):
        priority[:cells] = 44.0
        column, side = side_above(priority)
        value = column.scale(np.array([44.0]))
        assert (side.neg_log_p(value, column.distance(value))[0] > 10) == far


def test_amounts_that_are_mostly_zero_are_no_counts_of_ones() -> None:
    """Snow, in whole centimetres, on six days of a hundred: between the usual quantiles there are only zeros."""
    rng = np.random.default_rng(6)
    snow = np.where(rng.random(2000) < 0.06, np.ceil(rng.gamma(0.8, 7, 2000)), 0.0)
    column, side = side_above(snow)
    far = column.scale(np.array([25.0]))
    assert side.neg_log_p(far, column.distance(far))[0] < 9


def test_two_far_values_of_a_small_table_are_no_second_mode() -> None:
    haemoglobin = np.random.default_rng(7).normal(14.1, 0.9, 64).round(1)
    haemoglobin[:2] *= 10
    assert side_above(haemoglobin)[1].mode_start == np.inf
