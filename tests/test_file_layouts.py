"""One table in the layouts that programs and people write: read as it was meant, or refused in one line that helps."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lossval_cli.errors import DataError
from lossval_cli.tables.csv_rewrite import CsvOriginal
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.table import Table, read_table

RNG = np.random.default_rng(10)
N = 60
X, Z = RNG.normal(10, 2, N), RNG.normal(size=N)
CITY = RNG.choice(["Oslo", "Bergen", "Troms\u00f8"], N)
LABEL = np.where(X - 10 + 2 * Z > 0, "yes", "no")
CELLS = [[f"{x:.3f}", f"{z:.3f}", str(city), str(label)] for x, z, city, label in zip(X, Z, CITY, LABEL, strict=True)]
HEAD = "height,weight,city,label"
ROWS = [",".join(cells) for cells in CELLS]


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def text(*lines: str, end: str = "\n") -> bytes:
    return (end.join(lines) + end).encode()


def read(data: bytes, options: ReadOptions | None = None, name: str = "t.csv") -> Table:
    Path(name).write_bytes(data)
    return read_table(name, options)


def cells_of(table: Table) -> list[list[str]]:
    return [[str(cell) for cell in row.values()] for row in table.data.to_pylist()]


# layout -> (bytes, line of the first row, what the notice says; empty for none)
READ_AS_MEANT: dict[str, tuple[bytes, int, str]] = {
    "plain": (text(HEAD, *ROWS), 2, ""),
    "carriage returns alone": (text(HEAD, *ROWS, end="\r"), 2, ""),
    "an end-of-file mark of DOS": (text(HEAD, *ROWS, end="\r\n") + b"\x1a", 2, ""),
    "two byte-order marks": (("\ufeff\ufeff" + "\n".join([HEAD, *ROWS])).encode(), 2, ""),
    "quoted names": (text('"height","weight","city","label"', *ROWS), 2, ""),
    "invisible characters around names": (text("height\u00a0,\u200bweight,city,label", *ROWS), 2, ""),
    "UTF-16": ("\n".join([HEAD, *ROWS]).encode("utf-16"), 2, "read as UTF-16"),
    "UTF-16 without a mark": ("\n".join([HEAD, *ROWS]).encode("utf-16-le"), 2, "read as UTF-16"),
    "Excel's Unicode text": ("\r\n".join([HEAD, *ROWS]).replace(",", "\t").encode("utf-16"), 2, "read as UTF-16"),
    "Windows-1252": ("\n".join([HEAD, *ROWS]).encode("cp1252"), 2, "read as Windows-1252 ('Troms\u00f8'); --encoding"),
    "units": (text(HEAD, "cm,kg,,", *ROWS), 3, "line 2 ('cm', 'kg') is left out: it holds units, types"),
    "units for every column": (text(HEAD, "cm,kg,name,class", *ROWS), 3, "line 2 ('cm', 'kg', 'name', 'class')"),
    "types": (text(HEAD, "float,float,string,string", *ROWS), 3, "line 2 ('float', "),
    "comments above": (
        text("# exported 2024-01-31", "# by tool, version 3", HEAD, *ROWS),
        4,
        "lines 1 and 2, ",
    ),
    "a comment of one field above": (text("# exported", HEAD, *ROWS), 3, "line 1, beginning with #, is left out"),
    "a title and an empty row above": (
        text("Heights of 2024,,,", ",,,", HEAD, *ROWS),
        4,
        "lines 1 and 2 above",
    ),
    "a title without delimiters above": (text("Heights", "", HEAD, *ROWS), 4, "line 1 above the header is left out"),
    "groups of columns above the names": (text("body,body,place,target", HEAD, *ROWS), 3, "line 1 above the header"),
    "merged groups above the names": (text("body,,place,", HEAD, *ROWS), 3, "line 1 above the header is left out"),
    "the station above the names": (text("TOA5,CR1000,1031,Test", HEAD, *ROWS), 3, "line 1 above the header"),
    "titles with delimiters and a blank line": (
        text('"Heights, all",,,', "Made,2024-01-01,by us,", ",,,", HEAD, *ROWS),
        5,
        "3 lines (the first is line 1) above the header",
    ),
    "the smallest and the largest below": (
        text(HEAD, *ROWS, "1.5,-.1,Min,", "9.5,.2,Max,"),
        2,
        "lines 62 and 63 ('Min', 'Max') are left out",
    ),
    "pairs above the names": (text("Station:,Berlin,x", "Height:,52.5,m", HEAD, *ROWS), 4, "lines 1 and 2 above"),
    "LabVIEW": (
        text("LabVIEW Measurement,", "Time,10:00,", "***End_of_Header***,,,", "Samples,9,9,", "X0,0.0,0.0,")
        + text("***End_of_Header***,,,", HEAD, *ROWS),
        8,
        "6 lines (the first is line 1) above the header are left out",
    ),
    "an instrument": (text("[Header]", "TITLE,a", "BYAPP,MPMS,1.0,2", "[Data]", HEAD, *ROWS), 6, "4 lines (the first"),
    "names in apostrophes": (text("'height','weight','city','label'", *ROWS), 2, "names are read without the quotes"),
    "blanks before quotes": (text('height, "weight", "city", "label"', *ROWS), 2, "names are read without the quotes"),
    "empty rows at the end": (text(HEAD, *ROWS, *[",,,"] * 5), 2, "5 empty rows at the end are left out"),
    "one empty row of semicolons at the end": (
        text(*(line.replace(",", ";") for line in (HEAD, *ROWS)), ";;;"),
        2,
        "1 empty row at the end is left out",
    ),
    "a total below": (
        text(HEAD, *ROWS, f"Total,{Z.sum():.3f},,"),
        2,
        "line 62 ('Total') is left out: a total of the rows above",
    ),
    "a total under the label": (text(HEAD, *ROWS, "600.1,5.2,,Summe"), 2, "line 62 ('Summe') is left out: a total"),
    "a total with a label": (text(HEAD, *ROWS, "600.1,5.2,Total,yes"), 2, "line 62 ('Total') is left out: a total"),
    "a sum and a mean": (
        text(HEAD, *ROWS, "Sum,5.2,,", "Mean,.1,,"),
        2,
        "lines 62 and 63 ('Sum', 'Mean') are left out",
    ),
    "control-A between cells": (text(*(line.replace(",", "\x01") for line in (HEAD, *ROWS))), 2, ""),
    "carets between cells": (text(*(line.replace(",", "^") for line in (HEAD, *ROWS))), 2, ""),
    "the header again in the middle": (text(HEAD, *ROWS[:30], HEAD, *ROWS[30:]), 2, "line 32 is left out: the header"),
    "blank lines of spaces and tabs": (text(HEAD, *ROWS[:9], "   ", *ROWS[9:], "\t"), 2, ""),
    "a delimiter at the end of the header": (text(HEAD + ",", *ROWS), 2, ""),
    "a delimiter at the end of the rows": (text(HEAD, *(row + "," for row in ROWS)), 2, ""),
}


@pytest.mark.parametrize("layout", READ_AS_MEANT)
def test_the_table_is_read_as_it_was_meant(layout: str) -> None:
    data, line, notice = READ_AS_MEANT[layout]
    table = read(data)
    assert table.column_names == ["height", "weight", "city", "label"]
    assert cells_of(table) == CELLS
    assert table.lines is not None and table.lines[0] == line
    assert len(table.notices) == (1 if notice else 0)
    assert all(said.startswith("t.csv: ") and notice in said for said in table.notices)


@pytest.mark.parametrize("layout", READ_AS_MEANT)
def test_all_rows_written_again_are_the_file_byte_by_byte(layout: str) -> None:
    """Lines that are no rows stay where they are."""
    data, _, _ = READ_AS_MEANT[layout]
    sink = io.BytesIO()
    original = CsvOriginal(data, "t.csv")
    original.write(sink, np.ones(N, bool))
    assert sink.getvalue() == data
    sink = io.BytesIO()
    original.write(sink, np.arange(N) != 3)
    assert cells_of(read(sink.getvalue())) == CELLS[:3] + CELLS[4:]


REFUSED: dict[str, tuple[bytes, str]] = {
    "statements of SQL": (
        text("-- MySQL dump", "CREATE TABLE t (a int);", *["INSERT INTO t VALUES (1);"] * 20),
        "t.csv is a dump of SQL statements: load it into a database and export the table as CSV",
    ),
    "one JSON object of columns": (
        json.dumps({"height": dict(enumerate(X.tolist())), "label": dict(enumerate(LABEL.tolist()))}).encode(),
        "t.csv is one JSON object that holds others, not a table: save one object per row",
    ),
    "no header": (
        text(*ROWS),
        f"t.csv line 1 looks like data, not like column names ({', '.join(map(repr, CELLS[0]))}): add --no-header if "
        "the table has no line of names, --header if these are the names",
    ),
    "no header and numbers alone": (
        text(*(f"{x:.3f},{z:.3f},{x > 10:d}" for x, z in zip(X, Z, strict=True))),
        "looks like data, not like column names",
    ),
    "a comment in the middle": (
        text(HEAD, *ROWS[:9], "# second sensor", *ROWS[9:]),
        "t.csv line 11: 1 field, but the header has 4 (separated by commas); if it is a comment, add --comment '#'",
    ),
    "a note at the end": (text(HEAD, *ROWS, "", "Source: statistics office"), "line 63: 1 field, but the header has 4"),
    "two lines of names": (
        text("body,body,place,target", "mean,sd,mean,class", *ROWS),
        "t.csv has two lines of column names, 1 and 2, and the first repeats body: delete one of the lines",
    ),
    "names that are equal without blanks": (text("height,height ,city,label", *ROWS), "1 column name more than once"),
    "quotes escaped by a backslash": (
        text(HEAD, *(f'1,2,"{city} \\"old\\", town",yes' for city in CITY)),
        't.csv line 2: a quote inside quotes is written \\", which CSV writes ""; write the file again with doubled '
        "quotes",
    ),
    "single quotes": (
        text(HEAD, *(f"{x:.3f},1,'{city}, NO',no" for x, city in zip(X, CITY, strict=True))),
        'quote fields with double quotes ("), not single ones',
    ),
    "a space before a quote": (
        text("height, weight, city, label", *(f'1, 2, "{city}, NO", yes' for city in CITY)),
        "a field begins with a space before its quote",
    ),
    "a merge conflict": (
        text(HEAD, *ROWS[:20], "<<<<<<< HEAD", ROWS[20], "=======", ROWS[21], ">>>>>>> branch", *ROWS[22:]),
        "t.csv line 22: an unresolved merge conflict (<<<<<<<): resolve it first",
    ),
    "a pointer of Git LFS": (
        text("version https://git-lfs.github.com/spec/v1", "oid sha256:" + "ab" * 32, "size 146946961"),
        "t.csv is a Git LFS pointer, not the table itself: fetch the table with git lfs pull",
    ),
    "a web page": (
        text("<!DOCTYPE html>", "<html><head>", "<p>a, b</p>"),
        "t.csv is an HTML page (a login or",
    ),
    "an answer of a store": (
        text('<?xml version="1.0"?>', "<Error><Code>AccessDenied</Code></Error>"),
        "t.csv is an XML document that says 'AccessDenied', not a table",
    ),
    "ARFF": (text("% by Weka", "@RELATION t", "@attribute a numeric", "@data", *ROWS), "t.csv is an ARFF file"),
    "Markdown": (text("| a | b |", "|---|:-:|", "| 1 | 2 |"), "t.csv is a Markdown table: save it as CSV"),
    "psql": (text(" a | b ", "---+---", " 1 | 2", "(1 row)"), "t.csv is printed output of a database"),
    "aligned columns": (text("  a    b", " 10   2", "  3  45", "  1   1"), "t.csv has columns aligned with spaces"),
    "LIBSVM": (text("1 1:10.5 2:0.3", "0 2:.5"), "t.csv is a LIBSVM file"),
    "a pickle": (b"\x80\x04\x95\x10\x00", "t.csv is a Python pickle, which is never loaded"),
    "comments alone": (text("# a", "# b"), "t.csv holds nothing but comment lines"),
}


@pytest.mark.parametrize("layout", REFUSED)
def test_what_is_no_table_is_refused_in_one_line_that_says_what_to_do(layout: str) -> None:
    data, message = REFUSED[layout]
    with pytest.raises(DataError) as caught:
        read(data)
    assert message in str(caught.value) and "\n" not in str(caught.value)


KEPT: dict[str, bytes] = {
    "years as names": text("2019,2020,2021,label", *(f"{i},{i * 2},{i % 7},{'ab'[i % 2]}" for i in range(20))),
    "counted columns": text("0,1,2", *(f"{i},{i * 2},{i % 2}" for i in range(20))),
    "a first row with a word for a number": text("a,b,label", "unknown,1.5,yes", *(f"{i},{i}.5,no" for i in range(9))),
    "a first row with missing cells": text("a,b,label", ",,yes", *(f"{i},{i}.5,no" for i in range(9))),
    "counts in names": text("# rooms,floors", *(f"{i % 5},{i}" for i in range(9))),
    "two fields above three that are R's": text("x,y", *(f"r{i},{i}.5,{i % 2}" for i in range(9))),
    "a row of one word": text("a,b", *(f"d{i},x" for i in range(5)), "[Data],", *(f"d{i},x" for i in range(5))),
    "hash signs in names": text("#chrom,start", *(f"chr{i},{i}" for i in range(9))),
    "hash signs in cells": text("tag,label", *(f"#{i},x" for i in range(9))),
    "words alone": text("size,colour", *(f"{'sml'[i % 3]},{'rgb'[i % 3]}" for i in range(9))),
    "few rows": text("a,b", "1,2", "3,4"),
    "an unnamed index": text(",x,y", *(f"{i},{i * 3},{i % 2}" for i in range(9))),
    "a name and nothing else": text("x,,", *(f"{i},,{i % 2}" for i in range(9))),
}


@pytest.mark.parametrize("layout", KEPT)
def test_no_row_or_name_is_taken_for_something_else(layout: str) -> None:
    data = KEPT[layout]
    table = read(data)
    assert table.rows == data.count(b"\n") - 1 and table.notices == ()
    assert table.lines is not None and table.lines[0] == 2


ALPHABETS = {
    "cp1251": ("Windows-1251", "Москва Екатеринбург Казань Омск"),
    "koi8-r": ("KOI8-R", "Москва Екатеринбург Казань Омск"),
    "gb18030": ("GB18030", "北京 广东省深圳市 上海市 退货"),
    "big5": ("BIG5HKSCS", "台北市 高雄市 新北市 台中市 台南市 桃園市"),
    "cp932": ("CP932", "東京都 株式会社テスト カタカナ ひらがな"),
    "cp949": ("CP949", "서울 대한민국 고객명 나쁨"),
    "cp1253": ("Windows-1253", "Αθήνα Θεσσαλονίκη ναι όχι"),
    "cp1255": ("Windows-1255", "שלום ירושלים כן לא"),
    "cp1256": ("Windows-1256", "القاهرة الرياض نعم لا"),
    "cp874": ("Windows-874", "กรุงเทพ เชียงใหม่ ใช่ ไม่"),
}


@pytest.mark.parametrize("encoding", ALPHABETS)
def test_letters_of_another_alphabet_tell_the_encoding(encoding: str) -> None:
    """One row in ten is enough; what was taken is said with a cell that shows it, and can be written again."""
    called, words = ALPHABETS[encoding]
    some = words.split()
    cells = [f"{i},{some[i // 10 % len(some)] if i % 10 == 0 else 'Oslo'},{'yes' if i % 3 else 'no'}" for i in range(N)]
    data = ("\n".join(["n,city,label", *cells]) + "\n").encode(encoding)
    table = read(data)
    assert [",".join(row) for row in cells_of(table)] == cells
    notice = f"t.csv: not UTF-8 (line 2), so it is read as {called} ('{some[0]}'); --encoding names another encoding"
    assert table.notices == (notice,)
    sink = io.BytesIO()
    CsvOriginal(data, "t.csv", ReadOptions()).write(sink, np.ones(N, dtype=bool))
    assert sink.getvalue() == data


@pytest.mark.parametrize("cell", ["café", "Müller", "12 °C", "5 µm", "½", "São Paulo", "Straße", "€ 5", "Ñandú", "å"])
def test_a_few_western_letters_are_read_as_windows_1252(cell: str) -> None:
    table = read(text("n,city,label", *(f"{i},{cell},{i % 2}" for i in range(N))).decode().encode("cp1252"))
    assert cells_of(table)[0][1] == cell and "read as Windows-1252" in table.notices[0]


def test_options_overrule_what_the_reader_would_do() -> None:
    table = read(text(*ROWS), ReadOptions(header=False))
    assert table.column_names == ["column_1", "column_2", "column_3", "column_4"] and cells_of(table) == CELLS
    assert table.lines is not None and table.lines[0] == 1
    assert read(text(*ROWS), ReadOptions(header=True)).rows == N - 1
    assert read(text(HEAD, "cm,kg,,", *ROWS), ReadOptions(header=True)).rows == N + 1
    commented = read(text(HEAD, *ROWS[:9], "%second", *ROWS[9:]), ReadOptions(comment="%"))
    assert cells_of(commented) == CELLS and "line 11 is left out as comments" in commented.notices[0]
    russian = "имя,label\nда,1\nнет,0\n".encode("cp1251")
    assert read(russian, ReadOptions(encoding="cp1251")).column_names == ["имя", "label"]
    with pytest.raises(DataError, match="--comment '': give the character"):
        read(text(HEAD, *ROWS), ReadOptions(comment=""))
    with pytest.raises(DataError, match="--encoding klingon: unknown"):
        read(russian, ReadOptions(encoding="klingon"))


def test_a_table_without_a_header_is_written_again_without_one() -> None:
    sink = io.BytesIO()
    CsvOriginal(text(*ROWS), "t.csv", ReadOptions(header=False)).write(sink, np.arange(N) % 2 == 0)
    assert sink.getvalue() == text(*ROWS[::2])


def test_r_writes_row_names_without_a_name_for_them() -> None:
    table = read(text(HEAD, *(f'"{i}",{row}' for i, row in enumerate(ROWS, start=1))))
    assert table.column_names == ["unnamed_1", "height", "weight", "city", "label"]
    assert cells_of(table.__class__(table.data.drop_columns(["unnamed_1"]), *["t", "csv", None, None])) == CELLS


# --- JSON ---

OBJECTS = [dict(zip(HEAD.split(","), [float(a), float(b), c, d], strict=True)) for a, b, c, d in CELLS]


@pytest.mark.parametrize(
    "data",
    [
        text(*map(json.dumps, OBJECTS)),
        json.dumps(OBJECTS).encode(),
        json.dumps(OBJECTS, indent=2).encode(),
        ("\ufeff" + "\n\n".join(map(json.dumps, OBJECTS))).encode(),
    ],
    ids=["lines", "array", "indented array", "blank lines and a mark"],
)
def test_json_is_read_for_what_it_is(data: bytes) -> None:
    table = read(data, name="t.csv")
    assert table.data.to_pylist() == OBJECTS
    assert table.lines is None or table.lines[:2].tolist() in ([1, 2], [1, 3])


def test_json_cells_that_do_not_fit_make_a_column_text_and_missing_keys_missing_cells() -> None:
    table = read(b'{"a": 1, "b": "x"}\n{"a": "unknown"}\n{"a": 2.5, "b": null}\n')
    assert table.data.to_pydict() == {"a": ["1", "unknown", "2.5"], "b": ["x", None, None]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1}\n{"a": 2\n', "t.csv line 2 is not JSON"),
        (b'{"a": 1}\n[1]\n', "t.csv line 2 is JSON, but not an object: save one object per row"),
        (b'{"rows":\n [{"a": 1}]}\n', "t.csv is one JSON object, not a table"),
        (b"[]", "t.csv has no rows"),
    ],
)
def test_json_that_is_no_table_is_refused_with_its_line(data: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(data)
    assert str(caught.value).startswith(message)


# --- several files ---


def parts(*contents: bytes) -> None:
    Path("d").mkdir()
    for i, content in enumerate(contents):
        Path(f"d/part-{i}.csv").write_bytes(content)


@pytest.mark.parametrize("name", ["d", "d/*.csv"])
def test_parts_of_a_csv_table_are_one_table_and_rows_keep_their_file_and_line(name: str) -> None:
    parts(text(HEAD, *ROWS[:20]), text("label,city,weight,height", *(",".join(c[::-1]) for c in CELLS[20:])))
    table = read_table(name)
    assert table.column_names == HEAD.split(",") and cells_of(table) == CELLS
    assert table.location(19) == "d/part-0.csv line 21" and table.location(20) == "d/part-1.csv line 2"


def test_parts_with_other_columns_are_named() -> None:
    parts(text(HEAD, *ROWS), text("height,weight,town,label", *ROWS))
    with pytest.raises(DataError, match=r"d: part-1\.csv and part-0\.csv differ in 2 columns: city, town"):
        read_table("d")


def test_a_directory_of_two_formats_is_refused() -> None:
    parts(text(HEAD, *ROWS))
    Path("d/a.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"d holds Parquet and CSV files \(a\.parquet, part-0\.csv\): name one kind"):
        read_table("d")


def _delta() -> None:
    Path("d/_delta_log").mkdir()


def _iceberg() -> None:
    Path("d/metadata").mkdir()
    Path("d/metadata/00000-x.metadata.json").touch()


def _hudi() -> None:
    Path("d/.hoodie").mkdir()


@pytest.mark.parametrize(("make", "what"), [(_delta, "Delta"), (_iceberg, "Iceberg"), (_hudi, "Hudi")])
@pytest.mark.parametrize("name", ["d", "d/*.parquet", "."])
def test_tables_whose_files_are_not_all_rows_are_refused_by_name(
    make: Callable[[], None], what: str, name: str
) -> None:
    Path("d").mkdir()
    make()
    pa.parquet.write_table(pa.table({"a": [1]}), "d/part-0.parquet")
    with pytest.raises(DataError, match=f"an? {what} table, and not all of its files are rows"):
        read_table(name)


def test_a_directory_called_metadata_is_a_directory() -> None:
    Path("d/metadata").mkdir(parents=True)
    pa.parquet.write_table(pa.table({"a": [1]}), "d/metadata/part-0.parquet")
    assert read_table("d").rows == 1


def test_a_level_called_total_by_which_the_file_is_sorted_is_no_total() -> None:
    regions = [f"{x:.3f},{'Oslo' if i < 55 else 'Total'},yes" for i, x in enumerate(X)]
    assert read(text("height,city,label", *regions)).rows == N
    assert read(text(HEAD, *ROWS, "9.1,0.2,Total,yes")).rows == N + 1
