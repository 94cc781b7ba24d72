"""Help, version, and command lines that make no sense."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from conftest import LOSSVAL, Outcome

from lossval_cli.cli.app import app
from lossval_cli.version import __version__

VERBS = [command.callback.__name__ for command in app.registered_commands if command.callback]


def test_alone_it_prints_help(cli: Callable[..., Outcome]) -> None:
    alone, asked = cli(), cli("--help")
    assert alone == asked
    assert alone.code == 0
    assert alone.err == ""
    for verb in VERBS:
        assert f"\n  {verb} " in alone.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help_with_examples_within_80_columns(verb: str, cli: Callable[..., Outcome]) -> None:
    outcome = cli(verb, "--help")
    assert outcome.code == 0
    assert outcome.err == ""
    assert f"Usage: lossval {verb}" in outcome.out
    assert f"Examples:\n    lossval {verb}" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert cli(verb, "-h").out == outcome.out


def test_every_option_of_the_design_is_there(cli: Callable[..., Outcome]) -> None:
    text = cli("score", "--help").out
    wanted = (
        "--val --test --label --id --exclude --task --val-fraction --preset --config --set --device --seed "
        "--threads --metric --removal --output --format --force --quiet --progress --columns --sort --top "
        "--safe-csv --redact"
    )
    assert not [option for option in wanted.split() if not re.search(rf"{option}\b", text)]


def test_version(cli: Callable[..., Outcome]) -> None:
    assert cli("--version") == Outcome(0, f"lossval {__version__}\n".encode(), "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scor", "x"], "unknown command 'scor': did you mean score?"),
        (["score", "x", "--vall", "y"], "unknown option '--vall': did you mean --val?"),
        (["score", "x", "--loss", "own:loss"], "unknown option '--loss': it is a setting, --set loss=VALUE"),
        (["diff", "x", "y", "--loss", "own:loss"], "unknown option '--loss': see --help"),
        (["--nonsense"], "unknown option '--nonsense': see --help"),
        (["score"], "Missing argument 'TRAIN'"),
    ],
)
def test_a_line_that_makes_no_sense(arguments: list[str], message: str, cli: Callable[..., Outcome]) -> None:
    assert cli(*arguments) == Outcome(2, b"", f"error: {message}\n")


def test_an_unknown_command_lists_the_known_ones(cli: Callable[..., Outcome]) -> None:
    outcome = cli("zzz")
    assert outcome.code == 2
    assert outcome.err.startswith("error: unknown command 'zzz': commands are score, validate, ")


def test_bad_values_of_options_are_one_line(cli: Callable[..., Outcome]) -> None:
    for arguments in (["--format", "xml"], ["--top", "0"], ["--top", "many"], ["--sort"]):
        outcome = cli("score", "train.csv", *arguments)
        assert outcome.code == 2
        assert re.fullmatch(r"error: .*\n", outcome.err)


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lossval_cli", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"lossval {__version__}\n", "")


@pytest.mark.usefixtures("fork_server")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "word", "offered"), [("lossval sc", 1, "score"), ("lossval score x --safe", 3, "--safe-csv")]
)
def test_shells_get_completions(shell: str, line: str, word: int, offered: str) -> None:
    """In the words that the scripts of --install-completion ask with."""
    environment = os.environ | {
        "_LOSSVAL_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(word),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(LOSSVAL, capture_output=True, text=True, check=False, env=environment)
    assert re.findall(r"(?<![\w-])(?:--)?[a-z][\w-]*", done.stdout.replace("_arguments", ""))[0] == offered


@pytest.mark.usefixtures("fork_server")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_for_lossval(shell: str) -> None:
    environment = os.environ | {"_LOSSVAL_COMPLETE": f"source_{shell}"}
    done = subprocess.run(LOSSVAL, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_LOSSVAL_COMPLETE=complete_{shell}" in done.stdout
    assert "lossval" in done.stdout.replace("_LOSSVAL", "")


def test_an_unexpected_failure_is_one_line(cli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("lossval_cli.cli.score.check_one_stdin", fail)
    assert cli("score", "train.csv") == Outcome(
        2,
        b"",
        "internal error: RuntimeError: first line (please report it; LOSSVAL_DEBUG=1 shows the traceback)\n",
    )
    monkeypatch.setenv("LOSSVAL_DEBUG", "1")
    assert "Traceback (most recent call last)" in cli("score", "train.csv").err
