"""Values that are probably one value spelled in several ways: they are never merged, but a notice names them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from lossval_cli.text.format import pluralize, quote

MOST_VALUES: Final = 5_000
"""Different values of a column above which it is not one of levels, and is not looked through."""

_SHOWN: Final = 3
_INVISIBLE: Final = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e\u200f"))
_LOOK_ALIKES: Final = _INVISIBLE | str.maketrans(
    dict(zip("авеёзикмнорстухгіјѕԁԛԝһ", "abeë3nkmhopctyxrijsdqwh", strict=True))
    | dict(zip("αβεικνορτυχ", "abeiknoptux", strict=True))
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212_", "-")
    | dict.fromkeys("\u2018\u2019\u00b4`", "'")
    | dict.fromkeys("\u201c\u201d\u00ab\u00bb\u201e", '"')
)

_HYPHEN: Final = re.compile(r"(?<=[^\W\d])-(?=[^\W\d])")
"""Between two letters."""


def find_variants(values: Iterable[str]) -> list[list[str]]:
    """Groups of different values that differ in letter case, blanks, invisible or look-alike characters, hyphens, the
    composition of letters, or a point at the end. Nothing for more than MOST_VALUES values."""
    distinct = list(dict.fromkeys(values))
    if len(distinct) > MOST_VALUES:
        return []
    groups: dict[str, list[str]] = {}
    for value in distinct:
        groups.setdefault(_folded(value), []).append(value)
    return [group for group in groups.values() if len(group) > 1]


def respelled(new: Iterable[str], known: Iterable[str]) -> str:
    """A remark on the first of the new values that is a known one in another spelling, or ''."""
    known = dict.fromkeys(known)
    for group in find_variants([*known, *new]):
        old, other = [value for value in group if value in known], [value for value in group if value not in known]
        if old and other:
            return f"{quote(other[0])} and {quote(old[0])} differ in spelling only"
    return ""


def same_names(wanted: Iterable[str], present: Sequence[str]) -> dict[str, str]:
    """Map each wanted name that is not present to the one name that is and reads the same: its accents are composed
    otherwise, or it has invisible characters."""
    like: dict[str, list[str]] = {}
    for name in present:
        like.setdefault(_readable(name), []).append(name)
    found = {name: like.get(_readable(name), []) for name in wanted if name not in present}
    return {name: names[0] for name, names in found.items() if len(names) == 1}


def look_alike_names(names: Iterable[str]) -> list[str]:
    """Return one notice that names the columns which the eye cannot tell apart, or none."""
    like: dict[str, list[str]] = {}
    for name in names:
        like.setdefault(_readable(name), []).append(name)
    doubled = ["/".join(dict.fromkeys(map(ascii, group))) for group in like.values() if len(group) > 1]
    return [f"columns that look alike have different names: {', '.join(doubled[:_SHOWN])}"] if doubled else []


def _readable(name: str) -> str:
    bare = unicodedata.normalize("NFC", name.translate(_INVISIBLE))
    return " ".join(bare.split())


def describe_variants(what: str, groups: list[list[str]], noun: str) -> list[str]:
    """Return one notice that names the variants, or none. what: the column; noun: classes or levels."""
    if not groups:
        return []
    shown = "; ".join(" and ".join(_quote_exactly(value, group) for value in group[:4]) for group in groups[:_SHOWN])
    more = f" and {pluralize(len(groups) - _SHOWN, 'more group')}" if len(groups) > _SHOWN else ""
    count = sum(map(len, groups))
    return [f"{what}: {shown}{more} count as {count} different {noun}: spell them alike if they are the same"]


def _folded(value: str) -> str:
    text = unicodedata.normalize("NFKC", value).casefold().translate(_LOOK_ALIKES)
    text = _HYPHEN.sub(" ", text)
    return " ".join(text.split()).removesuffix(".") or text


def _quote_exactly(value: str, group: list[str]) -> str:
    """Return values quoted; where the eye cannot tell two values of the group apart, with the characters that differ
    spelled out."""
    plain = {"".join(unicodedata.normalize("NFKC", other).split()) for other in group}
    if value.isascii() or (len(plain) == len(group) and not any(ord(char) > 0x36F for char in value)):
        return quote(value)
    return quote(value) + " (" + value.encode("ascii", "backslashreplace").decode() + ")"
