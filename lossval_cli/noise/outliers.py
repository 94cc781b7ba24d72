"""Outliers among the training rows: rows with a wrong cell, or noisy as a whole. No label is used.

    cells   how improbable each cell is given its column, its row and its spelling        (cell_evidence)
    ways    a row's cells summarised in the ways a row can be wrong:
                cell      its least probable number
                cells     the excess evidence of all numbers together
                level     its least likely level, and how it contradicts the others one by one
                typo      its most likely misspelling or stand-in
                moved     how much likelier it is once numbers are moved to other columns
    odds    −log p of each way under its own robust tail, and the share of each way      (two_groups)
    pairs   exceptions to what two columns otherwise keep to                              (pair_cells)
    noise   a density ratio of noisy copies to rows                                       (row_noise)

A row is an outlier if it is wrong in one of the ways, an exception or noisy as a whole. All of it is fitted on a sample
of rows; others are scored block by block. Copies of a row never support one another: trees and folds keep them
together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch
from scipy.special import expit, logit

from lossval_cli.features.encoder import Block
from lossval_cli.features.row_keys import find_copies, row_keys
from lossval_cli.features.typed_columns import TypedColumns
from lossval_cli.noise.cell_evidence import LOOSE, CellEvidence, CellModel
from lossval_cli.noise.cell_report import CellFinding, describe_cells, unreadable
from lossval_cli.noise.row_noise import RowNoise
from lossval_cli.noise.tails import Tail
from lossval_cli.noise.two_groups import TwoGroups
from lossval_cli.noise.views import TableView
from lossval_cli.runtime.distributed import ProcessGroup
from lossval_cli.runtime.row_loader import RowSource
from lossval_cli.runtime.sharing import run_in_threads

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Way = Literal["cell", "cells", "level", "typo", "moved"]

FIT_ROWS = 8_192
"""Rows that everything is fitted on."""

WIDE_CELLS = 1_000_000
"""Cells of the sample: wider tables are fitted on fewer rows, but on no fewer than FEWEST_ROWS."""
FEWEST_ROWS = 1_024

BLOCK_ROWS = 4_096
"""Rows scored at once: enough blocks for several threads, and large enough for the calls to cost little."""

TREES = 48

WAYS: tuple[Way, ...] = ("cell", "cells", "level", "typo", "moved")
NOISY = len(WAYS) + 1
"""Beside them: that a row is an exception to what two columns keep to, and that it is noisy as a whole."""

WAY_TAIL = (0.75, 0.95)
"""Quantiles between which a way's tail is fitted: up to a twentieth of the rows may be wrong in it."""

ORDINARY = 1.5
"""Nats of evidence that a cell may have without counting in a sum."""

MOST_OF_A_CELL = 8.0
"""Nats, at most, that one cell adds to a sum over cells."""

LEAST_SCALE = 1.0
"""Least scale of the tail of a way, in nats: that of right cells."""

RANKED_SHARE = 0.01
"""Share of outliers that the penalty assumes at least, so that rows are ranked where none is an outlier."""

MOST_PENALTY = 27.6
"""Nats: beyond a probability of 10⁻¹², rows are equally impossible."""

TYPICAL_OF_STATE = 0.9
"""Quantile of the evidence of rows in a rare state that is typical of them."""

UNREADABLE = 0.999
"""Probability of a row with a cell that is not of its column's type."""

FLAGGED = 0.5
"""Probability from which a row is flagged."""


class OutlierEstimate(NamedTuple):
    """The estimated outliers among N training rows, before any training."""

    probability: Floats  # (N,) that the row is an outlier
    penalty: Floats  # (N,) −log P(right) in nats, at a share of RANKED_SHARE at least: added to the transport cost
    share_low: float  # interval of the share of outliers
    share_high: float
    way: Ints | None = None  # (N,) in which way each row is most likely wrong, a number
    noisy: Floats | None = None  # (N,) probability that the row is noisy as a whole
    model: OutlierModel | None = None
    columns: TypedColumns | None = None

    def gathered(self, processes: ProcessGroup, total: int) -> OutlierEstimate:
        """The estimate for all `total` rows, on every process of a group, where each has scored its own."""
        assert self.way is not None and self.noisy is not None
        own = (self.probability, self.penalty, self.way, self.noisy)
        gathered = (processes.gather_rows(torch.from_numpy(values), total).numpy() for values in own)
        return _estimate(Scored(*gathered), self.model, self.columns)

    def describe(self, rows: Ints, most: int = 3) -> list[list[CellFinding]]:
        """The least probable cells of some training rows (n,), worst first."""
        if self.model is None or self.columns is None:
            return [[] for _ in rows]
        found = self.model.describe(self.columns.take(rows), rows, most)
        for column, invalid in self.columns.invalid().items():
            for i in np.flatnonzero(np.isin(rows, invalid)):
                found[i] = [unreadable(column), *found[i]][:most]
        return found


