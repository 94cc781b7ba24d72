"""Are the classes steps of a scale: low < medium < high? Which of two ends is the higher does not matter, only what
lies between.

Only what is certain is decided: a table that declares an order, words of a known scale, ranges of numbers, numbers in
a column that is called grade or rating. Numbers alone may be names (0 to 9 of digits): `--ordered` says that they
are steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from lossval_cli.errors import UsageError
from lossval_cli.text.format import format_name, join_names, quote

FEWEST_CLASSES = 3
"""Two classes are next to each other in any order."""

SCALES = (
    "none|no, very low|lowest, low|lower, medium|moderate|middle|mid|average, high|higher, very high|highest, critical",
    "never, rarely|seldom, sometimes|occasionally, often|frequently, usually, always",
    "strongly disagree, disagree, neutral|neither|neither agree nor disagree|undecided, agree, strongly agree",
    "very dissatisfied, dissatisfied, neutral, satisfied, very satisfied",
    "very unlikely, unlikely, neutral, likely, very likely",
    "very negative, negative, neutral, positive, very positive",
    "terrible|awful|very bad|very poor, bad|poor|unacceptable|unacc, fair|average|neutral|ok|okay|acceptable|acc, "
    "good, very good|vgood, excellent|outstanding",
    "fail|insufficient, sufficient|pass, satisfactory, good, very good, excellent|distinction",
    "extra small|xs, small|s, medium|m, large|l, extra large|xl, xxl, xxxl",
    "none|no|absent|healthy, minimal|trace|very mild, mild|slight|light|minor, moderate|medium, "
    "severe|major|serious, critical|extreme|very severe, fatal",
    "beginner|novice, elementary|basic, intermediate, advanced, expert",
    "first|1st, second|2nd, third|3rd, fourth|4th, fifth|5th",
    "a+, a, a-, b+, b, b-, c+, c, c-, d+, d, d-, e, f",
    "aaa, aa, a, bbb, bb, b, ccc, cc, c, d",
)
"""One scale a line, each step with the words for it."""

LETTERS = re.compile(r"[a-z]")
"""Single letters are grades in a column that is called so; elsewhere they may be names. Sizes (s, m, l) are not."""
SIZES = frozenset("sml")

GRADE_NAMES = re.compile(
    r"(^|.*[\W_])(grade|rating|star|quality|severity|satisfaction|likert|priority|score|level|stage|degree)s?", re.I
)
"""Columns whose whole numbers or letters are steps."""

COUNTED = re.compile(
    r"(?:(?P<word>stars?|level|stage|grade|degree|rating)\s*)?(?P<number>\d+)(?:\s*(?P<unit>stars?))?", re.I
)
"""`3 stars`, `level 2`."""

_NUMBER = r"\d+(?:\.\d+)?"
RANGE = re.compile(
    rf"(?P<low>{_NUMBER})\s*(?:-|–|to)\s*(?P<high>{_NUMBER})"
    rf"|(?P<from>{_NUMBER})\s*(?:\+|and (?:over|more|above))|(?:>=?|over|above)\s*(?P<above>{_NUMBER})"
    rf"|(?:<=?|under|below|up to)\s*(?P<below>{_NUMBER})",
    re.I,
)
"""`18-25`, `65+`, `<18`, `> 50`."""


class ClassOrder(NamedTuple):
    """Indices of the classes, from one end of the scale to the other, and how that is known."""

    indices: tuple[int, ...]
    reason: str


def find_class_order(
    names: Sequence[str],
    column: str,
    *,
    ordered: bool | None = None,
    order: str | Sequence[str] = (),
    declared: Sequence[str] = (),
) -> ClassOrder | None:
    """The order of classes that are called `names`; None where they have none.

    ordered, order: what the user says (--ordered, --unordered, --order); declared: all categories, as an ordered
    column of categories has them. Raises UsageError, one line.

    >>> find_class_order(["high", "low", "medium"], "risk").indices
    (1, 2, 0)
    >>> find_class_order(["0", "1", "2"], "species") is None
    True
    """
    if ordered not in (None, True, False):
        raise UsageError(f"ordered must be True, False or None, not {ordered!r}")
    if not isinstance(order, str | Iterable):
        raise UsageError(f"order must be the classes from one end to the other, not {order!r}")
    order = order.split(",") if isinstance(order, str) else [str(name) for name in order]
    if order:
        if ordered is False:
            raise UsageError(
                "--order gives the classes an order and --unordered says that they have none: leave one out"
            )
        return ClassOrder(_as_given(names, column, order), "as --order says")
    if ordered is False or len(names) < FEWEST_CLASSES:
        return None
    known = [text.strip() for text in declared]
    if known and all(name in known for name in names):
        return ClassOrder(_sorted_by([known.index(name) for name in names]), "its categories are declared as ordered")
    found = _by_words(names, column) or _by_numbers(names, column, says_ordered=bool(ordered))
    if found is None and ordered:
        listed = join_names([quote(name) for name in names])
        raise UsageError(
            f"--ordered: the order of {listed} in label {format_name(column)} is not known: give it with --order, "
            "from one end to the other, separated by commas"
        )
    return found


def _as_given(names: Sequence[str], column: str, order: Sequence[str]) -> tuple[int, ...]:
    given = [canonical_label(text) for text in order]
    own = [canonical_label(name) for name in names]
    unknown = [text for text, canonical in zip(order, given, strict=True) if canonical not in own]
    missing = [name for name, text in zip(names, own, strict=True) if text not in given]
    repeated = [text for i, text in enumerate(order) if given[i] in given[:i]]
    if missing:
        raise UsageError(f"--order lacks {_quoted(missing)}: name every class, the lowest first, with commas between")
    if unknown:
        raise UsageError(
            f"--order: label {format_name(column)} has no class {quote(unknown[0].strip())}; its classes are "
            f"{_quoted(names)}"
        )
    if repeated:
        raise UsageError(f"--order names {_quoted(repeated)} more than once")
    return _sorted_by([given.index(text) for text in own])


def _quoted(names: Sequence[str]) -> str:
    return join_names([quote(name.strip()) for name in names])


def _by_words(names: Sequence[str], column: str) -> ClassOrder | None:
    words = [" ".join(re.sub(r"[_\-]+(?=\w)", " ", name.strip().lower()).split()) for name in names]
    if all(LETTERS.fullmatch(word) for word in words) and not (GRADE_NAMES.fullmatch(column) or set(words) <= SIZES):
        return None
    for scale in SCALES:
        step = {word: i for i, names_of_step in enumerate(scale.split(", ")) for word in names_of_step.split("|")}
        steps = [step.get(word, -1) for word in words]
        if min(steps) >= 0 and len(set(steps)) == len(steps):
            return ClassOrder(_sorted_by(steps), "they are words of a scale")
    return None


def _by_numbers(names: Sequence[str], column: str, *, says_ordered: bool) -> ClassOrder | None:
    try:
        values = [float(name) for name in names]
    except ValueError:
        values = []
    if values:
        if says_ordered:
            return ClassOrder(_sorted_by(values), "as --ordered says")
        if GRADE_NAMES.fullmatch(column) and all(value.is_integer() for value in values):
            return ClassOrder(_sorted_by(values), "whole numbers in a column of this name are steps")
        return None
    counted = [COUNTED.fullmatch(name.strip()) for name in names]
    if all(found and (found["word"] or found["unit"]) for found in counted):
        numbers = [float(found["number"]) for found in counted if found]
        if len(set(numbers)) == len(numbers):
            return ClassOrder(_sorted_by(numbers), "they are counted")
    return _by_ranges(names)


def _by_ranges(names: Sequence[str]) -> ClassOrder | None:
    """Ranges that do not overlap."""
    ends = []
    for name in names:
        found = RANGE.fullmatch(name.strip())
        if found is None:
            return None
        low = found["low"] or found["from"] or found["above"]
        high = found["high"] or found["below"]
        ends.append((float(low) if low else float("-inf"), float(high) if high else float("inf")))
    order = _sorted_by(ends)
    apart = all(ends[a][1] <= ends[b][0] for a, b in pairwise(order))
    rises = all(low <= high for low, high in ends)
    return ClassOrder(order, "they are ranges of numbers") if apart and rises else None


def _sorted_by(keys: Sequence[float] | Sequence[tuple[float, float]]) -> tuple[int, ...]:
    return tuple(sorted(range(len(keys)), key=lambda i: keys[i]))


def canonical_label(label: str) -> str:
    """Labels that are numbers compare as numbers: `1` and `1.0` are one class."""
    text = label.strip()
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text
