"""Text that holds cells of the user's table and still is nothing but text, whoever reads it.

GitHub's runner looks for `##[command]` anywhere in a line that a step prints and for `::command::` at its
start, whatever the format of the line; so no format may print the first, and all begin lines with words of
their own.
"""

from __future__ import annotations

import json
from typing import Any

from lossval_cli.text.format import escape_control


def escape_ci(text: str) -> str:
    """`text` on one line, without control characters and without what a runner takes for a command."""
    return escape_control(text).replace("##[", "## [")


def escape_ci_json(value: Any) -> str:
    """Indented JSON in ASCII, in which `##[` is written with an escape."""
    text = json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False)
    return text.replace("##[", "#\\u0023[") + "\n"
