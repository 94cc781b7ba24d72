"""How odd each row's features are, learned without any label: the price of a row in the transport cost.

An odd row is one that looks like a row somebody tampered with. So training rows are tampered with, in two
ways (every column a little, or one cell a lot; see `densities`), and for each way a density ratio of tampered
to untouched rows is fitted (noise-contrastive estimation; Gutmann & Hyvärinen, 2010). A row is summarised by
few terms made of one-dimensional log density ratios, so that 200 rows suffice:

    columns      Σ_d log q_d(x_d) / p_d(x_d)    p_d: kernel density of column d, q_d: the same after tampering
    directions   the same over principal directions, where tampering breaks correlations
    neighbour    how far the nearest of about a thousand other rows is: a small group of its own is no noise
    remotest     max_d −log q_d(x_d), how far the remotest number lies from other values of its column

Columns and directions at a fine and a coarse bandwidth. Rows are summarised by densities of other rows than
themselves (folds), as their tampered copies are: a row would look familiar just because it was fitted on.

A row is compared with its own class: what is usual there, in each term, is taken off. A rare class may be
unlike all other rows, and is no noise.

Training rows are a mixture, some are odd already: a share π. What tells a row from its tampered copy, L(x),
linear in the terms, and π are fitted together (`mixture`). Then P(odd | x) = π e^L / (1 − π + π e^L).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit, log_expit, logit

from lossval_cli.features.encoder import Block
from lossval_cli.noise.densities import LevelDensities, NumberDensities
from lossval_cli.noise.neighbours import nearest
from lossval_cli.noise.pu_regression import fit_pu_regression
from lossval_cli.runtime.distributed import ProcessGroup
from lossval_cli.runtime.row_loader import RowSource

Floats = npt.NDArray[np.float64]

BANDWIDTHS = (0.06, 0.3)
"""Fine: sees that values repeat (counts, codes). Coarse: sees shape where values are sparse."""

FOLDS = 3
"""A row is summarised by densities of the folds it is not in."""

ROW_MOVE = (0.8, 1.1)
"""Standard deviation of what is added to each number of a row. Were it the same in all rows, copies of a wide
table would be equally odd, and a row that is a little less odd would count as ordinary."""

CELL_MOVE = (3.0, 10.0)
"""How far a single cell is moved, either way: a wrong unit, a slipped digit. Less is no surprise on its
own."""

TOGETHER = 512
"""Columns, at most, that directions are looked for among: that takes the cube of as many steps."""

NEIGHBOURS = 1_024
"""Rows among which the nearest is looked for."""

FEW_ROWS = 10
"""A class of fewer has no terms of its own that are usual."""

SAME_PLACE = 0.05
"""Squared distance, per column, below which a row might as well be its neighbour."""

FIT_ROWS = 8_192
"""Rows the densities and coefficients are fitted on; a handful of numbers needs no more."""

BLOCK_ROWS = 16_384
"""Rows read off at once, so that the float64 terms of a large table never stand in memory together."""

PRICED_SHARE = 0.01
"""Share of odd rows that the price reckons with at least."""


class View(NamedTuple):
    """What a ratio sees of a row."""

    terms: slice
    ceiling: float
    """Quantile of the copies at which a term levels off: nobody knows how odd rows are odd, so one that is
    odder than many copies counts as odd as those. Few far cells are company to one another and look nearer
    than single ones: for them it is lower."""


WHOLE, REMOTEST = View(slice(0, 6), 0.5), View(slice(6, 7), 0.25)
"""Of the whole row (sums over columns, directions and levels, the neighbour), and of its remotest number."""


BEYOND = 0.2
"""How much of its slope a term keeps beyond its ceiling, when rows are told apart."""


LEAST_SPREAD = 0.1
"""Nats. In a single column every row has near neighbours: what hardly differs among rows and copies is not
blown up where a row goes beyond."""


@dataclass(frozen=True)
class ColumnTerms:
    """Each column's own log ratio at the fine bandwidth, worked out for the rows that are asked for."""

    _folds: Sequence[_Terms]
    _fitted: npt.NDArray[np.int64]
    """Sorted rows that densities were fitted on, and the fold of each."""
    _fold: npt.NDArray[np.int64]

    def of(self, row: int, x: npt.NDArray[np.float32]) -> Floats:
        """(blocks,) of training row `row`, whose features are x (D,)."""
        at = int(np.searchsorted(self._fitted, row))
        fitted = at < len(self._fitted) and self._fitted[at] == row
        terms = self._folds[self._fold[at] if fitted else 0]
        ratios: Floats = terms.of(x[np.newaxis])[1][0].astype(np.float64)
        return ratios


