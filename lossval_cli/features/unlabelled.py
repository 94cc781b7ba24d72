"""Rows without a label: they are left out of training and come last in the scores."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.errors import CellError
from lossval_cli.tables.streamed import StreamedTable
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_name, join_names, pluralize, quote

LISTED = 5


class Unlabelled(NamedTuple):
    """Rows that were left out of the training table."""

    whole: Table
    """The table with all its rows."""
    rows: npt.NDArray[np.int64]
    """(U,) rows of it that have no label, rising."""


def leave_out_unlabelled(
    table: Table, label: str, what: str, *, require_labels: bool
) -> tuple[Table, Unlabelled | None, list[str]]:
    """The labelled rows of `table`, what was left out, and a notice that says so.

    A table without any label is returned as it is, and so is one that stays in its files: encoding its labels says
    where they are missing.  what: which table it is, for the notice.  Raises CellError with `require_labels`.
    """
    if label not in table.column_names or isinstance(table.data, StreamedTable):
        return table, None, []
    missing = table.label_column(label).values.is_null().to_numpy()
    rows = np.flatnonzero(missing)
    if not len(rows) or len(rows) == table.rows:
        return table, None, []
    if require_labels:
        raise CellError(
            f"{table.location(int(rows[0]))}, column {format_name(label)}: the label is missing "
            f"({pluralize(len(rows), 'such row')} in all); fill it in, remove the row, or leave out --require-labels"
        )
    kept = np.flatnonzero(~missing)
    lines = join_names([table.line_or_row(int(row)) for row in rows[:LISTED]])
    lines += f" and {len(rows) - LISTED:,} more" if len(rows) > LISTED else ""
    have, are = ("has", "is") if len(rows) == 1 else ("have", "are")
    last = ", last in the scores without an importance" if what == "training" else ""
    hint = missing_word_hint(Unlabelled(table, rows), label)
    notice = (
        f"{format_name(table.name)}: {len(rows):,} of {pluralize(table.rows, 'row')} {have} no label ({lines}) and "
        f"{are} left out of {what}{last}; --require-labels refuses them{hint}"
    )
    labelled = replace(table.take(kept), row_numbers=kept, is_block=table.is_block)
    return labelled, Unlabelled(table, rows), [notice]


def missing_word_hint(unlabelled: Unlabelled, label: str) -> str:
    """Explain what to do if the word that was taken for missing is a class."""
    given = unlabelled.whole.as_given(label).take(pa.array(unlabelled.rows)).unique().to_pylist()
    words = [word for word in given if isinstance(word, str) and word.strip()]
    return f"; if {quote(words[0])} is a class, say which words mean missing with --missing" if words else ""
