"""Exceptions to what two columns keep to: errors are found, and what is rare by nature is spared."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from lossval_cli.noise.level_cells import LevelCells
from lossval_cli.noise.number_cells import NumberCells
from lossval_cli.noise.outliers import OutlierModel
from lossval_cli.noise.pair_cells import PairCells, PairEvidence

Mask = npt.NDArray[np.bool_]


def evidence(frame: pd.DataFrame) -> PairEvidence:
    numbers = {i: NumberCells.fit(frame[c].to_numpy()) for i, c in enumerate(frame) if frame[c].dtype == float}
    levels = {i: LevelCells.fit(frame[c].value_counts().to_dict()) for i, c in enumerate(frame) if i not in numbers}
    group = pd.factorize(frame.apply(tuple, axis=1))[0].astype(np.int64)
    return PairCells.fit(frame, numbers, levels, group).evidence(frame, np.bincount(group)[group])


def cities(rows: int, seed: int) -> pd.DataFrame:
    """Sixty cities, some of few rows, of eight countries, and the number of each city's inhabitants."""
    rng = np.random.default_rng(seed)
    city = np.minimum(rng.exponential(12, rows).astype(int), 59)
    columns = {"city": [f"city {c}" for c in city], "country": [f"country {c % 8}" for c in city]}
    return pd.DataFrame(columns | {"inhabitants": 1000.0 + 37.0 * city, "x": rng.normal(size=rows).round(3)})


def broken(frame: pd.DataFrame, column: str, cells: int, seed: int) -> Mask:
    """Give some cells another row's value; which rows are changed."""
    rng = np.random.default_rng(seed)
    values = frame[column].to_numpy().copy()
    rows = np.zeros(len(frame), bool)
    for i in rng.choice(len(frame), cells, replace=False):
        values[i] = rng.choice(frame.loc[frame[column] != values[i], column])
        rows[i] = True
    frame[column] = values
    return rows


def test_cells_that_break_a_rule_between_two_columns_are_errors() -> None:
    frame = cities(2000, 0)
    rows = broken(frame, "country", 12, 1)
    wrong = evidence(frame).wrong > 0.5
    assert wrong[rows].mean() >= 0.75
    assert not wrong[~rows].any()


def test_two_values_that_exclude_one_another_are_errors_together() -> None:
    rng = np.random.default_rng(0)
    sex, tie = rng.choice(["male", "female"], 3000), rng.choice(["spouse", "child", "none"], 3000)
    relation = np.where(tie == "spouse", np.where(sex == "male", "husband", "wife"), tie)
    frame = pd.DataFrame({"sex": sex, "relation": relation, "x": rng.normal(size=3000).round(3)})
    rows = np.flatnonzero(relation == "husband")[:6]
    frame.loc[rows[:3], "relation"], frame.loc[rows[3:], "sex"] = "wife", "female"
    wrong = evidence(frame).wrong > 0.5
    assert wrong[rows].all()
    assert wrong.sum() == len(rows)


def test_columns_that_nearly_determine_one_another_have_exceptions_of_every_rarity() -> None:
    """Suburbs that lie in two councils, half of them with a few rows, are right."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        suburb = rng.integers(0, 100, 5000)
        share = np.where(rng.random(100) < 0.4, 10 ** rng.uniform(-3, -0.5, 100), 0.0)
        council = np.where(rng.random(5000) < share[suburb], suburb // 10 + 1, suburb // 10)
        frame = pd.DataFrame({"suburb": [f"s{s}" for s in suburb], "council": [f"c{c}" for c in council]})
        frame["x"] = rng.normal(size=5000).round(3)
        assert (evidence(frame).wrong > 0.5).mean() <= 0.002


@pytest.mark.slow
def test_related_and_unrelated_columns_without_errors_have_none() -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        z = rng.normal(size=4000)
        related = {
            f"r{i}": np.digitize(z + rng.normal(size=4000), [-1.5, -0.5, 0.5, 1.5]).astype(str) for i in range(5)
        }
        chance = {f"c{i}": rng.choice(list("abcdef"), 4000, p=[0.5, 0.3, 0.1, 0.05, 0.04, 0.01]) for i in range(5)}
        frame = pd.DataFrame(related | chance | {"z": z.round(3)})
        assert (evidence(frame).wrong > 0.5).mean() <= 0.001


def test_a_row_entered_three_times_does_not_support_itself() -> None:
    frame = cities(2000, 2)
    rows = broken(frame, "country", 10, 3)
    copies = pd.concat([frame, frame[rows], frame[rows]], ignore_index=True)
    single, repeated = evidence(frame), evidence(copies)
    np.testing.assert_allclose(repeated.lift[:2000][rows].max(axis=1), single.lift[rows].max(axis=1), atol=0.1)


def test_tables_of_numbers_alone_have_no_pairs() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).integers(0, 30, (500, 4)).astype(float), columns=list("abcd"))
    assert not evidence(frame).lift.any()


def test_broken_rules_make_outliers_of_rows_that_nothing_else_tells_apart() -> None:
    frame = cities(2000, 4)
    rows = broken(frame, "country", 20, 5)
    kinds = {"city": "category", "country": "category", "inhabitants": "number", "x": "number"}
    found = OutlierModel.fit(frame, kinds, np.random.default_rng(0)).fitted().probability > 0.5
    assert found[rows].mean() >= 0.6
    assert found[~rows].mean() <= 0.005
