"""Every per-row loss against a closed form and finite differences; the registry's answers and errors."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lossval_cli import losses
from lossval_cli.errors import CellError, SettingsError
from lossval_cli.losses import (
    check_loss,
    check_targets,
    find_any_loss,
    find_loss,
    loss_names,
)
from lossval_cli.own_code import Given

CLASSIFICATION = ["cross_entropy", "focal", "label_smoothed_cross_entropy", "cumulative_cross_entropy"]
REGRESSION = ["squared_error", "absolute", "huber", "quantile", "poisson_deviance"]
SPECS = [(name, "classification") for name in CLASSIFICATION] + [(name, "regression") for name in REGRESSION]


def f64(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def training_data(spec: str, task: losses.Task) -> str:
    with pytest.raises(SettingsError) as caught:
        find_loss(spec, task)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_shipped_losses_by_task() -> None:
    assert loss_names("classification") == CLASSIFICATION
    assert loss_names("regression") == REGRESSION


# --- values -----------------------------------------------------------------------------------------------


def test_classification_closed_forms() -> None:
    logits = f64(0.5, 0.2, 0.3).log()[None]  # any logits whose softmax is known
    y = torch.tensor([1])
    assert losses.cross_entropy(logits, y).item() == pytest.approx(-math.log(0.2))
    assert losses.focal(logits, y).item() == pytest.approx(-(0.8**2) * math.log(0.2))
    assert losses.focal(logits, y, gamma=0).item() == pytest.approx(-math.log(0.2))
    smoothed = -0.9 * math.log(0.2) - 0.1 / 3 * (math.log(0.5) + math.log(0.2) + math.log(0.3))
    assert losses.label_smoothed_cross_entropy(logits, y).item() == pytest.approx(smoothed)


@pytest.mark.slow
def test_classification_equals_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 7, generator=generator, dtype=torch.float64)
    y = torch.randint(7, (20,), generator=generator)
    torch.testing.assert_close(losses.cross_entropy(logits, y), functional.cross_entropy(logits, y, reduction="none"))
    torch.testing.assert_close(
        losses.label_smoothed_cross_entropy(logits, y, smoothing=0.3),
        functional.cross_entropy(logits, y, reduction="none", label_smoothing=0.3),
    )


def test_regression_closed_forms() -> None:
    prediction, y = f64(0.0, 1.0, 3.0), f64(0.5, 1.0, -1.0)  # errors -0.5, 0, 4
    assert losses.squared_error(prediction, y).tolist() == [0.25, 0, 16]
    assert losses.absolute(prediction, y).tolist() == [0.5, 0, 4]
    assert losses.huber(prediction, y).tolist() == [0.125, 0, 3.5]
    assert losses.huber(prediction, y, delta=2).tolist() == [0.125, 0, 6]
    assert losses.quantile(prediction, y).tolist() == [0.25, 0, 2]
    assert losses.quantile(prediction, y, level=0.9).tolist() == pytest.approx([0.45, 0, 0.4])


def test_quantile_is_least_at_the_quantile() -> None:
    y = torch.arange(101, dtype=torch.float64)
    candidates = torch.arange(101, dtype=torch.float64)[:, None]
    assert losses.quantile(candidates, y, level=0.9).mean(-1).argmin().item() == 90


def test_poisson_deviance_closed_form() -> None:
    rate, y = f64(2.0, 2.0, 3.0), f64(0.0, 2.0, 1.0)
    expected = [2 * 2.0, 0.0, 2 * (1 * math.log(1 / 3) - (1 - 3))]
    assert losses.poisson_deviance(rate.log(), y).tolist() == pytest.approx(expected)


# --- shapes and gradients ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("name", "task"), SPECS)
@pytest.mark.parametrize("members", [(), (4,), (2, 3)])
def test_members_are_leading_axes(name: str, task: losses.Task, members: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    shape = (*members, 6, 5) if task == "classification" else (*members, 6)
    prediction = torch.randn(shape, generator=generator)
    y = torch.randint(5, (6,), generator=generator)
    y = y if task == "classification" else y.float()
    per_row = find_loss(name, task).per_row
    together = per_row(prediction, y)
    assert together.shape == (*members, 6)
    assert torch.equal(together, per_row(prediction, y.expand(*members, 6)))  # a target for each member
    assert bool((together >= -1e-6).all())
    for index in np.ndindex(*members):
        torch.testing.assert_close(together[index], per_row(prediction[index], y))


@pytest.mark.parametrize(
    ("name", "task"),
    [*SPECS, ("focal(0.5)", "classification"), ("huber(0.3)", "regression"), ("quantile(0.9)", "regression")],
)
def test_gradients_against_finite_differences(name: str, task: losses.Task) -> None:
    generator = torch.Generator().manual_seed(2)
    shape = (2, 6, 4) if task == "classification" else (2, 6)
    prediction = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.randint(4, (6,), generator=generator)
    y = y if task == "classification" else y.double()
    per_row = find_loss(name, task).per_row
    assert torch.autograd.gradcheck(lambda p: per_row(p, y), (prediction,))


@pytest.mark.parametrize("spec", ["focal(0)", "focal(0.5)", "focal", "cross_entropy"])
def test_gradient_stays_finite_on_rows_that_are_certain(spec: str) -> None:
    logits = torch.tensor([[200.0, 0.0], [-200.0, 0.0]], requires_grad=True)
    find_loss(spec, "classification").per_row(logits, torch.tensor([0, 0])).sum().backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


def test_response_is_in_the_unit_of_the_target() -> None:
    assert find_loss("focal", "classification").respond(torch.zeros(1, 4)).tolist() == [[0.25] * 4]
    assert find_loss("huber", "regression").respond(f64(1.5)).tolist() == [1.5]
    poisson = find_loss("poisson_deviance", "regression")
    assert (poisson.target, poisson.link) == ("raw", "log")
    assert poisson.respond(f64(0.0)).tolist() == [1.0]


# --- lookup -----------------------------------------------------------------------------------------------


def test_parameter_in_brackets() -> None:
    loss = find_loss(" quantile( 0.90 ) ", "regression")
    assert loss.name == "quantile(0.9)"
    assert loss.per_row(f64(0.0), f64(1.0)).item() == pytest.approx(0.9)


def test_a_loop_of_ones_own_is_offered_the_losses_of_every_task() -> None:
    with pytest.raises(SettingsError, match=r"there is no loss 'mse'; use one of (?=.*cross_entropy)(?=.*huber)"):
        find_any_loss("mse")


@pytest.mark.parametrize(
    ("spec", "task", "message"),
    [
        ("hubber", "regression", "loss: there is no loss 'hubber'; did you mean 'huber'?"),
        (
            "zzz",
            "classification",
            "loss: there is no loss 'zzz'; use one of cross_entropy, focal, label_smoothed_cross_entropy, "
            "cumulative_cross_entropy",
        ),
        (
            "huber",
            "classification",
            "loss: 'huber' is for regression, but the task is classification; "
            "use one of cross_entropy, focal, label_smoothed_cross_entropy, cumulative_cross_entropy",
        ),
        ("quantile(1)", "regression", "loss: quantile(1): level must be a number from 0.001 to 0.999"),
        ("quantile(nan)", "regression", "loss: quantile(nan): level must be a number from 0.001 to 0.999"),
        ("huber(a)", "regression", "loss: huber(a): delta must be a number from 1e-06 to 1e+06"),
        ("absolute(2)", "regression", "loss: 'absolute' has no parameter; write 'absolute' without brackets"),
        ("a b:c", "regression", "loss: 'a b:c' does not read as package.module:name"),
        (
            "no_such_module_here:f",
            "regression",
            "loss: cannot load 'no_such_module_here:f': ModuleNotFoundError: No module named 'no_such_module_here'",
        ),
        (
            "math:nope",
            "regression",
            "loss: cannot load 'math:nope': AttributeError: module 'math' has no attribute 'nope'",
        ),
        ("math:pi", "regression", "loss: 'math:pi' is a float, not a function of (prediction, target)"),
    ],
)
def test_lookup_errors(spec: str, task: losses.Task, message: str) -> None:
    assert training_data(spec, task) == message


def test_own_function_from_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_lossval_test_loss.py").write_text(
        "from lossval_cli.losses import Loss\n"
        "def quartic(prediction, target):\n    return (prediction - target) ** 4\n"
        "def total(prediction, target):\n    return quartic(prediction, target).sum()\n"
        "def constant(prediction, target):\n    return (prediction - target).detach()\n"
        "def broken(prediction, target):\n    raise ValueError('first\\nsecond')\n"
        "whole = Loss('whole', 'regression', quartic, target='raw')\n"
    )
    (tmp_path / "own_lossval_test_bad.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    loss = find_loss("own_lossval_test_loss:quartic", "regression")
    check_loss(loss, None)
    assert loss.per_row(f64(2.0), f64(0.0)).item() == 16
    assert find_loss("own_lossval_test_loss:whole", "regression").target == "raw"
    assert "but the task is classification" in training_data("own_lossval_test_loss:whole", "classification")
    assert "SyntaxError" in training_data("own_lossval_test_bad:f", "regression")
    expected = {
        "total": "returned a single number for predictions (3,) and targets (3,); it must return one per row: "
        "reduction='none'",
        "constant": "has no gradient with respect to the prediction",
        "broken": "failed for predictions (3,) and targets (3,): ValueError: first (own_lossval_test_loss.py, line 9)",
    }
    for name, message in expected.items():
        with pytest.raises(SettingsError) as caught:
            check_loss(find_loss(f"own_lossval_test_loss:{name}", "regression"), None)
        assert str(caught.value) == f"loss: 'own_lossval_test_loss:{name}' {message}"


def test_a_function_of_natural_shapes_serves_members_and_several_values_per_row() -> None:
    """(B, K) and (B,), as the functions of torch.nn have them; several values per row count by their mean."""
    by_torch = find_loss(Given(partial(functional.cross_entropy, reduction="none")), "classification")
    check_loss(by_torch, 3)
    prediction, target = torch.randn(2, 5, 3), torch.tensor([0, 1, 2, 1, 0])
    torch.testing.assert_close(by_torch.per_row(prediction, target), losses.cross_entropy(prediction, target))
    squares = find_loss(Given(lambda p, t: (p - functional.one_hot(t, 3)) ** 2), "classification")
    assert squares.per_row(prediction, target).shape == (2, 5)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda p, t: (p - t) * math.nan, "not finite"),
        (lambda p, t: (p - t)[:, None] - t, r"shape \(3, 3\)"),
        (lambda p, t: torch.cat([p, p]), r"shape \(6,\).*one value per row"),
        (lambda p, t: 1.0, "must return a tensor"),
    ],
)
def test_an_own_loss_is_tried_before_training(function: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_loss(find_loss(Given(function), "regression"), None)


@pytest.mark.parametrize(("name", "task"), SPECS)
def test_shipped_losses_pass_their_own_check(name: str, task: losses.Task) -> None:
    check_loss(find_loss(name, task), 2 if task == "classification" else None)


# --- targets ----------------------------------------------------------------------------------------------


def test_negative_counts_name_the_first_row() -> None:
    poisson = find_loss("poisson_deviance", "regression")
    check_targets(poisson, np.array([0.0, 3.0, 1.5]), table="a.csv", column="n")
    y = np.array([0.0, 2.0, -2.0, -3.0])
    with pytest.raises(CellError) as caught:
        check_targets(poisson, y, table="a.csv", column="n", lines=np.array([2, 3, 4, 5]))
    assert str(caught.value) == (
        "a.csv: column 'n', row 2 (line 4): -2 is below 0, the least that loss 'poisson_deviance' is defined "
        "for; correct the value or choose another loss"
    )
    with pytest.raises(CellError, match="column 'n', row 2: -2"):
        check_targets(poisson, y, table="a.parquet", column="n")
    check_targets(find_loss("huber", "regression"), y, table="a.csv", column="n")
