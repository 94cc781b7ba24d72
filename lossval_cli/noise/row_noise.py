"""Rows that are noisy as a whole, a little in every column: a density ratio of corrupted copies to rows.

Every row is copied with N(0, 1) added to its numbers and half of its other cells replaced, and what tells copies
from rows is fitted (noise-contrastive estimation; Gutmann & Hyvärinen, 2010). A row is summarised by five terms
made of one-dimensional log density ratios, so that 200 rows suffice:

    columns      Σ_d log q_d(x_d) / p_d(x_d)    p_d: kernel density of column d, q_d: the same after corruption
    directions   the same over principal directions, where corruption breaks correlations
    neighbour    distance to the nearest of about a thousand other rows

Columns and directions have a fine and a coarse bandwidth. A row is summarised by densities of rows other than
itself and its copies (grouped folds), as its corrupted copy is. The median of a row's own class is subtracted: a rare
class is not noise.

The log ratio L, linear in the terms, and the share π of noisy rows are fitted together (pu_regression), once with all
terms and once without the neighbour. A row is noisy if both say so: rows of a small group of their own have the
neighbours that noise lacks, and a row that has no neighbours among many groups is ordinary in all its columns.

Rows of one table may differ in scale as a whole: on some days all returns are large. That is not noise. Noise of one
size makes the directions in which the others vary least grow most, a scale makes all grow alike; where the others
vary alike in all directions, noise shows in that few rows lie between the two groups. Without such a sign a row is
noisy only if its log ratio lies beyond the tail of the others' as well.

A share above MOST_NOISY is a second state of the table (a sensor that is off), so its rows become a class of their own
and the fit is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from lossval_cli.features.encoder import Block
from lossval_cli.noise.densities import NumberDensities
from lossval_cli.noise.neighbours import nearest
from lossval_cli.noise.pu_regression import fit_pu_regression
from lossval_cli.noise.tails import Tail

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BANDWIDTHS = (0.06, 0.3)
"""Fine: sees that values repeat (counts, codes). Coarse: sees shape where values are sparse."""

FOLDS = 3

NOISE = (0.8, 1.1)
"""Standard deviation of what is added to the numbers of a copy, drawn for each row."""

TOGETHER = 512
"""Columns, at most, whose principal directions are computed together: that takes the cube of as many steps."""

NEIGHBOURS = 1_024
"""Rows among which the nearest is searched."""

FEW_ROWS = 10
"""A class of fewer rows has no baseline of its own."""

SAME_POINT = 0.05
"""Squared distance, per column, below which neighbours count as equal."""

CEILING = 0.5
"""Quantile of the corrupted copies at which a term levels off: real noise need not resemble ours."""

BEYOND = 0.2
"""Share of its slope that a term keeps beyond its ceiling, so that rows keep their order."""

LEAST_SPREAD = 0.1
"""Nats. A term that hardly differs among rows and copies is not scaled up."""

NEIGHBOUR_TERM = 4
"""Index of the neighbour among the terms: the last."""

MOST_NOISY = 0.25
"""A larger share of rows is a second state of the table."""


ANISOTROPY, LEAST_SLOPE = 0.3, 0.45
"""Standard deviation of the growth that noise would cause along the principal directions from which on it can be
distinguished from a scale, and the least slope of the growth that is found on it: noise has about 1, a scale 0."""

BETWEEN, MOST_BETWEEN = (0.3, 0.7), 0.3
"""Probabilities of rows that lie between the two groups, and how many such rows there are at most for a noisy one."""

FEWEST_NOISY = 6
"""Noisy rows of which so much can be said."""

FAR = 8.0
"""Deviations, at most, that a direction adds to a row's size."""

BULK = (0.5, 0.75)
"""Quantiles between which the tail of log ratios is fitted: up to a quarter of the rows may be noisy."""

DOUBTED = 5.0
"""Nats of −log p that a scale explains."""


