"""The role of each column (label, id, feature, left out), and whether two tables have the same columns."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.errors import SchemaError, UsageError
from lossval_cli.features.identifier_names import is_unnamed, says_id
from lossval_cli.features.identifiers import find_group_key, find_identifier
from lossval_cli.features.label_choice import are_counted, choose_label
from lossval_cli.features.special_columns import meaning_notices
from lossval_cli.features.table_options import AskedColumns, ColumnKind, TableOptions, asked_columns
from lossval_cli.losses import Task
from lossval_cli.tables.column_types import ColumnType, is_number, is_text
from lossval_cli.tables.stored_types import is_text_list
from lossval_cli.tables.table import Table
from lossval_cli.text.format import closest_name, did_you_mean, format_name, join_names, pluralize, quote

MAX_INTEGER_CLASSES = 20
MIN_ROWS_PER_CLASS = 5
MOST_OTHER_CLASSES = 10


@dataclass(frozen=True)
class Roles:
    """Role of each column of the training table. `features` are sorted by name, so the order of columns in a file
    changes nothing; `notices` tell the user what was decided for them.
    """

    label: str
    ids: tuple[str, ...]
    excluded: tuple[str, ...]
    features: tuple[str, ...]
    task: Task
    notices: tuple[str, ...]
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    """What the user said some columns hold."""


def decide_roles(train: Table, options: TableOptions, task: str = "auto") -> Roles:
    """Decide the roles of all columns; `task` is auto, classification or regression.

    Raises SchemaError (unknown column, no feature left, no clear label, a label that holds nothing usable),
    UsageError (one column in two roles), CellError (regression on a label with a value that is not a number).
    """
    asked = asked_columns(options)
    _check_known(train, asked)
    notices: list[str] = []
    for name in asked.ids:
        if pa.types.is_nested(train.data.schema.field(name).type):
            raise SchemaError(f"--id {format_name(name)}: its cells are lists or records, which cannot identify rows")
    meant = [name for name in (asked.weight, asked.group, asked.time) if name is not None]
    label = asked.label
    if label is None:
        label, notice = choose_label(train, (*asked.ids, *asked.exclude, *asked.features, *meant))
        notices.append(notice)
    is_tags = _is_multilabel(train, label, options)
    if not is_tags:
        _check_label(train, label)
    set_aside = {label, *asked.ids, *asked.exclude, *meant} - set(asked.features)
    rest = [name for name in train.column_names if name not in set_aside]
    undecided = [name for name in rest if name not in asked.features]
    found = {name: why for name in undecided if (why := find_identifier(train, name)) is not None}
    if len(found) == len(rest):  # better a doubtful feature than none
        found = {name: why for name, why in found.items() if is_unnamed(name) or says_id(name)}
    for name, why in found.items():
        notices.append(f"column {quote(name)} is treated as an id, not a feature ({why.describe()})")
    features = tuple(sorted(name for name in rest if name not in found))
    if not features:
        raise SchemaError(
            f"{format_name(train.name)} has no feature columns left: label {format_name(label)}, "
            f"ids {join_names((*asked.ids, *found)) or 'none'}, excluded {join_names(asked.exclude) or 'none'}"
        )
    notices += [*_key_notices(train, asked, undecided), *meaning_notices(train, asked, features, label)]
    chosen: Task
    if is_tags:
        chosen = "multilabel"
        if task != "auto":
            raise UsageError(f"--task {task}: rows of label {format_name(label)} have several tags; leave --task out")
    elif task == "auto":
        chosen, reason = _choose_task(train, label)
        notices.append(f"task: {chosen} ({reason}); --task decides otherwise")
    else:
        chosen = _check_task(train, label, task)
    return Roles(
        label=label,
        ids=(*asked.ids, *found),
        excluded=asked.exclude,
        features=features,
        task=chosen,
        notices=tuple(notices),
        weight=asked.weight,
        group=asked.group,
        time=asked.time,
        kinds=asked.kinds,
    )


def _key_notices(train: Table, asked: AskedColumns, features: Sequence[str]) -> list[str]:
    """A key that repeats says which rows belong together, which a feature of numbers does not."""
    notices = []
    for name in features:
        count = None if asked.group is not None else find_group_key(train, name)
        if count is not None:
            notices.append(
                f"column {quote(name)} looks like a key of groups ({pluralize(count, 'value')} in "
                f"{pluralize(train.rows, 'row')}) and is used as a feature; --group {shlex.quote(name)} keeps the rows "
                f"of a group together, --exclude {shlex.quote(name)} leaves it out"
            )
    return notices


def check_agreement(
    train: Table, roles: Roles, other: Table, *, needs_label: bool, can_exclude: bool = True
) -> tuple[str, ...]:
    """Check that `other` has every feature, and the label if needed; returns notices on extra columns.

    Raises SchemaError that lists what is missing, what stands there instead and, if the command has
    --exclude, how to go on without.
    """
    present = set(other.column_names)
    known = set(train.column_names)
    extra = [name for name in other.column_names if name not in known]
    needed = (*roles.features, *((roles.label,) if needs_label else ()))
    missing = [name for name in train.column_names if name in needed and name not in present]
    if missing:
        without = _without(missing) if can_exclude and roles.label not in missing else ""
        raise SchemaError(_difference(train, roles, other, missing, extra) + without)
    if not extra:
        return ()
    verb = "is" if len(extra) == 1 else "are"
    return (f"{format_name(other.name)}: {pluralize(len(extra), 'extra column')} {verb} ignored: {join_names(extra)}",)


def _difference(train: Table, roles: Roles, other: Table, missing: list[str], extra: list[str]) -> str:
    names = [f"{format_name(name)} (the label)" if name == roles.label else name for name in missing]
    text = f"{format_name(other.name)} lacks {pluralize(len(missing), 'column')} of {format_name(train.name)}: "
    text += join_names(names) if roles.label not in missing else ", ".join(names[:8])
    if not extra:
        return text
    likely = {near: name for name in missing if (near := closest_name(name, extra))}
    hints = [
        f"{format_name(name)} (for {format_name(likely[name])}?)" if name in likely else format_name(name)
        for name in extra
    ]
    hints.sort(key=lambda hint: "(for " not in hint)
    more = f" and {len(hints) - 8} more" if len(hints) > 8 else ""
    return f"{text}; it has instead: {', '.join(hints[:8])}{more}"


def _without(missing: Sequence[str]) -> str:
    """The options that leave some features out."""
    few = " ".join(f"--exclude {shlex.quote(name)}" for name in missing[:3] if format_name(name) == name)
    options = few if few.count("--exclude ") == len(missing) else "--exclude COLUMN for each"
    return f"; to continue without {'it' if len(missing) == 1 else 'them'}: {options}"


def _check_known(train: Table, asked: AskedColumns) -> None:
    for name, option in asked.named.items():
        if name not in train.column_names:
            hint = did_you_mean(name, train.column_names, " ")
            raise SchemaError(
                f"{option} {format_name(name)}: {format_name(train.name)} has no such column;{hint} "
                f"its columns are {join_names(train.column_names)}"
            )


def _is_tag_list(kind: pa.DataType) -> bool:
    """Return whether cells are lists of text or whole numbers."""
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_text_list(kind) or bool(is_list and pa.types.is_integer(kind.value_type))


def _is_multilabel(train: Table, label: str, options: TableOptions) -> bool:
    """Return whether the label holds several tags a row: cells are lists, or --multi-label says what is between
    tags."""
    kind = train.data.schema.field(label).type
    if options.multi_label is None:
        return _is_tag_list(kind) and label == options.label
    if not options.multi_label:
        raise UsageError("--multi-label needs the text between two tags, e.g. --multi-label ';'")
    if _is_tag_list(kind):
        raise UsageError(f"--multi-label: label {format_name(label)} holds lists: leave the option out")
    if not is_text(kind):
        raise UsageError(f"--multi-label: label {format_name(label)} holds no text")
    return True


def _check_label(train: Table, label: str) -> None:
    values = train.label_column(label).values
    kind = values.type
    if values.null_count == train.rows and not pa.types.is_nested(kind):
        raise SchemaError(f"{format_name(train.name)}: label column {format_name(label)} is empty in every row")
    if pa.types.is_timestamp(kind):
        raise SchemaError(
            f"{format_name(train.name)}: label column {format_name(label)} holds dates; "
            "name a label of numbers or classes with --label"
        )
    if not (is_number(kind) or pa.types.is_boolean(kind) or is_text(kind)):
        raise SchemaError(
            f"{format_name(train.name)}: label column {format_name(label)} holds {kind} values; "
            "name a label of numbers or classes with --label"
        )


def _check_task(train: Table, label: str, task: str) -> Task:
    if task == "regression":
        own = train.column(label).type
        train.column_as(label, own if is_number(own.dtype) else ColumnType(pa.float64()))
    elif task != "classification":
        raise UsageError(f"--task {task}: must be auto, classification or regression")
    return cast(Task, task)


def _choose_task(train: Table, label: str) -> tuple[Task, str]:
    """Classes or numbers, with the reason.

    Whole numbers (also written 0.0, 1.0) are classes when there are at most 20 different ones and on average
    at least 5 rows to each, and more than 10 only where they are counted from 0 or 1; two different ones always are.
    """
    values = train.label_column(label).values
    what = f"label {format_name(label)}"
    if pa.types.is_boolean(values.type):
        return "classification", f"{what} is true or false"
    if is_text(values.type):
        return "classification", f"{what} holds text"
    present = values.drop_null()
    if pa.types.is_floating(values.type) and not pc.all(pc.equal(pc.round(present), present)).as_py():
        return "regression", f"{what} holds numbers with fractions"
    distinct = pc.count_distinct(present).as_py()
    few = distinct <= MAX_INTEGER_CLASSES and distinct * MIN_ROWS_PER_CLASS <= len(present)
    few &= distinct <= MOST_OTHER_CLASSES or are_counted(present)
    if few or distinct <= 2:
        return "classification", f"{what} holds {pluralize(distinct, 'different whole number')}"
    return "regression", f"{what} holds {pluralize(distinct, 'different number')}"
