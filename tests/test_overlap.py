"""Rows that validation shares with training are counted and said: copies, copies with another label, near copies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome

from lossval_cli.features.dataset import Dataset, load_dataset
from lossval_cli.features.table_options import TableOptions
from lossval_cli.settings import Settings

pytestmark = pytest.mark.usefixtures("valued_once")

Cli = Callable[..., Outcome]
RNG = np.random.default_rng(16)


def frame(rows: int) -> pd.DataFrame:
    table = pd.DataFrame(RNG.normal(size=(rows, 2)).round(4), columns=["x", "z"])
    table["city"] = RNG.choice(["Oslo", "Bergen", "Bodo"], rows)
    table["label"] = np.where(table["x"] + table["z"] > 0, 1, 0)
    return table


TRAIN, OTHER = frame(300), frame(60)
SOME = TRAIN[:60]


def load(val: pd.DataFrame, train: pd.DataFrame = TRAIN) -> Dataset:
    return load_dataset(train, val, settings=Settings())


CASES: dict[str, tuple[pd.DataFrame, tuple[int, int, int]]] = {
    "other rows": (OTHER, (0, 0, 0)),
    "rows of training": (pd.concat([SOME[:6], OTHER[6:]]), (6, 0, 0)),
    "rows of training with another label": (pd.concat([SOME[:6].assign(label=1 - SOME.label), OTHER[6:]]), (0, 6, 0)),
    "rounded rows of training": (pd.concat([SOME[:20].round(2), OTHER[20:]]), (0, 0, 20)),
    "rows of training without a label": (pd.concat([SOME[:6], OTHER[6:]]).drop(columns="label"), (6, 0, 0)),
}


@pytest.mark.parametrize("case", CASES)
def test_rows_of_validation_that_training_holds_are_counted(case: str) -> None:
    val, expected = CASES[case]
    dataset = load(val)
    found = dataset.overlaps["validation"]
    assert (found.same, found.relabelled) == expected[:2]
    assert found.near == pytest.approx(expected[2], abs=2), "another row may lie as near by chance"
    assert any("leak from training" in notice for notice in dataset.notices) == (sum(expected) > 0)


def test_a_table_of_few_categories_repeats_itself_and_leaks_nothing() -> None:
    few = pd.DataFrame({name: RNG.choice(["a", "b", "c"], 400) for name in ("p", "q")})
    few["label"] = RNG.choice(["y", "n"], 400)
    dataset = load(few[300:], few[:300])
    assert dataset.overlaps["validation"].relabelled == 0
    assert not [notice for notice in dataset.notices if "leak" in notice or "copies" in notice]


@pytest.mark.slow
def test_the_training_table_as_validation_is_said(cli: Cli) -> None:
    TRAIN.to_csv("train.csv", index=False)
    TRAIN.to_csv("val.csv", index=False)
    outcome = cli(
        "score", "train.csv", "--val", "val.csv", "--set", "epochs=2", "--effort", "low", "--removal", "quick"
    )
    assert "val.csv holds the same rows as train.csv: nothing measured on it says how a model does" in outcome.err
    report = json.loads(Path("train.lossval/report.json").read_text())
    assert "evaluated on validation rows of which 300 are in the training table" in report["removal"]["notice"]
    assert report["leakage"]["val"]["suspicious"]
    gate = ("check", "train.lossval", "--max-suspects", "100%", "--max-leakage", "10%")
    assert cli(*gate).code == 1


@pytest.mark.slow
def test_a_gate_counts_near_copies_and_other_labels_as_leaks(cli: Cli, quick: tuple[str, ...]) -> None:
    TRAIN.to_csv("train.csv", index=False)
    gate = ("check", "train.csv", "--val", "val.csv", *quick, "--max-suspects", "100%", "--max-leakage", "5%")
    for case in ("rows of training with another label", "rounded rows of training"):
        CASES[case][0].to_csv("val.csv", index=False)
        assert cli(*gate).code == 1
    OTHER.to_csv("val.csv", index=False)
    assert cli(*gate).code == 0


def test_copies_in_the_training_table_are_counted_and_stay_on_one_side_of_a_hold_out() -> None:
    doubled = pd.concat([TRAIN, TRAIN[:90]], ignore_index=True).sample(frac=1, random_state=0)
    dataset = load_dataset(doubled, None, settings=Settings())
    assert "<DataFrame>: 180 of 390 rows (46.2%) are copies of other rows (equal features); copies share a fold" in (
        dataset.notices
    )
    assert dataset.copies is not None
    assert dataset.held_out is not None
    held = np.isin(np.arange(390), dataset.held_out)
    assert not set(dataset.copies[held]) & set(dataset.copies[~held])
    assert 60 <= held.sum() <= 96


def test_groups_and_time_decide_the_hold_out() -> None:
    table = TRAIN.assign(patient=np.arange(300) // 5, day=RNG.permutation(300))
    grouped = load_dataset(table, None, options=TableOptions(group="patient"), settings=Settings())
    assert grouped.held_out is not None
    held = np.isin(np.arange(300), grouped.held_out)
    assert not set(table["patient"][held]) & set(table["patient"][~held])
    assert "patient" not in grouped.roles.features
    ordered = load_dataset(table, None, options=TableOptions(time="day"), settings=Settings())
    assert ordered.held_out is not None
    assert set(table["day"][ordered.held_out]) == set(range(240, 300))
    weighted = load_dataset(table, None, options=TableOptions(weight="day"), settings=Settings())
    assert weighted.weights is not None
    assert weighted.weights.mean() == pytest.approx(1)
    assert weighted.weights / weighted.weights.max() == pytest.approx(table["day"] / 299)
