"""Two processes started by torchrun: the same ranking and verdict as one, and one message when one dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import frame
from scipy.stats import spearmanr

import lossval_cli
from lossval_cli.method.team import Team

LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(Path(lossval_cli.__file__).parent.parent),
    "OMP_NUM_THREADS": "1",
    "TORCHELASTIC_ERROR_FILE": "",
}
SCORE = ["score", "train.parquet", "--val", "val.csv", "--set", "members=4", "--set", "folds=4"]


def start(*arguments: str, processes: bool = True) -> subprocess.Popen[str]:
    launcher = [*LAUNCHER, "-m", "lossval_cli"] if processes else [sys.executable, "-m", "lossval_cli"]
    return subprocess.Popen(
        [*launcher, *arguments], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ours(stderr: str) -> list[str]:
    """What lossval itself says: torchrun has a lot to say of its own."""
    return [
        line for line in stderr.splitlines() if line.startswith(("error:", "internal error:", "interrupted"))
    ]


@pytest.mark.parametrize("rows", [10, 11, 1_000_003])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_every_row_is_with_one_process(rows: int, size: int) -> None:
    parts = [Team(rank, size).own(rows) for rank in range(size)]
    assert parts[0].start == 0 and parts[-1].stop == rows
    assert all(one.stop == other.start for one, other in pairwise(parts))
    assert max(part.stop - part.start for part in parts) - min(part.stop - part.start for part in parts) <= 1


def test_a_team_of_one_needs_nobody() -> None:
    values = torch.arange(3.0)
    assert Team().sum(values) is values and Team().gather(values, 3) is values


@pytest.mark.parametrize("val", ["given", "held out"])
def test_two_processes_rank_as_one(tables: Path, val: str) -> None:
    """The same batches, folds and sums: ranks differ by the order of floating-point additions alone. One
    process writes, the scores of all rows, with the same gate verdict."""
    table = frame(500)
    table.loc[20:60, "label"] = np.where(table.loc[20:60, "size"] > 0, "no", "yes")
    table.to_parquet("train.parquet", index=False)
    command = SCORE if val == "given" else [*SCORE[:2], *SCORE[4:]]
    command = [*command, "--set", "epochs=5", "--removal", "off"]
    with start(*command, "-o", "two") as two, start(*command, "-o", "one", processes=False) as one:
        for running in (two, one):
            said = running.communicate()[1]
            assert running.returncode == 0, said
    one_scores, two_scores = (
        pd.read_parquet(f"{name}/scores.parquet").set_index("row").sort_index() for name in ("one", "two")
    )
    assert spearmanr(one_scores["importance"], two_scores["importance"]).statistic > 0.99
    assert (one_scores["suspect"] == two_scores["suspect"]).mean() > 0.99
    np.testing.assert_allclose(one_scores["label_evidence"], two_scores["label_evidence"], atol=1e-3)
    summaries = [json.loads(Path(f"{name}/report.json").read_text())["summary"] for name in ("one", "two")]
    assert summaries[0]["suspects"] == pytest.approx(summaries[1]["suspects"], abs=1)


def test_what_is_wrong_is_said_once(tables: Path) -> None:
    with start("score", "train.csv", "--label", "nothing") as running:
        said = running.communicate()[1]
    assert running.returncode != 0
    assert len(ours(said)) == 1 and "no such column" in ours(said)[0]


def test_a_process_that_dies_brings_the_run_down(tables: Path) -> None:
    """One clear message, nothing half-written, and `--resume` goes on from the checkpoint, alone."""
    frame(500).to_parquet("train.parquet", index=False)
    before = sorted(os.listdir())
    endless = [*SCORE, "--set", "epochs=100000", "--checkpoint-every", "0.1s", "--removal", "off"]
    with start(*endless) as running:
        for _ in range(2_000):
            if Path(".train.lossval.checkpoint").exists():
                break
            time.sleep(0.02)
        os.kill(victim(running.pid), signal.SIGKILL)
        said = running.communicate()[1]
    assert running.returncode != 0
    assert len(ours(said)) == 1, said
    assert "nothing was written" in ours(said)[0]
    assert sorted(set(os.listdir()) - {".train.lossval.checkpoint"}) == before
    with start(*endless, "--resume", "--time-limit", "4s", processes=False) as running:
        said = running.communicate()[1]
    assert running.returncode == 0, said
    epoch = json.loads(Path("train.lossval/report.json").read_text())["summary"]["stopped_in_epoch"]
    assert epoch > 1
    assert Path(".train.lossval.checkpoint").exists()  # with more time it could go on


def victim(launcher: int) -> int:
    """The process of rank 1."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    for child in children:
        if b"RANK=1\0" in Path(f"/proc/{child}/environ").read_bytes():
            return int(child)
    raise AssertionError(children)
