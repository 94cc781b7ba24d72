"""How improbable each cell is given its own column, the other columns of its row, and its spelling.

    far         a number beyond the bulk of its column                              (number_cells)
    residual    a number away from what the other columns predict, in local deviations  (cross_forest, linear_cells)
    unlikely    a level to which the other columns give little probability          (cross_forest)
    misspelt    a rare level one or two edits away from a frequent one, a number that stands for a missing
                value                                                               (spelling, stand_ins)
    moved       numbers that are far likelier in each other's columns               (moved_cells)
    contradicts a value that hardly goes with another of its row                    (pair_cells)

A level, or a number of a column of few values, is compared with cells that have the same one: that a rare event is
hard to predict makes none of its rows wrong. The first three are −log p in nats under the column's own robust tail,
so columns of any unit and shape compare.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lossval_cli.noise.cross_forest import Cells, CrossForest, Ints, Prediction
from lossval_cli.noise.level_cells import LevelCells
from lossval_cli.noise.linear_cells import LinearCells
from lossval_cli.noise.moved_cells import MovedCells
from lossval_cli.noise.number_cells import NumberCells, Sides
from lossval_cli.noise.pair_cells import PairCells, PairEvidence
from lossval_cli.noise.stand_ins import MOST_CELLS, STATE_CELLS
from lossval_cli.noise.tails import LightTail, Tail

Floats = npt.NDArray[np.float64]

LOOSE = (0.75, 0.93)
"""Quantiles that a tail is fitted between, while a twentieth of the cells may be wrong."""

MOST_PREDICTED = 512
"""Columns from which on none is predicted from the others."""

LEAST_DEVIATION = 0.05
"""Least deviation of a prediction, in units of the column's spread: rounding does not violate exact relations."""

ENOUGH_TREES = 16
"""Trees that predict a column from which on its residuals can be normal: the variance of few leaves is not known."""

PRIOR_CELLS = 2.0
"""Cells of a leaf that a level's overall share counts as."""

LEAF_CELLS = 100.0
"""Cells that the leaves of a prediction hold together."""

TYPICAL, ENOUGH_CELLS = 0.7, 10
"""Quantile of the surprisal of a level's cells that is typical of it, and how many cells it takes. Where one cell in a
hundred has a level that nothing predicts, a third of the leaves hold none."""

COMMON_VALUE = 0.05
"""Share of a column's cells from which one value is one of its usual ones, however the others are predicted. With a
share of 1 %, ages would be such values, and wrong ones stand out less."""

LEAST_SCALE = {True: 1.0, False: 0.5}
"""Least scale of the tail of excess surprisal, in nats: of numbers in steps, and of levels."""


class CellEvidence(NamedTuple):
    """Nats for each cell of n rows and D columns, 0 where a kind of evidence does not apply."""

    far: Floats
    residual: Floats
    unlikely: Floats
    misspelt: Floats
    moved: Floats
    contradicts: Floats


class _Raw(NamedTuple):
    """Before tails are fitted."""

    cells: Cells
    deviation: Floats  # (n, D) log(1 + |value − mean| / deviation) of numbers
    surprisal: Floats  # (n, D) −log probability of levels, and of the bins of numbers in steps
    misspelt: Floats
    rarity: Floats  # (n, D) nats that a level is not one of the column's
    moved: Floats  # (n, D) nats
    pairs: PairEvidence


@dataclass(frozen=True)
class _Tails:
    """Fitted on the rows that are kept."""

    sides: Mapping[int, Sides]
    residual: Mapping[int, Tail]
    light: Mapping[int, LightTail | None]
    unlikely: Mapping[int, Tail]
    typical: Mapping[int, Floats]
    """(bins,) for columns of few values: the typical surprisal of each bin."""
    common: Mapping[int, tuple[Floats, Floats]]
    """Usual values of other columns of numbers, ascending, and the typical residual of each, in nats."""


