"""The method as a whole: what must hold after any run, on small tables with planted noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from number_tables import outliers_of
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from lossval_cli.errors import TrainingError
from lossval_cli.losses import find_loss
from lossval_cli.lossval.cross_fitting import draw_folds, fold_masks
from lossval_cli.lossval.setup import TrainingData
from lossval_cli.lossval.state import Epoch
from lossval_cli.lossval.training import Fit, train_lossval
from lossval_cli.lossval.weights import normalise
from lossval_cli.runtime.context import Runtime
from lossval_cli.settings import Settings

CPU = torch.device("cpu")


def make_problem(rows: int = 300, noise: float = 0.15, seed: int = 0) -> tuple[TrainingData, np.ndarray]:
    """Two classes split by a plane, some labels flipped; (problem, flipped (N,))."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows + 60, 5)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
    flipped = np.zeros(rows, bool)
    flipped[rng.choice(rows, int(noise * rows), replace=False)] = True
    y[:rows][flipped] = 1 - y[:rows][flipped]
    return TrainingData(X[:rows], y[:rows], X[rows:], 5, 2, np.zeros(rows)), flipped


def outlier_penalty(X: np.ndarray) -> np.ndarray:
    return outliers_of(X).penalty


def fit(training_data: TrainingData, on_epoch: Any = None, loss: str | None = None, **overrides: object) -> Fit:
    settings = Settings.resolve(overrides={"epochs": 12, **overrides})
    name = loss or ("cross_entropy" if training_data.classes else "huber(0.5)")
    task = "classification" if training_data.classes else "regression"
    return train_lossval(training_data, find_loss(name, task), settings, Runtime(), on_epoch)


def importance(result: Fit) -> np.ndarray:
    assert np.allclose(result.importance, np.exp(result.label_evidence + result.feature_evidence))
    return result.importance


def test_weights_are_positive_with_mean_one_and_the_parts_add_up() -> None:
    """The contract of the two evidences: their sum is exactly the logarithm of the importance."""
    weights = importance(fit(make_problem()[0]))
    assert (weights > 0).all()
    assert weights.mean() == pytest.approx(1.0, abs=1e-9)


@hypothesis_settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=1, max_size=30))
def test_normalising_keeps_differences_and_gives_mean_one(parts: list[tuple[float, float]]) -> None:
    """Whatever totals training leaves, each part keeps what it says about one row against another."""
    label, feature = np.array(parts).T
    new_label, new_feature = normalise(label, feature, None)
    assert np.exp(new_label + new_feature).mean() == pytest.approx(1.0)
    np.testing.assert_allclose(np.diff(new_label), np.diff(label), atol=1e-9)
    np.testing.assert_allclose(np.diff(new_feature), np.diff(feature), atol=1e-9)


def test_wrong_labels_sink_by_their_label_evidence() -> None:
    training_data, flipped = make_problem()
    result = fit(training_data)
    assert roc_auc_score(flipped, -result.label_evidence) > 0.9
    assert roc_auc_score(flipped, -importance(result)) > 0.85
    assert 0.3 < roc_auc_score(flipped, -result.feature_evidence) < 0.7  # features know nothing of labels


@pytest.mark.slow
def test_outliers_sink_by_their_feature_evidence() -> None:
    training_data, _ = make_problem(noise=0.0)
    outlier = np.zeros(300, bool)
    outlier[:20] = True
    X = training_data.X.copy()
    X[outlier] += 4 * np.sign(X[outlier])
    result = fit(training_data._replace(X=X, penalty=outlier_penalty(X)))
    assert roc_auc_score(outlier, -result.feature_evidence) > 0.95


@pytest.mark.slow
def test_regression_finds_wrong_numbers() -> None:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((460, 4)).astype(np.float32)
    y = (X[:, 0] - 0.5 * X[:, 2]).astype(np.float32)
    wrong = np.zeros(400, bool)
    wrong[rng.choice(400, 60, replace=False)] = True
    y[:400][wrong] = rng.permutation(y[:400])[wrong]
    result = fit(TrainingData(X[:400], y[:400], X[400:], 4, None, np.zeros(400)), epochs=25)
    assert result.predictions.shape == (400,)
    assert roc_auc_score(wrong, -result.label_evidence) > 0.8


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_another_seed_nearly_the_same_ranks() -> None:
    training_data, _ = make_problem()
    first, again = fit(training_data, epochs=25), fit(training_data, epochs=25)
    np.testing.assert_array_equal(importance(first), importance(again))
    np.testing.assert_array_equal(first.predictions, again.predictions)
    other = fit(training_data, epochs=25, seed=7)
    assert spearmanr(importance(first), importance(other)).statistic > 0.9


