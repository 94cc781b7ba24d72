"""What each column is for: the label, ids, features; and whether two tables agree on it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.errors import SchemaError, UsageError
from lossval_cli.features.identifiers import is_unnamed, why_identifier
from lossval_cli.tables.column_types import is_text
from lossval_cli.tables.table import Table
from lossval_cli.text.format import closest_name, format_name, join_names, pluralize

Task = Literal["classification", "regression"]

LABEL_NAMES = ("label", "target", "y", "class")  # in this order, letter case aside
MAX_INTEGER_CLASSES = 20
MIN_ROWS_PER_CLASS = 5


@dataclass(frozen=True)
class Roles:
    """What each column of the training table is for. `features` are sorted by name, so the order of
    columns in a file changes nothing; `notices` tell the user what was decided for them.
    """

    label: str
    ids: tuple[str, ...]
    excluded: tuple[str, ...]
    features: tuple[str, ...]
    task: Task
    notices: tuple[str, ...]


def decide_roles(train: Table, *, label: str | None, ids: Sequence[str], exclude: Sequence[str], task: str) -> Roles:
    """Decide the roles of all columns; `task` is auto, classification or regression.

    Raises SchemaError (unknown column, no feature left, a label that holds nothing usable), UsageError (one
    column in two roles), CellError (regression on a label with a value that is no number).
    """
    ids, exclude = tuple(dict.fromkeys(ids)), tuple(dict.fromkeys(exclude))
    notices: list[str] = []
    for option, names in (
        ("--label", () if label is None else (label,)),
        ("--id", ids),
        ("--exclude", exclude),
    ):
        _check_known(train, option, names)
    _check_apart(label, ids, exclude)
    for name in ids:
        if pa.types.is_nested(train.data.schema.field(name).type):
            raise SchemaError(f"--id {format_name(name)}: its cells are lists or records, which name no row")
    if label is None:
        label, notice = _choose_label(train, (*ids, *exclude))
        notices.append(notice)
    _check_label(train, label)
    rest = [name for name in train.column_names if name not in (label, *ids, *exclude)]
    reasons = {name: why for name in rest if (why := why_identifier(train, name))}
    if len(reasons) == len(rest):  # better a doubtful feature than none
        reasons = {name: why for name, why in reasons.items() if is_unnamed(name) or "named" in why}
    for name, why in reasons.items():
        notices.append(f"id: column {format_name(name)} is not used as a feature ({why})")
    features = tuple(sorted(name for name in rest if name not in reasons))
    if not features:
        raise SchemaError(
            f"{format_name(train.name)} has no feature columns left: label {format_name(label)}, "
            f"ids {join_names((*ids, *reasons)) or 'none'}, excluded {join_names(exclude) or 'none'}"
        )
    if task == "auto":
        chosen, reason = _choose_task(train, label)
        notices.append(f"task: {chosen} ({reason}); --task decides otherwise")
    else:
        chosen = _check_task(train, label, task)
    return Roles(label, (*ids, *reasons), exclude, features, chosen, tuple(notices))


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
    """The options that go on without some features."""
    few = " ".join(f"--exclude {shlex.quote(name)}" for name in missing[:3] if format_name(name) == name)
    options = few if few.count("--exclude ") == len(missing) else "--exclude COLUMN for each"
    return f"; to go on without {'it' if len(missing) == 1 else 'them'}: {options}"


def _check_known(train: Table, option: str, names: Sequence[str]) -> None:
    for name in names:
        if name not in train.column_names:
            near = closest_name(name, train.column_names)
            hint = f"did you mean {format_name(near)}? " if near else ""
            raise SchemaError(
                f"{option} {format_name(name)}: {format_name(train.name)} has no such column; {hint}"
                f"its columns are {join_names(train.column_names)}"
            )


def _check_apart(label: str | None, ids: Sequence[str], exclude: Sequence[str]) -> None:
    for first, one, second, other in (
        ("--label", (label,), "--id", ids),
        ("--label", (label,), "--exclude", exclude),
        ("--id", ids, "--exclude", exclude),
    ):
        for name in one:
            if name is not None and name in other:
                raise UsageError(f"column {format_name(name)} is given both as {first} and as {second}")


def _choose_label(train: Table, taken: Sequence[str]) -> tuple[str, str]:
    free = [name for name in train.column_names if name not in taken]
    for wanted in LABEL_NAMES:
        for name in free:
            if name.casefold() == wanted:
                return name, f"label: column {format_name(name)}, by its name; --label names another"
    if not free:
        raise SchemaError(f"{format_name(train.name)} has no column left for the label")
    return free[-1], f"label: column {format_name(free[-1])}, the last one; --label names another"


def _check_label(train: Table, label: str) -> None:
    values = train.typed(label)
    kind = values.type
    if values.null_count == train.rows and not pa.types.is_nested(kind):
        raise SchemaError(f"{format_name(train.name)}: label column {format_name(label)} is empty in every row")
    if pa.types.is_timestamp(kind):
        raise SchemaError(
            f"{format_name(train.name)}: label column {format_name(label)} holds dates; "
            "name a label of numbers or classes with --label"
        )
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or is_text(kind)):
        raise SchemaError(
            f"{format_name(train.name)}: label column {format_name(label)} holds {kind} values; "
            "name a label of numbers or classes with --label"
        )


def _check_task(train: Table, label: str, task: str) -> Task:
    if task == "regression":
        train.typed_as(label, pa.float64())
    elif task != "classification":
        raise UsageError(f"--task {task}: must be auto, classification or regression")
    return cast(Task, task)


def _choose_task(train: Table, label: str) -> tuple[Task, str]:
    """Classes or numbers, with the reason.

    Whole numbers (also written 0.0, 1.0) are classes when there are at most 20 different ones and on average
    at least 5 rows to each; two different ones always are.
    """
    values = train.typed(label)
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
    if few or distinct <= 2:
        return "classification", f"{what} holds {pluralize(distinct, 'different whole number')}"
    return "regression", f"{what} holds {pluralize(distinct, 'different number')}"
