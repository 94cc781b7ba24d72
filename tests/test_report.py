"""report.json as a whole: as its schema says, the same every time, small, without places and NaN."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest

import lossval_cli
from lossval_cli.features.table_options import TableOptions
from lossval_cli.pipeline import Tables, run
from lossval_cli.result import Result
from lossval_cli.runs.directory import json_bytes
from lossval_cli.runs.redaction import redact_report
from lossval_cli.settings import Settings

pytestmark = pytest.mark.usefixtures("valued_once")

SCHEMA = json.loads(
    Path(lossval_cli.__file__).with_name("report").joinpath("schemas", "report.schema.json").read_text()
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def houses(rows: int, seed: int, wrong: float = 0.0, outliers: int = 0) -> pd.DataFrame:
    """An id, two numbers, a category and a label of words; `outliers` rows are far off."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"rooms": rng.normal(4, 1, rows).round(2), "age": rng.integers(0, 90, rows)})
    table.insert(0, "deed", [f"D{seed}-{row}" for row in range(rows)])
    table["town"] = rng.choice(["Ayr", "Bath", "Cork"], rows)
    table["label"] = np.where(table["rooms"] + (table["town"] == "Cork") > 4.3, "expensive", "cheap")
    flipped = rng.random(rows) < wrong
    table.loc[flipped, "label"] = np.where(table["label"][flipped] == "expensive", "cheap", "expensive")
    strange = rng.choice(rows, outliers, replace=False)
    table.loc[strange, "rooms"] = rng.uniform(8, 14, outliers).round(2)
    table.loc[strange, "age"] = rng.integers(120, 250, outliers)
    return table


def scored(directory: Path, train: pd.DataFrame, val: pd.DataFrame | None, **options: Any) -> Result:
    train.to_csv(directory / "train.csv", index=False)
    if val is not None:
        val.to_csv(directory / "val.csv", index=False)
    overrides = {"effort": "low", "epochs": 15, "members": 4, "folds": 2} | options.pop("overrides", {})
    names = {field.name for field in dataclasses.fields(TableOptions)}
    reading = {"label": "label", "ids": ["deed"]} | {name: options.pop(name) for name in list(options) if name in names}
    result = run(
        Tables(str(directory / "train.csv"), None if val is None else str(directory / "val.csv")),
        Settings.resolve(options.pop("preset", None), None, overrides),
        options=TableOptions(**reading),
        **{"removal": "off"} | options,
    )
    assert result is not None
    return result


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """300 rows: a tenth of the labels wrong, 6 outliers, everything in the report filled in."""
    return scored(tmp_path_factory.mktemp("noisy"), houses(300, 0, 0.1, 6), houses(150, 1), removal="quick")


def check(report: dict[str, Any]) -> dict[str, Any]:
    """Valid by the schema once it has been through JSON, and every field of it is described there."""
    content = json.loads(json_bytes(report))
    VALIDATOR.validate(content)
    assert not list(undescribed(content, SCHEMA))
    return content


