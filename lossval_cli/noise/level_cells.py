"""One column of levels: how rare each level is, and which rare ones are misspelt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lossval_cli.noise.spelling import Spelling

Floats = npt.NDArray[np.float64]

NAMED = 24
"""Levels that other columns predict one by one; all others are known or rare."""

MOSTLY = 0.95
"""Share of a level above which a column says nothing of other levels."""

ORDINARY_STEP, MOST_OF_A_STEP = 4.0, 4.0
"""How many times more cells the next more frequent level typically has in an open list of levels; and nats at most
for a wider step: levels that all have hundreds of cells are a closed list, and one of a single cell is not on it."""

RARE = (3, 0.01)
"""A level of more cells, and of a larger share of them, is not misspelt."""


class LevelEvidence(NamedTuple):
    """Evidence about n cells."""

    code: npt.NDArray[np.int64]  # (n,) the bin of the level, the last one for missing cells
    rarity: Floats  # (n,) nats of evidence that the level is not one of the column's, 0 for missing cells
    misspelt: Floats  # (n,) nats of evidence


@dataclass(frozen=True)
class LevelCells:
    """A fitted column of levels."""

    counts: dict[str, int]
    """Cells of each level, most frequent first."""
    total: int
    named: dict[str, int]
    spelling: Spelling
    _ascending: npt.NDArray[np.int64]
    _cumulated: npt.NDArray[np.int64]

    @classmethod
    def fit(cls, counts: dict[str, int]) -> LevelCells:
        """Fit on the number of cells of each level in the whole table."""
        ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        ascending = np.sort(np.fromiter(ordered.values(), np.int64, len(ordered)))
        named = {level: i for i, level in enumerate(list(ordered)[:NAMED])}
        spelling = Spelling.fit(list(ordered), list(ordered.values()))
        cumulated = np.append(0, np.cumsum(ascending))
        return cls(ordered, int(ascending.sum()), named, spelling, ascending, cumulated)

    @property
    def bins(self) -> int:
        """Named levels, other known ones, rare ones, missing cells."""
        return len(self.named) + 3

    def evidence(self, cells: npt.NDArray[np.object_], counted: bool) -> LevelEvidence:
        """Compute the evidence of (n,) strings with None for missing; `counted`: they are among the counted cells."""
        codes, levels = pd.factorize(cells)
        own = int(counted)
        bins, rarity, misspelt = np.empty(len(levels), np.int64), np.empty(len(levels)), np.zeros(len(levels))
        least = max(RARE[0], RARE[1] * self.total)
        for i, level in enumerate(levels):
            others = max(self.counts.get(level, 0) - own, 0)
            reached = np.searchsorted(self._ascending, others + own, "right")
            rarity[i] = -np.log((self._cumulated[reached] + 0.5) / (self.total + 1))
            rarity[i] += self._step(others + own, int(reached)) if others <= RARE[0] else 0.0
            known = len(self.named) if others > max(3, 0.0005 * self.total) else len(self.named) + 1
            bins[i] = self.named.get(level, known)
            if others <= least:
                misspelt[i] = self.spelling.misspelling(level, others)[0]
        absent = codes < 0
        if not len(levels):
            zeros = np.zeros(len(cells))
            return LevelEvidence(np.full(len(cells), self.bins - 1), zeros, zeros)
        return LevelEvidence(
            np.where(absent, self.bins - 1, bins[codes]),
            np.where(absent, 0.0, rarity[codes]),
            np.where(absent, 0.0, misspelt[codes]),
        )

    def _step(self, cells: int, reached: int) -> float:
        """Nats by which the next more frequent levels have more cells than a level of so few, `reached` levels having
        no more, than levels of an open list do."""
        next_one = int(np.searchsorted(self._ascending, ORDINARY_STEP * cells, "right"))
        between = self._cumulated[next_one] - self._cumulated[reached]
        if next_one == len(self._ascending) or between > self._cumulated[reached]:
            return 0.0
        if self._ascending[-1] > MOSTLY * self.total:
            return 0.0
        return float(np.clip(np.log(self._ascending[next_one] / (ORDINARY_STEP * max(cells, 1))), 0.0, MOST_OF_A_STEP))

    def meant(self, level: str, counted: bool) -> str | None:
        """The frequent level that a rare one misspells."""
        others = max(self.counts.get(level, 0) - int(counted), 0)
        return self.spelling.misspelling(level, others)[1] if others <= max(RARE[0], RARE[1] * self.total) else None
