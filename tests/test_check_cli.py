"""`lossval check` from end to end, in this process."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("valued_once")]

Cli = Callable[..., Outcome]
Quick = tuple[str, ...]


@pytest.fixture
def run(cli: Cli, quick: Quick, scored: Callable[..., None]) -> Cli:
    """`cli`, in a directory that has train.lossval too."""
    scored("train.csv", "--val", "val.csv", *quick, "-q")
    return cli


def suspects() -> int:
    return int((pd.read_csv("train.lossval/scores.csv")["suspect"].fillna("") != "").sum())


def edit_report(change: Callable[[dict[str, object]], object]) -> None:
    path = Path("train.lossval/report.json")
    report = json.loads(path.read_text())
    change(report)
    path.write_text(json.dumps(report))


def test_a_run_directory_passes_or_fails(run: Cli) -> None:
    count = suspects()
    fine = run("check", "train.lossval", "--max-suspects", str(count))
    assert (fine.code, fine.err) == (0, "")
    assert fine.out.splitlines()[0] == "check of train.csv: 60 rows"
    assert re.match(rf"PASSED   max_suspects  {count} of 60 rows \(.*%\)  at most {count}$", fine.out.splitlines()[1])
    assert fine.out.splitlines()[-1] == "gate passed: 1 passed"
    assert count > 0
    bad = run("check", "train.lossval", "--max-suspects", "0")
    assert (bad.code, bad.err) == (1, "error: train.csv failed 1 of 1 rule: max_suspects\n")
    assert re.search(r"^- train\.csv:\d+: suspect by ", bad.out, re.MULTILINE)
    assert sorted(os.listdir()) == ["train.csv", "train.lossval", "train.parquet", "val.csv"]


def test_without_rules_the_defaults_are_checked_and_printed(run: Cli) -> None:
    outcome = run("check", "train.lossval", "--exit-zero")
    assert outcome.code == 0
    assert "note: no rule given: the defaults are checked\n" in outcome.out
    assert "max_suspects " in outcome.out
    assert "max_noise_share " in outcome.out


def test_warnings_and_strict_and_exit_zero(run: Cli) -> None:
    limit = ("--max-suspects", "100%:0%")
    assert run("check", "train.lossval", *limit).code == 0
    assert "WARNED   max_suspects" in run("check", "train.lossval", *limit).out
    assert run("check", "train.lossval", *limit, "--strict").code == 1
    assert run("check", "train.lossval", *limit, "--strict", "--exit-zero").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min-metric", "accuracy=0.5"], "min_metric[accuracy]: the run did not study removal"),
        (["--max-class-suspects", "maybe=3%"], "the table has no class maybe: classes are no, yes"),
        (["--max-suspect-increase", "1%"], "there is nothing to compare with: give --baseline RUN_DIR"),
    ],
)
def test_what_cannot_be_evaluated_is_an_error(arguments: list[str], message: str, run: Cli) -> None:
    outcome = run("check", "train.lossval", *arguments, "--exit-zero")
    assert outcome.code == 2
    assert outcome.err.startswith("error: the gate could not be evaluated: ")
    assert message in outcome.err
    assert "UNKNOWN  " in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--new-rows-only"], "--new-rows-only needs --baseline RUN_DIR"),
        (["--max-suspect-increase", "1%"], "there is nothing to compare with: give --baseline RUN_DIR"),
        (
            ["--min-metric", "accuracy=0.5", "--max-metric", "log_loss=1"],
            "a run measures one metric, not accuracy",
        ),
        (["--max-removal-gain", "1%", "--removal", "off"], "max_removal_gain: leave out --removal off"),
        (["--max-leakage", "0"], "validation was drawn from the training table: give --val"),
        (["--output-format", "json", "--output-file", "no/where.json"], "no/where.json cannot be written"),
        (["--baseline", "nowhere"], "nowhere: no such run directory"),
    ],
)
def test_what_training_would_not_help_is_refused_before_it(arguments: list[str], message: str, cli: Cli) -> None:
    outcome = cli("check", "train.csv", *arguments, "--progress", "json", "--exit-zero")
    assert outcome.code == 2
    assert message in outcome.err
    assert re.fullmatch(r"error: .*\n", outcome.err)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda study: study["baseline"].update(mean=None), "nothing removed: the retraining diverged"),
        (lambda study: study.update(lowest_first=[None, None]), "lowest_first 5%: the retraining diverged"),
        (lambda study: study.update(lowest_first=[], failed=[]), "the report holds no curve"),
    ],
)
def test_a_removal_that_could_not_be_studied_is_no_gain_unknown(
    damage: Callable[[dict[str, object]], object], why: str, run: Cli
) -> None:
    """`No gain shown` passes; that nobody looked does not."""
    study = {
        "metric": "accuracy",
        "greater_is_better": True,
        "baseline": {"mean": 0.8},
        "lowest_first": [0.8, 0.79],
        "expected_gain": None,
        "failed": [why],
    }
    edit_report(lambda report: report.update(removal=study))
    assert run("check", "train.lossval", "--max-removal-gain", "0").code == 0
    damage(study)
    edit_report(lambda report: report.update(removal=study))
    outcome = run("check", "train.lossval", "--max-removal-gain", "0")
    assert outcome.code == 2
    assert f"removal could not be studied: {why}" in outcome.err


def test_a_summary_of_a_job_that_cannot_be_written_is_an_error(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "no/where.md")
    asked = ("check", "train.lossval", "--max-suspects", "100%")
    outcome = run(*asked, "--output-format", "github")
    assert outcome.code == 2
    assert "GITHUB_STEP_SUMMARY no/where.md cannot be written" in outcome.err
    assert run(*asked).code == 0


def test_the_defaults_are_those_that_the_guide_names(run: Cli) -> None:
    said = tomllib.loads(run("check", "train.lossval", "--show-settings").out)["check"]
    assert said == {
        "new_rows_only": False,
        "strict": False,
        "max_suspects": "3%:2%",
        "max_noise_share": "5%:3%",
    }
    guide = Path(__file__).parents[1].joinpath("docs", "ci.md").read_text(encoding="utf-8")
    assert "`--max-suspects 3%:2%` and `--max-noise-share 5%:3%` are checked" in guide


def test_cells_and_columns_are_no_commands_on_any_stream(cli: Cli, quick: Quick) -> None:
    """What a CI run prints is read by its runner, whichever command and format it is from."""
    table = pd.read_csv("train.csv").rename(columns={"size": "::error::owned", "age": "##[add-path]/evil"})
    table["label"] = table["label"].map({"yes": "::error::yes", "no": "##[error]no"})
    table["extra"] = "::warning::same"
    table.to_csv("train.csv", index=False)
    for arguments in (
        ("validate", "train.csv"),
        ("score", "train.csv", *quick),
        ("check", "train.lossval", "--max-suspects", "0"),
        ("check", "train.lossval", "--max-class-suspects", "##[error]maybe=0"),
        ("diff", "train.lossval", "train.lossval"),
        ("score", "train.csv", "--label", "##[nothing"),
    ):
        outcome = cli(*arguments)
        lines = (outcome.out + outcome.err).splitlines()
        assert not [line for line in lines if line.lstrip().startswith("::") or "##[" in line], arguments


def test_a_held_out_validation_table_knows_no_leakage(cli: Cli, quick: Quick) -> None:
    outcome = cli("check", "train.csv", *quick, "--max-leakage", "0")
    assert outcome.code == 2
    assert "max_leakage: validation was drawn from the training table: give --val" in outcome.err
    assert cli("check", "train.csv", *quick, "--test", "val.csv", "--max-leakage", "0").code == 0
    shutil.copy("train.csv", "val.csv")
    outcome = cli("check", "train.csv", *quick, "--val", "val.csv", "--max-leakage", "0")
    assert outcome.code == 1
    assert "60 of 60 held-back rows (100%)" in outcome.out


def test_the_paper_preset_names_no_suspects(cli: Cli, quick: Quick) -> None:
    outcome = cli("check", "train.csv", *quick, "--preset", "paper")
    assert outcome.code == 2
    assert "the run does not say which rows are suspect (preset paper only ranks them)" in outcome.err


@pytest.mark.parametrize("section", ["conflicting_duplicates", "leakage"])
def test_older_reports_without_a_section_do_not_pass(section: str, run: Cli) -> None:
    rule = "--max-" + section.replace("_", "-")
    assert run("check", "train.lossval", rule, "100%").code == 0
    edit_report(lambda report: report.pop(section))
    assert run("check", "train.lossval", rule, "100%").code == 2


def test_tables_are_trained_on_and_removal_studied_where_a_rule_needs_it(cli: Cli) -> None:
    quick = ("--set", "epochs=1", "--effort", "low", "--removal", "quick")
    outcome = cli("check", "train.csv", "--val", "val.csv", *quick, "--min-metric", "macro_f1=1%")
    assert outcome.code == 0, outcome.err
    assert re.search(r"PASSED   min_metric\[macro_f1\]  0\.\d+ +at least 0\.01", outcome.out)
    assert not os.path.isdir("train.lossval")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_every_form_of_scores_is_read(form: str, cli: Cli, quick: Quick) -> None:
    for table in ("train.csv", "train.parquet"):
        assert cli("score", table, "--val", "val.csv", *quick, "--format", form, "-o", "run", "-q").code == 0
        said = cli("check", "run", "--max-suspects", "0", "--output-format", "json", "--exit-zero")
        found = json.loads(said.out)
        assert found["rows"] == 60
        assert found["path"] == table
        first = found["suspects"][0]
        assert first["ids"]["customer"] == f"c0-{first['row']}"
        assert first["line"] == (first["row"] + 2 if table == "train.csv" else None)


def test_tables_and_their_run_directory_say_the_same(run: Cli, quick: Quick) -> None:
    outcomes = [
        run("check", *source, "--max-suspects", "0", "--output-format", "json", "-q")
        for source in (("train.lossval",), ("train.csv", "--val", "val.csv", *quick))
    ]
    first, second = (json.loads(outcome.out) for outcome in outcomes)
    for said in (first, second):
        for row in said["suspects"]:
            row["importance"] = round(row["importance"], 9)
    assert first == second


def test_formats_go_to_their_files_and_text_to_the_terminal(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    forms = ["text", "json", "junit", "sarif", "github", "gitlab", "markdown"]
    arguments = [part for form in forms for part in ("--output-format", form, "--output-file", f"out.{form}")]
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    Path("summary.md").write_text("before\n")
    for _ in range(2):  # files of the last time are in nobody's way
        outcome = run("check", "train.lossval", "--max-suspects", "0", *arguments)
        assert outcome.code == 1
        assert outcome.out == Path("out.text").read_text()
    assert json.loads(Path("out.sarif").read_text())["version"] == "2.1.0"
    assert Path("out.junit").read_text().startswith("<?xml")
    summary = Path("summary.md").read_text()
    assert summary == "before\n" + 2 * (Path("out.markdown").read_text() + "\n")
    assert run("check", "train.lossval", "--max-suspects", "100%", *arguments, "-q") == Outcome(0, b"", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--output-format", "json", "--output-format", "sarif", "--output-file", "x"],
            "2 --output-format and 1 --output-file: give each format its file, - for standard output",
        ),
        (["--output-file", "x"], "0 --output-format and 1 --output-file"),
        (
            [
                "--output-format",
                "json",
                "--output-format",
                "text",
                "--output-file",
                "x",
                "--output-file",
                "x",
            ],
            "--output-file x, x: two formats cannot go to one file",
        ),
        (
            ["--val", "val.csv", "--id", "x"],
            "a run directory is read, not trained on: leave out --val, --id",
        ),
        (
            ["--output-format", "json", "--output-file", "train.csv.lossval/x", "--baseline", "nowhere"],
            "train.csv.lossval/x cannot be written",
        ),
        (["--new-rows-only"], "--new-rows-only needs --baseline RUN_DIR"),
        (["--baseline", "nowhere"], "nowhere: no such run directory"),
        (["--baseline", "."], ". is not a run directory of lossval"),
        (["--max-suspects", "5"], None),
        (["--max-suspects", "x", "--max-leakage", "y"], "--max-suspects must be a limit such as"),
        (["--output-format", "json", "--output-file", "no/where.json"], "no/where.json cannot be written"),
    ],
)
def test_lines_that_make_no_sense(arguments: list[str], message: str | None, run: Cli) -> None:
    outcome = run("check", "train.lossval", "--exit-zero", *arguments)
    if message is None:
        assert outcome.code == 0
        return
    assert outcome.code == 2
    assert message in outcome.err
    assert re.fullmatch(r"error: .*\n", outcome.err)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.json", "{"),
        ("report.json", "[]"),
        ("report.json", "{}"),
        ("scores.csv", "a,b\n1,2\n"),
        (
            "scores.csv",
            "rank,row,line,customer,label,importance,noise_probability,suspect,predicted\n1,0,2,a,b,1,,,\n",
        ),
        ("scores.csv", None),
    ],
)
def test_damaged_run_directories_are_one_line(name: str, content: str | None, run: Cli) -> None:
    path = Path("train.lossval", name)
    path.unlink()
    if content is not None:
        path.write_text(content)
    outcome = run("check", "train.lossval")
    assert outcome.code == 2
    assert re.fullmatch(r"error: .*score the table again.*\n", outcome.err), outcome.err


@pytest.mark.parametrize(
    ("column", "value"),
    [("row", 3), ("row", -1), ("suspect", "maybe"), ("importance", "high"), ("line", "x")],
)
def test_scores_that_somebody_edited_are_refused(column: str, value: object, run: Cli) -> None:
    scores = pd.read_csv("train.lossval/scores.csv", dtype=object)
    scores.loc[scores["row"] == "7", column] = value
    scores.to_csv("train.lossval/scores.csv", index=False)
    outcome = run("check", "train.lossval")
    assert outcome.code == 2
    assert re.fullmatch(r"error: train.lossval is damaged .*\n", outcome.err)


def test_only_new_rows_are_checked(run: Cli, quick: Quick) -> None:
    table = pd.read_csv("train.csv")
    more = table.head(20).assign(customer=[f"new-{row}" for row in range(20)])
    pd.concat([table, more]).to_csv("more.csv", index=False)
    common = ("--baseline", "train.lossval", "--new-rows-only", "--exit-zero")
    rules = ("--max-suspects", "100%", "--max-class-suspects", "yes=100%", "--max-noise-share", "100%")
    outcome = run("check", "more.csv", "--val", "val.csv", *quick, *common, *rules)
    assert outcome.code == 0, outcome.err
    said = "note: 20 of 80 rows are new, no known row changed; suspects and noise are of new and changed rows\n"
    assert said in outcome.out
    assert " of 20 rows (" in outcome.out
    yes = int((more["label"] == "yes").sum())
    assert re.search(rf"max_class_suspects\[yes\]  \d+ of {yes} rows", outcome.out)
    same = run("check", "train.lossval", *common, "--max-suspects", "0%", "--max-suspect-increase", "0%")
    assert same.code == 0
    assert "0 of 0 rows" in same.out
    by_content = run("check", "more.csv", *quick, "--exclude", "customer", *common, *rules)
    assert "note: 20 of 80 rows are new, no known row changed" in by_content.out


def test_rows_that_changed_under_old_ids_do_not_pass_as_known(run: Cli, quick: Quick) -> None:
    table = pd.read_csv("train.csv")
    table.loc[5:24, "label"] = np.where(table.loc[5:24, "label"] == "yes", "no", "yes")
    table.to_csv("more.csv", index=False)
    rules = ("--baseline", "train.lossval", "--new-rows-only", "--max-suspects", "100%")
    outcome = run("check", "more.csv", "--val", "val.csv", *quick, *rules)
    assert "note: 0 of 60 rows are new, 20 known rows changed (20 labels, features of 0);" in outcome.out
    assert " of 20 rows (" in outcome.out


def test_wrong_rows_in_front_of_known_ones_are_the_new_ones(cli: Cli, quick: Quick) -> None:
    rng = np.random.default_rng(4)
    x, z = rng.normal(size=(2, 320)).round(3)
    table = pd.DataFrame({"cust": rng.integers(0, 80, 320), "x": x, "z": z, "label": np.where(x + z > 0, "y", "n")})
    table.loc[:19, "label"] = np.where(table.loc[:19, "label"] == "y", "n", "y")
    table[20:].to_csv("main.csv", index=False)
    table.to_csv("pr.csv", index=False)
    for ids in ([], ["--id", "cust"]):
        assert cli("score", "main.csv", *quick, *ids, "-q").code == 0
        gate = ("--baseline", "main.lossval", "--new-rows-only", "--max-suspects", "100%")
        outcome = cli("check", "pr.csv", *quick, *ids, *gate)
        assert "note: 20 of 320 rows are new, no known row changed;" in outcome.out, outcome.err


def test_a_baseline_without_new_rows_only(run: Cli) -> None:
    outcome = run("check", "train.lossval", "--baseline", "train.lossval", "--max-suspect-increase", "0%")
    assert outcome.code == 0
    assert "+0 points" in outcome.out


def test_redacted_runs_can_be_checked(cli: Cli, quick: Quick) -> None:
    assert cli("score", "train.csv", "--val", "val.csv", *quick, "--redact", "-q").code == 0
    outcome = cli("check", "train.lossval", "--max-suspects", "0", "--max-class-suspects", "yes=100%")
    assert outcome.code == 1
    assert "c0-" not in outcome.out


def test_rules_of_a_file_and_of_the_project(run: Cli) -> None:
    Path("rules.toml").write_text('epochs = 3\n[check]\nmax_suspects = 0\n[check.max_class_suspects]\nyes = "0%"\n')
    assert run("check", "train.lossval", "--config", "rules.toml").code == 1
    over = ("--max-suspects", "100%", "--max-class-suspects", "yes=100%")
    assert run("check", "train.lossval", "--config", "rules.toml", *over).code == 0
    Path("pyproject.toml").write_text("[tool.lossval]\nmembers = 5\n[tool.lossval.check]\nmax_leakage = 3\n")
    assert "max_leakage " in run("check", "train.lossval").out
    assert "max_leakage " not in run("check", "train.lossval", "--config", "rules.toml").out
    shown = run("check", "train.lossval", "--show-settings", "--max-class-suspects", 'a"b=3%:1%')
    assert shown.code == 0
    said = tomllib.loads(shown.out)
    assert said["members"] == 5
    assert said["check"] == {
        "new_rows_only": False,
        "strict": False,
        "max_leakage": "3",
        "max_class_suspects": {'a"b': "3%:1%"},
    }
    Path("again.toml").write_text(shown.out)
    again = run("check", "train.lossval", "--show-settings", "--config", "again.toml")
    assert tomllib.loads(again.out) == said
    assert re.search(r"^members = 5 +# pyproject.toml \[tool.lossval\]$", shown.out, re.MULTILINE)
    assert re.search(r"^members = 5 +# again.toml$", again.out, re.MULTILINE)
    Path("pyproject.toml").write_text("[tool.lossval.check]\nmax_leakages = 3\n")
    outcome = run("check", "train.lossval")
    assert (outcome.code, outcome.err) == (
        2,
        "error: check.max_leakages is unknown: did you mean max_leakage?\n",
    )


def test_score_reads_the_project_too(cli: Cli, quick: Quick) -> None:
    Path("pyproject.toml").write_text("[tool.lossval]\nseed = 7\n[tool.lossval.check]\nmax_leakage = 3\n")
    assert cli("score", "train.csv", *quick, "-q").code == 0
    assert json.loads(Path("train.lossval/run.json").read_text())["seed"] == 7


def test_no_more_rows_than_hosts_accept_are_passed_on(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossval_cli.checks.values.MOST_ROWS", 2)
    scores = pd.read_csv("train.lossval/scores.csv", dtype=object, keep_default_na=False)
    scores.assign(suspect="features").to_csv("train.lossval/scores.csv", index=False)
    outcome = run("check", "train.lossval", "--max-suspects", "0", "--output-format", "json")
    said = json.loads(outcome.out)
    assert said["suspect_count"] == 60
    likeliest = scores.iloc[(-scores["noise_probability"].astype(float)).argsort(kind="stable")]
    assert [str(row["row"]) for row in said["suspects"]] == list(likeliest["row"][:2])


def test_a_label_of_numbers(cli: Cli, quick: Quick) -> None:
    common = ("train.csv", "--val", "val.csv", "--label", "size", *quick)
    outcome = cli("check", *common, "--max-suspects", "100%", "--max-noise-share", "100%")
    assert outcome.code == 0, outcome.err
    outcome = cli("check", *common, "--max-class-suspects", "yes=3%")
    assert outcome.code == 2
    assert "the table has no class yes: classes are " in outcome.err
    name = outcome.err.partition("classes are ")[2].split(", ")[0].strip()
    assert cli("check", *common, "--max-class-suspects", f"{name}=100%").code == 0, name


def test_a_run_directory_whose_table_is_gone(run: Cli) -> None:
    Path("train.csv").unlink()
    assert run("check", "train.lossval", "--max-suspects", "100%").code == 0


def test_colours_are_for_terminals(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in run("check", "train.lossval", terminal=True).out
    assert "\x1b[" not in run("check", "train.lossval").out


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A git repository, and a way to commit a table to it."""
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")

    def git(*arguments: str) -> None:
        subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)

    git("init", "-q")

    def commit(table: pd.DataFrame, message: str) -> None:
        table.to_csv("data.csv", index=False)
        git("add", "data.csv")
        git("commit", "-q", "-m", message)

    return commit


