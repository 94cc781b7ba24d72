"""One review: a run, its queue, and the file of decisions, which other reviewers may write at the same time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lossval_cli.errors import UsageError
from lossval_cli.report.sentences import REASONS, cell, usual
from lossval_cli.review.nearest import NearestRows
from lossval_cli.review.progress import Forecast, forecast
from lossval_cli.review.queue import RANDOM_EVERY, Item, build_queue
from lossval_cli.review.words import (
    KIND_WORDS,
    RANDOM,
    RANDOM_REASON,
    UNFLAGGED_REASON,
    clean_command,
    prediction_reason,
)
from lossval_cli.runs.decided_rows import decision_state, match_decisions
from lossval_cli.runs.decisions import (
    ACTIONS,
    DECISIONS,
    FIX,
    RELABEL,
    SKIP,
    UNDO,
    Damaged,
    Decision,
    DecisionFile,
    Outcome,
    Verdict,
    append_decisions,
    final_verdicts,
    read_decisions,
    single_verdict,
)
from lossval_cli.runs.loaded import LoadedRun, read_run
from lossval_cli.runs.matching import hash_cells, identify_run, is_position, same_label
from lossval_cli.runs.scores_io import as_text
from lossval_cli.score_columns import KINDS
from lossval_cli.tables.numbers import NumberForm
from lossval_cli.text.format import format_name, quote

MOST_CLASSES = 200
"""Classes that are offered; others are typed."""

MOST_CELLS = 400
"""Cells of a row that are shown."""

LONGEST_VALUE = 20_000
"""Characters of a decided value or a note."""


class Session:
    """What a reviewer works on; `data`: where the table is, if the run does not know.

    Raises ReadError where `directory` is no run, UsageError where it flags no rows or nothing tells them apart.
    """

    def __init__(self, directory: Path, reviewer: str, run: LoadedRun | None = None, data: str | None = None) -> None:
        self.directory, self.reviewer, self._data = directory, reviewer, data
        self.run = run or read_run(directory)
        if self.run.report["summary"]["estimated_noise_share"] is None:
            raise UsageError(
                "the run does not say which rows are suspect (preset paper only ranks them): score with another preset"
            )
        self.path = directory / DECISIONS
        self.label = str(self.run.report["data"]["roles"]["label"])
        self.identity = identify_run(self.run)
        self.items = build_queue(self.run, self.identity)
        if any(is_position(item.key) for item in self.items):
            raise UsageError(
                f"{format_name(self.run.name)} is not where it was, or has changed, and its rows have no ids by which "
                "decisions could be found again: name the table that was scored with --data FILE"
            )
        self._by_key = {item.key: index for index, item in enumerate(self.items)}
        self._said = {row["row"]: row for row in self.run.report.get("suspects") or ()}
        self._nearest = NearestRows(directory, self.run)
        self._stamp: tuple[int, int] | None = None
        self._file = DecisionFile([], [])
        self._seen: list[tuple[int, Decision]] = []

    @property
    def command(self) -> str:
        """Of `lossval clean`, which applies what is decided."""
        return clean_command(self.directory, self.run.name, self._data)

    # What was decided

    def refresh(self) -> None:
        """Read the decisions again if somebody has written some. Raises ReadError where they cannot be read."""
        stamp = None
        if self.path.exists():
            status = self.path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
        if stamp == self._stamp:
            return
        self._file = DecisionFile([], []) if stamp is None else read_decisions(self.path)
        self._stamp = stamp
        self._seen = []
        by_key: dict[str, int] = dict(self._by_key)
        # Rows of an earlier state of the table may have other keys.
        foreign = {one.key: single_verdict(one) for one in self._file.decisions if one.key not in by_key}
        by_row = {item.row: index for index, item in enumerate(self.items)}
        for row, decided in match_decisions(foreign, self.identity).rows.items():
            if row in by_row:
                by_key[decided.verdict.last.key] = by_row[row]
        for one in self._file.decisions:
            index = by_key.get(one.key)
            # What was decided about another label or other cells than the row has now says nothing.
            if index is not None and (
                one.decision in (SKIP, UNDO)
                or decision_state(single_verdict(one), self.identity, self.items[index].row) != "stale"
            ):
                self._seen.append((index, one))

    @property
    def damaged(self) -> Sequence[Damaged]:
        """Lines that cannot be read."""
        return self._file.damaged

    @property
    def decisions(self) -> Sequence[Decision]:
        """All lines of the file."""
        return self._file.decisions

    def disagreements(self) -> list[str]:
        """One line for each row about which reviewers disagree, rows that are not in the queue too."""
        return [
            f"{next(iter(said.values())).last.where or key}: "
            + "; ".join(f"{who or 'somebody'}: {_shown(verdict)}" for who, verdict in said.items())
            for key, said in final_verdicts(self._file.decisions).disputed.items()
        ]

    def outcome(self) -> Outcome:
        """What is decided, with indices of the queue, as text, in place of keys."""
        return final_verdicts(_with_index(one, index) for index, one in self._seen)

    def states(self) -> list[dict[str, Any]]:
        """For each row of the queue what was decided, and by whom."""
        agreed, disputed, skipped = self.outcome()
        found: list[dict[str, Any]] = []
        for index in range(len(self.items)):
            key = str(index)
            if key in disputed:
                said = {who: _shown(verdict) for who, verdict in disputed[key].items()}
                found.append({"state": "disputed", "by": said})
            elif key in agreed:
                found.append({"state": agreed[key].decision, "by": {agreed[key].last.reviewer: _shown(agreed[key])}})
            else:
                found.append({"state": SKIP if key in skipped else "", "by": {}})
        return found

    def forecast(self) -> Forecast:
        """How many of the rows that are left are wrong."""
        agreed = self.outcome().agreed
        suspects = self._suspects
        position = {index: i for i, index in enumerate(suspects)}
        found = [agreed[str(index)].is_wrong if str(index) in agreed else None for index in suspects]
        order = [position[int(key)] for key in _by_time(agreed) if int(key) in position]
        others = [agreed[key].is_wrong for key in agreed if int(key) not in position]
        probability = np.array([self.items[index].part_probability for index in suspects], np.float64)
        parts = [self.items[index].part for index in suspects]
        return forecast(probability, parts, found, order, others)

    @cached_property
    def _suspects(self) -> list[int]:
        """Rows of the queue that were not drawn at random."""
        return [index for index, item in enumerate(self.items) if not item.is_random]

    def sequence(self, seen: Forecast) -> list[int]:
        """All rows of the queue: decided and skipped ones as they were decided, then the others, the most probable
        first as the decisions let expect, every RANDOM_EVERY-th a random one."""
        agreed, _, skipped = self.outcome()
        done = [int(key) for key in _by_time(agreed | skipped)]
        is_done = set(done)
        suspects = [self._suspects[i] for i in seen.left_order if self._suspects[i] not in is_done]
        random = [index for index, item in enumerate(self.items) if item.is_random and index not in is_done]
        while suspects:
            at_turn = random and (len(done) + 1) % RANDOM_EVERY == 0
            done.append(random.pop(0) if at_turn else suspects.pop(0))
        return done + random

    # Deciding

    def decide(self, indices: Sequence[int], action: str, *, value: str = "", column: str = "", note: str = "") -> None:
        """Append one decision for each of some rows of the queue. Raises UsageError for what makes no sense,
        OutputError where the file cannot be written."""
        if action not in ACTIONS or action == UNDO:
            raise UsageError(f"{quote(action)} is no decision")
        if not indices or any(not 0 <= index < len(self.items) for index in indices):
            raise UsageError("no such row")
        if any("\0" in text or len(text) > LONGEST_VALUE for text in (value, column, note)):
            raise UsageError("the text is too long, or holds a null character")
        if action == RELABEL:
            value = self._as_label(value.strip())
        if action == FIX:
            if column not in self.columns:
                raise UsageError(f"the table has no feature column {format_name(column)}")
            value = self._as_cell(column, value)
        if action not in (RELABEL, FIX):
            value = column = ""
        time = datetime.now(UTC).isoformat(timespec="microseconds")  # equal for rows decided at once, and for no others
        append_decisions(self.path, [self._decision(index, action, value, column, note, time) for index in indices])
        self.refresh()

    def undo(self) -> list[int]:
        """Take back what this reviewer decided last, rows decided at once together; their indices in the queue."""
        self.refresh()
        stacks: dict[str, list[tuple[int, int, Decision]]] = {}
        for position, (index, one) in enumerate(self._seen):
            if one.reviewer != self.reviewer:
                continue
            stack = stacks.setdefault(one.key, [])
            if one.decision != UNDO:
                stack.append((position, index, one))
            elif stack:
                stack.pop()
        tops = [stack[-1] for stack in stacks.values() if stack]
        if not tops:
            return []
        last = max(tops)[2].time  # by the order of the file: a spreadsheet may have changed the times
        at_once = [top for top in tops if top[2].time == last and _EXACT.search(last)]
        taken = [(index, one) for _, index, one in at_once or [max(tops)]]
        time = datetime.now(UTC).isoformat(timespec="microseconds")
        lines = [
            Decision(key=one.key, where=one.where, decision=UNDO, time=time, reviewer=self.reviewer) for _, one in taken
        ]
        append_decisions(self.path, lines)
        self.refresh()
        return [index for index, _ in taken]

    def _as_label(self, value: str) -> str:
        """A new label as its column writes it."""
        if not value:
            raise UsageError("type the right label")
        if self.classes:
            return next((name for name in self.classes if same_label(name, value)), value)
        kind = None if self.run.train is None else self.run.train.column(self.label).type
        return _as_number(value, None if kind is None else kind.form, "labels of this table are numbers")

    def _as_cell(self, column: str, value: str) -> str:
        """A new cell as its column writes it; empty where the value is not known."""
        kind = None if self.run.train is None else self.run.train.column(column).type
        if not value.strip() or kind is None or kind.noun != "a number":
            return value
        said = f"column {format_name(column)} holds numbers; leave the cell empty where the value is not known"
        return _as_number(value.strip(), kind.form, said)

    def _decision(self, index: int, action: str, value: str, column: str, note: str, time: str) -> Decision:
        item = self.items[index]
        content, fixed = "", ""
        if self.identity.contents is not None:
            content = self.identity.contents[item.row]
            mine = [one for i, one in self._seen if i == index and one.reviewer == self.reviewer]
            cells = dict(final_verdicts(_with_index(one, index) for one in mine).agreed.get(str(index), _NOTHING).cells)
            if action == FIX:
                cells[column] = value
            if cells and action in (FIX, RELABEL) and self.run.train is not None:
                fixed = hash_cells(self.run.train, self.label, item.row, cells)
        return Decision(
            key=item.key,
            where=self.where(index),
            decision=action,
            column=column,
            value=value,
            label=self.run.given[item.i] or "",
            content=content,
            fixed=fixed,
            suspect=item.kind,
            probability=None if np.isnan(item.probability) else item.probability,
            chance=item.chance,
            time=time,
            reviewer=self.reviewer,
            note=note,
        )

    # What is shown

    @cached_property
    def classes(self) -> list[str]:
        """Of the label, empty for numbers."""
        return [str(name) for name in self.run.report["data"]["roles"].get("classes") or ()]

    @cached_property
    def columns(self) -> list[str]:
        """Of the table, label aside; those of the report where the table is not at hand."""
        if self.run.train is None:
            return list(
                dict.fromkeys(one["column"] for row in self._said.values() for one in row.get("features") or ())
            )
        return [name for name in self.run.train.column_names if name != self.label]

    def where(self, index: int) -> str:
        """`line 948`, or `row 946` where there are no lines."""
        item = self.items[index]
        return f"row {item.row}" if self.run.line is None else f"line {self.run.line[item.i]}"

    def summary(self, index: int) -> dict[str, Any]:
        """What a list says of a row."""
        item = self.items[index]
        known = self._said.get(item.row) or {}
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
        known = self._said.get(item.row) or {}
        reason = known.get("reason")
        if reason is None:
            other = RANDOM_REASON if item.is_random else UNFLAGGED_REASON
            predicted = self._predicted(item)
            said = "" if predicted is None else prediction_reason(self.run.given[item.i], *predicted)
            reason = f"{REASONS[item.kind] if item.kind in KINDS else other} {said}".strip()
        return self.summary(index) | {"reason": reason}

    def _probabilities(self, item: Item) -> list[dict[str, Any]]:
        """Of the predicted label alone, which the scores have of every row."""
        predicted = self._predicted(item)
        if predicted is None or predicted[1] is None:
            return []
        return [{"label": predicted[0], "probability": round(predicted[1], 4)}]

    def _predicted(self, item: Item) -> tuple[str, float | None] | None:
        """The label that the models predict, and its probability, None for numbers."""
        label, chance = self.run.predicted[item.i], float(self.run.predicted_probability[item.i])
        if label is None or np.isnan(chance):
            number = None if label is None or self.classes else _number(label)
            return None if number is None else (cell(number), None)
        return label, chance

    def cells(self, index: int, names: Sequence[str]) -> list[str | None]:
        """Some cells of a row as the file has them; None where they are missing or not at hand."""
        item, table = self.items[index], self.run.train
        if table is None:
            known = {one["column"]: one for one in (self._said.get(item.row) or {}).get("features") or ()}
            values = [known.get(name, {}).get("value") for name in names]
            return [None if value is None else cell(value) for value in values]
        return [cell_text(table.as_given(name), item.row) for name in names]

    def card(self, index: int) -> dict[str, Any]:
        """All that a reviewer sees of a row."""
        item = self.items[index]
        known = self._said.get(item.row) or {}
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

    def members(self, group: str, index: int) -> list[int]:
        """Rows of a group that are undecided, and a row itself."""
        states = self.states()
        return [
            i
            for i, item in enumerate(self.items)
            if group in item.groups and (i == index or states[i]["state"] in ("", "disputed"))
        ]

    def is_new_label(self, value: str) -> bool:
        """Whether a class is one that no row of the table has."""
        return bool(self.classes) and not any(same_label(name, value.strip()) for name in self.classes)

    def group_sizes(self, groups: Sequence[str]) -> list[dict[str, Any]]:
        """The groups of a row, each with how many rows it has."""
        counts = Counter(name for item in self.items for name in item.groups)
        said = {name: "copies of this row" if name.startswith("copies ") else name for name in groups}
        return [{"group": name, "words": words, "rows": counts[name]} for name, words in said.items()]

    def _cells_of(
        self, item: Item, unusual: list[str], deciding: list[str], typical: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """Deciding cells first, then in the order of the table."""
        if self.run.train is None:
            values = {one["column"]: one["value"] for one in (self._said.get(item.row) or {}).get("features") or ()}
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


_CLOCK = re.compile(r"\d+:\d\d(:\d\d)?")

_EXACT = re.compile(r":\d\d\.\d{6}")
"""Of a time as this session writes it, which no two decisions share unless they were made at once."""


def _as_number(value: str, form: object, what: str) -> str:
    """A typed number as its column writes it: with a point, or as the column has them. Raises UsageError, which says
    `what`."""
    no_number = UsageError(f"{quote(value)} is not a number: {what}")
    if not isinstance(form, NumberForm):
        if _number(value) is None:
            raise no_number
        return value
    if form.is_clock and _CLOCK.fullmatch(value):
        return value
    is_marked = bool(form.mark) and form.mark in value  # 25% is 0.25, as it is predicted
    plain = value.replace(form.mark, "").strip() if is_marked else value
    number = _number(plain)
    if number is None:
        number = _number(plain.replace(form.group or " ", "").replace(form.decimal, "."))
    if number is None:
        raise no_number
    return form.write(number * form.scale if is_marked else number, None)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def cell_text(column: pa.ChunkedArray, row: int) -> str | None:
    """One cell as the file has it; None where it is missing."""
    text: str | None = as_text(column.slice(row, 1).combine_chunks())[0].as_py()
    return text


def _with_index(one: Decision, index: int) -> Decision:
    return Decision(
        key=str(index), decision=one.decision, column=one.column, value=one.value, time=one.time, reviewer=one.reviewer
    )


def _by_time(verdicts: Mapping[str, Verdict]) -> list[str]:
    return sorted(verdicts, key=lambda key: verdicts[key].last.time)


def _shown(verdict: Verdict) -> str:
    """`relabelled 7`, `age = 44`, `keep`."""
    said = [] if verdict.label is None else [f"relabel to {verdict.label}"]
    said += [f"{column} = {value or '(empty)'}" for column, value in verdict.cells]
    return "; ".join(said) or verdict.decision


_NOTHING = Verdict("", None, (), Decision(key="", decision=""))
