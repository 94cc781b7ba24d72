"""Scores as a directory of Parquet files: read like one file, and whole or not there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import PYTHON, QUICK, Outcome, frame
from test_distributed import ENVIRONMENT, LAUNCHER, start

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fork_server")]

PARQUET = ["score", "train.parquet", *QUICK]


def test_one_process_writes_one_part_that_all_commands_read(tables: Path, cli: Callable[..., Outcome]) -> None:
    frame(80).to_parquet("train.parquet", index=False)
    assert cli(*PARQUET, "-o", "file").code == 0
    outcome = cli(*PARQUET, "-o", "parts", "--parts")
    assert outcome.code == 0 and "scores.parquet/" in outcome.out
    assert os.listdir("parts/scores.parquet") == ["part-00000.parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet("file/scores.parquet"), pd.read_parquet("parts/scores.parquet"))
    for command in (
        ["check", "{}", "--max-suspects", "80"],
        ["report", "{}", "-o", "-", "--format", "md"],
        ["diff", "{}", "{}"],
        ["clean", "{}", "--drop", "lowest:10%", "-o", "-"],
        ["review", "{}", "--export", "{}.csv"],
    ):
        one, other = (cli(*(part.format(run) for part in command)) for run in ("file", "parts"))
        assert one.code == other.code == 0, other.err
        assert one.raw.replace(b"file", b"parts") == other.raw
    assert Path("file.csv").read_bytes() == Path("parts.csv").read_bytes()


def test_other_scores_replace_parts_and_parts_replace_them(tables: Path, cli: Callable[..., Outcome]) -> None:
    for options, names in ((["--parts"], ["scores.parquet"]), ([], ["scores.csv"]), (["--parts"], ["scores.parquet"])):
        assert cli("score", "train.csv", *QUICK, "-o", "run", *options).code == 0
        assert [name for name in os.listdir("run") if name.startswith("scores")] == names


@pytest.mark.parametrize("other", [["-o", "scores.parquet"], ["-o", "-"], ["--format", "csv"], ["--safe-csv"]])
def test_parts_are_refused_where_no_run_directory_of_parquet_is_written(
    tables: Path, cli: Callable[..., Outcome], other: list[str]
) -> None:
    outcome = cli(*PARQUET, "--parts", *other)
    assert outcome.code == 2
    assert outcome.err.startswith("error: --parts writes Parquet files into a run directory")


def test_each_process_writes_its_part_in_the_order_of_ranks(tables: Path, cli: Callable[..., Outcome]) -> None:
    table = frame(101)
    table.loc[::10, "label"] = None  # rows without a label come last
    table.to_parquet("train.parquet", index=False)
    with start(*PARQUET, "-o", "two", "--parts", "--redact") as two:
        said = two.communicate()[1]
    assert two.returncode == 0, said
    parts = [pd.read_parquet(f"two/scores.parquet/part-{rank:05}.parquet") for rank in (0, 1)]
    assert [len(part) for part in parts] == [50, 51]
    whole = pd.concat(parts)
    assert whole["rank"].tolist() == list(range(1, 102))
    assert "id" not in whole
    assert sorted(whole["row"]) == list(range(101))
    assert cli("check", "two", "--max-suspects", "101").code == 0


FAIL = """
import sys
from pathlib import Path
import pyarrow as pa
from lossval_cli.cli.scoring import processes
from lossval_cli.errors import LossvalError
from lossval_cli.runs import score_parts
from lossval_cli.runtime.atomic_write import write_directory

with processes() as group:
    def full(*_):
        raise OSError(28, "No space left on device")
    if sys.argv[1] == "other" and not group.is_main:
        score_parts.write_scores = full
    if sys.argv[1] == "first" and group.is_main:
        score_parts.by_one = full
    def write(directory):
        score_parts.write_parts(pa.table({"rank": [1, 2, 3]}), directory, group)
    try:
        write_directory(Path("run"), {}, force=True, fill=write) if group.is_main else write(None)
    except LossvalError as error:
        print(type(error).__name__, str(error).rpartition(": ")[2])
        raise SystemExit
"""


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("other", ["OutputError no space left on device"] * 2),
        ("first", ["DistributedError", "OutputError no space left on device"]),
    ],
)
def test_a_part_that_cannot_be_written_leaves_nothing_behind(tables: Path, fails: str, said: list[str]) -> None:
    """No process waits for another one that has given up, and the directory that was there is as it was."""
    Path("run").mkdir()
    Path("run/run.json").write_text(json.dumps({"tool": "lossval", "schema_version": 1}))
    Path("fail.py").write_text(FAIL)
    before = sorted(os.listdir())
    command = [*LAUNCHER, "2", "--no-python", *PYTHON, "fail.py", fails]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.startswith(one) for line, one in zip(sorted(done.stdout.splitlines()), said, strict=True)] == [
        True
    ] * 2
    assert sorted(os.listdir()) == before and os.listdir("run") == ["run.json"]
