"""Which column is what, why, and what two tables that differ are told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from lossval_cli.errors import CellError, LossvalError, SchemaError, UsageError
from lossval_cli.features.roles import Roles, check_agreement, decide_roles
from lossval_cli.tables.table import read_table

N = 60
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=N)
BINARY = np.arange(N) % 2


def decide(
    columns: dict[str, object],
    label: str | None = "y",
    ids: Sequence[str] = (),
    exclude: Sequence[str] = (),
    task: str = "auto",
) -> Roles:
    return decide_roles(read_table(pd.DataFrame(columns)), label=label, ids=ids, exclude=exclude, task=task)


@pytest.mark.parametrize(
    ("names", "label", "notice"),
    [
        (["Class", "a", "Y"], "Y", "label: column Y, by its name; --label names another"),
        (["TARGET", "a", "b"], "TARGET", "label: column TARGET, by its name; --label names another"),
        (["class", "a", "b"], "class", "label: column class, by its name; --label names another"),
        (["a", "b", "c d"], "c d", "label: column c d, the last one; --label names another"),
    ],
)
def test_label_is_found_by_name_or_place(names: list[str], label: str, notice: str) -> None:
    roles = decide(dict.fromkeys(names, NOISE), label=None)
    assert (roles.label, roles.notices[0]) == (label, notice)


def test_ids_and_exclusions_are_not_chosen_as_the_label_nor_as_features() -> None:
    roles = decide({"b": NOISE, "a": NOISE, "k": BINARY, "v": NOISE, "class": NOISE}, None, ["k"], ["class"])
    assert (roles.label, roles.ids, roles.excluded) == ("v", ("k",), ("class",))
    assert roles.features == ("a", "b")


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("unnamed_1", RNG.permutation(N) * 1000, "an unnamed index"),
        ("Unnamed: 0", range(N), "an unnamed index"),
        ("__index_level_0__", range(N), "an unnamed index"),
        ("a", RNG.permutation(N) + 5, "a running index"),
        ("when", np.sort(RNG.choice(10**9, N, replace=False)), "unique in every row and in order"),
        ("n", RNG.choice(150, N, replace=False), "unique in every row"),
        ("customerID", RNG.choice(10**9, N, replace=False), "unique in every row and named so"),
        (
            "row_key",
            [f"some long and wordy description number {n}" for n in range(N)],
            "unique in every row and named so",
        ),
        ("code", [f"K-{n:04}" for n in range(N)], "unique in every row"),
        ("person", [f"Smith, Mr. John {n}" for n in range(N)], "unique in every row"),
    ],
)
def test_columns_that_name_rows_are_ids(name: str, values: object, reason: str) -> None:
    roles = decide({name: values, "x": NOISE, "y": BINARY})
    assert (roles.ids, roles.features) == ((name,), ("x",))
    assert roles.notices[0] == f"id: column {name} is not used as a feature ({reason})"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("income", RNG.choice(10**9, N, replace=False)),
        ("id", NOISE),
        ("id", BINARY),
        ("id", [None, *range(1, N)]),
        ("review", [f"a text of five words or more, number {n}" for n in range(N)]),
        ("hash", [f"{n:065}x" for n in range(N)]),
        ("day", pd.date_range("2020-01-01", periods=N)),
        ("Width", [*range(N // 2), *range(N // 2)]),
        ("paid", BINARY == 1),
    ],
)
def test_columns_that_say_something_are_features(name: str, values: object) -> None:
    roles = decide({name: list(values), "x": NOISE, "y": BINARY})  # type: ignore[call-overload]
    assert (roles.ids, roles.features) == ((), tuple(sorted((name, "x"))))


def test_small_tables_and_only_features_are_not_taken_for_ids() -> None:
    assert decide({"a": range(5), "b": list("vwxyz"), "y": [0, 1, 0, 1, 0]}).features == ("a", "b")
    assert decide({"a": range(N), "y": BINARY}).features == ("a",)


@pytest.mark.parametrize(
    ("values", "task", "reason"),
    [
        (["a", "b"] * 30, "classification", "label y holds text"),
        (BINARY == 1, "classification", "label y is true or false"),
        (pd.Categorical(BINARY), "classification", "label y holds text"),
        (BINARY, "classification", "label y holds 2 different whole numbers"),
        (BINARY * 1.0, "classification", "label y holds 2 different whole numbers"),
        (np.arange(N) % 12, "classification", "label y holds 12 different whole numbers"),
        (np.arange(N) % 13, "regression", "label y holds 13 different numbers"),
        (np.arange(N), "regression", "label y holds 60 different numbers"),
        (BINARY + 0.5, "regression", "label y holds numbers with fractions"),
        ([np.inf, 1.0] * 30, "classification", "label y holds 2 different whole numbers"),
    ],
)
def test_task_follows_from_the_label(values: object, task: str, reason: str) -> None:
    roles = decide({"x": NOISE, "y": values})
    assert (roles.task, roles.notices[-1]) == (task, f"task: {task} ({reason}); --task decides otherwise")


BAD_ROLES: dict[str, tuple[dict[str, object], dict[str, object], type[LossvalError], str]] = {
    "label unknown": (
        {"Target": NOISE, "b": NOISE},
        {"label": "taget"},
        SchemaError,
        "--label taget: <DataFrame> has no such column; did you mean Target? its columns are Target, b",
    ),
    "id unknown": (
        {f"c{n}": NOISE for n in range(12)},
        {"ids": ["zzz"]},
        SchemaError,
        "--id zzz: <DataFrame> has no such column; its columns are c0, c1, c2, c3, c4, c5, c6, c7 and 4 more",
    ),
    "exclude unknown": (
        {"a": NOISE, "b": NOISE},
        {"exclude": ["x\ny"]},
        SchemaError,
        "--exclude 'x\\ny': <DataFrame> has no such column; its columns are a, b",
    ),
    "label as id": (
        {"a": NOISE, "y": BINARY},
        {"label": "y", "ids": ["y"]},
        UsageError,
        "column y is given both as --label and as --id",
    ),
    "id as excluded": (
        {"a": NOISE, "y": BINARY},
        {"ids": ["a"], "exclude": ["a"]},
        UsageError,
        "column a is given both as --id and as --exclude",
    ),
    "no features": (
        {"unnamed_1": range(N), "a": NOISE, "y": BINARY},
        {"exclude": ["a"]},
        SchemaError,
        "<DataFrame> has no feature columns left: label y, ids unnamed_1, excluded a",
    ),
    "only a label": (
        {"y": BINARY},
        {},
        SchemaError,
        "<DataFrame> has no feature columns left: label y, ids none, excluded none",
    ),
    "nothing for the label": (
        {"a": NOISE},
        {"exclude": ["a"]},
        SchemaError,
        "<DataFrame> has no column left for the label",
    ),
    "label all missing": (
        {"a": NOISE, "y": [np.nan] * N},
        {},
        SchemaError,
        "<DataFrame>: label column y is empty in every row",
    ),
    "label of dates": (
        {"a": NOISE, "y": pd.date_range("2020", periods=N)},
        {},
        SchemaError,
        "<DataFrame>: label column y holds dates; name a label of numbers or classes with --label",
    ),
    "label of lists": (
        {"a": NOISE, "y": [[1]] * N},
        {},
        SchemaError,
        "<DataFrame>: label column y holds list<item: int64> values; name a label of numbers or classes with --label",
    ),
    "regression on words": (
        {"a": NOISE, "y": ["1", "2", "low"] * 20},
        {"task": "regression"},
        CellError,
        "<DataFrame> row 2, column y: 'low' is not a number",
    ),
    "unknown task": (
        {"a": NOISE, "y": BINARY},
        {"task": "ranking"},
        UsageError,
        "--task ranking: must be auto, classification or regression",
    ),
}


@pytest.mark.parametrize("case", BAD_ROLES)
def test_bad_roles_are_told_in_one_line(case: str) -> None:
    columns, options, kind, message = BAD_ROLES[case]
    with pytest.raises(kind) as caught:
        decide(columns, **{"label": None, **options})  # type: ignore[arg-type]
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


TRAIN = pd.DataFrame({"row id": range(N), "age": NOISE, "zip": NOISE, "y": BINARY})


@pytest.mark.parametrize(
    ("names", "needs_label", "message"),
    [
        (
            ["age", "y"],
            True,
            "<DataFrame> lacks 1 column of <DataFrame>: zip; to go on without it: --exclude zip",
        ),
        (
            ["Age", "foo", "y"],
            True,
            "<DataFrame> lacks 2 columns of <DataFrame>: age, zip; it has instead: Age (for age?), foo; "
            "to go on without them: --exclude age --exclude zip",
        ),
        (["age", "zip"], True, "<DataFrame> lacks 1 column of <DataFrame>: y (the label)"),
        (
            ["age", "zip", "Y"],
            True,
            "<DataFrame> lacks 1 column of <DataFrame>: y (the label); it has instead: Y (for y?)",
        ),
    ],
)
def test_tables_that_disagree_are_shown_the_difference(names: list[str], needs_label: bool, message: str) -> None:
    train = read_table(TRAIN)
    roles = decide_roles(train, label="y", ids=(), exclude=(), task="auto")
    other = read_table(pd.DataFrame(dict.fromkeys(names, NOISE)))
    with pytest.raises(SchemaError) as caught:
        check_agreement(train, roles, other, needs_label=needs_label)
    assert str(caught.value) == message


def test_tables_that_agree_may_differ_in_order_ids_and_extra_columns() -> None:
    train = read_table(TRAIN)
    roles = decide_roles(train, label="y", ids=(), exclude=(), task="auto")
    assert check_agreement(train, roles, read_table(TRAIN[["zip", "y", "age"]]), needs_label=True) == ()
    assert check_agreement(train, roles, read_table(TRAIN[["zip", "age"]]), needs_label=False) == ()
    wider = read_table(TRAIN.assign(extra=1, more=2))
    assert check_agreement(train, roles, wider, needs_label=True) == (
        "<DataFrame>: 2 extra columns are ignored: extra, more",
    )
