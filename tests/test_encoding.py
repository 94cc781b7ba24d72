"""Encoding: what columns become, at which weight, and what is refused."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lossval_cli.errors import CellError, SchemaError
from lossval_cli.features.encoder import Block, Encoder
from lossval_cli.tables.table import Table, read_table

Floats = npt.NDArray[np.floating]

COLOURS = ["red", "green", "blue", "grey", "pink"]


def table(columns: Mapping[str, object], name: str = "train.parquet") -> Table:
    return Table(pa.table(dict(columns)), name, "parquet", None, None)


def fit_one(values: object) -> tuple[Encoder, Floats]:
    data = table({"x": values})
    encoder = Encoder.fit(data, ["x"])
    return encoder, encoder.transform(data)


def total_variance(block: Floats) -> float:
    return float(block.astype(np.float64).var(axis=0).sum())


def mixed(rows: int = 400, seed: int = 0) -> dict[str, pa.Array]:
    """One column of every kind, some with missing cells."""
    rng = np.random.default_rng(seed)
    words = np.array(
        [
            "garden",
            "river",
            "station",
            "old",
            "new",
            "quiet",
            "corner",
            "light",
            "terrace",
            "north",
            "park",
            "harbour",
        ]
    )
    gone = rng.random(rows) < 0.2
    start = dt.datetime(2019, 1, 1)
    return {
        "amount": pa.array(rng.lognormal(3, 1, rows)),
        "amount_gaps": pa.array(rng.normal(5, 2, rows), mask=gone),
        "checked": pa.array(rng.random(rows) < 0.3),
        "colour": pa.array(rng.choice(COLOURS, rows)),
        "colour_gaps": pa.array(rng.choice(COLOURS, rows), mask=gone),
        "count": pa.array(rng.integers(0, 4, rows)),
        "note": pa.array([" ".join(row) for row in rng.choice(words, (rows, 9))], mask=gone),
        "shop": pa.array([f"shop {i}" for i in rng.integers(0, 90, rows)]),
        "when": pa.array([start + dt.timedelta(hours=int(h)) for h in rng.integers(0, 20_000, rows)], mask=gone),
    }


@pytest.mark.slow
def test_every_kind_is_recognised() -> None:
    columns = mixed()
    encoder = Encoder.fit(table(columns), sorted(columns))
    assert encoder.types == {
        "amount": "number",
        "amount_gaps": "number",
        "checked": "boolean",
        "colour": "category",
        "colour_gaps": "category",
        "count": "number",
        "note": "text",
        "shop": "category",
        "when": "date",
    }
    widths = {block.column: block.stop - block.start for block in encoder.blocks}
    assert widths == {
        "amount": 1,
        "amount_gaps": 2,
        "checked": 1,
        "colour": 5,
        "colour_gaps": 6,
        "count": 1,
        "note": 33,
        "shop": 16,
        "when": 8,
    }
    assert encoder.notices == (
        "column note reads as free text: 33 numbers from its n-grams",
        "column shop has 90 levels: hashed to 16 numbers",
    )


@pytest.mark.slow
def test_blocks_tile_the_matrix_in_feature_order() -> None:
    columns = mixed()
    encoder = Encoder.fit(table(columns), sorted(columns))
    X = encoder.transform(table(columns))
    assert X.dtype == np.float32
    assert X.shape == (400, encoder.width)
    assert [block.column for block in encoder.blocks] == sorted(columns)
    assert [block.start for block in encoder.blocks] == [0, *(block.stop for block in encoder.blocks[:-1])]
    assert encoder.blocks[0] == Block("amount", "number", 0, 1)


@pytest.mark.slow
def test_every_block_weighs_the_same() -> None:
    columns = mixed(3_000)
    encoder = Encoder.fit(table(columns), sorted(columns))
    X = encoder.transform(table(columns))
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 3_000, (2, 40_000))
    for block in encoder.blocks:
        part = X[:, block.start : block.stop].astype(np.float64)
        assert total_variance(part) == pytest.approx(1, abs=1e-5), block
        assert np.abs(part.mean(axis=0)).max() < 1e-5, block
        distance = np.sum((part[one] - part[other]) ** 2, axis=1).mean()
        assert distance == pytest.approx(2, rel=0.06), block


@pytest.mark.parametrize("levels", [2, 10, 40])
def test_a_category_weighs_as_much_as_a_number_however_many_levels(levels: int) -> None:
    encoder, X = fit_one([f"level {i % levels:02d}" for i in range(levels * 20)])
    assert X.shape[1] == levels
    assert total_variance(X) == pytest.approx(1, abs=1e-5)
    apart = np.sum((X[0] - X[1]) ** 2)
    assert apart == pytest.approx(2 / (1 - 1 / levels), rel=1e-5)
    assert encoder.notices == ()


# Numbers


@pytest.mark.parametrize("sample", ["normal", "uniform"])
def test_ordinary_numbers_come_out_as_plainly_standardised(sample: str) -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(7, 3, 4_000) if sample == "normal" else rng.uniform(-1, 9, 4_000)
    _, X = fit_one(values)
    np.testing.assert_allclose(X[:, 0], (values - values.mean()) / values.std(), atol=2e-3)


def test_an_ordinary_outlier_is_not_clipped_and_an_absurd_one_does_not_swamp() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=2_000)
    values[:4] = 5.0, 8.0, 1e6, -1e300
    _, X = fit_one(values)
    assert 4.5 < X[0, 0] < 5 < X[1, 0] < 8 < X[2, 0] <= 10
    assert -10 <= X[3, 0] < -8
    assert X[4:, 0].std() == pytest.approx(1, abs=0.07)


def test_a_column_that_is_mostly_one_value_keeps_deviation_one() -> None:
    rng = np.random.default_rng(4)
    for share in (0.5, 0.75, 0.9, 0.97):
        values = np.where(rng.random(5_000) < share, 0.0, rng.lognormal(8, 1.5, 5_000))
        _, X = fit_one(values)
        assert X.std() == pytest.approx(1, abs=0.05)
        assert np.abs(X).max() <= 10.0001
        assert len(np.unique(X)) > (1 - share) * 4_000


def test_a_nearly_constant_column_stays_within_ten() -> None:
    values = np.zeros(10_000)
    values[:3] = 1, 2, 3
    _, X = fit_one(values)
    assert np.abs(X).max() == pytest.approx(10, abs=1e-4)
    assert X[0, 0] < X[1, 0] < X[2, 0]
    assert np.abs(fit_one(values > 2)[1]).max() == pytest.approx(10, abs=1e-4)


def test_large_integers_keep_small_differences() -> None:
    rng = np.random.default_rng(5)
    small = rng.integers(0, 50, 500)
    np.testing.assert_allclose(fit_one(small + 10**12)[1], fit_one(small)[1], atol=1e-6)


@pytest.mark.slow
@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.integers(-1_000, 1_000), min_size=2, max_size=60).filter(lambda v: len(set(v)) > 1),
    st.floats(1e-280, 1e280),
    st.integers(-(10**9), 10**9),
)
@example([0, 0, 0, 1], 1e280, 0)
def test_the_unit_of_a_number_does_not_matter(whole: list[int], unit: float, shift: int) -> None:
    _, X = fit_one(np.array(whole, np.float64))
    np.testing.assert_allclose(fit_one(np.array(whole) * unit)[1], X, atol=2e-6, rtol=2e-6)
    np.testing.assert_allclose(fit_one(np.array(whole) + float(shift))[1], X, atol=2e-6, rtol=2e-6)
    np.testing.assert_allclose(fit_one(-np.array(whole, np.float64))[1], -X, atol=2e-6, rtol=2e-6)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=40),
    st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=10),
)
@example([0.0, 5e-324], [1.7e308, None])
@example([1.7e308, -1.7e308, None, 0.0], [5e-324])
@example([0.0, 0.0, 1e-320, 1e-320, 1.0], [-1.7e308])
@example([None, 3.0, 3.0], [4.0, None])
def test_numbers_are_finite_whatever_they_are(train: list[float | None], later: list[float | None]) -> None:
    data = table({"x": pa.array(train, pa.float64())})
    if len(set(train)) == 1:
        with pytest.raises(SchemaError):
            Encoder.fit(data, ["x"])
        return
    encoder = Encoder.fit(data, ["x"])
    X = encoder.transform(data)
    assert np.abs(X).max() <= 10.0001
    assert total_variance(X) <= 1.0001
    assert np.isfinite(encoder.transform(table({"x": pa.array(later, pa.float64())}))).all()
    json.dumps(encoder.describe(), allow_nan=False)


def test_missing_numbers_become_the_median_and_an_indicator() -> None:
    encoder, X = fit_one(pa.array([1.0, 2.0, None, 3.0, 4.0, 5.0, None, 100.0]))
    assert X.shape == (8, 2)
    np.testing.assert_array_equal(X[2], X[6])
    assert X[2, 0] == pytest.approx(X[[3, 4], 0].mean())
    assert np.unique(X[:, 1]).size == 2
    assert X[2, 1] > X[0, 1]
    assert encoder.describe()[0]["missing_share"] == 0.25


def test_a_constant_with_gaps_is_kept_as_its_indicator() -> None:
    for values in ([1.0, None, 1.0, 1.0], ["a", None, "a", "a"], [dt.date(2020, 1, 1), None, None]):
        encoder, X = fit_one(pa.array(values))
        assert X.shape[1] in (1, 2)
        assert total_variance(X) == pytest.approx(1, abs=1e-5)
        assert encoder.notices == ()


# Categories, dates, text


def test_levels_come_in_text_order_and_missing_is_a_level() -> None:
    encoder, X = fit_one(pa.array(["b", "a", None, "b", "a", None]))
    assert encoder.describe()[0]["levels"] == ["a", "b"]
    assert np.argmax(X, axis=1).tolist() == [1, 0, 2, 1, 0, 2]


def test_rare_levels_share_a_number_which_unseen_ones_join() -> None:
    train = ["a"] * 60 + ["b"] * 60 + ["rare", "single"]
    encoder, X = fit_one(train)
    assert X.shape[1] == 3
    assert np.argmax(X[-2:], axis=1).tolist() == [2, 2]
    later = encoder.transform(table({"x": ["never seen", "b"]}))
    np.testing.assert_array_equal(later, X[[-1, 60]])


def test_an_unseen_level_is_equally_far_from_all_where_none_is_rare() -> None:
    train = ["a", "b"] * 10
    encoder, X = fit_one(train)
    val = table({"x": ["c", "a", None]}, "val.parquet")
    later = encoder.transform(val)
    assert np.sum((later[0] - X[0]) ** 2) == pytest.approx(np.sum((later[0] - X[1]) ** 2))
    np.testing.assert_array_equal(later[0], later[2])
    assert encoder.differences(val) == (
        "val.parquet: column x: 1 missing cell, training has none",
        "val.parquet: column x: 1 row with a level that no training row has",
    )
    assert encoder.differences(table({"x": train})) == ()


def test_hashed_levels_are_apart_known_or_not_and_the_same_everywhere() -> None:
    train = [f"shop {i % 120}" for i in range(1_200)]
    encoder, X = fit_one(train)
    assert encoder.describe()[0]["encoding"] == "hashed"
    distances = np.sum((X[:120, None] - X[None, :120]) ** 2, axis=2)[np.triu_indices(120, 1)]
    assert distances.min() > 0.15
    assert distances.mean() == pytest.approx(2, rel=0.05)
    later = encoder.transform(table({"x": ["shop 3", "a new one", None]}))
    np.testing.assert_array_equal(later[0], X[3])
    assert np.isfinite(later).all()
    np.testing.assert_allclose(X[0, :3], HASHED_START, atol=1e-5)


HASHED_START = [0.037258, 0.269495, 0.075258]
"""Pinned: the same on every machine and in every run, unlike Python's own hash."""


