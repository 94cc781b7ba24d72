"""Reading: what arrives from each format, and the error of each bad file."""

from __future__ import annotations

import bz2
import datetime
import decimal
import gzip
import hashlib
import io
import os
import threading
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossval_cli import limits
from lossval_cli.errors import CellError, DataError, LossvalError, ReadError, SchemaError
from lossval_cli.tables.column_types import ColumnType
from lossval_cli.tables.table import Table, read_table


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(data: bytes | str, name: str = "t.csv") -> Table:
    Path(name).write_bytes(data.encode() if isinstance(data, str) else data)
    return read_table(name)


def typed(text: str, sep: str = ",") -> list[object]:
    """The first column of `name<sep>z` whose cells are the lines of `text`."""
    lines = [f"x{sep}z", *(f"{cell}{sep}0" for cell in text.split("\n"))]
    return read("\n".join(lines)).typed("x").to_pylist()


def test_text_stays_as_given_and_empty_cells_are_null() -> None:
    table = read('id,a,b\n007,1.50,\n008, x ,""\n')
    assert table.data.to_pylist() == [
        {"id": "007", "a": "1.50", "b": None},
        {"id": "008", "a": " x ", "b": ""},
    ]
    assert table.as_given("id").to_pylist() == ["007", "008"]
    assert (table.rows, table.column_names, table.format, table.name) == (2, ["id", "a", "b"], "csv", "t.csv")
    assert table.sha256 == hashlib.sha256(Path("t.csv").read_bytes()).hexdigest()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
def test_delimiters(delimiter: str) -> None:
    table = read("a,b,c\n1,2,3\n4,5,6\n".replace(",", delimiter))
    assert table.data.to_pydict() == {"a": ["1", "4"], "b": ["2", "5"], "c": ["3", "6"]}


def test_delimiter_is_not_fooled_by_quoted_text_or_decimal_commas() -> None:
    table = read('a;b\n"x, y, z";1,5\n"p; q, r";2,5\n')
    assert table.data.to_pydict() == {"a": ["x, y, z", "p; q, r"], "b": ["1,5", "2,5"]}
    assert table.typed("b").to_pylist() == [1.5, 2.5]
    assert read("one column of words\na b\nc\n").column_names == ["one column of words"]


def test_lines_follow_line_breaks_of_every_kind_blank_lines_and_quoted_breaks() -> None:
    table = read('\n\na,b\r\n1,"x\ny\r\nz"\r\n\r\n2,p\n\n\n3,"q\n"\r4,r')
    assert table.lines is not None
    assert table.lines.tolist() == [4, 8, 11, 13]
    assert table.lines.dtype == np.int64
    assert table.data["b"].to_pylist() == ["x\ny\r\nz", "p", "q\n", "r"]
    assert table.location(1) == "t.csv line 8"


def test_stray_quotes_are_plain_text() -> None:
    table = read('a,b\n5" pipe,"x ""y"""\n6" pipe,"two\nlines"\n"p"q",7"\n')
    assert table.data["a"].to_pylist() == ['5" pipe', '6" pipe', 'pq"']
    assert table.data["b"].to_pylist() == ['x "y"', "two\nlines", '7"']
    assert table.lines is not None
    assert table.lines.tolist() == [2, 3, 5]


def test_byte_order_mark_unnamed_columns_and_trailing_delimiters() -> None:
    table = read("\ufeff, a ,b,\n0,1,2,\n1,3,4,\n")
    assert table.column_names == ["unnamed_1", "a", "b"]
    assert read(",unnamed_1\n1,2\n").column_names == ["unnamed_1_", "unnamed_1"]


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bz2"])
def test_compressed_csv(kind: str) -> None:
    text = b"a,b\n1,2\n3,4\n"
    packed = {
        "gzip": gzip.compress(text[:8]) + gzip.compress(text[8:]),
        "bz2": bz2.compress(text),
        "zstd": _zstd(text),
    }[kind]
    table = read(packed, "t.csv.gz")
    assert table.data.to_pydict() == {"a": ["1", "3"], "b": ["2", "4"]}
    assert table.sha256 == hashlib.sha256(packed).hexdigest()


