"""Errors of several kinds in the features of chosen rows, most of them of kinds that no detector was fitted on.

noise       every number is moved by N(0, 1) deviations, every other cell is that of another row
mixed       half of the cells are those of another row
unit        one number in another unit: times a factor
code        one number stands for a missing value: −1, 99, 999, 9999
exchange    two numbers in each other's column
typo        one character of a word is replaced, left out, doubled, or exchanged with the next
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

FACTORS = (0.01, 0.1, 0.3048, 0.4536, 2.2046, 10.0, 12.0, 60.0, 100.0, 1000.0)
"""Lost and doubled decimal points, feet, pounds, dozens and months, minutes, cents, grams."""

CODES = (-1.0, 99.0, 999.0, 9999.0)

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class CellErrors:
    """Errors of m rows."""

    kinds: npt.NDArray[np.str_]
    """(m,)"""
    numbers: dict[str, Floats]
    """Column of numbers -> (m,) the new cells; NaN where one is missing."""
    others: dict[str, Bools]
    """Other column -> (m,) whether a cell becomes that of another row."""
    typos: dict[str, Bools]
    """Column of words -> (m,) whether a cell gets a typo."""


def draw_errors(
    values: Mapping[str, Floats],
    rows: npt.NDArray[np.int64],
    rest: Sequence[str],
    words: Sequence[str],
    rng: np.random.Generator,
) -> CellErrors:
    """Draw one kind of error for each of the rows (m,), of those that the table has columns for.

    `values`: (N,) of each column of numbers; `rest`: all other columns; `words`: those of them that hold text.
    """
    m, names = len(rows), list(values)
    possible = ["noise", "mixed", *(["unit", "code"] if names else [])]
    possible += [*(["exchange"] if len(names) > 1 else []), *(["typo"] if words else [])]
    kinds = rng.choice(possible, m)
    whole = kinds == "noise"
    before = np.stack([values[name][rows] for name in names], axis=1) if names else np.zeros((m, 0))
    after = before.copy()
    for i, name in enumerate(names):
        column = values[name]
        after[whole, i] += _spread(column) * rng.standard_normal(m)[whole]
        mixed = (kinds == "mixed") & (rng.random(m) < 0.5)
        after[mixed, i] = column[(rows + rng.integers(1, max(len(column), 2), m)) % len(column)][mixed]
    for row in np.flatnonzero(np.isin(kinds, ["unit", "code", "exchange"])):
        present = rng.permutation(np.flatnonzero(np.isfinite(before[row])))
        if kinds[row] == "exchange" and len(present) > 1:
            i, j = present[:2]
            after[row, i], after[row, j] = before[row, j], before[row, i]
        elif kinds[row] != "exchange" and len(present):
            # A zero is zero in every unit.
            i = next((i for i in present if before[row, i] != 0), present[0])
            after[row, i] = before[row, i] * rng.choice(FACTORS) if kinds[row] == "unit" else rng.choice(CODES)
    others = {name: whole | ((kinds == "mixed") & (rng.random(m) < 0.5)) for name in rest}
    column_of = rng.integers(0, max(len(words), 1), m)
    typos = {name: (kinds == "typo") & (column_of == i) for i, name in enumerate(words)}
    after[np.isnan(before)] = np.nan
    return CellErrors(kinds, {name: after[:, i] for i, name in enumerate(names)}, others, typos)


def with_typo(word: str, rng: np.random.Generator) -> str:
    """A word with one character replaced, left out, doubled, or exchanged with the next."""
    i, kind = int(rng.integers(len(word))), int(rng.integers(4))
    letter = LETTERS[int(rng.integers(len(LETTERS)))]
    if kind == 0:
        return word[:i] + letter + word[i + 1 :]
    if kind == 1 and len(word) > 1:
        return word[:i] + word[i + 1 :]
    if kind == 2 and i + 1 < len(word):
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    return word[:i] + word[i] + word[i:]


def _spread(values: Floats) -> float:
    """Standard deviation; 0 where it is beyond all numbers."""
    present = values[np.isfinite(values)]
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(present.std()) if present.size else 0.0
    return spread if np.isfinite(spread) else 0.0
