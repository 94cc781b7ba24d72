"""Objects of the user's own in settings: a loss or a model, by `package.module:name`, or given in Python.

A name IMPORTS AND RUNS the user's code: the module is looked for where Python looks, then in the current
directory. What fails in it is reported as theirs, with file and line.
"""

from __future__ import annotations

import importlib
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any

from lossval_cli.errors import SettingsError

_OURS = str(Path(__file__).parent)
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


FAILURES = (Exception, SystemExit)
"""What the user's code may raise: a script that ends in sys.exit(0) must not pass for success."""


class Given(str):
    """The text of a setting that stands for an object given in Python: what reports and checkpoints show."""

    value: Any

    def __new__(cls, value: Any) -> Given:
        """Name the value `module:name` after the object or its class."""
        named = value if hasattr(value, "__qualname__") else type(value)
        text = super().__new__(cls, f"{named.__module__}:{named.__qualname__}")
        text.value = value
        return text

    def __deepcopy__(self, memo: dict[int, Any]) -> str:
        return str(self)


def load_object(spec: str, setting: str) -> Any:
    """The object that a setting means: that of `Given`, or what `package.module:name` imports.

    Raises SettingsError, one line that begins with the name of the setting.
    """
    if isinstance(spec, Given):
        return spec.value
    module_name, _, attribute = spec.partition(":")
    if not (all(part.isidentifier() for part in module_name.split(".")) and attribute.isidentifier()):
        raise SettingsError([f"{setting}: {spec!r} does not read as package.module:name"])
    # Last, so that a file beside the table cannot stand in for an installed package.
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except FAILURES as error:
        raise SettingsError([f"{setting}: cannot load {spec!r}: {describe_error(error)}"]) from error
    finally:
        if added and here in sys.path:
            sys.path.remove(here)


def describe_error(error: BaseException) -> str:
    """An error of the user's code in one line: its kind, its first line, and where in their code it was raised."""
    first_line = (str(error).splitlines() or ["no message"])[0]
    text = f"{type(error).__name__}: {first_line}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_theirs(frame.filename)]
    return text if not frames else f"{text} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"


def _is_theirs(filename: str) -> bool:
    return not filename.startswith((_OURS, "<", *_LIBRARIES))
