"""Short reviews, a classifier on the mean embedding of their words, and LossVal on that embedding.

The embedding moves while the network learns, so the trusted rows are embedded again after each epoch. One label
in ten is wrong. Run it: `python examples/pytorch/sentences.py`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lossval_cli.torch import LossVal

GOOD = ["lovely", "great", "perfect", "friendly", "fresh", "quick", "clean", "bright", "calm", "generous"]
BAD = ["awful", "broken", "rude", "stale", "slow", "dirty", "loud", "cold", "bland", "overpriced"]
NEUTRAL = ["the", "room", "food", "staff", "breakfast", "view", "bed", "price", "street", "was", "we", "had", "very"]
WORDS = {word: i for i, word in enumerate([*GOOD, *BAD, *NEUTRAL])}


def reviews(count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Word numbers (count, 12) and labels (count,): 1 where most of the telling words are good ones."""
    y = rng.integers(0, 2, count)
    texts = []
    for label in y:
        own, other = (GOOD, BAD) if label else (BAD, GOOD)
        words = [*rng.choice(own, 3), *rng.choice(other, 1), *rng.choice(NEUTRAL, 8)]
        texts.append([WORDS[word] for word in rng.permutation(words)])
    return torch.tensor(texts), torch.tensor(y)


class Classifier(nn.Module):
    """Mean embedding of the words, then one linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.EmbeddingBag(len(WORDS), 16)
        self.head = nn.Linear(16, 2)

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 12) -> logits (B, 2) and embeddings (B, 16)."""
        embedded = self.embed(words)
        return self.head(embedded), embedded


def planted_reviews() -> tuple[Tensor, Tensor, Tensor, np.ndarray]:
    """Words (N, 12) and labels (N,), trusted words (J, 12), and which labels are wrong (N,)."""
    rng = np.random.default_rng(0)
    (X, y), (X_val, _) = reviews(1_000, rng), reviews(200, rng)
    wrong = rng.random(len(X)) < 0.1
    return X, torch.where(torch.tensor(wrong), 1 - y, y), X_val, wrong


def main(epochs: int = 15) -> float:
    """Share of the wrong labels among the lowest tenth of the ranking."""
    X, y, X_val, wrong = planted_reviews()
    torch.manual_seed(0)
    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    objective = LossVal(len(X), model.embed(X_val))
    for _ in range(epochs):
        for index in torch.randperm(len(X)).split(32):
            logits, embedded = model(X[index])
            loss = objective(logits, y[index], embedded, index)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            objective.step()
        objective.end_epoch(X_val=model.embed(X_val))
    lowest = objective.scores()["label_evidence"].nsmallest(int(wrong.sum())).index
    return float(wrong[lowest].mean())


if __name__ == "__main__":
    print(f"{main():.0%} of the rows with the lowest label evidence have a wrong label (10% would by chance)")
