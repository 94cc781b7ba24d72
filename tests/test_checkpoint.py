"""Training that is saved, ended and gone on with, to the very same scores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import LOSSVAL, PYTHON, Outcome, frame
from test_training import make_problem
from torch import Tensor

import lossval_cli
from lossval_cli.errors import Diverged, TrainingError, UsageError
from lossval_cli.features.dataset import load_dataset
from lossval_cli.losses import find_loss
from lossval_cli.lossval.fit import train
from lossval_cli.lossval.state import Epoch
from lossval_cli.lossval.training import Fit, train_lossval
from lossval_cli.runtime.context import Runtime
from lossval_cli.runtime.stop import Interrupted, TrainingMonitor
from lossval_cli.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fork_server")]

SCORE = ["score", "train.csv", "--val", "val.csv", "--effort", "low", "--removal", "off"]
TRAINING = ["--set", "epochs=40", "--set", "batch_size=32", "--checkpoint-every", "0.1s"]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(Path(lossval_cli.__file__).parent.parent),
    "OMP_NUM_THREADS": "1",
}
LEFT = Path(".train.lossval.checkpoint")


class Shelf:
    """Keeps what is saved, and interrupts after so many times."""

    def __init__(self, watch_after: int | None = None) -> None:
        self.saved: tuple[Mapping[str, Tensor], Mapping[str, Any]] | None = None
        self.times, self.after = 0, watch_after
        self.monitor = TrainingMonitor(self, every=0.0, resume=True)

    def load(self) -> Any:
        return self.saved

    def progress(self) -> Any:
        return None if self.saved is None else self.saved[1]

    def save(self, tensors: Mapping[str, Tensor], progress: Mapping[str, Any]) -> None:
        self.saved = (
            {name: tensor.clone() for name, tensor in tensors.items()},
            json.loads(json.dumps(progress)),
        )
        self.times += 1
        if self.times == self.after:
            self.monitor._interrupted = True


def fitted(monitor: TrainingMonitor | None = None, **overrides: object) -> Fit:
    settings = Settings.resolve(overrides={"epochs": 6, "members": 4, "folds": 4, "dropout": 0.1, **overrides})
    runtime = Runtime(monitor=monitor or TrainingMonitor())
    return train_lossval(make_problem(120)[0], find_loss("cross_entropy", "classification"), settings, runtime)


@pytest.mark.parametrize("after", [1, 3, 5, 6])
def test_a_run_resumed_after_any_epoch_gives_the_same_bits(after: int) -> None:
    """After the first epoch, a later one, one whose predictions are averaged, and the last."""
    shelf = Shelf(after - 1)
    if after == 1:
        shelf.monitor._interrupted = True
    with pytest.raises(Interrupted, match=rf"^interrupted after epoch {after} of 6 and saved; the same command with"):
        fitted(shelf.monitor)
    whole, resumed = fitted(), fitted(TrainingMonitor(shelf, resume=True))
    for name in ("label_evidence", "feature_evidence", "importance_std", "predictions"):
        assert getattr(whole, name).tobytes() == getattr(resumed, name).tobytes(), name
    assert whole.history == resumed.history
    assert whole.potentials is not None and resumed.potentials is not None
    assert whole.potentials.marginal_error == resumed.potentials.marginal_error


def test_members_in_threads_of_their_own_are_resumed_with_the_same_bits() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        shelf = Shelf(2)
        with pytest.raises(Interrupted):
            fitted(shelf.monitor, dropout=0.0)
        whole, resumed = fitted(dropout=0.0), fitted(TrainingMonitor(shelf, resume=True), dropout=0.0)
    finally:
        torch.set_num_threads(threads)
    assert whole.importance.tobytes() == resumed.importance.tobytes()


def test_a_passed_deadline_still_scores_every_row() -> None:
    cut = fitted(TrainingMonitor(deadline=time.monotonic()))
    assert cut.stopped and len(cut.history) == 1
    assert torch.tensor(cut.predictions).sum(1).allclose(torch.ones(120, dtype=torch.float64), atol=1e-5)
    assert cut.label_evidence.std() > 0 and cut.feature_evidence.std() > 0


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (
            {"learning_rate": 3.0, "weight_learning_rate": 3.0, "epochs": 40},
            "training diverged: the loss was",
        ),
        (
            {"weight_learning_rate": 3.0, "epochs": 12},
            "weights collapsed onto a few of 160 rows; ",
        ),
    ],
)
def test_a_run_repeated_with_smaller_steps_is_resumed(tables: Path, settings: dict[str, Any], why: str) -> None:
    """Ended in the training that repeats the first one, it is resumed there, with the same bits and notices."""
    settings |= {"effort": "low", "members": 4, "batch_size": 160, "removal": "off"}
    saving = {"checkpoint": "saved", "checkpoint_every": 1e-6}
    train, val = frame(160), frame(40, seed=1)
    seen: list[int] = []
    whole = lossval_cli.score(train, val, on_epoch=lambda epoch: seen.append(epoch.epoch), **settings)
    assert why in "\n".join(whole.report["notices"])
    end = seen.index(3, seen.index(1, 1))  # the third epoch of the second training

    class Ended(Exception):
        pass

    def interrupt(epoch: Epoch) -> None:
        epochs.append(epoch.epoch)
        if len(epochs) == end + 1:
            raise Ended

    epochs: list[int] = []
    with pytest.raises(Ended):
        lossval_cli.score(train, val, on_epoch=interrupt, **settings, **saving)
    epochs = []
    resumed = lossval_cli.score(
        train, val, resume=True, on_epoch=lambda epoch: epochs.append(epoch.epoch), **settings, **saving
    )
    assert epochs == seen[end + 1 :]
    assert resumed.scores.equals(whole.scores)
    assert resumed.report["notices"] == whole.report["notices"]


def test_with_no_time_left_a_run_that_diverges_is_not_repeated() -> None:
    """It ends in the one line of the error."""
    settings = Settings.resolve(overrides={"loss": "squared_error", "members": 4})
    numbers = frame(160).assign(label=lambda table: table["size"])
    dataset = load_dataset(numbers, numbers[:40], settings=settings)
    # Infinite labels stand for whatever makes a network overflow.
    y = np.where(np.arange(160) == 3, np.float32(np.inf), dataset.train.y)
    dataset = replace(dataset, train=replace(dataset.train, y=y))
    runtime = Runtime(monitor=TrainingMonitor(deadline=time.monotonic()))
    with pytest.raises(TrainingError, match=r"^training diverged in epoch 1: the loss is not fin") as caught:
        train(dataset, np.zeros(160), settings, runtime)
    assert not isinstance(caught.value, Diverged)


def start(*arguments: str) -> Any:
    return subprocess.Popen(
        [*LOSSVAL, *SCORE, *TRAINING, *arguments], env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )


DYING = """
import os, signal, sys
from lossval_cli.cli import main

