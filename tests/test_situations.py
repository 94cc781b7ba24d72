"""Exports that people meet (Excel, databases, instruments, surveys, logs) and public bug reports: each column is what a
person would say it is, or the file is refused in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute
import pytest

from lossval_cli.errors import DataError
from lossval_cli.features.identifiers import find_group_key, find_identifier
from lossval_cli.features.label_choice import choose_label
from lossval_cli.features.roles import decide_roles
from lossval_cli.features.table_options import TableOptions
from lossval_cli.tables.numbers import NumberForm
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.table import Table, read_table

N = 200
RNG = np.random.default_rng(3)
X, Z = RNG.normal(size=N).round(3), RNG.normal(size=N).round(3)
Y = np.where(X + Z > 0, "yes", "no")
WHOLE, SHARE = RNG.integers(20, 5000, N), RNG.random(N)
WHEN = [datetime(2023, 1, 1) + timedelta(hours=7 * int(i)) for i in WHOLE]
ROW = range(N)


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def table_of(columns: dict[str, Sequence[object]], **how: object) -> Table:
    pd.DataFrame(columns).to_csv("t.csv", index=False, **how)  # type: ignore[call-overload]
    return read_table("t.csv")


def text_table(text: str, encoding: str = "utf-8", **options: object) -> Table:
    Path("t.csv").write_bytes(text.encode(encoding))
    return read_table("t.csv", ReadOptions(**options))  # type: ignore[arg-type]


def kind(table: Table, name: str) -> str:
    """What a column is: id, number, date, boolean, vector or text."""
    if find_identifier(table, name) is not None:
        return "id"
    dtype = table.column(name).type.dtype
    if pa.types.is_list(dtype):
        return "vector"
    return {"int64": "number", "double": "number", "bool": "boolean", "timestamp[us]": "date"}.get(str(dtype), "text")


def put(cells: Sequence[object], *others: str) -> list[str]:
    """The cells with some others among them."""
    changed = list(map(str, cells))
    for i, other in enumerate(others):
        changed[5 + 30 * i] = other
    return changed


def some(share: float, word: str, cells: Sequence[object]) -> list[str]:
    """The cells, of which a share is a word."""
    return [word if u < share else str(cell) for u, cell in zip(SHARE, cells, strict=True)]


def each(write: Callable[[int], str]) -> list[str]:
    return [write(int(i)) for i in WHOLE]


def when(form: str) -> list[str]:
    return [f"{one:{form}}" for one in WHEN]


def keys(letters: str, length: int) -> list[str]:
    rng = np.random.default_rng(1)
    return ["".join(rng.choice(list(letters), length)) for _ in ROW]


DECIMALS = [f"{u:.4f}" for u in SHARE]
COLUMNS: dict[str, tuple[Sequence[object], str]] = {
    # one cell that does not fit
    "words in a column of numbers": (put(DECIMALS, "Bad Input", "OVER"), "number"),
    "a word among ISO dates": (put(when("%Y-%m-%d"), "banana"), "date"),
    "1 among dates": (put(when("%Y/%m/%d"), "1"), "date"),
    "maybe among booleans": (put(["True" if u > 0.5 else "False" for u in SHARE], "maybe"), "boolean"),
    "cells too narrow for Excel": (put(DECIMALS, "########"), "number"),
    "TRUE among numbers": (put(WHOLE, "TRUE"), "number"),
    "Excel's dates among numbers": (put(DECIMALS, "1-Mar", "2-Apr"), "number"),
    "an apostrophe before one number": (put(WHOLE, "'1234"), "number"),
    "a unit in one cell": (put(WHOLE % 80 + 10, "34y"), "number"),
    "1e400": (put(DECIMALS, "1e400"), "number"),
    "below detection in 15 %": (some(0.15, "BDL", DECIMALS), "number"),
    "below the limit in 15 %": (some(0.15, "<LOD", DECIMALS), "number"),
    "suppressed counts": (some(0.3, "*", WHOLE), "number"),
    "Stata's missing values": (some(0.05, ".a", DECIMALS), "number"),
    "No data in 30 %": (some(0.3, "No data", DECIMALS), "number"),
    "ongoing among dates": (some(0.25, "ongoing", when("%Y-%m-%d")), "date"),
    "#DIV/0! in 10 %": (some(0.1, "#DIV/0!", DECIMALS), "number"),
    "sizes in letters and numbers": ([["S", "M", "L", "36", "38", "40"][i % 6] for i in WHOLE], "text"),
    "floors": ([["EG", "1", "2", "3", "4"][i % 5] for i in WHOLE], "text"),
    "Excel's text cells": (each(lambda i: f'="{i}"'), "number"),
    "Excel's text cells with zeros": (each(lambda i: f'="{i:05}"'), "text"),
    "numbers in apostrophes": ([f"'{x}'" for x in X], "number"),
    "plus signs": ([f"{x:+.3f}" for x in X], "number"),
    "footnotes at all numbers": (each(lambda i: f"{i:,}[{i % 9}]"), "number"),
    "dollars in thousands and millions": (each(lambda i: f"${i / 999:.1f}M" if i > 2500 else f"${i % 900}K"), "number"),
    "square feet": (each(lambda i: f"{i:,} sq ft"), "number"),
    "temperatures": ([f"{30 * u:.1f} °C" for u in SHARE], "number"),
    "German debits": (each(lambda i: f"{i / 7:.2f} {'SH'[i % 2]}".replace(".", ",")), "number"),
    "football scores": (each(lambda i: f"{i % 5}-{i % 4}"), "text"),
    "blood pressure": (each(lambda i: f"{100 + i % 60}/{60 + i % 40}"), "text"),
    "flags of statistics offices": (
        [f"{u:.2f} {'epb'[i % 3]}" if i % 8 == 0 else f"{u:.2f}" for u, i in zip(SHARE, WHOLE, strict=True)],
        "number",
    ),
    "three reasons for no time": (
        [
            "DNF" if u < 0.04 else "DNS" if u < 0.06 else "DSQ" if u < 0.08 else f"1:{i % 60:02}:0{i % 9}"
            for u, i in zip(SHARE, WHOLE, strict=True)
        ],
        "number",
    ),
    "at least so many": (each(lambda i: f"{i:,}+"), "number"),
    "stars": (each(lambda i: f"{1 + i % 41 / 10:.1f} out of 5 stars"), "number"),
    "house numbers with letters": (each(lambda i: f"{i % 150}{'abc'[i % 3] if i % 8 == 0 else ''}"), "text"),
    "seats": (each(lambda i: f"{i % 30}{'NS'[i % 2]}"), "text"),
    # all cells different
    "MongoDB's keys": (keys("0123456789abcdef", 24), "id"),
    "nanoid": (keys("ABCDEabcde01234_-", 21), "id"),
    "YouTube's keys": (keys("ABCDEabcde01234_-", 11), "id"),
    "pictures": ([f"img_{i:04}.jpg" for i in ROW], "id"),
    "paths of pictures": ([f"data/train 1/img_{i:04}.png" for i in ROW], "id"),
    "timestamps of BigQuery": (when("%Y-%m-%d %H:%M:%S.123456 UTC"), "date"),
    "subplots": (each(lambda i: f"{i % 60}_{i % 12}_{i % 5}"), "text"),
    "links": ([f"https://ex.org/item?id={i * 7919 % 9973}" for i in ROW], "text"),
    "addresses": (each(lambda i: f"10.{i % 256}.{i * 7 % 256}.{i * 13 % 256}"), "text"),
    "SMILES": (each(lambda i: "C" * (i % 7 + 1) + "(=O)" + "N" * (i % 3) + "c1ccccc1"), "text"),
    "DNA": (keys("ACGT", 26), "text"),
    "orders behind #": ([f"#{1001 + 7 * i}" for i in ROW], "id"),
    "versions": (each(lambda i: f"{i % 4}.{i % 11}.{i % 30}"), "text"),
    "sorted money": (np.sort(WHOLE * 1000 + RNG.integers(0, 999, N)), "number"),
    "tickets": (each(lambda i: f"{['A/5 21', 'PC ', 'STON/O2. 3', ''][i % 4]}{i}"), "text"),
    # spelling
    "git": (when("%a %b %d %H:%M:%S %Y +0100"), "date"),
    "JavaScript in German": (when("%a %b %d %Y %H:%M:%S GMT+0100 (Mitteleuropäische Normalzeit)"), "date"),
    "clocks in Chinese": ([f"{d.year}年{d.month}月{d.day}日 {d.hour}时{d.minute:02}分" for d in WHEN], "date"),
    "the time of day first": (when("%H:%M %d/%m/%Y"), "date"),
    "brackets of a log": (when("[%d/%b/%Y:%H:%M:%S +0000]"), "date"),
    "names of files": (when("%Y-%m-%d_%H-%M-%S"), "date"),
    "DB2": (when("%Y-%m-%d-%H.%M.%S.123456"), "date"),
    "seasons": (each(lambda i: f"{2001 + i % 11}-{2 + i % 11:02}"), "text"),
    "minutes and tenths": (each(lambda i: f"{i % 60:02}:{i % 53:02}.{i % 10}"), "number"),
    "Thai digits": ([str(i).translate({48 + k: 0xE50 + k for k in range(10)}) for i in WHOLE], "number"),
    "the last month in English": (when("%d-%b-%Y"), "date"),
    "log4j": (when("%Y-%m-%d %H:%M:%S,345"), "date"),
    "Apache": (when("%d/%b/%Y:%H:%M:%S +0000"), "date"),
    "milliseconds of .NET": (each(lambda i: f"/Date({1_600_000_000_000 + 86_400_000 * i})/"), "date"),
    "months with hyphens": (each(lambda i: f"{i % 12 + 1:02}-{2000 + i % 24}"), "date"),
    "Excel's months": (when("%b-%y"), "date"),
    "quarters": (each(lambda i: f"{2000 + i % 24}Q{i % 4 + 1}"), "date"),
    "weeks": (each(lambda i: f"{2000 + i % 24}-W{i % 52 + 1:02}"), "date"),
    "Russian": (
        [f"{d.day} {['января', 'февраля', 'марта', 'апреля'][d.month % 4]} {d.year} г." for d in WHEN],
        "date",
    ),
    "fiscal years": (each(lambda i: f"FY{2010 + i % 14}"), "text"),
    "times of day": (each(lambda i: f"{i % 24:02}:{i % 60:02}"), "number"),
    "Swiss": (each(lambda i: f"{i + 1000:,.2f}".replace(",", "’")), "number"),
    "genes that Excel changed": (["2-Sep" if i % 40 == 0 else f"GEN{i % 60}" for i in WHOLE], "text"),
    "colours": (each(lambda i: f"#{i * 977 % 0xFFFFFF:06x}"), "text"),
    "telephones": (each(lambda i: f"+49 30 {i * 971 % 9999999:07}"), "text"),
    "Namibia": ([["NA", "ZA", "BW"][i % 3] for i in WHOLE], "text"),
    # vectors
    "places": ([f"({40 + u:.4f}, {-74 + u:.4f})" for u in SHARE], "vector"),
    "points of WKT": ([f"POINT ({-74 + u:.4f} {40 + u:.4f})" for u in SHARE], "vector"),
    "latitude, longitude": ([f"{40 + u:.4f},{-74 + u:.4f}" for u in SHARE], "vector"),
    "arrays of Postgres": ([f"{{{u:.3f},{u / 2:.3f}}}" for u in SHARE], "vector"),
    "printed arrays": ([f"[np.float64({u:.3f}), np.float64({u / 2:.3f})]" for u in SHARE], "vector"),
    "intervals of pandas": (each(lambda i: f"({i % 9}.0, {i % 9 + 1}.0]"), "text"),
    "a list of Python": ([str(RNG.normal(size=4).round(3).tolist()) for _ in ROW], "vector"),
    "an array of NumPy": ([str(RNG.normal(size=4).round(3)) for _ in ROW], "vector"),
    "pixels": ([" ".join(map(str, RNG.integers(0, 256, 16))) for _ in ROW], "vector"),
    "complex numbers": ([f"{a:.3f} {b:+.3f}i" for a, b in zip(X, Z, strict=True)], "vector"),
    "tags": ([str(["a", "b"][: 1 + i % 2]) for i in WHOLE], "text"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_what_a_person_would_say(name: str) -> None:
    cells, expected = COLUMNS[name]
    table = table_of({"x": X, "v": cells, "label": Y})
    assert kind(table, "v") == expected
    column = table.column("v")
    if column.values.null_count > len(column.invalid) and name not in ("suppressed counts", "Stata's missing values"):
        assert any("missing" in note for note in column.notes)


VALUES: dict[str, tuple[list[str], list[object]]] = {
    "S marks a debit": (["1.250,00 S", "45,50 H"], [-1250.0, 45.5]),
    "D marks a debit beside C": (["1.250,00 D", "45,50 C"], [-1250.0, 45.5]),
    "S alone is a unit": (["12 S", "13 S"], [12, 13]),
    "currency and multiplier": (["$1.2M", "$900K", "$5"], [1.2e6, 9e5, 5.0]),
    "counts in Chinese": (["1.2万", "980", "3亿"], [12_000.0, 980.0, 3e8]),
    "lakh and crore": (["1.2 Cr", "85 Lac"], [1.2e7, 8.5e6]),
    "millions in words": (["$1.2 million", "$3 billion"], [1.2e6, 3e9]),
    "metres and kilometres": (["350 m", "1.2 km"], [350.0, 1200.0]),
    "sizes of files": (["1.5 MB", "850 KB"], [1.5e6, 8.5e5]),
    "north and south": (["57.05N", "33.86S"], [57.05, -33.86]),
    "out of five": (["4.5/5", "3/5"], [4.5, 3.0]),
    "Fortran": (["1.5D+01", "-2D-1"], [15.0, -0.2]),
    "whole amounts": (["12,-", "1.250,-"], [12, 1250]),
    "whole francs": (["CHF 1'200.-", "CHF 35.-"], [1200, 35]),
    "per cent before": (["%45", "%7"], [0.45, 0.07]),
    "days and hours": (["2d 5h", "3h"], [190_800.0, 10_800.0]),
    "text cells": (['="12"', '=""', '="-3.5"'], [12.0, None, -3.5]),
    "milliseconds": (["/Date(0)/", "/Date(86400000+0200)/"], [datetime(1970, 1, 1), datetime(1970, 1, 2)]),
    "a vector and one of another length": (["[1, 2.5]", "[-1e3 4]", "[ .5,1 ]"], [[1, 2.5], [-1000, 4], [0.5, 1]]),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_are_those_that_were_meant(name: str) -> None:
    cells, expected = VALUES[name]
    assert table_of({"x": X[:20], "v": (cells * 20)[:20]}).typed("v").to_pylist()[: len(cells)] == expected


def test_other_tables_are_read_as_training_was() -> None:
    trained = table_of({"v": some(0.15, "BDL", DECIMALS), "w": COLUMNS["German debits"][0]})
    kinds = {name: trained.column(name).type for name in ("v", "w")}
    other = table_of({"v": ["BDL", *DECIMALS[:4]] * 4, "w": ["12,50 H"] * 20})
    assert other.column_as("v", kinds["v"]).values.null_count == 4
    with pytest.raises(DataError, match=r"'n\.q\.' is not a number"):
        table_of({"v": ["n.q.", *DECIMALS[:4]] * 4}).column_as("v", kinds["v"])
    assert other.column_as("w", kinds["w"]).values[0].as_py() == 12.5
    with pytest.raises(DataError, match="'12,50 S' is not a number in S/H, as in training"):
        table_of({"w": ["12,50 S"] * 20}).column_as("w", kinds["w"])
    form = kinds["w"].form
    assert isinstance(form, NumberForm) and (form.write(-12.5, 2), form.write(3, 2)) == ("12,50 S", "3,00 H")


def test_units_with_prefixes_are_read_in_other_tables_too() -> None:
    mixed = table_of({"x": X[:40], "d": ["350 m", "1.2 km"] * 20}).column("d").type
    counted = table_of({"x": X[:40], "d": ["350", "1.2K"] * 20}).column("d").type
    assert table_of({"x": X[:40], "d": ["2 km"] * 40}).column_as("d", mixed).values[0].as_py() == 2000
    assert table_of({"x": X[:40], "d": ["2M"] * 40}).column_as("d", counted).values[0].as_py() == 2e6
    with pytest.raises(DataError, match="'2 kg' is not a number"):
        table_of({"x": X[:40], "d": ["2 kg"] * 40}).column_as("d", mixed)


def test_one_code_of_thousands_that_begins_with_a_zero_makes_all_of_them_codes() -> None:
    codes = [str(10_000 + i) for i in range(5_000)]
    codes[777] = "01234"
    assert table_of({"zip": codes}).typed("zip")[777].as_py() == "01234"


ID_NAMES = (
    "Order ID,ORDERNUMBER,InvoiceNo,Loan_ID,PassengerId,RowNumber,EmployeeNumber,policy_number,Sr. No.,S.No,SampleID,"
    "Unique Key,case_number,OBJECTID,FID,gid,_id,uuid,Ticket Number,ID#,Kunden-Nr,Rechnungsnummer,n_dossier,"
    "codigo_cliente,номер,序号,编号,学号,Nº pedido,N.I.F.,№ заказа,client_code,ИНН,Rollno,refno,PID,"
    "LoanNr_ChkDgt"
)
FEATURE_NAMES = (
    "num_employees,number_of_rooms,No_of_children,nr_employed,valid,paid_amount,bid,grid_x,humidity,acid,fluid_intake,"
    "android_version,video_views,candidate_age,midterm,key_skills_count,index_of_refraction,row_count,fid_score,"
    "user_rating,order_total,item_weight,patient_weight,loan_amount,trip_distance,student_gpa,views,year_built,"
    "id_length,uuid_count,population_number,employees_number,atomic_number"
)


@pytest.mark.parametrize(("names", "is_id"), [(ID_NAMES.split(","), True), (FEATURE_NAMES.split(","), False)])
def test_names_say_whether_a_column_of_different_numbers_is_an_id(names: list[str], is_id: bool) -> None:
    numbers = WHOLE * 3 + np.arange(N) % 3 if not is_id else 3001 + 7 * np.arange(N)
    table = table_of(dict.fromkeys(names, numbers))
    assert [name for name in names if (find_identifier(table, name) is not None) != is_id] == []


def test_what_counts_years_or_time_is_no_id() -> None:
    times = ("t", "Time (s)", "elapsed_time", "cycle", "Zeit [s]", "day_number", "Depth [m]", "distance_km")
    counted = {"year": range(1824, 2024), "vintage": range(1824, 2024), "k": ROW} | dict.fromkeys(times, ROW)
    table = table_of(counted)
    assert [name for name in counted if find_identifier(table, name) is not None] == ["k"]


def test_versions_are_not_numbers() -> None:
    table = table_of({"python_version": each(lambda i: f"3.{8 + i % 5}"), "conversion": each(lambda i: f"3.{i % 5}")})
    assert (kind(table, "python_version"), kind(table, "conversion")) == ("text", "number")


def test_copies_of_whole_rows_do_not_hide_an_id() -> None:
    rows = pd.DataFrame({"key": [f"C{i:05}" for i in ROW], "customer_id": range(1001, 1001 + N), "x": X})
    copied = pd.concat([rows] * 3).sample(frac=1, random_state=1)
    table = table_of(copied.to_dict("list"))
    assert kind(table, "key") == kind(table, "customer_id") == "id"
    visits = table_of({"customer_id": np.repeat(np.arange(50), 4), "x": X})
    assert (kind(visits, "customer_id"), find_group_key(visits, "customer_id")) == ("number", 50)
    assert find_group_key(table_of({"childNum": np.arange(3 * N) % 12}), "childNum") is None


LABELS: dict[str, tuple[dict[str, Sequence[object]], str | None]] = {
    "the last of text": ({"a": X, "variety": Y}, "variety"),
    "the last of two numbers": ({"a": X, "c": WHOLE % 2}, "c"),
    "classes that are counted": ({"a": X, "c": WHOLE % 7}, "c"),
    "measured whole numbers": ({"a": X, "nh": 44 + WHOLE % 16}, None),
    "the month": ({"a": X, "cls": Y, "month": WHOLE % 12 + 1}, None),
    "the size of the party": ({"a": X, "sex": Y, "size": 1 + WHOLE % 6}, None),
    "children": ({"a": X, "sex": Y, "num_children": WHOLE % 5}, None),
    "a label behind a hash": ({"# label": Y, "a": X, "b": WHOLE % 3}, "# label"),
    "the sex": ({"a": X, "sex": Y}, None),
    "a batch": ({"a": X, "cls": Y, "batch": WHOLE % 4}, None),
    "Survived before Embarked": ({"Survived": WHOLE % 2, "a": X, "Embarked": Y}, None),
    "the last is empty": ({"a": X, "cls": Y, "notes": [""] * N}, None),
    "the last is a time": ({"a": X, "cls": Y, "created_at": WHEN}, "cls"),
    "the last is an id": ({"a": X, "cls": Y, "row_id": ROW}, "cls"),
    "quality": ({"a": X, "quality": 3 + WHOLE % 6}, "quality"),
    "a price": ({"a": X, "SalePrice": WHOLE * 100}, "SalePrice"),
}


@pytest.mark.parametrize("name", LABELS)
def test_the_label_is_clear_or_refused(name: str) -> None:
    columns, expected = LABELS[name]
    table = table_of(columns)
    if expected is not None:
        assert choose_label(table, ())[0] == expected
        return
    with pytest.raises(DataError, match=r"not clear which column is the label.* Candidates: "):
        choose_label(table, ())


def test_a_file_of_one_column_is_refused_as_such() -> None:
    with pytest.raises(DataError, match=r"one column only.*separated by commas"):
        choose_label(text_table("\n".join(f"{i}::{i % 7}::{i % 5}" for i in ROW)), ())


def test_whole_numbers_that_nobody_counted_are_no_classes() -> None:
    heights = table_of({"a": X, "height": 44 + WHOLE % 16})
    assert decide_roles(heights, TableOptions(label="height")).task == "regression"
    digits = table_of({"a": X, "digit": WHOLE % 10})
    assert decide_roles(digits, TableOptions(label="digit")).task == "classification"


LINES = [f"{x},{z},{y}" for x, z, y in zip(X, Z, Y, strict=True)]
BODY = "\n".join(LINES)
QUALTRICS = '"How much?","How many?","Group"'
FILES: dict[str, tuple[str, str]] = {
    "lines end with CR": ("x,z,label\r" + "\r".join(LINES), ""),
    "CR LF and LF": ("x,z,label\r\n" + "\r\n".join(LINES[:9]) + "\n" + "\n".join(LINES[9:]), ""),
    "a Ctrl-Z at the end": (f"x,z,label\n{BODY}\n\x1a", ""),
    "blanks behind commas": ("x, z, label\n" + BODY.replace(",", ", "), ""),
    "a comma behind each row": ("x,z,label\n" + ",\n".join(LINES) + ",\n", ""),
    "R's row names": (
        '"x" "z" "label"\n' + "\n".join(f'"{i + 1}" {line.replace(",", " ")}' for i, line in enumerate(LINES)),
        "",
    ),
    "units": (f"x,z,label\n[m],[kg],[-]\n{BODY}", ""),
    "Qualtrics": (
        f'x,z,label\n{QUALTRICS}\n"{{""ImportId"":1}}","{{""ImportId"":2}}","{{""ImportId"":3}}"\n{BODY}',
        "",
    ),
    "TOA5 of Campbell": (f'"TOA5","CR1000","1031","Std.00.60","Test"\nx,z,label\nVolts,C,\nMin,,\n{BODY}', ""),
    "titles filled up to the width": (
        "Account:,DE123,,,\nFrom:,01.01.2020,,,\nx,z,label,a,b\n" + ",1,2\n".join([*LINES, ""]),
        "",
    ),
    "notes below": ("x,z,label,a\n" + ",1\n".join([*LINES, ""]) + ",,,\nLast updated: 01/02/2024,,,\n", ""),
    "Orange": (f"x,z,label\ncontinuous,continuous,discrete\n,,class\n{BODY}", ""),
    "three columns of LabVIEW": (
        "LabVIEW Measurement\t\nSeparator\tTab\n***End_of_Header***\t\n\t\nChannels\t1\t\nX0\t0.0\t\n"
        "***End_of_Header***\t\t\nx\tz\tlabel\n" + BODY.replace(",", "\t"),
        "",
    ),
    "a byte-order mark read as letters": (f"ï»¿x,z,label\n{BODY}", ""),
    "the header again in capitals": ("x,z,label\n" + "\n".join([*LINES[:50], "X,Z,LABEL", *LINES[50:]]), ""),
    "pandas' index has a name": (
        "c,x,z,label\nrow,,,\n" + "\n".join(f"{i},{line}" for i, line in enumerate(LINES)),
        "",
    ),
    "lists of JSON": ('[[1, 2, "a"], [3, 4, "b"]]', "not an array of objects"),
    "MATLAB": ("MATLAB 5.0 MAT-file, Platform: GLNXA64", "MATLAB file"),
    "psql's footer": ("x|z|label\n" + BODY.replace(",", "|") + f"\n({N} rows)\n", r"line 202: 1 field"),
    "two tables": (f"x,z,label\n{BODY}\n\na,b\n1,2\n", "line 203: 2 fields"),
    "a comma without quotes": (f"x,z,label\n{BODY}\n1,2,yes, really\n", "line 202: 4 fields"),
    "no header": (BODY, "--no-header"),
    "Python's dictionaries": ("{'x': 1.5, 'label': 'a'}\n" * 9, "Python dictionaries, not JSON"),
    "one object of columns": ('{"x": {"0": 1.5}, "label": {"0": "a"}}', "one JSON object"),
    "commas between JSON lines": ('{"x": 1},\n' * 9, "is not JSON"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_for_what_it_is_or_named(name: str) -> None:
    text, error = FILES[name]
    if error:
        with pytest.raises(DataError, match=error):
            text_table(text)
        return
    table = text_table(text)
    np.testing.assert_allclose(table.typed("x").to_numpy(), X)
    assert table.label_column("label").values.to_pylist() == Y.tolist()


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        (["東京都", "大阪府"], "cp932"),
        (["优", "良", "差"], "gb18030"),
        (["été", "hiver"], "cp1252"),
        (["groß", "klein"], "cp1252"),
    ],
)
def test_a_few_words_tell_their_encoding(words: list[str], encoding: str) -> None:
    cells = [words[i % len(words)] for i in ROW]
    table = text_table("x,label\n" + "".join(f"{x},{cell}\n" for x, cell in zip(X, cells, strict=True)), encoding)
    assert table.as_given("label").to_pylist() == cells
    assert len(table.notices) == 1


def test_plus_and_minus_are_two_classes_though_minus_alone_is_a_missing_label() -> None:
    signs = text_table("x,label\n" + "".join(f"{x},{'+' if y == 'yes' else '-'}\n" for x, y in zip(X, Y, strict=True)))
    assert pa.compute.count_distinct(signs.label_column("label").values).as_py() == 2
    words = text_table("x,label\n" + "".join(f"{x},{'a' if y == 'yes' else '-'}\n" for x, y in zip(X, Y, strict=True)))
    assert words.label_column("label").values.null_count == int((Y != "yes").sum())


def test_tables_of_python_and_pandas_are_read_as_they_are_meant() -> None:
    columns = {"x": X.tolist(), "bin": pd.cut(X, 4), "label": Y.tolist()}
    read = [read_table({"x": X.tolist(), "label": Y.tolist()}), read_table(pd.DataFrame(columns))]
    read.append(read_table([{"x": float(x), "label": str(y)} for x, y in zip(X, Y, strict=True)]))
    read.append(read_table(pl.DataFrame({"x": X, "label": Y.tolist()}).lazy()))
    for table in read:
        np.testing.assert_array_equal(table.typed("x").to_numpy(), X)
    assert kind(read[1], "bin") == "text"
    assert kind(read_table(pd.DataFrame(columns | {"z": X + 1j * Z})), "z") == "vector"
    with pytest.raises(DataError, match="column big is of type Int128, which Arrow does not know: cast it"):
        read_table(pl.DataFrame({"x": X, "big": pl.Series(range(N), dtype=pl.Int128)}))
    runs = pa.RunEndEncodedArray.from_arrays(pa.array(np.arange(1, N + 1), pa.int32()), pa.array(X))
    np.testing.assert_array_equal(read_table(pa.table({"x": runs})).typed("x").to_numpy(), X)
