"""`--model`: the networks, a preset, or a model of the user's own.

A name of one's own, `package.module:name`, or an object given in Python, is one of

- a scikit-learn estimator, its class, or a function of no arguments that returns one;
- a function of (inputs, outputs), or a class that is made of them, which gives a `torch.nn.Module`: (B, inputs) ->
  (B, outputs).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from lossval_cli.errors import SettingsError
from lossval_cli.features.roles import Roles
from lossval_cli.losses import Task
from lossval_cli.models.presets import PRESETS, make_preset
from lossval_cli.own_code import FAILURES, Given, describe_error, load_object
from lossval_cli.settings import NETWORKS, Settings
from lossval_cli.text.format import did_you_mean


@dataclass(frozen=True)
class Estimator:
    """A scikit-learn estimator; every call of `make` returns a new one."""

    name: str
    make: Callable[[], Any]
    is_own: bool


@dataclass(frozen=True)
class Module:
    """A PyTorch network; every call of `make` returns one with new parameters."""

    name: str
    make: Callable[[int, int], torch.nn.Module]


def choose_model(settings: Settings, roles: Roles) -> Estimator | Module | None:
    """The model named by the setting `model`; None for the networks of the method.

    Raises SettingsError, one line.
    """
    spec = settings.model
    if spec == NETWORKS:
        return None
    is_classifier = roles.task == "classification"
    if spec in PRESETS and not isinstance(spec, Given):
        return Estimator(spec, lambda: make_preset(spec, is_classifier=is_classifier, seed=settings.seed), False)
    if ":" not in spec:
        hint = did_you_mean(spec, (NETWORKS, *PRESETS), "; ")
        names = ", ".join((NETWORKS, *PRESETS))
        raise SettingsError([f"model: {spec!r} is none of {names}, nor package.module:factory{hint}"])
    found, name = load_object(spec, "model"), str(spec)
    is_class = isinstance(found, type) and issubclass(found, torch.nn.Module)
    if isinstance(found, torch.nn.Module) or (is_class and _required_arguments(found) != 2):
        raise SettingsError(
            [f"model: {name!r} is a torch.nn.Module: give a function of (inputs, outputs) that makes a new one"]
        )
    if hasattr(found, "fit") and not isinstance(found, type):
        from sklearn.base import clone

        return _checked(name, lambda: clone(found, safe=False), roles.task)
    if not callable(found):
        raise SettingsError([f"model: {name!r} is a {type(found).__name__}, not an estimator or a factory"])
    if _required_arguments(found) == 2:
        return Module(name, _wrapped(name, found))
    return _checked(name, _wrapped(name, found), roles.task)


_FITTING = {"classification": ("classifier", "predict_proba"), "regression": ("regressor", "predict")}
"""Task -> the kind of estimator that it takes, and the method that predicts."""


def _checked(name: str, make: Callable[[], Any], task: Task) -> Estimator:
    """Try the estimator once, so that what has no `fit` is refused before anything is read."""
    made = make()
    if isinstance(made, torch.nn.Module):
        raise SettingsError(
            [f"model: {name!r} must take (inputs, outputs) to make a torch.nn.Module that fits the table"]
        )
    if task == "multilabel":  # estimators of every kind are refused, once the table is known
        return Estimator(name, make, True)
    kind, (fitting, wanted) = _kind(made), _FITTING[task]
    if hasattr(made, "fit") and kind not in (None, fitting):
        raise SettingsError([f"model: {name!r} makes a {type(made).__name__}, a {kind}, but the task is {task}"])
    for method in ("fit", wanted):
        if not hasattr(made, method):
            advice = "; wrap it in CalibratedClassifierCV" if kind and method == "predict_proba" else ""
            raise SettingsError([f"model: {name!r} makes a {type(made).__name__}, which has no {method}{advice}"])
    return Estimator(name, make, True)


def _kind(estimator: Any) -> str | None:
    """The kind of an estimator by its scikit-learn tags: classifier, regressor, clusterer, …; None without tags."""
    try:
        kind = estimator.__sklearn_tags__().estimator_type
    except (AttributeError, TypeError):  # before 1.6, or not of scikit-learn
        kind = getattr(estimator, "_estimator_type", None)
    return None if kind is None else str(kind)


def _wrapped(name: str, factory: Callable[..., Any]) -> Callable[..., Any]:
    """The factory, whose errors are the user's."""

    def make(*arguments: Any) -> Any:
        try:
            return factory(*arguments)
        except FAILURES as error:
            raise SettingsError([f"model: {name!r} failed: {describe_error(error)}"]) from error

    return make


def _required_arguments(factory: Callable[..., Any]) -> int:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return 0
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(1 for each in parameters if each.kind in positional and each.default is inspect.Parameter.empty)
