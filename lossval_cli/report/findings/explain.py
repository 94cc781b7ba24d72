"""Why a row is suspect, in plain words, with the cells that speak against it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.labels import ClassLabels, NumberLabels
from lossval_cli.features.tags import TagLabels
from lossval_cli.lossval.training import Fit
from lossval_cli.noise.cell_report import CellFinding
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.report.findings.deciding_columns import find_deciding_columns
from lossval_cli.report.findings.names import Json, cell, cut, date, rounded
from lossval_cli.report.findings.neighbours import describe_neighbours
from lossval_cli.report.findings.table_scan import TableScan
from lossval_cli.report.sentences.suspects import (
    LISTED,
    features_reason,
    label_reason,
    neighbours_reason,
    tags_reason,
    unsure_label,
)
from lossval_cli.runtime.sharing import share
from lossval_cli.score_columns import given_names
from lossval_cli.settings import Settings
from lossval_cli.text.format import format_number, pluralize

EXPLAINED = 300
"""Suspects that get a reason, more than one reviewer decides about in a day; the scores hold all of them. Columns that
decide against a label, which take longest to find, are sought for those alone that the report lists."""

COLUMNS = 24
"""Feature cells shown of a row: the unusual ones first, then in the order of the table."""

UNUSUAL_COLUMNS = 3

MOST_CLASSES = 3
"""Labels of which the report says how likely the model finds them."""


def explain_suspects(
    dataset: Dataset,
    fit: Fit,
    noise: NoiseEstimate | None,
    table: pa.Table,
    kinds: npt.NDArray[np.object_],
    seen: TableScan,
    settings: Settings,
) -> list[dict[str, Any]]:
    """The EXPLAINED most probable suspects, the most probable first; of equal probabilities the least important.

    `table`: the ranked rows; `kinds` (N,) in the order of the file.
    """
    order = table["row"].to_numpy()
    index = np.flatnonzero(kinds[order] != "")
    probability = table["noise_probability"].to_numpy(zero_copy_only=False)[index]
    index = index[np.argsort(-probability, kind="stable")][:EXPLAINED]
    names = given_names(dataset.roles.label, dataset.roles.ids)
    by_label = np.array([row for row in order[index] if "label" in kinds[row]], np.int64)
    by_features = np.array([row for row in order[index] if "features" in kinds[row]], np.int64)
    listed = by_label[np.isin(by_label, order[index[:LISTED]])]
    tasks: list[Callable[[], Any]] = [
        lambda: describe_neighbours(dataset, by_label),
        lambda: find_deciding_columns(dataset, fit.predictions, listed, settings.seed, settings.tree_factor()),
        lambda: _find_unusual_cells(noise, by_features),
    ]
    neighbours, deciding, unusual_cells = share(tasks, lambda find: find())
    cells = _Cells(dataset, fit, noise, seen, order[index], unusual_cells)
    result = []
    for i, ranked in zip(index, table.take(pa.array(index)).to_pylist(), strict=True):
        row = int(order[i])
        unusual = cells.unusual(row) if "features" in kinds[row] else []
        result.append(
            {
                "rank": ranked["rank"],
                "row": row,
                "line": ranked["line"],
                "ids": {cut(name): cell(ranked[names[name]]) for name in dataset.roles.ids},
                "given": cell(ranked[names[dataset.roles.label]]),
                "suggested": cells.suggested(row, str(kinds[row]), ranked["predicted"]),
                "predicted": cell(ranked["predicted"]),
                "predicted_probability": cells.finite(ranked["predicted_probability"]),
                "given_probability": cells.given_probability(row),
                "probabilities": cells.probabilities(row),
                "neighbours": neighbours.get(row),
                "deciding": cells.deciding(row, deciding.get(row, [])),
                "importance": cells.finite(ranked["importance"]),
                "importance_std": cells.finite(ranked["importance_std"]),
                "label_evidence": cells.finite(ranked["label_evidence"]),
                "feature_evidence": cells.finite(ranked["feature_evidence"]),
                "noise_probability": cells.finite(ranked["noise_probability"]),
                "label_probability": cells.believed(row, "label_probability"),
                "feature_probability": cells.believed(row, "feature_probability"),
                "suspect": str(kinds[row]),
                "reason": cells.reason(row, str(kinds[row]), ranked, unusual, neighbours.get(row)),
                "unusual": unusual,
                "features": cells.features(row, [entry["column"] for entry in unusual]),
                "features_left_out": max(0, len(cells.columns) - COLUMNS),
            }
        )
    return result


def _find_unusual_cells(noise: NoiseEstimate | None, rows: npt.NDArray[np.int64]) -> dict[int, list[CellFinding]]:
    """The least probable cells of each of `rows`, worst first."""
    if noise is None or noise.outliers is None or not len(rows):
        return {}
    return dict(zip(rows.tolist(), noise.outliers.describe(rows, UNUSUAL_COLUMNS), strict=True))


class _Cells:
    """Builder of what the report says about the listed rows and their cells."""

    def __init__(
        self,
        dataset: Dataset,
        fit: Fit,
        noise: NoiseEstimate | None,
        seen: TableScan,
        rows: npt.NDArray[np.int64],
        found: dict[int, list[CellFinding]],
    ) -> None:
        self.dataset, self.fit, self.noise, self.seen, self._found = dataset, fit, noise, seen, found
        table = dataset.train.table
        # The listed rows alone, typed as the whole table is.
        self.table = table.take(rows)
        self.index = {int(row): i for i, row in enumerate(rows)}
        self.values = dict(dataset.encoder.read(self.table))
        self.columns = [name for name in table.column_names if name in dataset.encoder.types]
        self._counts: dict[tuple[str, str], int] = {}

    @staticmethod
    def finite(value: float | None) -> float | None:
        return None if value is None else rounded([value], 6)[0]

    def believed(self, row: int, what: str) -> float | None:
        return None if self.noise is None else self.finite(getattr(self.noise, what)[row])

    def given_probability(self, row: int) -> float | None:
        """Return the probability that the model gives the label of the row; None for numbers."""
        y = self.dataset.train.y
        if y is None or not isinstance(self.dataset.labels, ClassLabels):
            return None
        return self.finite(self.fit.predictions[row, int(y[row])])

    def suggested(self, row: int, kind: str, predicted: Any) -> Json:
        """The label that the model expects where the given one is doubted, None where it has no other."""
        labels, y = self.dataset.labels, self.dataset.train.y
        if "label" not in kind or y is None:
            return None
        if isinstance(labels, TagLabels) and labels.decode(y[[row]].astype(np.int64))[0] == predicted:
            return None
        if isinstance(labels, ClassLabels) and labels.names[int(y[row])] == predicted:
            return None
        return cell(predicted)

    def features(self, row: int, first: list[str]) -> list[dict[str, Json]]:
        """The row's own cells as given, `first` of them first."""
        ordered = [*first, *(column for column in self.columns if column not in first)][:COLUMNS]
        return [{"column": cut(column), "value": cell(self._given(column, row).as_py())} for column in ordered]

    def unusual(self, row: int) -> list[dict[str, Any]]:
        """The columns whose cells are unusual, the most unusual first, each with what is usual there."""
        found = self._found[row]
        telling = [finding for finding in found if not self._is_typical(row, finding)] or found[:1]
        # Alone, a number that the other columns predict, too, says nothing: the combination is unusual then.
        telling = [finding for finding in telling if not (finding.is_as_predicted and self._is_typical(row, finding))]
        return [self._unusual_cell(row, finding) for finding in telling]

    def _is_typical(self, row: int, finding: CellFinding) -> bool:
        """Return whether a number lies within the typical range of its column, and nothing else is said of it."""
        bounds, given = self.seen.features[finding.column].bounds, self._given(finding.column, row)
        if bounds is None or finding.kind == "unreadable" or not given.is_valid:
            return False
        value = float(self.values[finding.column][self.index[row]])
        return bounds[0] <= value <= bounds[1] and not self._expected(finding, row)

    def reason(
        self,
        row: int,
        kind: str,
        ranked: dict[str, Any],
        unusual: list[dict[str, Any]],
        neighbours: dict[str, Any] | None,
    ) -> str:
        """A few sentences. With unusual features a prediction is worth little, so they are named first and the label
        is only mentioned."""
        if kind == "label":
            said = neighbours_reason(neighbours, self._labels(ranked)[0]) if neighbours else ""
            return f"{self._label_reason(row, ranked)} {said}".strip()
        features = features_reason([entry["text"] for entry in unusual])
        if "label" not in kind:
            return features
        given, predicted = self._labels(ranked)
        return f"{features} {unsure_label(given, predicted)}"

    def probabilities(self, row: int) -> list[dict[str, Any]] | None:
        """Return the probabilities that the model gives the labels it finds most likely, and the given one; None for
        numbers."""
        labels, y = self.dataset.labels, self.dataset.train.y
        if isinstance(labels, TagLabels):
            return [{"label": cut(tag), "probability": self.finite(chance)} for tag, _, chance in self._tags(row)]
        if y is None or not isinstance(labels, ClassLabels):
            return None
        likely = self.fit.predictions[row]
        wanted = list(dict.fromkeys([*np.argsort(-likely, kind="stable")[:MOST_CLASSES].tolist(), int(y[row])]))
        return [{"label": cut(labels.names[k]), "probability": self.finite(likely[k])} for k in wanted]

    def deciding(self, row: int, found: list[tuple[str, float]]) -> list[dict[str, Json]]:
        """The columns that decide against the label, with their cells."""
        return [
            {"column": cut(column), "value": cell(self._given(column, row).as_py()), "contribution": self.finite(gain)}
            for column, gain in found
        ]

    def _labels(self, ranked: dict[str, Any]) -> tuple[str, str]:
        """The given and the predicted label of a row of the scores, as text."""
        given = str(
            cell(ranked[given_names(self.dataset.roles.label, self.dataset.roles.ids)[self.dataset.roles.label]])
        )
        labels, y = self.dataset.labels, self.dataset.train.y
        if isinstance(labels, TagLabels) and y is not None:
            row = int(ranked["row"])
            return cut(labels.decode(y[[row]].astype(np.int64))[0]), cut(str(ranked["predicted"]))
        if isinstance(self.dataset.labels, NumberLabels):
            return given, format_number(float(ranked["predicted"]))
        return given, cut(str(ranked["predicted"]))

    def _label_reason(self, row: int, ranked: dict[str, Any]) -> str:
        given, predicted = self._labels(ranked)
        if isinstance(self.dataset.labels, TagLabels):
            return tags_reason(given, self._tags(row))
        chance = self.given_probability(row)
        if chance is None:
            return label_reason(given, None, predicted, None)
        shown = given if self.suggested(row, "label", ranked["predicted"]) is None else predicted
        return label_reason(given, chance, shown, float(ranked["predicted_probability"]))

    def _tags(self, row: int) -> list[tuple[str, bool, float]]:
        """The tags that are most probably wrong: name, whether the row has it, what the model gives it."""
        labels, y = self.dataset.labels, self.dataset.train.y
        if not isinstance(labels, TagLabels) or y is None or self.noise is None or self.noise.labels is None:
            return []
        assert self.noise.labels.tags is not None
        wrong, has = self.noise.labels.tags[row], labels.matrix(y[[row]].astype(np.int64))[0] > 0
        order = np.argsort(-wrong, kind="stable")[:MOST_CLASSES]
        shown = [t for i, t in enumerate(order.tolist()) if i == 0 or wrong[t] > 0.5]
        return [(labels.names[t], bool(has[t]), float(self.fit.predictions[row, t])) for t in shown]

    def _unusual_cell(self, row: int, finding: CellFinding) -> dict[str, Any]:
        """Describe one column's contribution; `text` reads after the row's other unusual columns."""
        column = finding.column
        counts, given = self.seen.features[column], self._given(column, row)
        value = cell(given.as_py())
        shown = "is missing" if value is None else f"is {value}"
        usual: dict[str, Json]
        is_read = finding.kind != "unreadable" and given.is_valid
        if counts.usual is not None and counts.bounds is not None and is_read:
            low, middle, high = counts.usual
            usual = {"low": low, "median": middle, "high": high}
            where = _where(float(self.values[column][self.index[row]]), counts.bounds)
            text = f"{cut(column)} {shown} ({where} {low} to {high}{self._expected(finding, row)})"
        else:
            alike = self._alike(column, given)
            usual = {"rows": alike}
            rows = pluralize(self.dataset.train.table.rows, "row")
            text = f"{cut(column)} {shown} (as in {alike:,} of {rows}{self._expected(finding, row)})"
        return {
            "column": cut(column),
            "value": value,
            "usual": usual,
            "contribution": self.finite(finding.evidence),
            "text": text,
        }

    def _expected(self, finding: CellFinding, row: int) -> str:
        """Describe what was probably meant, or what the other columns predict."""
        if finding.kind == "unreadable":
            return f"; not a {self.dataset.encoder.types[finding.column]} as in the other rows"
        if finding.meant is not None:
            return f"; probably {cut(finding.meant)}"
        if finding.kind == "stand-in":
            return "; it may stand for a missing value"
        if finding.beside is not None:
            return self._beside(finding.column, *finding.beside, row)
        if finding.kind == "moved":
            return "; it would fit another column of the row"
        if finding.kind == "unpredicted" and finding.predicted_range is not None:
            kind = self.dataset.encoder.types[finding.column]
            if kind in ("number", "date") and not finding.is_as_predicted:
                low, high = (date(end) if kind == "date" else format_number(end) for end in finding.predicted_range)
                return f"; the other columns suggest {low} to {high}"
        elif isinstance(finding.predicted, str) and finding.predicted != finding.value:
            return f"; the other columns suggest {cut(finding.predicted)}"
        return ""

    def _beside(self, column: str, other: str, value: float | str, row: int) -> str:
        """Describe how often the cell occurs beside the row's cell of another column; numbers are compared in bins."""
        types = self.dataset.encoder.types
        if isinstance(value, float) or types[column] == "number":
            shown = cut(value) if isinstance(value, str) else ""
            if isinstance(value, float) and types[other] == "number" and not math.isnan(value):
                shown = format_number(value)
            return f"; it hardly ever occurs with {cut(other)} {shown}".rstrip()
        given, beside = self._given(column, row), self._given(other, row)
        with_other = self._alike(other, beside)
        if with_other == 1:
            return f"; no other row has {cut(other)} {cut(value)}"
        table = self.dataset.train.table
        both = pc.and_(pc.equal(table.as_given(column), given), pc.equal(table.as_given(other), beside))
        verb = "has" if (count := int(pc.sum(both).as_py() or 0)) == 1 else "have"
        return f"; {count:,} of {with_other:,} rows with {cut(other)} {cut(value)} {verb} it"

    def _given(self, column: str, row: int) -> pa.Scalar:
        return self.table.as_given(column)[self.index[row]]

    def _alike(self, column: str, given: pa.Scalar) -> int:
        """Training rows with the very same cell."""
        key = (column, str(given))
        if key not in self._counts:
            every = self.dataset.train.table.as_given(column)
            same = pc.equal(every, given) if given.is_valid else every.is_null()
            self._counts[key] = int(pc.sum(same).as_py() or 0)
        return self._counts[key]


def _where(value: float, bounds: tuple[float, float]) -> str:
    """Describe where a number lies relative to the typical range, which holds 98 % of the rows."""
    if value > bounds[1]:
        return "above the typical range"
    if value < bounds[0]:
        return "below the typical range"
    return "within the typical range"
