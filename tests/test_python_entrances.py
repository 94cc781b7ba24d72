"""Results, commands and the estimator in Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import frame
from scipy import sparse

import lossval_cli
from lossval_cli import LossvalError, Result
from lossval_cli.calibration.render import calibration_markdown
from lossval_cli.report.types import Report, Summary
from lossval_cli.review.session import Session
from lossval_cli.runs.original import find_original

pytestmark = pytest.mark.usefixtures("valued_once")

ROOT = Path(__file__).parents[1]
FAST: dict[str, Any] = {"effort": "low", "removal": "off", "epochs": 4, "members": 4}


@pytest.fixture(scope="module")
def train() -> pd.DataFrame:
    table = frame(80).set_axis([f"row {i}" for i in range(80)])
    return table.assign(label=table["label"].astype("category"))


@pytest.fixture(scope="module")
def result(train: pd.DataFrame) -> Result:
    return lossval_cli.score(train, frame(40, seed=1), ids="customer", **FAST)


@pytest.mark.slow
def test_a_result_is_shown_in_a_line_and_in_a_notebook(result: Result) -> None:
    assert repr(result).startswith("<lossval Result: 80 rows of <DataFrame>, ")
    assert len(repr(result)) < 200
    page = result._repr_html_()
    assert "Suspect rows" in page and page.count("<table") == 2
    assert result.to_html().startswith("<!doctype html>")


@pytest.mark.slow
def test_the_report_has_the_keys_of_its_type(result: Result) -> None:
    assert Report.__required_keys__ <= set(result.report) <= set(Report.__annotations__)
    assert set(result.report["summary"]) >= Summary.__required_keys__


def test_suspects_have_the_index_of_the_table_and_the_most_probable_is_first(
    result: Result, train: pd.DataFrame
) -> None:
    found = result.suspects()
    assert len(found) == result.report["summary"]["suspects"] > 0
    assert found["noise_probability"].is_monotonic_decreasing
    assert (train.loc[found.index, "customer"] == found["customer"]).all()


@pytest.mark.slow
def test_a_run_on_a_table_in_memory_says_so_where_the_table_is_needed(train: pd.DataFrame, tmp_path: Path) -> None:
    run, pool = tmp_path / "run", tmp_path / "pool.csv"
    lossval_cli.score(train.drop(columns="customer"), frame(40, seed=1).drop(columns="customer"), **FAST).write(run)
    train.drop(columns=["customer", "label"]).to_csv(pool, index=False)
    for needed in (
        lambda: lossval_cli.acquire(run, pool, 3),
        lambda: lossval_cli.acquire(run, pool, 3, data=pool),
        lambda: find_original(run, None),
        lambda: find_original(run, str(pool)),
        lambda: Session(run, "a"),
    ):
        with pytest.raises(LossvalError, match=r"run was made on a table in memory"):
            needed()


def test_cleaning_keeps_columns_types_and_index(result: Result, train: pd.DataFrame) -> None:
    before = train.copy()
    kept = result.clean(drop="suspects")
    assert list(kept.index) == [name for name in train.index if name not in result.suspects().index]
    pd.testing.assert_frame_equal(kept, train.loc[kept.index])
    pd.testing.assert_frame_equal(train, before)


@pytest.mark.slow
def test_a_table_that_is_changed_later_is_cleaned_as_it_was(train: pd.DataFrame) -> None:
    changed = train.copy()
    result = lossval_cli.score(changed, label="label", removal="off", effort="low")
    before = result.clean(drop="lowest:5%")
    changed["size"] = 0
    changed.iloc[:, 0] = changed.iloc[::-1, 0].to_numpy()
    del changed["label"]
    pd.testing.assert_frame_equal(result.clean(drop="lowest:5%"), before)


def test_cleaning_gives_suspects_the_predicted_label(result: Result, train: pd.DataFrame) -> None:
    better = result.clean(relabel=True, min_probability=0.0)
    changed = train.index[train["label"] != better["label"]]
    expected = result.scores["predicted"][result.scores["suspect"] == "label"]
    assert len(changed) > 0
    assert (better["label"][changed] == expected[changed]).all()
    assert better["label"].dtype == train["label"].dtype


def test_cleaning_adds_weights(result: Result) -> None:
    weighed = result.clean(weights="w")
    assert weighed["w"].mean() == pytest.approx(1)
    importance = result.scores["importance"].reindex(weighed.index)
    np.testing.assert_allclose(weighed["w"], importance / importance.mean())


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "nothing to do"),
        ({"drop": "suspect"}, "choose suspects"),
        ({"drop": ["suspects", "label"]}, "already leaves out"),
        ({"drop": "label", "min_probability": 0.9}, "min_probability needs relabel=True"),
        ({"weights": "size"}, "has a column size"),
        ({"weights": 3}, "weights must be the name of a new column, not 3"),
        ({"drop": 3}, "drop must be one of suspects, label"),
        ({"relabel": True, "min_probability": 3}, "min_probability must be a share from 0% to 100%.*not 3"),
        ({"relabel": True, "min_probability": "x"}, "min_probability must be a share.*not 'x'"),
    ],
)
def test_cleaning_refuses_what_makes_no_sense(result: Result, choices: dict[str, Any], message: str) -> None:
    with pytest.raises(LossvalError, match=message):
        result.clean(**choices)


@pytest.mark.slow
def test_arrays_may_be_sparse_or_have_names(train: pd.DataFrame) -> None:
    X, y = train[["size"]], train["label"].to_numpy()
    named, dense, thin = (
        lossval_cli.score((part, y), **FAST) for part in (X, X.to_numpy(), sparse.csr_array(X.to_numpy()))
    )
    assert named.dataset.roles.features == ("size",)
    for other in (dense, thin):
        pd.testing.assert_frame_equal(other.scores, named.scores)


def test_a_written_result_is_a_run_directory(result: Result, tmp_path: Path) -> None:
    files = result.write(tmp_path / "run")
    assert (
        {path.name for path in (tmp_path / "run").iterdir()} >= {"scores.csv", "report.html", "run.json"} <= set(files)
    )
    by_directory, by_result = (lossval_cli.check(run, max_suspects="1%") for run in (tmp_path / "run", result))
    assert by_directory.results == by_result.results
    assert not by_result.passed
    assert lossval_cli.check(result, max_suspects="90%").passed


@pytest.mark.slow
def test_runs_are_compared(result: Result) -> None:
    other = lossval_cli.score(frame(70), frame(40, seed=1), ids="customer", **FAST)
    found = lossval_cli.diff(result, other)
    assert found.matched == 70 and len(found.removed) == 10


@pytest.mark.slow
def test_the_pool_is_ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame(80).to_csv("train.csv", index=False)
    frame(30, seed=2).drop(columns="label").to_csv("pool.csv", index=False)
    lossval_cli.score("train.csv", ids="customer", **FAST).write("run")
    found = lossval_cli.acquire("run", "pool.csv", 5)
    assert len(found) == 5 and found["predicted_importance"].notna().all()


@pytest.mark.slow
def test_flags_are_calibrated() -> None:
    found = lossval_cli.calibrate(
        frame(80), frame(40, seed=1), rates=[0.1], label="label", ids="customer", epochs=2, members=2
    )
    assert found.to_dict()["flags"]
    page = calibration_markdown(found)
    assert page.startswith("## Calibration on") and "| features | 10% |" in page


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda result: lossval_cli.check(result, max_suspect="5%"), "did you mean max_suspects"),
        (lambda result: lossval_cli.check(result, max_suspects="x"), "check.max_suspects"),
        (lambda result: lossval_cli.check(result, new_rows_only=True), "needs baseline"),
        (lambda result: lossval_cli.check(3), "a Result or a run directory, not int"),
        (lambda result: lossval_cli.diff(result, "nowhere"), "nowhere"),
        (lambda result: lossval_cli.acquire("nowhere", "pool.csv", 0), "at least 1"),
        (lambda result: lossval_cli.acquire("nowhere", "pool.csv", "all"), "number must be a whole number"),
        (lambda result: lossval_cli.acquire("nowhere", frame()), "pool must be a path, not DataFrame"),
        (lambda result: lossval_cli.calibrate(frame(), rates=[0.9]), "rates must be shares"),
        (lambda result: lossval_cli.calibrate(frame(), rates=["x"]), "rates must be shares"),
        (lambda result: lossval_cli.calibrate(frame(), repeats=0), "repeats must be a whole number"),
        (lambda result: lossval_cli.calibrate(frame(), precision=3), "precision must be shares above 0"),
        (lambda result: lossval_cli.score(frame(), label=["label"]), r"label must be the name of a column"),
        (lambda result: lossval_cli.score(frame(), label=["x", "z"]), "columns of 0 and 1 become one column of tags"),
        (lambda result: lossval_cli.score(frame(), ids=3.5), "ids must be a list of columns"),
        (lambda result: lossval_cli.score(frame(), label=3), "label 3: <DataFrame> has no such column"),
        (lambda result: lossval_cli.score(frame()["label"]), "a Series is one column, not a table"),
        (lambda result: lossval_cli.score(frame().to_numpy()), r"ndarray is an array without a label: give \(X, y\)"),
        (lambda result: lossval_cli.score(row for row in range(3)), "generator is not a table: give a path"),
        (lambda result: lossval_cli.score(None), "NoneType is not a table: give a path"),
        (lambda result: lossval_cli.score((frame(), np.zeros(60))), "X has a column label, and y is given too"),
        (lambda result: lossval_cli.score(frame(), weight=frame()["size"]), "weight must be the name of a column"),
        (lambda result: lossval_cli.score(frame(), multi_label=3), "multi_label must be the separator between labels"),
        (lambda result: lossval_cli.score(frame(), ordered="yes"), "ordered must be True, False or None"),
        (lambda result: lossval_cli.score(frame(), order=3), "order must be the classes"),
        (lambda result: lossval_cli.score(frame(), time_limit="soon"), "time_limit 'soon': give a duration"),
        (lambda result: lossval_cli.score(frame(), max_memory=-1), "max_memory must be a number above 0"),
        (lambda result: lossval_cli.score(frame(), on_epoch=3), "on_epoch must be a function"),
        (lambda result: lossval_cli.score(frame(), checkpoint="nowhere/x"), "there is no such directory"),
        (lambda result: result.write(3), "the run directory must be a path, not 3"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(result: Result, call: Any, message: str) -> None:
    with pytest.raises(LossvalError, match=message) as raised:
        call(result)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for table in (ROOT / "examples").glob("wine*.csv"):
        lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
        (tmp_path / table.name).write_text("".join(lines[:601]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    score = lossval_cli.score
    monkeypatch.setattr(lossval_cli, "score", lambda *tables, **given: score(*tables, effort="low", epochs=8, **given))
    names: dict[str, Any] = {}
    for cell in json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert min(names["found"].values()) > 0.6  # 15 % by chance
    assert (tmp_path / "wine.lossval" / "report.html").is_file()
