"""What a reviewer sees of a row: reason, cells, the nearest rows, and how many rows are like it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lossval_cli.report.sentences.suspects import REASONS, usual
from lossval_cli.report.sentences.words import cell
from lossval_cli.review.nearest import NearestRows
from lossval_cli.review.queue import Item
from lossval_cli.review.typed_values import parse_number
from lossval_cli.review.words import KIND_WORDS, RANDOM, RANDOM_REASON, UNFLAGGED_REASON, prediction_reason
from lossval_cli.runs.loaded import LoadedRun
from lossval_cli.runs.scores_io import as_text
from lossval_cli.score_columns import KINDS

MOST_CELLS = 400
"""Cells of a row that are shown."""


class Cards:
    """The rows of a queue, by index, as a page or a terminal shows them."""

    def __init__(self, directory: Path, run: LoadedRun, items: Sequence[Item]) -> None:
        self.run, self.items = run, items
        self.label = str(run.report["data"]["roles"]["label"])
        self._reported = {row["row"]: row for row in run.report.get("suspects") or ()}
        self._nearest = NearestRows(directory, run)

    @cached_property
    def classes(self) -> list[str]:
        """Classes of the label, empty for numbers; of rows with several labels, their sets, the most frequent first."""
        if self.separator:
            return [name for name, _ in Counter(text for text in self.run.given if text).most_common()]
        return self.names

    @cached_property
    def names(self) -> list[str]:
        """Single labels, empty for numbers."""
        return [str(name) for name in self.run.report["data"]["roles"].get("classes") or ()]

    @property
    def separator(self) -> str | None:
        """Separator between the labels of a row, where it has several."""
        found: str | None = self.run.report["data"]["roles"].get("separator")
        return found

    @cached_property
    def columns(self) -> list[str]:
        """Columns of the table, label aside; those of the report where the table is not at hand."""
        if self.run.train is None:
            return list(
                dict.fromkeys(one["column"] for row in self._reported.values() for one in row.get("features") or ())
            )
        return [name for name in self.run.train.column_names if name != self.label]

    def where(self, index: int) -> str:
        """Return `line 948`, or `row 946` where there are no lines."""
        item = self.items[index]
        return f"row {item.row}" if self.run.line is None else f"line {self.run.line[item.i]}"

    def summary(self, index: int) -> dict[str, Any]:
        """Return what a list says of a row."""
        item = self.items[index]
        known = self._reported.get(item.row) or {}
        suggested = known.get("suggested") if known else self.run.predicted[item.i] if "label" in item.kind else None
        return {
            "where": self.where(index),
            "ids": ", ".join(cell(value) for value in self.run.ids_at(item.i).values()),
            "kind": item.kind,
            "kind_words": RANDOM if item.is_random else KIND_WORDS[item.kind],
            "given": self.run.given[item.i],
            "suggested": None if suggested is None or suggested == self.run.given[item.i] else cell(suggested),
            "probability": None if np.isnan(item.probability) else round(item.probability, 4),
            "groups": list(item.groups),
        }

    def row_facts(self, index: int) -> dict[str, Any]:
        """The summary, and the reason in words."""
        item = self.items[index]
        known = self._reported.get(item.row) or {}
        reason = known.get("reason")
        if reason is None:
            other = RANDOM_REASON if item.is_random else UNFLAGGED_REASON
            predicted = self._predicted(item)
            said = "" if predicted is None else prediction_reason(self.run.given[item.i], *predicted)
            reason = f"{REASONS[item.kind] if item.kind in KINDS else other} {said}".strip()
        return self.summary(index) | {"reason": reason}

    def _probabilities(self, item: Item) -> list[dict[str, Any]]:
        """Return the probability of the predicted label alone, which the scores have of every row."""
        predicted = self._predicted(item)
        if predicted is None or predicted[1] is None:
            return []
        return [{"label": predicted[0], "probability": round(predicted[1], 4)}]

    def _predicted(self, item: Item) -> tuple[str, float | None] | None:
        """The label that the models predict, and its probability, None for numbers."""
        label, chance = self.run.predicted[item.i], float(self.run.predicted_probability[item.i])
        if label is None or np.isnan(chance):
            number = None if label is None or self.classes else parse_number(label)
            return None if number is None else (cell(number), None)
        return label, chance

    def cells(self, index: int, names: Sequence[str]) -> list[str | None]:
        """Return some cells of a row as the file has them; None where they are missing or not at hand."""
        item, table = self.items[index], self.run.train
        if table is None:
            known = {one["column"]: one for one in (self._reported.get(item.row) or {}).get("features") or ()}
            values = [known.get(name, {}).get("value") for name in names]
            return [None if value is None else cell(value) for value in values]
        return [cell_text(table.as_given(name), item.row) for name in names]

    def card(self, index: int) -> dict[str, Any]:
        """Return all that a reviewer sees of a row."""
        item = self.items[index]
        known = self._reported.get(item.row) or {}
        marked = {one["column"]: usual(one["usual"]) for one in known.get("unusual") or ()}
        deciding = [one["column"] for one in known.get("deciding") or ()]
        return self.row_facts(index) | {
            "index": index,
            "predicted": self.run.predicted[item.i],
            "probabilities": known.get("probabilities") or self._probabilities(item),
            "cells": self._cells_of(item, list(marked), deciding, marked),
            "columns_left_out": max(0, len(self.columns) - MOST_CELLS),
            "nearest": self._nearest_rows(item.row, [*marked, *deciding]),
            "group_sizes": self.group_sizes(item.groups),
        }

    def group_sizes(self, groups: Sequence[str]) -> list[dict[str, Any]]:
        """The groups of a row, each with how many rows it has."""
        counts = Counter(name for item in self.items for name in item.groups)
        said = {name: "copies of this row" if name.startswith("copies ") else name for name in groups}
        return [{"group": name, "words": words, "rows": counts[name]} for name, words in said.items()]

    def _cells_of(
        self, item: Item, unusual: list[str], deciding: list[str], typical: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """Unusual cells, those that decide the prediction, and the others in the order of the table, ids last."""
        if self.run.train is None:
            values = {one["column"]: one["value"] for one in (self._reported.get(item.row) or {}).get("features") or ()}
            texts: dict[str, Any] = {name: None if value is None else cell(value) for name, value in values.items()}
        else:
            texts = {name: cell_text(self.run.train.as_given(name), item.row) for name in self.columns}
        first = [name for name in dict.fromkeys([*unusual, *deciding]) if name in texts]
        ids = set(self.run.ids)  # they stand in the heading
        order = sorted((name for name in texts if name not in first), key=lambda name: name in ids)
        order = [*first, *order][:MOST_CELLS]
        return [
            {
                "column": name,
                "value": texts[name],
                "mark": "unusual" if name in unusual else "deciding" if name in deciding else "",
                "typical": typical.get(name, ""),
            }
            for name in order
        ]

    def _nearest_rows(self, row: int, first: list[str]) -> dict[str, Any]:
        """A small table: the nearest rows with their label and the cells that matter most."""
        near = self._nearest.of(row)
        roles = self.run.report["data"]["roles"]
        features = [name for name in self.columns if name not in roles["ids"] and name not in roles["excluded"]]
        shown = [name for name in dict.fromkeys([*first, *features]) if name in features][:4]
        rows = []
        for one in near:
            table = one.table
            known = [*shown, *([self.label] if self.label in table.column_names else [])]
            texts = {name: cell_text(table.as_given(name), one.row) for name in known if name in table.column_names}
            rows.append(
                {
                    "where": table.line_or_row(one.row),
                    "trusted": one.is_trusted,
                    "label": texts.get(self.label),
                    "cells": [texts.get(name) for name in shown],
                }
            )
        return {"columns": shown, "rows": rows}


def cell_text(column: pa.ChunkedArray, row: int) -> str | None:
    """Return one cell as the file has it; None where it is missing."""
    text: str | None = as_text(column.slice(row, 1).combine_chunks())[0].as_py()
    return text