def customers(rows: int, seed: int) -> pd.DataFrame:
    """Two groups that two numbers tell apart."""
    rng = np.random.default_rng(seed)
    paid = rng.random(rows) < 0.5
    features = rng.normal(size=(rows, 3)) + 4 * paid[:, None] * np.array([1, -1, 0])
    table = pd.DataFrame(features.round(3), columns=["visits", "returns", "age"])
    table.insert(0, "id", [f"{seed}-{row}" for row in range(rows)])
    table["paid"] = np.where(paid, "yes", "no")
    return table


def test_two_hundred_bad_rows_in_a_second_commit_fail_the_gate(
    cli: Cli, repository: Callable[[pd.DataFrame, str], None]
) -> None:
    """The story the gate is for: good data passes, bad rows fail with their lines."""
    good = customers(800, 0)
    customers(200, 1).to_csv("val.csv", index=False)
    repository(good, "customers")
    quick = ("--set", "epochs=10", "--effort", "low", "--removal", "off")
    gate = ("--val", "val.csv", "--label", "paid", "--id", "id", *quick, "--max-suspects", "8%")
    sarif = ("--output-format", "sarif", "--output-file", "lossval.sarif")
    first = cli("check", "data.csv", *gate, *sarif)
    assert first.code == 0, first.out + first.err
    assert "PASSED   max_suspects" in first.out
    assert cli("score", "data.csv", *gate[:-2], "-o", "main.lossval", "-q").code == 0

    bad = customers(200, 2)
    bad["paid"] = np.where(bad["paid"] == "yes", "no", "yes")
    repository(pd.concat([good, bad]), "two hundred more")
    second = cli("check", "data.csv", *gate, *sarif)
    assert second.code == 1
    assert "FAILED   max_suspects" in second.out
    marked = {
        result["locations"][0]["physicalLocation"]["region"]["startLine"]
        for result in json.loads(Path("lossval.sarif").read_text())["runs"][0]["results"]
    }
    added = set(range(802, 1002))
    assert len(marked & added) > 0.9 * len(added)
    assert len(marked - added) < 0.1 * len(marked)
    changed = subprocess.run(
        ["git", "blame", "-s", "-L", f"{min(marked & added)},+1", "data.csv"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert not changed.stdout.startswith("^")  # a line of the second commit

    new = ("--baseline", "main.lossval", "--new-rows-only", "--max-suspect-increase", "1%")
    third = cli("check", "data.csv", *gate, *new)
    assert third.code == 1
    assert "note: 200 of 1,000 rows are new" in third.out
    assert re.search(r"FAILED   max_suspects +(\d+) of 200 rows", third.out)
    assert "FAILED   max_suspect_increase" in third.out


def test_moved_rows_keep_their_fingerprints(cli: Cli, repository: Callable[[pd.DataFrame, str], None]) -> None:
    table = customers(120, 0)
    table.loc[:5, "paid"] = np.where(table.loc[:5, "paid"] == "yes", "no", "yes")
    customers(60, 1).to_csv("val.csv", index=False)
    quick = ("--set", "epochs=10", "--effort", "low", "--removal", "off", "--max-suspects", "100%", "-q")
    for ids in (["--id", "id"], ["--exclude", "id"]):
        prints = []
        for rows in (table, table.iloc[::-1]):
            rows.to_csv("data.csv", index=False)
            outcome = cli("check", "data.csv", "--val", "val.csv", *ids, *quick, "--output-format", "gitlab")
            assert outcome.code == 0, outcome.err
            lines = Path("data.csv").read_text().splitlines()
            prints.append(
                {
                    lines[found["location"]["lines"]["begin"] - 1]: found["fingerprint"]
                    for found in json.loads(outcome.out)
                }
            )
        both = set(prints[0]) & set(prints[1])
        assert len(both) >= 3
        assert all(prints[0][line] == prints[1][line] for line in both)
        assert len(set(prints[0].values())) == len(prints[0])
