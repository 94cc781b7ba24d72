"""What tests of the command line share: a directory with small tables, and a way to call `lossval`."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before any library starts threads: tests run side by side

import numpy as np
import pandas as pd
import pytest

from lossval_cli.cli import main
from lossval_cli.features import streaming
from lossval_cli.runtime import memory
from lossval_cli.runtime.memory import MemoryEstimate

QUICK = ("--effort", "low", "--set", "epochs=2", "--removal", "off")
"""Training that is over in a moment."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many processes as processors for the suite; none for a few files, which are over before others start."""
    folders = all((Path(config.invocation_params.dir) / name.partition("::")[0]).is_dir() for name in config.args)
    return len(os.sched_getaffinity(0)) if folders else 0


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()


class _Stream(io.TextIOWrapper):
    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def written(self) -> bytes:
        self.flush()
        return self.buffer.getvalue()  # type: ignore[attr-defined]


def frame(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """Two features, an id and a label of words; three labels are plainly wrong."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"size": rng.normal(size=rows).round(3), "age": rng.integers(18, 80, rows)})
    table.loc[:2, "size"] = [1.9, -2.1, 2.3]
    table.insert(0, "customer", [f"c{seed}-{row}" for row in range(rows)])
    table["label"] = np.where(table["size"] > 0, "yes", "no")
    table.loc[:2, "label"] = np.where(table["size"][:3] > 0, "no", "yes")
    return table


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with train.csv, val.csv and train.parquet of the same rows."""
    monkeypatch.chdir(tmp_path)
    frame().to_csv("train.csv", index=False)
    frame().to_parquet("train.parquet", index=False)
    frame(40, seed=1).to_csv("val.csv", index=False)
    return tmp_path


@pytest.fixture
def cli(tables: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Call `lossval` in this process, in the directory of `tables`."""

    def call(*arguments: str, stdin: bytes = b"", terminal: bool = False) -> Outcome:
        out, err = _Stream(terminal=terminal), _Stream(terminal=terminal)
        source = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            patch.setattr(sys, "stdin", source)
            patch.setenv("COLUMNS", "80")
            code = main(list(arguments))
        return Outcome(code, out.written(), err.written().decode())

    return call


@pytest.fixture(scope="session")
def past_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what `scored` has made."""
    return tmp_path_factory.mktemp("past_runs")


@pytest.fixture
def scored(cli: Callable[..., Outcome], past_runs: Path) -> Callable[..., None]:
    """Call `lossval score`; where it was called before on the same files, copy what it made: tests that need a run
    of their own, whichever, do not train it again."""

    def call(*arguments: str) -> None:
        here = {path.name for path in Path().iterdir()}
        key = sha256(repr((arguments, sorted(here))).encode())
        for name in sorted(here):
            key.update(Path(name).read_bytes() if Path(name).is_file() else b"")
        kept = past_runs / key.hexdigest()
        if not kept.is_dir():
            outcome = cli("score", *arguments)
            assert outcome.code == 0, outcome.err
            kept.mkdir()
            for path in Path().iterdir():
                if path.name not in here:
                    shutil.copytree(path, kept / path.name)
            return
        shutil.copytree(kept, Path(), dirs_exist_ok=True)

    return call


@pytest.fixture
def quick() -> tuple[str, ...]:
    """Options that make training short."""
    return QUICK


@pytest.fixture
def everything_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table that can stay in its file does, however small."""
    monkeypatch.setattr(streaming, "FEWEST_BYTES", 0)
    monkeypatch.setattr(memory, "spare_memory", lambda: 10**12)
    monkeypatch.setattr(MemoryEstimate, "resident", lambda *_: 10**13)
