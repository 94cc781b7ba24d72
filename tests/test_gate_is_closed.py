"""A gate that cannot do its work never passes: no lost limit, no lost reader, no rows matched by accident."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import LOSSVAL, QUICK, Outcome, frame

import lossval_cli
from lossval_cli.checks.evaluate import Interval, Metric, Values, evaluate
from lossval_cli.checks.rules import rules_of
from lossval_cli.errors import ReadError
from lossval_cli.runtime.checkpoint import CheckpointFile
from lossval_cli.text.escape import shell_word

pytestmark = pytest.mark.usefixtures("valued_once")

Cli = Callable[..., Outcome]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(lossval_cli.__file__).parent.parent), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def run(scored: Callable[..., None]) -> str:
    """A run directory of train.csv."""
    scored("train.csv", "--val", "val.csv", *QUICK, "-q")
    return "train.lossval"


@pytest.mark.usefixtures("fork_server")
@pytest.mark.parametrize("form", ["text", "json", "sarif"])
def test_a_failed_gate_whose_reader_has_gone_still_fails(form: str, run: str) -> None:
    command = [*LOSSVAL, "check", run, "--max-suspects", "0", "--output-format", form]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=ENVIRONMENT, check=False, text=True)
    finally:
        os.close(writer)
    assert done.returncode == 1
    assert done.stderr == "error: train.csv failed 1 of 1 rule: max_suspects\n"


@pytest.mark.parametrize("option", ["--max-suspects", "--baseline", "--max-class-suspects", "--thresholds"])
def test_an_empty_option_is_refused(option: str, cli: Cli, run: str) -> None:
    outcome = cli("check", run, option, "")
    assert outcome == Outcome(2, b"", f"error: {option} is empty: give it a value, or leave it out\n")


def test_a_limit_given_twice_is_refused_and_another_option_reported(cli: Cli, run: str) -> None:
    outcome = cli("check", run, "--max-suspects", "1", "--max-suspects", "100%")
    assert outcome == Outcome(2, b"", "error: --max-suspects is given 2 times: give it once\n")
    twice = ("--max-class-suspects", "yes=1%", "--max-class-suspects", "yes=90%")
    assert cli("check", run, *twice).err == "error: --max-class-suspects 'yes' is given more than once\n"
    outcome = cli("validate", "train.csv", "--label", "size", "--label", "label")
    assert outcome.code == 0
    assert outcome.err == "--label is given 2 times: the last value counts (label)\n"


@pytest.mark.parametrize(
    ("rule", "limit", "message"),
    [
        ("max_suspects", "150%", "must be a share from 0% to 100%, not '150%'"),
        ("max_noise_share", "1", "is ambiguous: '1' may mean 1% or 100%; write the % sign"),
        ("max_suspect_increase", "1.0", "is ambiguous: '1.0' may mean 1% or 100%; write the % sign"),
        ("min_metric", "accuracy=120%", "must be a share from 0% to 100%, not '120%'"),
    ],
)
def test_limits_that_nothing_could_break_are_refused(rule: str, limit: str, message: str) -> None:
    _, problems = rules_of({rule: limit}, option=True)
    assert problems == [f"--{rule.replace('_', '-')} {message}"]


def test_one_output_file_under_two_spellings_is_refused(cli: Cli, run: str) -> None:
    Path("link.json").symlink_to("out.json")
    Path("sub").mkdir()
    for other in ("./out.json", "sub/../out.json", str(Path("out.json").absolute())):
        forms = ("--output-format", "json", "--output-format", "text")
        outcome = cli("check", run, *forms, "--output-file", "out.json", "--output-file", other)
        assert outcome.code == 2
        assert "two formats cannot go to one file" in outcome.err
        assert not Path("out.json").exists()


def test_figures_have_digits_enough_to_differ_from_their_limit() -> None:
    def text(values: Values, **limits: object) -> str:
        rules, problems = rules_of(limits, option=True)
        assert not problems
        (found,) = evaluate(rules, values)
        return f"{found.outcome}: {found.text}"

    counts = {"label": 5_004, "features": 0, "label+features": 0}
    assert text(Values(100_000, counts), max_suspects="5%") == "failed: 5,004 of 100,000 rows (5.004%)"
    assert text(Values(100_000, counts), max_suspects="6%") == "passed: 5,004 of 100,000 rows (5%)"
    share = Interval(0.12, 0.100001, 0.2)
    assert "failed: 10.0001% (lower end" in text(Values(100, noise_share=share), max_noise_share="10%")
    accuracy = Metric("accuracy", 0.7999996, True, None)
    assert text(Values(100, metric=accuracy), min_metric={"accuracy": "0.8"}) == "failed: 0.7999996"
    exact = Metric("accuracy", 0.8, True, None)
    assert text(Values(100, metric=exact), min_metric={"accuracy": "0.8"}) == "passed: 0.8"


def test_known_rows_that_changed_are_counted_and_checked(cli: Cli, run: str) -> None:
    table = frame()
    table["label"] = table["label"].map({"yes": "no", "no": "yes"}).where(table.index < 20, table["label"])
    table.to_csv("train.csv", index=False)
    new_only = ("--baseline", run, "--new-rows-only", "--max-suspects", "100%")
    outcome = cli("check", "train.csv", "--val", "val.csv", *QUICK, *new_only)
    assert outcome.code == 0, outcome.err
    assert "note: 0 of 60 rows are new, 20 known rows changed (20 labels, features of 0" in outcome.out
    assert " of 20 rows (" in outcome.out


@pytest.mark.parametrize("seed", range(3))
def test_one_flipped_byte_in_a_checkpoint_is_refused(seed: int, tmp_path: Path) -> None:
    path = tmp_path / ".run.checkpoint"
    checkpoint = CheckpointFile(path, {"settings": {"epochs": 3}})
    tensors = {"weights": torch.arange(60.0), "half": torch.ones(7, dtype=torch.bfloat16), "step": torch.tensor(3)}
    checkpoint.save(tensors, {"epoch": 2})
    loaded = checkpoint.load()
    assert loaded is not None
    assert loaded[1] == {"epoch": 2}
    assert all(torch.equal(loaded[0][name], tensor) for name, tensor in tensors.items())
    whole = path.read_bytes()
    generator = torch.Generator().manual_seed(seed)
    for i in torch.randint(len(whole), (40,), generator=generator).tolist():
        damaged = bytearray(whole)
        damaged[i] ^= 1 << (i % 8)
        path.write_bytes(bytes(damaged))
        with pytest.raises(ReadError, match="is damaged or not a checkpoint"):
            checkpoint.load()
        with pytest.raises(ReadError, match="is damaged or not a checkpoint"):
            checkpoint.progress()


@pytest.mark.slow
def test_a_closed_standard_input_is_one_line(tables: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m lossval_cli validate - <&-'],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: standard input is closed: give a file, or pipe a table in\n"


@pytest.mark.parametrize(
    "name", ["plain.csv", "two words.csv", "it's.csv", "$HOME.csv", "a\nb.csv", "-x.csv", "caf\udce9 \x1b.csv", "##[x]"]
)
def test_an_advised_path_is_read_back_by_the_shell_as_it_is(name: str) -> None:
    word = shell_word(name)
    assert word.isprintable()
    assert "##[" not in word
    shown = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout
    expected = f"./{name}" if name.startswith("-") else name
    assert shown == expected.encode("utf-8", "surrogateescape")


def test_the_action_reads_every_line_of_its_arguments() -> None:
    text = (Path(__file__).parent.parent / "action.yml").read_text(encoding="utf-8")
    line = next(line.strip() for line in text.splitlines() if line.strip().startswith("read "))
    script = f'{line}\nprintf "%s|" "${{more[@]}}"'
    arguments = "--label price\n  --max-suspects 5%:3%\n\n--max-leakage 0 $(touch x) *\n"
    done = subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, env=os.environ | {"ARGS": arguments}, check=True
    )
    assert done.stdout.split("|")[:-1] == arguments.split()


def test_drops_of_which_one_makes_another_pointless_are_refused(cli: Cli, run: str) -> None:
    outcome = cli("clean", run, "-o", "c.csv", "--drop", "suspects", "--drop", "label")
    assert outcome.err == "error: --drop suspects already leaves out the rows of --drop label: give one of them\n"
    outcome = cli("clean", run, "-o", "c.csv", "--drop", "lowest:5%", "--drop", "lowest:9")
    assert outcome.err == "error: --drop lowest is given 2 times: give it once\n"
    Path("l.csv").symlink_to("c.csv")
    outcome = cli("clean", run, "-o", "c.csv", "--removed", "l.csv", "--drop", "label")
    assert outcome.err == "error: -o and --removed name the same file: give each its own\n"
