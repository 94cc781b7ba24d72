"""What is kept of every training row while training goes on: running totals, one entry a row.

A row is judged by few of the E members, so losses are kept for M = ⌈E / folds⌉ slots a row; for all members
where some rows are judged by all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lossval_cli.runtime.row_loader import CHUNK_ROWS

LARGEST_RELATIVE_LOSS = 20.0
"""No single visit counts for more than this many average losses: one row must not use up all range of w."""

HELD_OUT, IN_SAMPLE = -1, -2
"""In place of a fold: trained on by none and judged by all members; trained on and judged by all."""


def draw_folds(
    rows: int, members: int, folds: int, held_out: npt.NDArray[np.int64] | None, generator: torch.Generator
) -> Tensor:
    """(N,) int16, the fold of each row; member e does not train on fold e mod `folds`.

    Every row is then judged by as many members, ±1. Without folds members judge the rows they train on.
    """
    fold = torch.full((rows,), IN_SAMPLE, dtype=torch.int16)
    if members > 1 and folds > 1:
        for part in _blocks(rows):  # by itself, so that dealing out never needs more memory than a block
            dealt = torch.randperm(part.stop - part.start, generator=generator) % folds
            fold[part] = dealt.to(torch.int16)
    if held_out is not None:
        fold[torch.as_tensor(held_out)] = HELD_OUT
    return fold


def fold_masks(fold: Tensor, members: int, folds: int) -> tuple[Tensor, Tensor]:
    """(E, b) each for rows of folds (b,): 1 where a member trains on a row, and 1 where it judges the row."""
    left_out = fold == _left_out(members, folds, fold)
    trains = ~left_out & (fold != HELD_OUT)
    return trains.float(), (left_out | (fold < 0)).float()


class EvidenceAccumulator:
    """Running totals of n rows. All tensors lie on one device; the last axis but of `remembered` is rows."""

    def __init__(self, fold: Tensor, members: int, folds: int, outputs: int, *, by_all: bool = False) -> None:
        """fold (n,) as `draw_folds` gives it; outputs: K, or 1 for numbers; by_all: some rows are judged by
        all members."""
        n, device = len(fold), fold.device
        self.fold = fold
        self.members, self.folds = members, folds
        self._every = by_all or members == 1 or folds == 1
        slots = members if self._every else -(-members // folds)
        self.label = torch.zeros(n, device=device)
        self.feature = torch.zeros(n, device=device)
        self.by_member = torch.zeros(slots, n, device=device)
        self.judged = torch.zeros(slots, n, device=device)  # this epoch's losses times their share
        self.prediction_sum = torch.zeros(n, outputs, device=device)

    def tensors(self) -> dict[str, Tensor]:
        """All that changes, by name."""
        names = ("fold", "label", "feature", "by_member", "judged", "prediction_sum")
        return {name: getattr(self, name) for name in names}

    def masks(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(E, b) who trains on `rows` (b,), and what each member's judgement of a row counts for."""
        trains, judges = fold_masks(self.fold[rows], self.members, self.folds)
        return trains, judges.div_(judges.sum(0))

    def keep(self, rows: Tensor, judged: Tensor) -> None:
        """Losses (E, b) of `rows` (b,), each times its share, for the end of the epoch."""
        self.judged[:, rows] = judged if self._every else judged.gather(0, self._judges(self.fold[rows]))

    def heldout(self) -> Tensor:
        """(n,) ℓ, the loss of each row by members that did not train on it."""
        return self.judged.sum(0)

    def add(self, for_label: Tensor, for_feature: Tensor, f: Tensor, eta: float) -> None:
        """One step of the log-weights: the factors of ℓ and of f (n,), the potentials, and the step size."""
        for part in _blocks(len(self.label)):
            judged = self.judged[:, part]
            self.label[part] -= eta * (for_label * judged.sum(0)).clamp(max=LARGEST_RELATIVE_LOSS)
            alone = judged / self._shares(self.fold[part]).clamp(min=1e-12)
            self.by_member[:, part] -= eta * (for_label * alone).clamp(max=LARGEST_RELATIVE_LOSS)
        self.feature -= eta * for_feature * f

    def spread(self) -> Tensor:
        """(n,) standard deviation of the judging members' totals; NaN where one member judged."""
        spread = torch.empty_like(self.label)
        for part in _blocks(len(spread)):
            judges = (self._shares(self.fold[part]) > 0).float()
            evidence, count = self.by_member[:, part], judges.sum(0)
            mean = (evidence * judges).sum(0) / count
            squares = ((evidence - mean).square() * judges).sum(0)
            spread[part] = (squares / (count - 1)).sqrt()
        return spread

    def _shares(self, fold: Tensor) -> Tensor:
        """(M, b) what each slot counts for, 0 where it is empty."""
        judges = fold_masks(fold, self.members, self.folds)[1]
        shares = judges.div_(judges.sum(0))
        return shares if self._every else shares.gather(0, self._judges(fold))

    def _judges(self, fold: Tensor) -> Tensor:
        """(M, b) the member in each slot; a slot beyond the last member holds one that does not judge."""
        slots = torch.arange(len(self.judged), device=fold.device).unsqueeze(1)
        return (fold.long() + self.folds * slots).clamp(max=self.members - 1)


def _left_out(members: int, folds: int, like: Tensor) -> Tensor:
    """(E, 1) the fold that each member leaves out."""
    left: Tensor = torch.arange(members, device=like.device).unsqueeze(1) % folds
    return left.to(like.dtype)


def _blocks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, CHUNK_ROWS):
        yield slice(start, min(start + CHUNK_ROWS, rows))