def test_cycles_are_used_only_where_dates_go_round() -> None:
    day = dt.datetime(2020, 1, 1)
    hours = [day + dt.timedelta(hours=h) for h in range(20)]
    days = [day + dt.timedelta(days=d) for d in range(30)]
    years = [day + dt.timedelta(days=d, hours=d % 24) for d in range(800)]
    cycles = [fit_one(pa.array(values))[0].describe()[0]["cycles"] for values in (hours, days, years)]
    assert cycles == [[], ["week"], ["day", "week", "year"]]


def test_dates_a_whole_cycle_apart_differ_only_in_how_late_they_are() -> None:
    start = dt.date(2021, 3, 1)
    encoder, X = fit_one(pa.array([start + dt.timedelta(days=d) for d in range(100)]))
    assert encoder.types == {"x": "date"}
    np.testing.assert_allclose(X[0, 1:], X[7, 1:], atol=1e-5)
    assert np.all(np.diff(X[:, 0]) > 0)


@pytest.mark.slow
def test_similar_texts_are_near_each_other() -> None:
    rng = np.random.default_rng(6)
    garden = ["quiet", "garden", "with", "old", "trees", "and", "a", "pond", "behind", "the", "house"]
    office = ["open", "plan", "office", "near", "central", "station", "on", "the", "fifth", "floor"]
    texts = [" ".join(rng.permutation(garden if i % 2 else office)) + f" {i}" for i in range(200)]
    encoder, X = fit_one(texts)
    assert encoder.types == {"x": "text"}
    centres = np.stack([X[::2].mean(axis=0), X[1::2].mean(axis=0)])
    nearest = np.argmin(((X[:, None] - centres) ** 2).sum(axis=2), axis=1)
    np.testing.assert_array_equal(nearest, np.arange(200) % 2)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(st.lists(st.none() | st.text(max_size=12), min_size=2, max_size=80), st.lists(st.text(), max_size=5))
