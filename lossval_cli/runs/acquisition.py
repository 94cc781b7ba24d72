"""Which unlabelled rows to have labelled: important by prediction, and different from one another.

Active data acquisition as the LossVal paper has it: a regressor learns importance from the features of the
training rows and is asked about the candidates. Of the two parts of log-importance only the feature evidence
is learned. What features say of the label part is how easily a row is predicted, and rows picked for that
taught models less than rows picked at random (docs/research/acquire.md).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from sklearn.cluster import MiniBatchKMeans
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.metrics import pairwise_distances_argmin
from sklearn.model_selection import KFold, cross_val_predict

from lossval_cli.runtime.own_estimators import own_estimators
from lossval_cli.runtime.row_source import draw_at_most

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]

TREES = 100
SMALLEST_LEAF = 3
FOLDS = 5

MOST_ROWS = 10_000
"""Training rows drawn to learn from."""

UPPER_SHARE = 1 / 3
"""Share of the candidates, of highest predicted importance, among which rows unlike one another are taken.
The very highest alone lie close together and teach little."""

MOST_CANDIDATES = 20_000
"""Candidates drawn from these to be clustered."""

CLEAR = 0.1
"""Rank correlation that the interval has to exceed for a prediction to be called one."""


class Forecast(NamedTuple):
    """Prediction from the features of candidates, and how far it can be trusted."""

    value: Floats  # (P,) in the unit of the target
    correlation: float
    """Spearman's, between prediction and target on training rows that the prediction was not learned from;
    NaN where it is not defined."""
    interval: tuple[float, float]
    """95 %, by Fisher's transformation with the variance of Bonett and Wright (2000)."""
    rows: int
    """Training rows learned from."""

    @property
    def is_clear(self) -> bool:
        """True if features predict the target at all."""
        return self.interval[0] > CLEAR


@own_estimators()
def forecast(X: Matrix, target: Floats, X_pool: Matrix, rng: np.random.Generator) -> Forecast:
    """Learn `target` (N,) from X (N, D) and predict it for X_pool (P, D); N ≥ 10."""
    rows = draw_at_most(len(X), MOST_ROWS, rng)
    X, target = X[rows], target[rows]
    model = ExtraTreesRegressor(TREES, min_samples_leaf=SMALLEST_LEAF, random_state=0)
    heldout = cross_val_predict(model, X, target, cv=KFold(FOLDS, shuffle=True, random_state=0))
    correlation = math.nan
    if np.ptp(heldout) > 0 and np.ptp(target) > 0:
        correlation = float(spearmanr(heldout, target)[0])
    return Forecast(
        np.asarray(model.fit(X, target).predict(X_pool), np.float64),
        correlation,
        _interval(correlation, len(rows)),
        len(rows),
    )


def pick(X_pool: Matrix, worth: Floats, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Indices of `count` candidates (fewer where there are fewer), the worthiest first.

    X_pool (P, D), worth (P,). The upper share of candidates falls into `count` clusters, and the row nearest
    to the middle of each is taken; where rows are too much alike for that, the worthiest of the rest.
    """
    top = np.argsort(-worth, kind="stable")[: max(round(UPPER_SHARE * len(worth)), count)]
    if len(top) > max(MOST_CANDIDATES, count):
        top = top[np.sort(rng.choice(len(top), max(MOST_CANDIDATES, count), replace=False))]
    among = X_pool[top]
    clusters = min(count, len(np.unique(among, axis=0)))
    centres = among
    if clusters < len(among):
        seed = int(rng.integers(2**31))
        centres = MiniBatchKMeans(clusters, n_init=1, random_state=seed).fit(among).cluster_centers_
    middle = np.zeros(len(top), np.bool_)
    middle[pairwise_distances_argmin(centres, among)] = True
    rest = np.flatnonzero(~middle)[: max(0, count - int(middle.sum()))]
    chosen: npt.NDArray[np.int64] = top[np.sort(np.r_[np.flatnonzero(middle)[:count], rest])]
    return chosen


def _interval(correlation: float, rows: int) -> tuple[float, float]:
    if not math.isfinite(correlation) or rows < 4:
        return math.nan, math.nan
    centre = math.atanh(min(max(correlation, -1 + 1e-12), 1 - 1e-12))
    half = 1.96 * math.sqrt((1 + correlation**2 / 2) / (rows - 3))
    return math.tanh(centre - half), math.tanh(centre + half)
