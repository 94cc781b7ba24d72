"""Parquet and Arrow files as programs write them: values kept exactly, and what cannot be read said by name."""

from __future__ import annotations

import base64
import datetime
import io
import uuid
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossval_cli.errors import DataError, SchemaError
from lossval_cli.tables.files import Source
from lossval_cli.tables.parquet_rewrite import ParquetOriginal
from lossval_cli.tables.table import open_streamed, read_table

FOR_EVER = datetime.datetime(9999, 12, 31)
RECENT = datetime.datetime(2024, 1, 1, 12)

INTERVALS = zlib.decompress(
    base64.b64decode(
        "eNqNUk1Lw0AQnU1LiEJKe5hlA0FyMKGWWhrRWCEUlB4UPBTx4Ml+JWI0aaA1QTz1F3j0B4i/Rn+DF8/ib3DSWGjRg489zBvem3m7bPfwzEZA"
        "F506ylTIKANs6BIAyIzBGmOlOtVQgBwkOcfjJW1N5FpQmTL7ctT1DtH3CBaYvb1kphDbSyZnYXIYtMvAzCYsoYCSdroHQvWS0a037E1H1340"
        "IB8WTUmwe3MTsIQCJSEFqVnLiEGEJeEnubms6ZprgY5FDUEjPUpc5pf8wlJcoSwuIhT2U3Go/tGtVEDTMYueRc3GlebjaOV8XspvrP7JXwqW"
        "zAWPjPetV+aKMqyi8KvDKMI/VKuR+AdtsRT+LFFX6PlbNYLxnT9JB2FvGMZx1LsKQuJCHceTaBAGD763ndogqh1Sd46M1J9Mg3hspDuNZsM2"
        "qsMkCD2j5e23bHvXP2huaa4OkB94oqfp0nf5BtstRv0="
    )
)
"""Three rows as DuckDB 2.0 writes them: x bigint, iv interval, u uuid."""


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def parquet(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def arrow(table: pa.Table, *, stream: bool = False) -> bytes:
    sink = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as file:
        file.write_table(table, max_chunksize=2)
    return sink.getvalue()


def in_both_ways(data: bytes) -> list[pa.Table]:
    """The table read whole, and read in parts where it can be."""
    Path("t.data").write_bytes(data)
    kept = open_streamed("t.data")
    whole = read_table("t.data").data
    return [whole] if kept is None else [whole, kept.take(np.arange(kept.num_rows))]


def test_timestamps_of_spark_keep_dates_that_nanoseconds_cannot_hold() -> None:
    when = pa.array([RECENT, FOR_EVER, None], pa.timestamp("us"))
    data = parquet(pa.table({"when": when}), use_deprecated_int96_timestamps=True)
    assert pq.ParquetFile(io.BytesIO(data)).schema.column(0).physical_type == "INT96"
    for table in in_both_ways(data):
        assert table["when"].to_pylist() == [RECENT, FOR_EVER, None]
    assert read_table("t.data").typed("when").to_pylist() == [RECENT, FOR_EVER, None]


def view(values: list[str | None]) -> pa.Array:
    return pa.array(values, pa.string()).cast(pa.string_view())


@pytest.mark.skipif(not hasattr(pa, "string_view"), reason="no views in this version of pyarrow")
@pytest.mark.parametrize("stream", [False, True])
def test_arrow_files_of_polars_are_read(stream: bool) -> None:
    """Text as views, Categorical and Enum as dictionaries of views."""
    codes = pa.array([1, 0, None], pa.uint32())
    columns = {
        "text": view(["a", None, "longer than twelve bytes"]),
        "category": pa.DictionaryArray.from_arrays(codes, view(["x", "y"])),
        "enum": pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.uint8()), view(["S", "M"]), ordered=True),
    }
    for table in in_both_ways(arrow(pa.table(columns), stream=stream)):
        assert table.to_pydict() == {
            "text": ["a", None, "longer than twelve bytes"],
            "category": ["y", "x", None],
            "enum": ["S", "M", "S"],
        }
        assert table["text"].type == pa.string()
        assert table["category"].type.value_type == table["enum"].type.value_type == pa.string()
    assert read_table("t.data").typed("enum").to_pylist() == ["S", "M", "S"]


def test_bytes_that_are_text_are_read_as_text_and_others_are_not() -> None:
    """As Impala and older versions of Spark store text."""
    table = pa.table({"city": ["Oslo", "Bod\u00f8"], "picture": [b"\xff\xd8", b""], "empty": pa.nulls(2, pa.binary())})
    data = parquet(table.set_column(0, "city", table["city"].cast(pa.binary())), store_schema=False)
    for found in in_both_ways(data):
        assert found["city"].to_pylist() == ["Oslo", "Bod\u00f8"] and found["city"].type == pa.string()
        assert found["picture"].type == pa.binary()
    notice = "t.data: column city is stored as bytes and read as text (UTF-8)"
    assert read_table("t.data").notices == (notice,)
    kept = open_streamed("t.data")
    assert kept is not None and kept.notices == (notice,)


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN", "DELTA_BINARY_PACKED"])
def test_every_encoding_is_read(encoding: str) -> None:
    table = pa.table({"a": list(range(9)) if encoding == "DELTA_BINARY_PACKED" else [f"name {i}" for i in range(9)]})
    for found in in_both_ways(parquet(table, use_dictionary=False, column_encoding={"a": encoding})):
        assert found.to_pydict() == table.to_pydict()


