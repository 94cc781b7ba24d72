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
from lossval_cli.features.roles import Roles, Task
from lossval_cli.runs.scores_io import as_text
from lossval_cli.tables.column_types import NumberForm, is_text
from lossval_cli.tables.rewrite import Cells
from lossval_cli.tables.table import Table

Rows = npt.NDArray[np.int64]

_FORMULA_MARK = "'"
"""What `--safe-csv` has put before a label."""


class LabelColumn(NamedTuple):
    """The label column of a table as it is stored, and how it is read."""

    name: str
    task: Task
    stored: pa.ChunkedArray
    """(N,) text for CSV."""
    decimal_comma: bool


def suggested_labels(label: LabelColumn, rows: Rows, predicted: Sequence[str | None]) -> Cells:
    """New cells for those of `rows` (rising) whose label would change; predicted (R,): from the scores.

    A class is written as its first row in the table has it. A number is rounded to the decimal places that
    the column has, and held within the range of its labels. Raises UsageError for a column that can hold no
    such number.
    """
    if label.task == "classification":
        return _classes(label, rows, predicted)
    return _numbers(label, rows, predicted)


def _classes(label: LabelColumn, rows: Rows, predicted: Sequence[str | None]) -> Cells:
    table, roles = _alone(label), Roles(label.name, (), (), (), label.task, ())
    labels = ClassLabels.fit(table, roles)
    y = labels.encode(table)
    places = {name: place for place, name in reversed(list(enumerate(labels.names)))}
    suggested = np.array([_place(name, places) for name in predicted], np.int64)
    changed = (suggested >= 0) & (suggested != y[rows])
    first = np.unique(y, return_index=True)[1]  # (K,) every class has a row
    values = label.stored.take(pa.array(first[suggested[changed]]))
    return Cells(label.name, rows[changed], values.combine_chunks())


def _place(name: str | None, places: dict[str, int]) -> int:
    if name is None:
        return -1
    return places.get(name, places.get(name.removeprefix(_FORMULA_MARK), -1))


def _numbers(label: LabelColumn, rows: Rows, predicted: Sequence[str | None]) -> Cells:
    kind = label.stored.type
    given = pc.cast(_alone(label).typed(label.name), pa.float64(), safe=False).to_numpy()
    places = _decimal_places(label)
    wanted = np.clip(np.array([float(text or "nan") for text in predicted]), given.min(), given.max())
    # Written out and read again: what a cell can hold, with no minus before a zero.
    texts = np.array([repr(value) if places is None else f"{value:.{places}f}" for value in wanted.tolist()])
    known = np.array([float(text) for text in texts.tolist()]) + 0.0
    changed = np.isfinite(known) & (known != given[rows])
    exact = [f"{value:.{places}f}" if places is not None else repr(value) for value in known[changed].tolist()]
    return Cells(label.name, rows[changed], _stored(exact, kind, _form(label)))


def _stored(texts: Sequence[str], kind: pa.DataType, form: NumberForm | None) -> pa.Array:
    """Numbers as an array of the type of the label column."""
    if is_text(kind):
        return pa.array([text if form is None else form.write(text) for text in texts], kind)
    if pa.types.is_decimal(kind):
        return pa.array([decimal.Decimal(text) for text in texts], kind)
    if pa.types.is_integer(kind):
        return pa.array([int(text) for text in texts], kind)
    if pa.types.is_floating(kind):
        return pa.array([float(text) for text in texts], pa.float64()).cast(kind)
    raise UsageError(f"--relabel: the label is stored as {kind}, which holds no predicted number")


def _decimal_places(label: LabelColumn) -> int | None:
    """The most digits after the point that a label has; None where some are written with an exponent."""
    kind = label.stored.type
    if pa.types.is_integer(kind):
        return 0
    if pa.types.is_decimal(kind):
        return int(kind.scale)
    texts = label.stored.cast(pa.string()) if is_text(kind) else as_text(label.stored.combine_chunks())
    if pc.any(pc.match_substring(texts, "e", ignore_case=True)).as_py():
        return None
    form = _form(label)
    plain = pc.utf8_trim_whitespace(texts) if form is None else form.plain(texts)
    digits = pc.utf8_length(pc.replace_substring_regex(plain, r"^[^.]*[.]?", ""))
    return int(pc.max(digits).as_py())


def _form(label: LabelColumn) -> NumberForm | None:
    form = _alone(label).form(label.name)
    return form if isinstance(form, NumberForm) else None


def _alone(label: LabelColumn) -> Table:
    """A table of nothing but the label."""
    data = pa.table({label.name: label.stored})
    return Table(data, "the table", "parquet", None, None, decimal_comma=label.decimal_comma)