def _zstd(text: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(text)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        ("1\n-2\n+3\n ", [1, -2, 3, None]),
        ("007\nNA\n?\n-", ["007", "NA", None, "-"]),
        ("1\n2.5\n.5\n1e3", [1.0, 2.5, 0.5, 1000.0]),
        ("99999999999999999999\n1", [1e20, 1.0]),
        ("inf\n-inf\n1\nNaN", [None, None, 1.0, None]),
        ("0x1F\n2", ["0x1F", "2"]),
        ("True\nfalse\nnull", [True, False, None]),
        ("yes\nno", ["yes", "no"]),
        (" a \nnan\nb", ["a", None, "b"]),
        ("NA\nN/A", [None, None]),
        ("1_000\n2", ["1_000", "2"]),
        ("2020-01-31\n2020-02-01 10:30", ["2020-01-31 00:00", "2020-02-01 10:30"]),
        ("2020-01-31T00:00:00Z\n2020-01-31T02:00:00+02:00", ["2020-01-31 00:00", "2020-01-31 00:00"]),
        ("31/1/2020\n01/02/2020 9:05", ["2020-01-31 00:00", "2020-02-01 09:05"]),
        ("1/31/2020\n2/1/2020", ["2020-01-31 00:00", "2020-02-01 00:00"]),
        ("31.01.2020\n01.02.2020", ["2020-01-31 00:00", "2020-02-01 00:00"]),
        ("2020/1/31\n2020/02/01", ["2020-01-31 00:00", "2020-02-01 00:00"]),
        ("31/02/2020\n01/02/2020", ["31/02/2020", "01/02/2020"]),
        ("2020-01-31T10:00:00.123456789\n", ["2020-01-31 10:00", None]),
        ("31/1/20\n01/02/69 9:05", ["2020-01-31 00:00", "1969-02-01 09:05"]),
        ("1/31/20\n2/1/21", ["2020-01-31 00:00", "2021-02-01 00:00"]),
        ('"1,234.50"\n"-12"\n"1,234,567"', [1234.5, -12.0, 1234567.0]),
        ("$1200\n$ -3.50\n-$.5\nNA", [1200.0, -3.5, -0.5, None]),
        ("45%\n 7.5 %\n100%", [0.45, 0.075, 1.0]),
        ("45%\n0.45", [0.45, 0.45]),
        ("$1\n€1", ["$1", "€1"]),
        ("80 kg\n75.5kg\n-3 kg", [80.0, 75.5, -3.0]),
        ("21 °C\n-3 °C", [21, -3]),
        ('"1,200 sq ft"\n900 sq ft', [1200, 900]),
        ("1 year\n10 years", [1, 10]),
        ("3 m\n3 ms", ["3 m", "3 ms"]),
        ("80 kg\n80 lb", ["80 kg", "80 lb"]),
        ("12A\n7B", ["12A", "7B"]),
        ("A12\nA13", ["A12", "A13"]),
        ("1/31/2020 11:05 PM\n2/1/2020 12:00 AM", ["2020-01-31 23:05", "2020-02-01 00:00"]),
        ("2020-01-31 12:30 p.m.\n2020-02-01 1:00 a.m.", ["2020-01-31 12:30", "2020-02-01 01:00"]),
        ("2020-01-31 13:30 PM", ["2020-01-31 13:30 PM"]),
        ("31 Jan 2020\n1. March 2020", ["2020-01-31 00:00", "2020-03-01 00:00"]),
        ("31-JAN-2020\n01-Sept-2020 9:05", ["2020-01-31 00:00", "2020-09-01 09:05"]),
        ("31-Jan-20\n01-May-69", ["2020-01-31 00:00", "1969-05-01 00:00"]),
        ('"January 31, 2020"\nFeb. 1 2020 9:05 pm', ["2020-01-31 00:00", "2020-02-01 21:05"]),
        ("31 Jan 2020\n31 Feb 2020", ["31 Jan 2020", "31 Feb 2020"]),
        ("1'234.5\n12", [1234.5, 12.0]),
        ('"1,23,4"\n"1"', ["1,23,4", "1"]),
        ("555 123 456\n555 123 457", ["555 123 456", "555 123 457"]),
    ],
)
def test_text_is_typed_by_all_its_values(cells: str, values: list[object]) -> None:
    found = typed(cells)
    if isinstance(found[0], datetime.datetime):
        found = [f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime.datetime) else value for value in found]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        ("1,5\n2", [1.5, 2.0]),
        ("1.234,5\n1.234.567", [1234.5, 1234567.0]),
        ("1\u00a0234,5 €\n7 €", [1234.5, 7.0]),
        ("1,234.50\n7", [1234.5, 7.0]),
        ("12,5%\n3%", [0.125, 0.03]),
        ("112,2 m²\n1.080 m²", [112.2, 1080.0]),
    ],
)
def test_a_comma_is_a_decimal_one_between_semicolons_unless_the_column_says_otherwise(
    cells: str, values: list[float]
) -> None:
    text = "a;b\n" + "".join(f"{cell};x\n" for cell in cells.split("\n"))
    assert read(text, "t.csv").typed("a").to_pylist() == values


