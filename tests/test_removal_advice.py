"""A removal is advised where carrying it out really helps, and nothing is where labels are right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import HistGradientBoostingClassifier

import lossval_cli
from lossval_cli.metrics import METRICS
from lossval_cli.removal.plan import FRACTIONS
from lossval_cli.removal.recommendation import Answers, choose, put_in_words

pytestmark = pytest.mark.slow


def tumours() -> pd.DataFrame:
    table = load_breast_cancer(as_frame=True)
    return table.data.assign(label=table.target)


def even_digits() -> pd.DataFrame:
    table = load_digits(as_frame=True)
    return table.data.assign(label=table.target % 2)


def large_digits() -> pd.DataFrame:
    table = load_digits(as_frame=True)
    return table.data.assign(label=(table.target > 4).astype(int))


@pytest.mark.parametrize(("table", "rows", "seed"), [(tumours, 250, 1), (even_digits, 400, 2), (large_digits, 400, 1)])
def test_what_is_advised_helps_another_model_on_rows_nobody_has_seen(
    table: Callable[[], pd.DataFrame], rows: int, seed: int
) -> None:
    """15 % wrong labels: boosting without the rows named is better. None planted: no row is named."""
    frame = table()
    rng = np.random.default_rng(seed)
    frame = frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
    train, rest = frame[:rows], frame[rows:]
    judges, fresh = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    wrong = rng.choice(rows, round(0.15 * rows), replace=False)
    noisy = train.assign(label=train["label"].to_numpy() ^ np.isin(np.arange(rows), wrong))

    def advice(rows: pd.DataFrame) -> tuple[str, pd.DataFrame]:
        result = lossval_cli.score(rows, judges, label="label", seed=seed)
        study, scores = result.report["removal"], result.scores
        dropped = scores["row"][: round(study["recommended_fraction"] * len(rows))]
        if study["recommended"] == "suspects":
            dropped = scores["row"][scores["suspect"] != ""]
        return study["recommended"], rows.drop(index=dropped)

    def accuracy(rows: pd.DataFrame) -> float:
        model = HistGradientBoostingClassifier(max_iter=50, random_state=0)
        model.fit(rows.drop(columns="label"), rows["label"])
        return float(model.score(fresh.drop(columns="label"), fresh["label"]))

    assert advice(train)[0] == "nothing"
    recommended, kept = advice(noisy)
    assert recommended != "nothing" and len(kept) < rows
    assert accuracy(kept) > accuracy(noisy)


def test_of_what_helps_the_smallest_removal_near_the_best_is_advised() -> None:
    """A sure but small gain, then two large ones that are less sure and hardly differ, then a loss."""
    rng = np.random.default_rng(0)
    before = rng.uniform(0.4, 0.6, (4, 1, 500))
    small = before - 0.01 + rng.normal(0, 0.002, before.shape)
    large = before - 0.1 + rng.normal(0, 0.1, before.shape)
    errors = np.concatenate([before, small, large, large - 0.0001, before + 0.1], axis=1)
    places = {("lowest_first", share): place for place, share in enumerate((0.01, 0.1, 0.2, 0.3), start=1)}
    choice = choose(places, errors, Answers(errors, np.zeros(500), METRICS["mae"]))
    assert choice is not None and choice.is_shown
    assert choice.removal == ("lowest_first", 0.1)
    value, low, high = choice.gain
    assert value == pytest.approx((before - large).mean()) and 0 < low < value < high


def test_surer_predictions_alone_are_no_advice() -> None:
    """The Brier score falls for every row and accuracy stays: that is said, and nothing is advised."""
    right = np.stack([np.full((4, 200), 0.6), np.full((4, 200), 0.9)], axis=1)  # (seeds, sets, n)
    predictions = np.stack([right, 1 - right], axis=-1)
    answers = Answers(predictions, np.zeros(200, int), METRICS["accuracy"])
    choice = choose({("suspects", 0.1): 1}, 2 * (1 - right) ** 2, answers)
    assert choice is not None and not choice.is_shown
    said = put_in_words(choice, answers.metric, "200 test rows")
    assert said == (
        "Not recommended: without the suspects, predicted probabilities improve on 200 test rows, but accuracy does "
        "not change significantly (+0, 95% CI +0 to +0)."
    )


def test_chance_alone_is_advised_as_rarely_as_claimed() -> None:
    """Seven removals that change nothing but luck, 200 times: at most the 5 % that the confidence leaves."""
    rng = np.random.default_rng(0)
    places = {("lowest_first", share): place for place, share in enumerate(FRACTIONS, start=1)}
    advised = 0
    for _ in range(200):
        rows = rng.normal(1, 0.3, (1, 1, 60))  # how hard each row is, for every network
        errors = np.abs(rows + rng.normal(0, 0.1, (1, 8, 60)) + rng.normal(0, 0.1, (4, 8, 60)))
        choice = choose(places, errors, Answers(errors, np.zeros(60), METRICS["mae"]))
        advised += choice is not None and choice.is_shown
    assert advised <= 10
