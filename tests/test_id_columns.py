"""A column that only identifies rows changes nothing, in whatever form exports have it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome

pytestmark = pytest.mark.usefixtures("valued_once")

Cli = Callable[..., Outcome]
Quick = tuple[str, ...]
N = 120
RNG = np.random.default_rng(8)
X, Z = RNG.normal(size=(2, N))
GOOD = (X + Z > 0) ^ (RNG.random(N) < 0.08)
ORDER = np.argsort(~GOOD, kind="stable")
PLAIN = pd.DataFrame({"x": X[ORDER].round(4), "z": Z[ORDER].round(4), "label": np.where(GOOD[ORDER], "yes", "no")})
"""Sorted by label, as pd.concat([yes, no]) is: a number that rises from row to row tells the label."""

YES = int(GOOD.sum())
NUMBERS = np.arange(1001, 1001 + N)

COLUMNS: dict[str, tuple[str, Sequence[object]]] = {
    "whole numbers": ("customer_id", NUMBERS.tolist()),
    "floats because one is missing": ("customer_id", [*(f"{n}.0" for n in NUMBERS[:70]), "", *NUMBERS[71:].tolist()]),
    "one entered twice": ("CUSTOMERID", [*NUMBERS[:70].tolist(), NUMBERS[69], *NUMBERS[71:].tolist()]),
    "the index of two tables": ("", [*range(YES), *range(N - YES)]),
    "the same, written again": ("Unnamed: 0", [*range(YES), *range(N - YES)]),
    "twenty digits": ("iccid", [f"8949{n:016d}" for n in NUMBERS]),
    "serial codes": ("ref", [f"C-{n}" for n in NUMBERS]),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", COLUMNS)
def test_scores_are_those_without_the_id(case: str, cli: Cli, quick: Quick) -> None:
    name, values = COLUMNS[case]
    PLAIN.to_csv("plain.csv", index=False)
    table = PLAIN.copy()
    table.insert(0, name, values)
    table.to_csv("named.csv", index=False)
    scores = []
    for path in ("plain.csv", "named.csv"):
        outcome = cli("score", path, *quick, "-o", "-", "--columns", "row,importance,suspect")
        assert outcome.code == 0, outcome.err
        scores.append(outcome.out)
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_an_index_in_the_last_column_of_parquet_is_not_the_label(cli: Cli, quick: Quick) -> None:
    PLAIN[PLAIN["x"] > -1].rename(columns={"label": "churn"}).to_parquet("part.parquet")
    outcome = cli("score", "part.parquet", *quick)
    assert "label: column churn, the last one that can be a label; --label names another" in outcome.err
    assert json.loads(Path("part.lossval/run.json").read_text())["roles"]["ids"] == ["__index_level_0__"]


@pytest.mark.slow
def test_acquire_says_which_ids_repeat_and_which_rows_are_known(cli: Cli, quick: Quick) -> None:
    table = PLAIN.assign(customer_id=NUMBERS)
    table.to_csv("data.csv", index=False)
    assert cli("score", "data.csv", *quick, "-q").code == 0
    pool = table.drop(columns="label").head(30).assign(customer_id=[7, 7, *range(28)])
    pool.loc[10:, "x"] += 1
    pool.to_csv("pool.csv", index=False)
    outcome = cli("acquire", "pool.csv", "--run", "data.lossval", "-n", "5")
    assert outcome.code == 0, outcome.err
    assert "pool.csv: column customer_id: 1 value repeated: '7' on lines 2, 3, 11; row and line say" in outcome.err
    assert "pool.csv: 10 of 30 rows have the features of a training row" in outcome.err
