"""`lossval diff`: rows are matched, and what changed is reported."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from check_samples import HOSTILE
from conftest import Outcome, frame

from lossval_cli.runs.diff import compare
from lossval_cli.runs.loaded import read_run

pytestmark = pytest.mark.usefixtures("valued_once")

Cli = Callable[..., Outcome]
Quick = tuple[str, ...]


@pytest.fixture
def score(scored: Callable[..., None], quick: Quick) -> Callable[..., str]:
    """Score a table into NAME.lossval and return that."""

    def call(table: pd.DataFrame, name: str, *arguments: str) -> str:
        table.to_csv(f"{name}.csv", index=False)
        scored(f"{name}.csv", "--val", "val.csv", *quick, *arguments, "-q")
        return f"{name}.lossval"

    return call


def diff_json(cli: Cli, *arguments: str) -> dict[str, object]:
    outcome = cli("diff", *arguments, "--output-format", "json")
    assert outcome.code == 0, outcome.err
    said: dict[str, object] = json.loads(outcome.out)
    return said


def test_a_run_is_like_itself(cli: Cli, score: Callable[..., str]) -> None:
    run = score(frame(), "a")
    said = diff_json(cli, run, run)
    assert said["matched"] == 60
    assert said["rank_correlation"] == pytest.approx(1)
    assert set(said["counts"].values()) == {0}  # type: ignore[attr-defined]
    assert all(change["difference"] in (0, None) for change in said["changes"].values())  # type: ignore[attr-defined]
    lines = cli("diff", run, run).out.splitlines()
    assert lines[:5] == [
        "a.csv -> a.csv: 60 rows matched by ids",
        "rows               0 added, 0 removed",
        "changed            labels of 0, features of 0, of the rows in both",
        "rank correlation   1.000",
        "suspects           0 new, 0 no longer, of the rows in both",
    ]
    assert len(lines) == 7


def test_runs_on_other_labels_say_so(cli: Cli, score: Callable[..., str]) -> None:
    """Their rows may be the same; what is said of them is not."""
    old, new = score(frame(), "old"), score(frame(), "new", "--label", "age")
    assert "\nlabel              label -> age\n" in cli("diff", old, new).out
    assert diff_json(cli, old, new)["labels"] == ["label", "age"]


@pytest.mark.parametrize(
    ("arguments", "kind"), [((), "ids"), (("--exclude", "customer"), "content"), (("--redact",), "content")]
)
def test_moved_rows_are_the_same_rows(
    arguments: tuple[str, ...], kind: str, cli: Cli, score: Callable[..., str]
) -> None:
    table = frame(80)
    old = score(table.iloc[:60], "old", *arguments)
    new = score(table.iloc[:9:-1], "new", *arguments)
    said = diff_json(cli, old, new)
    assert said["matched_by"] == kind
    assert said["matched"] == 50
    assert sorted(row["row"] for row in said["removed"]) == list(range(10))  # type: ignore[attr-defined]
    assert sorted(row["row"] for row in said["added"]) == list(range(20))  # type: ignore[attr-defined]


def test_without_ids_and_without_the_table_rows_are_not_matched(cli: Cli, score: Callable[..., str]) -> None:
    old, new = (score(frame(rows), name, "--redact") for rows, name in ((60, "old"), (50, "new")))
    Path("old.csv").unlink()
    outcome = cli("diff", old, new)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: rows cannot be matched: the runs have no id columns in common, and a table is no longer at the path "
        "where it was scored, or was in memory: put it back, or score both with --id\n"
    )
    assert cli("diff", old, old).out.startswith("old.csv -> old.csv: 60 rows matched by row number (the table is the")


def customers(rows: int = 80) -> pd.DataFrame:
    """`cust` is no key: several rows per customer."""
    rng = np.random.default_rng(3)
    x, z = rng.normal(size=(2, rows)).round(3)
    label = np.where((x + z > 0) ^ (rng.random(rows) < 0.06), "y", "n")
    return pd.DataFrame({"cust": rng.integers(0, 30, rows), "size": x, "age": z, "label": label})


@pytest.fixture
def score_customers(cli: Cli, score: Callable[..., str]) -> Callable[..., str]:
    def call(table: pd.DataFrame, name: str) -> str:
        customers(40).to_csv("val.csv", index=False)
        return score(table, name, "--id", "cust")

    return call


def test_ids_that_repeat_are_completed_by_content(cli: Cli, score_customers: Callable[..., str]) -> None:
    table = customers()
    shuffled = table.sample(frac=1, random_state=1).reset_index(drop=True)
    wrong = customers(100)[80:].assign(cust=5)
    old = score_customers(table, "old")
    new = score_customers(pd.concat([wrong, shuffled]), "new")
    said = diff_json(cli, old, new)
    assert (said["matched_by"], said["matched"], said["counts"]["removed"]) == ("ids+content", 80, 0)  # type: ignore[index]
    assert sorted(row["row"] for row in said["added"]) == list(range(20))  # type: ignore[attr-defined]
    assert (said["counts"]["relabelled"], said["edited"]) == (0, 0)  # type: ignore[index]


def test_ids_that_repeat_are_refused_by_name_where_the_table_is_gone(
    cli: Cli, score_customers: Callable[..., str]
) -> None:
    old = score_customers(customers(), "old")
    Path("old.csv").rename("away.csv")
    outcome = cli("diff", old, old)
    assert outcome.code == 2
    assert re.match(
        r"error: rows cannot be matched by cust, whose values repeat \(old.csv: '\d+' in \d rows, '\d+' in \d rows, "
        r"'\d+' in \d rows and \d+ more; old.csv: .*\), nor by their content, since a table is no longer at the path",
        outcome.err,
    )


def test_labels_and_features_that_changed_under_old_ids_are_counted(cli: Cli, score: Callable[..., str]) -> None:
    table = frame()
    old = score(table, "old")
    table.loc[:6, "label"] = np.where(table.loc[:6, "label"] == "yes", "no", "yes")
    table.loc[6:9, "age"] += 1
    new = score(table, "new")
    said = diff_json(cli, old, new)
    assert sorted(row["row"] for row in said["relabelled"]) == list(range(7))  # type: ignore[attr-defined]
    assert said["edited"] == 4
    assert "\nchanged            labels of 7, features of 4, of the rows in both\n" in cli("diff", old, new).out


def test_an_index_without_a_name_is_no_key(cli: Cli, score: Callable[..., str]) -> None:
    """Its numbers are those of other rows once rows are put in front."""
    table = frame(70).drop(columns="customer")
    old = score(table[10:].reset_index(drop=True).reset_index(names="Unnamed: 0"), "old")
    new = score(table.reset_index(names="Unnamed: 0"), "new")
    said = diff_json(cli, old, new)
    assert (said["matched_by"], said["matched"]) == ("content", 60)
    assert sorted(row["row"] for row in said["added"]) == list(range(10))  # type: ignore[attr-defined]


def test_equal_rows_are_matched_one_to_one(score: Callable[..., str]) -> None:
    table = frame().drop(columns="customer")
    run = read_run(Path(score(pd.concat([table, table]), "twice")))
    once = read_run(Path(score(table, "once")))
    found = compare(once, run)
    assert (found.matched_by, found.matched) == ("content", 60)
    assert len(found.added) == 60
    flipped = table.assign(label=np.where(table["label"] == "yes", "no", "yes"))
    copied = compare(once, read_run(Path(score(pd.concat([flipped[:20], table]), "copied"))))
    assert sorted(row["row"] for row in copied.added) == list(range(20)), "wrong copies of old rows are new"


def test_rows_that_change_sides(cli: Cli, score: Callable[..., str]) -> None:
    run = score(frame(), "old")
    shutil.copytree(run, "new.lossval")
    scores = pd.read_csv("new.lossval/scores.csv", dtype={"line": int}, keep_default_na=False)
    suspects = scores["suspect"] != ""
    assert suspects.any()
    scores["suspect"] = [("" if suspect else "features") for suspect in suspects]
    scores.to_csv("new.lossval/scores.csv", index=False)
    said = diff_json(cli, run, "new.lossval")
    counts = said["counts"]
    assert counts["newly_suspect"] == int((~suspects).sum())  # type: ignore[index]
    assert counts["no_longer_suspect"] == int(suspects.sum())  # type: ignore[index]
    first = said["newly_suspect"][0]  # type: ignore[index]
    assert first["ids"] == {"customer": f"c0-{first['row']}"}
    assert first["line"] == first["row"] + 2
    text = cli("diff", run, "new.lossval").out
    assert f"Newly suspect ({(~suspects).sum()})\n- line " in text
    assert f"- and {(~suspects).sum() - 20} more\n" in text


def test_a_metric_and_a_judgement_that_only_one_run_has(cli: Cli, score: Callable[..., str]) -> None:
    old = score(frame(), "old", "--preset", "paper")
    new = score(frame(), "new")
    changes = diff_json(cli, old, new)["changes"]
    assert changes["noise_share"]["old"] is None  # type: ignore[index]
    assert changes["noise_share"]["difference"] is None  # type: ignore[index]
    assert "noise share        unknown -> " in cli("diff", old, new).out


def test_markdown_and_hostile_cells(cli: Cli, score: Callable[..., str]) -> None:
    table = frame()
    cells = [cell for cell in HOSTILE if cell.isascii() or "\u202e" in cell]
    names = [f"{cell} {row}".replace("\x00", "") for row, cell in enumerate(cells * 6)][:60]
    table["customer"] = names
    table = table.rename(columns={"customer": "##[id]\n::x::"})
    old = score(table, "old", "--id", "##[id]\n::x::")
    shutil.copytree(old, "new.lossval")
    scores = pd.read_csv("new.lossval/scores.csv", keep_default_na=False)
    scores["suspect"] = "label"
    scores.to_csv("new.lossval/scores.csv", index=False)
    for form in ("text", "json", "markdown"):
        text = cli("diff", old, "new.lossval", "--output-format", form).out
        assert not [line for line in text.splitlines() if line.lstrip().startswith("::") or "##[" in line]
        assert "\x1b" not in text
        assert "\u202e" not in text
        if form == "markdown":
            assert text.startswith("## old.csv → old.csv\n")
            assert "<script" not in text


@pytest.mark.parametrize("arguments", [("train.csv", "x"), ("x",)])
def test_what_is_no_run_is_one_line(arguments: tuple[str, ...], cli: Cli) -> None:
    outcome = cli("diff", *arguments)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