def test_the_way_train_writes_numbers_is_expected_of_other_tables() -> None:
    train, val = read("p,q\n$1.50,1\n$2,2\n", "train.csv"), read("p,q\n$3,1\nmuch,2\n", "val.csv")
    with pytest.raises(CellError, match=r"val\.csv line 3, column p: 'much' is not a number"):
        val.column_as("p", train.column("p").type)


@pytest.mark.parametrize("first_line", ["sep=;\n", "sep=;\r\n"])
def test_the_first_line_of_excel_names_the_delimiter_and_is_no_row(first_line: str) -> None:
    table = read(f"\ufeff{first_line}a;b,c\n1;2,5\n", "t.csv")
    assert table.data.to_pydict() == {"a": ["1"], "b,c": ["2,5"]}
    assert table.lines is not None and table.lines.tolist() == [3]
    with pytest.raises(ReadError, match="has a sep= line and nothing below it"):
        read(first_line, "t.csv")


def test_types_of_train_are_applied_to_another_table() -> None:
    train = read("d,n\n31/01/2020,1\n", "train.csv")
    val = read("d,n\n02/01/2020,2.5\n,x\n", "val.csv")
    days = val.column_as("d", train.column("d").type).values
    assert days.to_pylist() == [datetime.datetime(2020, 1, 2), None]
    assert val.column_as("n", ColumnType(pa.string())).values.to_pylist() == ["2.5", "x"]
    with pytest.raises(CellError) as caught:
        val.column_as("n", ColumnType(pa.float64()))
    assert str(caught.value) == "val.csv line 3, column n: 'x' is not a number"
    with pytest.raises(CellError) as caught:
        read_table(pd.DataFrame({"n": [1.0, 2.5]})).column_as("n", ColumnType(pa.timestamp("us")))
    assert str(caught.value) == "<DataFrame> row 0, column n: '1.0' is not a date"


ARROW_COLUMNS = {
    "int8": (pa.array([1, None], pa.int8()), pa.int64(), [1, None]),
    "uint64": (pa.array([2**64 - 1, 1], pa.uint64()), pa.float64(), [2.0**64, 1.0]),
    "half": (pa.array([np.float16(1.5), None], pa.float16()), pa.float64(), [1.5, None]),
    "nan": (pa.array([float("nan"), 1.0]), pa.float64(), [None, 1.0]),
    "decimal": (pa.array([decimal.Decimal("1.25"), None]), pa.float64(), [1.25, None]),
    "bool": (pa.array([True, None]), pa.bool_(), [True, None]),
    "text": (pa.array(["a", None]), pa.string(), ["a", None]),
    "large": (pa.array(["a", "b"], pa.large_string()), pa.string(), ["a", "b"]),
    "category": (pa.array(["7", None]).dictionary_encode(), pa.string(), ["7", None]),
    "number_text": (pa.array(["7", " "]), pa.int64(), [7, None]),
    "date": (
        pa.array([datetime.date(2020, 1, 2), None]),
        pa.timestamp("us"),
        [datetime.datetime(2020, 1, 2), None],
    ),
    "zoned": (
        pa.array([datetime.datetime(2020, 1, 2), None], pa.timestamp("ns", "Europe/Berlin")),
        pa.timestamp("us"),
        [datetime.datetime(2020, 1, 2), None],
    ),
    "duration": (pa.array([1500, None], pa.duration("ms")), pa.float64(), [1.5, None]),
    "time": (pa.array([3600, None], pa.time32("s")), pa.float64(), [3600.0, None]),
    "nothing": (pa.nulls(2), pa.null(), [None, None]),
    "list": (pa.array([[1], None]), pa.list_(pa.int64()), [[1], None]),
    "struct": (pa.array([{"a": 1}, None]), pa.list_(pa.null()), [None, None]),  # there, but not decoded
    "binary": (pa.array([b"\xff", None]), pa.binary(), [b"\xff", None]),
}


