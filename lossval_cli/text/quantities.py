"""Quantities as people write them: shares (`5%`), durations (`90s`, `10m`), sizes (`2GB`)."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import NamedTuple

from lossval_cli.errors import UsageError

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?", re.IGNORECASE)


class Quantity(NamedTuple):
    """A number as it was written, exactly; of `5%` it is 1/20."""

    number: Fraction
    is_percent: bool


def parse_quantity(text: str) -> Quantity:
    """Parse `5%`, `0.05`, `20` or `1e-3`; ValueError for anything else."""
    digits, percent = text.strip(), text.strip().endswith("%")
    digits = digits.removesuffix("%").strip()
    if not _NUMBER.fullmatch(digits):
        raise ValueError(f"{text!r} is not a number or a share")
    return Quantity(Fraction(digits) / (100 if percent else 1), percent)


def parse_share(text: str) -> Fraction:
    """Parse `5%` or `0.05` as a share from 0 to 1; ValueError, in words that follow what it is a share of.

    A bare `1` is refused: it may be meant as 1% or as 100%.
    """
    try:
        number, is_percent = parse_quantity(text)
    except ValueError:
        raise ValueError(f"must be a share such as 5% or 0.05, not {text!r}") from None
    if not 0 <= number <= 1:
        raise ValueError(f"must be a share from 0% to 100%, not {text!r}")
    if number == 1 and not is_percent:
        raise ValueError(f"is ambiguous: {text!r} may mean 1% or 100%; write the % sign")
    return number


def read_seconds(option: str, text: str) -> float:
    """Parse `90s`, `10m`, `1.5h`, or a number of seconds; UsageError names `option`."""
    number, unit = _split(text)
    if unit not in _SECONDS or not number > 0:
        raise UsageError(f"{option} {text!r}: give a duration such as 90s, 10m or 1.5h")
    return number * _SECONDS[unit]


def read_bytes(option: str, text: str) -> int:
    """Parse `2GB`, `500MB` (powers of 1000), `2GiB` (of 1024), or a number of bytes; UsageError names `option`."""
    number, unit = _split(text)
    letter = unit.removesuffix("b").removesuffix("i") if unit != "b" else unit
    if letter not in _BYTES or not number > 0:
        raise UsageError(f"{option} {text!r}: give a size such as 2GB or 500MB")
    base = 1024 if unit.removesuffix("b").endswith("i") else 1000
    return int(number * base ** round(math.log(_BYTES[letter], 1000)))


def _split(text: str) -> tuple[float, str]:
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-zA-Z]*)\s*", text)
    return (float(found[1]), found[2].lower()) if found else (math.nan, "?")