def test_text_cells_are_finite_whatever_they_are(cells: list[str | None], later: list[str]) -> None:
    data = table({"x": pa.array([None if v is None else f"~{v}" for v in cells], pa.string())})
    try:
        encoder = Encoder.fit(data, ["x"])
    except SchemaError:
        assert len(set(data.typed("x").to_pylist())) == 1
        return
    X = encoder.transform(data)
    assert np.abs(X).max() <= 10.0001
    assert total_variance(X) <= 1.0001
    np.testing.assert_array_equal(X, encoder.transform(data))
    assert np.isfinite(encoder.transform(table({"x": pa.array([*later, None], pa.string())}))).all()


@pytest.mark.slow
def test_texts_without_any_word_are_harmless() -> None:
    _, X = fit_one([" ".join("!" * (i % 5 + 1) for _ in range(i + 9)) for i in range(60)])
    assert np.isfinite(X).all()


# Rows, columns, formats


@pytest.mark.slow
def test_row_order_only_permutes_rows() -> None:
    columns = mixed()
    order = np.random.default_rng(7).permutation(400)
    data = table(columns)
    shuffled = Table(data.data.take(order), "train.parquet", "parquet", None, None)
    X = Encoder.fit(data, sorted(columns)).transform(data)
    Y = Encoder.fit(shuffled, sorted(columns)).transform(shuffled)
    np.testing.assert_allclose(Y, X[order], atol=1e-5)


