"""What is advised really helps when it is carried out, and nothing is advised where labels are right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier

import lossval_cli
from lossval_cli.metrics import METRICS
from lossval_cli.removal.plan import FRACTIONS, Strategy
from lossval_cli.removal.recommendation import Answers, choose, run_trials

pytestmark = pytest.mark.slow


def tumours() -> pd.DataFrame:
    table = load_breast_cancer(as_frame=True)
    return table.data.assign(label=table.target)


def test_what_is_advised_helps_another_model_on_rows_nobody_has_seen() -> None:
    """15 % wrong labels: boosting is better with what is advised. None planted: nothing is advised."""
    frame, rows, seed = tumours(), 250, 1
    rng = np.random.default_rng(seed)
    frame = frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
    train, rest = frame[:rows], frame[rows:]
    evaluated, fresh = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    wrong = rng.choice(rows, round(0.15 * rows), replace=False)
    noisy = train.assign(label=train["label"].to_numpy() ^ np.isin(np.arange(rows), wrong))

    def model() -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(max_iter=50, random_state=0)

    def quality(rows: pd.DataFrame, weights: np.ndarray | None = None) -> tuple[float, float]:
        """Accuracy, and the log-likelihood of a fresh row: some 160 rows make steps of accuracy too coarse alone."""
        fitted = model().fit(rows.drop(columns="label"), rows["label"], sample_weight=weights)
        given = fitted.predict_proba(fresh.drop(columns="label"))[np.arange(len(fresh)), fresh["label"]]
        return float(fitted.score(fresh.drop(columns="label"), fresh["label"])), float(np.log(given).mean())

    assert lossval_cli.score(train, evaluated, label="label", seed=seed).report["removal"]["recommended"] == "nothing"
    result = lossval_cli.score(noisy, evaluated, label="label", seed=seed)
    study, scores = result.report["removal"], result.scores.set_index("row").sort_index()
    if study["recommended"] == "weights":
        after = quality(noisy, scores["importance"].to_numpy())
    elif study["recommended"] == "relabel":
        wrong_label = (scores["suspect"] == "label") & (scores["noise_probability"] >= 0.5)
        after = quality(noisy.assign(label=np.where(wrong_label, scores["predicted"].astype(int), noisy["label"])))
    else:
        assert study["recommended"] in ("suspects", "lowest")
        lowest = scores["rank"] <= round(study["recommended_fraction"] * rows)
        after = quality(noisy[~(lowest if study["recommended"] == "lowest" else scores["suspect"] != "")])
    before = quality(noisy)
    assert after[0] >= before[0] and after[1] > before[1], (before, after)


def answers(errors: np.ndarray, *strategies: Strategy, model: str = "boosting") -> Answers:
    """Of numbers whose truth is 0, so that predictions are errors."""
    return Answers(model, errors, errors, np.zeros(errors.shape[-1]), strategies)


def test_of_what_helps_the_least_invasive_near_the_best_is_advised() -> None:
    """A sure but small gain, then large ones that are less sure and hardly differ, then a loss."""
    rng = np.random.default_rng(0)
    before = rng.uniform(0.4, 0.6, (4, 1, 500))
    small = before - 0.01 + rng.normal(0, 0.002, before.shape)
    large = before - 0.1 + rng.normal(0, 0.1, before.shape)
    removals = [Strategy("lowest_first", share) for share in (0.01, 0.1, 0.2, 0.3)]
    errors = np.concatenate([before, small, large, large - 0.0001, before + 0.1], axis=1)
    choice = choose(run_trials([answers(errors, *removals)], METRICS["mae"]))
    assert choice is not None and choice.strategy == Strategy("lowest_first", 0.1)
    value, low, high = choice.best.metric_gain
    assert value == pytest.approx((before - large).mean()) and 0 < low < value < high

    weighted = np.concatenate([errors, large + 0.0001], axis=1)
    choice = choose(run_trials([answers(weighted, *removals, Strategy("weights", 1.0))], METRICS["mae"]))
    assert choice is not None and choice.strategy.name == "weights"


def test_the_models_that_gain_are_named_and_the_others_are_not() -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(0.4, 0.6, (4, 1, 300))
    weights = Strategy("weights", 1.0)
    helped = np.concatenate([before, before - 0.1 + rng.normal(0, 0.05, before.shape)], axis=1)
    not_helped = np.concatenate([before, before + rng.normal(0, 0.05, before.shape)], axis=1)
    models = {"network": not_helped, "boosting": helped, "linear": helped + 0.01}
    trials = run_trials([answers(each, weights, model=name) for name, each in models.items()], METRICS["mae"])
    choice = choose(trials)
    assert choice is not None and sorted(choice.helped) == ["boosting", "linear"]
    assert choice.best.model == choice.helped[0]


def test_surer_predictions_alone_are_no_advice() -> None:
    """The Brier score falls for every row and accuracy stays: that is said, and nothing is advised."""
    right = np.stack([np.full((4, 200), 0.6), np.full((4, 200), 0.9)], axis=1)  # (seeds, sets, n)
    predictions = np.stack([right, 1 - right], axis=-1)
    suspects = (Strategy("suspects", 0.1),)
    found = Answers("boosting", predictions, 2 * (1 - right) ** 2, np.zeros(200, int), suspects)
    (trial,) = run_trials([found], METRICS["accuracy"])
    assert trial.improves_predictions and not trial.helps and choose([trial]) is None


def test_chance_alone_is_advised_as_rarely_as_claimed() -> None:
    """Seven removals that change nothing but luck, 200 times: at most the 5 % that the confidence leaves."""
    rng = np.random.default_rng(0)
    removals = [Strategy("lowest_first", share) for share in FRACTIONS]
    advised = 0
    for _ in range(200):
        rows = rng.normal(1, 0.3, (1, 1, 60))  # how hard each row is, for every network
        errors = np.abs(rows + rng.normal(0, 0.1, (1, 8, 60)) + rng.normal(0, 0.1, (4, 8, 60)))
        advised += choose(run_trials([answers(errors, *removals)], METRICS["mae"])) is not None
    assert advised <= 10
