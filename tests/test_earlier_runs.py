"""A run directory that version 0.1.0 wrote, before scores had a probability for each kind of noise, is still read.

tests/data/earlier holds one on 60 rows: `lossval score old.csv --val val.csv --set epochs=8 --set members=4`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import Outcome

Cli = Callable[..., Outcome]
EARLIER = Path(__file__).with_name("data") / "earlier"


@pytest.fixture
def run(tables: Path) -> str:
    """The run directory beside its table, in the current directory."""
    shutil.copy(EARLIER / "old.csv", "old.csv")
    shutil.copytree(EARLIER / "run", "old.lossval")
    return "old.lossval"


def test_it_has_the_columns_of_then() -> None:
    names = pd.read_csv(EARLIER / "run" / "scores.csv").columns
    assert "noise_probability" in names
    assert "label_noise_probability" not in names


def test_it_is_checked(run: str, cli: Cli) -> None:
    outcome = cli("check", run, "--max-suspects", "10%:5%")
    assert outcome.code == 0, outcome.err
    assert "PASSED   max_suspects  3 of 60 rows (5%)" in outcome.out
    failed = cli("check", run, "--max-suspects", "0")
    assert failed.code == 1
    assert failed.out.count("\n- old.csv:") == 3
    unknown = cli("check", run, "--max-invalid-cells", "0")
    assert unknown.code == 2
    assert "the report does not count them (an older version wrote it): score the table again" in unknown.err


def test_it_is_reported(run: str, cli: Cli) -> None:
    assert cli("report", run).code == 0
    page = Path(run, "report.md").read_text()
    assert "Noise share" in page
    assert "### 3 suspects" in page
    assert "Suspect rows" in Path(run, "report.html").read_text()


def test_its_unusual_cells_are_shown(run: str, cli: Cli) -> None:
    """Version 1 of report.json had them under another key."""
    file = Path(run, "report.json")
    report = json.loads(file.read_text())
    usual = {"low": "18", "median": "50", "high": "79"}
    cell = {"column": "age", "value": "900", "usual": usual, "contribution": 5.0, "text": "age is 900"}
    report["suspects"][0]["odd"] = [cell]
    file.write_text(json.dumps(report))
    assert cli("report", run).code == 0
    assert '<td class="cell">900</td>' in Path(run, "report.html").read_text()


@pytest.mark.slow
def test_it_is_compared(run: str, cli: Cli, quick: tuple[str, ...]) -> None:
    assert cli("score", "old.csv", "--val", "val.csv", *quick, "-o", "new.lossval", "-q").code == 0
    outcome = cli("diff", run, "new.lossval")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("old.csv -> old.csv: 60 rows matched by ids\n")


def test_it_is_cleaned(run: str, cli: Cli) -> None:
    outcome = cli("clean", run, "-o", "cleaned.csv", "--drop", "suspects")
    assert outcome == Outcome(0, b"", "cleaned.csv: 57 of 60 rows kept, 3 left out\n")
    outcome = cli("clean", run, "-o", "relabelled.csv", "--relabel", "--min-probability", "50%")
    assert outcome.err == "relabelled.csv: 60 of 60 rows kept, 3 relabelled\n"
