"""A file of decisions -> the training rows of a run that people have decided about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lossval_cli.errors import UsageError
from lossval_cli.features.dataset import Dataset
from lossval_cli.features.labels import ClassLabels
from lossval_cli.features.reviewed import ReviewedRows
from lossval_cli.report.findings.names import exact_interval
from lossval_cli.runs.decided_cells import match_file
from lossval_cli.runs.decided_rows import Decided, true_label
from lossval_cli.runs.decisions import DROP, DecisionFile, Verdict, final_verdicts, read_decisions
from lossval_cli.runs.matching import identify_table
from lossval_cli.tables.streamed import StreamedTable
from lossval_cli.text.format import format_name, format_percent, pluralize


def find_reviewed(dataset: Dataset, path: Path) -> tuple[ReviewedRows | None, tuple[str, ...]]:
    """The rows that the decisions at `path` are about, None where there is none of them; and what to say of it.

    Raises ReadError, and UsageError where the table is too large to be held in memory.
    """
    table = dataset.whole_table
    if isinstance(table.data, StreamedTable):
        raise UsageError(
            "--decisions: the table stays in its files, where rows are not found again: raise --max-memory"
        )
    found = read_decisions(path)
    match, notes = match_file(found, identify_table(table, dataset.roles.label, dataset.roles.ids))
    called = format_name(str(path))
    index = _index_of(dataset)
    decided = {index[row]: one for row, one in match.rows.items() if one.state != "stale" and row in index}
    notices = [f"{called}: {note}" for note in notes]
    if not decided:
        return None, (*notices, f"{called}: no decision is about a row of this table")
    rows = sorted(decided)
    wrong = [_wrong_parts(decided[row]) for row in rows]
    pending = sum(decided[row].state == "pending" for row in rows)
    said = f"{called}: {pluralize(len(rows), 'row')} decided, which count as trusted and are not flagged"
    if pending:
        said += (
            f"; {pending:,} of them {'is' if pending == 1 else 'are'} wrong and as before in the table: `lossval clean "
            "RUN_DIR --decisions` corrects it"
        )
    notices += [said, *_precision(found)]
    reviewed = ReviewedRows(
        np.array(rows, np.int64),
        np.array([label for label, _ in wrong], np.bool_),
        np.array([features for _, features in wrong], np.bool_),
        np.array(
            [label or decided[row].verdict.label is not None for row, (label, _) in zip(rows, wrong, strict=True)]
        ),
        np.array([_true_class(dataset, row, decided[row]) for row in rows], np.int64),
        np.array([_is_random(decided[row].verdict) for row in rows], np.bool_),
    )
    return reviewed, tuple(notices)


def _index_of(dataset: Dataset) -> dict[int, int]:
    """Row of the file -> index among the rows that are trained on."""
    numbers = dataset.train.table.row_numbers
    rows: Sequence[int] = range(dataset.train.table.rows) if numbers is None else numbers.tolist()
    return {row: i for i, row in enumerate(rows)}


def _wrong_parts(decided: Decided) -> tuple[bool, bool]:
    """Return whether the label, and whether another cell, is wrong as the table has it. A row that is dropped is wrong
    in what it was suspect by, in the one or the other where that does not tell."""
    if decided.state == "right":
        return False, False
    verdict = decided.verdict
    if verdict.decision == DROP:
        return verdict.last.suspect != "features", verdict.last.suspect != "label"
    return verdict.label is not None, bool(verdict.cells)


def _true_class(dataset: Dataset, row: int, decided: Decided) -> int:
    """The class that a row should have; of two classes the other one where the label is wrong. -1: not known."""
    labels, y = dataset.labels, dataset.train.y
    if not isinstance(labels, ClassLabels) or y is None:
        return -1
    if decided.state == "right":
        return int(y[row])
    label = true_label(decided)
    if label is None:
        by_label = len(labels.names) == 2 and _wrong_parts(decided) == (True, False)
        return 1 - int(y[row]) if by_label else -1
    return labels.names.index(label) if label in labels.names else -1


def _is_random(verdict: Verdict) -> bool:
    return verdict.last.chance is not None and verdict.last.chance < 1


def _precision(found: DecisionFile) -> list[str]:
    """Report how many of the reviewed flags were right, and what the random rows say."""
    verdicts = list(final_verdicts(found.decisions).agreed.values())
    said = []
    for chosen, what in (
        ([one for one in verdicts if one.last.suspect], "reviewed suspects were wrong, the precision of the flags"),
        ([one for one in verdicts if _is_random(one)], "reviewed random rows, which were not flagged, were wrong"),
    ):
        if chosen:
            k, n = sum(one.is_wrong for one in chosen), len(chosen)
            interval = " to ".join(format_percent(end, 0) for end in exact_interval(k, n))
            said.append(f"decisions: {k:,} of {n:,} {what}: {format_percent(k / n, 0)} (95% CI {interval})")
    return said