def test_every_stored_type_arrives_from_parquet() -> None:
    pq.write_table(pa.table({name: values for name, (values, _, _) in ARROW_COLUMNS.items()}), "t.bin")
    table = read_table("t.bin")  # known by its first bytes
    assert (table.format, table.lines, table.location(1)) == ("parquet", None, "t.bin row 1")
    for name, (_, kind, values) in ARROW_COLUMNS.items():
        column = table.typed(name)
        assert (name, column.type, column.to_pylist()) == (name, kind, values)


def test_every_pandas_type_arrives_from_a_frame() -> None:
    frame = pd.DataFrame(
        {
            "int": pd.array([1, None], "Int64"),
            "bool": pd.array([True, None], "boolean"),
            "text": pd.array(["a", None], "string"),
            "category": pd.Categorical(["u", "v"]),
            "mixed": np.array([1, "b"], dtype=object),
            "when": pd.to_datetime(["2020-01-02", None]),
            "period": pd.period_range("2020-01", periods=2, freq="M"),
            "range": pd.interval_range(0, 2),
            "float": [np.nan, 1.0],
            3: [1, 2],
        },
        index=["p", "q"],
    )
    table = read_table(frame)
    assert (table.name, table.format, table.sha256, table.lines) == ("<DataFrame>", "frame", None, None)
    found = {name: str(table.typed(name).type) for name in table.column_names}
    assert found.pop("range") == "list<item: null>"  # records are left out
    assert found == {
        "int": "int64",
        "bool": "bool",
        "text": "string",
        "category": "string",
        "mixed": "string",
        "when": "timestamp[us]",
        "period": "int64",
        "float": "double",
        "3": "int64",
    }
    assert table.typed("mixed").to_pylist() == ["1", "b"]


def test_every_kind_of_table_in_memory_is_read_alike() -> None:
    """Through Arrow's stream interface, the dataframe interchange protocol, and NumPy."""
    arrow = pa.table({"x": [1.5, None], "c": pa.array(["a", "b"]).dictionary_encode(), "label": ["u", "v"]})

    class Streams:
        def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
            return arrow.__arrow_c_stream__(requested_schema)

    class Interchanges:
        def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> object:
            return arrow.__dataframe__(nan_as_null, allow_copy)

    for source in (arrow, Streams(), Interchanges(), arrow.to_pandas()):
        table = read_table(source)
        assert table.format == "frame" and table.name == f"<{type(source).__name__}>"
        assert {name: table.typed(name).to_pylist() for name in table.column_names} == arrow.to_pydict()
    table = read_table((np.array([[1.0, 2.0], [3.0, np.nan]]), np.array(["u", "v"])))
    assert table.data.to_pydict() == {"x0": [1.0, 3.0], "x1": [2.0, None], "label": ["u", "v"]}
    for wrong, message in (
        ((np.zeros(3), np.zeros(3)), r"\(X, y\) must be of shapes \(N, D\) and \(N,\), not \(3,\) and \(3,\)"),
        (pa.table({}), "has no columns"),
        (pa.table([[1], [2]], names=["a", "a"]), "1 column name more than once: a"),
    ):
        with pytest.raises(LossvalError, match=message):
            read_table(wrong)


