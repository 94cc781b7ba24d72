"""Numbers in the wrong columns of a row: two exchanged, or some next to one another moved on by one.

A row is far likelier then once they are moved back. The likelihoods are those of each column by itself, so columns of
one scale (lags of a series, answers to several questions) say nothing, and where right rows gain by a move as well,
the tail of these gains is what others are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lossval_cli.noise.number_cells import NumberCells, within_reach

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST_COLUMNS = 32
"""Columns from which on no move is looked for: there are the square of them."""

BODY = (0.002, 0.998)
"""Quantiles between which a column has a histogram."""

CELLS_A_BIN, FEWEST_BINS, MOST_BINS = 20, 8, 64

ATOM = 0.004
"""Share of a column from which a value has a probability of its own."""

ANYWHERE = 0.02
"""Share of the probability that has heavy tails: a value that a column never held is not impossible."""

WHOLE = 0.995
"""Share of whole numbers, tens, hundreds and so on, from which on others do not belong in a column."""

ROUNDEST = 6
"""Decimal power of the roundest numbers that a column may consist of."""

DECIMALS = 4
"""Decimals that numbers are written with, at most: a number stands for whatever rounds to it."""

WIDTHS: Floats = np.array([10.0**-decimals for decimals in range(DECIMALS + 1)])
"""Unit of the last of so many decimals."""

EXCEPTIONS = 0.002
"""Share of rows in which two exclusive columns may both have a number other than zero."""

LEAST = 1e-300
"""Probability of what is impossible."""

OCTAVES, STEPS_PER_OCTAVE = (-24, 40), 16
_POSITIVE = np.exp2(np.arange(*OCTAVES, 1 / STEPS_PER_OCTAVE))
GRID = np.concatenate([[-np.inf], -_POSITIVE[:0:-1], [-_POSITIVE[0]], _POSITIVE, [np.inf]])
"""Points of all columns, evenly spaced in the logarithm, between which a column's probability has a bound."""

ROUNDING = 1e-6
"""Nats by which a bound may be rounded off."""

BLOCK_ROWS = 2_048

CLEAR = 4.0
"""Nats that a row gains by a move which is not due to chance."""

FEWEST_ALIKE, MOST_ALIKE = 0.01, 0.1
"""Share of the rows that gain by the same move: fewer do not mask one another, more are a state of the table."""

COMMON = 0.02
"""Share of a column from which a value may be one of two states: rows of both rare ones look as if exchanged."""


