"""Handwritten digits, a small convolutional network, and LossVal in its training loop.

One label in ten is replaced by another one. The network learns from all of them; rows are ranked by what they
did to the objective. Run it: `python examples/pytorch/digits.py`.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from lossval_cli.torch import LossVal


def planted_digits(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, np.ndarray]:
    """Images (N, 1, 8, 8) and labels (N,), trusted images (J, 1, 8, 8), and which labels are wrong (N,)."""
    rng = np.random.default_rng(seed)
    images, labels = load_digits(return_X_y=True)
    images, labels = images.reshape(-1, 1, 8, 8).astype(np.float32) / 16, labels.astype(np.int64)
    order = rng.permutation(len(images))
    train, trusted = order[:1_400], order[1_400:]
    wrong = rng.random(len(train)) < 0.1
    y = np.where(wrong, (labels[train] + rng.integers(1, 10, len(train))) % 10, labels[train])
    return torch.tensor(images[train]), torch.tensor(y), torch.tensor(images[trusted]), wrong


def main(epochs: int = 12) -> float:
    """Share of the wrong labels among the lowest tenth of the ranking."""
    X, y, X_val, wrong = planted_digits()
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 4 * 4, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    objective = LossVal(len(X), X_val)  # the transport compares pixels
    for _ in range(epochs):
        for index in torch.randperm(len(X)).split(64):
            loss = objective(model(X[index]), y[index], X[index], index)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            objective.step()
        objective.end_epoch()
    lowest = objective.scores()["label_evidence"].nsmallest(int(wrong.sum())).index
    return float(wrong[lowest].mean())


if __name__ == "__main__":
    print(f"{main():.0%} of the rows with the lowest label evidence have a wrong label (10% would by chance)")