def test_directories_partitions_and_globs() -> None:
    for year in (2020, 2021):
        directory = Path(f"d/year={year}")
        directory.mkdir(parents=True)
        pq.write_table(pa.table({"a": [year], "b": ["x"]}), directory / "part-0.parquet")
    Path("d/_SUCCESS").touch()
    Path("d/.hidden.parquet").write_bytes(b"no")
    table = read_table("d")
    assert table.data.to_pydict() == {"a": [2020, 2021], "b": ["x", "x"], "year": ["2020", "2021"]}
    assert table.typed("year").to_pylist() == [2020, 2021]
    assert read_table("d/*/*.parquet").data.num_rows == 2
    assert read_table("d/*/*.parquet").column_names == ["a", "b", "year"]
    assert table.sha256 != read_table("d/year=2020").sha256
    read("a,b\n1,2\n", "only[1].csv")
    assert read_table("only[1].csv").rows == 1


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(b"a,b\n1,2\n")))
    table = read_table("-")
    assert (table.name, table.format, table.rows, table.location(0)) == ("<stdin>", "csv", 1, "<stdin> line 2")
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), sink)
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(sink.getvalue())))
    assert read_table("-").format == "parquet"


def test_a_named_pipe_is_read_like_a_file() -> None:
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_bytes, args=(b"a,b\n1,2\n",))
    writer.start()
    assert read_table("pipe").rows == 1
    writer.join()


