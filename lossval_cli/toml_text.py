"""Settings and thresholds as TOML text, one line per key; the standard library only reads it.

tomli-w writes lists over several lines, and each line here is followed by a comment that says where its value is from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping


def toml_value(value: object) -> str:
    """Text, a number, a boolean, a list of them, or None as "auto"."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    # TOML and JSON write these alike, but for U+007F.
    text = json.dumps("auto" if value is None else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")


def toml_lines(values: Mapping[str, object]) -> list[str]:
    """A line `key = value` for each, quoted where a key is not a plain word."""
    return [f"{toml_key(key)} = {toml_value(value)}" for key, value in values.items()]


def toml_key(key: str) -> str:
    """A key as it stands before `=` and between `[` and `]`."""
    plain = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if plain else toml_value(key)