@pytest.mark.slow
def test_csv_and_parquet_of_one_table_are_encoded_alike(tmp_path: Path) -> None:
    data = pa.table(mixed())
    pa.csv.write_csv(data, tmp_path / "t.csv")
    pa.parquet.write_table(data, tmp_path / "t.parquet")
    encoded = []
    for name in ("t.csv", "t.parquet"):
        read = read_table(tmp_path / name)
        encoder = Encoder.fit(read, sorted(data.column_names))
        encoded.append((encoder.types, encoder.transform(read)))
    assert encoded[0][0] == encoded[1][0]
    np.testing.assert_array_equal(encoded[0][1], encoded[1][1])


@pytest.mark.parametrize(
    "dtype",
    [
        pa.int8(),
        pa.uint64(),
        pa.float16(),
        pa.float32(),
        pa.decimal128(25, 2),
        pa.duration("s"),
        pa.time32("s"),
        pa.dictionary(pa.int8(), pa.string()),
        pa.large_string(),
        pa.timestamp("ns", "Europe/Berlin"),
        pa.date64(),
    ],
    ids=str,
)
def test_stored_types_of_every_width_arrive(dtype: pa.DataType) -> None:
    whole = pa.array([3, 1, 2, 5, 4, 2, 1, 3], pa.int64())
    if pa.types.is_dictionary(dtype) or pa.types.is_large_string(dtype):
        values = pa.array([f"v{i}" for i in whole.to_pylist()]).cast(dtype)
    elif pa.types.is_timestamp(dtype) or pa.types.is_date(dtype):
        values = pa.array([dt.datetime(2020, 1, i) for i in whole.to_pylist()]).cast(dtype)
    elif pa.types.is_float16(dtype):
        values = pa.array(np.array(whole.to_pylist(), np.float16))
    else:
        values = whole.cast(pa.int32() if pa.types.is_time32(dtype) else pa.int64()).cast(dtype)
    _, X = fit_one(values)
    assert total_variance(X) == pytest.approx(1, abs=1e-5)


