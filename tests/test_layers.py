"""Data flows one way, and `lossval --help` waits for nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lossval_cli

PACKAGE = Path(lossval_cli.__file__).parent

LAYERS = (
    ("errors", "_version", "limits"),
    ("wording",),
    ("settings", "column_types", "sources", "csv_layout"),
    ("csv_reading", "parquet_reading"),
    ("tables",),
    ("identifiers", "encoders", "losses", "devices", "densities", "metrics"),
    ("roles",),
    ("encoding", "labels"),
    ("transport", "network", "objective", "surprise"),
    ("training", "paper", "noise"),
    ("inputs",),
    ("valuation",),
    ("importance",),
    ("removal",),
    ("findings",),
    ("report",),
    ("display", "phrases", "plots"),
    ("render_html", "render_markdown"),
    ("outputs", "destination", "scores_io", "redaction", "run_record", "run_directory"),
    ("gate",),
    ("gate_rules", "past_run"),
    ("gate_result", "comparison"),
    ("gate_formats",),
    ("pipeline",),
    ("api",),
    ("cli", "__main__"),
)
"""A module may import from its own layer and from those above it here, never from below."""


def imported(path: Path) -> set[str]:
    """Names of modules of ours that a file imports, wherever in it, types aside."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    return {
        node.module.split(".")[1]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lossval_cli.")
    }


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_from_above(path: Path) -> None:
    place = {name: height for height, names in enumerate(LAYERS) for name in names}
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in place, f"put {own} into LAYERS of {Path(__file__).name}"
    below = {name for name in imported(path) if place.get(name, 99) > place[own]}
    assert not below, f"{own} imports from below it: {', '.join(sorted(below))}"


@pytest.mark.parametrize("module", ["lossval_cli", "lossval_cli.cli"])
def test_importing_the_command_line_brings_nothing_heavy(module: str) -> None:
    code = (
        f"import {module}, sys\n"
        "heavy = {'torch', 'pandas', 'pyarrow', 'numpy', 'sklearn', 'scipy', 'jinja2', 'rich'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert done.stdout.strip() == ""


def test_public_names() -> None:
    assert lossval_cli.__all__ == ["LossvalError", "Result", "__version__", "score"]
    for name in lossval_cli.__all__:
        assert getattr(lossval_cli, name) is not None
    assert set(lossval_cli.__all__) <= set(dir(lossval_cli))
    with pytest.raises(AttributeError, match="has no attribute 'scores'"):
        _ = lossval_cli.scores
