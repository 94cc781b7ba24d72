"""Columns with a meaning of their own: sample weights, groups of rows, and time."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.errors import CellError, SchemaError
from lossval_cli.features.table_options import AskedColumns
from lossval_cli.tables.column_types import is_number, is_text
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_name, pluralize, quote

WEIGHT_NAMES = re.compile(
    r"(?:sample|case|survey|instance|row|final|person|sampling|design|population|importance)_?(?:weights?|wgt|wt)|"
    r"weights|fnlwgt|pweights?",
    re.IGNORECASE,
)
"""What columns of sample weights are called. `weight` alone is a body's or a parcel's more often."""

GROUP_NAMES = re.compile(
    r"groups?|patient|subject|household|family|session|batch|site|hospital|fold|cluster|speaker|participant|"
    r"individual|person|animal",
    re.IGNORECASE,
)

FEWEST_GROUPS, FEWEST_ROWS_EACH = 10, 2

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


_SPLIT_NAMES = re.compile(
    r"(?:cv|k|train_?test|data(?:set)?)?_?(?:splits?|folds?|partition|subset)|is_?(?:train|test)", re.IGNORECASE
)
_SPLIT_VALUES = frozenset(
    {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "holdout", "hold-out"}
)


def is_split(train: Table, name: str) -> bool:
    """Return whether a column says which part of the data a row belongs to: named `split` or `fold`, or of train and
    test."""
    values = train.typed(name)
    if is_text(values.type):
        for cells in (values.slice(0, 100), values):  # the first cells decide most columns
            words = pc.unique(cells).drop_null().to_pylist()
            if not {word.casefold() for word in words} <= _SPLIT_VALUES:
                return False
        return len(words) > 1
    return bool(_SPLIT_NAMES.fullmatch(name.strip())) and not pa.types.is_nested(values.type)


def meaning_notices(train: Table, asked: AskedColumns, features: Sequence[str], label: str) -> list[str]:
    """Return notices that ask about features that are called as sample weights or groups are."""
    notices = []
    for name in features:
        if name in asked.features or name == label:
            continue
        if is_split(train, name):
            notices.append(
                f"column {quote(name)} looks like parts of the data (train and test, or folds) and is used as a "
                f"feature; --exclude {shlex.quote(name)} leaves it out, --feature {shlex.quote(name)} confirms it"
            )
        elif asked.weight is None and _is_weight_name(name) and _could_be_weight(train, name):
            notices.append(
                f"column {quote(name)} is named like sample weights and is used as a feature; "
                f"--weight {shlex.quote(name)} weights the rows by it, --feature {shlex.quote(name)} confirms it"
            )
        elif asked.group is None and GROUP_NAMES.fullmatch(name) and (count := _group_count(train, name)):
            notices.append(
                f"column {quote(name)} looks like groups of rows ({pluralize(count, 'value')} in "
                f"{pluralize(train.rows, 'row')}) and is used as a feature; --group {shlex.quote(name)} keeps the rows "
                f"of a group together, --feature {shlex.quote(name)} confirms it"
            )
    return notices


def read_weights(train: Table, column: str) -> Floats:
    """Read the column of --weight: (N,) at least 0, mean 1. Raises CellError for a cell that is not such a number,
    SchemaError where all are 0."""
    values = train.typed(column)
    if not is_number(values.type):
        raise SchemaError(f"--weight {format_name(column)}: column of {format_name(train.name)} does not hold numbers")
    numbers = pc.cast(values, pa.float64(), safe=False).to_numpy()
    wrong = np.flatnonzero(~(np.isfinite(numbers) & (numbers >= 0)))
    if len(wrong):
        row = int(wrong[0])
        given = train.as_given(column)[row].as_py()
        what = "is missing" if given is None or given == "" else f"{quote(given)} is not a number of at least 0"
        raise CellError(
            f"{train.location(row)}, column {format_name(column)}: the weight {what}; "
            f"correct or remove {pluralize(len(wrong), 'row')}"
        )
    mean = float(numbers.mean())
    if mean == 0 or not np.isfinite(mean):
        raise SchemaError(f"{format_name(train.name)}: weight column {format_name(column)} sums to {mean:g}")
    weights: Floats = (numbers / mean).astype(np.float32)
    return weights


def read_groups(train: Table, column: str) -> tuple[Indices, list[str]]:
    """Read the column of --group: (N,) group numbers 0..G-1 in order of appearance, and notices. A row without a value
    is a group of its own. Raises SchemaError where there is one group only."""
    values = train.typed(column)
    if pa.types.is_nested(values.type):
        raise SchemaError(f"--group {format_name(column)}: its cells are lists or records, which cannot be groups")
    encoded = values.combine_chunks().dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    missing = np.flatnonzero(codes < 0)
    codes[missing] = len(encoded.dictionary) + np.arange(len(missing))
    count = len(encoded.dictionary) + len(missing)
    if count < 2:
        raise SchemaError(f"--group {format_name(column)}: all rows of {format_name(train.name)} are in one group")
    notices = [f"groups: {pluralize(count, 'group')} by column {quote(column)}"]
    if len(missing):
        notices[0] += f"; {pluralize(len(missing), 'row')} without a value are groups of their own"
    if count == train.rows:
        notices.append(f"groups: every row is a group of its own in column {quote(column)}, so it changes nothing")
    return codes, notices


def read_time(train: Table, column: str) -> Indices:
    """Read the column of --time: (N,) rank of each row in time, 0..T-1, equal for equal times. Raises SchemaError for a
    column that holds neither dates nor numbers, or one time only, CellError for a missing time."""
    values = train.typed(column)
    kind = values.type
    if not (pa.types.is_timestamp(kind) or is_number(kind)):
        raise SchemaError(
            f"--time {format_name(column)}: column of {format_name(train.name)} holds neither dates nor numbers"
        )
    if values.null_count:
        row = int(np.flatnonzero(values.is_null().to_numpy())[0])
        raise CellError(
            f"{train.location(row)}, column {format_name(column)}: the time is missing or cannot be read "
            f"({pluralize(values.null_count, 'such row')}); correct or remove it"
        )
    numbers = values.cast(pa.int64()) if pa.types.is_timestamp(kind) else values
    order = np.unique(numbers.to_numpy(), return_inverse=True)[1].reshape(-1).astype(np.int64)
    if not order.any():
        raise SchemaError(f"--time {format_name(column)}: all rows of {format_name(train.name)} have the same time")
    return order


def _is_weight_name(name: str) -> bool:
    return bool(WEIGHT_NAMES.fullmatch(name.strip().replace(" ", "_")))


def _could_be_weight(train: Table, name: str) -> bool:
    values = train.typed(name)
    if not is_number(values.type) or values.null_count:
        return False
    least = pc.min(values).as_py()
    return bool(least >= 0)


def _group_count(train: Table, name: str) -> int | None:
    values = train.typed(name)
    if pa.types.is_nested(values.type):
        return None
    distinct: int = pc.count_distinct(values, mode="only_valid").as_py()
    return distinct if FEWEST_GROUPS <= distinct <= train.rows / FEWEST_ROWS_EACH else None
