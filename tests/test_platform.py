"""A system without locks, signals, positions and /proc of Linux still scores a table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lossval_cli
from lossval_cli.runtime import platform

HIDDEN = """
import os, signal, sys
import psutil  # knows each system; that of Linux reads /proc
sys.modules["fcntl"] = None
for name in ("preadv", "pread", "pwrite", "sysconf", "fchmod", "geteuid", "O_DIRECTORY", "O_NOFOLLOW"):
    if hasattr(os, name):
        delattr(os, name)
del signal.SIGHUP
import ctypes
true_dll = ctypes.CDLL
def no_libc(name, *args, **options):
    if name is None:
        raise TypeError("no such thing as the program itself")
    return true_dll(name, *args, **options)
ctypes.CDLL = no_libc
psutil.PROCFS_PATH = "/nowhere"
from lossval_cli.runtime import platform
from pathlib import Path
platform._CGROUP = Path("/nowhere")
from lossval_cli.cli import main
line = ["score", "train.parquet", "--effort", "low", "--set", "epochs=2", "--removal", "off", "-q", "-o", "out"]
codes = [main(line + more) for more in ([], ["--force", "--max-memory", "4GB"])]
print(codes, platform.resident_memory(), platform.free_memory(), 'torch._dynamo' in sys.modules)
"""


@pytest.mark.slow
def test_a_table_is_scored_where_the_system_has_none_of_these(tables: Path) -> None:
    """Nor does it load the compiler of PyTorch, which takes seconds."""
    environment = os.environ | {"PYTHONPATH": str(Path(lossval_cli.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", HIDDEN], env=environment, capture_output=True, text=True)
    assert done.stdout == f"[0, 0] 0 {4 * 10**9} False\n", done.stderr
    assert Path("out/run.json").is_file() and not list(Path().glob(".out*"))


def test_memory_is_what_the_system_says() -> None:
    assert 10 * 2**20 < platform.resident_memory() < 2**40
    assert 0 < platform.free_memory() < 2**50


@pytest.mark.skipif(platform.fcntl is None, reason="no locks")
def test_a_locked_directory_is_in_use_until_it_is_unlocked(tmp_path: Path) -> None:
    lock = platform.lock_directory(tmp_path)
    with pytest.raises(OSError):
        platform.lock_abandoned(tmp_path)
    platform.unlock(lock)
    platform.unlock(platform.lock_abandoned(tmp_path))
