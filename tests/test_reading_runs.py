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
    "review": ("review", "train.lossval", "--export", "suspects.csv"),
    "validate": ("validate", "train.csv", "--val", "val.csv"),
    "acquire": ("acquire", "val.csv", "--run", "train.lossval", "-n", "2", "-o", "next.csv", "-q"),
}
"""Command lines that train no network; the last two look for copies and leaks, and predict, with scikit-learn."""

CODE = """
import json, sys
from lossval_cli.cli import main
for name, line in json.loads(sys.argv[1]).items():
    print(name, main(line), *sorted({"torch", "sklearn", "scipy"} & set(sys.modules)), file=sys.stderr)
import lossval_cli.review.server
print("server", "torch" in sys.modules, file=sys.stderr)
"""


def test_reading_loads_no_training(scored: Callable[..., None], quick: tuple[str, ...], tables: Path) -> None:
    """In one process, one after the other: what one loads, all later ones have."""
    scored("train.csv", "--val", "val.csv", *quick, "-q")
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(COMMANDS)], cwd=tables, capture_output=True, text=True, check=True
    )
    loaded = [line for line in done.stderr.splitlines() if line.partition(" ")[0] in {*COMMANDS, "server"}]
    first = ["check 0", "diff 0", "report 0", "clean 0", "review 0 scipy"]
    assert loaded == [*first, "validate 0 scipy sklearn", "acquire 0 scipy sklearn", "server False"], done.stderr
