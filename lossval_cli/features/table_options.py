"""Options of the user about columns: on the command line, in Python, or in a `[columns]` table of TOML."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, cast, get_args

from lossval_cli.errors import SettingsError, UsageError
from lossval_cli.tables.spelling import same_names
from lossval_cli.text.format import did_you_mean, format_name, quote, show
from lossval_cli.toml_text import toml_key

Role = Literal["feature", "id", "label", "exclude", "weight", "group", "time"]
ColumnKind = Literal["number", "category", "date", "text", "boolean"]
ROLES: tuple[Role, ...] = get_args(Role)
KINDS: tuple[ColumnKind, ...] = get_args(ColumnKind)


class ColumnRule(NamedTuple):
    """The role and type set for a column; None leaves them to be decided."""

    role: Role | None = None
    kind: ColumnKind | None = None


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """Options about columns and cells, handed unchanged from the command line and from `lossval_cli.score` to
    `load_dataset`.

    To add one: a field here, a field of the same name in `cli.run_options.RunOptions`, and its use below
    `load_dataset`. Everything between passes the whole object on.
    """

    label: str | None = None
    """Column to predict; None leaves the choice to `decide_roles`."""
    ids: Sequence[str] = ()
    """Columns that name rows: kept in the scores, not used as features."""
    exclude: Sequence[str] = ()
    """Columns that are not used at all."""
    features: Sequence[str] = ()
    """Columns that are features whatever they look like. Other columns are decided as usual."""
    categories: Sequence[str] = ()
    """Features whose values are names of categories, even where they are numbers."""
    weight: str | None = None
    """Column of sample weights."""
    group: str | None = None
    """Column of which rows with the same value stay together: in one fold, on one side of a hold-out."""
    time: str | None = None
    """Column of dates or numbers in whose order folds are contiguous."""
    require_labels: bool = False
    """Refuse rows without a label instead of leaving them out."""
    multi_label: str | None = None
    """The separator between the tags of a label."""
    ordered: bool | None = None
    """True if classes are steps of a scale; None: only where that is certain."""
    order: str | Sequence[str] = ()
    """The classes from one end of their scale to the other."""
    predictions: Any = None
    """Out-of-fold predictions of the user's own model for the training rows: a file, columns, or an array."""
    val_predictions: Any = None
    """The same for the validation rows."""
    columns: Mapping[str, object] = field(default_factory=dict)
    """A `[columns]` table: column -> role, type, or both. What is said by the fields above goes before it."""


def column_name(option: str, given: object) -> str | None:
    """The column that a user names, as text: pandas names columns by numbers and tuples, too.

    Raises UsageError for what names no column.
    """
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, bool) or not isinstance(given, Hashable):
        raise UsageError(f"{option} must be the name of a column, not {show(given)}")
    return str(given)


def column_names(option: str, given: object) -> tuple[str, ...]:
    """Several columns, or a single one by its name alone. Raises UsageError."""
    several = [given] if isinstance(given, str | int) else given
    if not isinstance(several, Iterable):
        raise UsageError(f"{option} must be a list of columns, not {show(given)}")
    return tuple(name for each in several if (name := column_name(option, each)) is not None)


