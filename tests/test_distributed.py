"""Processes started by torchrun: the same scores and verdict as one, and one message when one dies."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from conftest import LOSSVAL, PYTHON, QUICK, Outcome, frame

import lossval_cli
from lossval_cli.runtime.distributed import ProcessGroup

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fork_server")]

LAUNCHER = [*PYTHON, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(Path(lossval_cli.__file__).parent.parent),
    "OMP_NUM_THREADS": "1",
    "TORCHELASTIC_ERROR_FILE": "",
}
SCORE = ["score", "train.parquet", "--val", "val.csv", "--effort", "low", "--set", "folds=4"]


def start(*arguments: str, processes: int = 2) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*LAUNCHER, str(processes), "--no-python", *LOSSVAL, *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ours(stderr: str) -> list[str]:
    """What lossval itself says: torchrun has a lot to say of its own."""
    starts = ("error:", "internal error:", "interrupted", "note:")
    return [line for line in stderr.splitlines() if line.startswith(starts)]


@pytest.mark.parametrize(
    ("ends", "edges"),
    [
        ([100, 210, 300, 400], (0, 210, 400)),
        ([90, 400], ()),
        ([400], ()),
        ([100, 200, 300, 410], (0, 200, 410)),
    ],
)
def test_ranges_of_rows_end_where_fragments_do(ends: list[int], edges: tuple[int, ...]) -> None:
    """Where that leaves them nearly as even."""
    processes = ProcessGroup(1, 2).with_fragments(np.array(ends))
    assert processes.edges == edges
    assert processes.own(ends[-1]) == slice(*(edges or (0, ends[-1] // 2, ends[-1]))[1:])


@pytest.mark.parametrize("rows", [10, 11, 1_000_003])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_every_row_is_with_one_process(rows: int, size: int) -> None:
    parts = [ProcessGroup(rank, size).own(rows) for rank in range(size)]
    assert parts[0].start == 0 and parts[-1].stop == rows
    assert all(one.stop == other.start for one, other in pairwise(parts))
    assert max(part.stop - part.start for part in parts) - min(part.stop - part.start for part in parts) <= 1


def test_a_single_process_communicates_with_nobody() -> None:
    values = torch.arange(3.0)
    assert ProcessGroup().all_reduce(values) is values and ProcessGroup().gather_rows(values, 3) is values


@pytest.mark.parametrize(("case", "processes"), [("plain", 2), ("plain", 5), ("held out and restarted", 2)])
def test_several_processes_score_as_one(tables: Path, cli: Callable[..., Outcome], case: str, processes: int) -> None:
    """Networks, models, rows and retrainings that processes share are the same, whoever does them, but for the order in
    which products of fewer networks are added up; with more processes than networks, too. One process writes, the
    scores of all rows."""
    table = frame(500)
    table.loc[20:60, "label"] = np.where(table.loc[20:60, "size"] > 0, "no", "yes")
    table.to_parquet("train.parquet", index=False)
    command = [*SCORE, "--set", "epochs=5", "--removal", "quick"]
    if case != "plain":  # weights collapse: both start again with smaller steps
        command = [*SCORE[:2], *SCORE[4:], *command[len(SCORE) :]]
        command += ["--set", "weight_learning_rate=9", "--time-limit", "1h"]
    with start(*command, "-o", "two", processes=processes) as two:
        said = two.communicate()[1]
    assert two.returncode == 0, said
    assert cli(*command, "-o", "one").code == 0
    one_scores, several = (
        pd.read_parquet(f"{name}/scores.parquet").set_index("row").sort_index() for name in ("one", "two")
    )
    pd.testing.assert_frame_equal(one_scores.drop(columns="rank"), several.drop(columns="rank"), rtol=1e-4, atol=1e-5)
    assert (one_scores["feature_noise_probability"] == several["feature_noise_probability"]).all()
    reports = [json.loads(Path(f"{name}/report.json").read_text()) for name in ("one", "two")]
    assert reports[0]["summary"]["suspects"] == reports[1]["summary"]["suspects"]
    assert reports[0]["notices"] == reports[1]["notices"]
    found = [{row["row"]: (row["neighbours"], row["unusual"]) for row in report["suspects"]} for report in reports]
    assert found[0] and found[0] == found[1]
    assert len(reports[0]["removal"]["lowest_first"]) == 4
    for curve in ("lowest_first", "random"):
        np.testing.assert_allclose(*(report["removal"][curve] for report in reports), atol=0.01)
    is_restarted = "weights collapsed onto a few of 500 rows; repeated" in reports[1]["notices"][0]
    assert is_restarted == (case != "plain")


@pytest.mark.parametrize("own", ["predictions", "estimator"])
def test_two_processes_rank_by_predictions_and_models_of_ones_own(
    tables: Path, cli: Callable[..., Outcome], own: str
) -> None:
    """They share the rows of the transport, and the folds that an estimator is fitted on."""
    yes = np.clip(pd.read_parquet("train.parquet")["size"] / 4 + 0.5, 0.02, 0.98)
    pd.DataFrame({"yes": yes, "no": 1 - yes}).to_csv("p.csv", index=False)
    options = ["--predictions", "p.csv"] if own == "predictions" else ["--model", "linear"]
    command = [*SCORE, *options, "--set", "epochs=3", "--removal", "off"]
    with start(*command, "-o", "two") as two:
        said = two.communicate()[1]
    assert two.returncode == 0, said
    assert cli(*command, "-o", "one").code == 0
    one, other = (pd.read_parquet(f"{name}/scores.parquet").set_index("row").sort_index() for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


SHARE = """
import sys
from lossval_cli.cli.scoring import processes
from lossval_cli.errors import TrainingError, UsageError
from lossval_cli.runtime.sharing import by_one, share, sharing

