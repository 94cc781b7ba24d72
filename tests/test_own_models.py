"""`--model`: presets, estimators and modules of the user's own, cross-fitted; their errors are shown as theirs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Outcome
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

import lossval_cli
from lossval_cli import LossvalError
from lossval_cli.lossval.own_networks import StackedModules

FAST: dict[str, Any] = {"effort": "low", "removal": "off", "epochs": 4, "members": 4}


def table(rows: int = 200) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)).round(4), columns=["a", "b", "c"])
    wrong = rng.random(rows) < 0.1
    frame["label"] = np.where((frame["a"] + frame["b"] > 0) ^ wrong, "yes", "no")
    return frame, wrong


TRAIN, WRONG = table()


def noise(model: Any, train: pd.DataFrame = TRAIN, **options: Any) -> np.ndarray:
    result = lossval_cli.score(train, label="label", model=model, **FAST | options)
    found: np.ndarray = result.scores.sort_values("row")["noise_probability"].to_numpy()
    return found


class Recorded(KNeighborsClassifier):
    """Keeps which rows it was fitted on and asked for."""

    log: list[tuple[set[float], set[float]]] = []  # noqa: RUF012  # cleared by the test

    def fit(self, X: Any, y: Any) -> Recorded:
        self.seen = set(X[:, 0].tolist())
        super().fit(X, y)
        return self

    def predict_proba(self, X: Any) -> Any:
        self.log.append((self.seen, set(X[:, 0].tolist())))
        return super().predict_proba(X)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    ["boosting", "forest", "linear", LogisticRegression(), KNeighborsClassifier, lambda: LogisticRegression(C=0.1)],
    ids=["boosting", "forest", "linear", "estimator", "class", "factory"],
)
def test_estimators_find_wrong_labels(model: Any) -> None:
    assert roc_auc_score(WRONG, noise(model)) > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("model", ["boosting", "forest", "linear", KNeighborsRegressor(5)])
def test_estimators_predict_numbers_in_the_unit_of_the_label(model: Any) -> None:
    rng = np.random.default_rng(0)
    train = TRAIN.assign(label=1_000 + 100 * TRAIN["a"] + rng.normal(0, 5, len(TRAIN)))
    result = lossval_cli.score(train, label="label", task="regression", model=model, **FAST)
    found = result.scores.sort_values("row")
    assert np.corrcoef(found["predicted"], train["label"])[0, 1] > 0.8
    assert abs(found["predicted"].mean() - 1_000) < 30


def test_no_row_is_predicted_by_a_model_that_was_fitted_on_it_or_its_group() -> None:
    Recorded.log.clear()
    groups = np.repeat(np.arange(50), 4)
    train = TRAIN.assign(a=groups + TRAIN["a"] * 1e-3, group=groups)
    noise(Recorded(5), train, group="group", features=["a"])
    out_of_fold = [(seen, asked) for seen, asked in Recorded.log if len(asked) < len(TRAIN) / 2][:5]
    assert len(out_of_fold) == 5
    for seen, asked in out_of_fold:
        assert not seen & asked


@pytest.mark.slow
def test_with_a_time_the_rows_that_a_model_is_asked_about_are_neighbours_in_time() -> None:
    Recorded.log.clear()
    order = np.random.default_rng(1).permutation(len(TRAIN))
    train = TRAIN.assign(a=order + TRAIN["a"] * 1e-3, hour=order)
    noise(Recorded(5), train, time="hour", features=["a"])
    out_of_fold = [(seen, asked) for seen, asked in Recorded.log if len(asked) < len(TRAIN) / 2][:5]
    assert len(out_of_fold) == 5
    for seen, asked in out_of_fold:
        assert not any(min(asked) <= one <= max(asked) for one in seen)


def module(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, outputs))


@pytest.mark.slow
def test_a_module_is_trained_in_the_loop_of_the_method() -> None:
    options = {"epochs": 15, "members": 6}
    first = lossval_cli.score(TRAIN, label="label", model=module, **FAST | options)
    found = first.scores.sort_values("row")
    assert roc_auc_score(WRONG, found["noise_probability"]) > 0.85
    assert found["importance_std"].notna().all()  # several members scored each row
    again = lossval_cli.score(TRAIN, label="label", model=module, **FAST | options)
    pd.testing.assert_frame_equal(first.scores, again.scores)


class Recurrent(nn.Module):
    """Which torch.func.vmap cannot stack."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(1, 8, batch_first=True)
        self.last = nn.Linear(8, outputs)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(self.recurrent(X.unsqueeze(-1))[0][:, -1])
        return found


def normalised(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, outputs))


