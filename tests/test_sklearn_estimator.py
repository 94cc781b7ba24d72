"""LossValRanker is a scikit-learn estimator, and says what `score` says."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import check_estimator

import lossval_cli
from lossval_cli import LossvalError
from lossval_cli.sklearn import LossValRanker


def problem() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    wrong = rng.random(200) < 0.1
    return X, np.where((X[:, 0] > 0) ^ wrong, "yes", "no"), wrong


@pytest.mark.slow
def test_attributes_are_those_of_score_in_the_order_of_the_rows() -> None:
    X, y, wrong = problem()
    ranker = clone(LossValRanker(epochs=6, members=4)).fit(X, y, X_val=X[:50])
    assert roc_auc_score(wrong, ranker.noise_probability_) > 0.9
    table = pd.DataFrame(X, columns=["x0", "x1", "x2", "x3"]).assign(label=y)
    names = list(table.columns[:4])
    expected = lossval_cli.score(
        table, table.iloc[:50, :4], label="label", features=names, removal="off", epochs=6, members=4
    ).scores.sort_values("row")
    np.testing.assert_array_equal(ranker.importance_, expected["importance"])
    np.testing.assert_array_equal(ranker.suspect_, expected["suspect"])


def test_trusted_rows_of_another_width_are_refused() -> None:
    X, y, _ = problem()
    for error in (ValueError, LossvalError):
        with pytest.raises(error, match="but X has 4 features"):
            LossValRanker().fit(X, y, X_val=X[:, :3])


@pytest.mark.slow
@pytest.mark.usefixtures("valued_once")
@pytest.mark.skipif(tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 6), reason="the checks of before 1.6")
def test_scikit_learns_own_checks_pass() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tiny tables that the checks make, and of skipped checks
        check_estimator(LossValRanker(preset="fast", epochs=1, members=2))
