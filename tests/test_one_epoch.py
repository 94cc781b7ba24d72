"""The box at the top of lossval/training.py, computed by hand: one epoch of four rows in two batches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import f_oneway

from lossval_cli.losses import find_loss
from lossval_cli.lossval.cost import FIXED_COST, MAX_SWEEPS, TOLERANCE
from lossval_cli.lossval.setup import TrainingData
from lossval_cli.lossval.training import learning_rate_factor, train_lossval
from lossval_cli.lossval.transport import Transport
from lossval_cli.runtime.context import Runtime
from lossval_cli.settings import Settings

X = np.array([[0.0], [1.0], [2.0], [4.0]], np.float32)
X_VAL = np.array([[0.5], [1.5]], np.float32)
Y = np.array([0, 0, 1, 0])
PENALTY = np.array([0.0, 0.0, 0.0, 0.7])
ETA, RATE, DECAY = 0.5, 0.1, 0.01
EPSILON = (1 - FIXED_COST) * 0.55**2


def softmax(logits: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return shares


def log_of_mean_one(values: np.ndarray) -> np.ndarray:
    shifted: np.ndarray = values - math.log(np.exp(values).mean())
    return shifted


@pytest.mark.parametrize(
    ("objective", "gradient"),
    [
        ("product", lambda loss, f, L, OT: (loss / L, 2 * f / OT)),
        ("loss", lambda loss, f, L, OT: (loss / L, 0 * f)),
        ("transport", lambda loss, f, L, OT: (0 * loss, 2 * f / OT)),
        ("additive", lambda loss, f, L, OT: (loss / (L + OT**2), 2 * OT * f / (L + OT**2))),
    ],
)
def test_one_epoch_is_what_the_box_says(objective: str, gradient: Any) -> None:
    """A linear network that scores the rows it is trained on."""
    network = {"members": 1, "folds": 1, "layers": 1, "learning_rate": RATE, "weight_decay": DECAY}
    loop = {"epochs": 1, "batch_size": 2, "weight_learning_rate": ETA, "objective": objective}
    settings = Settings.resolve(overrides=network | loop)
    data = TrainingData(X, Y, X_VAL, 1, 2, PENALTY)
    fit = train_lossval(data, find_loss("cross_entropy", "classification"), settings, Runtime())

    # What is drawn, in order: rows for the median cost, the dropout stream, the network, the order of the rows.
    generator = torch.Generator().manual_seed(0)
    torch.randperm(4, generator=generator)
    torch.randperm(2, generator=generator)
    torch.randint(2**62, (), generator=generator)
    matrix, bias = torch.randn(1, 2, generator=generator).double().numpy() * 0.3, np.zeros(2)
    first, second = np.split(torch.randperm(4, generator=generator).numpy(), 2)
    statistic = f_oneway(X[Y == 0, 0], X[Y == 1, 0]).statistic
    inputs = X * np.clip(1 - 1 / statistic, 0.5, 1)

    # Networks: the second batch is scored after the AdamW step of the first, whose first step is the learning
    # rate against the sign of the gradient; the last step of a run has the learning rate 0.
    probabilities = np.empty((4, 2))
    probabilities[first] = softmax(inputs[first] @ matrix + bias)
    error = probabilities[first] - np.eye(2)[Y[first]]
    rate = RATE * learning_rate_factor(0, 2)
    matrix = matrix * (1 - rate * DECAY) - rate * np.sign(inputs[first].T @ error)
    bias = bias - rate * np.sign(error.sum(axis=0))
    probabilities[second] = softmax(inputs[second] @ matrix + bias)
    np.testing.assert_allclose(fit.predictions, probabilities, atol=1e-5)
    held_out_loss = -np.log(probabilities[np.arange(4), Y])  # ℓ
    L = held_out_loss.mean()

    # Transport: cost ¾ + ¼ d² / median + penalty, and a plan whose row sums are the masses ¼.
    half_squares = (X - X_VAL.T).astype(np.float64) ** 2 / 2
    scale = float(np.sort(half_squares.ravel())[3]) / (1 - FIXED_COST)  # of an even number, torch's is the lower
    transport = Transport(
        torch.as_tensor(X),
        torch.as_tensor(X_VAL),
        epsilon=EPSILON,
        scale=scale,
        penalty=torch.as_tensor(FIXED_COST + PENALTY),
    )
    masses = torch.full((4,), 0.25)
    found = transport.solve(masses, tolerance=TOLERANCE, max_sweeps=MAX_SWEEPS, generator=generator)
    f, g, OT = found.f.double().numpy(), found.g.numpy(), found.cost
    cost = FIXED_COST + half_squares / scale + PENALTY[:, None]
    plan = np.exp((f[:, None] + g - cost) / EPSILON) / 8
    np.testing.assert_allclose(plan.sum(axis=1), 0.25, atol=1e-5)
    assert pytest.approx(f.mean(), rel=1e-5) == OT

    # Log-weights: one mirror step from log w = 0, each part the logarithm of weights of mean 1.
    for_label, for_feature = gradient(held_out_loss, f, L, OT)
    label, feature = log_of_mean_one(-ETA * for_label), log_of_mean_one(-ETA * for_feature)
    both = math.log(np.exp(label + feature).mean())
    np.testing.assert_allclose(fit.label_evidence, label - both / 2, atol=1e-5)
    np.testing.assert_allclose(fit.feature_evidence, feature - both / 2, atol=1e-5)
    np.testing.assert_allclose(fit.importance, np.exp(label + feature - both), atol=1e-5)
    assert fit.history[0].loss == pytest.approx(L, rel=1e-5)
