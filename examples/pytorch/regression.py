"""Friedman's first problem, a network for numbers with a loss of one's own, and LossVal in its training loop.

One target in ten is another row's. The loss is a function that returns one value per row. Run it:
`python examples/pytorch/regression.py`.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import make_friedman1
from torch import Tensor, nn

from lossval_cli.torch import LossVal


def log_cosh(outputs: Tensor, targets: Tensor) -> Tensor:
    """(B, 1), (B,) -> (B,): quadratic near 0, linear far away."""
    error = outputs.squeeze(1) - targets
    return error + nn.functional.softplus(-2 * error) - np.log(2)


def planted_numbers() -> tuple[Tensor, Tensor, Tensor, np.ndarray]:
    """X (N, 10) and targets (N,), trusted X (J, 10), and which targets are wrong (N,)."""
    rng = np.random.default_rng(0)
    X, y = make_friedman1(1_200, noise=1.0, random_state=0)
    X, y = (X - 0.5) * np.sqrt(12), (y - y.mean()) / y.std()
    wrong = np.arange(1_000) < 100
    y[:100] = rng.permutation(y[:1_000])[:100]
    X_train, X_val, target = (torch.tensor(part, dtype=torch.float32) for part in (X[:1_000], X[1_000:], y[:1_000]))
    return X_train, target, X_val, wrong


def main(epochs: int = 20) -> float:
    """Share of the wrong targets among the lowest tenth of the ranking."""
    X_train, target, X_val, wrong = planted_numbers()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003)
    objective = LossVal(len(X_train), X_val, loss=log_cosh)
    for _ in range(epochs):
        for index in torch.randperm(len(X_train)).split(64):
            loss = objective(model(X_train[index]), target[index], X_train[index], index)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            objective.step()
        objective.end_epoch()
    lowest = objective.scores()["label_evidence"].nsmallest(int(wrong.sum())).index
    return float(wrong[lowest].mean())


if __name__ == "__main__":
    print(f"{main():.0%} of the rows with the lowest label evidence have a wrong target (10% would by chance)")
