"""Options that several commands share stand once, and reach the settings and the reading of tables by name."""

from __future__ import annotations

import dataclasses

import typer

from lossval_cli.cli.app import app
from lossval_cli.cli.run_options import RunOptions, RuntimeOptions
from lossval_cli.features.table_options import TableOptions


def test_every_option_of_reading_tables_is_an_option_of_the_four_commands() -> None:
    names = {field.name for field in dataclasses.fields(TableOptions)} - {"columns"}  # a table of the settings file
    assert names <= {field.name for field in dataclasses.fields(RunOptions)}
    group = typer.main.get_command(app)
    training = {"predictions", "val_predictions"}  # validate trains nothing, calibrate on noise that nobody predicted
    for verb, wanted in {
        "score": names,
        "check": names,
        "calibrate": names - training,
        "validate": names - training,
    }.items():
        assert wanted <= {parameter.name for parameter in group.commands[verb].params}, verb  # type: ignore[attr-defined]


def test_options_reach_settings_and_tables_by_their_name() -> None:
    options = RunOptions(label="price", ids=["customer"], seed="7", assignments=["epochs=3"])
    assert options.tables() == TableOptions(label="price", ids=["customer"])
    settings = options.settings()
    assert (settings.seed, settings.epochs) == (7, 3)
    assert "# --seed" in options.settings_toml()
    assert "# --set" in options.settings_toml()


def test_given_options_are_spelled_as_users_write_them() -> None:
    assert RunOptions(val_fraction="0.3", ids=["a"]).given() == {"val_fraction": "0.3", "ids": ["a"]}
    assert [RunOptions.spelling(name) for name in ("ids", "val_fraction", "assignments")] == [
        "--id",
        "--val-fraction",
        "--set",
    ]
    assert RuntimeOptions.spelling("quiet") == "--quiet"