@pytest.mark.filterwarnings("ignore:RNN module weights")
@pytest.mark.parametrize(("make", "is_stacked"), [(Recurrent, False), (normalised, True), (module, True)])
def test_members_have_parameters_of_their_own_whether_they_are_stacked_or_not(make: Any, is_stacked: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    network = StackedModules(make, 3, 4, 2, generator=generator, device=torch.device("cpu"))
    X = torch.randn(10, 4, generator=generator)
    first = network(X, training=True)
    torch.autograd.backward(first.square().sum())
    assert network._is_stacked == is_stacked
    assert all(value.grad is not None and value.grad.flatten(1).any(dim=1).all() for value in network.parameters())
    before = network.predict(X)
    with torch.no_grad():
        network.parameters()[0][1] += 1
    changed = (network.predict(X) - before).abs().amax(dim=(1, 2))
    assert changed[1] > 1e-3 and changed[[0, 2]].max() == 0


def test_reports_name_the_model() -> None:
    result = lossval_cli.score(TRAIN, label="label", model=LogisticRegression(), **FAST)
    assert result.report["settings"]["model"] == "sklearn.linear_model._logistic:LogisticRegression"
    assert "members" not in [check["check"] for check in result.report["health"]]


def fails(inputs: int, outputs: int) -> nn.Module:
    raise ValueError("no such layer\nsecond line")


class Late(nn.Linear):
    """A module that goes wrong in training alone."""

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        if len(X) > 20:
            raise RuntimeError("too many rows")
        return super().forward(X)


class Odd(ClassifierMixin, BaseEstimator):
    """A classifier that goes wrong in the way its parameter says."""

    def __init__(self, way: str = "fit") -> None:
        self.way = way

    def fit(self, X: Any, y: Any) -> Odd:
        if self.way == "fit":
            raise ValueError("singular matrix")
        self.classes_ = np.array(["no", "yes"]) if self.way == "classes" else np.unique(y)
        return self

    def predict_proba(self, X: Any) -> Any:
        one = np.random.default_rng().random(len(X)) if self.way == "random" else np.clip(X[:, 0], 0, 1)
        if self.way == "shape":
            return one
        if self.way == "nan":
            one[0] = np.nan
        return np.column_stack([one, one if self.way == "sum" else 1 - one])


class Narrower(nn.Linear):
    """Returns fewer outputs from the fifth call on."""

    calls = 0

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(X)[:, : 2 if self.calls < 5 else 1]


class Leaves(nn.Linear):
    """Ends the program, with success."""

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        sys.exit(0)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("forrest", "is none of networks, boosting, forest, linear.*did you mean forest"),
        ("no_module_of_this_name:f", "cannot load 'no_module_of_this_name:f': ModuleNotFoundError"),
        ("math:pi", "is a float, not an estimator or a factory"),
        (KMeans(2), "makes a KMeans, a clusterer, but the task is classification"),
        (GaussianMixture(2), "makes a GaussianMixture, a .*, but the task is"),
        (LinearSVC(), "has no predict_proba; wrap it in CalibratedClassifierCV"),
        (module(3, 2), "is a torch.nn.Module: give a function of"),
        (nn.Sequential, "is a torch.nn.Module: give a function of"),
        (lambda: module(3, 2), r"must take \(inputs, outputs\)"),
        (lambda: 3, "makes a int, which has no fit"),
        (fails, r"failed: ValueError: no such layer \(test_own_models.py, line \d+\)"),
        (lambda i, o: nn.Linear(i, o + 1), r"returned \(4, 3\) for rows of shape \(4, 3\), not \(4, 2\)"),
        (lambda i, o: nn.Linear(i + 1, o), "failed for rows of shape"),
        (lambda i, o: nn.Sequential(nn.Linear(i, o), nn.Softmax(0), nn.Hardtanh(2, 3)), "ignores its input"),
        (lambda i, o: None, "returned NoneType, not a torch.nn.Module"),
        (Narrower, r"returned \(\d+, 1\) for rows of shape \(\d+, 3\), not \(\d+, 2\)"),
        (Leaves, r"failed.*SystemExit: 0 \(test_own_models.py, line \d+\)"),
        (Late, r"failed in training.*RuntimeError: too many rows \(test_own_models.py, line \d+\)"),
        (Odd("fit"), r"fit failed: ValueError: singular matrix \(test_own_models.py, line \d+\)"),
        (Odd("random"), "not deterministic"),
        (Odd("shape"), r"predict_proba returned shape \(\d+,\)"),
        (Odd("nan"), "not finite"),
        (Odd("classes"), "classes_ are not among the labels it was fitted on"),
        (KNeighborsRegressor(5), "a KNeighborsRegressor, a regressor, but the task is classification"),
        (Odd("sum"), "not probabilities with sum 1"),
        (DummyClassifier(), "ignores its input"),
    ],
)
def test_what_goes_wrong_in_the_model_is_one_line(model: Any, message: str) -> None:
    with pytest.raises(LossvalError, match=message) as raised:
        noise(model)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_the_command_imports_a_model_from_the_current_directory(
    cli: Callable[..., Outcome], tables: Path, quick: tuple[str, ...]
) -> None:
    (tables / "own_model_of_a_test.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n\n\ndef make():\n    return LogisticRegression(C=0.5)\n"
    )
    own = cli("score", "train.csv", "--val", "val.csv", "--model", "own_model_of_a_test:make", "-o", "-", *quick)
    assert own.code == 0, own.err
    assert own.out != cli("score", "train.csv", "--val", "val.csv", "--model", "linear", "-o", "-", *quick).out
    bad = cli("score", "train.csv", "--model", "own_model_of_a_test:mak", "-o", "run", *quick)
    assert bad.code == 2 and len(bad.err.splitlines()) == 1 and not Path("run").exists()


