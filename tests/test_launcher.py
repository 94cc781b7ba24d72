"""Processes that find each other, or say in one line why they do not; and what a process group that exists already is
used for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
from conftest import LOSSVAL, PYTHON, QUICK, Outcome, frame
from scipy.stats import spearmanr

import lossval_cli
from lossval_cli.errors import DistributedError
from lossval_cli.runtime import distributed
from lossval_cli.runtime.launcher import interface_towards, is_assistant, read_launch

ROOT = Path(lossval_cli.__file__).parents[1]
VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set these variables of a launcher, and no others."""

    def become(given: str) -> None:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in (pair.split("=") for pair in given.split()):
            monkeypatch.setenv(name, value)

    return become


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("RANK=1", "RANK is 1 but WORLD_SIZE is not set"),
        ("WORLD_SIZE=2", "WORLD_SIZE is 2 but RANK is not set"),
        ("RANK= WORLD_SIZE=2", "WORLD_SIZE is 2 but RANK is not set"),
        ("RANK=2 WORLD_SIZE=2", "RANK is 2, but must be from 0 to 1, as WORLD_SIZE is 2"),
        ("RANK=-1 WORLD_SIZE=2", "RANK is -1, but must be from 0 to 1"),
        ("RANK=0 WORLD_SIZE=0", "WORLD_SIZE is 0, but must be at least 1"),
        ("RANK=first WORLD_SIZE=2", "RANK is 'first', but must be a whole number"),
        ("RANK=0 WORLD_SIZE=2", "WORLD_SIZE is 2 but MASTER_ADDR is not set"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=node0", "WORLD_SIZE is 2 but MASTER_PORT is not set"),
        (
            "RANK=0 WORLD_SIZE=2 MASTER_ADDR=node0 MASTER_PORT=70000",
            "MASTER_PORT is 70000, but must be from 1 to 65535",
        ),
    ],
)
def test_a_wrong_launch_is_one_line(
    launch: Callable[[str], None], cli: Callable[..., Outcome], given: str, message: str
) -> None:
    """Going on alone, each process would do the work of all and write over the others' results."""
    launch(given)
    for command in (["score", "train.csv"], ["check", "train.csv", "--val", "val.csv"]):
        outcome = cli(*command)
        assert outcome.code == 2 and outcome.out == ""
        assert outcome.err.startswith(f"error: {message}") and outcome.err.count("\n") == 1
    assert not Path("train.lossval").exists()


def test_one_process_needs_nobody(launch: Callable[[str], None]) -> None:
    for given in ("", "WORLD_SIZE=1", "RANK=0 WORLD_SIZE=1"):
        launch(given)
        assert read_launch() is None and not is_assistant()
        with distributed.joined() as group:
            assert group is distributed.SINGLE_PROCESS
    launch("RANK=1 WORLD_SIZE=2 MASTER_ADDR=node0 MASTER_PORT=1234")
    assert read_launch() == (1, 2, "node0", 1234) and is_assistant()


def test_messages_take_the_network_in_which_the_first_process_is() -> None:
    """Not that of the name of this machine, which may be its loopback."""
    assert interface_towards("127.0.0.1", 1234) is None and interface_towards("nobody.invalid", 1234) is None
    for name, addresses in psutil.net_if_addrs().items():
        for own in (one.address for one in addresses if one.family == socket.AF_INET):
            assert interface_towards(own, 1234) == (None if own.startswith("127.") else name)


@pytest.mark.slow
@pytest.mark.parametrize("address", ["127.0.0.1", "nobody.invalid"])
def test_waiting_for_others_has_an_end(
    launch: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    launch(f"RANK=1 WORLD_SIZE=2 MASTER_ADDR={address} MASTER_PORT={free_port()}")
    monkeypatch.setattr(distributed, "JOIN_SECONDS", 0.4)
    monkeypatch.setattr(distributed, "PATIENCE", 0.1)
    lines: list[str] = []
    message = rf"^process 1 of 2 waited 0 s for the others at {address}:\d+ \(MASTER_ADDR, MASTER_PORT\): start all 2"
    with pytest.raises(DistributedError, match=message):
        distributed.joined(lines.append).__enter__()
    assert len(lines) == 1 and lines[0].startswith(f"process 1 of 2 waits for the others at {address}:")


def test_an_address_in_use_is_one_line(launch: Callable[[str], None]) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        launch(f"RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT={taken.getsockname()[1]}")
        message = r"^process 0 of 2 cannot meet the others at 127.0.0.1:.*address already in use$"
        with pytest.raises(DistributedError, match=message):
            distributed.joined().__enter__()


AROUND = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "PYTHONPATH": str(ROOT)}
SCORE = ["score", "train.csv", "--val", "val.csv", *QUICK]


