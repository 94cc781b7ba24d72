"""Numbers that make trouble are found, explained, and gone on with where there is a sound way; never NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import trained
from scipy.stats import spearmanr

import lossval_cli

pytestmark = pytest.mark.slow

CALM: dict[str, Any] = {"effort": "low", "device": "cpu", "epochs": 12, "members": 8, "folds": 4}


def table(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.normal(size=rows)})
    frame["c"] = rng.choice(["x", "y", "z"], rows)
    frame["label"] = np.where(frame["a"] + 0.3 * rng.normal(size=rows) > 0, "yes", "no")
    return frame


TRAIN, VAL = table(160, 0), table(80, 1)


def numeric(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(label=2 * frame["a"] + frame["b"] ** 2)


def run(train: pd.DataFrame, val: pd.DataFrame, **settings: Any) -> lossval_cli.Result:
    """A result whose importances are all finite, positive, and not all alike."""
    result = lossval_cli.score(train, val, label="label", removal="off", **(CALM | settings))
    importance = result.scores["importance"].to_numpy()
    assert np.isfinite(importance).all()
    assert (importance > 0).all()
    assert np.ptp(importance) > 0
    return result


def by_row(result: lossval_cli.Result) -> np.ndarray:
    return result.scores.sort_values("row")["importance"].to_numpy()


def importances(train: pd.DataFrame, val: pd.DataFrame, **settings: Any) -> np.ndarray:
    """By row: finite, positive, and not all alike."""
    importance = trained(train, val, **(CALM | settings))
    assert np.isfinite(importance).all() and (importance > 0).all() and np.ptp(importance) > 0
    return importance


def said(result: lossval_cli.Result) -> str:
    checks = [check["text"] for check in result.report["health"] if check["level"] == "look"]
    return "\n".join([*result.report["notices"], *checks])


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return importances(TRAIN, VAL)


@pytest.fixture(scope="module")
def unmoved() -> np.ndarray:
    return importances(numeric(TRAIN), numeric(VAL))


@pytest.fixture(scope="module")
def other_seed(plain: np.ndarray) -> float:
    """How alike the ranks of two seeds are."""
    return float(spearmanr(importances(TRAIN, VAL, seed=1), plain).statistic)


@pytest.mark.parametrize("factor", [1e300, 1e-300])
def test_a_column_beyond_float32_is_rescaled(factor: float, plain: np.ndarray) -> None:
    """Columns are standardised in float64 before they become float32: no unit overflows. Outliers are looked for on a
    logarithmic scale, too, which is not the same in every unit."""
    frames = (frame.assign(a=frame["a"] * factor) for frame in (TRAIN, VAL))
    assert spearmanr(importances(*frames), plain).statistic >= 0.94


def test_a_column_far_from_zero_keeps_what_it_says(plain: np.ndarray) -> None:
    frames = (frame.assign(a=frame["a"] + 1e12) for frame in (TRAIN, VAL))
    assert spearmanr(importances(*frames), plain).statistic >= 0.94


def test_one_cell_of_1e30_does_not_drown_the_others() -> None:
    spoilt = TRAIN.assign(a=TRAIN["a"].where(TRAIN.index != 3, 1e30))
    assert "features" in run(spoilt, VAL).scores.set_index("row")["suspect"][3]


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 1e12), (1e-12, 1.0), (1e30, -1e30)])
def test_the_unit_of_a_target_does_not_matter(factor: float, shift: float, unmoved: np.ndarray) -> None:
    """Labels at 1e12 among them: what is learned from is their distance from the mean, taken in float64."""
    moved = [frame.assign(label=frame["label"] * factor + shift) for frame in map(numeric, (TRAIN, VAL))]
    assert spearmanr(importances(*moved), unmoved).statistic >= 0.99


def test_a_loss_that_is_not_finite_is_trained_again_with_smaller_steps() -> None:
    result = run(TRAIN, VAL, weight_learning_rate=3.0, learning_rate=3.0, epochs=40)
    assert "repeated with learning_rate" in said(result)


def test_weights_that_collapse_onto_few_rows_are_trained_again_with_smaller_steps() -> None:
    result = run(TRAIN, VAL, weight_learning_rate=10.0)
    assert "weights collapsed onto a few of 160 rows; repeated with learning_rate 0.003" in said(result)
    importance = by_row(result)
    assert importance.sum() ** 2 / np.square(importance).sum() > 0.02 * len(importance)


def test_weights_near_the_floor_stay_above_it_and_apart() -> None:
    """A long run drives wrong labels far down; their logarithms still say which is worst."""
    spoilt = TRAIN.copy()
    spoilt.loc[:7, "label"] = np.where(spoilt["label"][:8] == "yes", "no", "yes")
    scores = run(spoilt, VAL, epochs=150).scores
    assert scores["importance"].min() < 1e-3
    assert scores["importance"].nunique() == len(scores)


def test_a_class_that_validation_lacks_is_reported() -> None:
    result = run(TRAIN, VAL[VAL["label"] == "yes"])
    assert "<DataFrame>: no validation row is labelled 'no'; training rows" in said(result)


def test_constant_features_are_left_out_and_reported(plain: np.ndarray) -> None:
    result = run(*(frame.assign(same=1, nothing=np.nan) for frame in (TRAIN, VAL)))
    assert "column same is not used: every row has the same value, '1'" in said(result)
    assert "column nothing is not used: every cell is missing" in said(result)
    np.testing.assert_array_equal(by_row(result), plain)


def test_identical_rows_are_reported() -> None:
    one, other = TRAIN[TRAIN["label"] == "yes"][:1], TRAIN[TRAIN["label"] == "no"][:1]
    result = run(pd.concat([one] * 60 + [other] * 60), VAL)
    assert "120 training rows are copies of 2 distinct rows; each copy counts." in said(result)


def test_duplicated_validation_is_reported_and_changes_ranks_no_more_than_a_seed(
    plain: np.ndarray, other_seed: float
) -> None:
    result = run(TRAIN, pd.concat([VAL] * 5))
    assert "400 validation rows are copies of 80 distinct rows" in said(result)
    # Other draws follow for as many more rows, as they do from another seed.
    assert spearmanr(by_row(result), plain).statistic >= other_seed - 0.03


def test_a_transport_that_does_not_converge_is_reported() -> None:
    assert "Transport did not converge" in said(run(TRAIN, VAL, blur=0.001))


def test_mirrored_columns_and_swapped_classes_change_ranks_no_more_than_a_seed(
    plain: np.ndarray, other_seed: float
) -> None:
    """Either meets other random weights of the network, as another seed does."""
    swapped = [frame.assign(label=frame["label"].map({"no": "z", "yes": "a"})) for frame in (TRAIN, VAL)]
    mirrored = [frame.assign(a=-frame["a"]) for frame in (TRAIN, VAL)]
    for frames in (swapped, mirrored):
        assert spearmanr(importances(*frames), plain).statistic >= other_seed - 0.03
