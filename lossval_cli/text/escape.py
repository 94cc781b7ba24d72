"""Escaping: cells of the user's table stay plain text in terminals, Markdown, CI logs and spreadsheets.

GitHub's runner looks for `##[command]` anywhere in a line that a step prints and for `::command::` at its
start, whatever the format of the line; so no format may print the first, and all begin lines with words of
their own.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from lossval_cli.text.format import escape_control

FORMULA_STARTS = r"=+\-@\t\r\n＝＋－＠"
PLAIN_NUMBER = r"[+\-]?(\d+\.?\d*|\.\d+)([eE][+\-]?\d+)?"
"""A spreadsheet evaluates a cell that begins with one of the first, less what is plainly a number: -1.5 as a label
stays a label."""


def escape_ci(text: str) -> str:
    """Return `text` on one line, without control characters and without what a runner takes for a command."""
    return break_commands(escape_control(text))


def break_commands(text: str) -> str:
    """Return `text` without what GitHub's runner takes for a command wherever in a line it stands."""
    return text.replace("##[", "## [")


def escape_ci_json(value: Any) -> str:
    """Indented JSON in ASCII, in which `##[` is written with an escape."""
    text = json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False)
    return text.replace("##[", "#\\u0023[") + "\n"


def shell_word(path: str) -> str:
    """Return `path` as one word of a command that a POSIX shell, or bash where it holds control characters, reads back
    as it is. A path that begins with a hyphen is not taken for an option."""
    if path.startswith("-") and path != "-":
        path = f"./{path}"
    if escape_control(path) == path and "##[" not in path:
        return shlex.quote(path)
    data = path.encode("utf-8", "surrogateescape")
    # ANSI-C quoting: printable ASCII as it is, everything else byte by byte.
    plain = [chr(byte) if 32 <= byte < 127 and chr(byte) not in "'\\#" else f"\\x{byte:02x}" for byte in data]
    return f"$'{''.join(plain)}'"