def start(command: list[str], rank: int, port: str) -> subprocess.Popen[str]:
    """Process `rank` of two."""
    around = AROUND | {"RANK": str(rank), "MASTER_PORT": port}
    return subprocess.Popen(command, env=around, stderr=subprocess.PIPE, text=True)


IMPATIENT = """
import sys
from lossval_cli.cli import main
from lossval_cli.runtime import distributed

distributed.PATIENCE = 0.1
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("fork_server", "tables")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_waiting_for_a_process_that_does_not_come_can_be_interrupted(number: signal.Signals) -> None:
    with start([*PYTHON, "-c", IMPATIENT, *SCORE], 1, free_port()) as one:
        assert one.stderr is not None
        assert one.stderr.readline().startswith("process 1 of 2 waits for the others at ")
        one.send_signal(number)
        said = one.communicate()[1]
    assert one.returncode == 130 and said == "interrupted\n"


HANGING = """
import os, signal, sys
from lossval_cli.cli import main
from lossval_cli.runtime.stop import TrainingMonitor

end_epoch = TrainingMonitor.end_epoch

def hang(self, epoch, *rest):
    if epoch == 3:
        print("hangs", os.getpid(), file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
    return end_epoch(self, epoch, *rest)

TrainingMonitor.end_epoch = hang
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("fork_server", "tables")
def test_waiting_for_a_process_that_hangs_can_be_interrupted() -> None:
    """Nothing is written, and the other one ends when it wakes up."""
    port = free_port()
    endless = [*SCORE, "--set", "epochs=100000", "--time-limit", "10h"]
    other = start([*PYTHON, "-c", HANGING, *endless], 1, port)
    one = start([*LOSSVAL, *endless], 0, port)
    try:
        assert other.stderr is not None
        while not (line := other.stderr.readline()).startswith("hangs"):
            assert line, "it ended before it trained"
        one.send_signal(signal.SIGINT)
        said = one.communicate()[1]
        os.kill(int(line.split()[1]), signal.SIGCONT)
        other_said = other.communicate()[1]
    finally:
        one.kill()
        other.kill()
    assert one.returncode == 130 and "interrupted, or ended because another process" in said.splitlines()[-1]
    assert other.returncode == 2 and other_said.startswith("error: another process of this run has ended")
    assert not Path("train.lossval").exists()


GROUP = """
import torch.distributed as dist
import lossval_cli
from lossval_cli.cli import main

dist.init_process_group("gloo")
rank = dist.get_rank()
options = {"val": "val.csv", "effort": "low", "epochs": 2, "removal": "off"}
result = lossval_cli.score("train.csv", **options)
assert (result is None) == (rank > 0)
if rank == 0:
    result.scores.to_parquet("together.parquet")
else:
    lossval_cli.score("train.csv", **options, distributed=False).scores.to_parquet("alone.parquet")
line = "score train.csv --val val.csv --effort low --set epochs=2 --removal off -q -o run"
assert main(line.split()) == 0
try:
    lossval_cli.score("train.csv", label="nothing")
except lossval_cli.LossvalError as error:
    print(type(error).__name__, flush=True)
assert dist.get_world_size() == 2
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.usefixtures("fork_server", "tables")
def test_a_process_group_that_exists_is_used_and_stays(rendezvous: dict[str, str]) -> None:
    """By the function and by the command; the first process returns the result and writes, the others return None. One
    that is not to take part scores alone."""
    frame(300).to_csv("train.csv", index=False)
    around = AROUND | rendezvous | {"OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(
            [*PYTHON, "-c", GROUP],
            env=around | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in both:
        out, err = process.communicate()
        assert (process.returncode, out) == (0, "SchemaError\n"), err
    files = (pd.read_parquet("together.parquet"), pd.read_parquet("alone.parquet"), pd.read_csv("run/scores.csv"))
    together, alone, command = (scores.set_index("row").sort_index()["importance"] for scores in files)
    assert spearmanr(together, alone).statistic > 0.99
    assert spearmanr(together, command).statistic > 0.9999
