"""Values, shares, numbers and column names as text for messages and reports."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from lossval_cli.errors import SchemaError

_LONGEST = 40
_LONGEST_PATH = 200
"""Paths are there to be copied."""

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs, for Python, of which nothing is to be seen."""


def quote(value: object, longest: int = _LONGEST) -> str:
    """Write one value on one line: quoted, control characters escaped, cut to `longest` characters."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= longest else text[: longest - 1] + "…")


def show(value: object) -> str:
    """A Python value as `repr` writes it, on one line and cut to 80 characters."""
    text = escape_control(" ".join(repr(value).split()))
    return text if len(text) <= 80 else text[:79] + "…"


def join_names(names: Iterable[str], limit: int = 8) -> str:
    """Column names joined by commas, at most `limit` of them and then how many more there are."""
    every = list(names)
    head = ", ".join(format_name(name) for name in every[:limit])
    return head if len(every) <= limit else f"{head} and {len(every) - limit} more"


def format_name(name: str) -> str:
    """A name without quotes where it reads as one word or phrase, quoted and escaped where it does not; cut
    where it is long, which of a path it seldom is."""
    longest = _LONGEST_PATH if "/" in name else _LONGEST
    is_plain = name and name == name.strip() and name.isprintable() and "," not in name
    return name if is_plain and len(name) <= longest else quote(name, longest)


def escape_control(text: str) -> str:
    """Return `text` on one line, with control, direction-changing and invisible characters spelled out (`\\x1b`,
    `\\n`)."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char.isprintable() and char not in _BLANK else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def pluralize(count: int, noun: str) -> str:
    """A number with its noun: `1 column`, `2 columns`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_percent(share: float | None, digits: int = 1) -> str:
    """0.0312 -> 3.1%, 0.03 -> 3%, 0.00002 -> under 0.1%, 0.99998 -> over 99.9%; a dash for None."""
    if share is None:
        return "–"
    text = f"{100 * share:.{digits}f}"
    if 0 < share < 10 ** (-digits - 2):
        return f"under {10.0**-digits:g}%"
    if share < 1 and float(text) == 100:
        return f"over {100 - 10.0**-digits:g}%"
    return text.removesuffix(".0") + "%"


def format_number(value: float, digits: int = 4, sign: str = "-") -> str:
    """A number of so many significant digits, but large ones to the unit: `0.01235`, `2,429,808`.

    sign: `+` for a change.
    """
    large = 10**digits <= abs(value) < 1e9
    return f"{value:{sign},.0f}" if large else f"{value:{sign}.{digits}g}"


def format_duration(seconds: float) -> str:
    """Return `45 s`, `12 minutes`, `2.5 hours`; at least a second."""
    for unit, size in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}" if seconds >= 10 * size else f"{seconds / size:.1f} {unit}"
    return f"{max(1, round(seconds))} s"


def duplicate_names(table: str, names: Sequence[str]) -> SchemaError:
    """The error for a table (its name as `format_name` writes it) that has columns of one name."""
    count = pluralize(len(names), "column name")
    return SchemaError(f"{table} has {count} more than once: {join_names(names)}; rename them")


def closest_name(name: str, options: Sequence[str]) -> str | None:
    """The option most like `name`, letter case aside, or None when nothing is near."""
    folded = {option.casefold(): option for option in reversed(options)}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def did_you_mean(name: str, options: Iterable[str], before: str = "") -> str:
    """`before` and a question for the option most like `name`; nothing where none is near."""
    near = closest_name(name, list(options))
    return f"{before}did you mean {format_name(near)}?" if near else ""