def test_integers_beyond_the_reach_of_float64_are_read_in_both_tables() -> None:
    values = [2**60 + i for i in (1, 5000, 90_000, 40_000)]
    encoder, X = fit_one(values)
    np.testing.assert_array_equal(encoder.transform(table({"x": values})), X)


def test_validation_may_hold_fractions_where_training_has_whole_numbers() -> None:
    encoder, X = fit_one([1, 2, 3, 4])
    later = encoder.transform(table({"x": [2.5]}))
    assert X[1, 0] < later[0, 0] < X[2, 0]


def test_missing_only_in_validation_is_imputed_with_a_notice() -> None:
    encoder, X = fit_one([1.0, 2.0, 3.0])
    val = table({"x": pa.array([None, 2.0, None])}, "val.parquet")
    np.testing.assert_array_equal(encoder.transform(val)[:, 0], np.repeat(X[1, 0], 3))
    assert encoder.differences(val) == (
        "val.parquet: column x: 2 missing cells, training has none; replaced by the training median",
    )


def test_numbers_in_another_unit_than_those_of_training_are_reported() -> None:
    """Where most are where outliers lie; a few outliers are none of it."""
    rng = np.random.default_rng(0)
    metres = rng.uniform(1, 2, 50)
    encoder, _ = fit_one(metres.tolist())
    assert encoder.differences(table({"x": (100 * metres[:20]).tolist()}, "val.csv")) == (
        "val.csv: column x: 20 of 20 numbers lie far from those of training; are they in the same unit?",
    )
    assert encoder.differences(table({"x": [*metres[:20], 1e300, -1e300]})) == ()


# What is left out and what is refused


def test_useless_columns_are_left_out_with_a_notice() -> None:
    data = table(
        {
            "constant": ["same", "same", "same"],
            "empty": pa.array([None, None, None], pa.float64()),
            "lists": [["a"], ["b"], ["c"]],
            "nothing": pa.nulls(3),
            "x": [1, 2, 3],
        }
    )
    encoder = Encoder.fit(data, data.column_names)
    assert encoder.notices == (
        "column constant is not used: every row has the same value, 'same'",
        "column empty is not used: every cell is missing",
        "column lists is not used: its cells are lists, records or bytes, not single values",
        "column nothing is not used: every cell is missing",
    )
    assert encoder.blocks == (Block("x", "number", 0, 1),)
    assert [record["type"] for record in encoder.describe()] == ["number", *["dropped"] * 4]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["a"], "train.parquet: no feature column is left to learn from: "
                "column a is not used: every row has the same value, '1'"),
        ([], "train.parquet: no feature column is left to learn from: "
             "it has only the label, ids and excluded columns"),
    ],
)  # fmt: skip
def test_no_column_left_is_an_error(features: Sequence[str], message: str) -> None:
    with pytest.raises(SchemaError) as error:
        Encoder.fit(table({"a": [1, 1]}), features)
    assert str(error.value) == message


def test_an_infinite_number_is_an_invalid_cell(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("x,y\n1,a\n2,b\n-inf,a\n")
    train = read_table(tmp_path / "train.csv")
    encoder = Encoder.fit(train, ["x"])
    assert train.column("x").invalid.tolist() == [2]
    assert encoder.transform(train).shape == (3, 1)  # the median stands in, and nothing says that it is missing
    assert "x: 1 of 3 cells is not a number: '-inf' (line 4); read as missing" in encoder.notices
    with pytest.raises(CellError, match=r"line 4, column x: '-inf' is not a number"):
        fit_one([1.0, 2.0, 3.0])[0].transform(read_table(tmp_path / "train.csv"))


def test_a_word_in_a_validation_number_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "val.csv").write_text("x,y\n1,a\nmany,b\n")
    encoder, _ = fit_one([1.0, 2.0, 3.0])
    with pytest.raises(CellError, match=r"line 3, column x: 'many' is not a number"):
        encoder.transform(read_table(tmp_path / "val.csv"))
