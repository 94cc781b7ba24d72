"""Data flows one way, and `lossval --help` waits for nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import lossval_cli

PACKAGE = Path(lossval_cli.__file__).parent

LAYERS = (
    ("errors", "version"),
    ("limits", "score_columns", "toml_text"),
    ("text",),
    ("own_code",),
    ("presets",),
    ("settings", "losses", "metrics"),
    ("tables",),
    ("runtime",),
    ("features",),
    ("noise",),
    ("lossval",),
    ("models",),
    ("ranking", "removal"),
    ("report",),
    ("runs",),
    ("result",),
    ("pipeline", "torch_inputs"),
    ("calibration", "checks", "review", "torch"),
    ("api", "api_commands"),
    ("sklearn",),
    ("cli",),
    ("__main__",),
)
"""A room may import from the rooms above it here and from itself, never from below."""


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported(path: Path) -> set[str]:
    """Modules of ours that a file imports, wherever in it, types aside: `folder.module`."""
    types = {
        id(part)
        for node in nodes(path)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for part in node.body
    }
    found = set()
    for node in nodes(path):
        if id(node) in types:
            continue
        if not (isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lossval_cli")):
            continue
        module = node.module.removeprefix("lossval_cli").lstrip(".")
        folder = (PACKAGE / module.replace(".", "/")).is_dir()
        found |= {f"{module}.{name.name}".lstrip(".") for name in node.names} if folder else {module}
    return found


HEIGHT = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}


def room(module: str) -> str:
    """The folder, or the file at the top level, that a module lies in."""
    return module.split(".")[0]


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent.name == "cli")


def test_no_room_imports_from_one_below_it() -> None:
    upward = []
    for path in MODULES:
        own = room(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
        assert own in HEIGHT, f"add {own} to LAYERS of {Path(__file__).name}"
        for module in imported(path):
            if room(module) != own and HEIGHT[room(module)] >= HEIGHT[own]:
                upward.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert upward == []


def test_no_function_takes_more_than_ten_arguments() -> None:
    """Longer lists become an object that is named for what belongs together."""
    long = []
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                if len([name for name in names if name not in ("self", "cls")]) > 10:
                    long.append(f"{path.relative_to(PACKAGE)}: {node.name}")
    assert long == []


@pytest.mark.parametrize("module", ["lossval_cli", "lossval_cli.cli"])
def test_importing_the_command_line_brings_nothing_heavy(module: str) -> None:
    code = (
        f"import {module}, sys\n"
        "heavy = {'torch', 'pandas', 'pyarrow', 'numpy', 'sklearn', 'scipy', 'jinja2', 'rich'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == ""


def test_public_names() -> None:
    commands = ["acquire", "calibrate", "check", "diff", "score"]
    assert lossval_cli.__all__ == ["LossvalError", "LossvalWarning", "Result", "__version__", *commands]
    for name in lossval_cli.__all__:
        assert getattr(lossval_cli, name) is not None
    assert set(lossval_cli.__all__) <= set(dir(lossval_cli))
    with pytest.raises(AttributeError, match="has no attribute 'scores'"):
        _ = lossval_cli.scores
