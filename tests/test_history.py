"""`lossval history`: several runs in the order of their time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import QUICK, Outcome, frame

from lossval_cli.runs.decisions import append_decisions
from tests.test_decisions import decision

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("valued_once")]

Cli = Callable[..., Outcome]


@pytest.fixture
def runs(once: Cli) -> list[str]:
    """Two runs, the later one of fewer rows, named so that the order of names is not that of time."""
    once("score", "train.csv", "--val", "val.csv", "-o", "b.lossval", *QUICK)
    frame().iloc[:50].to_csv("train.csv", index=False)
    once("score", "train.csv", "--val", "val.csv", "-o", "a.lossval", *QUICK)
    for name, time in (("b.lossval", "2026-01-01T00:00:00+00:00"), ("a.lossval", "2026-01-02T00:00:00+00:00")):
        record = json.loads(Path(name, "run.json").read_text())
        Path(name, "run.json").write_text(json.dumps(record | {"started": time}))
    return ["a.lossval", "b.lossval"]


def test_runs_are_shown_by_time_with_what_was_decided(runs: list[str], cli: Cli) -> None:
    append_decisions(Path("b.lossval/decisions.csv"), [decision("x", "drop"), decision("y", "keep")])
    done = cli("history", *runs)
    assert done.code == 0, done.err
    head, first, second = done.out.splitlines()
    assert head.split()[:3] == ["run", "date", "rows"]
    assert re.match(r"b\.lossval +20\d\d-\d\d-\d\d +60 .* 2 +1$", first)
    assert second.startswith("a.lossval")
    said = json.loads(cli("history", *runs, "--output-format", "json").out)
    assert [one["rows"] for one in said["runs"]] == [60, 50]
    assert said["runs"][0]["noise"]["low"] <= said["runs"][0]["noise"]["value"] <= said["runs"][0]["noise"]["high"]
    assert cli("history", *runs, "--output-format", "markdown").out.count("\n| ") == 3


def test_the_page_is_one_file_that_loads_nothing(runs: list[str], cli: Cli) -> None:
    assert cli("history", *runs, "--chart", "h.html").code == 0
    page = Path("h.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 1
    assert "<script" not in page
    assert not re.search(r"(src|href)=[\"'](?!#)", page)
    again = cli("history", *runs, "--chart", "h.html")
    assert (again.code, "h.html exists" in again.err) == (2, True)


def test_what_is_no_run_and_what_is_named_twice_is_one_line(runs: list[str], cli: Cli) -> None:
    for arguments, message in (
        (["a.lossval", "nothing"], "no such run directory"),
        (["a.lossval", "./a.lossval"], "is named twice"),
        (["a.lossval", "--chart", "a.lossval/scores.csv"], "is read by this command"),
    ):
        done = cli("history", *arguments)
        assert done.code == 2
        assert message in done.err
        assert done.err.count("\n") == 1


def test_runs_of_other_labels_are_said_to_be_so(runs: list[str], cli: Cli) -> None:
    assert cli("score", "val.csv", "--label", "size", "-o", "c.lossval", *QUICK).code == 0
    done = cli("history", *runs, "c.lossval")
    assert "note: the runs predict different labels: label, size" in done.out