@dataclass(frozen=True)
class RowNoise:
    """The fitted density ratios."""

    log_ratios: Floats
    """(n, 2) L of the fitted rows, with the neighbour and without."""
    interval: tuple[float, float]
    """Interval of the share of noisy rows."""
    _terms: _Terms
    _baseline: _ClassBaseline
    _classes: int
    """Number of classes, before they are split."""
    _states: int
    """Into which each class is split."""
    _ratios: tuple[_Ratio, ...]
    _tail: Tail | None
    """Tail of the log ratios, if they do not show two groups."""

    @classmethod
    def fit(
        cls, X: npt.NDArray[np.float32], blocks: Sequence[Block], classes: Ints, group: Ints, rng: np.random.Generator
    ) -> RowNoise:
        """Fit on n encoded rows X (n, D). `blocks`: the columns of X that belong together; classes (n,): rows that are
        compared with one another; group (n,): equal for copies."""
        fold = (rng.permutation(int(group.max()) + 1) % FOLDS)[group]
        folds = [_Terms.fit(X[fold != i], blocks) if (fold != i).any() else _Terms.fit(X, blocks) for i in range(FOLDS)]
        own, corrupted = np.empty((len(X), _Terms.count)), np.empty((len(X), _Terms.count))
        for i, terms in enumerate(folds):
            rows = np.flatnonzero(fold == i)
            if len(rows):
                own[rows] = terms.of(X[rows])
                corrupted[rows] = terms.of(terms.corrupt(X[rows], rng))
        states, count = 1, int(classes.max()) + 1
        baseline = _ClassBaseline.fit(own, classes)
        ratio = _Ratio.fit(baseline.relative(own, classes), baseline.relative(corrupted, classes))
        if ratio.share > MOST_NOISY:
            second = ratio.of(baseline.relative(own, classes)) + logit(ratio.share) > 0
            classes, states = classes + second * count, 2
            baseline = _ClassBaseline.fit(own, classes)
            ratio = _Ratio.fit(baseline.relative(own, classes), baseline.relative(corrupted, classes))
        own, corrupted = baseline.relative(own, classes), baseline.relative(corrupted, classes)
        alone = _Ratio.fit(own[:, :NEIGHBOUR_TERM], corrupted[:, :NEIGHBOUR_TERM])
        log_ratios = _log_ratios((ratio, alone), own)
        low, high = zip(ratio.interval, alone.interval, strict=True)
        noise = cls(log_ratios, (min(low), min(high)), folds[0], baseline, count, states, (ratio, alone), None)
        if not _two_groups(folds[0]._numbers(X), expit(noise.log_odds(log_ratios))):
            noise = replace(noise, _tail=Tail.fit(log_ratios.min(axis=1), BULK, 0.1))
        return replace(noise, log_ratios=noise._consented(log_ratios))

    @property
    def is_sure(self) -> bool:
        """True if noisy rows differ from the others by noise, not by what might be in the nature of the table."""
        return self._tail is None

    def of(self, X: npt.NDArray[np.float32], classes: Ints) -> Floats:
        """Return (n, 2) L of rows that were not fitted on: in the state of their class in which they are more
        ordinary. Those of a class that was not fitted are compared with all rows."""
        terms, unseen = self._terms.of(X), self._classes * self._states
        found = []
        for state in range(self._states):
            split = np.where(classes < self._classes, classes + state * self._classes, unseen)
            found.append(_log_ratios(self._ratios, self._baseline.relative(terms, split)))
        return self._consented(np.min(found, axis=0))

    def _consented(self, log_ratios: Floats) -> Floats:
        """Return L (n, 2), no larger than the tail of log ratios allows, where there is one."""
        if self._tail is None:
            return log_ratios
        excess = self._tail.neg_log_p(log_ratios.min(axis=1)) - DOUBTED
        limited: Floats = np.minimum(log_ratios, excess[:, None])
        return limited

    def log_odds(self, log_ratios: Floats, least_share: float = 0.0) -> Floats:
        """Return the log-odds (n,) that a row with these L (n, 2) is noisy; `least_share`: of noisy rows that is
        assumed."""
        shares = np.clip([max(ratio.share, least_share) for ratio in self._ratios], 1e-9, 0.5)
        odds: Floats = np.min(log_ratios + logit(shares), axis=1)
        return odds