replace, moment = os.replace, sys.argv.pop(1)
saved = 0

def replace_and_die(source, target):
    global saved
    saved += str(target).endswith(".checkpoint")
    if saved == 2 and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
    if saved == 2:
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = replace_and_die
main(sys.argv[1:])
"""


def test_killed_again_and_again_it_ends_with_the_same_scores(tables: Path, cli: Callable[..., Outcome]) -> None:
    """SIGKILL before the second checkpoint replaces the first, then after one has replaced another, then the rest.
    Twenty times, at any moment: benchmarks/resume.py."""
    frame(400).to_csv("train.csv", index=False)
    before = sorted(os.listdir())
    command = [*SCORE, "--set", "epochs=12", "--set", "batch_size=32", "--checkpoint-every", "0.001s"]
    assert cli(*command, "-o", "whole").code == 0
    for moment in ("before", "after"):
        done = subprocess.run([*PYTHON, "-c", DYING, moment, *command, "--resume"], env=ENVIRONMENT, check=False)
        assert done.returncode == -signal.SIGKILL
        assert LEFT.exists() and LEFT.stat().st_mode & 0o077 == 0
    assert cli(*command, "--resume").code == 0
    assert Path("train.lossval/scores.csv").read_bytes() == Path("whole/scores.csv").read_bytes()
    assert sorted(os.listdir()) == sorted([*before, "train.lossval", "whole"])  # one that is done leaves none


def test_ctrl_c_saves_for_the_same_run_alone(tables: Path, cli: Callable[..., Outcome]) -> None:
    """It says how to go on; other settings, another table and a damaged file are refused in one line each."""
    frame(400).to_csv("train.csv", index=False)
    with start("--set", "epochs=100000", "--checkpoint-every", "1h", "--progress", "json") as running:
        for line in running.stderr:  # a note says that --checkpoint-every is given twice
            if line.startswith(b"{") and json.loads(line)["event"] == "epoch":
                break
        running.send_signal(signal.SIGINT)
        last = running.stderr.read().decode().splitlines()[-1]
    assert running.returncode == 130
    assert last.startswith("interrupted after epoch ") and last.endswith("--resume continues from there")
    assert LEFT.exists() and not Path("train.lossval").exists()

    resume = (*SCORE, "--resume", "--set", "batch_size=32")
    other = cli(*resume, "--set", "epochs=2", "--seed", "3")
    assert other.code == 2
    assert other.err.splitlines()[-1].startswith(
        "error: .train.lossval.checkpoint is the checkpoint of another run (different: epochs, seed)"
    )
    frame(50, seed=5).to_csv("train.csv", index=False)
    other = cli(*resume, "--set", "epochs=100000")
    assert "(different: the train table)" in other.err
    LEFT.write_bytes(b"not a checkpoint")
    other = cli(*resume)
    assert other.code == 2 and "is damaged or not a checkpoint" in other.err
    assert not Path("train.lossval").exists()


def test_resume_without_a_checkpoint_begins(cli: Callable[..., Outcome], quick: tuple[str, ...]) -> None:
    done = cli("score", "train.csv", *quick, "--resume")
    assert done.code == 0 and Path("train.lossval/run.json").exists()


@pytest.mark.parametrize("option", [("--resume",), ("--checkpoint-every", "5m")])
def test_no_checkpoint_with_a_stream(cli: Callable[..., Outcome], option: tuple[str, ...]) -> None:
    refused = cli("score", "train.csv", "-o", "-", *option)
    assert refused.code == 2 and "need -o DIR or FILE" in refused.err


def test_the_published_algorithm_is_not_cut_short(cli: Callable[..., Outcome]) -> None:
    refused = cli("score", "train.csv", "--preset", "paper", "--time-limit", "1h")
    assert refused.code == 2 and "method paper has neither checkpoints nor a time limit" in refused.err


def test_time_limit_is_said_everywhere(cli: Callable[..., Outcome]) -> None:
    """Exit 0 with scores of every row, and no reader of any of the outputs can miss that it was cut short."""
    done = cli("score", "train.csv", "--val", "val.csv", "--set", "epochs=100000", "--time-limit", "0.7s")
    assert done.code == 0
    report = json.loads(Path("train.lossval/report.json").read_text())
    epoch = report["summary"]["stopped_in_epoch"]
    assert f"the time limit ended training after epoch {epoch} of 100000: " in report["notices"][0]
    assert (
        report["notices"][0] in done.err
        and f"Stopped early     the time limit ended training in epoch {epoch}" in done.out
    )
    took = "--time-limit bounds training, and no removal study begins after it; reading, outliers, noise and the report"
    assert took in done.err and "removal" not in report["timing"]
    assert any(check["level"] == "look" and "the time limit ended" in check["text"] for check in report["health"])
    assert Path("train.lossval/scores.csv").read_text().count("\n") == 61
    assert f"the time limit ended training after epoch {epoch}" in Path("train.lossval/report.md").read_text()


def test_a_check_is_cut_short_and_gone_on_with(cli: Callable[..., Outcome], quick: tuple[str, ...]) -> None:
    """The verdict says that training was cut short; with --resume it is that of a whole run."""
    check = ["check", "train.csv", "--val", "val.csv", *quick, "--max-suspects", "60", "--threads", "1"]
    left = Path(".train.check.checkpoint")
    whole = cli(*check)
    cut = cli(*check, "--time-limit", "0.001s", "--checkpoint-every", "1h")
    assert cut.code == 0 and left.exists()
    assert (
        "note: the time limit ended training in epoch 1: " in cut.out and "ended training after epoch 1 of 2" in cut.err
    )
    assert "the time limit" not in whole.out
    resumed = cli(*check, "--resume")
    assert (resumed.code, resumed.out) == (whole.code, whole.out) and not left.exists()


def test_python_has_what_the_command_has(tables: Path) -> None:
    """DataFrames, which have no bytes of a file, are known again by what is in them."""
    train, val = frame(), frame(40, seed=1)
    settings = {"effort": "low", "epochs": 3, "members": 4, "removal": "off", "checkpoint": "saved"}
    whole = lossval_cli.score(train, val, **settings)
    cut = lossval_cli.score(train, val, time_limit=0.001, **settings)
    assert cut.report["summary"]["stopped_in_epoch"] == 1 and Path("saved").exists()
    with pytest.raises(UsageError, match=r"different: the train table"):
        lossval_cli.score(train[::-1], val, resume=True, **settings)
    resumed = lossval_cli.score(train, val, resume=True, **settings)
    assert resumed.scores.equals(whole.scores) and not Path("saved").exists()
    with pytest.raises(UsageError, match=r"^--max-memory 100 MB is not enough"):
        lossval_cli.score("train.parquet", val, max_memory=10**8)
    with pytest.raises(UsageError, match=r"^time_limit must be a number above 0, not 0$"):
        lossval_cli.score(train, val, time_limit=0)
    with pytest.raises(UsageError, match=r"^resume needs checkpoint"):
        lossval_cli.score(train, val, resume=True)


@pytest.mark.parametrize("text", ["0s", "ten", "5 parsecs", "-3s", "nan"])
def test_a_duration_that_is_none_is_refused(cli: Callable[..., Outcome], text: str) -> None:
    refused = cli("score", "train.csv", "--time-limit", text)
    assert refused.code == 2 and "give a duration such as 90s, 10m or 1.5h" in refused.err
