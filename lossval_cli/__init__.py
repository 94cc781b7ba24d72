"""lossval: which rows of a table help, which hurt, and which labels are wrong."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lossval_cli.errors import LossvalError, LossvalWarning
from lossval_cli.version import __version__

if TYPE_CHECKING:
    from lossval_cli.api import score
    from lossval_cli.api_commands import acquire, calibrate, check, diff
    from lossval_cli.result import Result

__all__ = ["LossvalError", "LossvalWarning", "Result", "__version__", "acquire", "calibrate", "check", "diff", "score"]

_LAZY = {
    "Result": "lossval_cli.result",
    "score": "lossval_cli.api",
    **dict.fromkeys(("acquire", "calibrate", "check", "diff"), "lossval_cli.api_commands"),
}
"""Imported on first use: they bring PyTorch, and `lossval --help` must not wait for it."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
