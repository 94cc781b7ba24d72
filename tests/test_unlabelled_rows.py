"""Rows without a label are left out of training, said, and still in the scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome, frame

import lossval_cli

pytestmark = pytest.mark.usefixtures("valued_once")

Cli = Callable[..., Outcome]
Quick = tuple[str, ...]
GONE = [3, 10, 11, 40, 41, 42, 59]


@pytest.fixture
def partly(tables: Path) -> pd.DataFrame:
    """train.csv and train.parquet, of which some rows have no label."""
    table = frame()
    table.loc[GONE, "label"] = None
    table.to_csv("train.csv", index=False)
    table.to_parquet("train.parquet", index=False)
    return table


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train.csv", "train.parquet"])
def test_rows_without_a_label_are_last_in_the_scores_and_the_others_as_without_them(
    name: str, partly: pd.DataFrame, cli: Cli, quick: Quick
) -> None:
    outcome = cli("score", name, "--val", "val.csv", *quick)
    assert outcome.code == 0, outcome.err
    first = "line 5, line 12" if name.endswith("csv") else "row 3, row 10"
    assert f"{name}: 7 of 60 rows have no label ({first}, " in outcome.err
    form = name.rpartition(".")[2]
    path = f"train.lossval/scores.{form}"
    scores = pd.read_csv(path) if form == "csv" else pd.read_parquet(path)
    assert sorted(scores["row"]) == list(range(60))
    assert list(scores["rank"]) == list(range(1, 61))
    assert list(scores["row"][-7:]) == GONE
    assert scores[["importance", "noise_probability", "predicted"]][-7:].isna().all(axis=None)
    assert (scores["customer"] == [f"c0-{row}" for row in scores["row"]]).all()
    partly.dropna().to_csv("rest.csv", index=False)
    assert cli("score", "rest.csv", "--val", "val.csv", *quick, "-q").code == 0
    rest = pd.read_csv("rest.lossval/scores.csv")
    assert list(rest["customer"]) == list(scores["customer"][:53])
    assert np.allclose(rest["importance"], scores["importance"][:53])
    report = json.loads(Path("train.lossval/report.json").read_text())
    assert report["summary"]["rows"] == 53
    assert [one["row"] for one in report["data"]["unlabelled"]["examples"]] == GONE
    by_row = scores.set_index("row")
    assert [one["importance"] for one in report["suspects"]] == pytest.approx(
        [by_row.loc[one["row"], "importance"] for one in report["suspects"]], rel=1e-3
    )


@pytest.mark.slow
def test_later_commands_know_rows_without_a_label(partly: pd.DataFrame, cli: Cli, quick: Quick) -> None:
    assert cli("score", "train.csv", "--val", "val.csv", *quick, "-q").code == 0
    diff = json.loads(cli("diff", "train.lossval", "train.lossval", "--output-format", "json").out)
    assert (diff["matched"], diff["rank_correlation"]) == (60, pytest.approx(1))
    check = cli("check", "train.lossval", "--max-suspects", "100%")
    assert (check.code, " of 53 rows (" in check.out) == (0, True)
    assert cli("clean", "train.lossval", "--drop", "lowest:5", "--add-weights", "weight", "-o", "c.csv").code == 0
    cleaned = pd.read_csv("c.csv").set_index("customer")
    assert len(cleaned) == 55
    assert (cleaned.loc[[f"c0-{row}" for row in GONE], "weight"] == 0).all()
    best = cli("score", "train.csv", "--val", "val.csv", *quick, "-o", "-", "--sort", "best", "--columns", "rank")
    ranks = [int(rank) for rank in best.out.split()[1:]]
    assert ranks == [*range(53, 0, -1), *range(60, 53, -1)]


def test_missing_labels_can_be_refused(partly: pd.DataFrame, cli: Cli, quick: Quick) -> None:
    outcome = cli("score", "train.csv", "--val", "val.csv", *quick, "--require-labels")
    assert (outcome.code, outcome.err.splitlines()[-1]) == (
        2,
        "error: train.csv line 5, column label: the label is missing (7 such rows in all); "
        "fill it in, remove the row, or leave out --require-labels",
    )


@pytest.mark.slow
def test_validation_rows_without_a_label_are_left_out_too(cli: Cli, quick: Quick) -> None:
    val = frame(40, seed=1)
    val.loc[::5, "label"] = None
    val.to_csv("val.csv", index=False)
    outcome = cli("score", "train.csv", "--val", "val.csv", *quick)
    assert outcome.code == 0, outcome.err
    assert "val.csv: 8 of 40 rows have no label (line 2, line 7, line 12, line 17, line 22 and 3 more)" in outcome.err
    assert json.loads(Path("train.lossval/report.json").read_text())["data"]["tables"]["val"]["rows"] == 32
    val.assign(label="").to_csv("val.csv", index=False)
    assert cli("score", "train.csv", "--val", "val.csv", *quick).code == 0


@pytest.mark.slow
def test_scores_of_a_frame_hold_every_row_with_its_index() -> None:
    table = frame()
    table.loc[GONE, "label"] = None
    table.index = pd.Index([f"r{row // 2}" for row in range(60)], name="visit")
    result = lossval_cli.score(table, effort="low", epochs=2, removal="off")
    assert sorted(result.scores["row"]) == list(range(60))
    assert list(result.scores.index) == [f"r{row // 2}" for row in result.scores["row"]]
    assert result.scores.index.name == "visit"