def _parquet(**columns: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


BAD_FILES: dict[str, tuple[bytes | Callable[[], bytes], type[DataError], str]] = {
    "empty": (b"", ReadError, "t.csv is empty"),
    "only blanks": (b"\n \r\n", ReadError, "t.csv is empty"),
    "header only": (b"a,b\n", ReadError, "t.csv has a header and no rows"),
    "ragged short": (
        b"a,b,c\n1,2,3\n4,5\n",
        ReadError,
        "t.csv line 3: 2 fields, but the header has 3 (separated by commas)",
    ),
    "ragged long": (
        b'a\tb\n"x\ny"\t1\n\n2\t3\t4\n',
        ReadError,
        "t.csv line 5: 3 fields, but the header has 2 (separated by tabs)",
    ),
    "doubled columns": (
        b"a,b,a,b\n1,2,3,4\n",
        SchemaError,
        "t.csv has 2 column names more than once: a, b; rename them",
    ),
    "damaged UTF-8": (
        "a,b\n1,é\n2,è\n".encode() + b"2,caf\xe9\n3,\n",
        ReadError,
        "t.csv line 4: byte 0xe9 (offset 19) is not UTF-8, which the rest is; fix it, or name another encoding with "
        "--encoding",
    ),
    "utf-8 cut short": (
        b"a,b\n1,\xc3",
        ReadError,
        "t.csv line 2: byte 0xc3 (offset 6) is not UTF-8, which the rest is; fix it, or name another encoding with "
        "--encoding",
    ),
    "workbook": (
        b"PK\x03\x04rest",
        ReadError,
        "t.csv is a zip archive or an Excel workbook; save the sheet as CSV",
    ),
    "zero byte": (
        b"a,b\n1,\0\n",
        ReadError,
        "t.csv is not text: it holds a zero byte at byte 6; save it as UTF-8 CSV",
    ),
    "open quote": (
        b'a,b\n1,2\n3,"x""\n4,5\n',
        ReadError,
        "t.csv line 3: a quoted field opens here and is never closed",
    ),
    "truncated gzip": (
        gzip.compress(b"a,b\n1,2\n" * 99)[:-12],
        ReadError,
        "t.csv is a gzip file that is damaged or cut short",
    ),
    "truncated zstd": (
        _zstd(b"a,b\n1,2\n" * 99)[:-5],
        ReadError,
        "t.csv is a zstd file that is damaged or cut short",
    ),
    "truncated parquet": (
        _parquet(a=[1, 2])[:-9],
        ReadError,
        "t.csv is not a whole Parquet file; it is damaged or cut short",
    ),
    "parquet without rows": (
        _parquet(a=pa.array([], pa.int64())),
        ReadError,
        "t.csv has a header and no rows",
    ),
    "too many columns": (
        b",".join(b"%d" % n for n in range(20_001)) + b"\n",
        ReadError,
        "t.csv has 20,001 columns; at most 20,000 are read",
    ),
    "long record": (
        lambda: b"a,b\n1,2\n" + b"x" * (16 << 20) + b",2\n",
        ReadError,
        "t.csv line 3: the record is 16,777,219 bytes long; at most 16,777,216 are read",
    ),
    "zstd bomb": (
        lambda: _zstd(b"1\n" * (9 << 20)),
        ReadError,
        "t.csv would grow from %d bytes to more than 16,777,216 when decompressed and is refused; "
        "if you trust it, store it as plain CSV",
    ),
    "row bomb": (
        lambda: _parquet(a=np.zeros(9_000_000, np.int64)),
        ReadError,
        "t.csv would grow from %d bytes to more than 67,108,864 when decompressed and is refused; "
        "if you trust it, store it as plain CSV",
    ),
    "dictionary bomb": (
        lambda: _parquet(a=pa.array(["x" * 50_000] * 1_500)),
        ReadError,
        "t.csv would grow from %d bytes to more than 67,108,864 when decompressed and is refused; "
        "if you trust it, store it as plain CSV",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_reported_in_one_line(case: str) -> None:
    data, kind, message = BAD_FILES[case]
    data = data if isinstance(data, bytes) else data()
    with pytest.raises(kind) as caught:
        read(data)
    expected = message.replace("%d", f"{len(data):,}")
    assert str(caught.value) == expected
    assert "\n" not in expected
    assert caught.value.exit_code == 2


def test_bad_names_are_reported_in_one_line() -> None:
    Path("empty").mkdir()
    Path("train.csv").write_text("a,b\n1,2\n")
    Path("no.parquet").write_text("a,b\n1,2\n")
    for name, message in {
        "trian.csv": "trian.csv does not exist; did you mean train.csv?",
        "zzz": "zzz does not exist",
        "empty": "empty is a directory without Parquet or CSV files; name a file, or a glob of files",
        "*.pq": "no file matches *.pq",
        "/dev/zero": "/dev/zero is a device, not a file",
        "train.csv/x": "train.csv/x cannot be read: not a directory",
        "no.parquet": "no.parquet is not a whole Parquet file; it is damaged or cut short",
        "a\0b": "'a\\x00b' is not a file name",
        "bad\nname": "'bad\\nname' does not exist",
    }.items():
        with pytest.raises(ReadError) as caught:
            read_table(name)
        assert str(caught.value) == message


def test_parts_must_have_the_same_columns_and_types() -> None:
    Path("d").mkdir()
    pq.write_table(pa.table({"a": [1], "b": [2]}), "d/1.parquet")
    pq.write_table(pa.table({"a": [1], "c": [2]}), "d/2.parquet")
    with pytest.raises(SchemaError) as caught:
        read_table("d")
    assert str(caught.value) == "d: 2.parquet and 1.parquet differ in 2 columns: b, c"
    pq.write_table(pa.table({"a": [1], "b": [[2]]}), "d/2.parquet")
    with pytest.raises(SchemaError, match=r"column b holds list.* in 2\.parquet and int64 in 1\.parquet: store it"):
        read_table("d")


def test_frames_that_cannot_be_used() -> None:
    for frame, message in (
        (pd.DataFrame(), "<DataFrame> has no columns"),
        (pd.DataFrame({"a": []}), "<DataFrame> has no rows"),
        (
            pd.DataFrame([[1, 2]], columns=[1, "1"]),
            "<DataFrame> has 1 column name more than once: 1; rename them",
        ),
    ):
        with pytest.raises(DataError) as caught:
            read_table(frame)
        assert str(caught.value) == message


def test_repeated_text_below_the_limit_is_read_and_stays_text() -> None:
    values = [
        "left " * 400,
        "right " * 400,
    ] * 20_000  # 88 MB written out would pass the limit of a small file
    data = _parquet(a=values[:20_000])
    assert len(data) * limits.MAX_EXPANSION < limits.FREE_EXPANSION_BYTES
    table = read(data, "t.parquet")
    assert table.data["a"].type == pa.string()
    assert table.data["a"].to_pylist()[:2] == values[:2]


def test_deeply_nested_parquet_is_read_or_refused_in_one_line() -> None:
    value: object = 1
    for _ in range(80):
        value = [value]
    try:
        assert read(_parquet(a=[value]), "t.parquet").typed("a").to_pylist() == [None]
    except ReadError as error:
        assert "\n" not in str(error)


def test_categories_survive_parquet() -> None:
    pd.DataFrame({"n": pd.Categorical([3, 4]), "t": pd.Categorical(["7", "8"])}).to_parquet("t.parquet")
    table = read_table("t.parquet")
    assert [str(table.typed(name).type) for name in "nt"] == ["string", "string"]
    assert table.typed("n").to_pylist() == ["3", "4"]
