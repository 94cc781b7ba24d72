"""The models that a removal study trains: the networks of the method, gradient boosting, and a linear model.

The networks withstand wrong labels better than most models do, so they alone would say that nothing helps
where boosting or a linear model would gain much.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lossval_cli.features.dataset import Dataset
from lossval_cli.lossval.feature_scaling import relevance
from lossval_cli.lossval.network import Ensemble
from lossval_cli.lossval.optimizer import AdamW
from lossval_cli.lossval.training import batch_size_for, learning_rate_factor
from lossval_cli.removal.plan import Plan, Pool
from lossval_cli.settings import Settings

Floats = npt.NDArray[np.float64]

SUBSET = 0.8
"""Share of the pool that boosting and linear models are trained on for each seed, the same rows for every
strategy: how much a gain depends on the rows at hand is part of its uncertainty."""

TREES = 50

BINS = 255
"""Of each column for boosting: as many as scikit-learn's takes."""

AFFORDABLE = 1_500_000
"""Rows × columns × classes of one boosting model with which all seeds are affordable; of larger models fewer
seeds are trained, and above MAX_COST none."""
MAX_COST = 12_000_000


@dataclass(frozen=True)
class Evaluation:
    """The rows that retrained models are evaluated on."""

    name: str
    """`test` or `validation`."""
    X: npt.NDArray[np.float32]  # (n, D)
    y: npt.NDArray[Any]  # (n,)


def retrain_networks(
    dataset: Dataset,
    pool: Pool,
    plan: Plan,
    evaluation: Evaluation,
    settings: Settings,
    epochs: int,
    device: torch.device,
) -> Floats:
    """Predictions (seeds, sets, n, K) or (seeds, sets, n), of one network for every set of weights.

    All sets of a seed are trained side by side, with the same initial parameters and the same batches, so
    that two of them differ in the strategy alone and their difference has little noise in it.
    """
    return np.stack(
        [
            _one_seed(dataset, pool, plan, weights, evaluation.X, settings, epochs, settings.seed + seed, device)
            for seed, weights in enumerate(plan.weights)
        ]
    )


def _one_seed(
    dataset: Dataset,
    pool: Pool,
    plan: Plan,
    weights: npt.NDArray[np.float32],
    X_eval: npt.NDArray[np.float32],
    settings: Settings,
    epochs: int,
    seed: int,
    device: torch.device,
) -> Floats:
    generator = torch.Generator().manual_seed(seed)
    classes, loss = dataset.classes, dataset.loss
    X = torch.as_tensor(dataset.train.X[pool.rows]).to(device)
    y = torch.as_tensor(_labels(dataset, pool)).to(device)
    relabelled = None if plan.relabelled_set is None else torch.as_tensor(pool.relabelled).to(device)
    network = Ensemble(1, X.shape[1], classes or 1, settings, generator=generator, device=device)
    network = network.repeated(len(weights))
    w = torch.as_tensor(weights)
    # As in training, but in wide tables alone: elsewhere it makes networks withstand wrong labels that other
    # models suffer from.
    columns = len(dataset.encoder.blocks)
    network.scales = relevance(X.cpu(), y.cpu(), w, classes, columns, min_scale=1.0).to(device)
    optimizer = AdamW(network.parameters(), weight_decay=settings.weight_decay)
    batches = math.ceil(len(X) / min(len(X), settings.batch_size or batch_size_for(len(X))))
    w = w.to(device) * (batches / w.to(device).sum(1, keepdim=True))  # sums to about 1 over a batch
    step = 0
    for _ in range(epochs):
        for rows in torch.randperm(len(X), generator=generator).to(device).chunk(batches):
            factor = learning_rate_factor(step, epochs * batches)
            step += 1
            output = network(X[rows], training=True)
            output = output if classes else output.squeeze(-1)
            if relabelled is None:
                losses = loss.per_row(output, y[rows])
            else:  # the last set
                parts = loss.per_row(output[:-1], y[rows]), loss.per_row(output[-1:], relabelled[rows])
                losses = torch.cat(parts)
            torch.autograd.backward((losses * w[:, rows]).sum())
            optimizer.step(settings.learning_rate * factor)
    answer = network.predict(torch.as_tensor(X_eval).to(device))
    answer = loss.respond(answer if classes else answer.squeeze(-1))
    predictions: Floats = answer.cpu().numpy().astype(np.float64)
    return predictions


