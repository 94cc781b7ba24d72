"""Readers under generated input: what csv.writer writes comes back, and damage ends in one line."""

from __future__ import annotations

import csv
import io
import math
import re
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossval_cli.errors import DataError
from lossval_cli.tables.csv import read_csv
from lossval_cli.tables.csv_layout import field_counts, find_layout
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.table import read_table

pytestmark = pytest.mark.slow

CELLS = st.text(st.sampled_from("ab0,;\t| \"\r\n'é漢-"), max_size=8)
NAMES = st.lists(st.text("abcdefg_é", min_size=1, max_size=6), min_size=2, max_size=6, unique=True)
AS_IT_IS = ReadOptions(header=True)
"""No line is taken for a title, units or data instead of names."""
SETTINGS = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def written(draw: st.DrawFn) -> tuple[list[str], list[list[str]], bytes, list[int], str]:
    """A table, the bytes a csv.writer makes of it, and the line each data row starts on."""
    names = draw(NAMES)
    rows = draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), min_size=1, max_size=12))
    if not "".join(rows[-1]).strip(" \t\r\n,;|") or names in rows:  # rows that a reader leaves out, and says so
        rows = [[f"a{i}", *row[1:]] for i, row in enumerate(rows)]
    delimiter = draw(st.sampled_from(",;\t|"))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    # With minimal quoting Python quotes only the line breaks of its own line terminator.
    ending = "\r\n" if quoting == csv.QUOTE_MINIMAL else draw(st.sampled_from(["\n", "\r\n", "\r"]))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    writer.writerow(names)
    lines = []
    for row in rows:
        for _ in range(draw(st.integers(0, 2))):
            out.write(ending)
        lines.append(len(re.findall("\r\n|\r|\n", out.getvalue())) + 1)
        writer.writerow(row)
    text = out.getvalue()
    if draw(st.booleans()):
        text = text.removesuffix(ending)
    return names, rows, ("\ufeff" * draw(st.integers(0, 1)) + text).encode(), lines, delimiter


@SETTINGS
@given(written())
def test_what_csv_writes_is_read_back_with_its_lines(
    case: tuple[list[str], list[list[str]], bytes, list[int], str],
) -> None:
    names, rows, data, lines, delimiter = case
    # The layout is exact under the true delimiter; a sniff on hostile cells may have to guess.
    layout = find_layout(data.removeprefix(b"\xef\xbb\xbf"), delimiter)
    assert layout.lines[1:].tolist() == lines
    assert layout.open_line is None
    assert set(field_counts(data.removeprefix(b"\xef\xbb\xbf"), delimiter, layout)) == {len(names)}
    found = read_csv(data, "t.csv", AS_IT_IS)
    assert found.delimiter == delimiter
    assert found.data.column_names == names
    assert [[cell or "" for cell in row.values()] for row in found.data.to_pylist()] == rows
    assert found.lines.tolist() == lines


@SETTINGS
@given(st.text(st.sampled_from('ab1,;"\r\n\t |é\0'), max_size=60).map(str.encode) | st.binary(max_size=60))
def test_any_bytes_are_a_table_or_an_error_in_one_line(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "t.csv")
        path.write_bytes(data)
        try:
            table = read_table(path)
        except DataError as error:
            assert "\n" not in str(error)
            return
    assert table.lines is not None
    assert len(table.lines) == table.rows > 0
    assert np.all(np.diff(table.lines) > 0)
    for column in table.column_names:
        assert len(table.typed(column)) == table.rows


def _parquet_bytes() -> bytes:
    sink = io.BytesIO()
    table = pa.table({"a": [1, 2, 3], "b": ["x", "y", None], "c": [[1.5], [], None]})
    pq.write_table(table.append_column("d", pa.array(["u", "v", "u"]).dictionary_encode()), sink)
    return sink.getvalue()


PARQUET = _parquet_bytes()


@settings(SETTINGS, derandomize=True)  # the decoder is not ours: the same damage every time
@given(st.lists(st.tuples(st.integers(0, len(PARQUET) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_parquet_is_a_table_or_an_error_in_one_line(damage: list[tuple[int, int]]) -> None:
    data = bytearray(PARQUET)
    for offset, byte in damage:
        data[offset] = byte
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "t.parquet")
        path.write_bytes(bytes(data))
        try:
            table = read_table(path)
            for column in table.column_names:
                assert len(table.typed(column)) == table.rows
        except DataError as error:
            assert "\n" not in str(error)


NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)


@SETTINGS
@given(st.lists(st.none() | NUMBERS, min_size=1, max_size=20))
def test_numbers_written_by_python_are_read_exactly(values: list[int | float | None]) -> None:
    text = "x,z\n" + "".join(f"{'' if value is None else repr(value)},0\n" for value in values)
    column = pa.chunked_array([_typed(text)])
    whole = all(isinstance(value, int) for value in values if value is not None)
    if any(value is not None for value in values):
        assert column.type == (pa.int64() if whole else pa.float64())
    # What is infinite as a float is an invalid cell, and missing.
    floats = [None if value is None else (value if whole else float(value)) for value in values]
    assert column.to_pylist() == [None if value is not None and math.isinf(value) else value for value in floats]


def _typed(text: str) -> pa.Array:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "t.csv")
        path.write_text(text)
        return read_table(path).typed("x").combine_chunks()
