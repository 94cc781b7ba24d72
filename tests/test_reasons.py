"""What a reviewer sees of a suspect: the labels of the nearest rows, the columns that decide, what to check first."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import lossval_cli
from lossval_cli.features.dataset import Dataset, load_dataset
from lossval_cli.features.table_options import TableOptions
from lossval_cli.noise.cell_report import CellFinding
from lossval_cli.report.findings.deciding_columns import find_deciding_columns
from lossval_cli.report.findings.explain import _Cells
from lossval_cli.report.findings.neighbours import describe_neighbours
from lossval_cli.report.sentences.run import next_step
from lossval_cli.report.sentences.suspects import first_rows, label_reason, neighbours_reason
from lossval_cli.settings import Settings

pytestmark = pytest.mark.usefixtures("valued_once")

SETTINGS = Settings.resolve(None, None, {})
LABEL = TableOptions(label="label")


def table(rows: int, seed: int) -> pd.DataFrame:
    """The label is the sign of `size`; `noise` and `town` say nothing of it."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"size": rng.normal(size=rows), "noise": rng.normal(size=rows)})
    frame["town"] = rng.choice(["Ulm", "Bonn"], rows)
    frame["label"] = np.where(frame["size"] > 0, "yes", "no")
    return frame


def dataset(frame: pd.DataFrame, val: pd.DataFrame | None = None) -> Dataset:
    return load_dataset(frame, val, options=LABEL, settings=SETTINGS)


def test_neighbours_are_counted_by_label_and_the_nearest_are_named() -> None:
    frame = table(400, 0)
    frame.loc[7, ["size", "noise", "town", "label"]] = [1.5, 0.0, "Ulm", "no"]  # plainly wrong
    found = describe_neighbours(dataset(frame, table(100, 1)), np.array([7]))[7]
    assert found["rows"] == 20
    assert found["labels"][0] == {"label": "yes", "rows": 20}
    assert found["same"] == 0
    assert len(found["nearest"]) == 3
    assert {one["label"] for one in found["nearest"]} == {"yes"}
    assert all(one["row"] != 7 for one in found["nearest"] if not one["trusted"])
    assert neighbours_reason(found | {"trusted": 0}, "no") == (
        "20 of the 20 nearest rows are labelled yes, and none is labelled no."
    )


def test_rows_of_the_validation_table_are_trusted_and_held_out_ones_are_not() -> None:
    frame = table(100, 0)
    given = describe_neighbours(dataset(frame, frame.copy()), np.array([3]))[3]
    assert given["trusted"] > 0
    assert given["nearest"][0] == {"table": "val", "row": 3, "line": None, "trusted": True, "label": frame["label"][3]}
    assert describe_neighbours(dataset(frame), np.array([3]))[3]["trusted"] == 0


def test_a_copy_of_a_row_is_not_its_neighbour() -> None:
    frame = table(100, 0)
    twice = pd.concat([frame, frame.iloc[[5]]], ignore_index=True)
    found = describe_neighbours(dataset(twice), np.array([5]))[5]
    assert 100 not in [one["row"] for one in found["nearest"]]


def test_the_column_that_tells_the_label_decides() -> None:
    frame = table(400, 0)
    frame.loc[7, "label"] = "no" if frame["size"][7] > 0 else "yes"
    data = dataset(frame)
    truth = (frame["size"] > 0).to_numpy().astype(int)
    names = data.labels.names  # type: ignore[union-attr]
    predictions = np.where(np.arange(2) == np.where(truth, names.index("yes"), names.index("no"))[:, None], 0.95, 0.05)
    found = find_deciding_columns(data, predictions, np.array([7]), 0)
    assert [column for column, _ in found[7]] == ["size"]
    assert found[7][0][1] > 0.2
    wrong = find_deciding_columns(data, predictions[:, ::-1], np.array([7]), 0)
    assert wrong == {}  # the forest does not expect what the networks expect: nothing is said


def a_report(**changes: Any) -> dict[str, Any]:
    suspects = [{"suspect": "label", "noise_probability": p} for p in (0.95, 0.9, 0.6, 0.35)]
    return {
        "summary": {"skill": 0.5},
        "removal": None,
        "suspects": suspects,
        "data": {"tables": {"train": {"name": "t.csv"}}, "roles": {"task": "classification"}},
    } | changes


