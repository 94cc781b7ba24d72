"""The noise-detection protocol of OpenDataVal (Jiang et al., 2023) as the LossVal paper used it.

1. Standardise a dataset, draw 1,000 training, 100 validation and up to 3,000 test rows   `make_split`
2. Plant label noise, feature noise or both in training and validation rows               `make_split`
3. Ask how well a score per training row finds the planted rows                           the figures below

Everywhere a *score* is an importance: the lower, the more the row is suspected. Figures that ask for planted
rows are `nan` when none was planted.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.datasets import make_friedman1
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import average_precision_score

from lossval_cli.calibration.planting import flipped_labels

DATA = Path(__file__).parents[2] / "shared" / "data"

Task = Literal["classification", "regression"]
Noise = Literal["label", "feature", "mixed", "none"]
NOISES: tuple[Noise, ...] = ("label", "feature", "mixed")
RATES = (0.05, 0.10, 0.15, 0.20)
TRAIN_ROWS, VAL_ROWS, TEST_ROWS = 1_000, 100, 3_000

DEVELOPMENT_SEEDS = tuple(range(10))  # anything may be tuned on these
REPORTED_SEEDS = tuple(range(100, 105))  # the published tables; nothing is tuned on them

# Name of each dataset in benchmarks -> (task, label column, columns that are no features).
DATASETS: dict[str, tuple[Task, str, tuple[str, ...]]] = {
    "2dplanes": ("classification", "11", ()),
    "pol": ("classification", "y", ()),
    "electricity": ("classification", "class", ("Unnamed: 0",)),
    "fried": ("classification", "y", ()),
    "kin8nm": ("regression", "y", ()),
    "white_wine": ("regression", "quality", ()),
    "cpu_activity": ("regression", "22", ()),
}


@dataclass(frozen=True)
class Split:
    """One repetition: X float32 (rows, D); y int64 class (rows,) or float32 standardised target (rows,)."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray
    X_test: np.ndarray  # never noisy
    y_test: np.ndarray
    task: Task
    noisy_label: np.ndarray  # (N,) bool, training rows whose label was changed
    noisy_feature: np.ndarray  # (N,) bool, training rows whose features were changed

    @property
    def noisy(self) -> np.ndarray:
        """(N,) bool, training rows changed in either way."""
        return self.noisy_label | self.noisy_feature


# ---------------------------------------------------------------- data and noise


@lru_cache(maxsize=len(DATASETS))
def load_dataset(name: str) -> tuple[np.ndarray, np.ndarray, Task]:
    """Whole dataset: X float64 (rows, D) as stored; y int64 0/1 or float64 target; the task.

    A classification target that is a number is binarised at its mean, as in the OpenML versions the paper
    used. `fried` is generated: Friedman #1, 40,768 rows, 10 features, noise 1.
    """
    task, label, dropped = DATASETS[name]
    if name == "fried":
        X, y = make_friedman1(n_samples=40_768, n_features=10, noise=1.0, random_state=0)
    else:
        frame = pd.read_csv(DATA / f"{name}.csv")
        y = frame[label].to_numpy(np.float64)
        X = frame.drop(columns=[label, *dropped]).to_numpy(np.float64)
    if task == "classification":
        y = (y >= y.mean()).astype(np.int64)  # leaves 0/1 as they are
    return X, y, task


def make_split(dataset: str, noise: Noise, rate: float, seed: int) -> Split:
    """Draw and corrupt one repetition.

    Rows are drawn from (dataset, seed) alone, so every noise and rate of a repetition has the same rows; the
    noise is drawn from (dataset, seed, noise, rate). `none` plants nothing, whatever the rate.
    """
    X, y, task = load_dataset(dataset)
    X = standardise(X)
    y = standardise(y).astype(np.float32) if task == "regression" else y
    name = zlib.crc32(dataset.encode())
    order = np.random.default_rng([name, seed]).permutation(len(X))
    train, val, test = np.split(order[: TRAIN_ROWS + VAL_ROWS + TEST_ROWS], [TRAIN_ROWS, TRAIN_ROWS + VAL_ROWS])

    rng = np.random.default_rng([name, seed, zlib.crc32(noise.encode()), round(rate * 10_000)])
    X_train, y_train, noisy_label, noisy_feature = plant(X[train], y[train], noise, rate, rng)
    X_val, y_val, _, _ = plant(X[val], y[val], noise, rate, rng)
    return Split(
        X_train=X_train.astype(np.float32),
        y_train=y_train,
        X_val=X_val.astype(np.float32),
        y_val=y_val,
        X_test=X[test].astype(np.float32),
        y_test=y[test],
        task=task,
        noisy_label=noisy_label,
        noisy_feature=noisy_feature,
    )


