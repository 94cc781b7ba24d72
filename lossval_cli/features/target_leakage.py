"""Columns that predict the label almost perfectly: if they are known only after the label, they hide wrong labels.

Classes: a tree of few leaves on one column, or on two, is fitted on half of a sample and measured on the other half.
Numbers: the rank correlation with one column, or the fit of a sum or a product of two.
"""

from __future__ import annotations

import math
import shlex
import warnings
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.feature_selection import f_classif
from sklearn.tree import DecisionTreeClassifier

from lossval_cli.features.encoder import Block
from lossval_cli.runtime.own_estimators import own_estimators
from lossval_cli.runtime.row_source import RowSource
from lossval_cli.text.format import format_name, format_percent, join_names

ALMOST_ALL = 0.999
"""Share of held-out rows that have to be predicted right, or rank correlation and R² of numbers."""

ALMOST_EXACT = 0.9999
"""R² that a sum or a product of two columns has to reach: strong features together reach much."""

LEAST_RECALL = 0.99
"""Mean share of each class that has to be right: with rare classes the most frequent one is right often."""

FEWEST_ROWS = 50
FEWEST_RARE = 10
"""Held-out rows outside the most frequent class, below which nothing is said."""

SAMPLE = 4_000
SCREEN_ROWS, SCREEN = 500, 0.99
"""Rows of the sample that columns are tried on first, and the share of them that a tree has to get right."""

MOST_COLUMNS = 60
"""Columns that are tried, of more those that separate the classes best."""

MOST_PAIRED = 6
"""Best columns of which every pair is tried."""

Floats = npt.NDArray[np.float64]


class TargetLeakage(NamedTuple):
    """The column, or the two, that tell the label best, and how well: for classes the share of held-out rows that are
    right, or the mean of that over the classes where it is less; for numbers |rank correlation|, or R² of two."""

    columns: tuple[str, ...]
    strength: float
    others: tuple[str, ...] = ()
    """Further columns that each tell it almost perfectly."""

    @property
    def is_almost_perfect(self) -> bool:
        """True if it is worth a notice."""
        return self.strength >= ALMOST_ALL

    def notice(self, *, is_number: bool) -> str:
        """A sentence on the columns found, and the option that leaves them out."""
        one = len(self.columns) == 1
        names = " and ".join(format_name(name) for name in self.columns)
        how = f"fit {self.strength:.5f}" if is_number else f"{format_percent(self.strength)} of held-out rows right"
        also = f"; so does {join_names(self.others, 3)}" if self.others else ""
        options = " ".join(f"--exclude {shlex.quote(name)}" for name in (*self.columns, *self.others))
        is_single = one and not self.others
        it, verb, hides, them = ("it", "is", "hides", "it") if is_single else ("they", "are", "hide", "them")
        return (
            f"{'column' if one else 'columns'} {names} {'alone predicts' if one else 'together predict'} the label "
            f"almost perfectly ({how}){also}; if {it} {verb} known only after the label, {it} "
            f"{hides} wrong labels: leave {them} out with {options}"
        )


