"""Which column is what, why, and what is reported of two tables that differ."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lossval_cli.errors import CellError, LossvalError, SchemaError, UsageError
from lossval_cli.features.roles import Roles, check_agreement, decide_roles
from lossval_cli.features.table_options import ColumnRule, TableOptions, columns_toml, read_columns
from lossval_cli.tables.table import read_table

N = 60
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=N)
BINARY = np.arange(N) % 2


def decide(cells: dict[str, object], label: str | None = "y", task: str = "auto", **options: object) -> Roles:
    asked = TableOptions(label=label, **options)  # type: ignore[arg-type]
    return decide_roles(read_table(pd.DataFrame(cells)), asked, task)


CLASSES = np.array(["good", "bad"])[BINARY]
IDS = RNG.choice(10**9, N, replace=False)
TWICE = [*IDS[:-1], IDS[0]]

LABELS: dict[str, tuple[dict[str, object], str, str]] = {
    "a name that says label, the first of the list": ({"Class": CLASSES, "a": NOISE, "Y": BINARY}, "Y", "by its name"),
    "a name in capitals": ({"TARGET": NOISE, "a": NOISE}, "TARGET", "by its name"),
    "a name that ends in label": ({"true_label": CLASSES, "a": NOISE, "b": NOISE}, "true_label", "by its name"),
    "x and y are coordinates": ({"x": NOISE, "y": NOISE, "kind": CLASSES}, "kind", "the last one"),
    "classes in the last column": ({"a": NOISE, "c d": CLASSES}, "c d", "the last one"),
    "a last column that is called price": ({"a": NOISE, "unit_price": NOISE}, "unit_price", "the last one"),
    "the index of pandas comes last": (
        {"a": NOISE, "churn": CLASSES, "__index_level_0__": range(N)},
        "churn",
        "the last one that can be a label",
    ),
    "an id comes last": ({"a": NOISE, "churn": CLASSES, "id": TWICE}, "churn", "the last one that can be a label"),
    "a date comes last": (
        {"a": NOISE, "churn": CLASSES, "seen": pd.date_range("2020", periods=N)},
        "churn",
        "the last one that can be a label",
    ),
    "a constant comes last": (
        {"a": NOISE, "churn": CLASSES, "v": [1] * N},
        "churn",
        "the last one that can be a label",
    ),
}


@pytest.mark.parametrize("case", LABELS)
def test_the_label_is_found_by_name_or_as_a_last_column_of_classes(case: str) -> None:
    columns, label, why = LABELS[case]
    roles = decide(columns, label=None)
    assert (roles.label, roles.notices[0]) == (label, f"label: column {label}, {why}; --label names another")


def test_a_last_column_that_is_not_clearly_the_label_is_refused_with_the_candidates(tmp_path: Path) -> None:
    path = tmp_path / "my table.csv"
    pd.DataFrame({"id": IDS, "diagnosis": CLASSES, "radius": NOISE, "area": NOISE}).to_csv(path, index=False)
    with pytest.raises(SchemaError) as caught:
        decide_roles(read_table(path), TableOptions())
    assert str(caught.value) == (
        f"{path}: it is not clear which column is the label; name it with --label. Candidates: diagnosis (2 values), "
        f"radius (60 values), area (60 values). For example: lossval score '{path}' --label diagnosis"
    )
    with pytest.raises(SchemaError, match="name it with label='b', say"):
        decide({"a": NOISE, "b": NOISE}, label=None)


def test_a_class_beside_an_outcome_is_not_taken_for_the_label() -> None:
    tickets = np.array(["First", "Second"])[BINARY]
    with pytest.raises(SchemaError, match=r"Candidates: survived \(2 values\), class \(2 values\)"):
        decide({"survived": BINARY, "fare": NOISE, "class": tickets, "alone": CLASSES}, label=None)
    assert decide({"fare": NOISE, "class": tickets, "alone": CLASSES}, label=None).label == "class"
    assert decide({"fare": NOISE, "disease": BINARY, "class": tickets}, label=None).label == "class"


def test_keys_of_partitions_are_not_the_label(tmp_path: Path) -> None:
    for year in (2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        pd.DataFrame({"a": NOISE, "churn": CLASSES}).to_parquet(tmp_path / f"year={year}" / "part.parquet")
    assert decide_roles(read_table(tmp_path), TableOptions()).label == "churn"


def test_ids_and_exclusions_are_not_chosen_as_the_label_nor_as_features() -> None:
    columns = {"b": NOISE, "a": NOISE, "k": BINARY, "v": CLASSES, "class": NOISE}
    roles = decide(columns, None, ids=["k"], exclude=["class"])
    assert (roles.label, roles.ids, roles.excluded) == ("v", ("k",), ("class",))
    assert roles.features == ("a", "b")


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("unnamed_1", range(N), "an index without a name"),
        ("Unnamed: 0", [*range(N // 2), *range(N // 2)], "an index without a name"),
        ("__index_level_0__", range(N), "an index without a name"),
        ("a", RNG.permutation(N) + 5, "running numbers"),
        ("a", np.delete(np.arange(N + 9), RNG.choice(N, 9, replace=False)), "running numbers"),
        ("customerID", IDS, "id-like name, unique values"),
        ("CUSTOMERID", IDS, "id-like name, unique values"),
        ("userid", IDS, "id-like name, unique values"),
        ("order_no", IDS, "id-like name, unique values"),
        ("customer_nr", IDS, "id-like name, unique values"),
        ("matricule", IDS, "id-like name, unique values"),
        ("account_number", IDS, "id-like name, unique values"),
        ("客户编号", IDS, "id-like name, unique values"),
        ("고객번호", IDS, "id-like name, unique values"),
        ("Nr.", IDS, "id-like name, unique values"),
        ("№", IDS, "id-like name, unique values"),
        ("N° client", IDS, "id-like name, unique values"),
        ("Número do Cliente", IDS, "id-like name, unique values"),
        ("cod_cliente", IDS, "id-like name, unique values"),
        ("matrícula", IDS, "id-like name, unique values"),
        ("id", [None, *range(1, N)], "id-like name, unique values"),
        ("id", [None, *(f"{n}.0" for n in range(1001, 1000 + N))], "id-like name, unique values"),
        ("iccid", [f"8949{n:016d}" for n in IDS], "id-like name, unique values"),
        ("row_key", [f"some long and wordy description number {n}" for n in range(N)], "id-like name, unique values"),
        ("code", [f"K-{n:04}" for n in range(N)], "serial codes"),
        ("token", [f"{n:08x}-0000-4000-8000-{n:012x}" for n in IDS], "UUIDs"),
        ("digest", [f"a{n * 7919 % 2**60:015x}" for n in IDS], "hexadecimal keys"),
    ],
)
def test_columns_that_are_named_or_shaped_like_ids_are_ids(name: str, values: object, reason: str) -> None:
    roles = decide({name: values, "x": NOISE, "y": BINARY})
    assert (roles.ids, roles.features) == ((name,), ("x",))
    assert roles.notices[0] == f"column '{name}' is treated as an id, not a feature ({reason})"


def test_doubled_values_of_an_id_are_reported_with_their_rows() -> None:
    ids = [*range(1000, 1000 + N)]
    ids[9], ids[20] = ids[8], ids[8]
    assert decide({"id": ids, "x": NOISE, "y": BINARY}).notices[0] == (
        "column 'id' is treated as an id, not a feature "
        "(id-like name, nearly unique values; 1 value repeated: '1008' on rows 8, 9, 20)"
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("income", IDS),
        ("amount_cents", np.sort(IDS)),
        ("event_time", 1_700_000_000 + np.sort(IDS)),
        ("n", RNG.choice(150, N, replace=False)),
        ("id", NOISE),
        ("id", BINARY),
        ("paid", IDS),
        ("humid", IDS),
        ("grid", IDS),
        ("num_clientes", IDS),
        ("casino", IDS),
        ("row_height", IDS),
        ("valid", IDS),
        ("review", [f"a text of five words or more, number {n}" for n in range(N)]),
        ("person", [f"Smith, Mr. John {n}" for n in range(N)]),
        ("title", [f"Leather Boots {n}" for n in range(N)]),
        ("page", [f"https://example.org/shop?s={n}" for n in range(N)]),
        ("text", [f"质量很差{n}第二次购买" for n in range(N)]),
        ("query", [f"refund {n}" for n in range(N)]),
        ("seen", [f"2024-01-01 10:{n:02}:11.123 UTC" for n in range(N)]),
        ("seen", [f"{n % 28 + 1:02}/Jan/2024:10:{n:02}:11 +0000" for n in range(N)]),
        ("seen", pd.date_range("2020-01-01", periods=N)),
        ("phase", [f"{n % 7}:{n}" for n in range(N)]),
        ("Width", [*range(N // 2), *range(N // 2)]),
        ("weight", [f"{n} kg" for n in range(N)]),
    ],
)
def test_columns_that_say_something_are_features_although_all_their_cells_differ(name: str, values: object) -> None:
    roles = decide({name: list(values), "x": NOISE, "y": BINARY})  # type: ignore[call-overload]
    assert (roles.ids, roles.features) == ((), tuple(sorted((name, "x"))))


def test_a_key_of_groups_is_a_feature_with_a_notice() -> None:
    roles = decide({"customer_id": np.arange(N) // 4, "x": NOISE, "y": BINARY})
    assert roles.features == ("customer_id", "x")
    assert roles.notices[0] == (
        "column 'customer_id' looks like a key of groups (15 values in 60 rows) and is used as a feature; "
        "--group customer_id keeps the rows of a group together, --exclude customer_id leaves it out"
    )
    assert len(decide({"customer_id": np.arange(N) // 4, "x": NOISE, "y": BINARY}, group="customer_id").notices) == 1


def test_a_column_that_is_called_sample_weight_is_a_notice() -> None:
    columns = {"sample_weight": np.abs(NOISE), "weight": np.abs(NOISE), "y": BINARY}
    notices = [notice for notice in decide(columns).notices if "weights" in notice]
    assert notices == [
        "column 'sample_weight' is named like sample weights and is used as a feature; "
        "--weight sample_weight weights the rows by it, --feature sample_weight confirms it"
    ]
    assert decide(columns, weight="sample_weight").features == ("weight",)
    assert len(decide(columns, features=["sample_weight"]).notices) == 1


def test_every_role_can_be_overruled() -> None:
    columns = {"id": IDS, "rank": range(N), "zip": IDS, "x": NOISE, "t": range(N), "y": BINARY, "z": BINARY}
    roles = decide(columns, features=["id"], categories=["zip"], ids=["x"], time="t", exclude=["z"])
    assert (roles.ids, roles.features, roles.time) == (("x", "rank"), ("id", "zip"), "t")
    assert roles.kinds == {"zip": "category"}


def test_columns_of_a_file_have_roles_and_types_that_options_overrule() -> None:
    columns = {"a": NOISE, "b": NOISE, "c": IDS, "d": BINARY, "k": BINARY}
    table = {"a": "id", "b": {"role": "exclude"}, "c": "category", "d": {"role": "label", "type": "category"}}
    roles = decide(columns, None, columns=table)
    assert (roles.label, roles.ids, roles.excluded, roles.features) == ("d", ("a",), ("b",), ("c", "k"))
    assert roles.kinds == {"c": "category", "d": "category"}
    roles = decide(columns, "k", columns=table, features=["a"])
    assert (roles.label, roles.ids, roles.features) == ("k", (), ("a", "c", "d"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"a": "ids"},
            "columns.a must be one of feature, id, label, exclude, weight, group, time, number, category, "
            "date, text, boolean, not 'ids'; did you mean id?",
        ),
        ({"a": {"type": "int"}}, "columns.a must be one of number, category, date, text, boolean, not 'int'"),
        ({"a b": {"kind": "number"}}, 'columns."a b".kind is unknown: a column has a role and a type'),
        ({"a": 3}, "columns.a must be a role, a type, or a table of both, not '3'"),
        ({"a": "label", "b": "label"}, "[columns] gives the role label to a and b: only one column can have it"),
        ({"q": "id"}, "[columns] q: <DataFrame> has no such column; its columns are a, b, y"),
    ],
)
def test_a_table_of_columns_that_cannot_be_followed_is_refused(table: dict[str, object], message: str) -> None:
    with pytest.raises(LossvalError) as caught:
        decide({"a": NOISE, "b": NOISE, "y": BINARY}, None, columns=table)
    assert str(caught.value) == message


def test_a_written_table_of_columns_reads_back_as_it_was() -> None:
    rules = {"a b.c": ColumnRule("feature", "number"), 'say "x"': ColumnRule("id"), "é": ColumnRule(None, "date")}
    assert read_columns(tomllib.loads(columns_toml(rules))["columns"]) == rules


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
        "<DataFrame> row 2, column y: 'low' is not a number (20 of 60 cells are not)",
    ),
    "unknown task": (
        {"a": NOISE, "y": BINARY},
        {"task": "ranking"},
        UsageError,
        "--task ranking: must be auto, classification or regression",
    ),
}


@pytest.mark.parametrize("case", BAD_ROLES)
def test_bad_roles_are_reported_in_one_line(case: str) -> None:
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
            "<DataFrame> lacks 1 column of <DataFrame>: zip; to continue without it: --exclude zip",
        ),
        (
            ["Age", "foo", "y"],
            True,
            "<DataFrame> lacks 2 columns of <DataFrame>: age, zip; it has instead: Age (for age?), foo; "
            "to continue without them: --exclude age --exclude zip",
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
    roles = decide_roles(train, TableOptions(label="y"))
    other = read_table(pd.DataFrame(dict.fromkeys(names, NOISE)))
    with pytest.raises(SchemaError) as caught:
        check_agreement(train, roles, other, needs_label=needs_label)
    assert str(caught.value) == message


def test_tables_that_agree_may_differ_in_order_ids_and_extra_columns() -> None:
    train = read_table(TRAIN)
    roles = decide_roles(train, TableOptions(label="y"))
    assert check_agreement(train, roles, read_table(TRAIN[["zip", "y", "age"]]), needs_label=True) == ()
    assert check_agreement(train, roles, read_table(TRAIN[["zip", "age"]]), needs_label=False) == ()
    wider = read_table(TRAIN.assign(extra=1, more=2))
    assert check_agreement(train, roles, wider, needs_label=True) == (
        "<DataFrame>: 2 extra columns are ignored: extra, more",
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [("split", ["train", "test"]), ("part", ["Training", "Validation"]), ("fold", [0, 1]), ("kfold", [3, 4])],
)
def test_parts_of_the_data_are_no_label_and_named_as_a_feature(name: str, values: list[object]) -> None:
    roles = decide({"x": NOISE, "bought": BINARY, name: [values[i % 2] for i in range(N)]}, label=None)
    assert roles.label == "bought"
    assert any(f"column '{name}' looks like parts of the data" in notice for notice in roles.notices)
