"""Scores come back from every format as they went in."""

from __future__ import annotations

import csv
import datetime
import decimal
import gzip
import io
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossval_cli.errors import UsageError
from lossval_cli.runs.scores_io import BLOCK_ROWS, check_columns, pick, split_names, write_scores
from lossval_cli.tables.csv import read_csv

pytestmark = pytest.mark.usefixtures("valued_once")

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


def written(table: pa.Table, form: str, **options: bool) -> bytes:
    sink = io.BytesIO()
    write_scores(table, sink, form, **options)
    return sink.getvalue()


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.none() | TEXT, st.none() | TEXT), min_size=1, max_size=6))
def test_text_comes_back_from_csv_exactly(rows: list[tuple[str | None, str | None]]) -> None:
    columns = {name: pa.array(cells, pa.string()) for name, cells in zip("ab", zip(*rows, strict=True), strict=True)}
    table = pa.table({"rank": pa.array([str(1 + i) for i in range(len(rows))])} | columns)  # no row is empty
    back = read_csv(written(table, "csv"), "scores.csv").data
    assert back.to_pydict() == table.to_pydict()


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6))
def test_numbers_come_back_bit_for_bit(numbers: list[float]) -> None:
    table = pa.table({"number": numbers, "row": range(len(numbers))})
    lines = written(table, "csv").decode().splitlines()[1:]
    assert [float(line.split(",")[0]).hex() for line in lines] == [number.hex() for number in numbers]
    objects = [json.loads(line) for line in written(table, "jsonl").splitlines()]
    assert [float(item["number"]).hex() for item in objects] == [number.hex() for number in numbers]


def test_missing_and_empty_text_differ_in_csv() -> None:
    table = pa.table({"a": ["", None, "x"], "n": [1, 2, 3]})
    assert written(table, "csv") == b'a,n\n"",1\n,2\nx,3\n'


def test_a_lone_missing_cell_is_not_a_blank_line() -> None:
    assert written(pa.table({"a": pa.array([None, "x"])}), "csv") == b'a\n""\nx\n'


def test_json_lines_have_null_for_what_json_cannot_say() -> None:
    table = pa.table({'ke"y': [math.nan, math.inf, 1.5], "text": [None, 'a"\n', "é"], "flag": [True, None, False]})
    assert written(table, "jsonl").decode() == (
        '{"ke\\"y": null, "text": null, "flag": true}\n'
        '{"ke\\"y": null, "text": "a\\"\\n", "flag": null}\n'
        '{"ke\\"y": 1.5, "text": "é", "flag": false}\n'
    )


def test_every_type_of_id_and_label_is_written() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    table = pa.table(
        {
            "category": pa.array(["u", None]).dictionary_encode(),
            "decimal": pa.array([decimal.Decimal("1.10"), None]),
            "day": pa.array([datetime.date(2024, 2, 29), None]),
            "moment": pa.array(
                [datetime.datetime(2024, 2, 29, 12, tzinfo=zone), None], pa.timestamp("ms", "Europe/Paris")
            ),
            "bytes": pa.array([b"\xff\x00", None]),
            "list": pa.array([["a", "b,c"], None]),
            "large": pa.array(["x,y", None], pa.large_string()),
            "nothing": pa.nulls(2),
        }
    )
    (header, first, second) = csv.reader(io.StringIO(written(table, "csv").decode()))
    assert header == table.column_names
    assert first[:3] == ["u", "1.10", "2024-02-29"]
    assert first[3].startswith("2024-02-29 11:00:00") or first[3].startswith("2024-02-29 10:00:00")
    assert first[4:] == ["ff00", '["a", "b,c"]', "x,y", ""]
    assert second == [""] * 8
    assert json.loads(written(table, "jsonl").splitlines()[0])["decimal"] == "1.10"
    assert pq.read_table(io.BytesIO(written(table, "parquet"))).equals(table)


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", '"\'\r=1"'),
        ("＝1", "'＝1"),
        ("-1.5", "-1.5"),
        ("+3", "+3"),
        ("-1e-3", "-1e-3"),
        ("a=b", "a=b"),
        ("", '""'),
    ],
)
def test_safe_csv_neutralises_formulas_and_leaves_numbers(cell: str, safe: str) -> None:
    table = pa.table({"id": [cell], "=importance": [-0.5]})
    sink = io.BytesIO()
    write_scores(table, sink, "csv", safe=True)
    assert sink.getvalue().decode() == f"id,'=importance\n{safe},-0.5\n"
    assert written(table, "jsonl").startswith(b'{"id": ' + json.dumps(cell, ensure_ascii=False).encode())


def test_many_blocks_are_joined_without_a_seam() -> None:
    rows = BLOCK_ROWS + 3
    table = pa.table({"row": range(rows), "text": ["x"] * rows})
    lines = written(table, "csv").splitlines()
    assert lines[0] == b"row,text"
    assert lines[1:] == [b"%d,x" % row for row in range(rows)]


def test_a_packed_file_depends_on_nothing_but_the_scores() -> None:
    table = pa.table({"a": ["x"]})
    packed = written(table, "csv", packed=True)
    assert gzip.decompress(packed) == b"a\nx\n"
    assert packed == written(table, "csv", packed=True)
    assert packed[4:8] == b"\0\0\0\0"  # the time


def test_pick_sorts_cuts_and_selects() -> None:
    table = pa.table({"rank": [1, 2, 3], "row": [2, 0, 1], "importance": [0.5, 1.0, 1.5]})
    assert pick(table).equals(table)
    assert pick(table, sort="best", top=2)["rank"].to_pylist() == [3, 2]
    assert pick(table, sort="original", columns=["rank"]).to_pydict() == {"rank": [2, 3, 1]}
    assert pick(table, top=9).num_rows == 3


def test_names_of_columns() -> None:
    assert split_names('rank, "a,b",row') == ["rank", "a,b", "row"]
    with pytest.raises(UsageError, match=r"^--columns ranc: the scores have no such column; did you mean rank\?$"):
        check_columns(["ranc"], ["rank", "row"])
    with pytest.raises(UsageError, match="more than once"):
        check_columns(["row", "row"], ["rank", "row"])
