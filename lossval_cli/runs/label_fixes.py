"""The label that a run suggests for a row, as the column of the table would hold it."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.errors import UsageError
from lossval_cli.features.labels import ClassLabels
from lossval_cli.features.roles import Roles
from lossval_cli.losses import Task
from lossval_cli.runs.scores_io import as_text
from lossval_cli.tables.column_types import is_text
from lossval_cli.tables.numbers import NumberForm
from lossval_cli.tables.rewrite import Cells
from lossval_cli.tables.table import Table

Rows = npt.NDArray[np.int64]

_FORMULA_MARK = "'"
"""What `--safe-csv` has put before a label."""


class LabelColumn(NamedTuple):
    """The label column of a table as it is stored, and how it is read."""

    name: str
    task: Task
    table: Table
    """With all its columns, which decide together how it writes numbers."""

    @property
    def stored(self) -> pa.ChunkedArray:
        """(N,) text for CSV."""
        return self.table.as_given(self.name)

    def classes(self) -> tuple[ClassLabels, Rows]:
        """The classes, and that of each row (N,). Raises SchemaError, CellError."""
        labels = ClassLabels.fit(self.table, Roles(self.name, (), (), (), self.task, ()))
        return labels, labels.encode(self.table)


def suggested_labels(label: LabelColumn, rows: Rows, predicted: Sequence[str | None]) -> Cells:
    """New cells for those of `rows` (rising) whose label would change; predicted (R,): from the scores.

    A class is written as its first row in the table has it. A number is rounded to the decimal decimals that
    the column has, and held within the range of its labels. Raises UsageError for a column that can hold no
    such number.
    """
    if label.task == "classification":
        return _classes(label, rows, predicted)
    if label.task == "multilabel":
        return _tags(label, rows, predicted)
    return _numbers(label, rows, predicted)


def _classes(label: LabelColumn, rows: Rows, predicted: Sequence[str | None]) -> Cells:
    labels, y = label.classes()
    index = {name: i for i, name in reversed(list(enumerate(labels.names)))}
    suggested = np.array([_class_index(name, index) for name in predicted], np.int64)
    changed = (suggested >= 0) & (suggested != y[rows])
    first = np.unique(y, return_index=True)[1]  # (K,) every class has a row
    values = label.stored.take(pa.array(first[suggested[changed]]))
    return Cells(label.name, rows[changed], values.combine_chunks())


def _tags(label: LabelColumn, rows: Rows, predicted: Sequence[str | None]) -> Cells:
    """Sets of tags as text; a row that would have none keeps its tags, since an empty cell is a missing label."""
    if not is_text(label.stored.type):
        raise UsageError(f"--relabel: the label is stored as {label.stored.type}, not as text; correct it yourself")
    changed = np.array([bool(text) for text in predicted], bool)
    texts = [text for text in predicted if text]
    return Cells(label.name, rows[changed], pa.array(texts, label.stored.type))


def _class_index(name: str | None, index: dict[str, int]) -> int:
    if name is None:
        return -1
    return index.get(name, index.get(name.removeprefix(_FORMULA_MARK), -1))


def _numbers(label: LabelColumn, rows: Rows, predicted: Sequence[str | None]) -> Cells:
    typed, form = label.table.typed(label.name), label.table.column(label.name).type.form
    given = pc.cast(typed, pa.float64(), safe=False).to_numpy()
    decimals = _count_decimals(label)
    wanted = np.clip(np.array([float(text or "nan") for text in predicted]), np.nanmin(given), np.nanmax(given))
    # Written out and read again: what a cell can hold, with no minus before a zero.
    scale = form.scale if isinstance(form, NumberForm) else 1.0
    texts = [repr(value) if decimals is None else f"{value:.{decimals}f}" for value in (wanted / scale).tolist()]
    known = np.array([float(text) for text in texts]) * scale + 0.0
    changed = np.isfinite(known) & (np.abs(known - given[rows]) > 1e-12 * np.abs(known))
    kind = label.stored.type
    if isinstance(form, NumberForm):
        exact = [form.write(value, decimals) for value in known[changed].tolist()]
        return Cells(label.name, rows[changed], pa.array(exact, kind))
    exact = [f"{value:.{decimals}f}" if decimals is not None else repr(value) for value in known[changed].tolist()]
    return Cells(label.name, rows[changed], _stored(exact, kind))


def _stored(texts: Sequence[str], kind: pa.DataType) -> pa.Array:
    """Numbers as an array of the type of the label column."""
    if is_text(kind):
        return pa.array(texts, kind)
    if pa.types.is_decimal(kind):
        return pa.array([decimal.Decimal(text) for text in texts], kind)
    if pa.types.is_integer(kind):
        return pa.array([int(text) for text in texts], kind)
    if pa.types.is_floating(kind):
        return pa.array([float(text) for text in texts], pa.float64()).cast(kind)
    raise UsageError(f"--relabel: the label is stored as {kind}, which cannot hold a predicted number")


def _count_decimals(label: LabelColumn) -> int | None:
    """The most digits after the point that a label has; None where some are written with an exponent."""
    kind = label.stored.type
    if pa.types.is_integer(kind):
        return 0
    if pa.types.is_decimal(kind):
        return int(kind.scale)
    texts = label.stored.cast(pa.string()) if is_text(kind) else as_text(label.stored.combine_chunks())
    if pc.any(pc.match_substring_regex(texts, r"\d[eE][+-]?\d")).as_py():
        return None
    form = label.table.column(label.name).type.form
    if isinstance(form, NumberForm) and form.is_clock:
        return 1 if pc.any(pc.match_substring_regex(texts, r":\d+:")).as_py() else 0
    decimal = form.decimal if isinstance(form, NumberForm) else "."
    fractions = pc.struct_field(pc.extract_regex(texts, rf"[{decimal}](?P<fraction>\d+)\D*$"), "fraction")
    return int(pc.max(pc.fill_null(pc.utf8_length(fractions), 0)).as_py())
