"""A column in another unit in part of the table is named; groups that differ for good reasons are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lossval_cli.report.findings.units import UnitJump, find_unit_jumps
from lossval_cli.report.sentences.health import unit_jump

ROWS = 1200


def patients(seed: int = 0) -> pd.DataFrame:
    """Three sites of the same kind, and a ward of children, who are small in every respect."""
    rng = np.random.default_rng(seed)
    height = rng.normal(172, 9, ROWS)
    table = pd.DataFrame(
        {
            "site": rng.choice(["A", "B", "C"], ROWS, p=[0.5, 0.4, 0.1]),
            "ward": rng.choice(["internal", "surgery", "children"], ROWS, p=[0.5, 0.4, 0.1]),
            "admitted": np.sort(rng.integers(0, 700, ROWS)) * 86400.0 + 1.6e9,
            "height": height,
            "weight": np.exp(rng.normal(4.3, 0.15, ROWS)) * (height / 172) ** 2,
            "temperature": rng.normal(37, 0.5, ROWS),
            "pulse": rng.normal(75, 9, ROWS),
        }
    )
    table.loc[table["ward"] == "children", ["height", "weight", "pulse"]] *= [0.6, 0.1, 1.6]
    return table


def found(table: pd.DataFrame) -> list[UnitJump]:
    kinds = {
        c: "date" if c == "admitted" else "category" if table[c].dtype.kind not in "fi" else "number" for c in table
    }
    return find_unit_jumps(table, kinds)


@pytest.mark.parametrize("seed", range(3))
def test_right_groups_and_trends_are_not_in_another_unit(seed: int) -> None:
    """Children weigh a tenth, salaries rise by the grade, prices by the year; a product costs seven times more."""
    rng, table = np.random.default_rng(seed), patients(seed)
    assert found(table) == []
    grade = rng.integers(1, 8, ROWS)
    table["grade"] = grade.astype(str)
    table["salary"] = 2000 * 1.6**grade * np.exp(0.1 * rng.normal(size=ROWS))
    table["price"] = np.exp(np.linspace(0, 2.3, ROWS) + 0.1 * rng.normal(size=ROWS))
    table["cost"] = np.where(rng.random(ROWS) < 0.2, 7.0, 1.0)
    assert found(table) == []


@pytest.mark.parametrize(
    ("column", "factor"), [("weight", 2.2046), ("height", 1 / 2.54), ("pulse", 10), ("weight", 1000)]
)
def test_a_unit_of_a_site_and_of_a_period_is_named(column: str, factor: float) -> None:
    for rows, where in ((patients()["site"] == "C", "site"), (np.isin(np.arange(ROWS), np.arange(400, 560)), "")):
        table = patients()
        table.loc[rows, column] *= factor
        (jump,) = found(table)
        assert (jump.column, jump.where) == (column, where)
        assert jump.factor == pytest.approx(factor)
        if not isinstance(jump.level, str):
            assert np.abs(np.array(jump.level) - [400, 559]).max() <= 60


def test_degrees_fahrenheit_are_named() -> None:
    table = patients()
    there = table["site"] == "C"
    table.loc[there, "temperature"] = 1.8 * table.loc[there, "temperature"] + 32
    (jump,) = found(table)
    assert (jump.column, jump.where, jump.level, jump.factor) == ("temperature", "site", "C", 0)


def test_a_factor_of_two_units_is_rarely_met_by_chance() -> None:
    """Groups that differ by any factor, in one column alone, are reported in about one table of ten."""
    reported = 0
    for seed in range(1000, 1200):
        rng = np.random.default_rng(seed)
        there, spread = rng.random(ROWS) < rng.uniform(0.1, 0.4), rng.uniform(0.2, 0.4)
        table = pd.DataFrame({"site": np.where(there, "B", "A")} | {c: rng.normal(size=ROWS) for c in "abc"})
        factor = np.exp(rng.uniform(np.log(1.8), np.log(30)))
        table["amount"] = np.exp(2 + spread * rng.normal(size=ROWS)) * np.where(there, factor, 1)
        reported += len(found(table))
    assert reported < 30


@pytest.mark.parametrize("factor", [1.9, 2.9, 4.5, 7, 24])
def test_groups_that_differ_by_no_factor_of_units_are_not_reported(factor: float) -> None:
    table = patients()
    table.loc[table["site"] == "C", "weight"] *= factor
    assert found(table) == []


def test_nothing_is_said_where_no_other_column_can_be_compared() -> None:
    table = patients()[["site", "weight"]]
    table.loc[table["site"] == "C", "weight"] *= 1000
    assert found(table) == []


def test_a_large_number_of_a_site_is_shown_whole() -> None:
    table = patients()
    table["site"] = table["site"].map({"A": 8001232.0, "B": 8001233.0, "C": 8001234.0})
    table.loc[table["site"] == 8001234, "weight"] *= 1000
    (jump,) = found(table)
    assert (jump.where, jump.level) == ("site", "8001234")


def test_the_sentence_says_where_and_by_how_much() -> None:
    assert unit_jump("weight", "where site is C", (158.4, 71.6), 2.2046) == (
        "weight may be in another unit where site is C: its median is 158.4 there and 71.6 elsewhere, a factor of 2.2 "
        "as between units, while other columns hardly differ."
    )
    assert "a factor of 1000 as" in unit_jump("weight", "where site is C", (71600, 71.6), 1 / 999.9999)
    assert "Fahrenheit" in unit_jump("temperature", "where site is C", (98.6, 37.0), 0)
