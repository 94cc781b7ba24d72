"""The presets, and the demo that the README begins with."""

from __future__ import annotations

from pathlib import Path

from lossval_cli.presets import preset_names, preset_path, read_toml
from lossval_cli.settings import Settings

ROOT = Path(__file__).parents[1]


def test_every_preset_loads_and_begins_with_the_command_that_runs_it() -> None:
    assert {"default", "paper", "fast", "thorough"} <= set(preset_names())
    for path in ROOT.glob("configs/**/*.toml"):
        assert path == preset_path(path.stem)
        assert path.read_text(encoding="utf-8").startswith("# lossval score ")
        settings = Settings.resolve(path.stem)
        for key, value in read_toml(path).items():
            assert getattr(settings, key) == value
