"""Commands that only read answer at once: what training needs is not loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

COMMANDS = {
    "check": ("check", "train.lossval", "--max-suspects", "50%", "-q"),
    "diff": ("diff", "train.lossval", "train.lossval"),
    "report": ("report", "train.lossval", "-q"),
    "clean": ("clean", "train.lossval", "-o", "c.csv", "--drop", "lowest:5%", "--relabel", "-q"),
    "validate": ("validate", "train.csv", "--val", "val.csv"),
}
"""Command lines that train nothing; the last one looks for copies and leaks, with scikit-learn."""

CODE = """
import json, sys
from lossval_cli.cli import main
for name, line in json.loads(sys.argv[1]).items():
    print(name, main(line), *sorted({"torch", "sklearn", "scipy"} & set(sys.modules)), file=sys.stderr)
"""


def test_reading_loads_no_training(scored: Callable[..., None], quick: tuple[str, ...], tables: Path) -> None:
    """In one process, one after the other: what one loads, all later ones have."""
    scored("train.csv", "--val", "val.csv", *quick, "-q")
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(COMMANDS)], cwd=tables, capture_output=True, text=True, check=True
    )
    loaded = [line for line in done.stderr.splitlines() if line.partition(" ")[0] in COMMANDS]
    assert loaded == ["check 0", "diff 0", "report 0", "clean 0", "validate 0 scipy sklearn"], done.stderr
