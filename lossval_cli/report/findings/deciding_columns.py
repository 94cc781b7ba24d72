"""Which columns decide against a label: those without whose value the prediction would be less sure.

A forest is fitted on other rows than the explained ones. A column of a row is replaced by its values in background
rows (occlusion; Zeiler & Fergus, 2014, for images; with several replacements, the interventional expectation of
Janzing et al., 2020), and what the predicted label loses is what the column contributes. The forest stands in for
the networks, so a row is explained only where both predict the same label.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from lossval_cli.features.dataset import Dataset
from lossval_cli.runtime.many_classes import many_classes_are_meant

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

Floats = npt.NDArray[np.float64]


@many_classes_are_meant()
def find_deciding_columns(
    dataset: Dataset, predictions: Floats, rows: npt.NDArray[np.int64], seed: int, trees: float = 1.0
) -> dict[int, list[tuple[str, float]]]:
    """For each of `rows`: column and contribution, the largest first; out-of-fold predictions (N, K) or (N,);
    trees: of the forest, as a multiple."""
    X, y = dataset.train.X, dataset.train.y
    assert y is not None
    others = np.setdiff1d(np.arange(len(X)), rows)
    if not len(rows) or len(others) < FEWEST_ROWS:
        return {}
    rng = np.random.default_rng([seed, len(X)])
    fitted = others if len(others) <= SAMPLE else np.sort(rng.choice(others, SAMPLE, replace=False))
    kind: Any = ExtraTreesRegressor if dataset.classes is None else ExtraTreesClassifier
    forest = kind(round(TREES * trees), min_samples_leaf=SMALLEST_LEAF, random_state=seed % 2**32, n_jobs=1).fit(
        X[fitted], y[fitted]
    )
    blocks = dataset.encoder.blocks
    used = np.array([forest.feature_importances_[block.start : block.stop].sum() for block in blocks])
    tried = np.argsort(-used, kind="stable")[:MOST_COLUMNS]
    background = X[np.sort(rng.choice(fitted, min(BACKGROUND, len(fitted)), replace=False))]
    found = {}
    for row in rows.tolist():
        target = _Target.of(forest, predictions[row], y[row])
        x = X[[row]]
        before = target.value(x)[0]
        if not target.is_agreed(before):
            continue
        variants = np.repeat(x, len(tried) * len(background), axis=0).reshape(len(tried), len(background), -1)
        for i, column in enumerate(tried):
            start, stop = blocks[column].start, blocks[column].stop
            variants[i, :, start:stop] = background[:, start:stop]
        after = target.value(variants.reshape(-1, x.shape[1])).reshape(len(tried), -1).mean(axis=1)
        gain = (before - after) / target.unit
        best = [i for i in np.argsort(-gain, kind="stable")[:SHOWN] if gain[i] >= LEAST]
        found[row] = [(blocks[tried[i]].column, float(gain[i])) for i in best]
    return found


class _Target:
    """What the forest says of the predicted label: its probability, or how far a number is from the given one."""

    def __init__(self, forest: Any, index: int | None, given: float, predicted: float) -> None:
        self.forest, self.index, self.given = forest, index, given
        self.sign = 1.0 if predicted >= given else -1.0
        self.unit = 1.0 if index is not None else max(abs(predicted - given), 1e-12)

    @classmethod
    def of(cls, forest: Any, prediction: Any, given: Any) -> _Target:
        """prediction: (K,) probabilities or a number; given: class index or number."""
        if np.ndim(prediction) == 0:
            return cls(forest, None, float(given), float(prediction))
        known = np.flatnonzero(forest.classes_ == int(np.argmax(prediction)))
        return cls(forest, int(known[0]) if len(known) else 0, 0.0, 1.0)

    def value(self, X: npt.NDArray[np.float32]) -> Floats:
        """(n,) the larger, the more the label is expected that the networks predict."""
        if self.index is None:
            moved: Floats = self.sign * (self.forest.predict(X) - self.given)
            return moved
        probabilities: Floats = self.forest.predict_proba(X)[:, self.index]
        return probabilities

    def is_agreed(self, value: float) -> bool:
        """Whether the forest expects what the networks expect."""
        return value > 0.5 * self.unit if self.index is None else value >= 0.5