@own_estimators()
def find_class_leakage(
    X: RowSource, y: npt.NDArray[np.int64], blocks: Sequence[Block], seed: int
) -> TargetLeakage | None:
    """Find columns that leak the class, in X (N, D) encoded features, y (N,) classes. Pairs are tried where no single
    column tells the label.

    None where there are too few rows, or too few outside the most frequent class.
    """
    if len(y) < FEWEST_ROWS:
        return None
    rng = np.random.default_rng([seed, len(y)])
    rows = np.sort(rng.choice(len(y), min(len(y), SAMPLE), replace=False))
    values, classes = np.asarray(X[rows]), y[rows]
    first = np.zeros(len(rows), np.bool_)
    first[rng.permutation(len(rows))[: len(rows) // 2]] = True
    _, counts = np.unique(classes, return_counts=True)
    if counts.sum() - counts.max() < 2 * FEWEST_RARE:
        return None
    leaves = max(4, 2 * len(counts))
    cells = {block.column: values[:, block.start : block.stop] for block in _most_separating(values, classes, blocks)}
    screened = {name: _screen(one, classes, leaves) for name, one in cells.items()}
    best = sorted(screened, key=lambda name: -screened[name])[:MOST_PAIRED]
    tried = [name for name in best if screened[name] >= SCREEN] or best[:1]
    single = [TargetLeakage((name,), _held_out_strength(cells[name], classes, first, leaves)) for name in tried]
    strongest = max(single, key=lambda one: one.strength)
    if strongest.is_almost_perfect:
        others = [one.columns[0] for one in single if one.is_almost_perfect and one is not strongest]
        return strongest._replace(others=tuple(others))
    for pair in combinations(best, 2):
        both = np.column_stack([cells[name] for name in pair])
        if _screen(both, classes, leaves) >= SCREEN:
            strength = _held_out_strength(both, classes, first, leaves)
            if strength >= ALMOST_ALL:
                return TargetLeakage(pair, strength)
    return strongest


def find_number_leakage(columns: Iterator[tuple[str, Any]], target: Floats) -> TargetLeakage | None:
    """Find columns that leak a number. `columns` are given by name, of which those of numbers (n,) without missing
    cells count; target (n,)."""
    rows = np.flatnonzero(np.isfinite(target))
    rows = rows[:: max(1, len(rows) // SAMPLE)]
    y = _below_one(target[rows])
    if len(rows) < FEWEST_ROWS or len(np.unique(y)) < FEWEST_RARE:
        return None
    numbers = {
        name: _below_one(found)
        for name, values in columns
        if isinstance(values, np.ndarray) and np.isfinite(found := values[rows]).all()
    }
    if not numbers:
        return None
    ranks = rankdata(y)
    single = [TargetLeakage((name,), _correlation(rankdata(values), ranks)) for name, values in numbers.items()]
    single.sort(key=lambda one: -one.strength)
    strongest = single[0]
    if strongest.is_almost_perfect:
        others = [one.columns[0] for one in single[1:] if one.is_almost_perfect]
        return strongest._replace(others=tuple(others))
    for pair in combinations([one.columns[0] for one in single[: 2 * MOST_PAIRED]], 2):
        fit = _pair_fit(numbers[pair[0]], numbers[pair[1]], y)
        if fit >= ALMOST_EXACT:
            return TargetLeakage(pair, fit)
    return strongest


def _screen(X: Any, y: npt.NDArray[np.int64], leaves: int) -> float:
    """Share of the first SCREEN_ROWS rows that a tree fitted on them gets right: no column does better on others."""
    X, y = np.ascontiguousarray(X[:SCREEN_ROWS], np.float32), y[:SCREEN_ROWS]
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0).fit(X, y, check_input=False)
    return float((tree.predict(X, check_input=False) == y).mean())


def _held_out_strength(X: Any, y: npt.NDArray[np.int64], first: npt.NDArray[np.bool_], leaves: int) -> float:
    """Share of rows, or mean share of the classes where that is less, that a tree fitted on the other half gets
    right: of rare classes nothing is known where the most frequent one is always right."""
    right = np.zeros(len(y), np.bool_)
    for fitted in (first, ~first):
        tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0).fit(X[fitted], y[fitted])
        right[~fitted] = tree.predict(X[~fitted]) == y[~fitted]
    _, codes = np.unique(y, return_inverse=True)
    recall = float((np.bincount(codes, weights=right) / np.bincount(codes)).mean())
    share = float(right.mean())
    return min(share, recall) if recall < LEAST_RECALL else share


def _most_separating(X: npt.NDArray[Any], y: npt.NDArray[np.int64], blocks: Sequence[Block]) -> Sequence[Block]:
    if len(blocks) <= MOST_COLUMNS:
        return blocks
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of columns that are constant
        separation = np.nan_to_num(f_classif(X + 0.0, y)[0], nan=0.0, posinf=np.inf)
    return sorted(blocks, key=lambda block: -float(separation[block.start : block.stop].max()))[:MOST_COLUMNS]


def _below_one(values: Floats) -> Floats:
    """Numbers divided by a power of two, so that sums of 1e308 do not overflow."""
    scaled: Floats = np.ldexp(values, -int(np.frexp(np.abs(values).max(initial=0.0))[1]))
    return scaled


def _pair_fit(one: Floats, other: Floats, y: Floats) -> float:
    """R² of y by a sum of two columns, or by a product where all are positive."""
    fits = [_r2(np.column_stack([one, other]), y)]
    if min(one.min(), other.min(), y.min()) > 0:
        fits.append(_r2(np.log(np.column_stack([one, other])), np.log(y)))
    return max(fits)


def _r2(X: Floats, y: Floats) -> float:
    X, y = X - X.mean(axis=0), y - y.mean()
    scale, spread = X.std(axis=0), float(y.std())
    if not (np.isfinite(scale).all() and scale.all() and math.isfinite(spread) and spread):
        return 0.0
    X, y = X / scale, y / spread
    coefficients = np.linalg.lstsq(X, y, rcond=None)[0]
    return 1 - float(np.mean((y - X @ coefficients) ** 2))


def _correlation(one: Floats, other: Floats) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return abs(float(np.corrcoef(one, other)[0, 1]))