def affordable_seeds(pool: Pool, dataset: Dataset, seeds: int) -> int:
    """Seeds of boosting models whose training takes no longer than that of the networks; 0: none."""
    classes = dataset.classes or 1
    cost = len(pool.rows) * (dataset.train.X.shape[1] + 10) * (classes if classes > 2 else 1)
    return 0 if cost > MAX_COST else max(1, min(seeds, seeds * AFFORDABLE // cost))


def retrain_other(
    kind: str, dataset: Dataset, pool: Pool, plan: Plan, sets: list[int], evaluation: Evaluation, seeds: int, seed: int
) -> Floats:
    """Predictions (seeds, sets, n, K) or (seeds, sets, n) of models of a `kind`, boosting or linear.

    NaN where a model cannot be trained: one class is left, say.
    """
    X, y, classes = dataset.train.X[pool.rows], _labels(dataset, pool), dataset.classes
    X_eval = evaluation.X
    if kind == "boosting":
        X, X_eval = _binned(X, X_eval)
    rng = np.random.default_rng([seed, len(X)])
    shape = (seeds, len(sets), len(evaluation.y), *(() if classes is None else (classes,)))
    predictions = np.full(shape, np.nan)
    for draw in range(seeds):
        drawn = np.sort(rng.choice(len(X), max(2, round(SUBSET * len(X))), replace=False))
        for column, index in enumerate(sets):
            weights = plan.weights[draw, index, drawn].astype(np.float64)
            labels = pool.relabelled if index == plan.relabelled_set else y
            assert labels is not None
            rows, weights = drawn[weights > 0], weights[weights > 0]
            if classes is not None and len(np.unique(labels[rows])) < 2:
                continue
            model = _model(kind, is_classifier=classes is not None, seed=seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of convergence: both sides of a comparison stop as early
                model.fit(X[rows], labels[rows], sample_weight=weights)
            if classes is None:
                predictions[draw, column] = model.predict(X_eval)
            else:
                seen = model.classes_.astype(np.int64)
                predictions[draw, column] = 0.0
                predictions[draw, column][:, seen] = model.predict_proba(X_eval)
    return predictions


def _binned(
    X: npt.NDArray[np.float32], X_eval: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """X (N, D) and X_eval (n, D) as the numbers of quantile bins of each column of X.

    With weights, scikit-learn's boosting takes one weighted percentile per bin and column of each fit: minutes in a
    table of 300 columns. Columns of no more values than bins need none.
    """
    edges = np.quantile(X, np.linspace(0, 1, BINS)[1:-1], axis=0, method="lower").T
    columns = [np.unique(edge) for edge in edges]
    parts = [np.stack([np.searchsorted(c, x) for c, x in zip(columns, part.T, strict=True)], 1) for part in (X, X_eval)]
    return parts[0].astype(np.float32), parts[1].astype(np.float32)


def _model(kind: str, *, is_classifier: bool, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    if kind == "linear":
        return LogisticRegression(max_iter=200) if is_classifier else Ridge()
    boosting = HistGradientBoostingClassifier if is_classifier else HistGradientBoostingRegressor
    return boosting(max_iter=TREES, early_stopping=False, random_state=seed % 2**32)


def _labels(dataset: Dataset, pool: Pool) -> npt.NDArray[Any]:
    assert dataset.train.y is not None
    return dataset.train.y[pool.rows]
