"""Situations of public bug reports: a table as people export it gives what the same table written cleanly gives.

Equal encoded rows and classes are asked for where the two tables hold the same values: then everything that training
makes of them is equal, too. Where a cell is lost, importance has to keep its order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Outcome

from lossval_cli.errors import DataError
from lossval_cli.features.dataset import Dataset, load_dataset
from lossval_cli.features.table_options import TableOptions
from lossval_cli.settings import Settings

N = 120
RNG = np.random.default_rng(8)
X, Z = RNG.normal(size=N).round(3), RNG.normal(size=N).round(3)
Y = np.where(X + Z + RNG.normal(scale=0.3, size=N) > 0, "yes", "no")


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(columns: dict[str, Sequence[object]], name: str = "t.csv", **how: object) -> str:
    pd.DataFrame(columns).to_csv(name, index=False, **how)  # type: ignore[call-overload]
    return name


def load(table: str, val: str | None = None, **options: object) -> Dataset:
    return load_dataset(table, val, options=TableOptions(**options), settings=Settings())  # type: ignore[arg-type]


def assert_same(one: Dataset, other: Dataset) -> None:
    assert (one.roles.features, one.encoder.types) == (other.roles.features, other.encoder.types)
    np.testing.assert_array_equal(one.train.X[:], other.train.X[:])
    assert one.train.y is not None and other.train.y is not None
    np.testing.assert_array_equal(one.train.y, other.train.y)


def base(**columns: Sequence[object]) -> dict[str, Sequence[object]]:
    return {"x": X, "z": Z, **columns, "label": Y}


@pytest.mark.slow
def test_the_first_of_a_month_is_no_day_of_january() -> None:
    month, year = RNG.integers(1, 13, N), RNG.integers(2015, 2024, N)
    forms = ("{y}-{m:02}-01", "01.{m:02}.{y}", "01/{m:02}/{y}", "1.{m}.{y}", "{m:02}.{y}", "{y}{m:02}", "{y}年{m}月1日")
    read = [load(write(base(when=[f.format(m=m, y=y) for m, y in zip(month, year, strict=True)]))) for f in forms]
    for other in read[1:]:
        assert_same(read[0], other)


PRICES = RNG.integers(200, 5000, N)
HOURS = [datetime.fromtimestamp(1.6e9 + 3600 * int(v), UTC) for v in PRICES]
SPELLINGS: dict[str, tuple[list[str], list[str]]] = {
    "thousands with commas": ([str(v) for v in PRICES], [f"{v:,}" for v in PRICES]),
    "thousands with points": ([str(v) for v in PRICES], [f"{v:,}".replace(",", ".") for v in PRICES]),
    "thousands with apostrophes": ([str(v) for v in PRICES], [f"{v:,}".replace(",", "'") for v in PRICES]),
    "decimal commas": ([f"{v:.2f}" for v in X], [f"{v:.2f}".replace(".", ",") for v in X]),
    "per cent": ([f"{float(f'{v:.2f}') / 100:.4f}" for v in X], [f"{v:.2f}%" for v in X]),
    "dollars": ([f"{v}.50" for v in PRICES], [f"${v:,}.50" for v in PRICES]),
    "Excel's accounting format": (
        [f"{v:.2f}" for v in X],
        [f" $({-v:.2f})" if v < 0 else f" $ {v:.2f} " for v in X],
    ),
    "euros": ([f"{v}.50" for v in PRICES], [f"{v},50 €" for v in PRICES]),
    "a unit": ([str(v) for v in PRICES], [f"{v} kg" for v in PRICES]),
    "negative behind": ([f"{v:.2f}" for v in X], [f"{-v:.2f}-" if v < 0 else f"{v:.2f}" for v in X]),
    "typographic minus": ([f"{v:.2f}" for v in X], [f"{v:.2f}".replace("-", "\u2212") for v in X]),
    "uncertainty": ([f"{v:.2f}" for v in X], [f"{v:.2f} ± 0.1" for v in X]),
    "powers of ten": ([f"{v:.3e}" for v in X], [f"{v:.3e}".replace("e", " × 10^") for v in X]),
    "pandas' timedelta": (
        [str(86400 + 60 * v) for v in PRICES],
        [f"1 days {v // 60:02}:{v % 60:02}:00" if v < 1440 else str(pd.Timedelta(minutes=1440 + v)) for v in PRICES],
    ),
    "durations of ISO 8601": ([str(60 * v) for v in PRICES], [f"PT{v // 60}H{v % 60}M" for v in PRICES]),
    "American times": ([f"{v:%Y-%m-%d %H:%M}" for v in HOURS], [f"{v:%m/%d/%Y %I:%M %p}" for v in HOURS]),
    "JavaScript's times": ([f"{v:%Y-%m-%d %H:%M}" for v in HOURS], [f"{v:%m/%d/%Y, %I:%M}\u202f{v:%p}" for v in HOURS]),
    "Chinese times": (
        [f"{v:%Y-%m-%d %H:%M}" for v in HOURS],
        [f"{v.year}/{v.month}/{v.day} {'上午' if v.hour < 12 else '下午'} {v:%I:%M}" for v in HOURS],
    ),
    "Korean dates": ([f"{v:%Y-%m-%d}" for v in HOURS], [f"{v.year}. {v.month}. {v.day}." for v in HOURS]),
    "times of photographs": ([f"{v:%Y-%m-%d %H:%M:%S}" for v in HOURS], [f"{v:%Y:%m:%d %H:%M:%S}" for v in HOURS]),
    "times without marks": ([f"{v:%Y-%m-%d %H:%M:%S}" for v in HOURS], [f"{v:%Y%m%d%H%M%S}" for v in HOURS]),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_column_is_the_same_however_it_is_written(spelling: str) -> None:
    plain, written = SPELLINGS[spelling]
    clean = load(write(base(v=plain)))
    for separator in (",", ";"):
        read = load(write(base(v=written), sep=separator))
        np.testing.assert_allclose(clean.train.X[:], read.train.X[:], atol=1e-5)
        assert clean.encoder.types["v"] == read.encoder.types["v"] != "text"


@pytest.mark.slow
def test_what_looks_like_a_number_and_is_a_code_stays_text() -> None:
    codes = {
        "exponent": [f"{v % 9 + 1}E{v % 90 + 10}" for v in PRICES],
        "leading_zero": [f"{v:05}" for v in PRICES],
        "chapter": [f"{v % 12 + 1}.{v % 28 + 1}.{v % 60 + 10}" for v in PRICES],
        "cas": [f"{v}-{v % 90 + 10}-{v % 10}" for v in PRICES],
        "score": [f"{v % 5}-{v % 4}" for v in PRICES],
    }
    kinds = load(write(base(**codes))).encoder.types
    assert {kinds[name] for name in codes} <= {"text", "category"}, kinds


def test_three_decimals_among_whole_numbers_are_decimals_unless_zeros_are_written() -> None:
    fixed = [f"{10 + v / 1000:.3f}" for v in PRICES]
    assert load(write(base(v=fixed))).train.table.column("v").values[0].as_py() == float(fixed[0])
    stripped = [f"{v / 1000:g}" for v in PRICES]
    assert load(write(base(v=stripped))).train.table.column("v").values[0].as_py() == float(stripped[0])


@pytest.mark.parametrize("kind", ["whole", "decimals, one missing", "one twice", "index of two frames", "letters"])
def test_a_number_of_the_row_is_an_id_where_rows_are_sorted_by_label(kind: str) -> None:
    order = np.argsort(Y, kind="stable")
    columns = {name: np.asarray(cells)[order] for name, cells in base().items()}
    ids = [str(1001 + i) for i in range(N)]
    name = "customer_id"
    if kind == "decimals, one missing":
        ids = [f"{v}.0" for v in ids[:50]] + [""] + [f"{v}.0" for v in ids[51:]]
    elif kind == "one twice":
        ids[51] = ids[50]
    elif kind == "index of two frames":
        name, ids = "", [str(i) for i in [*range(N // 3), *range(N - N // 3)]]
    elif kind == "letters":
        ids = [f"C-{v}" for v in ids]
    assert_same(load(write(columns)), load(write({name: ids, **columns}, "with_id.csv")))


@pytest.mark.parametrize("name", ["amount_cents", "event_time"])
def test_a_feature_by_which_the_file_is_sorted_is_a_feature(name: str) -> None:
    amounts = np.sort(RNG.choice(5_000_000, N, replace=False)) + (1_700_000_000 if name == "event_time" else 0)
    assert load(write({name: amounts, **base()})).encoder.types[name] == "number"


@pytest.mark.slow
@pytest.mark.parametrize(
    "pattern",
    [
        "refund {}",
        "我在{}号店买的商品质量很差",
        "お店{}番で買いました",
        "ซื้อจากร้านที่{}",
        "https://a.org/x?s={}",
        "Boots {}-7",
        "Petrova, A{}",
    ],
)
def test_texts_that_all_differ_are_texts(pattern: str) -> None:
    texts = [pattern.format(v * 7919 % 99991) for v in range(N)]
    assert load(write({"text": texts, **base()})).encoder.types["text"] == "text"


CLASSES: dict[str, tuple[tuple[str, str, str], int]] = {
    "quoted None": (('"None"', '"Mild"', '"Severe"'), 3),
    "leading zero": (("01", "1", "2"), 3),
    "whole and decimal": (("1", "1.0", "2"), 2),
    "exponent": (("1E2", "100", "2E1"), 3),
    "beyond 2^53": (("9007199254740992", "9007199254740993", "5"), 3),
    "twenty digits": (("89490000000000000011", "89490000000000000012", "5"), 3),
    "stars": (("1 star", "2 stars", "3 stars"), 3),
    "bands": (("1-2", "3-4", "5-6"), 3),
    "months": (("2024-01", "2024-02", "2024-03"), 3),
    "hexadecimal": (("0x1F", "0x2A", "0x3B"), 3),
    "zero width": (("good", "good\u200b", "bad"), 3),
    "composed": (("café", "cafe\u0301", "bar"), 3),
    "Cyrillic": (("A", "\u0410", "B"), 3),
    "per cent": (("10%", "20%", "30%"), 3),
}


@pytest.mark.parametrize("spelling", CLASSES)
def test_classes_are_kept_apart(spelling: str) -> None:
    names, expected = CLASSES[spelling]
    cells = [names[k] for k in np.digitize(X + Z, [-0.6, 0.6])]
    Path("t.csv").write_text("x,z,label\n" + "".join(f"{a},{b},{c}\n" for a, b, c in zip(X, Z, cells, strict=True)))
    assert load("t.csv").classes == expected


@pytest.mark.parametrize("word", ["NA", "None", "-", "?", "nan", "null"])
def test_a_class_that_is_a_word_for_missing_is_named_with_what_to_do(word: str) -> None:
    write({"x": X, "label": np.where(X > 0, word, "other")})
    with pytest.raises(DataError, match=r"one class only, 'other'.* is a class, say which words mean missing"):
        load("t.csv")


def val_pair(column: str, train: Sequence[object], val: Sequence[object], name: str | None = None) -> Dataset:
    write(base(**{column: train}), "train.csv")
    write({"x": X[::2], "z": Z[::2], name or column: val[::2], "label": Y[::2]}, "val.csv")
    return load("train.csv", "val.csv")


@pytest.mark.slow
def test_a_validation_table_is_read_in_the_words_of_training() -> None:
    rates = [f"{v:.0%}" for v in np.abs(X) / 4]
    shares = [f"{float(v[:-1]) / 100:.2f}" for v in rates]
    for train, val in ((rates, shares), (shares, rates)):
        read = val_pair("rate", train, val)
        np.testing.assert_allclose(read.val.X[:], read.train.X[:][::2], atol=1e-6)
    whens = [f"{v:%m/%d/%Y}" for v in HOURS]
    read = val_pair("when", whens, [f"{v:%Y-%m-%d}" for v in HOURS])
    np.testing.assert_allclose(read.val.X[:], read.train.X[:][::2], atol=1e-6)
    members = np.where(X > 0, "True", "False")
    for other in (("1", "0"), ("t", "f"), ("TRUE", "FALSE"), ("yes", "no")):
        read = val_pair("member", members, np.where(X > 0, *other))
        np.testing.assert_array_equal(read.val.X[:], read.train.X[:][::2])


def test_a_header_is_found_however_its_accents_are_composed() -> None:
    read = val_pair("gr\u00f6\u00dfe", PRICES, PRICES, "gro\u0308\u00dfe")
    np.testing.assert_array_equal(read.val.X[:], read.train.X[:][::2])
    assert any("which looks the same" in notice for notice in read.notices)
    write({"x": X, "gro\u0308\u00dfe": Y})
    assert load("t.csv", label="gr\u00f6\u00dfe").roles.label == "gro\u0308\u00dfe"
    write({"gro\u0308\u00dfe": Z, "gr\u00f6\u00dfe": X, "label": Y})
    assert any("columns that look alike have different names" in notice for notice in load("t.csv").notices)


def test_an_index_of_pandas_is_not_the_label() -> None:
    frame = pd.DataFrame({"x": X, "z": Z, "churn": Y})
    frame[frame.x > -1].to_parquet("t.parquet")
    assert load("t.parquet").roles.label == "churn"


@pytest.mark.slow
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_right_under_a_mark_a_sep_line_and_line_breaks_in_cells(end: str) -> None:
    text, where, line = "\ufeffsep=;" + end + "id;note;x;label" + end, [], 3
    for i in range(N):
        if i % 17 == 3:
            text, line = text + end, line + 1
        where.append(line)
        text += f'r{i};"said ""{i}""{(end + "more; text") * (i % 3)}";{X[i]};{Y[i]}{end}'
        line += 1 + i % 3
    Path("t.csv").write_bytes(text.encode())
    read = load("t.csv")
    assert read.train.table.lines is not None and read.train.table.lines.tolist() == where
    assert not any("left out" in notice for notice in read.notices)


@pytest.mark.parametrize("decimals", [8, 4, 1])
@pytest.mark.parametrize("cell", ["unknown", "#N/A", "\\N", "<0.01", "n.a.", "--", "(null)", "1.5*", "abc", "kg"])
def test_one_cell_that_does_not_fit_is_missing_and_the_column_a_number(cell: str, decimals: int) -> None:
    income = [f"{v:.{decimals}f}" for v in X + 1e-9]
    write({"income": [*income[:60], cell, *income[61:]], "z": Z, "label": Y})
    read = load("t.csv")
    assert read.encoder.types == {"income": "number", "z": "number"}
    assert read.train.table.column("income").values.null_count == 1


def test_a_cell_that_does_not_fit_counts_as_an_empty_one() -> None:
    cells = [f"{v:.4f}" for v in X]
    empty, broken = (load(write(base(income=[*cells[:60], cell, *cells[61:]]))) for cell in ("", "unknown"))
    one, other = (read.train.table.typed("income").to_pylist() for read in (empty, broken))
    assert one == other and one[60] is None
    assert empty.encoder.types == broken.encoder.types
    assert [cells.rows.tolist() for cells in broken.invalid_cells] == [[60]]
    assert not empty.invalid_cells


def test_corrections_of_a_target_with_thousands_are_written_as_numbers_of_its_size(cli: Callable[..., Outcome]) -> None:
    size = RNG.uniform(1, 10, N)
    price = (400 * size + 300 + RNG.normal(0, 20, N)).round().astype(int)
    price[:4] = (price[:4] * 2.5).astype(int)
    write({"size": size.round(2), "price": [f"{v:,}" for v in price]}, "t.tsv", sep="\t")
    read = load("t.tsv", label="price")
    assert read.roles.task == "regression"
    assert read.train.table.column("price").values.to_pylist() == price.tolist()


def test_timestamps_of_spark_keep_the_year_9999() -> None:
    moments = [datetime(9999, 12, 31) if i % 3 == 0 else datetime(2024, 1, 1 + i % 28) for i in range(N)]
    table = pa.table({"x": X, "valid_to": pa.array(moments, pa.timestamp("us")), "label": Y})
    pq.write_table(table, "t.parquet", use_deprecated_int96_timestamps=True)
    assert load("t.parquet").train.table.typed("valid_to").to_pylist() == moments