def test_no_global_generator_is_touched() -> None:
    """A library that seeds or draws globally changes other people's results."""
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fit(make_problem(100)[0], epochs=2)
    assert torch.equal(torch_state, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.slow
def test_learning_curve() -> None:
    """Pinned coarsely: the weighted loss falls by half, and transport stays of the order of the median
    cost."""
    seen: list[Epoch] = []
    fit(make_problem()[0], seen.append, epochs=25)
    assert [epoch.epoch for epoch in seen] == list(range(1, 26))
    assert seen[0].loss == pytest.approx(0.65, abs=0.04)
    assert seen[-1].loss < 0.5
    assert 0.3 < seen[-1].transport < 2.0


def test_transport_is_reported_as_converged() -> None:
    result = fit(make_problem()[0])
    assert result.potentials is not None and result.potentials.converged
    assert result.potentials.marginal_error <= 0.01


def test_every_row_is_scored_only_by_members_that_never_train_on_it() -> None:
    held_out = np.array([1, 5])
    fold = draw_folds(40, 8, 4, torch.Generator().manual_seed(0), held_out=held_out)
    trains, scores = fold_masks(fold, 8, 4)
    assert float((trains * scores).sum()) == 0.0
    assert (scores.sum(0) >= 2).all()
    assert (trains[:, held_out] == 0).all() and (scores[:, held_out] == 1).all()


@pytest.mark.slow
def test_held_out_rows_are_scored_like_others() -> None:
    """Without --val a part of training stands in; clean rows must not sink or rise for being in it."""
    training_data, _ = make_problem(400, noise=0.0)
    held_out = np.arange(0, 400, 5)
    result = fit(training_data._replace(X_val=training_data.X[held_out], held_out=held_out), epochs=25)
    is_held = np.zeros(400, bool)
    is_held[held_out] = True
    assert 0.35 < roc_auc_score(is_held, importance(result)) < 0.65


def test_spread_is_over_the_members_that_score_the_row() -> None:
    result = fit(make_problem()[0], members=8, folds=4)
    assert (result.importance_std >= 0).all()
    alone = fit(make_problem(100)[0], members=1, folds=1, epochs=3)
    assert np.isnan(alone.importance_std).all()


@pytest.mark.parametrize(
    ("objective", "label_counts", "feature_counts"),
    [("product", True, True), ("loss", True, False), ("transport", False, True), ("additive", True, True)],
)
def test_ablations_leave_out_what_they_say(objective: str, label_counts: bool, feature_counts: bool) -> None:
    result = fit(make_problem(120)[0], objective=objective, epochs=4)
    assert (np.ptp(result.label_evidence) > 1e-9) == label_counts
    assert (np.ptp(result.feature_evidence) > 1e-9) == feature_counts


def test_power_one_halves_what_features_count_in_the_first_step() -> None:
    training_data = make_problem(120)[0]
    squared, plain = (fit(training_data, ot_power=power, epochs=1) for power in (2, 1))
    np.testing.assert_allclose(
        np.diff(squared.feature_evidence), 2 * np.diff(plain.feature_evidence), rtol=1e-4, atol=1e-6
    )


def test_a_loss_that_is_not_finite_stops_with_one_line() -> None:
    training_data = make_problem(100)[0]
    y = np.where(np.arange(100) == 3, np.float32(np.inf), np.float32(0.0))
    broken = training_data._replace(y=y, classes=None)
    with pytest.raises(TrainingError, match=r"^training diverged in epoch 1: the loss is not finite; lower"):
        fit(broken, loss="squared_error", epochs=2)


@pytest.mark.slow
def test_predict_answers_for_other_rows() -> None:
    training_data, _ = make_problem(noise=0.0)
    result = fit(training_data, epochs=25)
    assert result.predict is not None
    probabilities = result.predict(training_data.X_val)
    truth = (training_data.X_val[:, 0] + training_data.X_val[:, 1] > 0).astype(int)
    assert probabilities.shape == (60, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert (probabilities.argmax(1) == truth).mean() > 0.9
