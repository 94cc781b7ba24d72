"""`lossval calibrate`, and `score` and `check` with the file it writes, end to end."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
from conftest import Outcome, frame

import lossval_cli.report
from lossval_cli.api import score
from lossval_cli.errors import UsageError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("valued_once")]

SCHEMA = Path(lossval_cli.report.__file__).parent / "schemas" / "report.schema.json"

Cli = Callable[..., Outcome]

LITTLE = ("--set", "epochs=4", "--effort", "low", "--rates", "0.1,0.2", "--repeats", "2")
SAME = LITTLE[:4]


@pytest.fixture
def calibrated(once: Cli) -> Outcome:
    """t.toml is there, of train.csv with 150 rows."""
    frame(150).to_csv("train.csv", index=False)
    return once("calibrate", "train.csv", "--val", "val.csv", *LITTLE, "-o", "t.toml")


def test_what_a_person_reads(calibrated: Outcome) -> None:
    lines = calibrated.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "Calibration on train.csv: 150 rows, 2 rates of planted noise, 2 repeats each"
    for kind in ("label", "features", "either"):
        for rate in ("10%", "20%"):
            assert re.search(rf"^{kind} +{rate} +\d+ +\d+ +(\d+% \(\d+ to \d+%\)|–) ", calibrated.out, re.MULTILINE)
    assert len(re.findall(r"^\d+% to \d+0% ", calibrated.out, re.MULTILINE)) == 10
    assert "label: suspect from a probability of " in calibrated.out
    assert lines[-1] == "Written  t.toml"
    assert "calibrate: 5 runs, one on the table as it is and 2 trials at 2 rates" in calibrated.err
    assert re.search(r"calibrate: about \d+ s to go\n", calibrated.err)


@pytest.mark.usefixtures("fresh")
def test_the_same_seed_gives_the_same_file_and_another_does_not(cli: Cli, tables: Path) -> None:
    """Once with the same said as JSON, once quietly."""
    arguments = ("calibrate", "train.csv", "--val", "val.csv", *SAME, "--rates", "0.2", "--repeats", "1", "-o")
    assert cli(*arguments, "t.toml").code == 0
    again = cli(*arguments, "again.toml", "--output-format", "json")
    assert Path("again.toml").read_bytes() == Path("t.toml").read_bytes()
    said = json.loads(again.out)
    assert said["interval"] == {"method": "Wilson", "level": 0.95}
    assert said["thresholds"]["label"]["threshold"] == tomllib.loads(Path("t.toml").read_text())["thresholds"]["label"]
    assert sum(one["noisy"]["of"] for one in said["reliability"]) == 60 - said["planted"]["left_out"]
    assert cli(*arguments, "other.toml", "--seed", "1", "-q") == Outcome(0, b"", "")
    assert Path("other.toml").read_bytes() != Path("t.toml").read_bytes()
    assert sorted(path.name for path in Path().iterdir() if path.is_dir()) == []


def test_the_file_holds_its_evidence(calibrated: Outcome) -> None:
    said = tomllib.loads(Path("t.toml").read_text())
    assert said["goal"] == "highest F1"
    assert set(said["thresholds"]) == {"label", "features"}
    assert said["table"]["columns"] == ["age", "size"]
    assert len(said["table"]["sha256"]) == 64
    assert said["planted"]["rates"] == [0.1, 0.2]
    assert said["settings"]["epochs"] == 4
    assert [(one["kind"], one["rate"]) for one in said["measured"]] == [
        ("label", 0.1),
        ("label", 0.2),
        ("features", 0.1),
        ("features", 0.2),
    ]
    for one in said["measured"]:
        assert "precision" in one or one["flagged"] == 0
        assert "precision" not in one or one["precision_low"] <= one["precision"] <= one["precision_high"]


def test_score_and_check_flag_by_the_file(cli: Cli, calibrated: Outcome) -> None:
    text = Path("t.toml").read_text()
    Path("t.toml").write_text(re.sub(r"(?m)^(label|features) = [\d.]+$", r"\1 = 0.2", text))
    common = ("train.csv", "--val", "val.csv", *SAME, "--removal", "off", "--thresholds", "t.toml")
    outcome = cli("score", *common)
    assert outcome.code == 0, outcome.err
    assert (
        "thresholds: rows are suspect from a probability of 0.2 (label) or 0.2 (features), chosen for highest F1"
        in (outcome.err)
    )
    assert "not known" not in outcome.err
    report, record = (json.loads(Path("train.lossval", name).read_text()) for name in ("report.json", "run.json"))
    assert report["thresholds"]["label"] == 0.2
    assert report["thresholds"] == record["thresholds"]
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    for row in report["suspects"]:
        assert ("label" in row["suspect"]) == (row["label_probability"] >= 0.2)
        assert ("features" in row["suspect"]) == (row["feature_probability"] >= 0.2)
    scores = pd.read_csv("train.lossval/scores.csv")
    assert scores.loc[scores["noise_probability"] < 0.2, "suspect"].isna().all()
    checked = cli("check", *common, "--max-suspects", "0", "--output-format", "json", "--exit-zero")
    assert json.loads(checked.out)["suspect_count"] == report["summary"]["suspects"]
    note = "suspects by the thresholds of t.toml: 0.2 for labels, 0.2 for features"
    assert json.loads(checked.out)["notes"] == [note]
    read = cli("check", "train.lossval", "--max-suspects", "0", "--exit-zero")
    assert f"note: {note}\n" in read.out
    result = score("train.csv", "val.csv", thresholds="t.toml", removal="off", effort="low", epochs=4)
    assert result.report["thresholds"] == report["thresholds"]


def test_another_table_or_other_settings_are_noticed(cli: Cli, calibrated: Outcome) -> None:
    pd.read_csv("train.csv").assign(extra=[(i * i) % 7 / 2 for i in range(150)]).rename(
        columns={"age": "years"}
    ).to_csv("o.csv", index=False)
    common = ("--removal", "off", "--thresholds", "t.toml", "-o", "s.csv", "--force")
    outcome = cli("score", "o.csv", "--label", "label", *SAME, "--set", "epochs=3", *common)
    assert "t.toml was measured on a table with other columns (train.csv; this table " in outcome.err
    assert "t.toml was measured with 1 other setting (epochs 4, here 3)" in outcome.err
    assert outcome.code == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: "",
            "threshold file t.toml is not a threshold file of lossval: `lossval calibrate -o FILE` writes one",
        ),
        (lambda text: "x = = 1", "threshold file t.toml is not valid TOML"),
        (
            lambda text: text.replace("lossval_thresholds = 1", "lossval_thresholds = 2"),
            "has version '2', not 1",
        ),
        (
            lambda text: re.sub(r"(?m)^label = [\d.]+$", "label = 1.5", text),
            "thresholds.label must be a probability",
        ),
        (lambda text: re.sub(r"(?m)^features = [\d.]+$", "", text), "is incomplete: it has no features"),
        (lambda text: text.partition("[table]")[0], "is incomplete: it has no table"),
        (lambda text: "table = 3\n" + text.partition("[table]")[0], "is damaged"),
        (lambda text: text.replace('goal = "highest F1"', "goal = 3"), "is damaged"),
        (lambda text: re.sub(r"columns = .*", "columns = 4", text), "is damaged"),
        (lambda text: re.sub(r"(?s)\[settings\].*?\n\n", "", text), "it has no settings"),
        (None, "threshold file t.toml: no such file or directory"),
    ],
)
@pytest.mark.parametrize("verb", ["score", "check"])
def test_malformed_files_are_one_line(verb: str, change: Callable[[str], str] | None, message: str, cli: Cli) -> None:
    good = (
        'lossval_thresholds = 1\ngoal = "highest F1"\n[thresholds]\nlabel = 0.3\nfeatures = 0.4\n'
        '[table]\nname = "a.csv"\nlabel = "label"\ncolumns = ["size"]\n[settings]\nepochs = 3\n\n'
    )
    if change is not None:
        Path("t.toml").write_text(change(good))
    outcome = cli(verb, "train.csv", "--thresholds", "t.toml")
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert re.fullmatch(r"error: .*\n", outcome.err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rates", "0"], "--rates '0' must be a share above 0 and up to 0.4"),
        (["--rates", "50%"], "--rates '50%' must be a share above 0 and up to 0.4"),
        (["--rates", "0.1,x"], "--rates must be a share such as 5% or 0.05, not 'x'"),
        (["--rates", "0.1,10%"], "a rate is named more than once"),
        (["--precision", "1.2"], "--precision must be above 0 and at most 1, not 1.2"),
        (["--repeats", "0"], "'--repeats'"),
        (["--preset", "paper"], "preset paper only ranks rows and flags none"),
        (["-o", "train.csv"], "train.csv is read by this command: name another file"),
        (["--rates", "0.001"], "--rates 0.001: "),
    ],
)
def test_lines_that_make_no_sense(arguments: list[str], message: str, cli: Cli) -> None:
    outcome = cli("calibrate", "train.csv", "--val", "val.csv", *LITTLE[:4], *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err.splitlines()[-1]


def test_a_precision_out_of_reach_is_reported_and_writes_no_file(cli: Cli) -> None:
    table = pd.read_csv("train.csv")  # a third of the labels is wrong already: flags meet rows nobody planted
    wrong = np.random.default_rng(0).random(len(table)) < 0.33
    flipped = table["label"].map({"yes": "no", "no": "yes"})
    table.assign(label=table["label"].where(~wrong, flipped)).to_csv("train.csv", index=False)
    little = ("--rates", "0.2", "--repeats", "1", "--set", "epochs=1", "--precision", "1", "-o", "t.toml")
    outcome = cli("calibrate", "train.csv", "--val", "val.csv", *SAME, *little)
    assert outcome.code == 2
    assert "no threshold reaches precision 1 at every rate; the best precision is" in outcome.out.replace("\n", " ")
    assert "error: no threshold file: no threshold for " in outcome.err
    assert not Path("t.toml").exists()


def test_thresholds_are_for_training(cli: Cli, calibrated: Outcome) -> None:
    assert cli("score", "train.csv", *SAME, "--removal", "off", "-q").code == 0
    outcome = cli("check", "train.lossval", "--thresholds", "t.toml")
    assert outcome.err == "error: a run directory is read, not trained on: leave out --thresholds\n"
    outcome = cli("score", "train.csv", "--preset", "paper", "--thresholds", "t.toml")
    assert outcome.code == 2
    with pytest.raises(UsageError, match="preset paper only ranks rows"):
        score("train.csv", preset="paper", thresholds="t.toml")


def test_numbers_as_labels_and_standard_input(cli: Cli) -> None:
    table, rates = Path("train.csv").read_bytes(), ("--rates", "0.1,0.2", "--repeats", "1")
    outcome = cli("calibrate", "-", "--label", "size", *SAME, *rates, "--progress", "json", stdin=table)
    assert outcome.code == 0, outcome.err
    events = [json.loads(line) for line in outcome.err.splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    assert [event["epoch"] for event in epochs] == list(range(1, 13))
    assert {event["epochs"] for event in epochs} == {12}
    assert [event["name"] for event in events if event["event"] == "stage"] == ["read", "train"] + 2 * ["trial"]