@dataclass(frozen=True)
class Density:
    """Density of one column of numbers: frequent single values, a histogram on the column's scale, heavy tails."""

    column: NumberCells
    atoms: Floats  # (a,) sorted, in the column's unit
    shares: Floats
    edges: Floats
    heights: Floats
    grid: float
    """1, 10, 100, ...: numbers that are not multiples of it do not belong in the column; 0 where all may."""
    middle: float
    reach: float

    @classmethod
    def fit(cls, column: NumberCells, values: Floats) -> Density | None:
        """Fit on the column's numbers (n,), NaN for missing; return None for a column in which all are equal."""
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
        shares = counts[atom] / len(values)
        return cls(column, distinct[atom], shares, edges, heights, _grid(values), float(middle), reach)

    def log(self, values: Floats, width: Floats) -> Floats:
        """Return (n,) log probability of what rounds to `values` (n,), to a `width` (n,)."""
        with np.errstate(over="ignore"):  # columns of quite different units: what overflows is impossible
            scaled = self.column.scale(values)
            stretch = (self.column.unit + np.abs(values - self.column.origin)) * self.column.spread
            away = np.abs(values - self.middle)
            tails = width / (2 * (self.reach + away) * np.square(1 + np.log1p(away / self.reach)))
        inside = self.heights[np.searchsorted(self.edges, scaled, "right")]
        inside = inside * np.maximum(width, self.grid) / np.maximum(stretch, LEAST)
        if self.grid:
            inside = np.where(values % self.grid != 0, 0.0, inside)
        if len(self.atoms):
            i = np.minimum(np.searchsorted(self.atoms, values), len(self.atoms) - 1)
            inside = inside + np.where(self.atoms[i] == values, self.shares[i], 0.0)
        probability = (1 - ANYWHERE) * np.minimum(inside, 1.0) + ANYWHERE * np.minimum(tails, 1.0)
        logs: Floats = np.log(np.maximum(probability, LEAST))
        return logs

    @cached_property
    def most(self) -> Floats:
        """(WIDTHS · GRID,) the largest log probability of a number that is written with so many decimals and lies
        between two points of the grid: see `_grid_index`."""
        margin = ROUNDING * np.abs(np.nan_to_num(GRID, posinf=0.0, neginf=0.0))
        low, high = (GRID - margin)[:-1, None], (GRID + margin)[1:, None]

        def least_distance(point: float) -> Floats:
            distance: Floats = np.maximum(np.maximum(low - point, point - high), 0.0)
            return distance

        first, last = (np.searchsorted(self.edges, self.column.scale(ends), "right") for ends in (low, high))
        index = np.arange(len(self.heights))
        height = np.where((index >= first) & (index <= last), self.heights, 0.0).max(axis=1, keepdims=True)
        with np.errstate(over="ignore"):
            stretch = (self.column.unit + least_distance(self.column.origin)) * self.column.spread
            away = least_distance(self.middle)
            tails = WIDTHS / (2 * (self.reach + away) * np.square(1 + np.log1p(away / self.reach)))
        inside = height * np.maximum(WIDTHS, self.grid) / np.maximum(stretch, LEAST)
        if self.grid:
            inside[:, 1:] = 0.0
        shares = np.zeros(inside.shape)
        np.maximum.at(shares, (_grid_index(self.atoms), _decimals(self.atoms)), self.shares)
        probability = (1 - ANYWHERE) * np.minimum(inside + shares, 1.0) + ANYWHERE * np.minimum(tails, 1.0)
        most: Floats = np.log(np.maximum(probability, LEAST)).T.ravel() + ROUNDING
        return most


def _grid(values: Floats) -> float:
    """Find the largest power of ten, from 1 on, that nearly all numbers (n,) are multiples of; 0 if none is."""
    values = values[values != 0]
    grid = 0.0
    for power in range(ROUNDEST + 1):
        if not len(values) or (values % 10.0**power == 0).mean() <= WHOLE:
            break
        grid = 10.0**power
    return grid


