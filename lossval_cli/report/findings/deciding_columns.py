"""Which columns decide against a label: those whose removal makes the prediction less certain.

A forest is fitted on other rows than the explained ones. A column of a row is replaced by its values in background
rows (occlusion; Zeiler & Fergus, 2014, for images; with several replacements, the interventional expectation of
Janzing et al., 2020), and what the predicted label loses is what the column contributes. The forest stands in for
the networks, so a row is explained only where both predict the same label.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.tags import TagLabels
from lossval_cli.runtime.own_estimators import own_estimators
from lossval_cli.runtime.row_source import draw_at_most

TREES = 50
SMALLEST_LEAF = 3
SAMPLE = 10_000
"""Rows that the forest is fitted on."""

BACKGROUND = 10
"""Rows whose values replace those of a column."""

MOST_COLUMNS = 30
"""Columns that are tried, those that the forest uses most."""

SHOWN = 3
LEAST = 0.05
"""Probability, or share of the distance between given and predicted number, from which a column is named."""

FEWEST_ROWS = 50

MOST_CELLS = 5_000_000
"""Variants that are predicted at once."""

Floats = npt.NDArray[np.float64]


@own_estimators()
def find_deciding_columns(
    dataset: Dataset, predictions: Floats, rows: npt.NDArray[np.int64], seed: int, trees: float = 1.0
) -> dict[int, list[tuple[str, float]]]:
    """Find, for each of `rows`, the columns and their contributions, the largest first; out-of-fold predictions (N, K)
    or (N,); trees: of the forest, as a multiple."""
    X, y = dataset.train.X, dataset.train.y
    assert y is not None
    others = np.setdiff1d(np.arange(len(X)), rows)
    if not len(rows) or len(others) < FEWEST_ROWS or isinstance(dataset.labels, TagLabels):
        return {}
    rng = np.random.default_rng([seed, len(X)])
    fitted = others[draw_at_most(len(others), SAMPLE, rng)]
    kind: Any = ExtraTreesRegressor if dataset.classes is None else ExtraTreesClassifier
    forest = kind(round(TREES * trees), min_samples_leaf=SMALLEST_LEAF, random_state=seed % 2**32, n_jobs=1).fit(
        X[fitted], y[fitted]
    )
    blocks = dataset.encoder.blocks
    importances = forest.feature_importances_  # computed from all trees, every time that it is asked for
    used = np.array([importances[block.start : block.stop].sum() for block in blocks])
    tried = np.argsort(-used, kind="stable")[:MOST_COLUMNS]
    background = X[np.sort(rng.choice(fitted, min(BACKGROUND, len(fitted)), replace=False))]
    target = _Target.of(forest, predictions[rows], y[rows])
    before = target.values(X[rows], np.arange(len(rows)))
    agreed = np.flatnonzero(target.are_agreed(before))
    at_once = max(1, MOST_CELLS // (len(tried) * len(background) * X.shape[1]))
    found = {}
    for start in range(0, len(agreed), at_once):
        part = agreed[start : start + at_once]
        x = X[rows[part]]
        variants = np.tile(x[:, None, None], (1, len(tried), len(background), 1))
        for i, column in enumerate(tried):
            block = slice(blocks[column].start, blocks[column].stop)
            variants[:, i, :, block] = background[:, block]
        after = target.values(variants.reshape(-1, x.shape[1]), np.repeat(part, len(tried) * len(background)))
        after = after.reshape(len(part), len(tried), -1).mean(axis=2)
        gains = (before[part, None] - after) / target.unit[part, None]
        for row, gain in zip(rows[part].tolist(), gains, strict=True):
            best = [i for i in np.argsort(-gain, kind="stable")[:SHOWN] if gain[i] >= LEAST]
            found[row] = [(blocks[tried[i]].column, float(gain[i])) for i in best]
    return found


class _Target(NamedTuple):
    """Output of the forest for the predicted labels of n rows: their probabilities, or how far numbers are from the
    given ones."""

    forest: Any
    position: npt.NDArray[np.int64] | None  # (n,) of the predicted class among those of the forest
    given: Floats  # (n,)
    sign: Floats  # (n,)
    unit: Floats  # (n,)

    @classmethod
    def of(cls, forest: Any, predictions: Floats, given: npt.NDArray[Any]) -> _Target:
        """Make the target of predictions, (n, K) probabilities or (n,) numbers; given (n,) class indices or numbers."""
        nothing, one = np.zeros(len(given)), np.ones(len(given))
        if predictions.ndim == 2:
            known = {label: i for i, label in enumerate(forest.classes_.tolist())}
            position = np.array([known.get(label, 0) for label in predictions.argmax(axis=1).tolist()], np.int64)
            return cls(forest, position, nothing, one, one)
        distance = predictions - given
        return cls(forest, None, given, np.where(distance >= 0, 1.0, -1.0), np.maximum(np.abs(distance), 1e-12))

    def values(self, X: npt.NDArray[np.float32], of: npt.NDArray[np.int64]) -> Floats:
        """Return values (m,) of X (m, D), variants of the rows `of` (m,): the larger, the more the predicted label is
        expected."""
        if self.position is None:
            moved: Floats = self.sign[of] * (self.forest.predict(X) - self.given[of])
            return moved
        probabilities: Floats = self.forest.predict_proba(X)[np.arange(len(X)), self.position[of]]
        return probabilities

    def are_agreed(self, values: Floats) -> npt.NDArray[np.bool_]:
        """Return (n,) whether the forest expects what the networks expect."""
        return values > 0.5 * self.unit if self.position is None else values >= 0.5
