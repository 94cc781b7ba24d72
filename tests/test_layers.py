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
    ("wording", "score_columns", "toml_text"),
    ("settings", "tables.column_types", "tables.sources", "tables.csv_layout"),
    ("tables.arrow_sizes", "tables.parquet_sizes"),
    ("tables.parquet_parts",),
    ("tables.arrow_parts",),
    ("tables.csv_reading", "tables.parquet_reading", "tables.editing"),
    ("tables.stored",),
    ("tables.parquet_whole",),
    ("tables.csv_editing", "tables.parquet_editing"),
    ("tables.table",),
    (
        "encoding.identifiers",
        "encoding.encoders",
        "method.losses",
        "method.devices",
        "method.densities",
        "method.neighbours",
        "method.metrics",
        "method.acquisition",
        "method.team",
        "method.watch",
    ),
    ("encoding.roles",),
    ("encoding.encoder", "encoding.labels", "encoding.footprint"),
    ("encoding.encoded_file",),
    ("method.rows",),
    (
        "method.transport",
        "method.network",
        "method.optimizer",
        "method.objective",
        "method.mixture",
        "method.relevance",
        "method.surprise",
        "method.totals",
    ),
    ("method.state", "method.anchors"),
    ("method.training", "method.paper", "method.noise"),
    ("encoding.room",),
    ("encoding.inputs",),
    ("method.valuation", "method.foresight"),
    ("method.importance",),
    ("method.removal_plan", "method.advice"),
    ("method.removal",),
    ("report.findings",),
    ("report.build",),
    ("report.display", "report.phrases", "report.plots"),
    ("report.render_html", "report.render_markdown"),
    ("outputs",),
    ("runs.run_record", "runs.shape", "runs.run_directory", "runs.resources"),
    ("gate.verdicts",),
    ("gate.rules", "runs.past_run"),
    ("gate.facts", "runs.comparison", "runs.original", "runs.relabelling"),
    ("runs.cleaning", "runs.candidates"),
    ("gate.formats",),
    ("calibration.planting", "calibration.thresholds"),
    ("calibration.trials",),
    ("calibration.counts",),
    ("calibration.choice",),
    ("calibration.outcome",),
    ("calibration.render",),
    ("pipeline",),
    ("api",),
    ("cli", "__main__"),
)
"""A module may import from its own layer and from those above it here, never from below."""


def imported(path: Path) -> set[str]:
    """Modules of ours that a file imports, wherever in it, types aside: `folder.module`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if not (isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lossval_cli")):
            continue
        module = node.module.removeprefix("lossval_cli").lstrip(".")
        folder = (PACKAGE / module.replace(".", "/")).is_dir()
        found |= {f"{module}.{name.name}".lstrip(".") for name in node.names} if folder else {module}
    return found


def height(module: str) -> int | None:
    """Where a module stands: by its own name, or by that of the folder it lies in."""
    place = {name: height for height, names in enumerate(LAYERS) for name in names}
    parts = module.split(".")
    return next(
        (place[name] for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in place), None
    )


MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent.name == "cli"
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_from_above(path: Path) -> None:
    own = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
    here = height(own)
    assert here is not None, f"put {own} into LAYERS of {Path(__file__).name}"
    places = {name: height(name) for name in imported(path)}
    below = {name for name, there in places.items() if there is None or there > here}
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
