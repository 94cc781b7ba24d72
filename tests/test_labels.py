"""Labels: classes and targets as numbers and back, and every label that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossval_cli.errors import CellError, LossvalError, SchemaError
from lossval_cli.features.labels import ClassLabels, NumberLabels
from lossval_cli.features.roles import Roles
from lossval_cli.tables.table import Table, read_table

ROLES = Roles("y", (), (), ("x",), "classification", ())


def csv(folder: Path, labels: str, name: str = "train.csv") -> Table:
    """A CSV table whose label column has these space-separated cells, named without its folder."""
    rows = "".join(f"{i},{cell.replace('_', '')}\n" for i, cell in enumerate(labels.split()))
    (folder / name).write_text(f"x,y\n{rows}")
    read = read_table(folder / name)
    return Table(read.data, name, "csv", read.lines, read.sha256)


def stored(labels: object, name: str = "train.parquet") -> Table:
    return Table(pa.table({"y": labels}), name, "parquet", None, None)


# Classes


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ("10 9 10 9 2 2", ("2", "9", "10")),
        ("b a b a", ("a", "b")),
        ("10 9 x 10 9 x", ("10", "9", "x")),
        ("1.0 0.0 1.0 0.0", ("0.0", "1.0")),
        ("True False True", ("False", "True")),
        ("yes no no", ("no", "yes")),
        ("-1 +1 -1", ("-1", "+1")),
    ],
)
def test_classes_are_in_order_and_named_as_given(tmp_path: Path, labels: str, names: tuple[str, ...]) -> None:
    train = csv(tmp_path, labels)
    classes = ClassLabels.fit(train, ROLES)
    assert classes.names == names
    encoded = classes.encode(train)
    assert encoded.dtype == np.int64
    assert classes.decode(encoded) == labels.split()
    assert classes.counts.tolist() == [labels.split().count(name) for name in names]


@pytest.mark.parametrize(
    "labels",
    [
        pa.array(["b", "a", "b", "a"]),
        pa.array(["b", "a", "b", "a"]).dictionary_encode(),
        pa.array([True, False, True, False]),
        pa.array([7, 3, 7, 3], pa.uint8()),
        pa.array([1.5, -2.5, 1.5, -2.5], pa.float32()),
    ],
    ids=lambda labels: str(labels.type),
)
def test_stored_types_of_labels(labels: pa.Array) -> None:
    train = stored(labels)
    classes = ClassLabels.fit(train, ROLES)
    assert classes.encode(train).tolist() == [1, 0, 1, 0]
    assert classes.decode(np.array([1, 0])) == [str(labels[0].as_py()), str(labels[1].as_py())]


def test_numeric_labels_match_by_value_in_another_table(tmp_path: Path) -> None:
    classes = ClassLabels.fit(csv(tmp_path, "0 1 2 0 1 2"), ROLES)
    assert classes.encode(csv(tmp_path, "2.0 0.0 1", "val.csv"), "validation").tolist() == [2, 0, 1]
    assert classes.encode(stored(pa.array([1.0, 2.0]))).tolist() == [1, 2]
    assert classes.encode(stored(pa.array(["1", "2"]))).tolist() == [1, 2]


def test_a_text_class_that_looks_like_a_number_in_validation_alone(tmp_path: Path) -> None:
    classes = ClassLabels.fit(csv(tmp_path, "1 2 x 1 2 x"), ROLES)
    assert classes.encode(csv(tmp_path, "2 1", "val.csv"), "validation").tolist() == [1, 0]


def test_pandas_categories_and_missing_values() -> None:
    frame = pd.DataFrame({"y": pd.Categorical(["hi", "lo", "hi", "lo"], categories=["lo", "hi"])})
    assert ClassLabels.fit(read_table(frame), ROLES).names == ("hi", "lo")


def test_classes_of_one_row_are_pointed_out(tmp_path: Path) -> None:
    assert ClassLabels.fit(csv(tmp_path, "a b b b c c"), ROLES).notices == ("label 'a': one training row only",)
    assert ClassLabels.fit(csv(tmp_path, "a a b b"), ROLES).notices == ()


def test_classes_that_differ_in_case_and_blanks_alone_are_reported(tmp_path: Path) -> None:
    """A table of Yes, YES and yes is scored as it is, but nobody who meant one class is left to find out."""
    table = csv(tmp_path, "Yes YES no yes Yes YES no yes")
    assert ClassLabels.fit(table, ROLES).notices == (
        "label y: 'YES' and 'Yes' and 'yes' count as 3 different classes: spell them alike if they are the same",
    )


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["a", "b", "c", "é", "Z", "10", "9"]), min_size=6, max_size=40))
def test_encoding_and_decoding_is_the_identity(cells: list[str]) -> None:
    train = stored(pa.array([*cells, "a", "b", "a", "b"]))
    try:
        classes = ClassLabels.fit(train, ROLES)
    except SchemaError:
        assert len(set(cells)) > len(cells) / 2
        return
    assert classes.decode(classes.encode(train)) == train.data["y"].to_pylist()
    assert int(classes.counts.sum()) == train.rows


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        ("_ _ _", SchemaError, "train.csv: label column y is missing in every row; "
                               "name another column with --label"),
        ("a _ b NA", CellError, "train.csv line 3, column y: the label is missing (2 such rows in all); "
                                "fill it in or remove the row"),
        ("1 _ 2 1 2", CellError, "train.csv line 3, column y: the label is missing (1 such row in all); "
                                 "fill it in or remove the row"),
        ("1 NaN 2 1 2", CellError, "train.csv line 3, column y: the label is missing (1 such row in all); "
                                   "fill it in or remove the row; if 'NaN' is a label, quote it or name the words that "
                                   "mean missing with --missing"),
        ("a a a", SchemaError, "train.csv: label column y has one class only, 'a': "
                               "there is nothing to learn; name another column with --label"),
        ("1.0 0.0 inf 1.0 0.0", CellError, "train.csv line 4, column y: label 'inf' is not a number "
                                           "(1 such row in all); correct or remove the row"),
        ("1 2 3 4 5", SchemaError, "train.csv: label column y has 5 different values in 5 rows, "
                                   "too many for classes; use --task regression"),
        ("a b c d", SchemaError, "train.csv: label column y has 4 different values in 4 rows, "
                                 "too many for classes; name another column with --label"),
    ],
)  # fmt: skip
def test_class_labels_that_cannot_be_used(tmp_path: Path, labels: str, kind: type[LossvalError], message: str) -> None:
    with pytest.raises(kind) as error:
        ClassLabels.fit(csv(tmp_path, labels), ROLES)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("train", "val", "message"),
    [
        ("a b a b", "a c d c", "val.csv line 3, column y: validation label 'c', 'd' is in no training row "
                               "(training has 'a', 'b'); correct or remove 3 rows"),
        ("1 2 1 2", "1 3", "val.csv line 3, column y: validation label '3' is in no training row "
                           "(training has '1', '2'); correct or remove 1 row"),
        ("1 2 1 2", "1 two", "val.csv line 3, column y: 'two' is not a number"),
        ("a b a b", "a _", "val.csv line 3, column y: the label is missing (1 such row in all); "
                           "fill it in or remove the row"),
        ("a b c d e a b c d e", "x", "val.csv line 2, column y: validation label 'x' is in no training row "
                                     "(training has 'a', 'b', 'c' and 2 more); correct or remove 1 row"),
    ],
)  # fmt: skip
def test_validation_labels_that_cannot_be_used(tmp_path: Path, train: str, val: str, message: str) -> None:
    classes = ClassLabels.fit(csv(tmp_path, train), ROLES)
    with pytest.raises(CellError) as error:
        classes.encode(csv(tmp_path, val, "val.csv"), "validation")
    assert str(error.value) == message


# Numbers


def test_a_target_is_standardised_and_comes_back(tmp_path: Path) -> None:
    train = csv(tmp_path, "1 2 3 4.5 -7")
    target = NumberLabels.fit(train, ROLES)
    values = np.array([1, 2, 3, 4.5, -7])
    assert (target.centre, target.scale) == pytest.approx((values.mean(), values.std()))
    standard = target.encode(train)
    assert standard.dtype == np.float32
    np.testing.assert_allclose(target.decode(standard), values, rtol=1e-6)
    assert target.notices == ()


@pytest.mark.parametrize("offset", [0.0, 1e12, -1e12])
def test_an_offset_does_not_swallow_the_spread(offset: float) -> None:
    small = np.random.default_rng(0).normal(size=1_000)
    train = stored(offset + small)
    target = NumberLabels.fit(train, ROLES)
    assert target.scale == pytest.approx(small.std(), rel=1e-4)
    np.testing.assert_allclose(target.encode(train), (small - small.mean()) / small.std(), atol=1e-3)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=30))
def test_targets_are_finite_whatever_they_are(values: list[float]) -> None:
    train = stored(pa.array(values))
    try:
        target = NumberLabels.fit(train, ROLES)
    except SchemaError:
        assert len(set(values)) == 1 or max(map(abs, values)) > 1e300 or np.ptp(values) < 1e-290
        return
    assert np.isfinite(target.encode(train)).all()
    assert np.isfinite(target.encode(stored(pa.array([1.7e308, -1.7e308])))).all()


@pytest.mark.parametrize(("lowest", "advice"), [(1.0, "its logarithm"), (-9.0, "something that grows more slowly")])
def test_heavy_tails_are_pointed_out(lowest: float, advice: str) -> None:
    values = np.random.default_rng(1).uniform(1, 5, size=1_000)
    values[:2] = lowest, 1e4
    (notice,) = NumberLabels.fit(stored(values), ROLES).notices
    assert notice == (
        "label y has heavy tails (a row lies 32 standard deviations from the mean): "
        f"consider predicting {advice} instead"
    )


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        ("1 _ 2", CellError, "train.csv line 3, column y: the label is missing (1 such row in all); "
                             "fill it in or remove the row"),
        ("_ _", SchemaError, "train.csv: label column y is missing in every row; "
                             "name another column with --label"),
        ("1 2 -inf inf", CellError, "train.csv line 4, column y: label '-inf' is not a number "
                                    "(2 such rows in all); correct or remove the row"),
        ("1 2 many", CellError, "train.csv line 4, column y: 'many' is not a number; "
                                "a training label must be one for --task regression"),
        ("2 2 2", SchemaError, "train.csv: label column y is 2 in every row: there is nothing to learn; "
                               "name another column with --label"),
        ("0 1e-315 0 1e-315", SchemaError, "train.csv: label column y has a standard deviation "
                                          "beyond floating point; use another unit"),
    ],
)  # fmt: skip
def test_targets_that_cannot_be_used(tmp_path: Path, labels: str, kind: type[LossvalError], message: str) -> None:
    with pytest.raises(kind) as error:
        NumberLabels.fit(csv(tmp_path, labels), ROLES)
    assert str(error.value) == message


def test_validation_targets_are_checked_too(tmp_path: Path) -> None:
    target = NumberLabels.fit(csv(tmp_path, "1 2 3"), ROLES)
    with pytest.raises(CellError, match=r"val.csv line 3, column y: 'n_a' is not a number; a validation label"):
        target.encode(stored_text(["1", "n_a"]), "validation")
    with pytest.raises(CellError, match=r"^val.csv line 2, column y: 'inf' is not a number"):
        target.encode(csv(tmp_path, "inf 1", "val.csv"), "validation")


def stored_text(cells: list[str]) -> Table:
    lines = np.arange(2, 2 + len(cells))
    return Table(pa.table({"y": cells}), "val.csv", "csv", lines, None)
