"""Reasons by which a reviewer decides on a cell: its value, its column's usual range, and what the row predicts.

A wrong cell makes the others of its row look wrong too, as far as they are predicted from it. So the worst cell is
named first, and the others are compared with a row that has what they predict in its place.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lossval_cli.noise.cell_evidence import CellModel
from lossval_cli.noise.views import TableView

Kind = Literal[
    "unreadable", "far", "unpredicted", "stand-in", "moved", "unlikely level", "misspelt", "rare level", "contradiction"
]

WORTH_TELLING = 3.0
"""Nats: one right cell in 20 has as much evidence against it. A further cell is named where one right row in 20 has
such a cell."""

TIE = 0.01
"""Nats for each nat by which a cell contradicts others: of two that contradict one another, the one that contradicts
more of them is the worse."""

CERTAIN = 50.0
"""Nats, of a cell that is not of its column's type."""

RANGE = 2.0
"""Deviations of a prediction that its range reaches either way."""


class CellFinding(NamedTuple):
    """One improbable cell."""

    column: str
    kind: Kind
    value: float | str | None  # None where it could not be read
    evidence: float  # nats
    predicted: float | str | None = None  # by the other columns
    predicted_range: tuple[float, float] | None = None
    meant: str | None = None  # the level that was probably meant
    beside: tuple[str, float | str] | None = None  # column and value that it does not go with

    @property
    def is_as_predicted(self) -> bool:
        """True for a number that is called unpredicted and yet lies within the range that is predicted."""
        around = self.predicted_range
        if self.kind != "unpredicted" or around is None or not isinstance(self.value, float):
            return False
        return around[0] <= self.value <= around[1]


def unreadable(column: str) -> CellFinding:
    """A cell that is not of its column's type."""
    return CellFinding(column, "unreadable", None, CERTAIN)


def describe_cells(
    view: TableView, model: CellModel, frame: pd.DataFrame, fitted: npt.NDArray[np.int64], most: int
) -> list[list[CellFinding]]:
    """Describe the improbable cells of typed rows (n,), worst cell first; fitted (n,): which of the fitted rows they
    are, −1 for none."""
    findings: list[list[CellFinding]] = [[] for _ in range(len(frame))]
    for rows, index in ((np.flatnonzero(fitted >= 0), fitted[fitted >= 0]), (np.flatnonzero(fitted < 0), None)):
        if len(rows):
            described = _Described(view, model, view.prepare(frame.iloc[rows]), index, most)
            for row, found in zip(rows, described.rows, strict=True):
                findings[row] = found
    return findings


class _Described:
    """Rows that are all fitted, or all new; `most` cells of each are found."""

    def __init__(
        self,
        view: TableView,
        model: CellModel,
        prepared: pd.DataFrame,
        fitted: npt.NDArray[np.int64] | None,
        most: int,
    ) -> None:
        self.view, self.model, self.prepared, self.fitted = view, model, prepared, fitted
        n, D = prepared.shape
        self.rows: list[list[CellFinding]] = [[] for _ in range(n)]
        left, corrected = np.ones((n, D), bool), prepared
        for turn in range(min(most, D)):
            self._look(corrected)
            total = np.where(left, np.sum(list(self.evidence), axis=0), 0.0)
            worst = np.argmax(total + TIE * self.contradictions.sum(axis=2) * (total > 0), axis=1)
            least = WORTH_TELLING + (np.log(D) if turn else 0.0)
            named = np.flatnonzero(total[np.arange(n), worst] >= least)
            expected: dict[int, dict[int, float | str | None]] = {}
            for i, d in zip(named.tolist(), worst[named].tolist(), strict=True):
                describe = self._number if d in model.numbers else self._level
                found = describe(i, d, float(total[i, d]))
                if not turn or not found.is_as_predicted:
                    self.rows[i].append(found)
                expected.setdefault(d, {})[i] = found.predicted
            left[named, worst[named]] = False
            corrected = _with(corrected, expected)

    def _look(self, prepared: pd.DataFrame) -> None:
        """Compare the cells of rows."""
        self.raw = self.model.raw(prepared, self.fitted)
        self.evidence = self.model.evidence(self.raw)
        self.prediction = self.model.predict(self.raw.cells, self.fitted)
        self.contradictions = self.model.contradictions(prepared, self.fitted)
        self._levels: dict[int, list[str | None]] = {}

    def _beside(self, i: int, d: int) -> tuple[str, float | str] | None:
        """The cell that cell d of row i contradicts most, where that is the most that is said against it."""
        others = np.sum([kind[i, d] for kind in self.evidence]) - self.evidence.contradicts[i, d]
        other = int(np.argmax(self.contradictions[i, d]))
        if self.contradictions[i, d, other] < max(WORTH_TELLING, float(others) / 2):
            return None
        value = self.prepared.iloc[i, other]
        shown = float(value) if other in self.model.numbers else str(value)
        return self.view.source[self.model.columns[other]], shown

    def _number(self, i: int, d: int, evidence: float) -> CellFinding:
        column, name = self.model.numbers[d], self.model.columns[d]
        predicted, around = None, None
        if self.prediction.trees[i, d] > 0:
            middle, reach = self.prediction.mean[i, d], RANGE * np.sqrt(self.prediction.variance[i, d])
            # No wider than the column: what is never negative is not suggested to be.
            ends = column.unscale(np.clip([middle, middle - reach, middle + reach], *column.limits)).tolist()
            predicted, around = ends[0], (ends[1], ends[2])
        kind: Kind = "far" if self.evidence.far[i, d] >= self.evidence.residual[i, d] else "unpredicted"
        if self.evidence.misspelt[i, d] > 0:
            kind = "stand-in"
        elif self.evidence.moved[i, d] > WORTH_TELLING:  # says more than how far away the number is
            kind = "moved"
        beside = self._beside(i, d)
        if beside is not None:
            kind = "contradiction"
        value = float(self.prepared.iloc[i, d])
        return CellFinding(self.view.source[name], kind, value, evidence, predicted, around, beside=beside)

    def _level(self, i: int, d: int, evidence: float) -> CellFinding:
        column, level = self.model.levels[d], str(self.prepared.iloc[i, d])
        meant = column.meant(level, self.fitted is not None)
        if d not in self._levels:
            self._levels[d] = self.model.likely_levels(self.raw.cells, d, self.fitted)
        likely = self._levels[d][i]
        rare = column.counts.get(level, 0) <= 1
        kind: Kind = "misspelt" if meant is not None else "rare level" if rare else "unlikely level"
        beside = None if meant is not None else self._beside(i, d)
        if beside is not None:
            kind = "contradiction"
        source = self.view.source[self.model.columns[d]]
        return CellFinding(source, kind, level, evidence, likely, meant=meant, beside=beside)


def _with(frame: pd.DataFrame, expected: dict[int, dict[int, float | str | None]]) -> pd.DataFrame:
    """The same rows with other cells: column -> row -> value."""
    frame = frame.copy()
    for d, cells in expected.items():
        values = frame.iloc[:, d].to_numpy(copy=True)
        for i, value in cells.items():
            values[i] = value
        frame[frame.columns[d]] = values
    return frame