@pytest.mark.slow
def test_what_a_model_prints_does_not_get_among_the_scores(
    cli: Callable[..., Outcome], tables: Path, quick: tuple[str, ...]
) -> None:
    (tables / "talking_model_of_a_test.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n\n\n"
        "class Talking(LogisticRegression):\n"
        "    def fit(self, X, y):\n        print('iteration 1')\n        return super().fit(X, y)\n"
    )
    talking = ("--model", "talking_model_of_a_test:Talking", *quick)
    found = cli("score", "train.csv", "--val", "val.csv", "-o", "-", *talking)
    assert found.code == 0 and "iteration 1" in found.err
    assert found.out.startswith("rank,") and "iteration" not in found.out
    checked = cli("check", "train.csv", "--val", "val.csv", "--output-format", "json", *talking)
    assert "iteration 1" in checked.err and "rules" in json.loads(checked.out)


@pytest.mark.slow
def test_a_loss_may_be_a_function() -> None:
    def own(predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(predictions, targets, reduction="none")

    results = [lossval_cli.score(TRAIN, label="label", loss=loss, **FAST) for loss in (own, "cross_entropy")]
    np.testing.assert_allclose(results[0].scores["importance"], results[1].scores["importance"], rtol=1e-4)
    assert results[0].report["settings"]["loss"].endswith("own")
    with pytest.raises(LossvalError, match="reduction='none'"):
        lossval_cli.score(TRAIN, label="label", loss=nn.CrossEntropyLoss(), **FAST)


def test_a_loss_that_fails_in_training_alone_is_shown_as_the_users() -> None:
    def late(predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if len(targets) > 20:
            raise ValueError("too many rows")
        return nn.functional.cross_entropy(predictions, targets, reduction="none")

    with pytest.raises(LossvalError, match=r"failed for.*ValueError: too many rows \(test_own_models.py, line \d+\)"):
        lossval_cli.score(TRAIN, label="label", loss=late, **FAST)


def test_a_loss_with_a_gradient_of_nothing_we_train_is_refused() -> None:
    with pytest.raises(LossvalError, match="no gradient with respect to the prediction"):
        lossval_cli.score(TRAIN, label="label", loss=lambda o, t: torch.ones(len(t), requires_grad=True), **FAST)


@pytest.mark.slow
def test_weights_reach_the_last_step_of_a_pipeline_and_are_missed_where_fit_takes_none() -> None:
    train = TRAIN.assign(weight=np.where(TRAIN["a"] > 0, 5.0, 0.1))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    assert np.abs(noise(pipeline, train, weight="weight") - noise(pipeline, train, exclude="weight")).max() > 1e-3
    result = lossval_cli.score(train, label="label", weight="weight", model=KNeighborsClassifier(5), **FAST)
    assert any("takes no sample_weight" in notice for notice in result.report["notices"])


@pytest.mark.parametrize("model", ["boosting", "forest", "linear"])
def test_presets_take_no_more_threads_than_they_are_given(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from threadpoolctl import threadpool_info

    from lossval_cli.models import cross_fit

    true_fit, taken = cross_fit.fit_one, []

    def fit_one(*arguments: Any) -> Any:
        taken.extend(each["num_threads"] for each in threadpool_info() if each["user_api"] in ("openmp", "blas"))
        return true_fit(*arguments)

    monkeypatch.setattr(cross_fit, "fit_one", fit_one)
    before = torch.get_num_threads()
    try:
        noise(model, threads=1)
    finally:
        torch.set_num_threads(before)
    assert taken and set(taken) == {1}
