"""Files of settings: presets, TOML files and the `[tool.lossval]` table of pyproject.toml."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any

from lossval_cli.errors import UsageError, system_reason
from lossval_cli.limits import MAX_SETTINGS_BYTES, read_small
from lossval_cli.text.format import did_you_mean, escape_control

PRESET_DIRECTORIES = (Path(__file__).parent / "configs", Path(__file__).parent.parent / "configs")
"""Where the presets lie: inside the installed package, or beside it in a checkout."""


def preset_names() -> list[str]:
    """The presets that are installed, default first."""
    names = {path.stem for directory in PRESET_DIRECTORIES for path in directory.glob("*.toml")}
    return sorted(names, key=lambda name: (name != "default", name))


def preset_path(name: str) -> Path:
    """The file of a preset; UsageError with the nearest name if there is none."""
    names = preset_names()
    if name not in names:
        hint = did_you_mean(name, names) or f"presets are {', '.join(names)}"
        raise UsageError(f"preset {name!r} is unknown: {hint}")
    return next(path for folder in PRESET_DIRECTORIES if (path := folder / f"{name}.toml").is_file())


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file of settings; UsageError if it is not there or not TOML."""
    return parse_toml(read_settings(path), path)


def read_settings(path: Path, what: str = "settings file") -> bytes:
    """The bytes of a file of settings; UsageError if it is not there or too large for one."""
    try:
        return read_small(path, MAX_SETTINGS_BYTES) if path.is_file() else _read_once(path)
    except OSError as error:
        raise UsageError(f"{what} {escape_control(str(path))}: {system_reason(error)}") from error


@functools.cache
def _read_once(path: Path) -> bytes:
    """The content of a pipe or the like, which can be read only once."""
    return read_small(path, MAX_SETTINGS_BYTES)


def parse_toml(data: bytes, path: Path, what: str = "settings file") -> dict[str, Any]:
    """The content of a TOML file; UsageError if it is not TOML."""
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} {escape_control(str(path))} is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{what} {escape_control(str(path))} is not valid TOML: {error}") from error


def find_project_table(start: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return `[tool.lossval]` of the nearest pyproject.toml in `start` or above it, None where there is none."""
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            tool = read_toml(path).get("tool")
            table = tool.get("lossval") if isinstance(tool, dict) else None
            return (path, table) if isinstance(table, dict) else None
    return None
