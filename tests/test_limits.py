"""A small hostile file takes little memory: refused by limits that the message announces."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import PYTHON, Outcome

from tests.fuzz.bombs import bomb

pytestmark = pytest.mark.slow

MOST_MIB = 600
"""What meeting all files takes above what the imports take."""

TOO_DEEP = "too deeply nested" if int(pa.__version__.split(".")[0]) > 20 else "every row has the same vector"
"""Older versions read any depth; what is in such a column does not matter either way."""


def _zstd(text: bytes) -> bytes:
    return pa.Codec("zstd", compression_level=12).compress(text, asbytes=True)


def _parquet(rows: int, **columns: object) -> bytes:
    sink = io.BytesIO()
    table = pa.table({**columns, "label": pa.array(np.arange(rows) % 2, pa.int8())})
    pq.write_table(table, sink, compression="zstd", store_schema=False)
    return sink.getvalue()


def _nested(depth: int) -> bytes:
    kind = pa.int32()
    for _ in range(depth):
        kind = pa.list_(kind)
    return _parquet(20, a=pa.nulls(20, kind))


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "rows.csv.gz": (
        lambda: gzip.compress(b"a,label\n" + b"1,x\n2,y\n" * (4 << 20), 9),
        "would grow from",
    ),
    "rows.csv.bz2": (
        lambda: bz2.compress(b"a,label\n") + bz2.compress(b"1,x\n2,y\n" * (1 << 16)) * 48,
        "more than 16,777,216",
    ),
    "rows.csv.zst": (lambda: _zstd(b"a,label\n" + b"1,x\n2,y\n" * (16 << 20)), "more than 16,777,216"),
    "blank.csv.zst": (lambda: _zstd(b"a,label\n" + b"\n" * (15 << 20) + b"1,x\n" * 9), "are needed"),
    "names.csv.zst": (lambda: _zstd(b"a" + b",b" * (7 << 20) + b"\n1\n"), "columns; at most 20,000 are read"),
    "wide.csv.zst": (
        lambda: _zstd(b",".join(b"%d" % i for i in range(10**6)) + b"\n1\n"),
        "1,000,000 columns",
    ),
    "cell.csv": (lambda: b'a,label\n"' + b"x" * (17 << 20) + b'",1\n', "at most 16,777,216 are read"),
    "fixed.parquet": (
        lambda: _parquet(2_000, a=pa.array([b"x" * 50_000] * 2_000, pa.binary(50_000))),
        "more than 67,108,864",
    ),
    "rows.parquet": (lambda: _parquet(9_000_000), "more than 67,108,864"),
    "list.parquet": (
        lambda: _parquet(20, a=pa.array([[0] * 200_000] * 20, pa.list_(pa.int8())), b=pa.array(np.zeros(20, np.int8))),
        "every row has the same vector",
    ),
    "deeper.parquet": (lambda: _nested(1_500), TOO_DEEP),
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is counted in kilobytes on Linux")
def test_bombs_are_refused_and_memory_stays_bounded(tmp_path: Path, fork_server: None) -> None:
    for name, (make, _) in BOMBS.items():
        Path(tmp_path, name).write_bytes(make())
    # VmHWM: what rusage tells of a child is no less than what its parent had.
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from lossval_cli.cli import main\n"
        "import lossval_cli.pipeline\n"
        "def peak():\n"
        "    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    return int(next(line.split()[1] for line in lines if line.startswith('VmHWM')))\n"
        "before = peak()\n"
        "code = main(['validate', *sys.argv[1:]])\n"
        "print(peak() - before)\n"
        "sys.exit(code)"
    )
    command = [*PYTHON, "-c", code, *BOMBS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    for (name, (_, message)), line in zip(BOMBS.items(), done.stderr.splitlines(), strict=True):
        assert line.startswith(f"error: {name}"), line
        assert message in line
    assert int(done.stdout.split()[-1]) >> 10 < MOST_MIB


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no /dev/zero")
def test_what_never_ends_is_not_read_to_its_end(
    cli: Callable[..., Outcome], once: Callable[..., Outcome], quick: tuple[str, ...]
) -> None:
    """As settings, thresholds or a part of a run, by its name or through a link."""
    for option in ("--config", "--thresholds"):
        refused = cli("score", "train.csv", option, "/dev/zero")
        assert refused.code == 2 and "/dev/zero: larger than 1,048,576 bytes\n" in refused.err
    once("score", "train.csv", *quick, "-q")
    for part in ("report.json", "run.json"):
        Path("train.lossval", part).unlink()
        os.symlink("/dev/zero", Path("train.lossval", part))
        refused = cli("check", "train.lossval")
        assert refused.code == 2 and refused.err.startswith("error: train.lossval"), refused.err


def test_scores_of_a_run_are_read_within_the_limits(
    cli: Callable[..., Outcome], once: Callable[..., Outcome], quick: tuple[str, ...]
) -> None:
    once("score", "train.parquet", *quick, "-q")
    Path("train.lossval/scores.parquet").write_bytes(bomb("text.parquet"))
    refused = cli("check", "train.lossval")
    assert refused.code == 2 and "would grow from" in refused.err


def test_settings_and_rules_of_a_pipe_are_read_once(
    cli: Callable[..., Outcome], once: Callable[..., Outcome], quick: tuple[str, ...]
) -> None:
    """`check RUN_DIR --config <(command)`: rules that were read as settings are still rules."""
    once("score", "train.csv", *quick, "-q")
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_text('[check]\nmax_suspects = "7%"\n'))
    writer.start()
    outcome = cli("check", "train.lossval", "--config", "pipe")
    writer.join()
    assert "at most 7%" in outcome.out, outcome.err
