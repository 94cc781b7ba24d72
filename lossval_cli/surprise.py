"""How odd each row's features are, learned without any label: the price of a row in the transport cost.

An odd row is one that looks like a row somebody tampered with. So tampered copies of the training rows are
made (numbers get N(0, 1) added, in encoded units; any other column takes one of its levels at random) and a
density
ratio of tampered to untouched rows is fitted (noise-contrastive estimation; Gutmann & Hyvärinen, 2010). A
row is summarised by few terms, each a sum of one-dimensional log density ratios, so that 200 rows suffice:

    columns      Σ_d log q_d(x_d) / p_d(x_d)    p_d: kernel density of column d, q_d: the same after tampering
    directions   the same over principal directions, where tampering breaks correlations

each at a fine and a coarse bandwidth. Densities leave the row itself out. Training rows are a mixture, some
are odd already: (1 − π) untouched + π odd. With L(x) the log ratio of odd to untouched, linear in the
terms, the odds that x is one of n₁ tampered copies rather than one of n₀ training rows are

    (n₁/n₀) · e^L / (1 − π + π e^L)

which is fitted by maximum likelihood in the coefficients and π together (positive-unlabelled logistic
regression; Ward et al., 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from lossval_cli.encoding import Block

Floats = npt.NDArray[np.float64]

BANDWIDTHS = (0.06, 0.3)
"""Fine: sees that values repeat (counts, codes). Coarse: sees shape where values are sparse."""

GRID_STEP = 0.02
GRID_HALF = 600
"""Densities live on a grid of ±12 encoded units, beyond any encoded number (encoding bends at 10)."""

COPIES = 2
"""Tampered copies a training row."""

FIT_ROWS = 20_000
"""Rows the coefficients are fitted on; a handful of numbers needs no more."""

BLOCK_ROWS = 65_536
"""Rows read off at once, so that the float64 terms of a large table never stand in memory together."""

ROWS_PER_DIRECTION = 10
"""Principal directions are used up to N / 10: with more, the rows themselves define the directions."""

RIDGE = 0.1
"""Prior precision of the coefficients on standardised terms: keeps L finite where a term separates
perfectly."""


class Oddness(NamedTuple):
    """What is known about the training rows' features before any training."""

    log_ratio: Floats  # (N,) L: log density ratio of odd to untouched rows
    share: float  # π, the share of training rows that are odd
    share_low: float  # likelihood interval of π, 95 %
    share_high: float
    column_terms: npt.NDArray[np.float32]  # (N, blocks): each column's own log ratio at the fine bandwidth


