"""Cells are read as a person would read them, whatever program wrote them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from lossval_cli.tables.table import read_table


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def column(cells: list[str]) -> list[object]:
    """The cells as a column of a CSV file, typed."""
    with open("t.csv", "w", encoding="utf-8") as file:
        file.writelines(
            f'"{cell}",{i}\n' for cell, i in zip(["x", *cells], ["number", *range(len(cells))], strict=True)
        )
    values: list[object] = read_table("t.csv").typed("x").to_pylist()
    return values


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        (["03:04:05", "16:00:00", "23:59:59", "00:00:01"], 3 * 3600 + 4 * 60 + 5),
        (["3:04 PM", "4:00 AM", "11:59 AM", "12:00 PM"], 15 * 3600 + 4 * 60),
        (["1 234", "12 345", "987", "1 111 222"], 1234),
        (["20230105", "20230211", "20221231", "20200229"], datetime(2023, 1, 5)),
    ],
    ids=["times of day", "clocks of twelve hours", "spaces between thousands", "dates without marks"],
)
def test_a_column_has_the_type_a_person_would_give_it(cells: list[str], first: object) -> None:
    values = column(cells)
    assert values[0] == first
    assert None not in values


@pytest.mark.parametrize(
    "cells",
    [["555 123 456", "555 987 654", "555 111 222"], ["50-00-0", "64-17-5", "67-56-1"]],
    ids=["telephone numbers", "registry numbers of chemicals"],
)
def test_codes_stay_text(cells: list[str]) -> None:
    assert column(cells) == cells


def test_eight_digits_that_are_no_dates_stay_numbers() -> None:
    assert column(["20230105", "20231399", "51203344", "20200101"])[0] == 20230105
