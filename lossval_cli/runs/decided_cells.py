"""What decisions change in the table of a run: rows to drop, new labels, fixed cells, rows to leave alone."""

from __future__ import annotations

import decimal
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.errors import DataError
from lossval_cli.runs.decided_rows import RowMatch, match_decisions
from lossval_cli.runs.decisions import DROP, DecisionFile, final_verdicts
from lossval_cli.runs.label_fixes import LabelColumn
from lossval_cli.runs.matching import Identity
from lossval_cli.tables.column_types import is_text
from lossval_cli.tables.rewrite import Cells, Original
from lossval_cli.text.format import format_name, join_names, pluralize, quote

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DecidedChanges:
    """Changes of N rows, in the order of the file."""

    settled: Mask
    """(N,) rows with a decision that still holds: nothing else changes them."""
    drop: Mask
    """(N,)"""
    cells: list[Cells]
    relabelled: npt.NDArray[np.int64]
    """Rows with a new label."""
    fixed: int
    """Cells, other than labels, that are fixed."""
    notes: list[str]
    """Decisions that change nothing, and why."""


def match_file(found: DecisionFile, table: Identity) -> tuple[RowMatch, list[str]]:
    """The decisions of a file by row of a table, and what is to be said of those that count for nothing."""
    outcome = final_verdicts(found.decisions)
    match = match_decisions(outcome.agreed, table)
    notes = []
    if found.damaged:
        first = found.damaged[0]
        notes.append(
            f"{pluralize(len(found.damaged), 'damaged line')} of decisions left out (the first is line {first.line}: "
            f"{first.why})"
        )
    if outcome.disputed:
        wheres = [next(iter(verdicts.values())).last.where or key for key, verdicts in outcome.disputed.items()]
        notes.append(
            f"reviewers disagree about {pluralize(len(wheres), 'row')}, which count as undecided: {join_names(wheres)}"
        )
    if match.missing:
        notes.append(f"{pluralize(len(match.missing), 'decision')} left out: the row is not in the table any more")
    if stale := sum(decided.state == "stale" for decided in match.rows.values()):
        notes.append(f"{pluralize(stale, 'decision')} left out: the row was changed after the decision")
    return match, notes


def plan_decisions(found: DecisionFile, identity: Identity, label: LabelColumn, original: Original) -> DecidedChanges:
    """Plan the changes of cells. Raises DataError where a decided value cannot be stored in its column."""
    match, notes = match_file(found, identity)
    N = len(identity.given)
    settled, drop = np.zeros(N, np.bool_), np.zeros(N, np.bool_)
    changes: dict[str, dict[int, str]] = defaultdict(dict)
    for row, (verdict, state) in match.rows.items():
        if state == "stale":
            continue
        settled[row] = True
        if state == "right":
            continue
        drop[row] = verdict.decision == DROP
        if verdict.label is not None:
            changes[label.name][row] = verdict.label
        for column, value in verdict.cells:
            changes[column][row] = value
    cells = []
    for column, by_row in changes.items():
        if column not in original.names:
            raise DataError(f"a decision fixes a cell of column {format_name(column)}, which the table does not have")
        rows = np.array(sorted(by_row), np.int64)
        texts = [by_row[row] for row in rows.tolist()]
        values = (
            _label_values(label, texts) if column == label.name else _stored(texts, original.column(column), column)
        )
        cells.append(Cells(column, rows, values))
    relabelled = np.array(sorted(changes.get(label.name, {})), np.int64)
    return DecidedChanges(
        settled, drop, cells, relabelled, sum(len(one.rows) for one in cells) - len(relabelled), notes
    )


def _label_values(label: LabelColumn, texts: Sequence[str]) -> pa.Array:
    """A class as its first row in the table writes it; a new class, or a number, as the reviewer wrote it."""
    stored, first = label.stored, {}
    if label.task == "classification":
        labels, y = label.classes()
        first = dict(zip(labels.names, np.unique(y, return_index=True)[1].tolist(), strict=True))
    known: Mapping[int, int] = {i: first[text] for i, text in enumerate(texts) if text in first}
    fresh = [i for i in range(len(texts)) if i not in known]
    values = _stored([texts[i] for i in fresh], stored, label.name).to_pylist()
    by_index = dict(zip(fresh, values, strict=True)) | {i: stored[row].as_py() for i, row in known.items()}
    return _array([by_index[i] for i in range(len(texts))], stored.type)


def _stored(texts: Sequence[str], column: pa.ChunkedArray, name: str) -> pa.Array:
    """Texts as cells of a column, null for empty ones."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    values = []
    for text in texts:
        try:
            values.append(_value(text, kind))
        except (ValueError, ArithmeticError, pa.ArrowException):
            raise DataError(
                f"the decided value {quote(text)} cannot be stored in column {format_name(name)}, which holds {kind}: "
                "undo that decision and decide again"
            ) from None
    return _array(values, column.type)


def _value(text: str, kind: pa.DataType) -> object:
    if not text:
        return None
    if is_text(kind):
        return text
    if pa.types.is_decimal(kind):
        return decimal.Decimal(text)
    return pa.array([text]).cast(kind)[0].as_py()


def _array(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(kind):
        return pa.array(values, kind)
    coded = pa.array(values, kind.value_type).dictionary_encode()
    return pa.DictionaryArray.from_arrays(coded.indices.cast(kind.index_type), coded.dictionary)