def square(task):
    if task == fails:
        raise TrainingError(f"task {task} cannot be done")
    done.append(task)
    return task * task

with processes() as group, sharing(group):
    for tasks in (0, 1, 2, 5):
        done, fails = [], None
        assert share(range(tasks), square) == [task * task for task in range(tasks)]
        everyone = group.all_gather_object(done)
        assert sorted(sum(everyone, [])) == list(range(tasks)), everyone
        assert max(map(len, everyone)) <= tasks // 2 + 1
    assert by_one(lambda: group.rank) == 0
    for fails in (0, 4):
        try:
            share(range(5), square)
        except TrainingError as error:
            assert str(error) == f"task {fails} cannot be done"
        else:
            raise AssertionError
    try:
        share(range(group.rank + 1), lambda task: task)
    except UsageError as error:
        assert "have different work to do" in str(error)
    else:
        raise AssertionError
    print(share(range(3), lambda task: task) == [0, 1, 2])
"""


def test_each_task_is_done_once_and_what_one_raises_all_raise(tmp_path: Path) -> None:
    """None waits for another one that has given up."""
    script = tmp_path / "share.py"
    script.write_text(SHARE)
    done = subprocess.run(
        [*LAUNCHER, "2", "--no-python", *PYTHON, str(script)], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n" * 2


FIT = """
from pathlib import Path
import numpy as np
from lossval_cli.cli.scoring import processes
from lossval_cli.features import streaming
from lossval_cli.features.dataset import load_dataset
from lossval_cli.lossval.fit import train
from lossval_cli.noise.estimate import estimate_outliers
from lossval_cli.runtime.atomic_write import scratch_directory
from lossval_cli.runtime.context import Runtime
from lossval_cli.runtime.memory import MemoryEstimate
from lossval_cli.runtime.sharing import sharing
from lossval_cli.settings import Settings

streaming.FEWEST_BYTES = 0
MemoryEstimate.resident = lambda *_: 10**13  # every table that can stay in its files does
settings = Settings.resolve("fast", overrides={"epochs": 3})
with processes() as group, sharing(group):
    for ending in ("parquet", "arrow"):
        with scratch_directory(Path(f"encoded.{ending}{group.rank}")) as scratch:
            runtime = Runtime(processes=group, scratch=lambda: scratch)
            dataset = load_dataset(f"{ending}{group.rank}", None, settings=settings, runtime=runtime)
            outliers = estimate_outliers(dataset, settings).gathered(dataset.layout.processes, len(dataset.train.X))
            fit = train(dataset, outliers.penalty, settings, runtime)
            if group.is_main:
                np.savez(ending, label=fit.label_evidence, feature=fit.feature_evidence)
                edges, files = dataset.layout.processes.edges, dataset.train.X._files
                print(edges, sorted(path.name for path in files))
                assert not scratch.exists()  # open files need no names
