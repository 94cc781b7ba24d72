"""Outliers found from features alone, and a share of them that is not made up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from number_tables import number_blocks
from number_tables import outliers_of as found
from scipy.stats import norm
from sklearn.datasets import make_classification
from sklearn.metrics import roc_auc_score

from lossval_cli.noise import row_noise
from lossval_cli.noise.densities import NumberDensities


def correlated(rows: int, seed: int) -> np.ndarray:
    """Six columns of unit variance that are two numbers in disguise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, 2)) @ rng.standard_normal((2, 6)) + 0.1 * rng.standard_normal((rows, 6))
    return (X / X.std(0)).astype(np.float32)


def uniform(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.73, 1.73, (rows, 6)).astype(np.float32)


def lattice(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, 2, (rows, 6)).astype(np.float32)


def heavy(rows: int, seed: int) -> np.ndarray:
    """Bent at 10 as encoding does."""
    return np.clip(np.random.default_rng(seed).standard_t(2.5, (rows, 6)), -10, 10).astype(np.float32)


TABLES = [correlated, uniform, lattice, heavy]


@pytest.mark.parametrize("table", TABLES)
def test_clean_tables_have_next_to_no_outliers(table) -> None:
    """Gaps, correlations and heavy tails are how these tables are, not noise."""
    outlier_estimate = found(table(800, 1))
    assert (outlier_estimate.probability > 0.5).mean() <= 0.01
    assert outlier_estimate.share_low <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize("rows", [300, 1_000])
