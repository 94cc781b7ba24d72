"""Probabilities that mean what they say, thresholds that are derived, shares with honest intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit, softmax
from sklearn.metrics import roc_auc_score

from lossval_cli.noise.label_errors import NoiseEstimate, _suspects, estimate_noise
from lossval_cli.noise.outliers import OutlierEstimate


def ordinary(rows: int) -> OutlierEstimate:
    """Nothing odd about any row's features."""
    return OutlierEstimate(np.zeros(rows), np.zeros(rows), 0.0, 0.005)


def classes(rows: int, share: float, K: int, sharpness: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calibrated predictions of noise-free labels, labels with a share flipped, and which."""
    rng = np.random.default_rng(seed)
    p = softmax(sharpness * rng.standard_normal((rows, K)), axis=1)
    y = (p.cumsum(1) > rng.random((rows, 1))).argmax(1)
    wrong = rng.random(rows) < share
    y[wrong] = (y[wrong] + rng.integers(1, K, wrong.sum())) % K
    return p, y, wrong


def estimate(share: float, K: int = 3, rows: int = 2000, seed: int = 0) -> tuple[NoiseEstimate, np.ndarray]:
    p, y, wrong = classes(rows, share, K, 6.0, seed)
    # Networks trained on noisy labels are less sure than they could be: log-odds of 95 % shrink to those
    # of the noisy labels.
    sharpening = logit(0.95) / logit((1 - share) * 0.95 + share * 0.05)
    flattened = softmax(np.log(np.maximum(p, 1e-12)) / sharpening, axis=1)
    return estimate_noise(flattened, y, K, ordinary(rows)), wrong


@pytest.mark.parametrize("K", [2, 3, 10])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_the_share_of_wrong_labels_lies_in_its_interval(share: float, K: int) -> None:
    noise, _ = estimate(share, K)
    assert noise.share_low - 0.02 <= share <= noise.share_high + 0.02
    assert noise.share_high - noise.share_low < 0.2


def test_probabilities_are_calibrated() -> None:
    """Of the rows given p, about a share p is wrong: pooled over twenty tables, in bins of a fifth."""
    probability, truth = (
        np.concatenate(parts)
        for parts in zip(
            *((noise.probability, wrong) for noise, wrong in (estimate(0.15, seed=seed) for seed in range(20))),
            strict=True,
        )
    )
    for low in np.arange(0, 1, 0.2):
        inside = (probability >= low) & (probability < low + 0.2 + 1e-9)
        assert truth[inside].mean() == pytest.approx(probability[inside].mean(), abs=0.07)


def test_clean_labels_are_hardly_flagged() -> None:
    noise, _ = estimate(0.0)
    assert noise.label_suspect.mean() <= 0.01
    assert noise.share_low == pytest.approx(0.0, abs=1e-6)


def test_a_rare_class_is_not_noise() -> None:
    """3 % of the labels follow no feature: a model that has seen them predicts 3 % everywhere."""
    rng = np.random.default_rng(0)
    y = (rng.random(3000) < 0.03).astype(int)
    predictions = np.tile([0.97, 0.03], (3000, 1))
    noise = estimate_noise(predictions, y, 2, ordinary(3000))
    assert noise.label_suspect.mean() <= 0.01


def test_numbers_replaced_by_others_are_found() -> None:
    rng = np.random.default_rng(1)
    mean = rng.standard_normal(1500)
    y = mean + 0.3 * rng.standard_normal(1500)
    wrong = rng.random(1500) < 0.1
    y[wrong] = rng.permutation(y)[: wrong.sum()]
    noise = estimate_noise(mean, y, None, ordinary(1500))
    assert roc_auc_score(wrong, noise.label_probability) > 0.85
    assert noise.share_low - 0.03 <= 0.1 <= noise.share_high + 0.03


def test_residuals_that_grow_with_the_prediction_are_no_noise() -> None:
    """Judged by the residuals of rows with similar predictions, not by one scale for all."""
    rng = np.random.default_rng(2)
    mean = rng.uniform(0, 5, 2000)
    y = mean + (0.1 + 0.4 * mean) * rng.standard_normal(2000)
    noise = estimate_noise(mean, y, None, ordinary(2000))
    assert noise.label_suspect.mean() <= 0.02


def test_the_unit_of_the_target_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    mean, y = rng.standard_normal(300), rng.standard_normal(300)
    one = estimate_noise(mean, y, None, ordinary(300))
    other = estimate_noise(1000 * mean + 7, 1000 * y + 7, None, ordinary(300))
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-6)


def test_both_kinds_combine_as_independent_doubts() -> None:
    p, y, _ = classes(400, 0.1, 2, 3.0, 4)
    odd = ordinary(400)._replace(probability=np.linspace(0, 0.99, 400))
    noise = estimate_noise(p, y, 2, odd)
    expected = 1 - (1 - noise.label_probability) * (1 - odd.probability)
    np.testing.assert_allclose(noise.probability, expected)
    assert noise.share == pytest.approx(expected.mean())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_the_threshold_maximises_expected_f1_where_most_flags_are_right(values: list[float]) -> None:
    """Against the plain search over all thresholds."""
    probability = np.array(values)
    flagged, threshold = _suspects(probability)
    best = 0.0
    for cut in np.unique(probability):
        rows = probability >= cut
        if probability[rows].sum() >= rows.sum() / 2:
            best = max(best, 2 * probability[rows].sum() / (rows.sum() + probability.sum()))
    if best < 1e-9:
        assert not flagged.any() or probability.sum() < 1e-6
    elif flagged.any():
        reached = 2 * probability[flagged].sum() / (flagged.sum() + probability.sum())
        assert reached >= best - 1e-9 or probability[flagged].min() == threshold
    assert (flagged == (probability >= threshold)).all() or threshold == 1.0


@pytest.mark.parametrize("form", ["skewed", "bounded", "normal"])
def test_right_numbers_of_any_form_are_hardly_flagged_and_gross_errors_are(form: str) -> None:
    """Prices are skewed and shares bounded, and so is what is left of them after the best prediction."""
    rng = np.random.default_rng(0)
    rows, shape = 1_000, {"skewed": lambda v: np.exp(0.8 * v), "bounded": expit, "normal": lambda v: v}[form]
    signal = 1.4 * rng.standard_normal(rows)
    y = shape(signal + 0.7 * rng.standard_normal(rows))
    clean = estimate_noise(shape(signal), y, None, ordinary(rows))
    assert clean.label_suspect.mean() <= 0.02
    wrong = rng.choice(rows, 50, replace=False)
    others = rng.choice(rows, 50)
    y[wrong] = y[others]
    gross = wrong[np.abs(signal[wrong] - signal[others]) > 3]
    noise = estimate_noise(shape(signal), y, None, ordinary(rows))
    assert noise.label_suspect[gross].mean() >= 0.8
    assert np.delete(noise.label_suspect, wrong).mean() <= 0.02
    assert noise.share_low <= 0.05 <= noise.share_high
