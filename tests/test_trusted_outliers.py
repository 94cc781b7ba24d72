"""What trusted rows are like is not called wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lossval_cli
from lossval_cli.features.dataset import load_dataset
from lossval_cli.features.table_options import TableOptions
from lossval_cli.noise.estimate import estimate_outliers
from lossval_cli.noise.outliers import NOISY
from lossval_cli.noise.trusted_outliers import relative_to_trusted, share_expected
from lossval_cli.settings import Settings


def test_outliers_as_common_among_trusted_rows_are_taken_for_right() -> None:
    rng = np.random.default_rng(0)
    rows, alike = np.where(rng.random(2000) < 0.03, 0.95, 0.01), np.where(rng.random(600) < 0.03, 0.95, 0.01)
    assert share_expected(rows, alike)[rows > 0.5].min() > 0.5
    assert share_expected(rows, np.full(600, 0.01))[rows > 0.5].max() < 0.05


def test_the_more_unusual_a_row_the_less_trusted_rows_excuse_it() -> None:
    rng = np.random.default_rng(1)
    rows, trusted = rng.random(500) ** 6, rng.random(100) ** 9
    excused = share_expected(rows, trusted)[np.argsort(rows)]
    assert (np.diff(excused) <= 0).all()
    assert 0 < excused.min() <= excused.max() <= 1


def test_a_handful_of_trusted_rows_excuses_nothing() -> None:
    rows = np.where(np.arange(500) < 5, 0.99, 0.01)
    assert share_expected(rows, np.full(20, 0.01))[:5].max() < 0.2


@pytest.mark.slow
def test_trusted_rows_with_the_same_heavy_tails_spare_right_rows() -> None:
    """Three of a hundred rows are far away; cells far beyond them are flagged in any case."""

    def table(rows: int, seed: int, *, far: float) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(rows, 4))
        X[rng.random(rows) < far, 0] += 12
        return pd.DataFrame(X.round(4), columns=list("abcd")).assign(label=np.where(X[:, 1] > 0, "yes", "no"))

    train = table(500, 0, far=0.03)
    train.loc[:3, "c"] = [900.0, 1100.0, 1300.0, 1500.0]
    flagged = {}
    for far in (0.0, 0.05):
        result = lossval_cli.score(train, table(400, 1, far=far), removal="off", epochs=2, members=2)
        flagged[far] = result.scores.sort_values("row")["suspect"].astype(str).str.contains("feature").to_numpy()
        assert flagged[far][:4].all()
    assert flagged[0.05][4:].sum() < 0.5 * flagged[0.0][4:].sum()


@pytest.mark.slow
def test_trusted_rows_that_are_noisy_themselves_do_not_hide_noise() -> None:
    """A tenth of the rows has noise in every column, and so has a tenth of the trusted rows."""

    def table(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
        rng = np.random.default_rng(seed)
        common = rng.normal(size=(rows, 2))
        X = common @ np.array([[1, 1, 0.5, -1, 0.3, 0], [0.2, -1, 1, 0.5, 1, -1]]) + 0.2 * rng.normal(size=(rows, 6))
        noisy = rng.random(rows) < 0.1
        X[noisy] += rng.normal(size=(noisy.sum(), 6))
        return pd.DataFrame(X.round(4), columns=list("abcdef")).assign(
            label=np.where(common[:, 0] > 0, "y", "n")
        ), noisy

    (train, noisy), (trusted, _) = table(600, 0), table(200, 1)
    result = lossval_cli.score(train, trusted, removal="off", epochs=2, members=2)
    found = result.scores.sort_values("row")["suspect"].astype(str).str.contains("feature").to_numpy()
    assert found[noisy].mean() > 0.7
    assert found[~noisy].mean() < 0.03


def test_noise_in_every_column_is_not_excused_where_cells_look_wrong_too() -> None:
    """Cells of noisy rows lie far from what the other columns predict, so noisy rows are unusual in both ways."""

    def table(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
        rng = np.random.default_rng(seed)
        X = rng.choice([-1.0, 0.0, 1.0], (rows, 10))
        noisy = rng.random(rows) < 0.05
        X[noisy] += rng.normal(size=(noisy.sum(), 10))
        return pd.DataFrame(X.round(4), columns=list("abcdefghij")).assign(label=np.where(X[:, 0] > 0, "y", "n")), noisy

    (train, noisy), (trusted, _) = table(1_000, 0), table(100, 1)
    settings = Settings()
    dataset = load_dataset(train, trusted, options=TableOptions(label="label"), settings=settings)
    found = estimate_outliers(dataset, settings)
    assert found.noisy is not None
    cells_weigh_more = noisy & (found.way != NOISY)
    assert cells_weigh_more.any()
    assert (relative_to_trusted(found, dataset).probability[cells_weigh_more] > 0.5).mean() > 0.9
