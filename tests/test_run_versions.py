"""Run directories of another version, or with a damaged report, are read or refused in one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

Cli = Callable[..., Outcome]

READERS = [
    ("check", "train.lossval", "--max-suspects", "100%"),
    ("diff", "train.lossval", "train.lossval"),
]


def change(file: str, edit: Callable[[dict], object]) -> None:
    path = Path("train.lossval", file)
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def run(cli: Cli, quick: tuple[str, ...], scored: Callable[..., None]) -> Cli:
    scored("train.csv", "-q", *quick)
    return cli


@pytest.mark.parametrize("line", READERS)
@pytest.mark.parametrize(("file", "newest"), [("run.json", 1), ("report.json", 2)])
def test_a_run_of_a_later_version_is_refused(run: Cli, file: str, newest: int, line: tuple[str, ...]) -> None:
    change(file, lambda content: content.update(schema_version=9))
    outcome = run(*line)
    assert outcome.code == 2
    assert outcome.err == (
        f"error: train.lossval/{file} has version 9 of its format, and lossval 0.1.0 reads up to {newest}: "
        "update lossval, or score the table again\n"
    )


@pytest.mark.parametrize("version", [None, "1", 0, -1, True, 1.0])
def test_a_version_that_is_none_is_refused(run: Cli, version: object) -> None:
    change("report.json", lambda content: content.update(schema_version=version))
    outcome = run(*READERS[0])
    assert outcome.code == 2
    assert "does not say which version of the format it has; score the table again" in outcome.err


@pytest.mark.parametrize("line", READERS)
def test_fields_that_the_first_version_did_not_have_may_be_missing(run: Cli, line: tuple[str, ...]) -> None:
    """Version 1 has grown: a run written before opens as long as what it is asked for is there."""
    for name in (
        "verdict",
        "thresholds",
        "classes",
        "coverage",
        "distributions",
        "health",
        "leakage",
        "slices",
    ):
        change("report.json", lambda content, name=name: content.pop(name, None))
    change("report.json", lambda content: content["summary"].pop("estimated_noise_share"))
    assert run(*line).code == (2 if line[0] == "check" else 0)  # `check` cannot measure what is not there


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (
            lambda report: report["summary"].pop("suspect_share"),
            "report.json: summary.suspect_share is 'None'",
        ),
        (lambda report: report.update(removal=True), "report.json: removal is 'True'"),
        (lambda report: report.update(thresholds="x"), "report.json: thresholds is 'x'"),
        (lambda report: report.update(suspects=[1]), "report.json: suspects[0] is '1'"),
        (
            lambda report: report["summary"].update(estimated_noise_share=0.5),
            "estimated_noise_share is '0.5'",
        ),
        (lambda report: report["data"]["roles"].update(ids="customer"), "roles.ids is 'customer'"),
        (lambda report: report["classes"][0].pop("label"), "classes[0].label is not there"),
    ],
)
@pytest.mark.parametrize("line", READERS)
def test_a_damaged_report_is_reported_with_its_key(
    run: Cli, line: tuple[str, ...], edit: Callable[[dict], object], where: str
) -> None:
    change("report.json", edit)
    outcome = run(*line)
    assert outcome.code == 2
    assert outcome.err.startswith("error: train.lossval is damaged")
    assert where in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_name_longer_than_names_may_be_is_an_error_of_one_line(cli: Cli) -> None:
    for line in (("score", "train.csv", "-o", "x" * 300), ("check", "x" * 300), ("validate", "y" * 300)):
        outcome = cli(*line)
        assert outcome.code == 2
        assert outcome.err.endswith("file name too long\n")
        assert "internal error" not in outcome.err
