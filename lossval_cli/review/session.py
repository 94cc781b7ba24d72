"""One review: a run, its queue, and the file of decisions, which other reviewers may write at the same time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lossval_cli.errors import UsageError
from lossval_cli.review.cards import Cards
from lossval_cli.review.progress import Forecast, forecast
from lossval_cli.review.queue import RANDOM_EVERY, build_queue
from lossval_cli.review.typed_values import as_number
from lossval_cli.review.words import (
    clean_command,
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
from lossval_cli.text.format import format_name, quote

LONGEST_VALUE = 20_000
"""Characters of a decided value or a note."""


class Session:
    """Review of one run; `data`: where the table is, if the run does not know.

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
            if self.run.was_in_memory:
                raise UsageError(
                    f"{format_name(str(directory))} was made on a table in memory, whose rows have no ids by which "
                    "decisions could be found again: score it with ids, or score a file"
                )
            raise UsageError(
                f"{format_name(self.run.name)} is not where it was, or has changed, and its rows have no ids by which "
                "decisions could be found again: name the table that was scored with --data FILE"
            )
        self._by_key = {item.key: index for index, item in enumerate(self.items)}
        self.cards = Cards(directory, self.run, self.items)
        self._stamp: tuple[int, int] | None = None
        self._file = DecisionFile([], [])
        self._seen: list[tuple[int, Decision]] = []

    @property
    def command(self) -> str:
        """Command of `lossval clean` that applies what is decided."""
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
        """Return one line for each row about which reviewers disagree, rows that are not in the queue too."""
        return [
            f"{next(iter(said.values())).last.where or key}: "
            + "; ".join(f"{who or 'somebody'}: {_shown(verdict)}" for who, verdict in said.items())
            for key, said in final_verdicts(self._file.decisions).disputed.items()
        ]

    def outcome(self) -> Outcome:
        """Return what is decided, with indices of the queue, as text, in place of keys."""
        return final_verdicts(_with_index(one, index) for index, one in self._seen)

    def states(self) -> list[dict[str, Any]]:
        """Return, for each row of the queue, what was decided, and by whom."""
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
        """Estimate how many of the rows that are left are wrong."""
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
        """Order all rows of the queue: decided and skipped ones as they were decided, then the others, the most
        probable first as the decisions let expect, every RANDOM_EVERY-th a random one."""
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
            if column not in self.cards.columns:
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
        if separator := self.cards.separator:
            tags = [tag.strip() for tag in value.split(separator) if tag.strip()]
            if not tags:
                raise UsageError(f"type the right labels, with {quote(separator)} between them")
            known = [next((name for name in self.cards.names if same_label(name, tag)), tag) for tag in tags]
            return separator.join(sorted(set(known)))
        if self.cards.classes:
            return next((name for name in self.cards.classes if same_label(name, value)), value)
        kind = None if self.run.train is None else self.run.train.column(self.label).type
        return as_number(value, None if kind is None else kind.form, "labels of this table are numbers")

    def _as_cell(self, column: str, value: str) -> str:
        """A new cell as its column writes it; empty where the value is not known."""
        kind = None if self.run.train is None else self.run.train.column(column).type
        if not value.strip() or kind is None or kind.noun != "a number":
            return value
        said = f"column {format_name(column)} holds numbers; leave the cell empty where the value is not known"
        return as_number(value.strip(), kind.form, said)

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
            where=self.cards.where(index),
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

    def members(self, group: str, index: int) -> list[int]:
        """Rows of a group that are undecided, and a row itself."""
        states = self.states()
        return [
            i
            for i, item in enumerate(self.items)
            if group in item.groups and (i == index or states[i]["state"] in ("", "disputed"))
        ]

    def is_new_label(self, value: str) -> bool:
        """Return whether a class is one that no row of the table has; of several labels, whether one is."""
        names, separator = self.cards.names, self.cards.separator
        given = [one for one in value.split(separator) if one.strip()] if separator else [value]
        return bool(names) and not all(any(same_label(name, one.strip()) for name in names) for one in given)


_EXACT = re.compile(r":\d\d\.\d{6}")
"""Of a time as this session writes it, which no two decisions share unless they were made at once."""


def _with_index(one: Decision, index: int) -> Decision:
    return Decision(
        key=str(index), decision=one.decision, column=one.column, value=one.value, time=one.time, reviewer=one.reviewer
    )


def _by_time(verdicts: Mapping[str, Verdict]) -> list[str]:
    return sorted(verdicts, key=lambda key: verdicts[key].last.time)


def _shown(verdict: Verdict) -> str:
    """Return `relabelled 7`, `age = 44`, `keep`."""
    said = [] if verdict.label is None else [f"relabel to {verdict.label}"]
    said += [f"{column} = {value or '(empty)'}" for column, value in verdict.cells]
    return "; ".join(said) or verdict.decision


_NOTHING = Verdict("", None, (), Decision(key="", decision=""))