def test_what_to_check_first_follows_from_the_probabilities() -> None:
    assert first_rows(a_report()) == "Check the first 4 suspects: about 3 of them are expected to be wrong."
    assert (
        first_rows(a_report(summary={"suspects": 4}))
        == "Check all 4 suspects: about 3 of them are expected to be wrong."
    )
    few = [{"suspect": "label", "noise_probability": p} for p in (0.62, 0.45)]
    assert first_rows(a_report(suspects=few)) == "Check the first 2 suspects: about 1 of them is expected to be wrong."
    assert first_rows(a_report(suspects=[])) == ""


def test_without_trusted_rows_outliers_may_be_right() -> None:
    rows = [{"suspect": kind, "noise_probability": 0.8} for kind in ("label", "features", "features", "label+features")]
    data = {"tables": {"train": {"name": "t.csv"}}, "roles": {"task": "classification"}}
    trusted, alone = data | {"held_out": False}, data | {"held_out": True}
    assert (
        first_rows(a_report(suspects=rows, data=trusted))
        == "Check the first 4 suspects: about 3 of them are expected to be wrong."
    )
    may = "they may be errors, or rare and right (trusted rows would show which)."
    assert first_rows(a_report(suspects=rows * 2, data=alone)) == (
        "Check the first 8 suspects: about 2 of the 2 unlikely labels are expected to be wrong; 6 rows are outliers; "
        f"{may}"
    )
    assert first_rows(a_report(suspects=rows[1:3], data=alone)) == (
        f"Check the first 2 suspects: 2 rows are outliers; {may}"
    )
    assert first_rows(a_report(suspects=rows[1:2], data=alone)) == (
        "Check it: 1 row is an outlier; it may be an error, or rare and right (trusted rows would show which)."
    )


def test_no_number_of_wrong_labels_is_given_that_the_interval_of_the_share_does_not_bear_out() -> None:
    """Of customers who left although everything spoke for staying, the interval says that none may be wrong."""
    summary = {"suspects": 4, "rows": 1000, "estimated_noise_share": {"value": 0.03, "low": 0.0, "high": 0.5}}
    data = a_report()["data"]
    assert first_rows(a_report(summary=summary, data=data | {"held_out": True})) == (
        "Check all 4 suspects: 4 labels are unlikely; they may be errors, or rare and right (trusted rows would show "
        "which)."
    )
    assert first_rows(a_report(summary=summary, data=data | {"held_out": False})) == (
        "Check all 4 suspects: 4 labels are unlikely; they may be errors, or rare and right."
    )
    mixed = [{"suspect": kind, "noise_probability": 0.8} for kind in ("label", "features")]
    assert first_rows(a_report(summary=summary, suspects=mixed)) == (
        "Check the first 2 suspects: 1 label is unlikely and 1 row is an outlier; they may be errors, or rare and "
        "right."
    )
    shown = summary | {"estimated_noise_share": {"value": 0.05, "low": 0.003, "high": 0.1}}
    assert first_rows(a_report(summary=shown)) == "Check all 4 suspects: about 3 of them are expected to be wrong."


def test_without_trusted_rows_numbers_far_from_their_prediction_may_be_right() -> None:
    """Incomes, prices and counts have heavy tails."""
    rows = [{"suspect": kind, "noise_probability": 0.98} for kind in ("label", "features", "label")]
    data = {"tables": {"train": {"name": "t.csv"}}, "roles": {"task": "regression"}, "held_out": True}
    assert first_rows(a_report(suspects=rows, data=data)) == (
        "Check the first 3 suspects: 2 labels lie far from the prediction and 1 row is an outlier; they may be errors, "
        "or rare and right (trusted rows would show which)."
    )


def test_relabelling_is_advised_for_classes_that_features_explain_and_for_nothing_else() -> None:
    assert next_step(a_report()) is not None
    assert next_step(a_report(summary={"skill": 0.01})) is None
    assert next_step(a_report(summary={"skill": None})) is not None
    share = {"value": 0.04, "low": 0.0, "high": 0.3}  # labels that are rare and right look the same
    assert next_step(a_report(summary={"skill": 0.5, "rows": 100, "estimated_noise_share": share})) is None
    assert next_step(a_report(summary={"skill": 0.5, "rows": 100, "estimated_noise_share": share | {"low": 0.03}}))
    roles = {"tables": {"train": {"name": "t.csv"}}, "roles": {"task": "regression"}}
    assert next_step(a_report(data=roles)) is None