class Scored(NamedTuple):
    """Probabilities and penalties of n rows."""

    probability: Floats  # (n,)
    penalty: Floats  # (n,)
    way: Ints  # (n,) the most likely one: a number
    noisy: Floats  # (n,) probability that a row is noisy as a whole


def find_outliers(
    X: RowSource,
    blocks: Sequence[Block],
    columns: TypedColumns,
    rng: np.random.Generator,
    *,
    own: slice | None = None,
    classes: Ints | None = None,
) -> OutlierEstimate:
    """Fit on a sample of the training rows and score all of them, or the range `own`.

    X (N, D): encoded in `blocks`.  columns: the same rows before encoding.  classes (N,): rows that are compared with
    one another.
    """
    N = len(X)
    start, stop = (0, N) if own is None else (own.start, own.stop)
    most = max(FEWEST_ROWS, min(FIT_ROWS, WIDE_CELLS // max(1, len(columns.kinds))))
    sample = np.arange(N) if most >= N else np.sort(rng.choice(N, most, replace=False))
    model = OutlierModel.fit(
        columns.sample(sample),
        columns.kinds,
        rng,
        sample=sample,
        counts=columns.level_counts() if len(sample) < N else None,
        X=X[sample],
        blocks=blocks,
        classes=None if classes is None else classes[sample],
    )
    if len(sample) == N and own is None:
        found = model.fitted()
    else:
        n = stop - start
        found = Scored(np.empty(n), np.empty(n), np.empty(n, np.int64), np.empty(n))

        def score(block: tuple[int, pd.DataFrame]) -> None:
            first, frame = block
            rows = np.arange(first, first + len(frame))
            scored = model.score(frame, rows, X[first : first + len(frame)], None if classes is None else classes[rows])
            for whole, values in zip(found, scored, strict=True):
                whole[rows - start] = values

        run_in_threads(columns.blocks(slice(start, stop), BLOCK_ROWS), score)
    for rows in columns.invalid().values():
        here = rows[(rows >= start) & (rows < stop)] - start
        found.probability[here], found.penalty[here], found.way[here] = UNREADABLE, -np.log1p(-UNREADABLE), -1
    return _estimate(found, model, columns)


def _estimate(scored: Scored, model: OutlierModel | None, columns: TypedColumns | None) -> OutlierEstimate:
    probability = scored.probability
    certain = probability[probability > FLAGGED].sum() / len(probability)
    error = 1.64 * np.sqrt((probability * (1 - probability)).sum() + 0.5) / len(probability)
    noisy = (0.0, 0.0) if model is None or model.noise is None else model.noise.interval
    low, high = max(0.0, float(certain - error), noisy[0]), min(1.0, max(float(probability.mean() + error), noisy[1]))
    return OutlierEstimate(probability, scored.penalty, low, high, scored.way, scored.noisy, model, columns)


class _Scores(NamedTuple):
    log_odds: Floats  # (n,)
    ranked: Floats  # (n,) log odds at RANKED_SHARE
    way: Ints  # (n,) of WAYS, or len(WAYS): an exception to what two columns keep to
    noise: Floats  # (n, 2) log ratios of row noise

    def take(self, rows: Ints) -> _Scores:
        """Return the scores of some rows, as a copy."""
        return _Scores(self.log_odds[rows], self.ranked[rows], self.way[rows], self.noise[rows])


@dataclass(frozen=True)
class OutlierModel:
    """The fitted detector."""

    view: TableView
    cells: CellModel
    sample: Ints
    """Sorted rows of the table that it is fitted on."""
    fit_index: Ints
    """(n,) index of each among the fitted rows, which are in canonical order."""
    tails: Mapping[Way, Tail]
    class_baseline: Floats
    """(classes, ways) nats that rows of a class have beyond those of all rows: a rare class, or state, is not wrong."""
    own_class: int
    """The class of rows in a rare state of what is measured."""
    groups: TwoGroups
    noise: RowNoise | None
    own: _Scores
    """Scores of the fitted rows."""

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        kinds: Mapping[str, str],
        rng: np.random.Generator,
        *,
        sample: Ints | None = None,
        counts: Mapping[str, Mapping[str, int]] | None = None,
        X: npt.NDArray[np.float32] | None = None,
        blocks: Sequence[Block] = (),
        classes: Ints | None = None,
    ) -> OutlierModel:
        """Fit on n typed rows: numbers float64 with NaN (dates in seconds), levels and texts strings with None.

        `kinds`: number, date, boolean, category or text of each column. `sample` (n,): which rows of the table they
        are, sorted; `counts`: cells of each level in the whole table, without it in the sample. X (n, D): the rows
        encoded in `blocks`, for row noise; classes (n,): rows that are compared with one another.
        """
        view = TableView.fit(frame, kinds)
        prepared = view.prepare(frame)
        alike = np.zeros(len(frame), np.int64) if classes is None else classes
        sample = np.arange(len(frame)) if sample is None else sample
        # In the order of their contents, so that draws do not depend on the order of the table.
        order, group = _canonical(prepared, view)
        prepared, alike = prepared.iloc[order].reset_index(drop=True), alike[order]
        known = {c: counts[c] if counts and c in counts else prepared[c].value_counts().to_dict() for c in view.levels}
        cells = CellModel.fit(prepared, view.is_number, known, group, TREES, rng, view.movable)
        in_state, own_class = cells.in_state(prepared), int(alike.max(initial=0)) + 1
        alike = np.where(in_state, own_class, alike)
        everything = np.arange(len(frame))
        raw = cells.raw(prepared, everything)
        kept = ~cells.moved  # Rows that are clearly wrong in this way say nothing of the others.
        cells.fit_tails(raw, kept, LOOSE)
        ways = _ways(cells.evidence(raw))
        tails = {way: Tail.fit(ways[way][kept], WAY_TAIL, LEAST_SCALE) for way in WAYS if np.ptp(ways[way]) > 0}
        neg_log_p = _neg_log_p(ways, tails)
        baseline = _class_baseline(neg_log_p, alike, own_class)
        neg_log_p = np.maximum(neg_log_p - baseline[alike], 0.0)
        groups = TwoGroups.fit(np.where(kept[:, None] | (np.array(WAYS) == "moved"), neg_log_p, 0.0))
        noise = None  # in a single column, every row is its only cell
        if X is not None and len(blocks) > 1 and any(block.kind in ("number", "date") for block in blocks):
            noise = RowNoise.fit(X[order], blocks, alike, group, rng)
        own = _scores(groups, neg_log_p, raw.pairs.wrong, None if noise is None else noise.log_ratios)
        fit_index = np.empty_like(order)
        fit_index[order] = everything
        return cls(view, cells, sample, fit_index, tails, baseline, own_class, groups, noise, own)

    def score(
        self,
        frame: pd.DataFrame,
        rows: Ints,
        X: npt.NDArray[np.float32] | None = None,
        classes: Ints | None = None,
    ) -> Scored:
        """Score typed rows (n,); `rows` (n,): which rows of the table they are. Those that were fitted are
        known already."""
        index = self._fit_index(rows)
        scores = self.own.take(index)
        new = np.flatnonzero(index < 0)
        if len(new):
            prepared = self.view.prepare(frame.iloc[new])
            raw = self.cells.raw(prepared)
            neg_log_p = _neg_log_p(_ways(self.cells.evidence(raw)), self.tails)
            alike = np.zeros(len(new), np.int64) if classes is None else classes[new]
            alike = np.where(alike < self.own_class, alike, self.own_class + 1)  # unseen
            alike = np.where(self.cells.in_state(prepared), self.own_class, alike)
            baseline = np.vstack([self.class_baseline, np.zeros(len(WAYS))])  # of an unseen class: none
            neg_log_p = np.maximum(neg_log_p - baseline[np.minimum(alike, len(baseline) - 1)], 0.0)
            ratio = self.noise.of(X[new], alike) if self.noise is not None and X is not None else None
            for whole, part in zip(scores, _scores(self.groups, neg_log_p, raw.pairs.wrong, ratio), strict=True):
                whole[new] = part
        return self._scored(scores)

    def fitted(self) -> Scored:
        """Return the scores of the fitted rows."""
        return self._scored(self.own.take(self.fit_index))

    def describe(self, frame: pd.DataFrame, rows: Ints, most: int = 3) -> list[list[CellFinding]]:
        """The least probable cells of each typed row, worst first; `rows` (n,): which rows of the table they are."""
        return describe_cells(self.view, self.cells, frame, self._fit_index(rows), most)

    def _fit_index(self, rows: Ints) -> Ints:
        """Return (n,) index among the fitted rows, −1 for other rows."""
        i = np.minimum(np.searchsorted(self.sample, rows), len(self.sample) - 1)
        return np.where(self.sample[i] == rows, self.fit_index[i], -1)

    def _scored(self, scores: _Scores) -> Scored:
        right, way, noisy = expit(-scores.log_odds), scores.way, np.zeros(len(scores.way))
        if self.noise is not None:
            log_odds = self.noise.log_odds(scores.noise)
            way, noisy = np.where(log_odds > scores.log_odds, NOISY, way), expit(log_odds)
            right = right * expit(-log_odds)
        return Scored(1 - right, self._penalty(scores), way, noisy)

    def _penalty(self, scores: _Scores) -> Floats:
        log_odds = np.maximum(scores.log_odds, scores.ranked)
        penalty: Floats = np.logaddexp(0.0, log_odds)
        if self.noise is not None:
            penalty = np.maximum(penalty, np.logaddexp(0.0, self.noise.log_odds(scores.noise, RANKED_SHARE)))
        capped: Floats = np.minimum(penalty, MOST_PENALTY)
        return capped


def _canonical(prepared: pd.DataFrame, view: TableView) -> tuple[Ints, Ints]:
    """The order of rows by their contents, and (n,) in that order a number that is equal for copies."""
    given = [
        prepared[name].to_numpy(float) if number else pa.array(prepared[name], pa.string())
        for name, number in view.is_number.items()
    ]
    keys = row_keys(given, len(prepared))
    order = np.argsort(keys, kind="stable")
    copies = find_copies(keys, given)
    if copies is None:
        return order, np.arange(len(order))
    return order, pd.factorize(copies[order])[0].astype(np.int64)


def _ways(evidence: CellEvidence) -> dict[Way, Floats]:
    """The ways a row can be wrong, (n,) each."""
    excess = np.clip(evidence.far - ORDINARY, 0.0, MOST_OF_A_CELL)
    return {
        "cell": (evidence.far + evidence.residual).max(axis=1),
        "cells": excess.sum(axis=1),
        "level": (evidence.unlikely + evidence.contradicts).max(axis=1),
        "typo": evidence.misspelt.max(axis=1),
        "moved": evidence.moved.max(axis=1),
    }


def _neg_log_p(ways: Mapping[Way, Floats], tails: Mapping[Way, Tail]) -> Floats:
    """(n, ways) −log p under each tail; 0 for a way in which no two rows differ."""
    rows = len(ways["cell"])
    return np.column_stack([tails[way].neg_log_p(ways[way]) if way in tails else np.zeros(rows) for way in WAYS])


def _class_baseline(neg_log_p: Floats, classes: Ints, state: int) -> Floats:
    """Return as (classes, ways) the median of each class beyond that of all rows, of classes with two rows or more.

    `state`: the class of rows in a rare state. Their evidence differs much from row to row, so a high quantile takes
    the place of the median.
    """
    baseline = np.zeros((int(classes.max(initial=0)) + 1, neg_log_p.shape[1]))
    middle = np.median(neg_log_p, axis=0)
    for i, rows in enumerate(np.bincount(classes)):
        if rows >= 2:
            typical = np.quantile(neg_log_p[classes == i], TYPICAL_OF_STATE if i == state else 0.5, axis=0)
            baseline[i] = np.maximum(typical - middle, 0.0)
    return baseline


def _scores(groups: TwoGroups, neg_log_p: Floats, exception: Floats, noise: Floats | None) -> _Scores:
    """`exception` (n,): probability that an exception to what two columns keep to is an error."""
    least = np.maximum(groups.shares, RANKED_SHARE / len(WAYS))
    by_pairs = logit(np.clip(exception, 1e-12, 1 - 1e-12))
    by_way = groups.log_odds_by_way(neg_log_p)
    # Right only if right in both regards.
    odds, ranked = (
        np.logaddexp(np.logaddexp(by_ways, by_pairs), by_ways + by_pairs)
        for by_ways in (groups.log_odds(neg_log_p), TwoGroups(least).log_odds(neg_log_p))
    )
    way = np.argmax(np.column_stack([by_way, by_pairs]), axis=1)
    return _Scores(odds, ranked, way, np.zeros((len(neg_log_p), 2)) if noise is None else noise)
