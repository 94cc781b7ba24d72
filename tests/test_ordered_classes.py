"""Ordered classes: when classes count as steps of a scale, and that a far step is more suspect than a neighbour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Outcome

import lossval_cli
from lossval_cli import LossvalError
from lossval_cli.features.class_order import find_class_order
from lossval_cli.losses import cross_entropy, cumulative_cross_entropy
from lossval_cli.noise.class_errors import Scale, find_wrong_classes

FAST: dict[str, Any] = {"removal": "off", "epochs": 4, "members": 4, "effort": "low"}
NAMES = ["low", "medium", "high", "very high"]


def grades(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, 3), true grades (n,) 0..3 and labels of which 12 % are one to three steps off."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 3)).astype(np.float32)
    truth = np.digitize(X[:, 0] + 0.5 * X[:, 1] + 0.3 * rng.normal(size=rows), [-0.8, 0, 0.8])
    label = truth.copy()
    for row in rng.choice(rows, rows * 12 // 100, replace=False):
        label[row] = rng.choice([k for k in range(4) if k != truth[row]])
    return X, truth, label


@pytest.mark.parametrize(
    ("names", "column", "order"),
    [
        (["high", "low", "medium"], "risk", "low medium high"),
        (["LOW", "High", "Moderate", "very-high"], "x", "LOW Moderate High very-high"),
        (["agree", "disagree", "neutral"], "q7", "disagree neutral agree"),
        (["L", "M", "S"], "shirt", "S M L"),
        (["A", "B", "C", "F"], "grade", "A B C F"),
        (["A+", "A", "B-"], "mark", "A+ A B-"),
        (["1 star", "10 stars", "2 stars"], "x", "1 star,2 stars,10 stars"),
        (["18-25", "26-35", "36+", "<18"], "age", "<18 18-25 26-35 36+"),
        (["3", "4", "5", "10"], "quality", "3 4 5 10"),
        (["1", "2", "3"], "star_rating", "1 2 3"),
    ],
)
def test_scales_that_are_certain_are_found(names: list[str], column: str, order: str) -> None:
    found = find_class_order(names, column)
    assert found is not None
    assert [names[i] for i in found.indices] == order.split("," if "," in order else None)


@pytest.mark.parametrize(
    ("names", "column"),
    [
        (["0", "1", "2"], "species"),
        (["A", "B", "C"], "variety"),
        (["red", "green", "blue"], "grade"),
        (["low", "high"], "risk"),
        (["low", "medium", "medium ", "moderate"], "risk"),  # two words for one step
        (["1-5", "3-8", "9-12"], "range"),  # ranges that overlap
        (["1.5", "2.5", "3"], "grade"),
        (["low", "medium", "unknown"], "risk"),
        (["class 1", "class 2", "class 3"], "x"),
    ],
)
def test_anything_else_has_no_order(names: list[str], column: str) -> None:
    assert find_class_order(names, column) is None


def test_what_the_user_says_decides() -> None:
    assert find_class_order(["low", "medium", "high"], "x", ordered=False) is None
    told = find_class_order(["a", "b", "c"], "x", order="b, c, a")
    assert told is not None and told.indices == (1, 2, 0)
    numbers = find_class_order(["1", "2", "3"], "species", ordered=True)
    assert numbers is not None and numbers.indices == (0, 1, 2)
    declared = find_class_order(["x", "y", "z"], "c", declared=["z", "unused", "y", "x"])
    assert declared is not None and declared.indices == (2, 1, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ordered",), "--ordered: the order of 'ant', 'bee', 'cat' in label size is not known"),
        (("--order", "ant,bee"), "--order lacks 'cat'"),
        (("--order", "ant,bee,cat,dog"), "--order: label size has no class 'dog'"),
        (("--order", "ant,bee,cat,ant"), "--order names 'ant' more than once"),
        (("--order", "ant,bee,cat", "--unordered"), "--unordered says that they have none"),
        (("--ordered", "--task", "regression", "--label", "x"), "are for classes, and the task is regression"),
        (("--set", "loss=cumulative_cross_entropy"), "needs ordered classes"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    cli: Callable[..., Outcome], tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    rows = pd.DataFrame({"x": np.arange(30) * 1.5, "size": ["ant", "bee", "cat"] * 10})
    rows.to_csv("insects.csv", index=False)
    label = () if "--label" in options else ("--label", "size")
    outcome = cli("score", "insects.csv", *label, *options)
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1
    assert not Path("insects.lossval").exists()


def test_the_loss_grows_with_every_step_and_is_cross_entropy_of_two_classes() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    losses = [float(cumulative_cross_entropy(logits, torch.tensor([k]))) for k in range(4)]
    assert losses == sorted(losses) and losses[0] < losses[3] / 4
    two = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 1, 0, 1])
    assert torch.allclose(cumulative_cross_entropy(two, y), cross_entropy(two, y))
    p = logits.double().softmax(-1)[0]
    expected = -(torch.log(1 - p[0]) + torch.log(p[0] + p[1]) + torch.log(1 - p[3])).item()
    assert float(cumulative_cross_entropy(logits.double(), torch.tensor([1]))) == pytest.approx(expected)


@pytest.mark.slow
def test_a_far_grade_is_more_suspect_and_the_order_helps_to_find_wrong_ones() -> None:
    X, truth, label = grades(500, 0)
    chance = np.full((len(X), 4), 0.25)  # networks that say nothing: the other models decide
    off = np.abs(label - truth)
    found = {
        ordered: find_wrong_classes(X, label.astype(np.int64), chance, scale=Scale(is_ordered=ordered)).probability
        for ordered in (True, False)
    }
    rank = {ordered: values.argsort().argsort() / len(X) for ordered, values in found.items()}
    assert rank[True][off > 1].mean() > rank[True][off == 1].mean() + 0.1
    assert rank[True][off > 1].mean() > rank[False][off > 1].mean()
    assert rank[True][off > 0].mean() > rank[False][off > 0].mean()


def test_predictions_of_scikit_learn_keep_their_columns() -> None:
    """scikit-learn sorts classes by name; scores show them by grade."""
    X, _, label = grades(200, 1)
    table = pd.DataFrame(X, columns=["a", "b", "c"]).assign(risk=np.array(NAMES)[label])
    by_name = sorted(NAMES)
    rng = np.random.default_rng(0)
    given = rng.integers(0, 4, len(X))
    given[:150] = label[:150]
    predictions = np.full((len(X), 4), 0.02)
    predictions[np.arange(len(X)), [by_name.index(NAMES[k]) for k in given]] = 0.94
    result = lossval_cli.score(table, label="risk", predictions=predictions, **FAST)
    assert list(result.report["data"]["roles"]["classes"]) == NAMES and result.report["data"]["roles"]["ordered"]
    assert (result.scores.sort_values("row")["predicted"].to_numpy() == np.array(NAMES)[given]).all()
    assert any("low < medium < high < very high; --unordered" in text for text in result.report["notices"])


@pytest.mark.slow
def test_an_ordered_categorical_needs_no_option() -> None:
    X, _, label = grades(80, 2)
    kind = pd.CategoricalDtype(["p", "o", "n", "m"], ordered=True)
    table = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=pd.Series(list("ponm")).take(label).to_numpy())
    table["y"] = table["y"].astype(kind)
    result = lossval_cli.score(table, label="y", **FAST)
    assert list(result.report["data"]["roles"]["classes"]) == ["p", "o", "n", "m"]
    assert result.dataset.loss.name == "cumulative_cross_entropy"
    with pytest.raises(LossvalError, match="leave one out"):
        lossval_cli.score(table, label="y", order=["p", "o", "n", "m"], ordered=False, **FAST)
