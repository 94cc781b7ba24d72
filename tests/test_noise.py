"""Both kinds of doubts together, and thresholds that are derived."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossval_cli.noise.flags import LEAST_FLAGGED, choose_suspects, in_order_of, with_mean
from lossval_cli.noise.label_errors import combine, with_thresholds
from lossval_cli.noise.label_estimates import LabelErrors
from lossval_cli.noise.outliers import OutlierEstimate


def labels(probability: np.ndarray) -> LabelErrors:
    rows = len(probability)
    share = float(probability.mean())
    return LabelErrors(probability, share, 0.0, 0.4, np.full((rows, 2), 0.5), 0.3, np.zeros(rows, np.bool_))


def outliers(probability: np.ndarray) -> OutlierEstimate:
    return OutlierEstimate(probability, np.zeros(len(probability)), 0.0, 0.5)


def test_both_kinds_combine_as_independent_doubts() -> None:
    label, features = np.linspace(0, 0.9, 50), np.linspace(0.9, 0, 50)
    noise = combine(labels(label), outliers(features))
    expected = 1 - (1 - noise.label_probability) * (1 - features)
    np.testing.assert_allclose(noise.probability, expected)
    assert noise.share == pytest.approx(expected.mean())
    assert noise.share_low <= noise.share <= noise.share_high


def test_a_row_with_wrong_features_is_not_flagged_for_its_label() -> None:
    label, features = np.full(100, 0.05), np.zeros(100)
    label[:2], features[0] = 0.9, 0.99
    noise = combine(labels(label), outliers(features))
    assert list(np.flatnonzero(noise.label_suspect)) == [1]
    assert list(np.flatnonzero(noise.feature_suspect)) == [0]


def test_thresholds_of_the_user_decide() -> None:
    noise = combine(labels(np.linspace(0, 1, 11)), outliers(np.linspace(1, 0, 11)))
    flagged = with_thresholds(noise, 2.0, 0.5)
    assert not flagged.label_suspect.any()
    assert flagged.feature_suspect.sum() == 6


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_the_threshold_maximises_expected_f1_where_most_flags_are_right(values: list[float]) -> None:
    """Against the plain search over all thresholds."""
    probability = np.array(values)
    flagged, threshold = choose_suspects(probability)
    best = 0.0
    for cut in np.unique(probability):
        rows = probability >= cut
        if cut >= LEAST_FLAGGED and probability[rows].sum() >= rows.sum() / 2:
            best = max(best, 2 * probability[rows].sum() / (rows.sum() + probability.sum()))
    if best < 1e-9:
        assert not flagged.any()
    elif flagged.any():
        reached = 2 * probability[flagged].sum() / (flagged.sum() + probability.sum())
        assert reached >= best - 1e-9 or probability[flagged].min() == threshold
    assert (flagged == (probability >= threshold)).all() or threshold == 1.0


def test_probabilities_can_be_moved_to_a_mean_without_changing_their_order() -> None:
    probability = np.random.default_rng(0).random(200)
    moved = with_mean(probability, 0.1)
    assert moved.mean() == pytest.approx(0.1)
    assert (np.argsort(moved) == np.argsort(probability)).all()
    assert (with_mean(probability, 0.0) == 0).all()


def test_probabilities_in_the_order_of_a_score_keep_their_mean() -> None:
    rng = np.random.default_rng(1)
    score, probability = rng.random(300), rng.random(300)
    ordered = in_order_of(score, probability)
    assert (np.diff(ordered[np.argsort(score)]) > 0).all()
    assert ordered.mean() == pytest.approx(probability.mean(), abs=1e-3)
