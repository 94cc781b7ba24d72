"""What sets settings: presets, TOML files, the `[tool.lossval]` table of pyproject.toml, and `key=value`."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lossval_cli.errors import UsageError, system_reason
from lossval_cli.limits import MAX_SETTINGS_BYTES, read_small
from lossval_cli.text.format import did_you_mean, escape_control

PRESET_DIRECTORIES = (Path(__file__).parent / "configs", Path(__file__).parent.parent / "configs")
"""Where the presets lie: inside the installed package, or beside it in a checkout."""

CHECK_TABLE = "check"
"""Table of a settings file that `lossval check` reads."""

COLUMNS_TABLE = "columns"
"""Table of a settings file that says what columns are: `features.table_options` reads it."""

EFFORTS: dict[str, dict[str, object]] = {
    "low": {"members": 4, "folds": 4},
    "default": {},
    "high": {"members": 32, "folds": 8},
}
"""What each effort sets, unless a preset, a file or an option does."""

Origin = Literal["built in", "effort", "preset", "file", "given"]
"""Where a setting is from: nowhere else, the effort, the preset, a settings file, or an option."""


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


def read_layers(
    preset: str | None,
    config: str | Path | Mapping[str, object] | None,
    overrides: Mapping[str, object] | Sequence[str],
    problems: list[str],
) -> dict[Origin, dict[str, object]]:
    """Settings as they are given, by where they are from: a later layer over an earlier one. What is wrong with
    `overrides` is added to `problems`."""
    given = dict(overrides) if isinstance(overrides, Mapping) else _split(overrides, problems)
    from_file = read_toml(Path(config)) if isinstance(config, str | Path) else dict(config or {})
    for table in (CHECK_TABLE, COLUMNS_TABLE):
        if isinstance(from_file.get(table), Mapping):
            del from_file[table]
    name = str(given.get("preset") or preset or from_file.get("preset") or "default")
    named = {"preset": name}
    layers: dict[Origin, dict[str, object]] = {
        "effort": {},
        "preset": read_toml(preset_path(name)) | named,
        "file": from_file,
        "given": given,
    }
    if preset or given.get("preset"):
        layers["given"] |= named
    asked = {key: value for layer in layers.values() for key, value in layer.items()}
    layers["effort"] = dict(EFFORTS.get(str(asked.get("effort")), {}))
    if "members" in asked:
        layers["effort"].pop("folds", None)  # there may be more of them than members
    return layers


def _split(pairs: Sequence[str], problems: list[str]) -> dict[str, object]:
    """Return `key=value` texts as a dict; those without `=` are added to `problems`."""
    values: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            problems.append(f"--set {pair!r} is not of the form key=value")
        else:
            values[key.strip().replace("-", "_")] = value.strip()
    return values