def measure(X: npt.NDArray[np.float32], blocks: Sequence[Block], rng: np.random.Generator) -> Oddness:
    """Fit the density ratio on X (N, D) and read it off for every row.

    `blocks` says which columns of X belong together. Draws come from `rng`.
    """
    kept = _sample(len(X), FIT_ROWS, rng)
    base = X[kept]
    terms = _Terms.fit(base, blocks)
    member = np.isin(np.arange(len(X)), kept)
    column_terms = np.empty((len(X), len(blocks)), np.float32)
    own, column_terms[kept] = terms.of(base, member[kept])
    stranger = np.zeros(len(base), np.bool_)
    tampered = np.concatenate([terms.of(terms.tamper(base, rng), stranger)[0] for _ in range(COPIES)])
    # Standardised by the tampered and untouched rows together: a term's unit then does not matter to RIDGE.
    centre, spread = np.median(own, axis=0), np.concatenate([own, tampered]).std(axis=0) + 1e-12
    fit = _fit_mixture((own - centre) / spread, (tampered - centre) / spread)
    log_ratio = np.empty(len(X))
    for start in range(0, len(X), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        if len(kept) < len(X):
            own, column_terms[part] = terms.of(X[part], member[part])
        log_ratio[part] = fit.intercept + ((own - centre) / spread) @ fit.coefficients
    return Oddness(log_ratio, fit.share, fit.share_low, fit.share_high, column_terms)


def _sample(rows: int, most: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    if rows <= most:
        return np.arange(rows)
    return np.sort(rng.choice(rows, most, replace=False))


@dataclass(frozen=True)
class _Terms:
    """The summary of a row, and how rows are tampered with."""

    numbers: npt.NDArray[np.int64]
    """Columns of X that hold a number."""
    levels: tuple[_Levels, ...]
    """The other blocks."""
    columns: tuple[_Densities, ...]
    """One a bandwidth, over `numbers`."""
    centre: Floats
    directions: Floats
    """(D, k) orthonormal."""
    along: tuple[_Densities, ...]
    """One a bandwidth, over the directions."""
    places: tuple[int, ...]
    """For each entry of `numbers`, then of `levels`, the block it stands for."""

    @classmethod
    def fit(cls, X: npt.NDArray[np.float32], blocks: Sequence[Block]) -> _Terms:
        numeric = [at for at, block in enumerate(blocks) if block.kind in ("number", "date")]
        others = [at for at in range(len(blocks)) if at not in set(numeric)]
        numbers = np.array([blocks[at].start for at in numeric], np.int64)
        centre = np.median(X, axis=0).astype(np.float64)
        count = min(X.shape[1], len(X) // ROWS_PER_DIRECTION)
        centred = X - centre
        _, vectors = np.linalg.eigh(centred.T @ centred)
        directions = vectors[:, ::-1][:, :count]
        return cls(
            numbers,
            tuple(_Levels.fit(X[:, blocks[at].start : blocks[at].stop], blocks[at]) for at in others),
            tuple(_Densities.fit(X[:, numbers], width) for width in BANDWIDTHS),
            centre,
            directions,
            tuple(_Densities.fit(centred @ directions, width) for width in BANDWIDTHS),
            (*numeric, *others),
        )

    def tamper(self, X: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        tampered = X.copy()
        tampered[:, self.numbers] += rng.standard_normal((len(X), len(self.numbers)), dtype=np.float32)
        for levels in self.levels:
            levels.swap(tampered, rng)
        return tampered

    def of(
        self, X: npt.NDArray[np.float32], member: npt.NDArray[np.bool_]
    ) -> tuple[Floats, npt.NDArray[np.float32]]:
        """Terms (n, T) and each block's own fine log ratio (n, blocks); `member` (n,): a row fitted on."""
        coded = [levels.log_ratio(X) for levels in self.levels]
        level_sum = np.sum(coded, axis=0) if coded else np.zeros(len(X))
        per_number = [densities.log_ratio(X[:, self.numbers], member) for densities in self.columns]
        along = [densities.log_ratio((X - self.centre) @ self.directions, member) for densities in self.along]
        terms = [parts.sum(axis=1) for parts in (*per_number, *along)]
        if coded:
            terms.append(level_sum)
        per_block = np.empty((len(X), len(self.places)), np.float32)
        per_block[:, list(self.places)] = np.column_stack([per_number[0], *coded])
        return np.column_stack(terms), per_block


@dataclass(frozen=True)
class _Densities:
    """One-dimensional densities of several columns before and after adding N(0, 1), on a common grid."""

    count: int
    before: Floats
    after: Floats
    """(columns, grid) sums of kernels: rows per grid step."""
    peak_before: float
    peak_after: float
    """What a row adds to the density at its own place."""

    @classmethod
    def fit(cls, columns: npt.NDArray[np.floating], bandwidth: float) -> _Densities:
        places = _grid(columns)
        size = 2 * GRID_HALF + 1
        offsets = np.arange(columns.shape[1]) * size
        histogram = np.bincount((places + offsets).ravel(), minlength=columns.shape[1] * size)
        rows = histogram.reshape(columns.shape[1], size).astype(np.float64)
        impulse = np.zeros(size)
        impulse[GRID_HALF] = 1.0
        narrow, wide = bandwidth / GRID_STEP, np.hypot(1.0, bandwidth) / GRID_STEP
        return cls(
            len(columns),
            _smooth(rows, narrow),
            _smooth(rows, wide),
            float(_smooth(impulse, narrow)[GRID_HALF]),
            float(_smooth(impulse, wide)[GRID_HALF]),
        )

    def log_ratio(self, columns: npt.NDArray[np.floating], member: npt.NDArray[np.bool_]) -> Floats:
        """(n, columns) log q/p. `member` (n,): a row fitted on, which leaves itself out.

        One row's worth of a broad density is mixed into both, so that the ratio is bounded where nothing
        was seen.
        """
        places = (np.arange(columns.shape[1]), _grid(columns))
        before = np.maximum(self.before[places] - member[:, None] * self.peak_before, 0.0) / self.count
        after = np.maximum(self.after[places] - member[:, None] * self.peak_after, 0.0) / self.count
        broad = np.maximum(after, _BROAD) / (self.count + 1)
        ratio: Floats = np.log(after + broad) - np.log(before + broad)
        return ratio


_BROAD = 0.3 / (2 * GRID_HALF + 1)


def _smooth(rows: Floats, sigma: float) -> Floats:
    """Convolve each row of (…, grid) with a normal density of deviation `sigma` grid steps; beyond the
    grid is 0."""
    size = rows.shape[-1]
    length = next_fast_len(2 * size, real=True)  # no wrapping round
    offsets = np.fft.fftfreq(length, 1 / length)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    spectrum = rfft(rows, length) * rfft(kernel / kernel.sum())
    smoothed: Floats = np.maximum(irfft(spectrum, length)[..., :size], 0.0)
    return smoothed


def _grid(columns: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    places = np.rint(columns / GRID_STEP).astype(np.int64) + GRID_HALF
    inside: npt.NDArray[np.int64] = np.clip(places, 0, 2 * GRID_HALF)
    return inside


@dataclass(frozen=True)
class _Levels:
    """A block of X that takes finitely many values: categories, hashed levels, texts, yes/no."""

    start: int
    stop: int
    values: npt.NDArray[np.float32]
    """(levels, width), the different rows of the block."""
    keys: npt.NDArray[np.void]
    ratios: Floats
    """(levels,) log of tampered to untouched probability: half of the tampered cells are levels drawn
    alike."""

    @classmethod
    def fit(cls, part: npt.NDArray[np.float32], block: Block) -> _Levels:
        keys, first, counts = np.unique(_keys(part), return_index=True, return_counts=True)
        ratios = np.log(0.5 + 0.5 * (counts.sum() / counts) / len(counts))
        return cls(block.start, block.stop, part[first], keys, ratios)

    def log_ratio(self, X: npt.NDArray[np.float32]) -> Floats:
        """(n,) for rows of X; a level never seen counts as the rarest."""
        found = np.searchsorted(self.keys, sought := _keys(X[:, self.start : self.stop]))
        found = np.minimum(found, len(self.keys) - 1)
        known = self.keys[found] == sought
        return np.where(known, self.ratios[found], self.ratios.max())

    def swap(self, X: npt.NDArray[np.float32], rng: np.random.Generator) -> None:
        rows = np.flatnonzero(rng.random(len(X)) < 0.5)
        X[rows, self.start : self.stop] = self.values[rng.integers(0, len(self.values), len(rows))]


def _keys(part: npt.NDArray[np.float32]) -> npt.NDArray[np.void]:
    solid = np.ascontiguousarray(part)
    return solid.view(np.dtype((np.void, solid.dtype.itemsize * solid.shape[1]))).ravel()


class _Mixture(NamedTuple):
    intercept: float
    coefficients: Floats
    share: float
    share_low: float
    share_high: float


def _fit_mixture(own: Floats, tampered: Floats) -> _Mixture:
    """Maximum likelihood of the module's odds in intercept, coefficients and π, with π's likelihood
    interval."""
    terms = np.column_stack([np.ones(len(own) + len(tampered)), np.concatenate([own, tampered])])
    is_copy = np.arange(len(terms)) >= len(own)
    # Copies count as many as rows: the interval must not shrink because we made more of them.
    row_weight = np.where(is_copy, len(own) / len(tampered), 1.0)

    def loss(beta: Floats, logit_share: float) -> tuple[float, Floats]:
        """Negative log-likelihood and its gradient in (beta, logit π)."""
        log_ratio = np.clip(terms @ beta, -500, 500)
        odd = log_ratio + log_expit(logit_share)
        mixed = np.logaddexp(log_expit(-logit_share), odd)
        odds = log_ratio - mixed
        odd_share = np.exp(odd - mixed)  # posterior that the row is odd
        value = -(row_weight * log_expit(np.where(is_copy, odds, -odds))).sum()
        d_odds = row_weight * (expit(odds) - is_copy)
        penalty = np.append(0.0, RIDGE * beta[1:])
        gradient = terms.T @ (d_odds * (1 - odd_share)) + penalty
        d_share = -(d_odds * (odd_share - expit(logit_share))).sum()
        return float(value + 0.5 * penalty @ beta), np.append(gradient, d_share)

    def joint(point: Floats) -> tuple[float, Floats]:
        return loss(point[:-1], point[-1])

    bounds = [(None, None)] * terms.shape[1] + [(logit(LEAST_SHARE), 0.0)]
    start = np.append(np.zeros(terms.shape[1]), logit(0.05))
    # A thousandth of a nat of log-likelihood is far below what the interval can tell.
    best = minimize(joint, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-6})

    top = float(best.x[-1])
    if top - bounds[-1][0] < 1:
        # No odd rows to speak of. The likelihood is flat below; how far up it stays high is read off
        # directly.
        inside, outside = top, 0.0
        while outside - inside > 0.1:
            middle = (inside + outside) / 2
            rise = loss(best.x[:-1], middle)[0] - best.fun
            inside, outside = (middle, outside) if rise <= INTERVAL_DROP else (inside, middle)
        low, high = LEAST_SHARE, float(expit(inside))
    else:
        steps = 1e-3 * np.eye(len(best.x))
        hessian = np.array([(joint(best.x + e)[1] - joint(best.x - e)[1]) / 2e-3 for e in steps])
        deviation = np.sqrt(max(np.linalg.pinv(hessian, hermitian=True)[-1, -1], 0.0))
        low, high = expit([top - 1.96 * deviation, min(0.0, top + 1.96 * deviation)])
    return _Mixture(float(best.x[0]), best.x[1:-1], float(expit(top)), float(low), float(high))


LEAST_SHARE = 1e-4
"""Share of odd rows below which there might as well be none; above a half nothing tells odd from
untouched."""

INTERVAL_DROP = 1.92
"""Half the 95 % quantile of χ² with one degree of freedom."""