def _two_groups(numbers: npt.NDArray[np.float32], probability: Floats) -> bool:
    """Return whether the rows that are probably noisy differ from the others by noise rather than by a scale.

    numbers (n, d), standardised; probability (n,) of being noisy.
    """
    noisy = probability > 0.5
    if noisy.sum() < FEWEST_NOISY or (~noisy).sum() < FEWEST_NOISY or numbers.shape[1] < 2:
        return True
    centred = (numbers - np.median(numbers[~noisy], axis=0)).astype(np.float64)
    parts = [part @ np.linalg.eigh(part[~noisy].T @ part[~noisy])[1] for part in _ranges(centred)]
    squares = np.square(np.concatenate(parts, axis=1))
    variance = squares[~noisy].mean(axis=0)
    used = variance > 1e-4 * variance.max()
    sizes = np.minimum(squares[:, used] / variance[used], FAR**2)
    growth = np.log(sizes[noisy].mean(axis=0) / sizes[~noisy].mean(axis=0))
    expected = np.log1p(1 / variance[used])
    if used.sum() > 1 and expected.std() >= ANISOTROPY:
        slope = np.cov(expected, growth)[0, 1] / expected.var(ddof=1)
        return bool(slope >= LEAST_SLOPE)
    between = ((probability > BETWEEN[0]) & (probability < BETWEEN[1])).sum()
    return bool(between <= MOST_BETWEEN * noisy.sum())


def _log_ratios(ratios: Sequence[_Ratio], terms: Floats) -> Floats:
    """Return the log ratios (n, 2) for terms (n, 5)."""
    return np.column_stack([ratio.of(terms[:, : len(ratio.centre)]) for ratio in ratios])


