"""Forests grown tree by tree are those of scikit-learn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from lossval_cli.noise.forest import ClassForest, Forest


def made(rows: int, seed: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(rows, 6)).astype(np.float32)


def test_numbers_are_predicted_as_by_the_forest_of_scikit_learn() -> None:
    X, others = made(200, 0), made(50, 1)
    y = np.stack([X[:, 0] * X[:, 1], X[:, 2]], axis=1)
    options = {"min_samples_leaf": 2, "max_features": 0.5, "bootstrap": True, "random_state": 3}
    theirs = ExtraTreesRegressor(40, oob_score=True, **options).fit(X, y)
    ours = Forest(40, **options).fit(X, y)
    np.testing.assert_allclose(ours.predict(others), theirs.predict(others), rtol=1e-12)
    np.testing.assert_allclose(ours.out_of_bag, theirs.oob_prediction_, rtol=1e-12)
    np.testing.assert_allclose(ours.feature_importances, theirs.feature_importances_, rtol=1e-9)
    assert Forest(10, **options).fit(X, y[:, 0]).predict(others).shape == (50,)


@pytest.mark.parametrize("classes", [2, 7])
def test_classes_have_the_probabilities_of_the_forest_of_scikit_learn(classes: int) -> None:
    """Trees of few classes differ where two splits are equally good, and rounding decides."""
    X, others = made(400, 0), made(100, 1)
    y = 10 + (np.abs(X[:, :classes]).argmax(axis=1) if classes < 6 else np.arange(400) % classes)
    options = {"min_samples_leaf": 3, "max_features": "sqrt", "bootstrap": True, "random_state": 5}
    theirs = ExtraTreesClassifier(60, oob_score=True, **options).fit(X, y)
    ours = ClassForest(60, **options).fit(X, y)
    assert ours.classes_.tolist() == theirs.classes_.tolist()
    assert np.abs(ours.predict_proba(others) - theirs.predict_proba(others)).mean() < 0.002
    assert np.abs(ours.out_of_bag - theirs.oob_decision_function_).mean() < 0.005


def test_labels_of_one_class_are_predicted_as_certain() -> None:
    forest = ClassForest(5, min_samples_leaf=3).fit(made(20, 0), np.full(20, 4))
    assert forest.classes_.tolist() == [4]
    assert (forest.predict_proba(made(8, 1)) == 1).all()
    assert (forest.feature_importances == 0).all()