def _grid_index(values: Floats) -> Ints:
    """Find between which points of the grid each number lies, (n,)."""
    with np.errstate(divide="ignore"):
        steps = np.floor(STEPS_PER_OCTAVE * (np.log2(np.abs(values)) - OCTAVES[0]))
    steps = np.clip(steps, -1, len(GRID) // 2 - 2).astype(np.int64) + 1
    index: Ints = np.where(values < 0, -steps, steps) + len(GRID) // 2 - 1
    return index


def _decimals(values: Floats) -> Ints:
    """Count the decimals that each number is written with, (n,), DECIMALS for more."""
    decimals = np.full(values.shape, DECIMALS)
    for count in range(DECIMALS - 1, -1, -1):
        decimals[values == np.round(values, count)] = count
    return decimals


@dataclass(frozen=True)
class MovedCells:
    """Fitted on a table's columns of numbers."""

    densities: Mapping[int, Density]
    """In the order of the table."""
    left_out: Bools
    """(n,) of the fitted rows, that gain by a move."""
    exclusive: Bools
    """(d, d) of the densities: in hardly any row both are other than zero (debit and credit)."""

    @classmethod
    def fit(cls, numbers: Mapping[int, NumberCells], values: Floats) -> MovedCells:
        """Fit on values (n, D) of a table; `numbers`: its columns between which cells may have moved.

        Many rows in which the same columns are exchanged would mask one another: they are left out of the densities if
        they gain clearly by it without them.
        """
        everything = cls._fit(numbers, values, np.zeros(len(values), np.bool_))
        moved = everything
        for _ in range(2):  # without the first ones, more of them gain
            moves = moved._common_moves(values, 0.0)
            gains = np.asarray(moves.any(axis=1))
            if not gains.any() or gains.mean() > MOST_ALIKE:
                return everything
            if (gains != moved.left_out).any():
                moved = cls._fit(numbers, values, gains)
        clear = {move.tobytes() for move in moved._common_moves(values, CLEAR) if move.any()}
        left_out = np.array([move.tobytes() in clear for move in moves], np.bool_)
        return moved if (left_out == moved.left_out).all() else cls._fit(numbers, values, left_out)

    @classmethod
    def _fit(cls, numbers: Mapping[int, NumberCells], values: Floats, left_out: Bools) -> MovedCells:
        found = {i: Density.fit(column, values[~left_out, i]) for i, column in numbers.items()}
        densities = {i: density for i, density in found.items() if density is not None}
        densities = densities if 1 < len(densities) <= MOST_COLUMNS else {}
        is_given = (np.nan_to_num(values[:, list(densities)]) != 0).astype(np.float64)
        return cls(densities, left_out, is_given.T @ is_given < EXCEPTIONS * len(values))

    def _common_moves(self, values: Floats, least: float) -> Bools:
        """Return the cells (n, D) that a row moves by which it gains more than `least` nats, as many others do; none of
        rows without such a move."""
        moves = self.evidence(values) > least
        for i, density in self.densities.items():
            common = density.atoms[density.shares >= COMMON]
            moves[moves[:, i] & np.isin(values[:, i], common)] = False
        _, move, rows = np.unique(moves, axis=0, return_inverse=True, return_counts=True)
        moves[rows[move.ravel()] < FEWEST_ALIKE * len(moves)] = False
        return moves

    def evidence(self, values: Floats) -> Floats:
        """Return (n, D) nats for numbers (n, D), in their units: of the cells of the best move, 0 of others."""
        gain = np.zeros(values.shape)
        columns = np.array(list(self.densities), np.int64)
        most = np.stack([density.most for density in self.densities.values()]) if len(columns) else np.zeros((0, 0))
        for start in range(0, len(values) if len(columns) else 0, BLOCK_ROWS):
            rows, best, inside = self._best(values[start : start + BLOCK_ROWS][:, columns], most)
            gain[np.ix_(start + rows, columns)] = np.where(inside, best[:, None], 0.0)
        return gain

    def _best(self, values: Floats, most: Floats) -> tuple[Ints, Floats, Bools]:
        """Return the rows of (n, d) that gain by a move (r,), the log likelihood ratio of the best one (r,), and the
        columns that it moves (r, d).

        most (d, WIDTHS · GRID): bounds of the log probability in each column. Few moves can gain even so, and of them
        alone are numbers looked up in other columns than their own and its neighbours.
        """
        n, d = values.shape
        known = np.isfinite(values)
        filled = within_reach(np.where(known, values, 0.0))
        decimals = _decimals(filled.ravel()).reshape(n, d)
        width = WIDTHS[decimals]
        # (n, d) log probabilities of the numbers in their own columns, and the log likelihood ratios of the next ones
        own = np.stack([self._in_order[i].log(filled[:, i], width[:, i]) for i in range(d)], axis=1)
        before, after = np.zeros((n, d)), np.zeros((n, d))
        for i in range(d - 1):
            before[:, i] = self._in_order[i].log(filled[:, i + 1], width[:, i + 1]) - own[:, i + 1]
            after[:, i] = self._in_order[i + 1].log(filled[:, i], width[:, i]) - own[:, i]
        before[:, :-1][~known[:, 1:]] = after[~known] = 0.0
        hypotheses = np.log(1.5 * d * (d - 1))

        cell = decimals * (len(GRID) - 1) + _grid_index(filled.ravel()).reshape(n, d)
        highest = np.where(known, most.max(axis=0)[cell] - own, 0.0)
        rows = np.flatnonzero(_most_gain(highest, before, after) > hypotheses)
        values, known, filled, width, own = values[rows], known[rows], filled[rows], width[rows], own[rows]
        # (r, d, d) log likelihood ratio of the number of column j in column i instead, or what it is at most
        ratio = most[:, cell[rows]].transpose(1, 0, 2) - own[:, None, :]
        ratio[np.broadcast_to(~known[:, None, :], ratio.shape)] = 0.0
        index = np.arange(d)
        ratio[:, index[:-1], index[1:]] = before[rows, :-1]
        ratio[:, index[1:], index[:-1]] = after[rows, :-1]
        exchanged, back, on = (gains > hypotheses for gains in _gains(ratio, values, self.exclusive))
        sought = exchanged | exchanged.transpose(0, 2, 1) | back.transpose(0, 2, 1) | on
        sought &= known[:, None, :]
        kept = np.flatnonzero(sought.any(axis=(1, 2)))
        rows, values, filled, width, own = rows[kept], values[kept], filled[kept], width[kept], own[kept]
        ratio, sought = ratio[kept], sought[kept]
        for i in range(d):
            row, j = np.nonzero(sought[:, i])
            ratio[row, i, j] = self._in_order[i].log(filled[row, j], width[row, j]) - own[row, j]

        gains = np.stack(_gains(ratio, values, self.exclusive), axis=-1).reshape(len(rows), 3 * d * d) - hypotheses
        found = gains.argmax(axis=1)
        best = gains[np.arange(len(rows)), found]
        pair, kind = np.divmod(found, 3)
        first, last = pair // d, pair % d
        between = (index > first[:, None]) & (index < last[:, None]) & (kind > 0)[:, None]
        inside = between | (index == first[:, None]) | (index == last[:, None])
        better = best > 0
        return rows[better], best[better], inside[better]

    @cached_property
    def _in_order(self) -> list[Density]:
        return list(self.densities.values())


def _most_gain(highest: Floats, before: Floats, after: Floats) -> Floats:
    """Return a bound, (n,), of the log likelihood ratio of any move. highest (n, d): the largest ratio of each number
    in any column; before, after (n, d): those of the next column's number in each, and of each number in the next."""
    exchanged = np.partition(highest, -2, axis=1)[:, -2:].sum(axis=1)
    back, on = (np.cumsum(np.roll(part, 1, axis=1), axis=1) for part in (before, after))
    backward = (back[:, 1:] + np.maximum.accumulate(highest - back, axis=1)[:, :-1]).max(axis=1)
    onward = (on[:, 1:] + highest[:, 1:] - np.minimum.accumulate(on, axis=1)[:, :-1]).max(axis=1)
    most: Floats = np.maximum(exchanged, np.maximum(backward, onward))
    return most


def _gains(ratio: Floats, values: Floats, exclusive: Bools) -> tuple[Floats, Floats, Floats]:
    """Return (n, d, d) log likelihood ratios of moves between columns a < b, −∞ elsewhere: the two are exchanged; each
    of those from a to b belongs one column before, the first last; each belongs one column on, the last first.

    ratio (n, d, d): of the number of the second column in the first. exclusive (d, d): columns of which one is zero in
    every row, so that a zero may stand in either.
    """
    n, d = values.shape
    a, b = np.arange(d)[:, None], np.arange(d)
    is_zero = values == 0
    impossible = (a >= b) | (values[:, :, None] == values[:, None, :])
    impossible |= exclusive & (is_zero[:, :, None] | is_zero[:, None, :])
    short = impossible | (b == a + 1)
    before, after = (ratio[:, np.arange(d - 1) + i, np.arange(d - 1) + 1 - i] for i in (0, 1))
    zero = np.zeros((n, 1))
    back = np.hstack([zero, np.cumsum(before, axis=1)])  # (n, d) sum of the columns up to b
    on = np.hstack([zero, np.cumsum(after, axis=1)])  # (n, d) sum of the columns before b
    opposite = ratio.transpose(0, 2, 1)
    return (
        np.where(impossible, -np.inf, ratio + opposite),
        np.where(short, -np.inf, back[:, None, :] - back[:, :, None] + opposite),
        np.where(short, -np.inf, on[:, None, :] - on[:, :, None] + ratio),
    )
