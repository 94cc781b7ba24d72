"""The README shows what the command shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lossval_cli.settings import Settings, preset_names, preset_path, read_toml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def lossval(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lossval_cli", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def test_help_in_the_readme_is_the_commands_own() -> None:
    block = re.search(r"<!-- help.*?-->\n```text\n(.*?)```", README, re.DOTALL)
    assert block is not None
    shown = lossval("--help").stdout
    assert block[1].strip() == shown.strip(), "paste the output of `lossval --help` into README.md"


def test_what_the_readme_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_preset_loads_and_begins_with_the_command_that_runs_it() -> None:
    assert {"default", "paper", "fast", "thorough"} <= set(preset_names())
    for path in ROOT.glob("configs/**/*.toml"):
        assert path == preset_path(path.stem)
        assert path.read_text(encoding="utf-8").startswith("# lossval score ")
        settings = Settings.resolve(path.stem)
        for key, value in read_toml(path).items():
            assert getattr(settings, key) == value


@pytest.mark.parametrize("example", re.findall(r"^lossval (score .*|validate .*)$", README, re.MULTILINE))
def test_commands_of_the_readme_run(example: str, tmp_path: Path) -> None:
    """On an extract of the example, by its names in the README, with few epochs."""
    for name, source in (("data.csv", "wine.csv"), ("val.csv", "wine_val.csv")):
        lines = (ROOT / "examples" / source).read_text(encoding="utf-8").splitlines()[:300]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    quick = ["--set", "epochs=2", "--removal", "off"] if example.startswith("score") else []
    done = lossval(*example.split(), *quick, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if quick:
        assert (tmp_path / "data.lossval" / "scores.csv").is_file()


def test_the_demo_finds_most_of_what_it_flags(tmp_path: Path) -> None:
    done = lossval("demo", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = re.search(r"among\s+(\d+) suspects\s+(\d+)", done.stdout)
    assert found is not None
    assert int(found[2]) > 0.6 * int(found[1]) > 60
    lowest = re.search(r"in the lowest\s+300 rows\s+(\d+)", done.stdout)
    assert lowest is not None
    assert int(lowest[1]) > 150  # 45 by chance
