"""Columns of exports that people send (instruments, accounts, statistics offices, forms), with the values that a person
would read in them, and what looks like them and is a code."""

from __future__ import annotations

import tomllib
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from lossval_cli.features.dataset import load_dataset
from lossval_cli.features.table_options import TableOptions, columns_toml
from lossval_cli.settings import Settings
from lossval_cli.tables.numbers import NumberForm
from lossval_cli.tables.table import Table, read_table

N = 60
JULY, HOUR = datetime(2023, 7, 9), datetime(2023, 7, 9, 22, 30)


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def column(cells: list[str]) -> Table:
    pd.DataFrame({"x": [i / 7 for i in range(N)], "v": (cells * N)[:N]}).to_csv("t.csv", index=False)
    return read_table("t.csv")


NUMBERS: dict[str, tuple[list[str], list[float]]] = {
    "parts (IEC 60062)": (["4k7", "100R", "2R2", "10k", "1M"], [4700, 100, 2.2, 1e4, 1e6]),
    "capacitors": (["100n", "4u7", "22p", "1u"], [1e-7, 4.7e-6, 2.2e-11, 1e-6]),
    "capacitors with a unit": (["22pF", "4.7uF", "100nF"], [2.2e-11, 4.7e-6, 1e-7]),
    "milliamperes of a simulation": (["250m", "477.4u", "3m"], [0.25, 0.0004774, 0.003]),
    "ohms in letters": (["10 kOhm", "4.7 MOhm", "100 Ohm"], [1e4, 4.7e6, 100]),
    "doses": (["8 mg", "15 mcg", "1 g"], [0.008, 1.5e-5, 1]),
    "memory of Kubernetes": (["250Mi", "2Gi", "512Ki"], [250 * 2**20, 2**31, 2**19]),
    "sizes in powers of two": (["1.5 MiB", "512 KiB"], [1.5 * 2**20, 2**19]),
    "free space": (["250M", "4.8G", "900K"], [2.5e8, 4.8e9, 9e5]),
    "feet and inches": (["5'6\"", "6'3\"", "5'"], [5.5, 6.25, 5]),
    "feet and inches in letters": (["5 ft 6 in", "6 ft 3 in"], [5.5, 6.25]),
    "pounds and ounces": (["6 lb 8 oz", "7 lbs 4 oz"], [6.5, 7.25]),
    "degrees, minutes and seconds": (["47°30'36\"N", "45° 15' 0\" S"], [47.51, -45.25]),
    "years and months": (["11 years 6 months", "3 months"], [11.5, 0.25]),
    "weeks and days": (["2w 1d", "3w"], [15 * 86_400, 21 * 86_400]),
    "German hours": (["7 Std. 10 Min.", "5 Std."], [25_800, 18_000]),
    "minutes for a kilometre": (["4:10 /km", "5:30 /km"], [15_000, 19_800]),
    "times under a minute": (["1:10.50", "59.80", "2:05.45"], [70.5, 59.8, 125.45]),
    "inches": (["3 1/2", "3/4", "5"], [3.5, 0.75, 5]),
    "cups": (["8½", "¼", "2"], [8.5, 0.25, 2]),
    "powers in small digits": (["1.5×10⁻³", "2×10⁴"], [0.0015, 2e4]),
    "rises and falls": (["▲ 3.5%", "▼ 2%"], [0.035, -0.02]),
    "Japanese accounts": (["▲1,234", "5,678", "△90"], [-1234, 5678, -90]),
    "uncertain last digits": (["5.332(5)", "0.102(10)"], [5.332, 0.102]),
    "stars of significance": (["0.592*", "0.53***", "0.866"], [0.592, 0.53, 0.866]),
    "grades out of 4.0": (["3.5 / 4.0", "2 / 4.0"], [3.5, 2]),
    "quotes that were quoted": (['"12"', '"-3.5"'], [12, -3.5]),
    "whole rupees": (["Rs. 2,950/-", "Rs. 845/-"], [2950, 845]),
    "Swiss francs": (["Fr. 2'950.50", "Fr. 45.00"], [2950.5, 45]),
    "flags of several letters": (["1.5 b", "2.5 e", "3.5 be", *["4.5", "5.5"] * 9], [1.5, 2.5, 3.5, 4.5]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_have_the_values_that_were_meant(name: str) -> None:
    cells, expected = NUMBERS[name]
    assert column(cells).typed("v").to_pylist()[: len(expected)] == pytest.approx(expected)


OTHERS: dict[str, tuple[list[str], list[str], float]] = {
    "one part": (["4k7", "100R", "10k"], ["2k2"], 2200),
    "feet alone": (["5'6\"", "6'3\""], ["5'"], 5),
    "hours alone": (["1h 30m", "2h"], ["3h"], 10_800),
    "another prefix": (["250Mi", "2Gi"], ["1Gi"], 2**30),
    "plain numbers": (["5'6\"", "6'3\""], ["5.5"], 5.5),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_table_is_read_in_the_units_of_training(name: str) -> None:
    trained, cells, value = OTHERS[name]
    kind = column(trained).column("v").type
    assert column(cells).column_as("v", kind).values[0].as_py() == pytest.approx(value)


def test_what_is_written_of_a_quantity_is_read_back() -> None:
    for cells, value in ((["5'6\"", "6'3\""], 5.25), (["250m", "47u"], 0.003), (["1h 30m", "2h"], 5400)):
        form = column(cells).column("v").type.form
        assert isinstance(form, NumberForm)
        assert column([*cells, form.write(value, None)]).typed("v")[2].as_py() == pytest.approx(value)


DATES: dict[str, tuple[str, datetime]] = {
    "Vietnamese": ("9 tháng 7 2023", JULY),
    "Vietnamese in full": ("ngày 9 tháng 7 năm 2023", JULY),
    "Vietnamese in the evening": ("09/07/2023 10:30 CH", HOUR),
    "Greek in the evening": ("09/07/2023 10:30 μ.μ.", HOUR),
    "Turkish in the evening": ("09.07.2023 10:30 ÖS", HOUR),
    "Hindi": ("9 जुलाई 2023", JULY),
    "Polish": ("9 lipca 2023 r.", JULY),
    "Bulgarian": ("09.07.2023 г.", JULY),
    "Croatian": ("9. 7. 2023.", JULY),
    "a weekday behind": ("2023-07-09 Sun", JULY),
    "Google Forms": ("2023/7/9 10:30:00 PM GMT+2", datetime(2023, 7, 9, 20, 30)),
    "Go": ("2023-07-09 22:30:00 +0000 UTC", HOUR),
    "MongoDB": ('ISODate("2023-07-09T22:30:00Z")', HOUR),
    "pandas in a list": ("pd.Timestamp('2023-07-09 22:30:00')", HOUR),
    "weeks of Stata": ("2023w27", datetime(2023, 7, 3)),
    "a quarter's short year": ("Q3'23", datetime(2023, 7, 1)),
    "a quarter first": ("3Q23", datetime(2023, 7, 1)),
    "quarters of a fiscal year": ("Q3 FY23", datetime(2023, 7, 1)),
    "a fiscal year's quarters": ("FY2023-Q3", datetime(2023, 7, 1)),
}


@pytest.mark.parametrize("name", DATES)
def test_dates_are_those_that_were_meant(name: str) -> None:
    cell, expected = DATES[name]
    others = [cell.replace("23", "22"), cell.replace("23", "21"), cell.replace("09/07", "19/07")]
    assert column([cell, *others]).typed("v")[0].as_py() == expected


def test_zeros_and_all_nines_of_sap_are_no_reason_to_lose_a_column_of_dates() -> None:
    table = column(["00000000", "20230709", "20230801", "99991231", "20230702", "20230809", *["20230131"] * 20])
    assert table.typed("v").to_pylist()[:4] == [None, JULY, datetime(2023, 8, 1), datetime(9999, 12, 31)]


SHORT_DATES = [datetime(2020, 1, 1) + timedelta(days=23 * i % 1400) for i in range(N)]


@pytest.mark.parametrize("form", ["%y/%m/%d", "%y-%m-%d", "%y.%m.%d", "%y/%m/%d %H:%M"])
def test_a_year_of_two_digits_may_come_first(form: str) -> None:
    written = column([day.strftime(form) for day in SHORT_DATES])
    assert written.typed("v").to_pylist() == SHORT_DATES
    alone = column([datetime(2021, 2, 3).strftime(form)])
    assert alone.column_as("v", written.column("v").type).values[0].as_py() == datetime(2021, 2, 3)


YEARS = [2001 + i // 2 for i in range(N)]
LAST_YEARS = {
    "days of all months": ("%d/%m/%y", SHORT_DATES),
    "month first": ("%m/%d/%y", SHORT_DATES),
    "the last of the month": ("%d/%m/%y", [datetime(year, 12, 31) - timedelta(days=31 * (year % 2)) for year in YEARS]),
    "payments on the fifteenth": ("%d/%m/%y", [datetime(year + 1, 1 + year % 12, 15) for year in YEARS[:58]]),
    "the first of the month": ("%d/%m/%y", [datetime(year, 1 + year % 12, 1) for year in YEARS]),
    "the first and the fifteenth": ("%d/%m/%y", [datetime(YEARS[i], 1 + i % 12, 1 + 14 * (i % 2)) for i in range(N)]),
}


@pytest.mark.parametrize("name", LAST_YEARS)
def test_a_year_of_two_digits_usually_comes_last(name: str) -> None:
    form, days = LAST_YEARS[name]
    assert column([day.strftime(form) for day in days]).typed("v").to_pylist()[: len(days)] == days


def test_points_separate_thousands_beside_decimal_commas() -> None:
    salaries = [1000 + 83 * i for i in range(N)]
    cells = {"salary": [f"{one:,}".replace(",", ".") for one in salaries], "size": [f"{i / 7:.2f}" for i in range(N)]}
    pd.DataFrame(cells).to_csv("points.csv", index=False, sep=";")
    assert read_table("points.csv").typed("salary").to_pylist() == pytest.approx([one / 1000 for one in salaries])
    cells["size"] = [cell.replace(".", ",") for cell in cells["size"]]
    pd.DataFrame(cells).to_csv("commas.csv", index=False, sep=";")
    assert read_table("commas.csv").typed("salary").to_pylist() == salaries


@pytest.mark.slow
def test_a_written_table_of_columns_gives_the_same_reading() -> None:
    columns = {
        name: NUMBERS[name][0] for name in ("parts (IEC 60062)", "feet and inches", "inches", "minutes for a kilometre")
    }
    columns |= {"quarter": ["Q3'23", "Q1'22"], "code": CODES["letters among parts"]}
    columns["below detection"] = ["BDL", "BDL", *(f"{i / 7:.3f}" for i in range(N - 2))]
    columns["suppressed dates"] = ["hidden", *(f"2024-01-{i:02}" for i in range(1, 29))]
    columns["list"] = [f"[{i}, 1.5]" for i in range(N)]
    columns["label"] = ["a", "b"]
    frame = pd.DataFrame({name: (cells * N)[:N] for name, cells in columns.items()})
    plain = load_dataset(frame, None, options=TableOptions(label="label"), settings=Settings())
    rules = tomllib.loads(columns_toml(plain.column_rules()))["columns"]
    ruled = load_dataset(frame, None, options=TableOptions(columns=rules), settings=Settings())
    assert ruled.encoder.types == plain.encoder.types
    assert ruled.roles.features == plain.roles.features
    assert (ruled.train.X[:] == plain.train.X[:]).all()


CODES = {
    "letters among parts": ["4k7", "A12", "B7", "9c1"],
    "one letter in the middle": ["4k7", "2k2", "3k9", "5k1"],
    "resolutions": ["720p", "1080p", "4K", "480p"],
    "sections of a law": ["12(3)", "4(1)", "7(2)", "31(4)"],
    "letters of sections": ["12(a)", "4(b)", "7(c)"],
    "orders of magnitude": ["10⁵", "10³", "10⁷"],
    "codes of four digits": ["70M70", "5G5", "33K33", "12M8"],
    "exams": ["1M", "2M", "3R", "4K"],
    "hours of opening": [f"{i:02}:00-{i + 2:02}:00" for i in range(6, 14)],
    "addresses": ["12 1/2 Main St", "45 1/2 Oak St", "7 1/2 Sun St"],
    "cup sizes": ["34B", "36C", "32D"],
    "widths": ["10M", "11W", "9N"],
    "alignments": ["101M", "50M1D51M", "5S96M"],
    "ranges of hours": ["10:30-9", "8:00-11", "7:15-3"],
    "chromosomes": ["1q21", "3p29", "22q11", "17p13"],
    "ratios": ["3/4", "1/2", "2/3", "5/7"],
    "cases of a year": ["2023-190", "2021-276", "2022-153"],
    "sex and age": ["34M", "28F", "51F", "40M"],
    "feet and a number": ["6-2", "5-11", "5-9"],
}


@pytest.mark.parametrize("name", CODES)
def test_codes_that_look_like_numbers_or_dates_stay_text(name: str) -> None:
    assert str(column(CODES[name]).column("v").type.dtype) == "string"