def test_reasons_say_what_the_model_gives_the_label() -> None:
    assert label_reason("5", 0.12, "5", 0.12) == "Labelled 5, to which the model gives only 12%."
    assert label_reason("No", 0.03, "Yes", 0.97) == (
        "Labelled No, to which the model gives only 3%; it predicts Yes (97%)."
    )
    assert label_reason("3.1", None, "7.2", None) == "Labelled 3.1, but the model predicts 7.2."


@pytest.mark.slow
def test_a_report_of_a_run_explains_its_suspects(cli: Any, tables: Path) -> None:
    outcome = cli("score", "train.csv", "--val", "val.csv", "--effort", "low", "--removal", "off")
    assert outcome.code == 0, outcome.err
    page = Path("train.lossval/report.html").read_text()
    if "unlikely label" in outcome.out:
        assert " nearest rows" in page
        assert "The model gives: " in page


@pytest.mark.slow
def test_a_typical_cell_is_not_named_beside_an_unusual_one() -> None:
    """A height of 1.74 among centimetres, and a blood pressure that is low and ordinary."""
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"height": rng.normal(170, 9, 600).round(1), "pressure": rng.normal(120, 12, 600).round()})
    frame["label"] = np.where(frame["pressure"] > 120, "yes", "no")
    frame.loc[10, ["height", "pressure"]] = [1.74, 97.0]
    report = lossval_cli.score(frame, label="label", removal="off", effort="low").report
    (row,) = [one for one in report["suspects"] if one["row"] == 10]
    assert "height is 1.74" in row["reason"] and "within the typical range" not in row["reason"]


@pytest.mark.slow
def test_two_words_that_do_not_go_together_are_counted() -> None:
    rng = np.random.default_rng(3)
    city = rng.integers(0, 24, 1200)
    frame = table(1200, 3).assign(town=[f"city {c}" for c in city], country=[f"country {c % 6}" for c in city])
    frame.loc[5, "country"] = f"country {(city[5] + 1) % 6}"
    report = lossval_cli.score(frame, label="label", removal="off", effort="low").report
    texts = re.findall(r"(\d+) of \d+ rows with (?:town|country) \w+ \d has it", json.dumps(report))
    assert texts and set(texts) == {"1"}


def test_labels_of_neighbours_are_those_of_the_file() -> None:
    """The loss holds them standardised, as float32."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=200), "label": rng.choice([0.0, 0.25, 22.5, 171.3], 200)})
    found = describe_neighbours(dataset(frame), np.arange(20))
    named = [one for near in found.values() for one in near["nearest"]]
    assert {one["label"] for one in named} == {0.0, 0.25, 22.5, 171.3}
    assert all(one["label"] == frame["label"][one["row"]] for one in named)
    assert 0.0 in {near["low"] for near in found.values()}


@pytest.mark.parametrize(("value", "expected"), [(4.0, True), (7.0, False), (None, False)])
def test_a_number_within_the_predicted_range_does_not_contradict_other_columns(
    value: float | None, *, expected: bool
) -> None:
    found = CellFinding("x", "unpredicted", value, 5.0, 5.0, (3.0, 6.0))
    assert found.is_as_predicted == expected
    assert not found._replace(kind="far").is_as_predicted


def test_a_typical_cell_that_the_other_columns_predict_is_no_reason() -> None:
    """Alone it says nothing: the combination of cells is unusual then. Outside its prediction it is named."""
    cells = _Cells.__new__(_Cells)
    cells.dataset = SimpleNamespace(encoder=SimpleNamespace(types={"x": "number"}))  # type: ignore[assignment]
    cells.seen = SimpleNamespace(features={"x": SimpleNamespace(bounds=(0.0, 10.0), usual=("0", "5", "10"))})  # type: ignore[assignment]
    cells.table = SimpleNamespace(as_given=lambda _: pa.array(["4"]))  # type: ignore[assignment]
    cells.values, cells.index = {"x": np.array([4.0])}, {0: 0}
    found = CellFinding("x", "unpredicted", 4.0, 5.0, 5.0, (3.0, 6.0))
    cells._found = {0: [found]}
    assert cells.unusual(0) == []
    cells._found = {0: [found._replace(predicted_range=(5.0, 6.0))]}
    assert [one["text"] for one in cells.unusual(0)] == [
        "x is 4 (within the typical range 0 to 10; the other columns suggest 5 to 6)"
    ]