@dataclass
class CellModel:
    """Model of what correct cells of each column look like, fitted on a sample of n rows."""

    columns: tuple[str, ...]
    numbers: Mapping[int, NumberCells]
    levels: Mapping[int, LevelCells]
    _forest: CrossForest
    _moved: MovedCells
    _shares: Mapping[int, Floats]
    """(bins,) of the cells, of levels and of numbers in steps."""
    _pairs: PairCells
    _copies: Ints
    """(n,) of each fitted row, itself included."""
    _amounts: tuple[int, ...] = ()
    """Columns whose numbers are nearly all positive, and negative in the same few rows."""
    _linear: LinearCells | None = None
    _tails: _Tails | None = None

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        is_number: Mapping[str, bool],
        counts: Mapping[str, Mapping[str, int]],
        group: Ints,
        trees: int,
        rng: np.random.Generator,
        movable: Collection[str] = (),
    ) -> CellModel:
        """Fit on n rows: numbers float64 with NaN, levels strings with None. `counts`: of the levels in the whole
        table; group (n,): equal for copies; `movable`: columns whose numbers may be in one another's place."""
        columns = tuple(frame.columns)
        numbers = {i: NumberCells.fit(frame[c].to_numpy(float)) for i, c in enumerate(columns) if is_number[c]}
        numbers = _without_states(numbers, frame, movable)
        levels = {i: LevelCells.fit(dict(counts[c])) for i, c in enumerate(columns) if not is_number[c]}
        between = {i: column for i, column in numbers.items() if columns[i] in movable}
        moved = MovedCells.fit(between, _given(frame, numbers))
        pairs, copies = PairCells.fit(frame, numbers, levels, group), np.bincount(group)[group]
        forest = CrossForest(len(columns), (), np.zeros((0, 0), bool))
        model = cls(columns, numbers, levels, forest, moved, {}, pairs, copies, _amounts(frame, numbers))
        codes, values, *_ = model._codes(frame, counted=True)
        in_steps = {i: column for i, column in numbers.items() if column.in_steps}
        model._shares = {
            i: (np.bincount(codes[:, i], minlength=column.bins) + 0.5) / len(frame)
            for i, column in (levels | in_steps).items()
        }
        if 1 < len(columns) <= MOST_PREDICTED:
            inputs, input_column = model._inputs(codes, values)
            targets, target_column = _standardised(inputs, input_column)
            clipped = model._clipped(values)
            bins = np.array([(numbers.get(i) or levels[i]).bins for i in range(len(columns))])
            model._forest = CrossForest.fit(
                Cells(inputs, codes, clipped), input_column, targets, target_column, bins, group, trees, rng
            )
            predicted = model._forest.predict(Cells(inputs, codes, clipped), np.arange(len(frame)))
            errors = {
                i: np.where(predicted.trees[:, i] > 0, clipped[:, i] - predicted.mean[:, i], np.nan)
                for i in numbers
                if i not in in_steps and np.isfinite(clipped[:, i]).any()
            }
            model._linear = LinearCells.fit(inputs, _first_inputs(input_column), errors)
        return model

    @property
    def moved(self) -> npt.NDArray[np.bool_]:
        """Which of the fitted rows (n,) have numbers that are far likelier in other columns."""
        return self._moved.left_out

    def in_state(self, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Which of n rows are in a rare state of what is measured, (n,): a machine that is off, a credit note with
        negative amounts."""
        negative = np.zeros(len(frame), np.int64)
        for i in self._amounts:
            negative += self.numbers[i].is_negative(frame.iloc[:, i].to_numpy(float))
        found: npt.NDArray[np.bool_] = negative > 1
        for i, column in self.numbers.items():
            if column.states:
                found |= np.isin(frame.iloc[:, i].to_numpy(float), list(column.states))
        return found

    def raw(self, frame: pd.DataFrame, fitted: Ints | None = None) -> _Raw:
        """Raw evidence of n rows; `fitted` (n,): which of the fitted rows they are."""
        codes, values, misspelt, rarity = self._codes(frame, counted=fitted is not None)
        inputs, _ = self._inputs(codes, values)
        cells = Cells(inputs, codes, values)
        prediction = self.predict(cells, fitted)
        deviation, surprisal = np.zeros_like(values), np.zeros_like(values)
        asked = prediction.trees > 0
        distance = np.abs(values - prediction.mean) / np.sqrt(prediction.variance + LEAST_DEVIATION**2)
        known = asked & np.isfinite(values)
        deviation[known] = np.log1p(distance[known])
        for i, shares in self._shares.items():
            here = asked[:, i] & (codes[:, i] < len(shares) - 1)
            overall = shares[codes[:, i]]
            smooth = (LEAF_CELLS * prediction.probability[:, i] + PRIOR_CELLS * overall) / (LEAF_CELLS + PRIOR_CELLS)
            surprisal[here, i] = -np.log(smooth[here])
        moved = self._moved.evidence(_given(frame, self.numbers))
        pairs = self._pairs.evidence(frame, self.copies(frame, fitted))
        return _Raw(cells, deviation, surprisal, misspelt, rarity, moved, pairs)

    def fit_tails(self, raw: _Raw, kept: npt.NDArray[np.bool_], quantiles: tuple[float, float]) -> None:
        """Fit the tails on the evidence of the fitted rows, without those that are left out."""
        sides: dict[int, Sides] = {}
        residual: dict[int, Tail] = {}
        unlikely: dict[int, Tail] = {}
        light: dict[int, LightTail | None] = {}
        typical: dict[int, Floats] = {}
        common: dict[int, tuple[Floats, Floats]] = {}
        for i, shares in self._shares.items():
            typical[i] = _typical_surprisal(raw.surprisal[kept, i], raw.cells.codes[kept, i], len(shares))
        excess = _excess(raw.surprisal, raw.cells.codes, typical)
        for i in self.numbers:
            values = raw.cells.values[kept, i]
            values = values[np.isfinite(values)]
            sides[i] = Sides.fit(values, self.numbers[i].distance(values), quantiles)
            known = np.isfinite(raw.cells.values[:, i]) & kept
            if not self.numbers[i].in_steps and np.ptp(raw.deviation[known, i]) > 0:
                smooth = not self.numbers[i].repeats and self._forest.predictors(i) >= ENOUGH_TREES
                light[i] = LightTail.fit(np.expm1(raw.deviation[known, i])) if smooth else None
                residual[i] = Tail.fit(raw.deviation[known, i], quantiles, 0.02)
                nats = residual[i].neg_log_p(raw.deviation[known, i])
                common[i] = _typical_of_values(raw.cells.values[known, i], nats)
        for i in self._shares:
            if np.ptp(excess[kept, i]) > 0:
                unlikely[i] = Tail.fit(excess[kept, i], quantiles, LEAST_SCALE[i in self.numbers])
        self._tails = _Tails(sides, residual, light, unlikely, typical, common)

    def evidence(self, raw: _Raw) -> CellEvidence:
        """Return the evidence in nats, after `fit_tails`."""
        assert self._tails is not None
        far, residual, unlikely = (np.zeros_like(raw.deviation) for _ in range(3))
        excess = _excess(raw.surprisal, raw.cells.codes, self._tails.typical)
        for i, sides in self._tails.sides.items():
            values = raw.cells.values[:, i]
            far[:, i] = sides.neg_log_p(values, self.numbers[i].distance(values))
        for i, tail in self._tails.residual.items():
            values = raw.cells.values[:, i]
            known = np.isfinite(values)
            residual[known, i] = tail.neg_log_p(raw.deviation[known, i])
            light = self._tails.light[i]
            if light is not None:
                beyond = known & (raw.deviation[:, i] > tail.start)
                as_normal = light.neg_log_p(np.expm1(raw.deviation[beyond, i]))
                residual[beyond, i] = np.maximum(residual[beyond, i], as_normal)
            usual, nats = self._tails.common[i]
            if len(usual):
                index = np.minimum(np.searchsorted(usual, values[known]), len(usual) - 1)
                excess_nats = residual[known, i] - np.where(usual[index] == values[known], nats[index], 0.0)
                residual[known, i] = np.maximum(excess_nats, 0.0)
        for i, tail in self._tails.unlikely.items():
            (unlikely if i in self.levels else residual)[:, i] = tail.neg_log_p(excess[:, i])
        # A level that hardly any cell has is rare, whatever the other columns predict.
        unlikely = np.maximum(unlikely, raw.rarity)
        return CellEvidence(far, residual, unlikely, raw.misspelt, raw.moved, raw.pairs.lift)

    def contradictions(self, frame: pd.DataFrame, fitted: Ints | None) -> Floats:
        """Return (n, D, D) nats that two cells of a row contradict one another."""
        return self._pairs.contradictions(frame, self.copies(frame, fitted))

    def copies(self, frame: pd.DataFrame, fitted: Ints | None) -> Ints:
        """Count how often each row was fitted, (n,)."""
        return np.zeros(len(frame), np.int64) if fitted is None else self._copies[fitted]

    def predict(self, cells: Cells, fitted: Ints | None = None) -> Prediction:
        """Predict each cell from the other columns."""
        prediction = self._forest.predict(cells, fitted)
        if self._linear is not None and self._linear.coefficients:
            input_of = _first_inputs(self._inputs(cells.codes[:0], cells.values[:0])[1])
            for i, (mean, variance) in self._linear.predict(cells.inputs, input_of).items():
                # A line leads beyond the values of the column: what lies at their end is not less than it predicts.
                within = np.clip(mean, *self.numbers[i].limits)
                given = np.where(np.isfinite(cells.values[:, i]), cells.values[:, i], within)
                prediction.mean[:, i] = np.clip(given, np.minimum(mean, within), np.maximum(mean, within))
                prediction.variance[:, i] = variance
        return prediction

    def likely_levels(self, cells: Cells, column: int, fitted: Ints | None) -> list[str | None]:
        """Return, for each row, the level that the other columns make most probable."""
        shares, named = self._forest.shares(cells, column, fitted), list(self.levels[column].named)
        if not shares.size or not named:
            return [None] * len(cells.codes)
        return [named[level] for level in np.argmax(shares[:, : len(named)], axis=1)]

    def _codes(self, frame: pd.DataFrame, counted: bool) -> tuple[Ints, Floats, Floats, Floats]:
        """Return (n, D) bins and levels, numbers on their scale, evidence of misspelling, rarity of levels."""
        shape = (len(frame), len(self.columns))
        codes, values = np.empty(shape, np.int64), np.full(shape, np.nan)
        misspelt, rarity = np.zeros(shape), np.zeros(shape)
        for i, name in enumerate(self.columns):
            if i in self.numbers:
                given = frame[name].to_numpy(float)
                values[:, i] = self.numbers[i].scale(given)
                misspelt[:, i] = self.numbers[i].standing_in(given)
                codes[:, i] = self.numbers[i].bin(values[:, i])
            else:
                found = self.levels[i].evidence(frame[name].to_numpy(object), counted)
                codes[:, i], misspelt[:, i], rarity[:, i] = found.code, found.misspelt, found.rarity
        return codes, values, misspelt, rarity

    def _clipped(self, values: Floats) -> Floats:
        """Far numbers neither predict nor are averaged."""
        clipped = values.copy()
        for i, column in self.numbers.items():
            clipped[:, i] = np.clip(values[:, i], *column.limits)
        return clipped

    def _inputs(self, codes: Ints, values: Floats) -> tuple[npt.NDArray[np.float32], Ints]:
        """(n, inputs): numbers, whether they are missing where some are, one input per level; their columns."""
        inputs: list[npt.NDArray[np.generic]] = []
        owner: list[int] = []
        clipped = np.nan_to_num(self._clipped(values))
        for i in range(len(self.columns)):
            if i in self.numbers:
                inputs.append(clipped[:, i])
                if self.numbers[i].missing > 0:
                    inputs.append(np.isnan(values[:, i]))
            else:
                inputs += list((codes[:, i, None] == np.arange(self.levels[i].bins)).T)
            owner += [i] * (len(inputs) - len(owner))
        return np.stack(inputs, axis=1).astype(np.float32), np.array(owner)


def _without_states(
    numbers: Mapping[int, NumberCells], frame: pd.DataFrame, plain: Collection[str]
) -> dict[int, NumberCells]:
    """Take stand-ins for states where another column shows it: the rows have unusual numbers, or a rare level, there.

    `plain`: columns of numbers that are no dates, since a sensor may fail in the last days.
    """
    given = {i: frame.iloc[:, i].to_numpy(float) for i in numbers}
    standing = {i: np.isin(given[i], list(column.stand_ins)) for i, column in numbers.items() if column.stand_ins}
    shown = {
        i: np.where(standing.get(i, False), np.nan, column.scale(given[i]))
        for i, column in numbers.items()
        if frame.columns[i] in plain
    }
    left = dict(numbers)
    for i, rows in standing.items():
        others = [values for j, values in shown.items() if j != i]
        for levels in (frame.iloc[:, j] for j in range(frame.shape[1]) if j not in numbers):
            others += [(levels == usual).to_numpy(float) for usual in levels[rows].mode()[:1]]
        left[i] = numbers[i].without_states(given[i], others)
    return left


def _amounts(frame: pd.DataFrame, numbers: Mapping[int, NumberCells]) -> tuple[int, ...]:
    """Find the columns whose numbers are negative in a few rows, together with those of another such column."""
    negative = {i: column.is_negative(frame.iloc[:, i].to_numpy(float)) for i, column in numbers.items()}
    few = {i: rows for i, rows in negative.items() if STATE_CELLS <= rows.sum() <= MOST_CELLS * len(frame)}
    together = np.sum(list(few.values()), axis=0) > 1 if few else np.zeros(len(frame), np.bool_)
    return tuple(i for i, rows in few.items() if (rows & together).sum() >= max(STATE_CELLS, rows.sum() / 2))


def _given(frame: pd.DataFrame, numbers: Collection[int]) -> Floats:
    """Return (n, D) numbers in their units, NaN in other columns."""
    values = np.full(frame.shape, np.nan)
    for i in numbers:
        values[:, i] = frame.iloc[:, i].to_numpy(float)
    return values


def _first_inputs(owner: Ints) -> dict[int, int]:
    """Find the first input of each column, which for a number is the number itself. owner (inputs,): their columns."""
    columns, first = np.unique(owner, return_index=True)
    return {int(column): int(i) for column, i in zip(columns, first, strict=True)}


def _typical_surprisal(surprisal: Floats, codes: Ints, bins: int) -> Floats:
    """Return (bins,) typical surprisal of the cells of each code, from that of all cells (n,). Codes of few cells are
    taken together; where even these are few, no surprisal exceeds it."""
    cells = np.bincount(codes, minlength=bins)
    few = (cells < ENOUGH_CELLS)[codes]
    typical = np.full(bins, np.quantile(surprisal[few], TYPICAL) if few.sum() >= ENOUGH_CELLS else np.inf)
    for code in np.flatnonzero(cells >= ENOUGH_CELLS):
        typical[code] = np.quantile(surprisal[codes == code], TYPICAL)
    return typical


def _typical_of_values(values: Floats, nats: Floats) -> tuple[Floats, Floats]:
    """Values that many of the cells (n,) have, ascending, and the median of the nats (n,) of each."""
    distinct, index, cells = np.unique(values, return_inverse=True, return_counts=True)
    usual = np.flatnonzero(cells >= max(ENOUGH_CELLS, COMMON_VALUE * len(values)))
    return distinct[usual], np.array([np.median(nats[index == i]) for i in usual])


def _excess(surprisal: Floats, codes: Ints, typical: Mapping[int, Floats]) -> Floats:
    """Return (n, D) surprisal beyond what is typical for cells of the same code."""
    excess = surprisal.copy()
    for i, of_code in typical.items():
        excess[:, i] = np.maximum(surprisal[:, i] - of_code[codes[:, i]], 0.0)
    return excess


def _standardised(inputs: npt.NDArray[np.float32], owner: Ints) -> tuple[npt.NDArray[np.float32], Ints]:
    """Inputs as targets: each column has variance 1 in total, constant ones are left out."""
    variance = inputs.var(axis=0)
    total = np.bincount(owner, variance)
    used = np.flatnonzero(variance > 0)
    deviation = np.sqrt(np.asarray(total[owner[used]], np.float64)).astype(np.float32)
    return inputs[:, used] / deviation, owner[used]
