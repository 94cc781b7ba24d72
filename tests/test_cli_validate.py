"""`lossval validate` and `lossval presets`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import Outcome, frame

from lossval_cli.presets import preset_names
from lossval_cli.settings import Settings

Cli = Callable[..., Outcome]

DESCRIPTION = """\
train.csv: 60 rows, 7 columns; classification into 2 classes, 6 encoded features
val.csv: 40 rows for validation

column                      role      taken as
customer                    id
size                        feature   number
age                         feature   number
label                       label
colour                      feature   category, 2 numbers
gap                         feature   number, and whether it is missing
same                        dropped   every row has the same value, '1'

label: column label, by its name; --label names another
column 'customer' is treated as an id, not a feature (serial codes)
task: classification (label label holds text); --task decides otherwise
column same is not used: every row has the same value, '1'
"""


def test_validate_says_what_score_would_make_of_a_table(cli: Cli) -> None:
    for name, rows, seed in (("train.csv", 60, 0), ("val.csv", 40, 1)):
        table = frame(rows, seed).assign(colour=["red", "blue"] * (rows // 2))
        table = table.assign(gap=table["age"].where(table.index % 5 > 0), same="1")
        table.to_csv(name, index=False)
    assert cli("validate", "train.csv", "--val", "val.csv") == Outcome(0, DESCRIPTION.encode(), "")


def test_validate_writes_nothing_and_quiet_says_nothing(cli: Cli, tables: Path) -> None:
    before = sorted(tables.iterdir())
    assert cli("validate", "train.csv", "--quiet") == Outcome(0, b"", "")
    assert sorted(tables.iterdir()) == before


def test_every_table_is_checked_and_one_bad_one_fails(cli: Cli) -> None:
    Path("bad.csv").write_text("a,label\n")
    outcome = cli("validate", "bad.csv", "train.csv", "nothing-like-it")
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        "error: bad.csv has a header and no rows",
        "error: nothing-like-it does not exist",
    ]
    assert "train.csv: 60 rows" in outcome.out


@pytest.mark.slow
def test_what_validate_accepts_score_accepts(cli: Cli, quick: tuple[str, ...]) -> None:
    table = pd.read_csv("train.csv").assign(label=range(60))
    table.to_csv("numbers.csv", index=False)
    outcome = cli("validate", "numbers.csv", "--exclude", "age", "--id", "customer", "--set", "loss=absolute")
    assert outcome.code == 0
    assert "numbers.csv: 60 rows, 4 columns; regression, 1 encoded feature\n" in outcome.out
    assert "age                         excluded\n" in outcome.out
    run = cli("score", "numbers.csv", "--exclude", "age", "--id", "customer", "--set", "loss=absolute", *quick)
    assert run.code == 0


def test_wide_and_hostile_column_names_do_not_break_the_table(cli: Cli) -> None:
    table = frame().rename(columns={"size": "大きさ" * 9, "age": "\x1b[31mage"})
    table.to_csv("train.csv", index=False)
    lines = cli("validate", "train.csv").out.splitlines()
    wide = next(line for line in lines if line.startswith("大"))
    assert wide == "大きさ" * 4 + " …  feature   number"
    assert "\\x1b[31mage                 feature   number" in lines


def test_presets_are_listed_default_first(cli: Cli) -> None:
    outcome = cli("presets")
    assert outcome.code == 0
    assert outcome.err == ""
    names = [line.split()[0] for line in outcome.out.splitlines() if not line.startswith(" ")]
    assert names == preset_names()
    assert names[0] == "default"
    assert max(map(len, outcome.out.splitlines())) <= 80


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_in_full_is_a_config_that_means_the_same(name: str, cli: Cli) -> None:
    outcome = cli("presets", name)
    assert outcome.code == 0
    assert set(tomllib.loads(outcome.out)) <= set(Settings.knobs())
    assert all(f"\n# {knob.why}" in outcome.out for key, knob in Settings.knobs().items() if key != "preset")
    Path("mine.toml").write_text(outcome.out)
    assert Settings.resolve(config="mine.toml").as_dict() == Settings.resolve(name).as_dict() | {"preset": "default"}


def test_an_unknown_preset_is_answered_with_the_nearest(cli: Cli) -> None:
    assert cli("presets", "fats") == Outcome(2, b"", "error: preset 'fats' is unknown: did you mean fast?\n")


@pytest.mark.slow
def test_a_written_file_of_columns_is_taken_back_unchanged(cli: Cli, tables: Path) -> None:
    table = frame().assign(when=[f"{day % 28 + 1:02}/03/2024" for day in range(60)], colour=["red", "blue"] * 30)
    table.assign(same=1, weight=2, patient=table["age"] // 9).to_csv("train.csv", index=False)
    special = ("--weight", "weight", "--group", "patient", "--category", "age")
    assert cli("validate", "train.csv", *special, "--write-columns", "columns.toml", "-q").code == 0
    text = Path("columns.toml").read_text()
    assert text.startswith("# Columns of train.csv, as lossval reads them. ")
    assert tomllib.loads(text)["columns"] == {
        "customer": {"role": "id"},
        "size": {"role": "feature", "type": "number"},
        "age": {"role": "feature", "type": "category"},
        "label": {"role": "label"},
        "when": {"role": "feature", "type": "date"},
        "colour": {"role": "feature", "type": "category"},
        "same": {"role": "feature"},
        "weight": {"role": "weight"},
        "patient": {"role": "group"},
    }
    plain = cli("validate", "train.csv", *special).out
    again = cli("validate", "train.csv", "--config", "columns.toml").out
    head = plain.index("\ncolumn "), plain.index("\n\n", plain.index("\ncolumn "))
    assert again[: head[1]] == plain[: head[1]]
    Path("columns.toml").write_text(text.replace('size = { role = "feature", type = "number" }', 'size = "exclude"'))
    assert "\nsize                        excluded\n" in cli("validate", "train.csv", "--config", "columns.toml").out
    assert cli("validate", "train.csv", "--write-columns", "columns.toml", "-q").code == 2, "it is not overwritten"
    (tables / "pyproject.toml").write_text('[tool.lossval.columns]\nage = "id"\n')
    assert "\nage                         id\n" in cli("validate", "train.csv").out


@pytest.mark.slow
def test_roles_by_option(cli: Cli) -> None:
    out = cli("validate", "train.csv", "--feature", "customer", "--exclude", "age").out
    assert "\ncustomer                    feature   text" in out
    outcome = cli("validate", "train.csv", "--feature", "size", "--exclude", "size")
    assert outcome.err == "error: column size is given both as --exclude and as --feature\n"
