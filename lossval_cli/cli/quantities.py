"""Durations and sizes as people write them: `90s`, `10m`, `2GB`."""

from __future__ import annotations

import math
import re

from lossval_cli.errors import UsageError

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def read_seconds(option: str, text: str) -> float:
    """`90s`, `10m`, `1.5h`, or a number of seconds; UsageError names `option`."""
    number, unit = _split(text)
    if unit not in _SECONDS or not number > 0:
        raise UsageError(f"{option} {text!r}: give a duration such as 90s, 10m or 1.5h")
    return number * _SECONDS[unit]


def read_bytes(option: str, text: str) -> int:
    """`2GB`, `500MB` (powers of 1000), `2GiB` (of 1024), or a number of bytes; UsageError names `option`."""
    number, unit = _split(text)
    letter = unit.removesuffix("b").removesuffix("i") if unit != "b" else unit
    if letter not in _BYTES or not number > 0:
        raise UsageError(f"{option} {text!r}: give a size such as 2GB or 500MB")
    base = 1024 if unit.removesuffix("b").endswith("i") else 1000
    return int(number * base ** round(math.log(_BYTES[letter], 1000)))


def _split(text: str) -> tuple[float, str]:
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-zA-Z]*)\s*", text)
    return (float(found[1]), found[2].lower()) if found else (math.nan, "?")
