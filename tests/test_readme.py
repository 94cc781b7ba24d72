"""The presets, and the demo that the README begins with."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from conftest import Outcome

from lossval_cli.cli import demo
from lossval_cli.cli.options import Removal
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


@pytest.mark.slow
def test_the_demo_finds_most_of_what_it_flags(
    cli: Callable[..., Outcome], tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fewer epochs and no study of removal: the tutorial is run as it stands (tests/project)."""
    (tables / "pyproject.toml").write_text('[tool.lossval]\neffort = "low"\n')
    monkeypatch.setattr(demo, "score", partial(demo.score, removal=Removal.off))
    done = cli("demo", "--quiet")
    assert done.code == 0, done.err
    found = re.search(r"among\s+(\d+) suspects\s+(\d+)", done.out)
    assert found is not None
    assert int(found[2]) > 0.6 * int(found[1]) > 60
    lowest = re.search(r"in the lowest\s+300 rows\s+(\d+)", done.out)
    assert lowest is not None
    assert int(lowest[1]) > 150  # 45 by chance
