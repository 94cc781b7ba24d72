"""`lossval report`: the pages of a run once more, the same bytes, from nothing but its report.json."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

pytestmark = pytest.mark.usefixtures("valued_once")

Cli = Callable[..., Outcome]

PAGES = ("report.html", "report.md")
RUN = Path("train.lossval")


@pytest.fixture
def run(scored: Callable[..., None], quick: tuple[str, ...]) -> Path:
    """A run that holds no ids, which begin with c0-."""
    scored("train.csv", "--val", "val.csv", *quick, "--redact", "-q")
    return RUN


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ("--val", "val.csv", "--removal", "quick"),
        ("--redact", "--removal", "off"),
        ("--preset", "paper", "--removal", "off"),
    ],
    ids=["removal", "redacted", "paper"],
)
@pytest.mark.parametrize("table", ["train.csv", "train.parquet"])
def test_the_pages_are_those_of_the_run(cli: Cli, table: str, options: tuple[str, ...]) -> None:
    outcome = cli("score", table, *options, "--effort", "low", "--set", "epochs=2", "-q")
    assert outcome.code == 0, outcome.err
    before = {name: (RUN / name).read_bytes() for name in os.listdir(RUN)}
    Path(table).unlink()
    for name in PAGES:
        (RUN / name).unlink()
    outcome = cli("report", str(RUN))
    assert outcome == Outcome(0, b"", "wrote train.lossval/report.html, train.lossval/report.md\n")
    assert {name: (RUN / name).read_bytes() for name in os.listdir(RUN)} == before


def test_what_was_left_out_stays_out(cli: Cli, run: Path) -> None:
    for form in ("html", "md", "json"):
        page = cli("report", str(run), "-o", "-", "--format", form).raw
        assert page == (run / f"report.{form}").read_bytes()
        assert b"c0-" not in page


def test_into_a_file(cli: Cli, run: Path) -> None:
    for arguments, page in (
        (("-o", "page.html"), "report.html"),
        (("-o", "page.markdown"), "report.md"),
        (("-o", "page.json"), "report.json"),
        (("-o", "page", "--format", "html"), "report.html"),
    ):
        assert cli("report", str(run), *arguments, "--quiet") == Outcome(0, b"", "")
        assert Path(arguments[1]).read_bytes() == (run / page).read_bytes()
        again = cli("report", str(run), *arguments)
        assert again.err == f"error: {arguments[1]} exists; name another file with -o, or add --force\n"
        assert cli("report", str(run), *arguments, "--force").code == 0
    assert cli("report", str(run), "-o", "-").raw == (run / "report.md").read_bytes()


def test_what_makes_no_sense_is_refused(cli: Cli, run: Path) -> None:
    for arguments, message in (
        (("--format", "html"), "--format goes with -o: without it, both pages are written into RUN_DIR"),
        (("-o", "page"), "-o page: name a .html, .md or .json file, or add --format"),
        (("-o", ""), "--output is empty: give it a value, or leave it out"),
        (
            ("-o", "a.md", "--format", "html"),
            "-o a.md and --format html contradict each other: leave one out",
        ),
        (("-o", "no/a.md"), "no/a.md cannot be written: no does not exist"),
    ):
        assert cli("report", str(run), *arguments) == Outcome(2, b"", f"error: {message}\n")


def test_a_damaged_run_is_reported_and_its_pages_stay(cli: Cli, run: Path) -> None:
    before = [(run / name).read_bytes() for name in PAGES]
    report = json.loads((run / "report.json").read_text())
    for section in ("summary", "data", "model", "suspects", "settings"):
        (run / "report.json").write_text(json.dumps(report | {section: 7}))
        outcome = cli("report", str(run))
        assert outcome.code in (0, 2)  # what no page shows may be anything
        assert outcome.code == 0 or outcome.err.startswith("error: train.lossval is damaged (")
        assert outcome.err.count("\n") == 1
        (run / "report.json").write_text(json.dumps(report))
        cli("report", str(run))
    assert [(run / name).read_bytes() for name in PAGES] == before
    (run / "report.json").write_text("{")
    outcome = cli("report", str(run))
    assert outcome.err == "error: train.lossval/report.json cannot be read; score the table again\n"
    assert [(run / name).read_bytes() for name in PAGES] == before


def test_a_directory_that_is_not_a_run_is_reported(cli: Cli, tables: Path) -> None:
    assert cli("report", "none.lossval").err == (
        "error: none.lossval: no such run directory; `lossval score` writes one\n"
    )
    assert "is not a run directory of lossval" in cli("report", ".").err
