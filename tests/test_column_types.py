"""What a column is, is decided by nearly all its cells; how numbers, dates and words are read, one line a spelling."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossval_cli.errors import CellError, UsageError
from lossval_cli.features.dataset import load_dataset
from lossval_cli.features.labels import ClassLabels
from lossval_cli.features.roles import Roles
from lossval_cli.settings import Settings
from lossval_cli.tables import table as table_module
from lossval_cli.tables.cell_options import CellOptions
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.table import Table, read_table

ROLES = Roles("y", (), (), ("x",), "classification", ())
NUMBERS = [f"{(7 * i) % 40 - 20 + i / 100:.2f}" for i in range(100)]
DATES = [f"2021-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(100)]


def frame_of(**columns: list[str]) -> Table:
    """A table of text columns that knows nothing but its cells, as CSV gives it."""
    return Table(pa.table(columns), "t.csv", "csv", None, None)


def one_of(cells: list[str], cell: str) -> Table:
    return frame_of(x=[cell if i == 50 else other for i, other in enumerate(cells)])


@pytest.mark.parametrize(
    "cell",
    [
        "unknown",
        "missing",
        "#DIV/0!",
        "#VALUE!",
        "#REF!",
        "#N/A",
        "#NAME?",
        "#NUM!",
        "not available",
        "n/d",
        "tbd",
        "cm",
        "float",
        "income",
        "<0.01",
        ">100",
        "≤5",
        "~1.5",
        "1.5*",
        "1.5 [1]",
        "1.2±0.1",
        "1-2",
        "1.2.3",
        "1.O5",
        "l.25",
        "TRUE",
        "inf",
        "-Infinity",
        "0x1F",
        "12A",
        "12%",
        "abc def",
        "2021-01-01",
        "1,23,4",
        '" "',
        "¹",
        "½",
    ],
)
def test_one_cell_that_is_not_a_number_is_an_invalid_cell_of_a_number_column(cell: str) -> None:
    column = one_of(NUMBERS, cell).column("x")
    assert (column.type.dtype, column.invalid.tolist(), column.values.null_count) == (pa.float64(), [50], 1)


@pytest.mark.parametrize(
    "cell",
    [
        "",
        " ",
        "NA",
        "na",
        "N/A",
        "n.a.",
        "N.A.",
        "NaN",
        "nan",
        "-nan",
        "null",
        "NULL",
        "(null)",
        "<null>",
        "None",
        "nil",
        "\\N",
        "<NA>",
        "NaT",
        "?",
        "-",
        "--",
        "---",
        "–",
        "—",
        ".",
        "..",
        "...",
        ":",
        "*",
        "1.#QNAN",
        "-1.#IND",
        "#NV",
    ],
)
def test_a_word_for_missing_is_missing_and_not_invalid_in_a_column_of_numbers_or_dates(cell: str) -> None:
    for cells, dtype in ((NUMBERS, pa.float64()), (DATES, pa.timestamp("us"))):
        column = one_of(cells, cell).column("x")
        assert (column.type.dtype, column.invalid.tolist(), column.values.null_count) == (dtype, [], 1)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *[("−0.31", -0.31), ("–0.31", -0.31), ("(1.25)", -1.25), ("1.25-", -1.25), ("- 1.25", -1.25), ("+1.25", 1.25)],
        *[("$1.50", 1.5), ("1.50 €", 1.5), ("USD 1.50", 1.5), ("-$1.50", -1.5), ("($1.50)", -1.5), ("80 kg", 80.0)],
        *[
            ("21 °C", 21.0),
            ("1,234.5", 1234.5),
            ("1,234", 1234.0),
            ("0,35", 0.35),
            ("1.5\u00a0", 1.5),
            ("\u200b1.5", 1.5),
        ],
        *[("１．５", 1.5), ("１５", 15.0), ("٣٫٥", 3.5), ("1e3", 1000.0), ("1'234.5", 1234.5), ("1\u202f234", 1234.0)],
    ],
)
def test_a_number_that_is_written_differently_is_read_for_what_it_is(cell: str, value: float) -> None:
    column = one_of(NUMBERS, cell).column("x")
    assert (column.type.dtype, column.invalid.tolist()) == (pa.float64(), [])
    assert column.values[50].as_py() == pytest.approx(value)


def test_invalid_cells_are_listed_with_row_or_line_and_text(tmp_path: Path) -> None:
    rows = [f"{'unknown' if i in (50, 60) else 'x1' if i == 70 else cell},a" for i, cell in enumerate(NUMBERS)]
    (tmp_path / "t.csv").write_text("\n".join(["income,y", *rows]))
    assert read_table(tmp_path / "t.csv").column_notices("income") == [
        "income: 3 of 100 cells are not numbers: 'unknown' (lines 52, 62), 'x1' (line 72); read as missing"
    ]
    assert one_of(DATES, "2021-02-30").column_notices("x") == [
        "x: 1 of 100 cells is not a date: '2021-02-30' (row 50); read as missing"
    ]


@pytest.mark.parametrize(("bad", "is_number"), [(5, True), (6, False)])
def test_five_per_cent_of_the_cells_may_not_fit(bad: int, is_number: bool) -> None:
    cells = [f"w{'uvwxyz'[i]}" if i < bad else cell for i, cell in enumerate(NUMBERS)]
    column = frame_of(x=cells).column("x")
    assert pa.types.is_floating(column.type.dtype) == is_number
    assert len(column.invalid) == (bad if is_number else 0)


def test_a_word_that_says_no_value_is_known_may_fill_more_of_a_column() -> None:
    cells = ["unknown" if i % 3 == 0 else cell for i, cell in enumerate(NUMBERS)]
    column = frame_of(x=cells).column("x")
    assert (column.type.dtype, len(column.invalid), column.values.null_count) == (pa.float64(), 0, 34)
    assert column.notes == ("34 cells such as 'unknown' are read as missing",)


def test_bounds_and_footnotes_are_numbers_where_the_column_is_full_of_them() -> None:
    cells = ["<0.50" if i % 4 == 0 else f"{cell}*" if i % 4 == 1 else cell for i, cell in enumerate(NUMBERS)]
    column = frame_of(x=cells[2:]).column("x")
    assert (column.type.dtype, len(column.invalid), column.values.null_count) == (pa.float64(), 0, 0)
    assert "are read as the number, without the sign or note" in column.notes[0]


def test_codes_are_text() -> None:
    zips = [f"{(i * 977) % 100_000:05}" for i in range(200)]
    assert frame_of(x=zips).typed("x").to_pylist() == zips
    assert frame_of(x=["01", "1", "2"] * 30).typed("x").to_pylist() == ["01", "1", "2"] * 30
    diagnoses = [f"{250 + i / 100:.2f}" if i % 25 else f"V{i}" for i in range(300)]
    assert pa.types.is_string(frame_of(x=diagnoses).column("x").type.dtype)
    for codes in (
        [f"{1 + i % 12}.{1 + i % 28}.{10 + i % 60}" for i in range(300)],
        [f"{i % 5}.{i % 7}.{i % 3}" for i in range(99)],
    ):
        assert frame_of(x=codes).typed("x").to_pylist() == codes
    cas = [f"{10 + i % 20}-{i % 12 + 1:02}-{i % 90 + 10}" for i in range(300)]
    assert frame_of(x=cas).typed("x").to_pylist() == cas
    assert frame_of(x=["05" if i == 3 else str(i) for i in range(100)]).column("x").type.dtype == pa.int64()


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["950", "1,250", "12,000"], [950, 1250, 12000]),
        (["0,123", "10,456", "9,876"], [0.123, 10.456, 9.876]),
        (["1,5", "1.234,5"], [1.5, 1234.5]),
        (["1,23,456", "12,34,567"], [123456, 1234567]),
        (["$1.2K", "$3M", "$900"], [1200.0, 3e6, 900.0]),
        (["1.2K", "3M", "900"], [1200.0, 3e6, 900.0]),
        (["45%", "7.5 %"], [0.45, 0.075]),
        (["45%", "0.5"], [0.45, 0.5]),
        (["10:30", "1:02:03"], [37800.0, 3723.0]),
        (["1 234,5 €", "12 €"], [1234.5, 12.0]),
        (["1.234.567", "12.000"], [1234567, 12000]),
        (["1,250.00 CR", "45.50 DR", "7.00 CR"], [1250, -45.5, 7]),
        (["1,250.00", "45.50 Dr."], [1250, -45.5]),
    ],
)
def test_marks_of_numbers_are_decided_for_the_whole_column(cells: list[str], values: list[float]) -> None:
    found = frame_of(x=cells * 4).typed("x").to_pylist()
    assert found[: len(cells)] == pytest.approx(values)


@pytest.mark.slow
def test_other_columns_decide_where_a_column_leaves_it_open_and_options_overrule() -> None:
    open_cells = ["10,123", "9,876"] * 10
    assert frame_of(x=open_cells).typed("x")[0].as_py() == 10123
    assert "'10,123' is read as 10123 (--decimal , reads it as 10.123)" in frame_of(x=open_cells).column_notices("x")[0]
    assert frame_of(x=open_cells, z=["0,5", "1,25"] * 10).typed("x")[0].as_py() == 10.123
    asked = Table(pa.table({"x": open_cells}), "t", "csv", None, None, options=CellOptions.read(decimal=","))
    assert asked.typed("x")[0].as_py() == 10.123
    days = ["01/02/2024", "03/04/2024"] * 10
    assert frame_of(x=days).typed("x")[0].as_py() == datetime(2024, 1, 2)
    assert "--date-format DMY" in frame_of(x=days).column_notices("x")[0]
    assert frame_of(x=days, z=["31/12/2024", "30/11/2024"] * 10).typed("x")[0].as_py() == datetime(2024, 2, 1)
    asked = Table(pa.table({"x": days}), "t", "csv", None, None, options=CellOptions.read(date_format="dmy"))
    assert asked.typed("x")[0].as_py() == datetime(2024, 2, 1)


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("2024-01-02 03:04:05.123456 UTC", "2024-01-02 03:04:05.123456"),
        ("2024-01-02 03:04:05+00", "2024-01-02 03:04:05"),
        ("2024-01-02 03:04:05.5+05:30", "2024-01-01 21:34:05.500000"),
        ("2024-01-02 03:04:05.123 -0800", "2024-01-02 11:04:05.123000"),
        ("2024-01-02T03:04:05Z", "2024-01-02 03:04:05"),
        ("2024-01-02T03:04:05.123456789Z", "2024-01-02 03:04:05.123456"),
        ("2024-01-02T03:04:05+01:00[Europe/Paris]", "2024-01-02 02:04:05"),
        ("02-JAN-24 03.04.05.000000 PM", "2024-01-02 15:04:05"),
        ("02/Jan/2024:03:04:05 +0000", "2024-01-02 03:04:05"),
        ("Tue, 02 Jan 2024 03:04:05 +0000", "2024-01-02 03:04:05"),
        ("Tue, 02 Jan 2024 03:04:05 GMT", "2024-01-02 03:04:05"),
        ("Tue Jan  2 03:04:05 2024", "2024-01-02 03:04:05"),
        ("Tue Jan  2 03:04:05 UTC 2024", "2024-01-02 03:04:05"),
        ("Tue Jan 02 2024 03:04:05 GMT+0100 (Central European Standard Time)", "2024-01-02 02:04:05"),
        ("20240102T030405Z", "2024-01-02 03:04:05"),
        ("1/13/2024, 3:04:05 PM", "2024-01-13 15:04:05"),
        ("02JAN2024:03:04:05", "2024-01-02 03:04:05"),
        ("2. Januar 2024", "2024-01-02 00:00:00"),
        ("02. März 2024, 10:30 Uhr", "2024-03-02 10:30:00"),
        ("2 févr. 2024", "2024-02-02 00:00:00"),
        ("1er août 2024", "2024-08-01 00:00:00"),
        ("2 de enero de 2024", "2024-01-02 00:00:00"),
        ("2 gennaio 2024", "2024-01-02 00:00:00"),
        ("02-mrt-2024", "2024-03-02 00:00:00"),
        ("2 de fevereiro de 2024", "2024-02-02 00:00:00"),
        ("2 stycznia 2024", "2024-01-02 00:00:00"),
        ("2 января 2024", "2024-01-02 00:00:00"),
        ("January 2nd, 2024", "2024-01-02 00:00:00"),
        ("2024-Jan-02", "2024-01-02 00:00:00"),
        ("2024年1月2日", "2024-01-02 00:00:00"),
        ("2024년 1월 2일", "2024-01-02 00:00:00"),
        ("Jan 2024", "2024-01-01 00:00:00"),
        ("Jan-24", "2024-01-01 00:00:00"),
        ("2024-01", "2024-01-01 00:00:00"),
        ("2024-Q2", "2024-04-01 00:00:00"),
        ("2024-W01-2", "2024-01-02 00:00:00"),
    ],
)
def test_dates_of_databases_logs_mails_and_languages_are_dates(cell: str, moment: str) -> None:
    assert str(frame_of(x=[cell] * 3).typed("x")[0].as_py()) == moment


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        (["01.02.2024", "03.04.2024"], datetime(2024, 2, 1)),
        (["01/02/2024", "01/05/2024", "01/12/2023"], datetime(2024, 2, 1)),
        (["02/01/2024", "05/01/2024", "12/01/2023"], datetime(2024, 2, 1)),
        (["01/02/2024", "31/12/2024"], datetime(2024, 2, 1)),
        (["01/02/2024", "12/31/2024"], datetime(2024, 1, 2)),
        ([f"{day:02}/{month:02}/2024" for month in (1, 2, 3) for day in range(1, 12)], datetime(2024, 1, 1)),
    ],
)
def test_the_order_of_day_and_month_follows_from_the_whole_column(cells: list[str], first: datetime) -> None:
    column = frame_of(x=cells).column("x")
    assert (column.values[0].as_py(), column.notes) == (first, ())


def test_dates_in_two_spellings_or_orders_stay_dates() -> None:
    both = [day if i % 2 else f"{day[8:]}/{day[5:7]}/{day[:4]}" for i, day in enumerate(DATES)]
    assert frame_of(x=both).typed("x").to_pylist() == [datetime.fromisoformat(day) for day in DATES]
    days = [f"2021-{1 + i % 12:02}-{13 + i % 15:02}" for i in range(60)]
    mixed = [f"{d[8:]}/{d[5:7]}/{d[:4]}" if i % 3 else f"{d[5:7]}/{d[8:]}/{d[:4]}" for i, d in enumerate(days)]
    column = frame_of(x=mixed).column("x")
    assert column.values.to_pylist() == [datetime.fromisoformat(day) for day in days]
    assert column.notes[0].startswith("its dates are written in both orders")


@pytest.mark.parametrize("cells", [["1700000000", "1700000100"], ["2020", "2021"], ["20240102", "20240103"]])
def test_whole_numbers_are_never_dates(cells: list[str]) -> None:
    assert frame_of(x=cells * 5).column("x").type.dtype == pa.int64()


def labels_of(cells: list[str], tmp_path: Path, **options: str) -> tuple[str, ...]:
    (tmp_path / "l.csv").write_text("x,y\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells * 10)))
    table = read_table(tmp_path / "l.csv", ReadOptions(cells=CellOptions.read(**options)))
    return ClassLabels.fit(table, ROLES).names


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["01", "1", "2"], ("01", "1", "2")),
        (["1E2", "100", "2E1"], ("100", "1E2", "2E1")),
        (["9007199254740992", "9007199254740993"], ("9007199254740992", "9007199254740993")),
        (["89490000000000000011", "89490000000000000012"], ("89490000000000000011", "89490000000000000012")),
        (["0x1F", "0x2A"], ("0x1F", "0x2A")),
        (["10%", "20%", "30%"], ("10%", "20%", "30%")),
        (["2024-01", "2024-02"], ("2024-01", "2024-02")),
        (["caf\u00e9", "cafe\u0301"], ("cafe\u0301", "caf\u00e9")),
        (["A", "\uff21"], ("A", "\uff21")),
        (['"None"', '"NA"', '"-"', '"nan"'], ("-", "NA", "None", "nan")),
        (["0", "1", "unsure"], ("0", "1", "unsure")),
    ],
)
def test_labels_are_not_merged(cells: list[str], classes: tuple[str, ...], tmp_path: Path) -> None:
    assert labels_of(cells, tmp_path) == classes


def test_a_word_for_missing_is_a_class_where_the_user_says_which_words_mean_missing(tmp_path: Path) -> None:
    assert labels_of(["None", "Mild", "?"], tmp_path, missing="NA,n/d") == ("?", "Mild", "None")
    assert labels_of(["NA", "EU"], tmp_path, missing="empty") == ("EU", "NA")
    with pytest.raises(CellError, match=r"if 'None' is a label, quote it or name the words .* with --missing"):
        labels_of(["None", "Mild", "Severe"], tmp_path)


def test_a_word_for_missing_may_be_a_level_of_a_text_feature() -> None:
    countries = frame_of(x=["NA", "DE", "", "None", "?"] * 20).typed("x")
    assert countries.to_pylist()[:5] == ["NA", "DE", None, "None", None]


def test_variants_of_one_label_are_named_once() -> None:
    cells = ["Yes", "yes", "no", "No", "cafe\u0301", "caf\u00e9", "A", "\u0410", "x\u200b", "x"] * 3
    notices = ClassLabels.fit(frame_of(y=cells, x=NUMBERS[:30]), ROLES).notices
    assert len(notices) == 1
    assert "'Yes' and 'yes'" in notices[0] or "'No' and 'no'" in notices[0]
    assert notices[0].endswith("and 2 more groups count as 10 different classes: spell them alike if they are the same")


@pytest.mark.parametrize(
    "given",
    [
        {"missing": ""},
        {"missing": " , "},
        {"decimal": ";"},
        {"thousands": "x"},
        {"decimal": ",", "thousands": ","},
        {"date_format": "european"},
    ],
)
def test_options_of_cells_that_make_no_sense_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        CellOptions.read(**given)


def test_validation_is_read_as_training_was(tmp_path: Path) -> None:
    train = frame_of(x=NUMBERS)
    val = Table(pa.table({"x": [f"{i},5 cm" for i in range(40)] + ["n/d"]}), "val.csv", "csv", None, None)
    column = val.column_as("x", train.column("x").type)
    assert (column.values[3].as_py(), column.invalid.tolist()) == (3.5, [40])
    assert column.notes == ("its numbers are written with 'cm', those of training are not",)
    kilos, grams = frame_of(x=[f"{i} kg" for i in range(9)]), frame_of(x=[f"{i} g" for i in range(9)])
    with pytest.raises(CellError, match=r"'0 g' is not a number in kg, as in training \(9 of 9 cells are not\)"):
        grams.column_as("x", kilos.column("x").type)
    flags = frame_of(x=["True", "False"] * 5).column("x").type
    assert frame_of(x=["1", "0", "t", "F", "yes"]).column_as("x", flags).values.to_pylist() == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_every_column_of_every_table_is_typed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(name: str, rows: int) -> Path:
        lines = [f"{i % 17 / 10},{'abc'[i % 3]},2021-01-{1 + i % 28:02},${i}.50,{'yn'[i % 2]}" for i in range(rows)]
        (tmp_path / name).write_text("\n".join(["n,c,d,m,label", *lines]))
        return tmp_path / name

    typed: list[int] = []
    read = table_module.read_text

    def counting(text: pa.ChunkedArray, *rest: object, **named: object) -> object:
        typed.append(len(text))
        return read(text, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(table_module, "read_text", counting)
    load_dataset(write("train.csv", 60), write("val.csv", 24), settings=Settings())
    assert (typed.count(60), typed.count(24)) == (5, 5)


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=30))
def test_any_cells_are_read_without_an_error_and_none_is_lost(cells: list[str]) -> None:
    column = frame_of(x=cells).column("x")
    assert len(column.values) == len(cells)
    assert column.values.take(pa.array(column.invalid)).null_count == len(column.invalid)


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(-1e9, 1e9), min_size=12, max_size=40), st.sampled_from(["plain", "german", "us", "swiss"]))
def test_numbers_survive_being_written_in_any_countrys_way(numbers: list[float], way: str) -> None:
    form = {"plain": "{:.2f}", "german": "{:,.2f}", "us": "{:,.2f}", "swiss": "{:,.2f}"}[way]
    cells = [form.format(number) for number in numbers]
    if way == "german":
        cells = [cell.translate({ord(","): ".", ord("."): ","}) for cell in cells]
    if way == "swiss":
        cells = [cell.replace(",", "'") for cell in cells]
    found = frame_of(x=cells).typed("x").to_pylist()
    assert found == pytest.approx([round(number, 2) for number in numbers], abs=0.006)


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)), min_size=12, max_size=30),
    st.sampled_from(
        ["%Y-%m-%d %H:%M:%S", "%Y/%m/%d", "%d.%m.%Y", "%d-%b-%Y", "%B %d, %Y", "%d %b %Y %H:%M", "%Y-%m-%dT%H:%M:%SZ"]
    ),
)
def test_dates_survive_being_written_in_any_usual_way(moments: list[datetime], pattern: str) -> None:
    cells = [moment.strftime(pattern) for moment in moments]
    assert frame_of(x=cells).typed("x").to_pylist() == [datetime.strptime(cell, pattern) for cell in cells]


def test_infinite_numbers_of_a_frame_are_invalid_cells() -> None:
    column = read_table(pd.DataFrame({"x": [1.0, float("inf"), 2.5, float("nan")]})).column("x")
    assert (column.values.to_pylist(), column.invalid.tolist()) == ([1.0, None, 2.5, None], [1])
