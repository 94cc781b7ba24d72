"""Commands that only read a run answer at once: what a run was trained with is not loaded again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

pytestmark = pytest.mark.slow

READ = {
    "check": ("check", "train.lossval", "--max-suspects", "50%", "-q"),
    "diff": ("diff", "train.lossval", "train.lossval"),
    "report": ("report", "train.lossval", "-q"),
    "clean": ("clean", "train.lossval", "-o", "c.csv", "--drop", "lowest:5%", "--relabel", "-q"),
}
"""Command lines that need a run and its table, and no training."""

CODE = """
import sys
from lossval_cli.cli import main
code = main(sys.argv[1:])
print(code, *sorted({"torch", "sklearn", "scipy"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("command", READ)
def test_reading_a_run_loads_no_training(
    command: str, cli: Callable[..., Outcome], quick: tuple[str, ...], tables: Path
) -> None:
    done = cli("score", "train.csv", "--val", "val.csv", *quick, "-q")
    assert done.code == 0, done.err
    read = subprocess.run(
        [sys.executable, "-c", CODE, *READ[command]], cwd=tables, capture_output=True, text=True, check=True
    )
    assert read.stderr.splitlines()[-1] == "0", read.stderr
