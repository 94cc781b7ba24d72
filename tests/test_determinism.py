"""The same input, seed, version and threads: the same bytes, whatever else the process finds around it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import PYTHON, frame
from scipy.stats import spearmanr
from test_faults import fill, mount

import lossval_cli

pytestmark = pytest.mark.slow

ROOT = Path(lossval_cli.__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden" / "run.json"
QUICK = ["-o", "out", "--force", "--set", "epochs=6", "--effort", "low", "--threads", "1", "--removal", "quick"]


def score(folder: Path, python: list[str], **environment: str) -> dict[str, bytes]:
    """The files of a run in a process of its own, without times, and what it printed."""
    around = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    done = subprocess.run(
        [*python, "-m", "lossval_cli", "score", "train.csv", "--val", "val.csv", *QUICK],
        cwd=folder,
        env=around | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = {path.name: path.read_bytes() for path in Path(folder, "out").iterdir()}
    for name in ("run.json", "report.json"):
        content = json.loads(files[name])
        for key in ("started", "timing"):
            content.pop(key, None)
        files[name] = json.dumps(content).encode()
    return files | {"stdout": done.stdout, "stderr": done.stderr}


def write_tables(folder: Path) -> None:
    table = frame(120).assign(city=["Köln", "Aarhus", "Łódź", "Zürich", "Ålesund", "Ärla"] * 20)
    table["when"] = pd.date_range("2024-03-30", periods=120, freq="h").astype(str)
    table["kind"] = [f"level {i % 60}" for i in range(120)]
    table.to_csv(folder / "train.csv", index=False)
    table.sample(40, random_state=0).to_csv(folder / "val.csv", index=False)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system without room that is read-only, too; without the rights to mount one, a directory that is not
    there."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or not mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)):
        folder.rmdir()
        yield folder
        return
    try:
        fill(folder, but=0)
        assert mount("-o", "remount,ro", str(folder))
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def test_hash_seed_locale_time_zone_load_and_full_disks_change_no_byte(
    tmp_path: Path, full_disk: Path, fork_server: None
) -> None:
    """Neither of the results nor of what is printed, where no library adds a warning."""
    write_tables(tmp_path)
    plain = score(tmp_path, PYTHON, TZ="UTC", LC_ALL="C.UTF-8")  # hashed with the seed of the fork server
    full = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(full_disk))
    spin = "import os; os.nice(19)\nwhile True: pass"  # in the time that other tests leave
    busy = subprocess.Popen([sys.executable, "-c", spin])
    around = {"PYTHONHASHSEED": "4242", "TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    try:
        other = score(tmp_path, [sys.executable], **around, **full)
    finally:
        busy.kill()
        busy.wait()
    assert plain.keys() == other.keys()
    other["stdout"] = other["stdout"].decode("unicode_escape").encode()  # a terminal that knows ASCII alone
    for name in plain:
        assert plain[name] == other[name], name
    said = plain["stderr"].decode().splitlines()
    assert {re.split("[: ]", line)[0] for line in said} == {"label", "column", "task", "val.csv"}


def test_the_golden_run() -> None:
    """Importances of a run that is pinned: within 1e-3 of these, and ranks Spearman 0.999, on any machine.

    Bits differ between processors and versions of PyTorch; what a change of the method does is far more.
    """
    pinned = json.loads(GOLDEN.read_text())
    found = golden_run()
    wanted, got = np.array(pinned["importance"]), np.array(found["importance"])
    assert np.abs(np.log(got) - np.log(wanted)).max() < 1e-3
    assert spearmanr(got, wanted).statistic > 0.999
    assert found["suspect_rows"] == pinned["suspect_rows"]


@pytest.mark.parametrize("label", ["label", "amount"])
def test_the_largest_seed_that_settings_allow_is_one_for_every_model(label: str) -> None:
    """scikit-learn takes 32 bits, PyTorch and NumPy 64."""
    table = frame(80)
    table["amount"] = np.random.default_rng(0).normal(size=80)
    scores = lossval_cli.score(table, label=label, seed=2**63 - 1, epochs=2, effort="low", removal="quick").scores
    assert len(scores) == 80


def golden_run() -> dict[str, Any]:
    """By row, what a small run with mixed columns and four wrong labels finds."""
    table, val = frame(120), frame(60, seed=1)
    table["kind"], val["kind"] = ["a", "b", "c"] * 40, ["c", "b", "a"] * 20
    result = lossval_cli.score(
        table,
        val,
        label="label",
        ids="customer",
        epochs=20,
        members=8,
        folds=4,
        threads=1,
        device="cpu",
        removal="off",
    )
    scores = result.scores.sort_values("row")
    return {
        "importance": [round(value, 7) for value in scores["importance"]],
        "suspect_rows": scores["row"][scores["suspect"] != ""].tolist(),
    }


def test_numbers_of_threads_agree_on_the_ranks_and_each_on_its_bits() -> None:
    before, table, val = torch.get_num_threads(), frame(400), frame(100, seed=1)
    found = {}
    try:
        for threads in (1, 3, 3):
            result = lossval_cli.score(
                table, val, label="label", effort="low", epochs=5, threads=threads, device="cpu", removal="off"
            )
            importance = result.scores.sort_values("row")["importance"].to_numpy()
            np.testing.assert_array_equal(found.setdefault(threads, importance), importance)
    finally:
        torch.set_num_threads(before)
    assert spearmanr(found[1], found[3]).statistic >= 0.999


if __name__ == "__main__":  # python tests/test_determinism.py writes the golden run again
    GOLDEN.write_text(json.dumps(golden_run()) + "\n")
