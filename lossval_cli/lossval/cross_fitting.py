"""Which ensemble members train on a row, and which score it; what is accumulated about every row.

Rows are dealt into folds, and member e does not train on fold e mod `folds`: the loss and the prediction of a
row come from members that never saw it (cross-fitting). Of E members few score a given row, so losses are
kept in M = ⌈E / folds⌉ slots per row; in E slots where some rows are scored by all members.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lossval_cli.runtime.distributed import ProcessGroup
from lossval_cli.runtime.row_source import CHUNK_ROWS

MAX_RELATIVE_LOSS = 20.0
"""No epoch counts for more than this many average losses: one row must not use up all range of w."""

HELD_OUT, IN_SAMPLE = -1, -2
"""In place of a fold: no member trains on the row and all score it; all train on it and all score it."""


def draw_folds(
    rows: int,
    members: int,
    folds: int,
    generator: torch.Generator,
    *,
    held_out: npt.NDArray[np.int64] | None = None,
    groups: npt.NDArray[np.int64] | None = None,
    time: npt.NDArray[np.generic] | None = None,
) -> Tensor:
    """Draw the fold of each row, (N,) int16; member e does not train on fold e mod `folds`.

    Every row is then scored by the same number of members, ±1. With a single fold, members score the rows
    they train on. held_out (J,): rows that no member trains on. groups (N,): rows with the same number share
    a fold. time (N,): folds are contiguous in it, each a range of times.
    """
    fold = torch.full((rows,), IN_SAMPLE, dtype=torch.int16)
    if members > 1 and folds > 1:
        if time is not None:
            fold = torch.from_numpy(_contiguous(time, groups, folds))
        elif groups is not None:
            _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
            fold = torch.from_numpy(_random_groups(sizes, folds, generator)[group])
        else:
            for part in _blocks(rows):  # one block at a time, so that memory does not grow with the table
                order = torch.randperm(part.stop - part.start, generator=generator) % folds
                fold[part] = order.to(torch.int16)
    if held_out is not None:
        fold[torch.as_tensor(held_out)] = HELD_OUT
    return fold


def _random_groups(sizes: npt.NDArray[np.int64], folds: int, generator: torch.Generator) -> npt.NDArray[np.int16]:
    """Draw folds (groups,) of groups of `sizes` rows: in random order, one range of rows after the other."""
    order = torch.randperm(len(sizes), generator=generator).numpy()
    before = np.cumsum(sizes[order]) - sizes[order]
    fold = np.empty(len(sizes), np.int16)
    fold[order] = before * folds // sizes.sum()
    return fold


def _contiguous(
    time: npt.NDArray[np.generic], groups: npt.NDArray[np.int64] | None, folds: int
) -> npt.NDArray[np.int16]:
    """Return (N,) folds that follow one another in time; a group belongs where its first row does."""
    rank = np.unique(time, return_inverse=True)[1].astype(np.int64)  # rows of the same time stay together
    if groups is not None:
        group = np.unique(groups, return_inverse=True)[1]
        first = np.full(int(group.max()) + 1, len(rank))
        np.minimum.at(first, group, rank)
        rank = first[group]
    before = np.searchsorted(np.sort(rank), rank)  # rows that are earlier
    fold: npt.NDArray[np.int16] = (before * folds // len(rank)).astype(np.int16)
    return fold


def fold_masks(fold: Tensor, members: int, folds: int) -> tuple[Tensor, Tensor]:
    """Return two masks (E, b) for rows of folds (b,): 1 where a member trains on a row, and 1 where it scores the
    row."""
    left_out = fold == _left_out(members, folds, fold)
    trains = ~left_out & (fold != HELD_OUT)
    return trains.float(), (left_out | (fold < 0)).float()


class EvidenceAccumulator(nn.Module):
    """Running totals of n rows, on one device; rows are the last axis, except of predictions."""

    fold: Tensor
    label: Tensor
    feature: Tensor
    label_by_member: Tensor
    losses: Tensor
    predicted: Tensor
    prediction_sum: Tensor

    def __init__(self, fold: Tensor, members: int, folds: int, outputs: int, *, scored_by_all: bool = False) -> None:
        """fold (n,) as `draw_folds` returns it; outputs: K, or 1 for numbers; scored_by_all: some rows are
        scored by all members."""
        super().__init__()
        n, device = len(fold), fold.device
        self.members, self.folds = members, folds
        self._one_slot_each = scored_by_all or members == 1 or folds == 1
        slots = members if self._one_slot_each else -(-members // folds)
        for name, values in {
            "fold": fold,
            "label": torch.zeros(n, device=device),
            "feature": torch.zeros(n, device=device),
            "label_by_member": torch.zeros(slots, n, device=device),
            "losses": torch.zeros(slots, n, device=device),  # of this epoch, times their share
            "predicted": torch.zeros(n, outputs, device=device),  # in this epoch
            "prediction_sum": torch.zeros(n, outputs, device=device),
        }.items():
            self.register_buffer(name, values)
        self.prediction_epochs = 0  # that `prediction_sum` adds up

    def tensors(self) -> dict[str, Tensor]:
        """Return what one epoch leaves to the next, by name."""
        names = ("label", "feature", "label_by_member", "prediction_sum")
        return {name: getattr(self, name) for name in names}

    def masks(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return masks (E, b), 1 where a member trains on `rows` (b,), and each member's share in the score of a
        row."""
        trains, scores = fold_masks(self.fold[rows], self.members, self.folds)
        return trains, scores.div_(scores.sum(0))

    def record_losses(self, rows: Tensor, losses: Tensor) -> None:
        """Record losses (E, b) of `rows` (b,), each times its share, for the end of the epoch."""
        self.losses[:, rows] = losses if self._one_slot_each else losses.gather(0, self._scorers(self.fold[rows]))

    def record_predictions(self, rows: Tensor, predictions: Tensor | float) -> None:
        """Record the predictions (b, K) of `rows` (b,) in this epoch: sums over members, each times its share."""
        self.predicted[rows] = predictions

    def join(self, processes: ProcessGroup) -> None:
        """Add up what processes have recorded in this epoch, each of the members that it trains."""
        processes.all_reduce(self.losses)
        processes.all_reduce(self.predicted)

    def count_predictions(self) -> None:
        """Count this epoch's predictions among those that are averaged."""
        self.prediction_sum += self.predicted
        self.prediction_epochs += 1

    def held_out_loss(self) -> Tensor:
        """Return (n,) ℓ, the loss of each row by members that did not train on it."""
        return self.losses.sum(0)

    def mirror_step(self, for_label: Tensor, for_feature: Tensor, f: Tensor, eta: float) -> None:
        """Take a mirror step: log w_n −= η (for_label · ℓ_n + for_feature · f_n), the two parts kept apart.

        The factors are those of `Objective.factors`, without unit; f (n,) potentials; η the step size.
        """
        for part in _blocks(len(self.label)):
            losses = self.losses[:, part]
            self.label[part] -= eta * (for_label * losses.sum(0)).clamp(max=MAX_RELATIVE_LOSS)
            by_member = losses / self._shares(self.fold[part]).clamp(min=1e-12)
            self.label_by_member[:, part] -= eta * (for_label * by_member).clamp(max=MAX_RELATIVE_LOSS)
        self.feature -= eta * for_feature * f

    def spread(self) -> Tensor:
        """Return (n,) standard deviation of the label evidence over the members that score a row; NaN with one."""
        spread = torch.empty_like(self.label)
        for part in _blocks(len(spread)):
            scores = (self._shares(self.fold[part]) > 0).float()
            evidence, count = self.label_by_member[:, part], scores.sum(0)
            mean = (evidence * scores).sum(0) / count
            squares = ((evidence - mean).square() * scores).sum(0)
            spread[part] = (squares / (count - 1)).sqrt()
        return spread

    def predictions(self) -> Tensor:
        """Return (n, K) mean over the recorded epochs of the out-of-fold prediction."""
        return self.prediction_sum / max(1, self.prediction_epochs)

    def _shares(self, fold: Tensor) -> Tensor:
        """Return as (M, b) the share of each slot, 0 where it is empty."""
        scores = fold_masks(fold, self.members, self.folds)[1]
        shares = scores.div_(scores.sum(0))
        return shares if self._one_slot_each else shares.gather(0, self._scorers(fold))

    def _scorers(self, fold: Tensor) -> Tensor:
        """Return as (M, b) the member in each slot; a slot beyond the last member holds one that does not score."""
        slots = torch.arange(len(self.losses), device=fold.device).unsqueeze(1)
        return (fold.long() + self.folds * slots).clamp(max=self.members - 1)


def _left_out(members: int, folds: int, like: Tensor) -> Tensor:
    """Return as (E, 1) the fold that each member leaves out."""
    left: Tensor = torch.arange(members, device=like.device).unsqueeze(1) % folds
    return left.to(like.dtype)


def _blocks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, CHUNK_ROWS):
        yield slice(start, min(start + CHUNK_ROWS, rows))
