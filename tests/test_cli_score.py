"""`lossval score` from end to end, in this process."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from conftest import Outcome, frame

import lossval_cli

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("valued_once")]

Cli = Callable[..., Outcome]
Quick = tuple[str, ...]
FILES = {"report.html", "report.json", "report.md", "run.json"}
COLUMNS = [
    "rank",
    "row",
    "line",
    "customer",
    "label",
    "importance",
    "importance_std",
    "label_evidence",
    "feature_evidence",
    "noise_probability",
    "label_noise_probability",
    "feature_noise_probability",
    "suspect",
    "predicted",
    "predicted_probability",
]


def rows(text: str) -> pd.DataFrame:
    """Numbers to the last place, which older versions of pandas do not read."""
    options = pa_csv.ConvertOptions(strings_can_be_null=True)
    frame: pd.DataFrame = pa_csv.read_csv(io.BytesIO(text.encode()), convert_options=options).to_pandas()
    return frame


def test_a_run_directory_holds_every_row_once(once: Cli, quick: Quick) -> None:
    once("score", "train.csv", "--val", "val.csv", *quick)
    assert set(os.listdir("train.lossval")) == FILES | {"scores.csv"}
    scores = pd.read_csv("train.lossval/scores.csv")
    assert list(scores.columns) == COLUMNS
    assert sorted(scores["row"]) == list(range(60))
    assert (scores["line"] == scores["row"] + 2).all()
    assert list(scores["rank"]) == list(range(1, 61))
    assert scores["importance"].is_monotonic_increasing
    assert (scores["customer"] == [f"c0-{row}" for row in scores["row"]]).all()
    assert sorted(os.listdir()) == ["train.csv", "train.lossval", "train.parquet", "val.csv"]


def test_decisions_go_to_standard_error_and_the_summary_to_standard_output(once: Cli, quick: Quick) -> None:
    outcome = once("score", "train.csv", "--val", "val.csv", *quick)
    assert outcome.err.splitlines() == [
        "label: column label, by its name; --label names another",
        "column 'customer' is treated as an id, not a feature (serial codes)",
        "task: classification (label label holds text); --task decides otherwise",
    ]
    assert outcome.out.startswith("train.csv: 60 rows, label (2 classes)\n")
    assert "Written           train.lossval/\n" in outcome.out
    assert "\x1b" not in outcome.out


def test_csv_and_parquet_of_one_table_give_the_same_scores(cli: Cli, quick: Quick) -> None:
    for table in ("train.csv", "train.parquet"):
        assert cli("score", table, "--val", "val.csv", *quick, "-o", table + ".run").code == 0
    one = rows(Path("train.csv.run/scores.csv").read_text())
    other = pd.read_parquet("train.parquet.run/scores.parquet")
    assert other["line"].isna().all()
    for name in set(COLUMNS) - {"line", "suspect"}:
        assert list(other[name].fillna(-1)) == list(one[name].fillna(-1))


def test_run_json_says_what_ran_and_nothing_private(cli: Cli, quick: Quick, tables: Path) -> None:
    val = str(tables / "val.csv")
    assert cli("score", "./train.csv", "--val", val, *quick, "--id", "customer").code == 0
    text = Path("train.lossval/run.json").read_text()
    record = json.loads(text)
    assert str(tables) not in text
    assert record["tool"] == "lossval"
    assert record["schema_version"] == 1
    assert record["settings"]["epochs"] == 2
    assert record["seed"] == 0
    assert record["device"] == "cpu"
    assert set(record["versions"]) >= {"python", "torch", "numpy", "pandas", "pyarrow", "geomloss"}
    assert record["options"]["val"] == "val.csv"
    assert record["options"]["ids"] == ["customer"]
    train = record["inputs"]["train"]
    assert train["name"] == "train.csv"
    assert train["path"] == "train.csv"
    assert len(train["sha256"]) == 64
    assert record["roles"]["label"] == "label"
    assert record["roles"]["features"] == ["age", "size"]
    assert record["types"] == {"age": "number", "size": "number"}
    assert record["started"].endswith("+00:00")
    assert set(record["timing"]) >= {"read", "train"}


def test_no_file_of_a_run_names_the_directory_it_was_made_in(cli: Cli, quick: Quick, tables: Path) -> None:
    pd.read_csv("val.csv").assign(extra=1).to_csv("val.csv", index=False)  # a notice names the table
    assert cli("score", str(tables / "train.csv"), "--val", str(tables / "val.csv"), *quick).code == 0
    for name in os.listdir("train.lossval"):
        assert str(tables).encode() not in Path("train.lossval", name).read_bytes()


def test_json_has_no_infinity(cli: Cli, quick: Quick) -> None:
    assert cli("score", "train.csv", *quick, "--preset", "paper").code == 0

    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads(Path("train.lossval/report.json").read_text(), parse_constant=refuse)


def test_standard_input_and_output(cli: Cli, quick: Quick) -> None:
    outcome = cli("score", "-", "--val", "val.csv", *quick, "-o", "-", stdin=Path("train.csv").read_bytes())
    assert outcome.code == 0
    assert list(rows(outcome.out).columns) == COLUMNS
    assert len(rows(outcome.out)) == 60
    assert sorted(os.listdir()) == ["train.csv", "train.parquet", "val.csv"]
    assert cli("score", "-", *quick, stdin=Path("train.csv").read_bytes()).code == 0
    assert os.path.isdir("stdin.lossval")


@pytest.mark.parametrize("name", ["s.csv", "s.csv.gz", "s.jsonl", "s.jsonl.gz", "s.parquet"])
def test_one_file_of_scores(name: str, cli: Cli, once: Cli, quick: Quick) -> None:
    expected = once("score", "train.csv", *quick, "-o", "-", "--format", "jsonl").out
    outcome = cli("score", "train.csv", *quick, "-o", name)
    assert outcome.code == 0
    assert f"Written           {name}\n" in outcome.out
    assert sorted(os.listdir()) == sorted([name, "train.csv", "train.parquet", "val.csv"])
    data = Path(name).read_bytes()
    if name.endswith(".gz"):
        data = gzip.decompress(data)
    if "jsonl" in name:
        assert data.decode() == expected
    elif "csv" in name:
        assert list(rows(data.decode())["rank"]) == list(range(1, 61))
    else:
        assert pq.read_table(io.BytesIO(data)).column_names == COLUMNS


def test_columns_sort_and_top(cli: Cli, quick: Quick) -> None:
    start = ("score", "train.csv", *quick, "-o", "-")
    assert cli(*start, "--columns", "row,rank", "--top", "2", "--sort", "original").out.startswith("row,rank\n0,")
    best = rows(cli(*start, "--sort", "best", "--top", "3").out)
    assert list(best["rank"]) == [60, 59, 58]


def test_show_settings_prints_what_would_be_used_and_trains_nothing(cli: Cli, tables: Path) -> None:
    (tables / "pyproject.toml").write_text("[tool.lossval]\nmembers = 6\nepochs = 9\n")
    before = sorted(os.listdir())
    asked = ("score", "train.csv", "--show-settings", "--preset", "fast", "--seed", "3", "--set", "epochs=4")
    outcome = cli(*asked)
    assert (outcome.code, outcome.err) == (0, "")
    for line in (
        'preset = "fast" +# --preset',
        "epochs = 4 +# --set",
        r"members = 6 +# pyproject.toml \[tool.lossval\]",
        'effort = "low" +# preset fast',
        "seed = 3 +# --seed",
        "blur = 0.55 +# default",
    ):
        assert re.search(f"^{line}$", outcome.out, re.MULTILINE), line
    assert sorted(os.listdir()) == before
    (tables / "again.toml").write_text(outcome.out)
    again = cli("score", "train.csv", "--show-settings", "--config", "again.toml")
    assert tomllib.loads(again.out) == tomllib.loads(outcome.out)
    assert set(re.findall("# (.*)", again.out)) == {"again.toml"}
    deeper = tables / "deeper"
    deeper.mkdir()
    os.chdir(deeper)
    assert "# ../pyproject.toml [tool.lossval]" in cli("score", "train.csv", "--show-settings").out
    (tables / "pyproject.toml").write_text("[tool.lossval]\nepoch = 9\n")
    outcome = cli("score", "train.csv", "--show-settings")
    assert (outcome.code, outcome.err) == (2, "error: setting 'epoch' is unknown: did you mean epochs?\n")


def test_quiet_says_nothing(cli: Cli, quick: Quick) -> None:
    assert cli("score", "train.csv", *quick, "--quiet") == Outcome(0, b"", "")
    assert os.path.isdir("train.lossval")
    assert cli("score", "train.csv", *quick, "--quiet", "--progress", "json", "-o", "x").err == ""


def test_progress_as_json_lines(cli: Cli, quick: Quick) -> None:
    outcome = cli("score", "train.csv", *quick, "-o", "-", "--progress", "json")
    events = [json.loads(line) for line in outcome.err.splitlines()]
    assert [event["event"] for event in events if event["event"] != "notice"] == [
        "stage",
        "stage",
        "epoch",
        "epoch",
        "stage",
        "stage",
        "done",
    ]
    assert [event["name"] for event in events if event["event"] == "stage"] == [
        "read",
        "train",
        "report",
        "write",
    ]
    epoch = next(event for event in events if event["event"] == "epoch")
    assert epoch["epoch"] == 1
    assert epoch["epochs"] == 2
    assert math.isfinite(epoch["loss"])
    assert math.isfinite(epoch["transport"])


def test_colour_and_progress_are_for_terminals(cli: Cli, quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain = cli("score", "train.csv", *quick)
    assert "\x1b" not in plain.out + plain.err
    seen = cli("score", "train.csv", *quick, terminal=True)
    assert "\x1b[1m" in seen.out
    assert "epoch 2/2" in seen.err
    assert "transport" in seen.err
    assert "\x1b" not in cli("score", "train.csv", *quick, "--progress", "off", terminal=True).err
    monkeypatch.setenv("NO_COLOR", "1")
    assert cli("score", "train.csv", *quick, terminal=True).out == plain.out


def test_parquet_is_not_for_terminals(cli: Cli) -> None:
    outcome = cli("score", "train.csv", "-o", "-", "--format", "parquet", terminal=True)
    assert outcome.code == 2
    assert "Parquet cannot be shown on a terminal" in outcome.err


def test_a_second_run_replaces_the_first_and_keeps_what_the_user_added(cli: Cli, once: Cli, quick: Quick) -> None:
    once("score", "train.csv", *quick)
    Path("train.lossval/notes.txt").write_text("mine")
    assert cli("score", "train.csv", *quick, "--seed", "5").code == 0
    assert json.loads(Path("train.lossval/run.json").read_text())["seed"] == 5
    assert Path("train.lossval/notes.txt").read_text() == "mine"


def test_a_failing_run_leaves_the_older_one(cli: Cli, once: Cli, quick: Quick) -> None:
    once("score", "train.csv", *quick)
    before = Path("train.lossval/scores.csv").read_bytes()
    assert cli("score", "train.csv", "--label", "size", "--set", "learning_rate=10", "--val", "no").code == 2
    assert Path("train.lossval/scores.csv").read_bytes() == before


def test_force(cli: Cli, quick: Quick) -> None:
    os.mkdir("mine")
    Path("mine/thesis.tex").write_text("mine")
    assert cli("score", "train.csv", *quick, "-o", "mine").code == 2
    assert cli("score", "train.csv", *quick, "-o", "mine", "--force").code == 0
    assert set(os.listdir("mine")) == FILES | {"scores.csv", "thesis.tex"}
    Path("s.csv").write_text("mine")
    assert cli("score", "train.csv", *quick, "-o", "s.csv", "--force").code == 0
    assert Path("s.csv").read_text().startswith("rank,")


def test_output_that_becomes_impossible_during_the_run(cli: Cli, quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkdir("parent")
    from lossval_cli import result

    ready = result.run_files

    def vanish(*arguments: object, **options: object) -> object:
        shutil.rmtree("parent")
        return ready(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(result, "run_files", vanish)
    outcome = cli("score", "train.csv", *quick, "-q", "-o", "parent/out")
    assert outcome == Outcome(2, b"", "error: parent/out cannot be written: no such file or directory\n")


def test_redact_leaves_ids_and_feature_values_out(cli: Cli, quick: Quick) -> None:
    table = frame().assign(secret=["swordfish", "hunter2"] * 30, same="xyzzy")
    table.to_csv("train.csv", index=False)
    assert cli("score", "train.csv", *quick, "--redact").code == 0
    scores = pd.read_csv("train.lossval/scores.csv")
    assert list(scores.columns) == [name for name in COLUMNS if name != "customer"]
    for name in os.listdir("train.lossval"):
        text = Path("train.lossval", name).read_text()
        assert not [word for word in ("swordfish", "hunter2", "xyzzy", "c0-7") if word in text]
    outcome = cli("score", "train.csv", *quick, "--redact", "-o", "-", "--columns", "customer")
    assert outcome.code == 2
    assert "--columns customer: the scores have no such column" in outcome.err


def test_redact_empties_sections_it_does_not_know() -> None:
    from lossval_cli.runs.redaction import redact_report

    report = {
        "summary": {"rows": 1},
        "suspects": [{"rank": 1, "ids": {"customer": "c"}, "given": "A", "values": {"size": 3}}],
        "notices": ["column 'x, y' holds 'swordfish'"],
        "data": {"columns": [{"column": "size", "type": "number", "levels": ["swordfish"]}]},
        "slices": ["size > 3"],
    }
    assert redact_report(report) == {
        "summary": {"rows": 1},
        "suspects": [{"rank": 1, "given": "A"}],
        "notices": ["column '…' holds '…'"],
        "data": {"columns": [{"column": "size", "type": "number"}]},
        "slices": None,
    }


def test_safe_csv(cli: Cli, quick: Quick) -> None:
    table = frame()
    table["label"] = table["label"].map({"yes": "=cmd()", "no": "-1"})
    table.to_csv("train.csv", index=False)
    assert cli("score", "train.csv", *quick, "--safe-csv").code == 0
    scores = pd.read_csv("train.lossval/scores.csv")
    assert set(scores["label"]) == {"'=cmd()", "-1"}
    assert set(scores["predicted"]) <= {"'=cmd()", "-1"}
    refused = cli("score", "train.parquet", *quick, "--safe-csv")
    assert refused.code == 2
    assert "add --format csv" in refused.err


def test_cells_come_back_exactly_from_a_stream(cli: Cli, quick: Quick) -> None:
    table = frame()
    cells = ["=1+1", "+1", "-1", "@a", "007", " x ", 'say "a, b"', "two\nlines", "é\u202e", "NA", "1e5", "'"]
    table["customer"] = [cells[row] if row < len(cells) else f"c{row}" for row in range(60)]
    table.to_csv("train.csv", index=False)
    asked = ("score", "train.csv", "--id", "customer", *quick, "-q", "-o", "-", "--sort", "original")
    read = csv.DictReader(io.StringIO(cli(*asked).out, newline=""))
    assert [row["customer"] for row in read][: len(cells)] == cells
    objects = [json.loads(line) for line in cli(*asked, "--format", "jsonl").out.splitlines()]
    assert [row["customer"] for row in objects][: len(cells)] == cells
    safe = csv.DictReader(io.StringIO(cli(*asked, "--safe-csv").out, newline=""))
    first_cells = [row["customer"] for row in safe][: len(cells)]
    assert first_cells == ["'=1+1", "+1", "-1", "'@a", *cells[4:]]
    assert cli(*asked, "--sort", "worst", "--top", "4").out == cli(*asked[:-2], "--top", "4").out


def test_a_hostile_table_reaches_the_terminal_as_plain_text(cli: Cli, quick: Quick) -> None:
    table = frame()
    table["customer"] = [f"\x1b]0;owned\x07[red]{row}\n" for row in range(60)]
    table = table.rename(columns={"customer": "\x1b[31m[bold]id"})
    table.to_csv("train.csv", index=False)
    outcome = cli("score", "train.csv", *quick)
    assert outcome.code == 0
    assert "\x1b" not in outcome.out + outcome.err
    assert "\x07" not in outcome.out + outcome.err
    assert "\\x1b]0;owned" in outcome.out


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("train.csv", "train.lossval"),
        ("a/b/My Table.CSV.gz", "My Table.lossval"),
        ("x.tar", "x.tar.lossval"),
        ("data/", "data.lossval"),
        ("data/part-*.parquet", "part.lossval"),
        ("data/*.parquet", "data.lossval"),
        (".csv", "csv.lossval"),
        ("-", "stdin.lossval"),
    ],
)
def test_name_of_the_run_directory(given: str, name: str) -> None:
    from lossval_cli.runs.destination import default_directory

    assert default_directory(given) == name


class TestPython:
    def test_frames_and_paths_give_what_the_command_gives(self, cli: Cli, quick: Quick) -> None:
        outcome = cli("score", "train.csv", "--val", "val.csv", *quick, "-o", "-")
        by_path = lossval_cli.score("train.csv", "val.csv", effort="low", epochs=2, removal="off")
        by_frame = lossval_cli.score(
            pd.read_csv("train.csv"), pd.read_csv("val.csv"), effort="low", epochs=2, removal="off"
        )
        assert isinstance(by_path, lossval_cli.Result)
        command = rows(outcome.out)
        for result in (by_path, by_frame):
            assert list(result.scores.columns) == COLUMNS
            assert list(result.scores["importance"]) == list(command["importance"])
        assert by_path.report["summary"]["rows"] == 60

    def test_columns_by_name(self, tables: Path) -> None:
        result = lossval_cli.score(
            "train.csv", label="label", ids="customer", exclude="age", effort="low", epochs=1, removal="off"
        )
        assert result.dataset.roles.features == ("size",)

    def test_a_typo_is_an_error(self, tables: Path) -> None:
        with pytest.raises(lossval_cli.LossvalError, match="did you mean epochs"):
            lossval_cli.score("train.csv", epoch=3)
        with pytest.raises(lossval_cli.LossvalError, match="removal must be full, quick or off"):
            lossval_cli.score("train.csv", removal="fast")  # type: ignore[arg-type]
