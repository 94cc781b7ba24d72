"""What other repositories take from this one says commands that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

from lossval_cli.checks.evaluate import KINDS_OF_RULE
from lossval_cli.checks.formats import FORMATS

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
ACTION = (ROOT / "action.yml").read_text(encoding="utf-8")
HOOKS = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")

CHECKS = re.findall(r"lossval check ((?:[^\n`]|\n {6}(?=--))*)", GUIDE)


@pytest.mark.parametrize("line", [line for line in CHECKS if "--" in line])
def test_checks_of_the_guide_are_understood(line: str, cli: Callable[..., Outcome]) -> None:
    outcome = cli("check", *shlex.split(line), "--show-settings")
    assert outcome.code == 0, outcome.err
    assert "max_suspects = " in outcome.out


def test_the_table_of_the_guide_is_understood(cli: Callable[..., Outcome]) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    Path("rules.toml").write_text(block)
    outcome = cli("check", "train.csv", "--config", "rules.toml", "--show-settings")
    assert outcome.code == 0, outcome.err
    assert 'max_suspects = "5%:3%"' in outcome.out


def test_the_guide_knows_every_rule_and_format() -> None:
    for kind in KINDS_OF_RULE:
        assert "--" + kind.replace("_", "-") in GUIDE
    for form in FORMATS:
        assert f"| `{form}` |" in GUIDE


def test_inputs_of_the_action_never_stand_in_a_script() -> None:
    scripts = re.findall(r"run: \|\n((?: {8}.*\n)+)", ACTION)
    assert len(scripts) == 2
    assert not [script for script in scripts if "${{" in script]


def test_hooks_name_commands_that_exist(cli: Callable[..., Outcome]) -> None:
    entries = re.findall(r"entry: lossval (\w+)(.*)", HOOKS)
    assert [verb for verb, _ in entries] == ["validate", "check"]
    for verb, options in entries:
        assert all(option in cli(verb, "--help").out for option in options.split())
