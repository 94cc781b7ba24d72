"""What the sentences are made of: cells, numbers, lines and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossval_cli.text.format import format_number, format_percent


def location(row: Mapping[str, Any]) -> str:
    """The line of a row in its file, or its number where it has none."""
    return f"row {row['row']}" if row["line"] is None else f"line {row['line']}"


def likely(interval: Mapping[str, Any]) -> str:
    """The range in which a share lies, after its value."""
    return f"likely {format_percent(interval['low'])} to {format_percent(interval['high'])}"


def measured(value: float | None) -> str:
    """Write four significant digits; a dash for null."""
    return "–" if value is None else format_number(value)


def cell(value: object) -> str:
    """A value of the user's table as text, whatever its type."""
    if value is None:
        return "(missing)"
    return format_number(value, 6).replace(",", "") if isinstance(value, float) else str(value)
