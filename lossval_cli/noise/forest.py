"""Extremely randomised trees (Geurts et al., 2006), grown one by one.

The trees are scikit-learn's, and so are the draws. Its forests copy an estimator, look up its parameters and check the
labels for every tree, which takes three quarters of the time on a few hundred rows.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.tree import ExtraTreeClassifier, ExtraTreeRegressor

Floats = npt.NDArray[np.float64]

FEW_CLASSES = 4
"""Classes up to which trees predict each as a number, 0 or 1: the squared error of these is the Gini impurity. It takes
time for every class, but no search for the classes in every tree."""


class Forest:
    """Trees that predict numbers: one, or several at once."""

    def __init__(
        self,
        trees: int,
        *,
        min_samples_leaf: int,
        max_features: float | str = 1.0,
        bootstrap: bool = False,
        random_state: int = 0,
    ) -> None:
        """`bootstrap`: each tree draws as many rows as there are, with replacement, and `out_of_bag` is known."""
        self._count, self._seed, self._bootstrap = trees, random_state, bootstrap
        self._options: dict[str, Any] = {"min_samples_leaf": min_samples_leaf, "max_features": max_features}
        self._kind: Any = ExtraTreeRegressor
        self._trees: list[Any] = []
        self.out_of_bag: Floats = np.empty(0)
        """(n, ...) predictions of each row by the trees that did not draw it; 0 where all did."""

    def fit(self, X: npt.NDArray[np.floating], y: npt.NDArray[Any]) -> Self:
        """Fit to X (n, D) and y (n,) or (n, outputs)."""
        X, rng = X.astype(np.float32), np.random.RandomState(self._seed)
        self._trees, left_out = [], []
        for _ in range(self._count):
            seed, weights = rng.randint(np.iinfo(np.int32).max), None
            if self._bootstrap:
                drawn = np.random.RandomState(seed).randint(0, len(X), len(X), dtype=np.int32)
                weights = np.bincount(drawn, minlength=len(X)).astype(np.float64)
                left_out.append(np.flatnonzero(weights == 0))
            tree = self._kind(**self._options, random_state=seed)
            self._trees.append(tree.fit(X, y, sample_weight=weights, check_input=False))
        if self._bootstrap:
            self.out_of_bag = self._mean(X, left_out)
        return self

    def predict(self, X: npt.NDArray[np.floating]) -> Floats:
        """Return predictions (n,) or (n, outputs) of X (n, D): the mean of all trees."""
        return self._mean(X.astype(np.float32), [slice(None)] * len(self._trees))

    @property
    def feature_importances(self) -> Floats:
        """Return (D,) mean decrease of impurity by each feature, of sum 1; zeros where no tree has a split."""
        found = np.array([tree.feature_importances_ for tree in self._trees])
        total: Floats = found.sum(axis=0)
        shares: Floats = total / max(total.sum(), 1e-300)
        return shares

    def _mean(self, X: npt.NDArray[np.float32], rows: list[Any]) -> Floats:
        """The mean of the predictions of some rows of X (n, D) by each tree."""
        total, counted = np.zeros((len(X), *self._respond(self._trees[0], X[:1]).shape[1:])), np.zeros(len(X))
        for tree, own in zip(self._trees, rows, strict=True):
            if len(part := X[own]):
                total[own] += self._respond(tree, part)
                counted[own] += 1
        mean: Floats = (total.T / np.maximum(counted, 1)).T
        return mean

    def _respond(self, tree: Any, X: npt.NDArray[np.float32]) -> Floats:
        predicted: Floats = tree.predict(X, check_input=False)
        return predicted


class ClassForest(Forest):
    """Trees that predict probabilities of classes."""

    classes_: npt.NDArray[Any]
    """(K,) ascending."""

    def fit(self, X: npt.NDArray[np.floating], y: npt.NDArray[Any]) -> Self:
        """Fit to X (n, D) and classes y (n,)."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        K = len(self.classes_)
        if not 1 < K <= FEW_CLASSES:
            self._kind = ExtraTreeClassifier
            return super().fit(X, codes)
        return super().fit(X, np.eye(K)[codes])

    def predict_proba(self, X: npt.NDArray[np.floating]) -> Floats:
        """Return probabilities (n, K) of X (n, D)."""
        return self.predict(X)

    def _respond(self, tree: Any, X: npt.NDArray[np.float32]) -> Floats:
        if self._kind is ExtraTreeRegressor:
            return super()._respond(tree, X)
        probabilities: Floats = tree.predict_proba(X, check_input=False)
        return probabilities