def test_few_blatant_rows_of_a_narrow_table_are_found(rows: int) -> None:
    """Two far numbers of three in one row of fifty: with few columns, corrupted copies are hard to distinguish."""
    X = np.random.default_rng(rows).standard_normal((rows, 3)).astype(np.float32)
    X[: rows // 50, :2] += np.random.default_rng(1).uniform(4, 7, (rows // 50, 2)).astype(np.float32)
    outliers = found(X).probability > 0.5
    assert outliers[: rows // 50].mean() >= 0.8
    assert outliers[rows // 50 :].mean() <= 0.005


@pytest.mark.parametrize("rows", [300, 1_000])
def test_in_a_single_column_only_far_values_are_outliers(rows: int) -> None:
    """Every row has near neighbours there: one that has none so near is not an outlier for that."""
    X = np.random.default_rng(0).standard_normal((rows, 1)).astype(np.float32)
    assert (found(X).probability > 0.5).mean() <= 0.01
    X[:5] = 9.0
    assert (found(X).probability[:5] > 0.5).all()


def test_directions_of_a_very_wide_table_are_looked_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which breaks correlations all the same: columns that belong together stand together."""
    X = correlated(800, 5)
    moved = X[:40].copy()
    X[:40] = np.random.default_rng(6).permuted(moved, axis=0)  # each column as it was, together they are unusual
    wide = np.tile(X, 2) + 0.05 * np.random.default_rng(7).standard_normal((800, 12)).astype(np.float32)
    monkeypatch.setattr(row_noise, "TOGETHER", 6)
    alike, each = np.zeros(800, np.int64), np.arange(800)
    noise = row_noise.RowNoise.fit(wide, number_blocks(12), alike, each, np.random.default_rng(0))
    assert roc_auc_score(each < 40, noise.log_ratios.min(axis=1)) > 0.95


@pytest.mark.slow
def test_outliers_of_a_wide_table_are_found() -> None:
    """With very many columns all copies are equally far out, and a row a little less far out is not an outlier."""
    X = np.random.default_rng(0).standard_normal((500, 300)).astype(np.float32)
    X[:50] += 0.95 * np.random.default_rng(1).standard_normal((50, 300)).astype(np.float32)
    outliers = found(X).probability > 0.5
    assert outliers[:50].mean() >= 0.9
    assert outliers[50:].mean() <= 0.01


@pytest.mark.parametrize("table", TABLES[:3])
@pytest.mark.parametrize("share", [0.05, 0.2])
def test_rows_with_noise_on_every_column_are_found_and_counted(table, share: float) -> None:
    X = table(800, 2)
    outliers = np.zeros(800, bool)
    outliers[: int(share * 800)] = True
    rng = np.random.default_rng(3)
    X[outliers] += rng.standard_normal((outliers.sum(), 6)).astype(np.float32)
    outlier_estimate = found(X)
    assert roc_auc_score(outliers, outlier_estimate.penalty) > 0.85
    assert outlier_estimate.probability.mean() == pytest.approx(share, abs=0.07)
    assert outlier_estimate.share_low - 0.03 <= share <= outlier_estimate.share_high + 0.03


@pytest.mark.parametrize("table", TABLES[:3])
def test_one_far_cell_is_enough(table) -> None:
    """24 cells anywhere in the table; the row is found, and the column is named."""
    X, rng = table(800, 4), np.random.default_rng(5)
    column = rng.integers(0, 6, 24)
    X[np.arange(24), column] = rng.uniform(5, 10, 24) * rng.choice([-1, 1], 24)
    outlier_estimate = found(X)
    assert (outlier_estimate.probability[:24] > 0.5).mean() > 0.9
    assert (outlier_estimate.probability[24:] > 0.5).mean() < 0.02
    named = [cells[0].column for cells in outlier_estimate.describe(np.arange(24))]
    assert np.mean([name == f"x{i}" for name, i in zip(named, column, strict=True)]) > 0.9


@pytest.mark.slow
def test_more_columns_than_rows_do_not_make_every_row_familiar() -> None:
    """Rows are scored by folds they are not in, or principal directions would fit them exactly."""
    X = np.random.default_rng(0).standard_normal((120, 300)).astype(np.float32)
    outlier_estimate = found(X)
    assert (outlier_estimate.probability > 0.5).mean() <= 0.02


@pytest.mark.slow
def test_the_same_generator_gives_the_same_answer() -> None:
    X = correlated(300, 7)
    np.testing.assert_array_equal(found(X).penalty, found(X).penalty)


@pytest.mark.slow
def test_large_tables_are_fitted_on_a_part_and_read_off_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    X = correlated(2000, 8)
    X[:200] += np.random.default_rng(9).standard_normal((200, 6)).astype(np.float32)
    outliers = np.arange(2000) < 200
    monkeypatch.setattr("lossval_cli.noise.outliers.FIT_ROWS", 700)
    monkeypatch.setattr("lossval_cli.noise.outliers.BLOCK_ROWS", 300)
    outlier_estimate = found(X)
    assert np.isfinite(outlier_estimate.penalty).all()
    assert roc_auc_score(outliers, outlier_estimate.penalty) > 0.95


def test_as_many_threads_as_there_are_give_the_same_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees and blocks of rows are done several at a time."""
    X = correlated(500, 10)
    monkeypatch.setattr("lossval_cli.noise.outliers.FIT_ROWS", 200)
    monkeypatch.setattr("lossval_cli.noise.outliers.BLOCK_ROWS", 100)
    threads, penalties = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            penalties.append(found(X).penalty)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(*penalties)


def test_log_ratio_of_a_normal_column_is_that_of_normal_densities() -> None:
    """N(0, 1) before and N(0, 2) after, each with its small mixture: closed form, within 20,000 rows'
    noise."""
    column = np.random.default_rng(0).standard_normal((20_000, 1))
    i = np.linspace(-2, 2, 9)
    ratio = NumberDensities.fit(column, 0.1).log_ratio(i[:, None])[:, 0]
    after = 0.95 * norm.pdf(i, scale=np.sqrt(2)) + 0.05 / 22
    np.testing.assert_allclose(ratio, np.log(after / (0.8 * norm.pdf(i) + 0.2 * after)), atol=0.06)


def test_the_log_ratio_of_a_far_value_is_positive_and_bounded() -> None:
    column = np.random.default_rng(0).standard_normal((500, 1))
    densities = NumberDensities.fit(column, 0.06)
    far, near = densities.log_ratio(np.array([[9.0]])), densities.log_ratio(np.array([[0.0]]))
    assert near < 0 < far < np.log(502)


@pytest.mark.parametrize("noisy", [0.0, 0.4])
def test_rows_of_a_class_that_was_not_fitted_are_compared_with_all_rows(noisy: float) -> None:
    """Not with the last class, a wide one, nor with the second state of the first, where classes have states."""
    rng = np.random.default_rng(12)
    classes = np.arange(900) % 3
    X = correlated(900, 12)
    X[classes == 2] *= 3
    X += (rng.random(900) < noisy)[:, None] * rng.standard_normal((900, 6)).astype(np.float32)
    fitted = row_noise.RowNoise.fit(X, number_blocks(6), classes, np.arange(900), np.random.default_rng(0))
    assert fitted._states == 1 + (noisy > 0)
    wide = 3 * correlated(100, 13)
    of_last, *unseen = (fitted.of(wide, np.full(100, i)) for i in (2, 3, 4, 9))
    for ratios in unseen:
        np.testing.assert_array_equal(ratios, unseen[0])
        assert (ratios > of_last).mean() > 0.9


@pytest.mark.slow
def test_a_rare_class_of_its_own_kind_is_no_noise() -> None:
    """Three rows in a hundred lie far from all others; what lies far even for its class is an outlier."""
    X, classes = make_classification(
        2000, 20, n_informative=20, n_redundant=0, n_clusters_per_class=1, weights=[0.97], flip_y=0,
        class_sep=1.2, random_state=0,
    )  # fmt: skip
    X = ((X - X.mean(0)) / X.std(0)).astype(np.float32)
    outliers = np.arange(2000) % 20 == 19
    X[outliers] += 1.5 * np.random.default_rng(1).standard_normal((100, 20)).astype(np.float32)
    alone = found(X).probability > 0.5
    with_classes = found(X, classes=classes).probability > 0.5
    rare = (classes == 1) & ~outliers
    assert alone[rare].mean() > 0.5  # without classes there is no telling
    assert with_classes[rare].mean() < 0.1
    assert with_classes[outliers].mean() > 0.7
