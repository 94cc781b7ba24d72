"""What a reviewer needs to decide on a cell: its value, its column's usual range, and what the row predicts."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lossval_cli.noise.cell_evidence import CellModel
from lossval_cli.noise.views import TableView

Kind = Literal["unreadable", "far", "unpredicted", "stand-in", "moved", "unlikely level", "misspelt", "rare level"]

WORTH_TELLING = 3.0
"""Nats: one right cell in 20 has as much evidence against it."""

CERTAIN = 50.0
"""Nats, of a cell that is not of its column's type."""

USUAL = (0.025, 0.975)
"""Quantiles of a column between which its numbers are usual."""

RANGE = 2.0
"""Deviations of a prediction that its range reaches either way."""


class CellFinding(NamedTuple):
    """One improbable cell."""

    column: str
    kind: Kind
    value: float | str | None  # None where it could not be read
    evidence: float  # nats
    usual: tuple[float, float] | None  # 95 % of a column of numbers
    predicted: float | str | None  # by the other columns
    predicted_range: tuple[float, float] | None
    probability: float | None  # that the other columns give a level
    meant: str | None  # the level that was probably meant
    view: str | None  # of a text: "length" or "symbols"


def unreadable(column: str) -> CellFinding:
    """A cell that is not of its column's type."""
    return CellFinding(column, "unreadable", None, CERTAIN, None, None, None, None, None, None)


def describe_cells(
    view: TableView, model: CellModel, frame: pd.DataFrame, fitted: npt.NDArray[np.int64], most: int
) -> list[list[CellFinding]]:
    """For typed rows (n,), worst cell first; fitted (n,): which of the fitted rows they are, −1 for none."""
    findings: list[list[CellFinding]] = [[] for _ in range(len(frame))]
    for rows, index in ((np.flatnonzero(fitted >= 0), fitted[fitted >= 0]), (np.flatnonzero(fitted < 0), None)):
        if len(rows):
            described = _Described(view, model, view.prepare(frame.iloc[rows]), index)
            for i, row in enumerate(rows):
                findings[row] = described.findings(i, most)
    return findings


class _Described:
    """Rows that are all fitted, or all new."""

    def __init__(
        self, view: TableView, model: CellModel, prepared: pd.DataFrame, fitted: npt.NDArray[np.int64] | None
    ) -> None:
        self.view, self.model, self.prepared, self.fitted = view, model, prepared, fitted
        self.raw = model.raw(prepared, fitted)
        self.evidence = model.evidence(self.raw)
        self.prediction = model.predict(self.raw.cells, fitted)
        self._levels: dict[int, list[tuple[str | None, float | None]]] = {}

    def findings(self, i: int, most: int) -> list[CellFinding]:
        """Findings of row i, worst first."""
        total = np.sum([kind[i] for kind in self.evidence], axis=0)
        worst = [int(d) for d in np.argsort(-total, kind="stable")[:most] if total[d] >= WORTH_TELLING]
        return [
            self._number(i, d, float(total[d])) if d in self.model.numbers else self._level(i, d, float(total[d]))
            for d in worst
        ]

    def _number(self, i: int, d: int, evidence: float) -> CellFinding:
        column, name = self.model.numbers[d], self.model.columns[d]
        low, high = column.unscale(np.quantile(column.sorted_values, USUAL)).tolist()
        predicted, around = None, None
        if self.prediction.trees[i, d] > 0:
            middle, reach = self.prediction.mean[i, d], RANGE * np.sqrt(self.prediction.variance[i, d])
            ends = column.unscale(np.array([middle, middle - reach, middle + reach])).tolist()
            predicted, around = ends[0], (ends[1], ends[2])
        kind: Kind = "far" if self.evidence.far[i, d] >= self.evidence.residual[i, d] else "unpredicted"
        if self.evidence.misspelt[i, d] > 0:
            kind = "stand-in"
        elif self.evidence.moved[i, d] > WORTH_TELLING:  # says more than how far away the number is
            kind = "moved"
        value = float(self.prepared.iloc[i, d])
        text = name.rsplit("\0", 1)[1] if "\0" in name else None
        source = self.view.source[name]
        return CellFinding(source, kind, value, evidence, (low, high), predicted, around, None, None, text)

    def _level(self, i: int, d: int, evidence: float) -> CellFinding:
        column, level = self.model.levels[d], str(self.prepared.iloc[i, d])
        meant = column.meant(level, self.fitted is not None)
        if d not in self._levels:
            self._levels[d] = self.model.likely_levels(self.raw.cells, d, self.fitted)
        likely, probability = self._levels[d][i]
        rare = column.counts.get(level, 0) <= 1
        kind: Kind = "misspelt" if meant is not None else "rare level" if rare else "unlikely level"
        source = self.view.source[self.model.columns[d]]
        return CellFinding(source, kind, level, evidence, None, likely, None, probability, meant, None)