def spelled_as(options: TableOptions, names: Sequence[str]) -> TableOptions:
    """The options with the names as the table has them, where they only look the same: an accent that is composed
    otherwise, an invisible character."""
    single = (options.label, options.weight, options.group, options.time)
    several = (*options.ids, *options.exclude, *options.features, *options.categories)
    same = same_names([*(name for name in single if name is not None), *several, *options.columns], names)
    if not same:
        return options

    def spelled(name: str | None) -> str | None:
        return None if name is None else same.get(name, name)

    def all_spelled(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(same.get(name, name) for name in names)

    return replace(
        options,
        label=spelled(options.label),
        ids=all_spelled(options.ids),
        exclude=all_spelled(options.exclude),
        features=all_spelled(options.features),
        categories=all_spelled(options.categories),
        weight=spelled(options.weight),
        group=spelled(options.group),
        time=spelled(options.time),
        columns={same.get(name, name): rule for name, rule in options.columns.items()},
    )


class AskedColumns(NamedTuple):
    """The options of the user, from all sources."""

    label: str | None
    ids: tuple[str, ...]
    exclude: tuple[str, ...]
    features: tuple[str, ...]
    weight: str | None
    group: str | None
    time: str | None
    kinds: dict[str, ColumnKind]
    named: dict[str, str]
    """Every column that is named -> by what it was: `--id`, `[columns]`."""


def asked_columns(options: TableOptions) -> AskedColumns:
    """Merge the options with the `[columns]` table, which they overrule column by column.

    Raises SettingsError for a table that cannot be read, UsageError for a column in two roles.
    """
    rules = read_columns(options.columns)
    given: list[tuple[str, Role, str]] = []
    for option, role, names in (
        ("--label", "label", options.label),
        ("--id", "id", options.ids),
        ("--exclude", "exclude", options.exclude),
        ("--feature", "feature", options.features),
        ("--category", "feature", options.categories),
        ("--weight", "weight", options.weight),
        ("--group", "group", options.group),
        ("--time", "time", options.time),
    ):
        several = () if names is None else (names,) if isinstance(names, str) else names
        given += [(name, cast(Role, role), option) for name in dict.fromkeys(several)]
    _check_apart(given)
    roles: dict[Role, list[str]] = {role: [] for role in ROLES}
    named: dict[str, str] = {}
    for name, role, option in given:
        if name not in roles[role]:
            roles[role].append(name)
        named.setdefault(name, option)
    single: tuple[Role, ...] = ("label", "weight", "group", "time")
    overruled = [role for role in single if roles[role]]
    for name, rule in rules.items():
        if rule.role is None or name in named or rule.role in overruled:
            named.setdefault(name, "[columns]")
            continue
        roles[rule.role].append(name)
        named[name] = "[columns]"
    kinds = {name: rule.kind for name, rule in rules.items() if rule.kind is not None}
    kinds |= dict.fromkeys(options.categories, "category")
    for role in single:
        if len(roles[role]) > 1:
            both = " and ".join(format_name(name) for name in roles[role][:2])
            raise UsageError(f"[columns] gives the role {role} to {both}: only one column can have it")
    one = {role: roles[role][0] if roles[role] else None for role in single}
    return AskedColumns(
        one["label"],
        tuple(roles["id"]),
        tuple(roles["exclude"]),
        tuple(roles["feature"]),
        one["weight"],
        one["group"],
        one["time"],
        kinds,
        named,
    )


def read_columns(table: object) -> dict[str, ColumnRule]:
    """A `[columns]` table -> a rule for each column it names.

    A column has a word, which is a role or a type, or a table of both: `zip = "category"`,
    `age = { role = "feature", type = "number" }`. Raises SettingsError with every problem found.
    """
    if not isinstance(table, Mapping):
        raise SettingsError([f"columns must be a table of columns, not {quote(table)}"])
    problems: list[str] = []
    rules = {str(name): _read_rule(str(name), value, problems) for name, value in table.items()}
    if problems:
        raise SettingsError(problems)
    return rules


def columns_toml(rules: Mapping[str, ColumnRule]) -> str:
    """Rules as a `[columns]` table that `read_columns` takes back unchanged."""
    lines = ["[columns]"]
    for name, rule in rules.items():
        parts = [f'{key} = "{value}"' for key, value in (("role", rule.role), ("type", rule.kind)) if value is not None]
        lines.append(f"{toml_key(name)} = {{ {', '.join(parts)} }}")
    return "\n".join(lines) + "\n"


def _read_rule(name: str, value: object, problems: list[str]) -> ColumnRule:
    where = f"columns.{toml_key(name)}"
    if isinstance(value, str):
        value = {"role" if value in ROLES else "type": value} if value in (*ROLES, *KINDS) else {"": value}
    if not isinstance(value, Mapping):
        problems.append(f"{where} must be a role, a type, or a table of both, not {quote(value)}")
        return ColumnRule()
    found: dict[str, str] = {}
    for key, word in value.items():
        allowed: tuple[str, ...] = {"role": ROLES, "type": KINDS}.get(str(key), ()) or (*ROLES, *KINDS)
        if key not in ("role", "type", ""):
            problems.append(f"{where}.{toml_key(str(key))} is unknown: a column has a role and a type")
        elif word not in allowed:
            hint = did_you_mean(str(word), allowed, "; ")
            problems.append(f"{where} must be one of {', '.join(allowed)}, not {quote(word)}{hint}")
        else:
            found[str(key)] = str(word)
    return ColumnRule(cast("Role | None", found.get("role")), cast("ColumnKind | None", found.get("type")))


_TOGETHER = ({"id", "group"}, {"id", "time"}, {"feature", "group"}, {"feature", "time"}, {"group", "time"})
"""Roles that one column may have at once: a customer number is an id and a group."""


def _check_apart(given: Sequence[tuple[str, Role, str]]) -> None:
    for i, (name, role, option) in enumerate(given):
        for other, second, other_option in given[i + 1 :]:
            if name == other and role != second and {role, second} not in _TOGETHER:
                raise UsageError(f"column {format_name(name)} is given both as {option} and as {other_option}")
