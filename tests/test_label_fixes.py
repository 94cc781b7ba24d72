"""A suggested label is written as the column writes labels: its spelling, its type, its precision."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lossval_cli.errors import UsageError
from lossval_cli.runs.label_fixes import LabelColumn, suggested_labels
from lossval_cli.tables.cell_options import CellOptions
from lossval_cli.tables.table import Table


def suggested(stored: pa.Array, task: Any, changes: dict[int, str | None], *, comma: bool = False) -> dict[int, Any]:
    """Row -> new cell, of the type of the column."""
    column = pa.chunked_array([stored[:3], stored[3:]])
    form = "csv" if pa.types.is_string(stored.type) else "parquet"
    options = CellOptions(decimal="," if comma else None)
    label = LabelColumn("label", task, Table(pa.table({"label": column}), "t", form, None, None, options=options))
    cells = suggested_labels(label, np.array(sorted(changes)), [changes[row] for row in sorted(changes)])
    assert cells.values.type == stored.type
    return dict(zip(cells.rows.tolist(), cells.values.to_pylist(), strict=True))


def array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values).dictionary_encode().cast(kind)
    return pa.array(values, kind)


@pytest.mark.parametrize(
    ("given", "changes", "expected"),
    [
        (["no", "yes", "no", "yes", "no"], {0: "yes", 1: "no", 2: "no"}, {0: "yes", 1: "no"}),
        (["1.0", "2", "1", "2", "2.00"], {0: "1.0", 2: "2", 4: "2"}, {2: "2"}),  # 1.0 and 1 are one class
        ([" a ", "b", "a", "b", "b"], {1: "a", 2: "a"}, {1: " a "}),  # as its first row writes it
        (["=1+1", "b", "=1+1", "b", "b"], {1: "'=1+1", 3: "other", 4: None}, {1: "=1+1"}),  # --safe-csv
        (["'x", "x", "'x", "x", "x"], {1: "'x", 2: "x"}, {1: "'x", 2: "x"}),
    ],
    ids=["words", "numbers", "blanks", "formulas", "apostrophes"],
)
def test_classes_of_text(given: list[str], changes: dict[int, str], expected: dict[int, str]) -> None:
    assert suggested(pa.array(given), "classification", changes) == expected


@pytest.mark.parametrize(
    ("given", "kind", "name", "value"),
    [
        ([1, 2, 1, 2, 2], pa.uint8(), "2", 2),
        ([0.5, 1.5, 0.5, 1.5, 1.5], pa.float32(), "1.5", 1.5),
        ([False, True, False, True, True], pa.bool_(), "True", True),
        (
            [Decimal("1.10"), Decimal("2.20")] * 2 + [Decimal("2.20")],
            pa.decimal128(5, 2),
            "2.20",
            Decimal("2.20"),
        ),
        (["a", "b", "a", "b", "b"], pa.dictionary(pa.int8(), pa.string()), "b", "b"),
        (["a", "b", "a", "b", "b"], pa.large_string(), "b", "b"),
    ],
)
def test_classes_of_every_type(given: list[Any], kind: pa.DataType, name: str, value: Any) -> None:
    plain = pa.array(given, pa.string()).dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else None
    stored = pa.array(given, kind) if plain is None else plain
    assert suggested(stored, "classification", {0: name, 1: name}) == {0: value}


@pytest.mark.parametrize(
    ("given", "kind", "predicted", "value"),
    [
        ([10, 20, 30, 40, 50], pa.int64(), "33.6", 34),
        ([10, 20, 30, 40, 250], pa.uint8(), "1e9", 250),  # no label lies beyond
        ([1.25, 2.5, 3.0, 4.0, 9.0], pa.float64(), "3.14159", 3.14),
        ([1e-9, 2.5, 3.0, 4.0, 9.0], pa.float64(), "3.14159", 3.14159),
        ([0.5, 2.5, 3.0, 4.0, 9.0], pa.float32(), "3.14159", np.float32(3.1)),
        ([Decimal(x) / 4 for x in range(5)], pa.decimal128(6, 3), "0.33333", Decimal("0.333")),
        (["10", "20", "30", "40", "50"], pa.string(), "33.6", "34"),
        (["1.50", "2.5", "3", "4", "9"], pa.string(), "3.14159", "3.14"),
        (["1e2", "2.5", "3", "4", "9"], pa.string(), "3.14159", "3.14159"),
        (["-3", "-1.5", "0", "4", "9"], pa.string(), "-0.01", "0.0"),
    ],
)
def test_numbers_are_as_precise_as_the_column(given: list[Any], kind: pa.DataType, predicted: str, value: Any) -> None:
    found = suggested(pa.array(given, kind), "regression", {1: predicted})
    assert found == {1: value}
    assert type(found[1]) is type(pa.array([value], kind)[0].as_py())


def test_numbers_with_a_decimal_comma() -> None:
    stored = pa.array(["1,50", "2,5", "3", "4", "9"])
    assert suggested(stored, "regression", {0: "2.718", 4: "9"}, comma=True) == {0: "2,72"}


def test_numbers_with_a_currency_and_groups() -> None:
    given = pa.array(["$1,234.50", "$7.25", "$0.10", "$3.00", "$2,000.00"])
    assert suggested(given, "regression", {1: "1500.249"}) == {1: "$1,500.25"}


def test_numbers_with_a_unit() -> None:
    given = pa.array(["80.5 kg", "75 kg", "8.25 kg", "3 kg", "4 kg"])
    assert suggested(given, "regression", {1: "71.249"}) == {1: "71.25 kg"}


def test_a_prediction_that_is_not_known_changes_nothing() -> None:
    assert suggested(pa.array([1.5, 2.0, 3.0, 4.0]), "regression", {0: None, 1: "nan", 2: "3.04"}) == {}


@pytest.mark.parametrize("kind", [pa.dictionary(pa.int8(), pa.string()), pa.duration("s")])
def test_a_column_that_holds_no_number_is_refused(kind: pa.DataType) -> None:
    stored = array(list("12345") if pa.types.is_dictionary(kind) else [1, 2, 3, 4, 5], kind)
    with pytest.raises(UsageError, match=r"the label is stored as .*, which cannot hold a predicted number"):
        suggested(stored, "regression", {1: "3.5"})