class OutlierEstimate(NamedTuple):
    """What is known about the training rows' features before any training."""

    log_ratio: Floats  # (N,) L, of whichever way of tampering makes the row the odder
    probability: Floats  # (N,) that the row is odd in either way
    share_low: float  # 95 % interval of the share of odd rows
    share_high: float
    column_terms: ColumnTerms

    @property
    def penalty(self) -> Floats:
        """(N,) −log P(ordinary | x), the surprise in nats. Odd rows are expected at PRICED_SHARE at least,
        so that rows are told apart where none is odd."""
        doubtful = expit(self.log_ratio + logit(PRICED_SHARE))
        odd = np.clip(np.maximum(self.probability, doubtful), 0.0, 1 - 1e-12)
        penalty: Floats = -np.log1p(-odd)
        return penalty

    def gathered(self, processes: ProcessGroup, total: int) -> OutlierEstimate:
        """Of all `total` rows on the first process of a team, where each has measured its own."""
        log_ratio, probability = (
            processes.gather_rows(torch.from_numpy(values), total).numpy()
            for values in (self.log_ratio, self.probability)
        )
        return self._replace(log_ratio=log_ratio, probability=probability)


def measure(
    X: RowSource,
    blocks: Sequence[Block],
    rng: np.random.Generator,
    own: slice | None = None,
    classes: npt.NDArray[np.int64] | None = None,
) -> OutlierEstimate:
    """Fit both density ratios on X (N, D) and read them off for every row, or for the range `own` of them.

    `blocks` says which columns of X belong together, `classes` (N,) which rows to compare with one another;
    without it all rows are. Draws come from `rng`.
    """
    if classes is None:
        classes = np.zeros(len(X), np.int64)
    start, stop = (0, len(X)) if own is None else (own.start, own.stop)
    kept = np.arange(len(X)) if len(X) <= FIT_ROWS else np.sort(rng.choice(len(X), FIT_ROWS, replace=False))
    fold = rng.permutation(len(kept)) % FOLDS
    folds = [_Terms.fit(X[kept[fold != at]], blocks) for at in range(FOLDS)]
    untampered: list[Floats] = []
    cells_tampered: list[Floats] = []
    rows_tampered: list[Floats] = []
    for at, terms in enumerate(folds):
        rows = kept[fold == at]
        untampered.append(terms.of(X[rows])[0])
        rows_tampered.append(terms.of(terms.tamper_rows(X[rows], rng))[0])
        if len(terms.numbers):
            cells_tampered.append(terms.of(terms.tamper_cells(X[rows], rng))[0])
    of_class = np.concatenate([classes[kept[fold == at]] for at in range(FOLDS)])
    usual = ClassBaseline.fit(np.concatenate(untampered), of_class)
    untampered = [usual.relative(terms, classes[kept[fold == at]]) for at, terms in enumerate(untampered)]
    untouched, alike = np.concatenate(untampered), np.ones(len(kept))
    whole = _Ratio.fit(untouched, usual.relative(np.concatenate(rows_tampered), of_class), WHOLE, alike)
    ratios = [whole]
    if cells_tampered:
        # Seen through its remotest cell alone: the sums would drown one cell among many. Rows that are odd as
        # a whole have many odd cells and would be taken for what a single one looks like.
        weight = 1 - whole.probability(untouched)
        ratios.append(_Ratio.fit(untouched, usual.relative(np.concatenate(cells_tampered), of_class), REMOTEST, weight))

    log_ratio, log_clean = np.empty(stop - start), np.empty(stop - start)
    for at in range(FOLDS):
        rows = kept[fold == at]
        here = (rows >= start) & (rows < stop)
        rows = rows[here] - start
        log_ratio[rows], log_clean[rows] = _combine(ratios, untampered[at][here])
    others = np.delete(np.arange(start, stop), kept[(kept >= start) & (kept < stop)] - start)
    for rows in np.array_split(others, max(1, len(others) // BLOCK_ROWS)):
        terms_here = usual.relative(folds[0].of(X[rows])[0], classes[rows])
        log_ratio[rows - start], log_clean[rows - start] = _combine(ratios, terms_here)
    low, high = (1 - np.prod([1 - ratio.interval[end] for ratio in ratios]) for end in (0, 1))
    return OutlierEstimate(log_ratio, -np.expm1(log_clean), float(low), float(high), ColumnTerms(folds, kept, fold))


def _combine(ratios: Sequence[_Ratio], terms: Floats) -> tuple[Floats, Floats]:
    """(n,) the larger log ratio, and the log probability of being odd in no way."""
    each = [ratio.of(terms) for ratio in ratios]
    clean = [log_expit(-ratio.of(terms) - logit(ratio.share)) for ratio in ratios]
    return np.max(each, axis=0), np.sum(clean, axis=0)


@dataclass(frozen=True)
class _Terms:
    """The summary of a row, and how rows are tampered with."""

    blocks: Sequence[Block]
    numbers: npt.NDArray[np.int64]
    """Places among the blocks of those that hold a number, and of the others."""
    others: npt.NDArray[np.int64]
    columns: tuple[NumberDensities, ...]
    """One a bandwidth, over the numbers."""
    levels: tuple[LevelDensities, ...]
    """One for each of the others."""
    centre: Floats
    directions: tuple[Floats, ...]
    """(d, d) orthonormal, of one stretch of columns after the other."""
    along: tuple[NumberDensities, ...]
    """One a bandwidth, over the directions."""
    neighbours: npt.NDArray[np.float32]
    """(n ≤ NEIGHBOURS, D)"""

    @classmethod
    def fit(cls, X: npt.NDArray[np.float32], blocks: Sequence[Block]) -> _Terms:
        numeric = np.array([block.kind in ("number", "date") for block in blocks])
        centre = np.median(X, axis=0).astype(np.float64)
        directions = tuple(np.linalg.eigh(part.T @ part)[1] for part in _stretches(X - centre))
        kinds = np.flatnonzero(numeric), np.flatnonzero(~numeric)
        neighbours = X[:: math.ceil(len(X) / NEIGHBOURS)]
        draft = cls(blocks, *kinds, (), (), centre, directions, (), neighbours)
        rotated = draft._rotated(X)
        return replace(
            draft,
            columns=tuple(NumberDensities.fit(draft._numbers(X), width) for width in BANDWIDTHS),
            levels=tuple(LevelDensities.fit(draft._block(X, at)) for at in draft.others),
            along=tuple(NumberDensities.fit(rotated, width) for width in BANDWIDTHS),
        )

    def of(self, X: npt.NDArray[np.float32]) -> tuple[Floats, npt.NDArray[np.float32]]:
        """Rows that were not fitted on -> terms (n, T), and each block's own fine log ratio (n, blocks)."""
        by_number = [densities.log_ratio(self._numbers(X)) for densities in self.columns]
        rotated = self._rotated(X)
        along = [densities.log_ratio(rotated) for densities in self.along]
        by_block = np.empty((len(X), len(self.blocks)), np.float32)
        by_block[:, self.numbers] = by_number[0]
        for at, densities in zip(self.others, self.levels, strict=True):
            by_block[:, at] = densities.log_ratio(self._block(X, at))
        in_sums: tuple[Floats, ...] = (*by_number, *along, by_block[:, self.others].astype(np.float64))
        terms = [ratios.sum(axis=1) for ratios in in_sums]
        terms.append(np.log(SAME_PLACE + nearest(X, self.neighbours) ** 2 / len(self.blocks)))
        if len(self.numbers):
            terms.append(self.columns[0].remoteness(self._numbers(X)).max(axis=1))
        return np.column_stack(terms), by_block

    def tamper_rows(self, X: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """A copy of X with about N(0, 1) added to numbers, and another level in half of the other cells."""
        tampered = X.copy()
        places = [self.blocks[at].start for at in self.numbers]
        size = rng.uniform(*ROW_MOVE, (len(X), 1)).astype(np.float32)
        tampered[:, places] += size * rng.standard_normal((len(X), len(places)), np.float32)
        for at, densities in zip(self.others, self.levels, strict=True):
            densities.swap(self._block(tampered, at), np.flatnonzero(rng.random(len(X)) < 0.5), rng)
        return tampered

    def tamper_cells(self, X: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """A copy of X with one number of each row moved far."""
        tampered = X.copy()
        chosen = self.numbers[rng.integers(0, len(self.numbers), len(X))]
        moves = rng.uniform(*CELL_MOVE, len(X)) * rng.choice([-1.0, 1.0], len(X))
        tampered[np.arange(len(X)), [self.blocks[at].start for at in chosen]] += moves.astype(np.float32)
        return tampered

    def _rotated(self, X: npt.NDArray[np.float32]) -> Floats:
        parts = zip(_stretches(X - self.centre), self.directions, strict=True)
        return np.concatenate([part @ directions for part, directions in parts], axis=1)

    def _numbers(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return X[:, [self.blocks[at].start for at in self.numbers]]

    def _block(self, X: npt.NDArray[np.float32], at: int) -> npt.NDArray[np.float32]:
        return X[:, self.blocks[at].start : self.blocks[at].stop]


def _stretches(centred: Floats) -> list[Floats]:
    """(n, D) in parts of up to TOGETHER columns, as even as can be."""
    return np.array_split(centred, max(1, math.ceil(centred.shape[1] / TOGETHER)), axis=1)


@dataclass(frozen=True)
class ClassBaseline:
    """What terms are usual in each class. A rare class is no noise, however unlike the other rows it is."""

    centre: Floats
    """(classes, T) median."""
    factor: Floats
    """(classes, T) below 1 where a term varies more in the class than among all rows."""

    @classmethod
    def fit(cls, terms: Floats, classes: npt.NDArray[np.int64]) -> ClassBaseline:
        """On terms (n, T); a class of few rows has those of all rows."""
        middle = np.median(terms, axis=0)
        spread = np.median(np.abs(terms - middle), axis=0)
        centre = np.tile(middle, (int(classes.max()) + 1, 1))
        factor = np.ones_like(centre)
        for at, rows in enumerate(np.bincount(classes)):
            if rows >= FEW_ROWS:
                of_class = terms[classes == at]
                centre[at] = np.median(of_class, axis=0)
                own = np.median(np.abs(of_class - centre[at]), axis=0)
                wider = (own > spread) & (spread > 0)
                factor[at, wider] = spread[wider] / own[wider]
        return cls(centre, factor)

    def relative(self, terms: Floats, classes: npt.NDArray[np.int64]) -> Floats:
        """Terms (n, T) as distances from what is usual in the class."""
        known = np.minimum(classes, len(self.centre) - 1)
        values: Floats = (terms - self.centre[known]) * self.factor[known]
        return values


@dataclass(frozen=True)
class _Ratio:
    """The fitted log ratio L of one way of tampering, and the share π of rows that are odd in this way."""

    view: View
    ceiling: Floats
    centre: Floats
    spread: Floats
    coefficients: Floats
    """(1 + T,) intercept first."""
    share: float
    interval: tuple[float, float]

    @classmethod
    def fit(cls, untouched: Floats, tampered: Floats, view: View, weight: Floats) -> _Ratio:
        """`weight` (n,) of each untouched row, and of its tampered copy, which stands in the same place."""
        own, copies = untouched[:, view.terms], tampered[:, view.terms]
        ceiling = np.quantile(copies, view.ceiling, axis=0)
        own, copies = np.minimum(own, ceiling), np.minimum(copies, ceiling)
        # Standardised by both together: the unit of a term then does not matter to RIDGE.
        centre, spread = np.median(own, axis=0), np.concatenate([own, copies]).std(axis=0)
        spread = np.maximum(spread, LEAST_SPREAD)
        found = fit_pu_regression((own - centre) / spread, (copies - centre) / spread, weight)
        return cls(view, ceiling, centre, spread, *found)

    def probability(self, terms: Floats) -> Floats:
        """(n,) that a row with these terms (n, T) is odd in this way."""
        odd: Floats = expit(self.of(terms) + logit(self.share))
        return odd

    def of(self, terms: Floats) -> Floats:
        """(n,) L for terms (n, T)."""
        seen, slopes = terms[:, self.view.terms], self.coefficients[1:]
        beyond = np.maximum(seen - self.ceiling, 0.0) / self.spread
        standard = (np.minimum(seen, self.ceiling) - self.centre) / self.spread
        values: Floats = self.coefficients[0] + standard @ slopes
        return values + BEYOND * beyond @ np.maximum(slopes, 0.0)