@dataclass(frozen=True)
class _Terms:
    """The summary of a row, and how rows are corrupted."""

    count = 5

    blocks: Sequence[Block]
    numbers: Ints
    """Indices of the blocks that hold a number."""
    others: Ints
    columns: tuple[NumberDensities, ...]
    """One per bandwidth, over the numbers."""
    levels: tuple[npt.NDArray[np.float32], ...]
    """(levels, width) the different values of each of the others."""
    centre: Floats
    directions: tuple[Floats, ...]
    """(d, d) orthonormal, of one range of columns after the other."""
    along: tuple[NumberDensities, ...]
    """One per bandwidth, over the directions."""
    neighbours: npt.NDArray[np.float32]
    """(n ≤ NEIGHBOURS, D)"""

    @classmethod
    def fit(cls, X: npt.NDArray[np.float32], blocks: Sequence[Block]) -> _Terms:
        numeric = np.array([block.kind in ("number", "date") for block in blocks])
        centre = np.median(X, axis=0).astype(np.float64)
        directions = tuple(np.linalg.eigh(part.T @ part)[1] for part in _ranges(X - centre))
        neighbours = X[:: math.ceil(len(X) / NEIGHBOURS)]
        numbers, others = np.flatnonzero(numeric), np.flatnonzero(~numeric)
        draft = cls(blocks, numbers, others, (), (), centre, directions, (), neighbours)
        rotated = draft._rotated(X)
        return replace(
            draft,
            columns=tuple(NumberDensities.fit(draft._numbers(X), width) for width in BANDWIDTHS),
            levels=tuple(_different_rows(draft._block(X, i)) for i in draft.others),
            along=tuple(NumberDensities.fit(rotated, width) for width in BANDWIDTHS),
        )

    def of(self, X: npt.NDArray[np.float32]) -> Floats:
        """Rows that were not fitted on -> terms (n, 5)."""
        numbers, rotated = self._numbers(X), self._rotated(X)
        terms = [densities.log_ratio(numbers).sum(axis=1) for densities in self.columns]
        terms += [densities.log_ratio(rotated).sum(axis=1) for densities in self.along]
        terms.append(np.log(SAME_POINT + nearest(X, self.neighbours) ** 2 / len(self.blocks)))
        return np.column_stack(terms)

    def corrupt(self, X: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """A copy of X with about N(0, 1) added to numbers, and another level in half of the other cells."""
        corrupted = X.copy()
        starts = [self.blocks[i].start for i in self.numbers]
        size = rng.uniform(*NOISE, (len(X), 1)).astype(np.float32)
        corrupted[:, starts] += size * rng.standard_normal((len(X), len(starts)), np.float32)
        for i, levels in zip(self.others, self.levels, strict=True):
            rows = np.flatnonzero(rng.random(len(X)) < 0.5)
            self._block(corrupted, i)[rows] = levels[rng.integers(0, len(levels), len(rows))]
        return corrupted

    def _rotated(self, X: npt.NDArray[np.float32]) -> Floats:
        parts = zip(_ranges(X - self.centre), self.directions, strict=True)
        return np.concatenate([part @ directions for part, directions in parts], axis=1)

    def _numbers(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return X[:, [self.blocks[i].start for i in self.numbers]]

    def _block(self, X: npt.NDArray[np.float32], i: int) -> npt.NDArray[np.float32]:
        return X[:, self.blocks[i].start : self.blocks[i].stop]


def _different_rows(X: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Distinct rows in order. pandas drops the duplicates first, since NumPy sorts rows of many columns slowly."""
    return np.unique(pd.DataFrame(X).drop_duplicates().to_numpy(), axis=0)


def _ranges(centred: Floats) -> list[Floats]:
    """Split (n, D) into parts of up to TOGETHER columns, as even as can be."""
    return np.array_split(centred, max(1, math.ceil(centred.shape[1] / TOGETHER)), axis=1)


@dataclass(frozen=True)
class _ClassBaseline:
    """The median and spread of the terms in each class, and at the end those of all rows, for unseen classes."""

    centre: Floats
    """(classes + 1, T) median."""
    factor: Floats
    """(classes + 1, T) below 1 where a term varies more in the class than among all rows."""

    @classmethod
    def fit(cls, terms: Floats, classes: Ints) -> _ClassBaseline:
        """Fit on terms (n, T); a class of few rows has the baseline of all rows."""
        middle = np.median(terms, axis=0)
        spread = np.median(np.abs(terms - middle), axis=0)
        centre = np.tile(middle, (int(classes.max()) + 2, 1))
        factor = np.ones_like(centre)
        for i, rows in enumerate(np.bincount(classes)):
            if rows >= FEW_ROWS:
                of_class = terms[classes == i]
                centre[i] = np.median(of_class, axis=0)
                own = np.median(np.abs(of_class - centre[i]), axis=0)
                wider = (own > spread) & (spread > 0)
                factor[i, wider] = spread[wider] / own[wider]
        return cls(centre, factor)

    def relative(self, terms: Floats, classes: Ints) -> Floats:
        """Terms (n, T) as distances from the median of the class."""
        known = np.minimum(classes, len(self.centre) - 1)
        values: Floats = (terms - self.centre[known]) * self.factor[known]
        return values


@dataclass(frozen=True)
class _Ratio:
    """The fitted log ratio L, and the share π of noisy rows."""

    ceiling: Floats
    centre: Floats
    spread: Floats
    coefficients: Floats
    """(1 + T,) intercept first."""
    share: float
    interval: tuple[float, float]

    @classmethod
    def fit(cls, own: Floats, corrupted: Floats) -> _Ratio:
        """Fit on terms (n, T) of rows and of their corrupted copies."""
        ceiling = np.quantile(corrupted, CEILING, axis=0)
        own, corrupted = np.minimum(own, ceiling), np.minimum(corrupted, ceiling)
        # Standardised by both together: the unit of a term then does not matter to the ridge penalty.
        centre, spread = np.median(own, axis=0), np.concatenate([own, corrupted]).std(axis=0)
        spread = np.maximum(spread, LEAST_SPREAD)
        found = fit_pu_regression((own - centre) / spread, (corrupted - centre) / spread, np.ones(len(own)))
        return cls(ceiling, centre, spread, found.coefficients, found.share, found.interval)

    def of(self, terms: Floats) -> Floats:
        """Return (n,) L for terms (n, T)."""
        slopes = self.coefficients[1:]
        beyond = np.maximum(terms - self.ceiling, 0.0) / self.spread
        standard = (np.minimum(terms, self.ceiling) - self.centre) / self.spread
        values: Floats = self.coefficients[0] + standard @ slopes
        return values + BEYOND * beyond @ np.maximum(slopes, 0.0)
