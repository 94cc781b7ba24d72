"""Are a row's numbers in the wrong columns: two exchanged, or some next to one another moved on by one?

A row is far likelier then once they are moved back. The likelihoods are those of each column by itself, so columns of
one scale (lags of a series, answers to several questions) say nothing, and where right rows gain by a move as well,
the tail of these gains is what others are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lossval_cli.noise.number_cells import NumberCells, within_reach

Floats = npt.NDArray[np.float64]

MOST_COLUMNS = 32
"""Columns from which on no move is looked for: there are the square of them."""

BODY = (0.002, 0.998)
"""Quantiles between which a column has a histogram."""

CELLS_A_BIN, FEWEST_BINS, MOST_BINS = 20, 8, 64

ATOM = 0.01
"""Share of a column from which a value has a probability of its own."""

ANYWHERE = 0.02
"""Share of the probability that has heavy tails: a value that a column never held is not impossible."""

WHOLE = 0.995
"""Share of whole numbers from which on others do not belong in a column."""

DECIMALS = 4
"""Decimals that numbers are written with, at most: a number stands for whatever rounds to it."""

LEAST = 1e-300
"""Probability of what is impossible."""

BLOCK_ROWS = 2_048


@dataclass(frozen=True)
class Density:
    """Density of one column of numbers: frequent single values, a histogram on the column's scale, heavy tails."""

    column: NumberCells
    atoms: Floats  # (a,) sorted, in the column's unit
    shares: Floats
    edges: Floats
    heights: Floats
    whole: bool
    middle: float
    reach: float

    @classmethod
    def fit(cls, column: NumberCells, values: Floats) -> Density | None:
        """On the column's numbers (n,), NaN for missing; None for a column in which all are equal."""
        values = within_reach(values[np.isfinite(values)])
        distinct, counts = np.unique(values, return_counts=True)
        if len(distinct) < 2:
            return None
        atom = counts >= ATOM * len(values)
        rest = column.scale(values[~np.isin(values, distinct[atom])])
        edges, heights = np.zeros(1), np.zeros(2)
        if len(rest) >= CELLS_A_BIN:
            low, high = np.quantile(rest, BODY)
            bins = int(np.clip(len(rest) // CELLS_A_BIN, FEWEST_BINS, MOST_BINS))
            found, edges = np.histogram(rest, bins, (low, max(high, low + 1e-9)))
            smooth = np.convolve(np.pad(found, 1, "edge"), [0.25, 0.5, 0.25], "valid")
            heights = np.concatenate([[0.0], smooth / (len(values) * (edges[1] - edges[0])), [0.0]])
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
        reach = max(float(high - low), float(np.ptp(values)) / 100, 1e-300)
        whole = bool((values == np.round(values)).mean() > WHOLE)
        shares = counts[atom] / len(values)
        return cls(column, distinct[atom], shares, edges, heights, whole, float(middle), reach)

    def log(self, values: Floats, width: Floats) -> Floats:
        """(n,) log probability of what rounds to `values` (n,), to a `width` (n,)."""
        with np.errstate(over="ignore"):  # columns of quite different units: what overflows is impossible
            scaled = self.column.scale(values)
            stretch = (self.column.unit + np.abs(values - self.column.origin)) * self.column.spread
            away = np.abs(values - self.middle)
            tails = width / (2 * (self.reach + away) * np.square(1 + np.log1p(away / self.reach)))
        inside = self.heights[np.searchsorted(self.edges, scaled, "right")]
        inside = inside * width / np.maximum(stretch, LEAST)
        if self.whole:
            inside = np.where(width < 1, 0.0, inside)
        if len(self.atoms):
            i = np.minimum(np.searchsorted(self.atoms, values), len(self.atoms) - 1)
            inside = inside + np.where(self.atoms[i] == values, self.shares[i], 0.0)
        probability = (1 - ANYWHERE) * np.minimum(inside, 1.0) + ANYWHERE * np.minimum(tails, 1.0)
        logs: Floats = np.log(np.maximum(probability, LEAST))
        return logs


def _written(values: Floats) -> Floats:
    """(n,) the unit of the last decimal that a number is written with."""
    width = np.full(values.shape, 10.0**-DECIMALS)
    for decimals in range(DECIMALS - 1, -1, -1):
        width[values == np.round(values, decimals)] = 10.0**-decimals
    return width


@dataclass(frozen=True)
class MovedCells:
    """Fitted on a table's columns of numbers."""

    densities: Mapping[int, Density]
    """In the order of the table."""

    @classmethod
    def fit(cls, numbers: Mapping[int, tuple[NumberCells, Floats]]) -> MovedCells:
        """On columns between which cells may have moved, by their number in the table, and their numbers (n,)."""
        found = {i: Density.fit(column, values) for i, (column, values) in numbers.items()}
        densities = {i: density for i, density in found.items() if density is not None}
        return cls(densities if 1 < len(densities) <= MOST_COLUMNS else {})

    def evidence(self, values: Floats) -> Floats:
        """(n, D) nats for numbers (n, D), in their units: of the cells of the best move, 0 of others."""
        gain = np.zeros(values.shape)
        columns = np.array(list(self.densities), np.int64)
        for start in range(0, len(values) if len(columns) else 0, BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            best, first, last, every = self._best(values[block][:, columns])
            index = np.arange(len(columns))
            inside = np.where(
                every[:, None],
                (index >= first[:, None]) & (index <= last[:, None]),
                (index == first[:, None]) | (index == last[:, None]),
            )
            gain[block, columns] = np.where(inside, np.maximum(best, 0.0)[:, None], 0.0)
        return gain

    def _best(
        self, values: Floats
    ) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """For rows (n, d): log likelihood ratio of the best move, its first and last column, and whether those between
        have moved as well."""
        n, d = values.shape
        known = np.isfinite(values)
        # (n, d, d) log likelihood ratio of the number of column j in column i instead
        ratio = np.empty((n, d, d))
        filled = within_reach(np.where(known, values, 0.0).ravel())
        width = _written(filled)
        for i, density in enumerate(self.densities.values()):
            ratio[:, i] = density.log(filled, width).reshape(n, d)
        ratio = ratio - np.diagonal(ratio, axis1=1, axis2=2)[:, None, :].copy()
        ratio[np.broadcast_to(~known[:, None, :], ratio.shape)] = 0.0
        best = np.full(n, -np.inf)
        first, last, every = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.bool_)
        back = np.cumsum(np.stack([ratio[:, k - 1, k] if k else np.zeros(n) for k in range(d)], axis=1), axis=1)
        on = np.cumsum(np.stack([ratio[:, k + 1, k] if k + 1 < d else np.zeros(n) for k in range(d)], axis=1), axis=1)
        hypotheses = np.log(1.5 * d * (d - 1))
        for a in range(d):
            for b in range(a + 1, d):
                moves = [(ratio[:, a, b] + ratio[:, b, a], False)]
                if b > a + 1:
                    to_back = back[:, b] - back[:, a] + ratio[:, b, a]  # each belongs one column before, the first last
                    before = on[:, a - 1] if a else 0.0
                    moves += [(to_back, True), (on[:, b - 1] - before + ratio[:, a, b], True)]
                different = values[:, a] != values[:, b]
                for gain, between in moves:
                    better = (gain - hypotheses > best) & different
                    best[better] = gain[better] - hypotheses
                    first[better], last[better], every[better] = a, b, between
        return best, first, last, every
