"""Rare levels that misspell frequent ones: edit distance (Damerau, 1964), look-alike characters, case, accents, words
that were cut off, UTF-8 read as another encoding, cells of another column."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

FREQUENT = (5, 0.001)
"""A level is frequent from this many cells on, and from this share of them."""

MANY_TIMES = 20
"""A level that is so many times as frequent as another may be what was meant by it, however many misspell it."""

MOST_FREQUENT = 400
"""Frequent levels that a rare one is compared with."""

LONG = 8
"""Characters from which on two edits are still a misspelling."""

SAME_WORD = 3.0
"""Nats for a level that differs from a frequent one in case, accents or spaces alone."""

GARBLED = 8.0
"""Nats for UTF-8 that was read as Windows-1252 ("MÃ¼nchen"), and for replacement characters."""

MOST_GARBLED = 0.02
"""Share of garbled cells from which on the whole column was read so."""

SHORTEST_PART = 3
"""Characters that are left of a level that was cut off."""

LETTERLESS = 0.002
"""Share of cells without a letter that a column of words may have by chance."""

CODE = re.compile(r"\d+|\b(?:[^\W\d_]|[A-Z]{2,3})\b")

LOOK_ALIKE = str.maketrans("013457", "oleast")


@dataclass(frozen=True)
class Spelling:
    """The frequent levels of a column, and how alike they are among themselves."""

    frequent: tuple[tuple[str, int], ...]
    folded: dict[str, tuple[str, int]]
    near: float
    """Share of frequent levels that are one edit away from another, not much more frequent one ("Zone 1", "Zone 2")."""
    mixed: float
    """Share of cells with digits next to letters."""
    letterless: float
    """Share of cells without any letter."""
    garbled: float
    """Share of cells that were read in the wrong encoding."""
    levels: frozenset[str]
    _known: dict[tuple[str, int], tuple[float, str | None]] = field(default_factory=dict, repr=False)

    @classmethod
    def fit(cls, levels: Sequence[str], counts: Sequence[int]) -> Spelling:
        """Fit on the levels of a column, most frequent first, with the number of cells of each."""
        total = sum(counts)
        least = max(FREQUENT[0], FREQUENT[1] * total)
        frequent = tuple((level, count) for level, count in zip(levels, counts, strict=True) if count >= least)
        frequent = frequent[:MOST_FREQUENT]
        folded: dict[str, tuple[str, int]] = {}
        for level, count in frequent:
            folded.setdefault(fold(level), (level, count))
        first = [level for level, _ in frequent[:60] if len(level) > 1]
        cells_of = dict(frequent)
        near = sum(any(_are_alike(a, b, cells_of) for b in first) for a in first)
        cells = sum(count for _, count in frequent)
        mixed = sum(count for level, count in frequent if is_mixed(level))
        every = list(zip(levels, counts, strict=True))
        letterless = sum(count for level, count in every if not _has_letter(level))
        garbled = sum(count for level, count in every if ungarbled(level) is not None)
        return cls(
            frequent,
            folded,
            (near + 0.02) / (len(first) + 1),
            mixed / max(cells, 1),
            letterless / max(total, 1),
            garbled / max(total, 1),
            frozenset(levels),
        )

    def misspelling(self, level: str, others: int) -> tuple[float, str | None]:
        """Evidence in nats that `level`, which `others` other cells have, is misspelt, and what was meant."""
        key = (level, others)
        if key not in self._known:
            self._known[key] = self._evidence(level, others)
        return self._known[key]

    def _evidence(self, level: str, others: int) -> tuple[float, str | None]:
        strange = -np.log(self.mixed + 0.02) if is_mixed(level) else 0.0
        best: tuple[float, str | None] = (max(0.0, float(strange) - 1), None)
        if not _has_letter(level) and self.frequent:
            best = max(best[0], float(-np.log(self.letterless + LETTERLESS))), None
        plain = ungarbled(level)
        if plain is not None and self.garbled <= MOST_GARBLED:
            return GARBLED, plain if plain in self.levels else None
        alike = self.folded.get(fold(level))
        if alike is not None and alike[0] != level and alike[1] > 5 * (others + 1):
            best = float(np.log(alike[1] / (others + 1)) + SAME_WORD), alike[0]
        for meant, count, weight in self._candidates(level, others):
            # How much likelier one more cell of `meant` is than one of this level, which differs in few characters.
            evidence = weight * np.log(count / (others + 1)) + np.log(min(len(meant), 12) / 3)
            evidence += strange - np.log(self.near / 0.05)
            if evidence > best[0]:
                best = (float(evidence), meant)
        return best

    def _candidates(self, level: str, others: int) -> list[tuple[str, int, float]]:
        found = []
        for meant, count in self.frequent:
            if meant == level or len(meant) == 1 or count < 5 * (others + 1):
                continue
            if _without_codes(level) == _without_codes(meant):
                continue
            most = 1 if len(meant) < LONG else 2
            distance = edit_distance(level, meant, most)
            if distance <= most:
                found.append((meant, count, 1.0 if distance <= 1 else 0.6))
            elif _is_cut_off(level, meant):
                found.append((meant, count, 0.8))
        return found


def edit_distance(a: str, b: str, most: int) -> int:
    """Insertions, deletions, replacements and swaps of neighbours from a to b; `most` + 1 where more are needed."""
    if abs(len(a) - len(b)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i in range(1, len(a) + 1):
        following = [i] + [0] * len(b)
        for j in range(1, len(b) + 1):
            following[j] = min(row[j] + 1, following[j - 1] + 1, row[j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                following[j] = min(following[j], before[j - 2] + 1)
        if min(following) > most:
            return most + 1
        before, row = row, following
    return row[-1]


def fold(level: str) -> str:
    """Return the text without case, accents, outer and doubled spaces, and with digits as the letters they look
    like."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", level) if not unicodedata.combining(c))
    return " ".join(plain.casefold().translate(LOOK_ALIKE).split())


def ungarbled(level: str) -> str | None:
    """Return a level as it was written in UTF-8 before it was read as Windows-1252 or with replacement characters; None
    if it was not."""
    if level.isascii():
        return None
    if "\ufffd" in level:
        return level
    try:
        return level.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return None


def _is_cut_off(level: str, meant: str) -> bool:
    """Return whether a level is the beginning of another that ends within a word."""
    if not SHORTEST_PART <= len(level) <= len(meant) - 2 or not meant.startswith(level):
        return False
    return level[-1].isalnum() and meant[len(level)].isalnum()


def _are_alike(a: str, b: str, cells: Mapping[str, int]) -> bool:
    """Return whether two levels are one edit apart, not in their numbers alone, and so often written that neither
    misspells the other."""
    often = max(cells[a], cells[b]) < MANY_TIMES * min(cells[a], cells[b])
    return a != b and often and _without_codes(a) != _without_codes(b) and edit_distance(a, b, 1) <= 1


def _without_codes(level: str) -> str:
    """Return the level without what tells "Zone 1" from "Zone 2", "Type A" from "Type B" and SA from SP: its numbers,
    words of one letter, and words of up to three capitals."""
    return CODE.sub("#", level)


def _has_letter(level: str) -> bool:
    return any(character.isalpha() for character in level)


def is_mixed(level: str) -> bool:
    """Return whether a digit stands next to a letter."""
    return any((a.isalpha() and b.isdigit()) or (a.isdigit() and b.isalpha()) for a, b in pairwise(level))