def standardise(values: np.ndarray) -> np.ndarray:
    """Columns to mean 0 and standard deviation 1; a constant column becomes 0."""
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def plant(
    X: np.ndarray, y: np.ndarray, noise: Noise, rate: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Corrupted copies of X (n, D) and y (n,), and which rows' label and which rows' features changed.

    Label noise moves a row's label forward by 1..(labels - 1) among the sorted distinct labels of these rows,
    cyclically, so it always changes. Feature noise adds independent N(0, 1) to every feature.
    """
    X, y = X.copy(), y.copy()
    count = 0 if noise == "none" else round(rate * len(X))
    rows = rng.choice(len(X), size=count, replace=False)
    label_count = {"label": count, "mixed": count // 2}.get(noise, 0)
    label_rows, feature_rows = rows[:label_count], rows[label_count:]

    if label_count:
        y[label_rows] = flipped_labels(y, label_rows, rng)
    X[feature_rows] += rng.standard_normal((len(feature_rows), X.shape[1]))

    noisy_label, noisy_feature = np.zeros(len(X), bool), np.zeros(len(X), bool)
    noisy_label[label_rows] = True
    noisy_feature[feature_rows] = True
    return X, y, noisy_label, noisy_feature


# ---------------------------------------------------------------- figures


def two_means_flags(scores: np.ndarray) -> np.ndarray:
    """(N,) bool: the lower cluster of the exact 1-D 2-means of the scores; nothing when all are equal."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order].astype(np.float64)
    # Every split of the sorted scores at once: total spread is fixed, so the best split has most spread
    # between its clusters, n_low n_high (mean_low - mean_high)^2 / n.
    low = np.arange(1, len(ordered))
    high = len(ordered) - low
    below = np.cumsum(ordered - ordered.mean())[:-1]  # centred: sum_high = -sum_low
    between = (below / low + below / high) ** 2 * low * high
    between[ordered[1:] == ordered[:-1]] = -np.inf  # equal scores belong together
    flags = np.zeros(len(scores), bool)
    if ordered[0] < ordered[-1]:
        flags[order[: np.argmax(between) + 1]] = True
    return flags


def f1_flags(flags: np.ndarray, noisy: np.ndarray) -> float:
    """F1 of flagged rows (N,) bool against noisy rows (N,) bool."""
    if not noisy.any():
        return float("nan")
    return float(2 * (flags & noisy).sum() / (flags.sum() + noisy.sum()))


def f1_two_means(scores: np.ndarray, noisy: np.ndarray) -> float:
    """F1 of the lower 2-means cluster, the published figure."""
    return f1_flags(two_means_flags(scores), noisy)


def auroc(scores: np.ndarray, noisy: np.ndarray) -> float:
    """Chance that a noisy row scores below a clean one, ties counting one half."""
    hits, rest = int(noisy.sum()), int((~noisy).sum())
    if hits == 0 or rest == 0:
        return float("nan")
    return float((rankdata(-scores)[noisy].sum() - hits * (hits + 1) / 2) / (hits * rest))


def average_precision(scores: np.ndarray, noisy: np.ndarray) -> float:
    """Average precision of -score."""
    return float(average_precision_score(noisy, -scores)) if noisy.any() else float("nan")


def found_among_lowest(scores: np.ndarray, noisy: np.ndarray, k: int) -> float:
    """Noisy rows among the k lowest scores; of rows tied at the border the expected number."""
    if k == 0:
        return 0.0
    border = np.partition(scores, k - 1)[k - 1]
    below, tied = scores < border, scores == border
    return float(noisy[below].sum() + (k - below.sum()) * noisy[tied].mean())


def precision_at_k(scores: np.ndarray, noisy: np.ndarray) -> float:
    """Share of noisy rows among the k lowest scores, k the true count of noisy rows."""
    k = int(noisy.sum())
    return found_among_lowest(scores, noisy, k) / k if k else float("nan")


def discovery_curve(scores: np.ndarray, noisy: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """(len(shares),) share of the noisy rows found when that share of all rows is inspected, lowest first."""
    if not noisy.any():
        return np.full(len(shares), np.nan)
    found = [found_among_lowest(scores, noisy, round(share * len(scores))) for share in shares]
    return np.array(found) / noisy.sum()


def point_removal(split: Split, ranking: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """(len(shares),) test accuracy, or -MSE of the standardised target, after dropping rows.

    `ranking` (N,) holds row indices in the order they are dropped. Logistic or linear regression on the rest.
    """
    score = _accuracy if split.task == "classification" else _negative_squared_error
    return np.array([score(split, ranking[round(share * len(ranking)) :]) for share in shares])


def removal_change(curve: np.ndarray, task: Task) -> np.ndarray:
    """A `point_removal` curve against its first entry, nothing dropped; higher is better.

    Accuracy in percentage points; for regression the fall of the MSE in percent of the MSE before.
    """
    change = 100 * (curve - curve[0])
    return change / abs(curve[0]) if task == "regression" else change


def _accuracy(split: Split, rows: np.ndarray) -> float:
    X, y = split.X_train[rows], split.y_train[rows]
    if len(np.unique(y)) == 1:  # one class left: it is all that can be predicted
        return float((split.y_test == y[0]).mean())
    return float(LogisticRegression(max_iter=1_000).fit(X, y).score(split.X_test, split.y_test))


def _negative_squared_error(split: Split, rows: np.ndarray) -> float:
    predicted = LinearRegression().fit(split.X_train[rows], split.y_train[rows]).predict(split.X_test)
    return -float(((predicted - split.y_test) ** 2).mean())
