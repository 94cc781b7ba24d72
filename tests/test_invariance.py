"""What must not change a ranking does not: the format, the order of columns and rows, units and names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import trained
from scipy.stats import spearmanr

import lossval_cli

pytestmark = pytest.mark.slow

CALM = {"effort": "low", "device": "cpu", "epochs": 15}


def table(rows: int, seed: int) -> pd.DataFrame:
    """Mixed columns, missing cells, 10 % wrong labels."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal(rows), rng.lognormal(0, 1, rows)
    kind = rng.choice(["red", "green", "blue"], rows)
    y = np.where(a + (kind == "red") > 0.3, "yes", "no")
    wrong = rng.random(rows) < 0.1
    y[wrong] = np.where(y[wrong] == "yes", "no", "yes")
    frame = pd.DataFrame({"a": a, "b": b, "kind": kind, "count": rng.integers(0, 5, rows), "label": y})
    frame.loc[rng.random(rows) < 0.1, "b"] = np.nan
    return frame


TRAIN, VAL = table(400, 0), table(150, 1)


def importances(train: pd.DataFrame | Path, val: pd.DataFrame | Path) -> np.ndarray:
    """By row of the file."""
    return trained(train, val, **CALM)


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return importances(TRAIN, VAL)


def test_csv_and_parquet_give_the_same_bits(tmp_path: Path, plain: np.ndarray) -> None:
    for name, frame in (("train", TRAIN), ("val", VAL)):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        frame.to_parquet(tmp_path / f"{name}.parquet", index=False)
    from_csv = importances(tmp_path / "train.csv", tmp_path / "val.csv")
    np.testing.assert_array_equal(from_csv, importances(tmp_path / "train.parquet", tmp_path / "val.parquet"))
    np.testing.assert_array_equal(from_csv, plain)


def test_shuffled_columns_give_the_same_bits(plain: np.ndarray) -> None:
    shuffled = TRAIN[["label", "count", "kind", "b", "a"]]
    np.testing.assert_array_equal(importances(shuffled, VAL), plain)


def test_row_order_permutes_up_to_what_folds_and_batches_change(plain: np.ndarray) -> None:
    order = np.random.default_rng(3).permutation(len(TRAIN))
    permuted = importances(TRAIN.iloc[order].reset_index(drop=True), VAL)
    assert spearmanr(permuted, plain[order]).statistic > 0.9


def test_units_of_a_column_do_not_matter(plain: np.ndarray) -> None:
    """Rescaled and shifted in train and val alike: the same up to float rounding in the encoding."""
    train, val = (frame.assign(a=1e4 * frame["a"] - 7, b=frame["b"] / 1000) for frame in (TRAIN, VAL))
    assert spearmanr(importances(train, val), plain).statistic > 0.99


def test_renaming_classes_does_not_matter(plain: np.ndarray) -> None:
    train, val = (frame.assign(label=frame["label"].map({"no": "0-no", "yes": "1-yes"})) for frame in (TRAIN, VAL))
    np.testing.assert_array_equal(importances(train, val), plain)


def test_the_unit_of_a_numeric_target_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    train, val = (pd.DataFrame(rng.standard_normal((n, 3)), columns=list("abc")) for n in (300, 80))
    for frame in (train, val):
        frame["label"] = frame["a"] * frame["b"] + 0.1 * rng.standard_normal(len(frame))
    one = importances(train, val)
    other = importances(*(frame.assign(label=frame["label"] * 1e6 + 3e6) for frame in (train, val)))
    assert spearmanr(one, other).statistic > 0.99


def test_every_row_is_there_once_in_order() -> None:
    scores = lossval_cli.score(
        TRAIN, label="label", removal="off", **CALM
    ).scores  # nothing held back even without --val
    assert sorted(scores["row"]) == list(range(len(TRAIN)))
    assert scores["importance"].is_monotonic_increasing
    assert list(scores["rank"]) == list(range(1, len(TRAIN) + 1))
    parts = scores["label_evidence"] + scores["feature_evidence"]
    np.testing.assert_allclose(parts, np.log(scores["importance"]), atol=1e-9)


def test_the_paper_preset_ranks_too_and_says_what_it_does_not_know() -> None:
    result = lossval_cli.score(TRAIN[:120], VAL[:40], label="label", preset="paper", epochs=2, removal="off")
    assert result.scores["noise_probability"].isna().all()
    assert (result.scores["suspect"] == "").all()
    assert result.report["summary"]["estimated_noise_share"] is None
    assert np.ptp(result.scores["importance"]) > 0
