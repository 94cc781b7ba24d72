"""What removal is said to do is what it does, and it is advised only where it helps."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss, r2_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from lossval_cli.errors import SettingsError
from lossval_cli.features.dataset import Dataset, load_dataset
from lossval_cli.features.table_options import TableOptions
from lossval_cli.lossval.training import Fit
from lossval_cli.metrics import METRICS, find_metric
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.own_code import Given
from lossval_cli.pipeline import value_rows
from lossval_cli.removal.models import Kind, boosting_kind
from lossval_cli.removal.plan import Pool, Strategy, make_plan
from lossval_cli.removal.study import RemovalStudy, study_removal
from lossval_cli.report.sentences.removal import removal_notice, removal_verdict
from lossval_cli.settings import Settings

pytestmark = pytest.mark.slow

Run = tuple[RemovalStudy, Dataset, tuple[Fit, NoiseEstimate | None], Settings]


def table(rows: int, share: float, seed: int, task: str = "classification") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, 4))
    y = X[:, 0] + X[:, 1] * X[:, 2]
    wrong = rng.random(rows) < share
    if task == "classification":
        y = (y > 0).astype(int)
        y[wrong] = 1 - y[wrong]
    else:
        y[wrong] = rng.permutation(y)[: wrong.sum()]
    return pd.DataFrame(X, columns=list("abcd")).assign(label=y)


def run(share: float, seed: int = 0, task: str = "classification", mode: str = "full", **overrides: object) -> Run:
    settings = Settings.resolve(overrides={"task": task, "members": 4, **overrides})
    dataset = load_dataset(table(400, share, seed, task), table(500, 0.0, seed + 100, task), settings=settings)
    valued = value_rows(dataset, settings)
    study = study_removal(dataset, *valued, settings, mode)
    assert study is not None
    return study, dataset, valued, settings


@pytest.fixture(scope="module")
def short() -> RemovalStudy:
    return run(0.1, mode="quick", epochs=2, effort="low")[0]


@pytest.fixture(scope="module")
def noisy() -> Run:
    """Three labels of ten are wrong."""
    return run(0.3)


def test_advice_where_labels_are_wrong_helps_on_rows_never_seen(noisy: Run) -> None:
    study, _, valued, settings = noisy
    assert study.choice is not None and study.recommended != "nothing"
    assert study.choice.best.metric_gain[0] > 0
    fresh = load_dataset(table(400, 0.3, 0), None, table(3000, 0.0, 999), settings=settings)
    on_test = study_removal(fresh, *valued, settings, "full")
    assert on_test is not None and on_test.evaluated_on == "test"
    again = {(trial.model, trial.strategy): trial for trial in on_test.trials}
    for model in study.choice.helped:
        assert again[model, study.choice.strategy].error_gain[0] > 0


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_advised_on_clean_data(seed: int) -> None:
    study, *_ = run(0.0, seed, mode="quick")
    assert study.recommended == "nothing"
    assert study.recommended_fraction == 0.0
    assert study.to_dict()["expected_gain"] is None


def test_removing_the_best_rows_hurts_more_than_removing_the_worst(noisy: Run) -> None:
    curves = {curve.name: curve.values.mean(axis=1) for curve in noisy[0].curves}
    assert curves["highest_first"][5] < curves["lowest_first"][5]


def wide(rows: int, columns: int, classes: int) -> pd.DataFrame:
    rng = np.random.default_rng(rows)
    X = rng.standard_normal((rows, columns))
    bounds = np.quantile(X[:, :2].sum(axis=1), np.linspace(0, 1, classes + 1)[1:-1])
    y = np.digitize(X[:, :2].sum(axis=1), bounds)
    return pd.DataFrame(X).add_prefix("x").assign(label=[f"class {label}" for label in y])


@pytest.mark.parametrize(("columns", "classes", "seeds", "rounds"), [(4, 2, 4, 50), (40, 2, 4, 25), (4, 6, 2, 25)])
def test_boosting_gets_fewer_rounds_where_they_cost_more(columns: int, classes: int, seeds: int, rounds: int) -> None:
    dataset = load_dataset(wide(120, columns, classes), wide(60, columns, classes), settings=Settings())
    assert boosting_kind(dataset, 4) == Kind("boosting", seeds, rounds)


def test_boosting_that_would_take_longer_than_the_valuation_is_left_out() -> None:
    dataset = load_dataset(wide(400, 20, 40), wide(60, 20, 3), settings=Settings())
    assert boosting_kind(dataset, 4) is None


def test_regression_is_studied_in_the_unit_of_the_label() -> None:
    study, *_ = run(0.1, task="regression", mode="quick", effort="low")
    assert study.metric.name == "rmse"
    assert 0.05 < study.baseline.mean() < np.std(table(400, 0.1, 0, "regression")["label"]) * 1.2


def test_a_rare_class_that_a_draw_misses_is_predicted_as_the_class_that_is_left() -> None:
    settings = Settings.resolve(overrides={"effort": "low", "members": 4, "epochs": 2})
    train = table(60, 0.0, 0).assign(label=["yes"] * 59 + ["no"])
    dataset = load_dataset(train, table(40, 0.0, 1).assign(label=["yes", "no"] * 20), settings=settings)
    study = study_removal(dataset, *value_rows(dataset, settings), settings, "full")
    assert study is not None and np.isfinite(study.baseline).all()
    assert json.loads(json.dumps(study.to_dict(), allow_nan=False))


def test_a_removal_that_leaves_next_to_nothing_is_not_run() -> None:
    settings = Settings.resolve(overrides={"effort": "low", "members": 4, "epochs": 2})
    dataset = load_dataset(table(18, 0.0, 5), table(40, 0.0, 6), settings=settings)
    study = study_removal(dataset, *value_rows(dataset, settings), settings, "full")
    assert study is not None
    assert "lowest_first 50%: not run, it would leave 9 rows" in study.failed
    assert study.to_dict()["lowest_first"][-1] is None


def test_a_removal_that_would_empty_a_class_is_not_run_but_a_mistyped_label_may_go() -> None:
    settings = Settings.resolve(overrides={"effort": "low", "members": 4, "epochs": 2})
    train = table(100, 0.0, 0).assign(label=["yes"] * 89 + ["no"] * 10 + ["yse"])
    dataset = load_dataset(train, table(40, 0.0, 1).assign(label=["yes", "no"] * 20), settings=settings)
    importance = np.r_[np.ones(89), np.zeros(11)]
    fit, noise = value_rows(dataset, settings)
    ranked = replace(fit, importance=importance)
    study = study_removal(dataset, ranked, noise, settings, "quick")
    assert study is not None
    assert "lowest_first 20%: not run, it would leave no row labelled 'no'" in study.failed
    assert not any(line.startswith("lowest_first 5%") for line in study.failed)


def test_random_removal_is_drawn_again_for_every_seed() -> None:
    settings = Settings.resolve(overrides={"effort": "low", "members": 4, "epochs": 2})
    dataset = load_dataset(table(100, 0.0, 0), table(40, 0.0, 1), settings=settings)
    pool = Pool(np.arange(100), np.arange(100.0), np.zeros(100, bool), None)
    plan = make_plan(dataset, pool, "quick", np.random.default_rng(0))
    half = plan.weights[:, plan.sets[Strategy("random", 0.3)]]
    assert half.sum(axis=1).tolist() == [70, 70] and (half[0] != half[1]).any()
    same = plan.weights[:, plan.sets[Strategy("lowest_first", 0.3)]]
    assert (same[0] == same[1]).all() and not same[0, :30].any() and same[0, 30:].all()
    weights = plan.weights[:, plan.sets[Strategy("weights", 1.0)]]
    np.testing.assert_allclose(weights, np.tile(np.arange(100) / 49.5, (2, 1)), rtol=1e-6)


def test_many_evaluation_rows_are_drawn_from_and_that_is_reported() -> None:
    settings = Settings.resolve(overrides={"effort": "low", "members": 4, "epochs": 2})
    names = [f"class {i % 60}" for i in range(4_000)]  # 200,000 probabilities: 3,333 rows of 60 classes
    train, test = (table(rows, 0.0, rows).assign(label=names[:rows]) for rows in (600, 4_000))
    dataset = load_dataset(train, train[:60], test, settings=settings)
    study = study_removal(dataset, *value_rows(dataset, settings), settings, "quick")
    assert study is not None and study.evaluation_rows == (3_333, 4_000)
    assert removal_notice(study.to_dict()) == "evaluated on 3,333 rows drawn from 4,000"


def test_evaluation_on_validation_rows_names_the_way_to_fresher_ones(short: RemovalStudy) -> None:
    assert short.evaluated_on == "validation"
    said = removal_notice(short.to_dict())
    assert said == "evaluated on validation rows; use --test to evaluate on rows that nothing else has used"


def test_without_suspects_nothing_but_the_curves_is_trained() -> None:
    """On clean data a weighted model may make up for what the model itself does badly: that is no noise."""
    settings = Settings.resolve(overrides={"effort": "low", "members": 4, "epochs": 2})
    dataset = load_dataset(table(100, 0.0, 0), table(60, 0.0, 1), settings=settings)
    fit, noise = value_rows(dataset, settings)
    assert noise is not None
    nobody = np.zeros(100, bool)
    clean = noise._replace(label_suspect=nobody, feature_suspect=nobody, share_low=0.0)
    study = study_removal(dataset, fit, clean, settings, "quick")
    assert study is not None and not study.trials and study.recommended == "nothing"
    assert removal_verdict(study.to_dict()) == (
        "No removal, relabelling or weighting of rows significantly improves a model on 60 validation rows. "
        "Keep all rows."
    )


@pytest.mark.parametrize("rows", [1, 29])
def test_a_handful_of_evaluation_rows_advises_nothing(rows: int) -> None:
    """However often they are repeated."""
    settings = Settings.resolve(overrides={"effort": "low", "members": 4, "epochs": 8})
    val = pd.concat([table(rows, 0.0, 100)] * (60 // rows), ignore_index=True)
    dataset = load_dataset(table(200, 0.3, 0), val, settings=settings)
    study = study_removal(dataset, *value_rows(dataset, settings), settings, "quick")
    assert study is not None and study.recommended == "nothing"


def test_a_validation_table_without_labels_gives_no_study() -> None:
    settings = Settings.resolve(overrides={"effort": "low", "members": 4, "epochs": 2})
    dataset = load_dataset(
        table(60, 0.0, 0),
        table(60, 0.0, 1).drop(columns="label"),
        options=TableOptions(label="label"),
        settings=settings,
    )
    assert study_removal(dataset, *value_rows(dataset, settings), settings, "quick") is None


def test_metrics_equal_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 200)
    y = rng.integers(0, 3, 200)
    best = p.argmax(1)
    assert METRICS["accuracy"].compute(p, y) == accuracy_score(y, best)
    assert METRICS["macro_f1"].compute(p, y) == pytest.approx(f1_score(y, best, average="macro"))
    assert METRICS["log_loss"].compute(p, y) == pytest.approx(log_loss(y, p))
    assert METRICS["auroc"].compute(p, y) == pytest.approx(roc_auc_score(y, p, multi_class="ovr", average="macro"))
    two = p[:, :2] / p[:, :2].sum(1, keepdims=True)
    assert METRICS["auroc"].compute(two, y % 2) == pytest.approx(roc_auc_score(y % 2, two[:, 1]))
    z, t = rng.standard_normal(50), rng.standard_normal(50)
    assert METRICS["r2"].compute(z, t) == pytest.approx(r2_score(t, z))
    assert METRICS["rmse"].compute(z, t) == pytest.approx(np.sqrt(np.mean((z - t) ** 2)))
    assert METRICS["mae"].compute(z, t) == pytest.approx(np.abs(z - t).mean())


def test_undefined_metrics_are_nan_and_not_a_number_made_up() -> None:
    assert np.isnan(METRICS["auroc"].compute(np.ones((4, 2)) / 2, np.zeros(4, int)))
    assert np.isnan(METRICS["r2"].compute(np.arange(4.0), np.ones(4)))


def test_a_metric_of_the_other_task_is_refused() -> None:
    with pytest.raises(SettingsError, match="rmse is"):
        find_metric("rmse", "classification")


def test_an_estimator_of_ones_own_is_one_of_the_models() -> None:
    """This one takes no weights, so that strategy is not tried with it."""
    study = run(0.3, mode="quick", effort="low", model=Given(KNeighborsClassifier(15)))[0]
    assert {trial.model for trial in study.trials} == {"boosting", "linear", "own"}
    tried = {
        model: {trial.strategy.name for trial in study.trials if trial.model == model} for model in ("linear", "own")
    }
    assert tried["own"] == tried["linear"] - {"weights"} != tried["linear"]
    assert study.own_model == ""


class NeedsManyRows(KNeighborsRegressor):
    """Fails in the study, which leaves rows out, and not before."""

    def fit(self, X: Any, y: Any) -> NeedsManyRows:
        if len(X) < 320:
            raise ValueError("too few rows")
        return super().fit(X, y)  # type: ignore[no-any-return]


def test_an_estimator_that_fails_in_the_study_is_named_and_the_study_goes_on() -> None:
    study = run(0.3, task="regression", mode="quick", effort="low", model=Given(NeedsManyRows(15)))[0]
    assert study.own_model == "your own model could not be retrained: ValueError in its fit or prediction"
    assert study.trials
    assert study.own_model in (removal_notice(study.to_dict()) or "")


def test_a_network_of_ones_own_is_not_retrained_and_that_is_said() -> None:
    study = run(0.1, mode="quick", epochs=2, effort="low", model=Given(lambda i, o: torch.nn.Linear(i, o)))[0]
    assert "your own network is not retrained" in (removal_notice(study.to_dict()) or "")