def undescribed(value: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Fields that a schema with `properties` doesn't mention."""
    if "$ref" in schema:
        return
    if isinstance(value, list):
        for item in value:
            yield from undescribed(item, schema.get("items", {}), f"{path}[]")
    if isinstance(value, dict) and "properties" in schema:
        for name, item in value.items():
            if name not in schema["properties"]:
                # What is known of a column depends on its kind, and is described as open.
                if path != ".data.columns[]":
                    yield f"{path}.{name}"
            else:
                yield from undescribed(item, schema["properties"][name], f"{path}.{name}")


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.slow
def test_a_report_is_what_its_schema_says(noisy: Result) -> None:
    content = check(noisy.report)
    assert list(content)[:4] == ["schema_version", "verdict", "summary", "removal"]
    assert content["verdict"]["level"] in ("look", "bad")
    assert content["timing"].keys() == {"read", "train", "removal", "report"}


@pytest.mark.slow
def test_the_schema_refuses_what_is_wrong(noisy: Result) -> None:
    content = json.loads(json_bytes(noisy.report))
    content["summary"]["suspects"] = -1
    assert not VALIDATOR.is_valid(content)


def test_suspects_say_why(noisy: Result) -> None:
    suspects = noisy.report["suspects"]
    scores = noisy.scores.set_index("row")
    order = [(-row["noise_probability"], row["rank"]) for row in suspects]
    assert order == sorted(order)
    assert {row["row"] for row in suspects} == set(scores.index[scores["suspect"] != ""])
    train = pd.read_csv(Path(noisy.dataset.train.table.name), dtype=str)
    for row in suspects:
        assert row["ids"] == {"deed": train["deed"][row["row"]]}
        assert row["given"] == train["label"][row["row"]]
        assert {one["column"]: one["value"] for one in row["features"]} == train.loc[
            row["row"], ["rooms", "age", "town"]
        ].to_dict()
        if "label" in row["suspect"]:
            assert row["given"] in row["reason"]
            # The model may be too unsure to suggest another label than the given one.
            assert row["suggested"] is None or row["suggested"] in row["reason"]
        else:
            assert row["suggested"] is None
    strange = [row for row in suspects if "features" in row["suspect"]]
    assert len(strange) >= 3
    for row in strange:
        first = [one["column"] for one in row["features"][: len(row["unusual"])]]
        assert first == [one["column"] for one in row["unusual"]]
        for one in row["unusual"]:
            assert f"{one['column']} is {one['value']} (" in row["reason"]


def test_counts_agree_with_the_scores(noisy: Result) -> None:
    report, scores = noisy.report, noisy.scores
    given = scores.groupby("label")["suspect"]
    assert {one["label"]: one["rows"] for one in report["classes"]} == given.size().to_dict()
    assert {one["label"]: one["suspects"] for one in report["classes"]} == given.apply(
        lambda kinds: (kinds != "").sum()
    ).to_dict()
    for one in report["classes"]:
        assert one["low"] <= one["share"] <= one["high"]
    labels = scores[scores["suspect"].str.contains("label")]
    swapped = labels[labels["label"] != labels["predicted"]]
    assert sum(pair["rows"] for pair in report["confusion"]["pairs"]) == len(swapped)
    assert np.sum(report["confusion"]["matrix"]) == len(swapped)
    shape = report["distributions"]
    assert sum(shape["importance"]["rows"]) == len(scores)
    for kind, bins in shape["importance"]["suspects"].items():
        assert sum(bins) == report["summary"]["by_kind"][kind]
    assert len(shape["evidence"]["points"]["label"]) == len(scores)


@pytest.mark.slow
@pytest.mark.usefixtures("fresh")
def test_the_same_inputs_give_the_same_report(tmp_path: Path) -> None:
    reports = []
    for _ in range(2):
        report = scored(tmp_path, houses(80, 3, 0.1, 4), houses(40, 4), overrides={"epochs": 3}).report
        del report["timing"]
        reports.append(json_bytes(report))
    assert reports[0] == reports[1]


def test_no_path_and_no_nan(noisy: Result) -> None:
    text = json_bytes(noisy.report).decode()
    assert "/tmp" not in text
    assert str(Path(noisy.dataset.train.table.name).parent) not in text
    del noisy.report["model"]["history"][:]  # filled from floats that may be anything; the rest is null already
    json.dumps({**noisy.report, "timing": {}}, allow_nan=False)


@pytest.mark.slow
def test_the_published_algorithm_has_a_report_too(tmp_path: Path) -> None:
    result = scored(tmp_path, houses(60, 0), houses(30, 1), preset="paper", overrides={"epochs": 2})
    content = check(result.report)
    assert content["suspects"] == []
    assert content["classes"] is content["confusion"] is content["distributions"]["evidence"] is None
    assert content["slices"]["found"] == []
    assert "does not estimate which" in content["verdict"]["text"]


@pytest.mark.slow
def test_numbers_as_labels(tmp_path: Path) -> None:
    frames = []
    for seed, rows in ((0, 300), (1, 100)):
        frame = houses(rows, seed)
        frame["label"] = (100 * frame["rooms"] + 20 * (frame["town"] == "Cork")).round(1)
        frames.append(frame)
    frames[0].loc[:19, "label"] = 900.5
    content = check(scored(tmp_path, *frames).report)
    assert content["confusion"] is None
    assert content["classes"][0]["label"].startswith("up to ")
    reasons = [row["reason"] for row in content["suspects"] if "label" in row["suspect"]]
    assert reasons
    assert all("but the model predicts" in reason for reason in reasons)


@pytest.mark.slow
def test_without_validation_nothing_is_said_of_it(tmp_path: Path) -> None:
    content = check(scored(tmp_path, houses(80, 0), None, overrides={"epochs": 2}).report)
    assert content["coverage"] is None
    assert content["leakage"] == {"val": None, "test": None}
    assert content["data"]["held_out"]


def test_a_redacted_report_is_valid_and_holds_no_cell(noisy: Result) -> None:
    content = check_redacted(redact_report(noisy.report))
    text = json.dumps(content)
    assert not [cell for cell in ("Ayr", "Cork", "D0-") if cell in text]
    assert content["suspects"][0]["given"] in ("expensive", "cheap")


def check_redacted(report: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json_bytes(report))
    VALIDATOR.validate(content)
    return content


@pytest.mark.slow
def test_a_hostile_table_is_cut_and_stays_data(tmp_path: Path) -> None:
    nasty = [
        "<script>alert(1)</script>",
        "=cmd|' /C calc'!A0",
        "a|b\nc\r\nd",
        "\u202etxt.exe",
        "x" * 100_000,
        "💥",
    ]
    frame = houses(120, 0, 0.1, 8)
    frame["town"] = [nasty[row % len(nasty)] for row in range(len(frame))]
    frame["label"] = np.where(frame["label"] == "expensive", "<b>expensive</b>", "cheap`@you")
    val = frame.iloc[:50]
    content = check(scored(tmp_path, frame, val).report)
    assert len(json_bytes(content)) < 300_000
    for row in content["suspects"]:
        assert all(len(str(one["value"])) <= 80 for one in row["features"])
    assert {one["label"] for one in content["classes"]} == {"<b>expensive</b>", "cheap`@you"}


@pytest.mark.slow
def test_a_wide_table_has_a_small_report(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 240)).round(3), columns=[f"c{i}" for i in range(240)])
    frame["label"] = np.where(frame["c0"] > 0, "a", "b")
    frame.loc[:5, "c1"] = 1e6
    content = check(scored(tmp_path, frame, frame.iloc[:30], ids=[], overrides={"epochs": 2}).report)
    assert content["data"]["column_count"] == 240
    assert len(content["data"]["columns"]) == 200
    assert len(json_bytes(content)) < 500_000
    assert all(row["features_left_out"] == 216 for row in content["suspects"])
