"""Metrics of the removal study, by name.

Computed here and not by sklearn.metrics, which checks its input on every call: the study resamples a metric some
thousand times, and on 200 to 10,000 rows scikit-learn takes 4 to 190 times as long (4 ms against 0.2 ms for
macro-F1 of 1,000 rows). The tests hold the values against scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from lossval_cli.errors import SettingsError
from lossval_cli.text.format import did_you_mean

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """`compute(predictions, y)`: (n, K) probabilities and (n,) classes, or (n,) and (n,) numbers -> one
    number."""

    name: str
    task: str
    greater_is_better: bool
    compute: Callable[[Floats, Labels], float]

    @property
    def sign(self) -> int:
        """Multiplies a difference so that more is better."""
        return 1 if self.greater_is_better else -1


def accuracy(probabilities: Floats, y: Labels) -> float:
    """Share of rows whose most probable class is their own."""
    return float((probabilities.argmax(axis=1) == y).mean())


def macro_f1(probabilities: Floats, y: Labels) -> float:
    """Mean F1 over the classes that occur in y."""
    predicted = probabilities.argmax(axis=1)
    scores = []
    for k in np.unique(y):
        hits = np.sum((predicted == k) & (y == k))
        scores.append(2 * hits / max(np.sum(predicted == k) + np.sum(y == k), 1))
    return float(np.mean(scores))


def log_loss(probabilities: Floats, y: Labels) -> float:
    """Mean of −log p_y, p no smaller than 1e-7."""
    own = probabilities[np.arange(len(y)), y.astype(np.int64)]
    return float(-np.log(np.maximum(own, 1e-7)).mean())


def auroc(probabilities: Floats, y: Labels) -> float:
    """Area under the ROC curve, one class against the rest, mean over the classes that occur; NaN with
    one."""
    present = np.unique(y)
    if len(present) < 2:
        return float("nan")
    if probabilities.shape[1] == 2:
        present = present[1:]  # both classes have the same area
    areas = []
    for k in present:
        ranks, inside = rankdata(probabilities[:, k]), y == k
        n, m = inside.sum(), (~inside).sum()
        areas.append((ranks[inside].sum() - n * (n + 1) / 2) / (n * m))
    return float(np.mean(areas))


def rmse(predictions: Floats, y: Labels) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((predictions - y) ** 2)))


def mae(predictions: Floats, y: Labels) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(predictions - y)))


def r2(predictions: Floats, y: Labels) -> float:
    """1 − squared error / variance of y; NaN where y is constant."""
    variance = float(np.var(y))
    return float("nan") if variance == 0 else float(1 - np.mean((predictions - y) ** 2) / variance)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "classification", True, accuracy),
        Metric("macro_f1", "classification", True, macro_f1),
        Metric("log_loss", "classification", False, log_loss),
        Metric("auroc", "classification", True, auroc),
        Metric("rmse", "regression", False, rmse),
        Metric("mae", "regression", False, mae),
        Metric("r2", "regression", True, r2),
    )
}

DEFAULT_METRIC = {"classification": "accuracy", "regression": "rmse"}


def find_metric(name: str | None, task: str) -> Metric:
    """The metric named, or the task's default; SettingsError if it is unknown or of the other task."""
    name = name or DEFAULT_METRIC[task]
    fitting = [metric.name for metric in METRICS.values() if metric.task == task]
    if name not in METRICS:
        hint = did_you_mean(name, fitting) or f"use one of {', '.join(fitting)}"
        raise SettingsError([f"setting metric {name!r} is unknown: {hint}"])
    if METRICS[name].task != task:
        raise SettingsError([f"setting metric {name} is not for {task}: use one of {', '.join(fitting)}"])
    return METRICS[name]
