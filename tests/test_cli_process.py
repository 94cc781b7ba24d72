"""`lossval` as a process among others: pipes that close, full disks, signals."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import LOSSVAL, frame

import lossval_cli

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fork_server")]

NOTICES = "label|column |task|no --val: |train.csv: .* are copies"
"""How lines begin that are no warning of a library."""

QUICK = ["--set", "epochs=2", "--effort", "low", "--removal", "off"]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(Path(lossval_cli.__file__).parent.parent),
    "OMP_NUM_THREADS": "1",
}


def start(*arguments: str, stdout: Any = subprocess.DEVNULL) -> Any:
    return subprocess.Popen(
        [*LOSSVAL, *arguments],
        env=ENVIRONMENT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=heed_signals,
    )


def heed_signals() -> None:
    """In the child, before the command: a shell in the background passes SIGINT on as ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def many_rows(tables: Path) -> None:
    """More scores than a pipe holds."""
    frame(1_500).to_csv("train.csv", index=False)


@pytest.mark.parametrize("output", ["-", None], ids=["scores", "summary"])
def test_a_closed_pipe_ends_quietly(output: str | None) -> None:
    to = [] if output is None else ["-o", output]
    with start("score", "train.csv", *QUICK, *to, stdout=subprocess.PIPE) as running:
        if output == "-":
            assert running.stdout.readline().startswith(b"rank,row,line")
        running.stdout.close()
        notices = running.stderr.read().decode().splitlines()
    assert running.returncode == 0
    assert [line for line in notices if not re.match(NOTICES, line)] == []
    assert os.path.isdir("train.lossval") == (output is None)


def test_a_pipeline_of_the_shell() -> None:
    """In through a pipe, out through a pipe, and everything that may be asked of what comes out."""
    lossval = shlex.join(LOSSVAL)
    asked = f"{shlex.join(QUICK)} -o - --columns row,rank,label --sort best --top 5 --progress json"
    line = f"cat train.csv | {lossval} score - --val val.csv {asked} 2> events | head -n 3"
    done = subprocess.run(["bash", "-c", line], env=ENVIRONMENT, capture_output=True, check=True)
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "row,rank,label"
    assert [row.split(",")[1] for row in lines[1:]] == ["1500", "1499"]
    events = [json.loads(line) for line in Path("events").read_text().splitlines()]
    assert [event["name"] for event in events if event["event"] == "stage"][-1] == "write"
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == [1, 2]
    line = f"{lossval} score train.csv --val val.csv {asked} --format jsonl --sort original -q | tail -n 1"
    done = subprocess.run(["bash", "-c", line], env=ENVIRONMENT, capture_output=True, check=True)
    assert json.loads(done.stdout)["row"] == 4
    assert done.stderr == b""


def test_a_closed_standard_error_stops_nothing() -> None:
    with start("score", "train.csv", *QUICK, stdout=subprocess.DEVNULL) as running:
        running.stderr.close()
    assert running.returncode == 0
    assert os.path.exists("train.lossval/run.json")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("output", ["-", "out"])
def test_a_full_disk_behind_standard_output_is_an_error(output: str) -> None:
    with (
        open("/dev/full", "wb") as full,
        start("score", "train.csv", *QUICK, "-o", output, stdout=full) as running,
    ):
        last = running.stderr.read().decode().splitlines()[-1]
    assert running.returncode == 2
    assert last == "error: standard output: no space left on device"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_training_leaves_nothing_behind(number: signal.Signals) -> None:
    before = sorted(os.listdir())
    with start("score", "train.csv", "--set", "epochs=100000", "--progress", "json") as running:
        for line in running.stderr:
            if json.loads(line)["event"] == "epoch":
                break
        running.send_signal(number)
        last = running.stderr.read().decode().splitlines()[-1]
    assert last == "interrupted"
    assert running.returncode == 130
    assert sorted(os.listdir()) == before


def test_the_exit_code_does_not_wait_for_the_teardown_of_libraries() -> None:
    """A thread of Arrow that held bytes when the interpreter went ended half of the errors by SIGABRT."""
    code = "import atexit, os; atexit.register(os.abort); from lossval_cli.__main__ import run; run()"
    for arguments, expected in ((["presets"], 0), (["validate", "missing.csv"], 2)):
        done = subprocess.run([sys.executable, "-c", code, *arguments], env=ENVIRONMENT, capture_output=True)
        assert done.returncode == expected
        assert done.stdout.startswith(b"default") if expected == 0 else b"missing.csv" in done.stderr