"""


def test_a_process_reads_its_own_fragments_alone(tables: Path) -> None:
    """Each process is given a copy of the table in which the fragments of the other one are damaged; what is
    found is what one process finds in the whole table."""
    for i in range(4):
        part = frame(100, i)
        for ending, write in (("parquet", part.to_parquet), ("arrow", part.to_feather)):
            for copy in ("0", "1", ""):
                Path(f"{ending}{copy}").mkdir(exist_ok=True)
                write(Path(f"{ending}{copy}", f"{i}.{ending}"))
            damaged = Path(f"{ending}{1 - i // 2}", f"{i}.{ending}")
            content = damaged.read_bytes()
            offset = content.find(b"c%d-9" % i)  # an id: among the data, which the footer follows
            damaged.write_bytes(content[:offset] + bytes(200) + content[offset + 200 :])
    Path("fit.py").write_text(FIT)
    command = [*LAUNCHER, "2", "--no-python", *PYTHON, "fit.py"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(0, 200, 400) ['encoded-0', 'encoded-1']\n" * 2
    for ending in ("parquet", "arrow"):
        found = np.load(f"{ending}.npz")
        whole = lossval_cli.score(ending, preset="fast", epochs=3, removal="off").scores.sort_values("row")
        np.testing.assert_allclose(found["label"], whole["label_evidence"], atol=1e-5)
        np.testing.assert_allclose(found["feature"], whole["feature_evidence"], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--label", "nothing"), "no such column"), (("--preset", "paper"), "runs in one process")],
)
def test_what_is_wrong_is_said_once(tables: Path, arguments: tuple[str, ...], message: str) -> None:
    with start("score", "train.csv", *arguments) as running:
        said = running.communicate()[1]
    assert running.returncode == 1  # whatever its processes end with
    assert len(ours(said)) == 1 and message in ours(said)[0]
    assert first_exit_code(said) == 2


@pytest.mark.parametrize("different", ["settings (seed)", "settings (epochs)", "tables (the train table)"])
def test_processes_that_differ_are_refused_before_they_train(
    tables: Path, rendezvous: dict[str, str], different: str
) -> None:
    frame(70).to_csv("other.csv", index=False)
    first = ["score", "train.csv", "--val", "val.csv", *QUICK, "--set", "seed=0"]
    second = {
        "s": [*first[:-1], "seed=1"],
        "e": [*first, "--set", "epochs=3"],
        "t": [first[0], "other.csv", *first[2:]],
    }
    around = ENVIRONMENT | rendezvous | {"WORLD_SIZE": "2"}
    running = [
        subprocess.Popen([*LOSSVAL, *line], env=around | {"RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank, line in enumerate((first, second[different.partition("(")[2][0]]))
    ]
    said = [one.communicate()[1] for one in running]
    assert [one.returncode for one in running] == [2, 2], said
    line = (
        f"error: the processes of this run differ in {different}: start all of them with the same command, tables and "
        "version"
    )
    assert [ours(one) for one in said] == [[line], [line]]
    assert not Path("train.lossval").exists()


def test_a_gate_of_two_processes_is_that_of_one(tables: Path, cli: Callable[..., Outcome]) -> None:
    """The same verdict, printed once; torchrun ends with 1, as a failed gate does."""
    table = frame(300)
    table.loc[20:60, "label"] = np.where(table.loc[20:60, "size"] > 0, "no", "yes")
    table.to_csv("train.csv", index=False)
    before = set(os.listdir())
    check = ["check", "train.csv", "--val", "val.csv", "--preset", "fast", "--seed", "3"]
    check += ["--max-suspects", "1"]
    files = ["--output-format", "json", "--output-file", "gate.json", "--output-format", "text"]
    check += ["--checkpoint-every", "1h", *files, "--output-file", "-"]
    one = cli(*check)
    alone = json.loads(Path("gate.json").read_text())
    os.remove("gate.json")
    with start(*check) as two:
        out, said = two.communicate()
    assert one.code == two.returncode == 1
    together = json.loads(Path("gate.json").read_text())
    assert out == one.out
    assert [together[key] for key in ("passed", "rules")] == [alone[key] for key in ("passed", "rules")]
    assert ours(said) == ours(one.err) and len(ours(said)) == 1
    assert first_exit_code(said) == 1
    assert set(os.listdir()) - before == {"gate.json"}


def test_a_run_directory_is_checked_by_one_process(tables: Path, cli: Callable[..., Outcome]) -> None:
    assert cli("score", "train.csv", *QUICK).code == 0
    with start("check", "train.lossval", "--max-suspects", "60") as running:
        out, said = running.communicate()
    assert running.returncode == 0, said
    assert out == cli("check", "train.lossval", "--max-suspects", "60").out


def test_a_process_that_dies_brings_the_run_down(tables: Path, cli: Callable[..., Outcome]) -> None:
    """One clear message of the two that are left, nothing half-written, and `--resume` goes on from the
    checkpoint, alone."""
    frame(500).to_parquet("train.parquet", index=False)
    before = sorted(os.listdir())
    endless = [*SCORE, "--set", "epochs=100000", "--checkpoint-every", "0.1s", "--removal", "off"]
    with start(*endless, processes=3) as running:
        for _ in range(2_000):
            if Path(".train.lossval.checkpoint").exists():
                break
            time.sleep(0.02)
        os.kill(process_of_rank_1(tables), signal.SIGKILL)
        said = running.communicate()[1]
    assert running.returncode != 0
    assert len(ours(said)) == 1, said
    assert "nothing was written" in ours(said)[0]
    assert sorted(set(os.listdir()) - {".train.lossval.checkpoint"}) == before
    assert cli(*endless, "--resume", "--time-limit", "1s").code == 0
    epoch = json.loads(Path("train.lossval/report.json").read_text())["summary"]["stopped_in_epoch"]
    assert epoch > 1
    assert Path(".train.lossval.checkpoint").exists()  # with more time it could go on


def first_exit_code(stderr: str) -> int:
    """Of the process that failed first, by torchrun's report; 0 where none did."""
    return int(next(iter(re.findall(r"exitcode +: (-?\d+)", stderr.partition("Root Cause")[2])), 0))


def process_of_rank_1(folder: Path) -> int:
    """Its client: the process that it is ends with it."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("RANK") == "1" and process.cwd() == str(folder):
                return process.pid
    raise AssertionError("no such process")