def test_lists_of_numbers_are_read_and_records_are_not() -> None:
    vectors = pa.array([[1.0, 2.0], [3.0, None]], pa.list_(pa.float32(), 2))
    table = pa.table({"v": vectors, "w": [[1], [2, 3]], "r": [{"a": 1}, {"a": 2}], "a.b": [1, 2], "t": [["x"], []]})
    for data in (parquet(table), arrow(table)):
        for found in in_both_ways(data):
            assert found["v"].to_pylist() == vectors.to_pylist() and found["w"].to_pylist() == [[1], [2, 3]]
            assert found["r"].null_count == 2 and found["a.b"].to_pylist() == [1, 2]
            assert found["t"].to_pylist() == [["x"], []]


def test_intervals_uuids_and_old_timestamps_are_written_back_as_they_were() -> None:
    old = parquet(
        pa.table({"when": pa.array([RECENT, FOR_EVER], pa.timestamp("us"))}), use_deprecated_int96_timestamps=True
    )
    for data, keep in ((INTERVALS, [True, False, True]), (old, [False, True])):
        original = ParquetOriginal([Source("t", "t", data)], "t")
        sink = io.BytesIO()
        original.write(sink, np.array(keep))
        before, after = pq.ParquetFile(io.BytesIO(data)), pq.ParquetFile(sink)
        for i in range(len(before.schema)):
            one, other = before.schema.column(i), after.schema.column(i)
            assert (one.name, one.physical_type, one.length) == (other.name, other.physical_type, other.length)
            if one.converted_type == "INTERVAL" or one.logical_type.type == "UUID":
                assert (one.converted_type, one.logical_type.type) == (other.converted_type, other.logical_type.type)
        read = [
            pq.ParquetFile(io.BytesIO(file), coerce_int96_timestamp_unit="us").read()
            for file in (data, sink.getvalue())
        ]
        assert read[0].filter(pa.array(keep)).to_pylist() == read[1].to_pylist()


def test_uuids_are_text_that_people_know() -> None:
    Path("t.parquet").write_bytes(INTERVALS)
    assert read_table("t.parquet").data["u"].to_pylist()[2] == str(uuid.UUID(int=3))


def write_parts(one: pa.Table, other: pa.Table) -> None:
    Path("d").mkdir()
    pq.write_table(one, "d/2023.parquet")
    pq.write_table(other, "d/2024.parquet")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"x": [2.0], "n": ["many"]},
            "d: column n holds text in 2024.parquet and int64 in 2023.parquet: store it as one type in all files",
        ),
        ({"x": [2.0], "m": [1]}, "d: 2024.parquet and 2023.parquet differ in 2 columns: m, n"),
    ],
)
def test_parts_with_other_columns_are_named_by_file(other: dict[str, list[object]], message: str) -> None:
    write_parts(pa.table({"x": [1.0], "n": [1]}), pa.table(other))
    for read in (read_table, open_streamed):
        with pytest.raises(SchemaError) as caught:
            read("d")
        assert str(caught.value) == message


def test_parts_whose_columns_fit_into_one_type_are_one_table() -> None:
    """Whole numbers and fractions, categories and text, another order of columns."""
    write_parts(
        pa.table({"n": [1], "c": pa.array(["a"]).dictionary_encode()}),
        pa.table({"c": pa.array(["b"], pa.large_string()), "n": [1.5]}),
    )
    kept = open_streamed("d")
    assert kept is not None
    for table in (read_table("d").data, kept.take(np.arange(2))):
        assert table.to_pydict() == {"n": [1.0, 1.5], "c": ["a", "b"]}


def test_one_format_mixed_with_another_is_refused() -> None:
    write_parts(pa.table({"x": [1]}), pa.table({"x": [1]}))
    Path("d/2024.parquet").write_bytes(b"x\n1\n")
    with pytest.raises(DataError, match=r"d/2024\.parquet is not a whole Parquet file|mixes Parquet and text"):
        read_table("d")


def test_an_arrow_stream_that_is_cut_short_is_damage() -> None:
    data = arrow(pa.table({"x": list(range(9))}), stream=True)
    for size in (20, len(data) // 2):
        Path("t.data").write_bytes(data[:size])
        with pytest.raises(DataError, match=r"t\.data (cannot be read as an Arrow file|is corrupt)"):
            read_table("t.data")
