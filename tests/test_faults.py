"""Real faults around a real run: full and read-only file systems, files that change, signals, clocks."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from conftest import Outcome, frame

import lossval_cli
from lossval_cli.tables.table import read_table

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("valued_once")]

Cli = Callable[..., Outcome]
ROOT = str(Path(lossval_cli.__file__).parents[1])


def mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tables: Path) -> Iterator[Path]:
    """A file system of its own with room for one run and a little."""
    directory = tables / "disk"
    directory.mkdir()
    if os.geteuid() != 0 or not mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)):
        pytest.skip("mounting a file system needs root")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], capture_output=True, check=False)


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def fill(directory: Path, *, but: int) -> None:
    """Leave `but` bytes free."""
    space = os.statvfs(directory)
    (directory / "filler").write_bytes(b"\0" * (space.f_bavail * space.f_frsize - but))


@pytest.mark.parametrize("storage", [0, 20_000, 60_000])
@pytest.mark.parametrize("output", ["out", "scores.csv"])
def test_a_full_disk_leaves_the_older_results_and_nothing_else(
    cli: Cli, quick: tuple[str, ...], small_disk: Path, storage: int, output: str
) -> None:
    big = pd.concat([frame(300, seed) for seed in range(5)])
    big.to_csv("train.csv", index=False)  # scores of about 200 KB
    target = f"disk/{output}"
    assert cli("score", "val.csv", *quick, "-q", "-o", target).code == 0
    fill(small_disk, but=storage)
    before = contents(small_disk)
    outcome = cli("score", "train.csv", *quick, "-q", "-o", target, "--force")
    assert outcome.code == 2
    assert outcome.err == f"error: disk/{output} cannot be written: no space left on device\n"
    assert contents(small_disk) == before


def test_a_read_only_disk_is_reported_before_training(cli: Cli, quick: tuple[str, ...], small_disk: Path) -> None:
    assert cli("score", "val.csv", *quick, "-q", "-o", "disk/out").code == 0
    before = contents(small_disk)
    assert mount("-o", "remount,ro", str(small_disk))
    outcome = cli("score", "train.csv", "--set", "epochs=100000", "-q", "-o", "disk/out")
    assert outcome.code == 2
    assert outcome.err == "error: disk/out cannot be written: read-only file system\n"
    assert contents(small_disk) == before


def test_permission_that_is_lost_during_the_run_leaves_the_older_run(
    cli: Cli, quick: tuple[str, ...], small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("score", "val.csv", *quick, "-q", "-o", "disk/out").code == 0
    before = contents(small_disk)
    from lossval_cli import result

    ready = result.run_files

    def lose(*arguments: object, **options: object) -> object:
        assert mount("-o", "remount,ro", str(small_disk))
        return ready(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(result, "run_files", lose)
    outcome = cli("score", "train.csv", *quick, "-q", "-o", "disk/out")
    assert outcome.code == 2
    assert outcome.err.endswith("cannot be written: read-only file system\n")
    assert contents(small_disk) == before


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_that_changes_meanwhile_is_one_of_its_versions_and_so_is_its_hash(tables: Path, suffix: str) -> None:
    """What is hashed is what is learned from, however often the file is replaced."""
    versions = {}
    for name, rows in (("one", 200), ("two", 300)):
        table = frame(rows)
        path = Path(f"{name}.{suffix}")
        table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path, index=False)
        versions[hashlib.sha256(path.read_bytes()).hexdigest()] = rows
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for name in ("one", "two"):
                Path("next").write_bytes(Path(f"{name}.{suffix}").read_bytes())
                os.replace("next", f"now.{suffix}")

    Path(f"now.{suffix}").write_bytes(Path(f"one.{suffix}").read_bytes())
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(40):
            table = read_table(f"now.{suffix}")
            assert versions[str(table.sha256)] == table.rows
    finally:
        stop.set()
        swapper.join()


def heed_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def test_a_signal_at_any_moment_leaves_the_older_run_or_the_newer(cli: Cli, once: Cli, quick: tuple[str, ...]) -> None:
    """From the first import to the last rename; what a kill leaves is gone after the next run."""
    moments = random.Random(7)
    once("score", "train.csv", *quick, "-q")
    line = ["score", "train.csv", *quick, "-q", "--seed"]
    environment = os.environ | {"PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1"}
    allowed = {"train.csv", "val.csv", "train.parquet", "train.lossval"}
    for seed, number in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL), start=1):
        child = subprocess.Popen(
            [sys.executable, "-m", "lossval_cli", *line, str(seed)],
            env=environment,
            stderr=subprocess.PIPE,
            preexec_fn=heed_signals,
        )
        time.sleep(moments.uniform(0.5, 6.0))
        child.send_signal(number)
        lines = child.communicate()[1].decode()
        # Before the first line of ours runs, a signal ends the interpreter as it does any.
        assert child.returncode in (0, 130, -number), lines
        assert child.returncode == -number or lines in ("", "interrupted\n")
        record = json.loads(Path("train.lossval/run.json").read_text())
        assert record["seed"] in range(seed + 1)
        assert len(Path("train.lossval/scores.csv").read_text().splitlines()) == 61
        if number != signal.SIGKILL:
            assert set(os.listdir()) == allowed
    assert cli("score", "train.csv", *quick, "-q").code == 0
    assert set(os.listdir()) == allowed


def test_a_clock_that_has_jumped_does_not_matter(cli: Cli, once: Cli, quick: tuple[str, ...]) -> None:
    """A run from the future, by its record and by its files, is read and replaced like any other."""
    once("score", "train.csv", *quick, "-q")
    path = Path("train.lossval/run.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"started": "2199-01-01T00:00:00+00:00"}))
    future = time.time() + 3e9
    for entry in (*Path("train.lossval").iterdir(), Path("train.csv"), Path("train.lossval")):
        os.utime(entry, (future, future))
    assert cli("check", "train.lossval", "--max-suspects", "100%").code == 0
    assert cli("diff", "train.lossval", "train.lossval").code == 0
    assert cli("score", "train.csv", *quick, "-q", "--seed", "3").code == 0
    assert json.loads(path.read_text())["seed"] == 3
