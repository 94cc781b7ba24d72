"""Tables written again with changes: what is kept is as it was, every byte in CSV, every type in Parquet."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal
from itertools import compress, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_table_properties import AS_IT_IS, CELLS, written

from lossval_cli.errors import SchemaError
from lossval_cli.tables.csv_layout import find_layout
from lossval_cli.tables.csv_rewrite import CsvOriginal
from lossval_cli.tables.files import Source
from lossval_cli.tables.json_rewrite import JsonOriginal
from lossval_cli.tables.parquet_rewrite import ArrowOriginal, ParquetOriginal
from lossval_cli.tables.rewrite import Added, Cells

SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BOM = b"\xef\xbb\xbf"


def bytes_of(original: Any, keep: np.ndarray, **changes: Any) -> bytes:
    sink = io.BytesIO()
    original.write(sink, keep, **changes)
    return sink.getvalue()


# --- CSV ---

CASE = tuple[list[str], list[list[str]], bytes, list[int], str]


@pytest.mark.slow
@SETTINGS
@given(written(), st.data())
def test_kept_records_are_the_inputs_own_bytes_and_the_removed_are_the_rest(case: CASE, data: st.DataObject) -> None:
    _, rows, content, _, delimiter = case
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), bool)
    layout = find_layout(content.removeprefix(BOM), delimiter)
    text = content.removeprefix(BOM)
    bounds = [*layout.starts.tolist(), len(text)]
    head = content[: len(content) - len(text) + bounds[1]]
    records = [text[start:stop] for start, stop in pairwise(bounds[1:])]
    original = CsvOriginal(content, "t.csv", AS_IT_IS)
    kept, removed = bytes_of(original, keep), bytes_of(original, ~keep)
    assert kept == head + b"".join(compress(records, keep))
    assert removed == head + b"".join(compress(records, ~keep))
    assert len(kept) + len(removed) == len(content) + len(head)
    assert bytes_of(original, np.ones(len(rows), bool)) == content


@pytest.mark.slow
@SETTINGS
@given(written(), st.data())
def test_changed_cells_read_back_and_no_other_cell_changes(case: CASE, data: st.DataObject) -> None:
    names, rows, content, _, _ = case
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), bool)
    column = data.draw(st.integers(0, len(names) - 1))
    changed = sorted(data.draw(st.sets(st.integers(0, len(rows) - 1))))
    texts = [data.draw(CELLS) for _ in changed]
    weights = np.array(data.draw(st.lists(st.floats(0, 2), min_size=len(rows), max_size=len(rows))))
    for row, text in zip(changed, texts, strict=True):
        rows[row][column] = text
    cells = Cells(names[column], np.array(changed, np.int64), pa.array(texts, pa.string()))
    original = CsvOriginal(content, "t.csv", AS_IT_IS)
    out = bytes_of(original, keep, cells=[cells], added=Added('the "weight"', weights))
    weighed = zip(rows, weights.tolist(), strict=True)
    expected = [[*row, weight] for row, weight in compress(weighed, keep)]
    if not expected:
        return
    (head, *records) = parsed(out, original.records.delimiter)
    assert head == [*names, 'the "weight"']
    assert [[*row[:-1], float(row[-1].replace(",", "."))] for row in records] == expected


def parsed(content: bytes, delimiter: str) -> list[list[str]]:
    """Records by the reader under a known delimiter; new cells could mislead a sniff."""
    content = content.removeprefix(BOM)
    layout = find_layout(content, delimiter)
    table = pa.csv.read_csv(
        io.BytesIO(content),
        read_options=pa.csv.ReadOptions(autogenerate_column_names=True),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(column_types={f"f{i}": pa.string() for i in range(20)}, null_values=[]),
    )
    assert table.num_rows == len(layout.starts)
    return [list(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b\n1,x\n2,y", b"a,b,w\n1,x,0.5\n2,z,1.5"),
        (b"a,b\r\n1,x\r\n\r\n2,y\r\n", b"a,b,w\r\n1,x,0.5\r\n\r\n2,z,1.5\r\n"),
        (b"a;b\n80 kg;x\n75 kg;y\n", b"a;b;w\n80 kg;x;0.5\n75 kg;z;1.5\n"),
        (BOM + b'"a";"b"\n"1,5";"x"\n"2,5";"y"\n', BOM + b'"a";"b";"w"\n"1,5";"x";0,5\n"2,5";"z";1,5\n'),
        (b'a,b\n"1\n,""",x\n2,"y,"\n', b'a,b,w\n"1\n,""",x,0.5\n2,"z",1.5\n'),
        (b'a,b\n5" pipe,x\n6" pipe,y\n', b'a,b,w\n5" pipe,x,0.5\n6" pipe,z,1.5\n'),
        (b"a,b,\n1,x,\n2,y,\n", b"a,b,,w\n1,x,,0.5\n2,z,,1.5\n"),
        (b"\n\na\tb\r1\tx\r2\t\r", b"\n\na\tb\tw\r1\tx\t0.5\r2\tz\t1.5\r"),
        (b"sep=|\r\na|b\r\n1|x\r\n2|y\r\n", b"sep=|\r\na|b|w\r\n1|x|0.5\r\n2|z|1.5\r\n"),
        ("a,b\n漢,x\né,y\n".encode(), "a,b,w\n漢,x,0.5\né,z,1.5\n".encode()),
    ],
    ids=[
        "no last break",
        "CRLF",
        "units",
        "quoted, ;",
        "break in a cell",
        "stray quote",
        "empty end",
        "CR",
        "Excel's sep=",
        "UTF-8",
    ],
)
def test_the_way_a_file_is_written_is_kept(content: bytes, expected: bytes) -> None:
    cells = Cells("b", np.array([1]), pa.array(["z"]))
    added = Added("w", np.array([0.5, 1.5]))
    assert bytes_of(CsvOriginal(content, "t.csv"), np.ones(2, bool), cells=[cells], added=added) == expected


def test_a_column_that_does_not_exist_is_reported() -> None:
    with pytest.raises(SchemaError, match=r"t\.csv has no column c"):
        CsvOriginal(b"a,b\n1,2\n", "t.csv").column("c")


# --- Parquet ---


def everything(rows: int = 40) -> pa.Table:
    """A column of each kind that is easily lost, nulls in most, metadata, and one that may not be null."""
    rng = np.random.default_rng(0)
    i = [None if row % 7 == 3 else row for row in range(rows)]
    zone = ZoneInfo("Asia/Kathmandu")
    schema = pa.schema(
        [
            pa.field("key", pa.int64(), nullable=False, metadata={b"unit": b"none"}),
            ("small", pa.uint8()),
            ("price", pa.decimal128(20, 4)),
            ("when", pa.timestamp("us", "Asia/Kathmandu")),
            ("utc", pa.timestamp("ns", "UTC")),
            ("naive", pa.timestamp("ms")),
            ("day", pa.date32()),
            ("clock", pa.time64("us")),
            ("half", pa.float32()),
            ("raw", pa.binary()),
            ("big", pa.large_string()),
            ("flag", pa.bool_()),
            ("tags", pa.list_(pa.struct([("name", pa.string()), ("score", pa.float64())]))),
            ("map", pa.map_(pa.string(), pa.int32())),
            ("group", pa.dictionary(pa.int8(), pa.string(), ordered=True)),
        ],
        metadata={b"made by": b"hand"},
    )
    moment = datetime(2024, 3, 31, 1, 30, tzinfo=UTC)
    columns: dict[str, list[Any]] = {
        "key": list(range(rows)),
        "small": [None if x is None else x * 5 for x in i],
        "price": [None if x is None else Decimal(x) / 8 for x in i],
        "when": [None if x is None else moment.astimezone(zone).replace(day=1 + x % 28) for x in i],
        "utc": [None if x is None else pd.Timestamp(x + 1, unit="ns", tz="UTC") for x in i],
        "naive": [None if x is None else datetime(2000, 1, 1 + x % 28) for x in i],
        "day": [None if x is None else datetime(2000, 1, 1 + x % 28).date() for x in i],
        "clock": [None if x is None else datetime(2000, 1, 1, x % 24).time() for x in i],
        "half": rng.normal(size=rows).astype(np.float32).tolist(),
        "raw": [None if x is None else bytes([x, 0, 255]) for x in i],
        "big": [None if x is None else f"漢\0{x}" for x in i],
        "flag": [None if x is None else x % 2 == 0 for x in i],
        "tags": [None if x is None else [{"name": "a" * x, "score": None}] * (x % 3) for x in i],
        "map": [None if x is None else [("k", x)] for x in i],
        "group": [None if x is None else "abc"[x % 3] for x in i],
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def stored(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def parquet(data: bytes) -> ParquetOriginal:
    return ParquetOriginal([Source("t.parquet", "t.parquet", data)], "t.parquet")


def test_parquet_keeps_types_values_and_metadata() -> None:
    table = everything()
    keep = np.random.default_rng(1).random(40) < 0.6
    data = stored(table, row_group_size=7, compression="zstd")
    for mask in (keep, ~keep, np.ones(40, bool)):
        out = bytes_of(parquet(data), mask)
        file = pq.ParquetFile(io.BytesIO(out))
        found = file.read()
        before = pq.read_table(io.BytesIO(data), partitioning=None)
        assert found.schema.equals(before.schema, check_metadata=True)
        assert found.equals(before.filter(pa.array(mask)))
        assert found.schema.metadata[b"made by"] == b"hand"
        assert file.metadata.row_group(0).column(0).compression == "ZSTD"
        assert file.metadata.row_group(0).num_rows == min(7, mask.sum())


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("small", [255, 0]),
        ("price", [Decimal("-1.2345"), Decimal(7)]),
        ("big", ["é", ""]),
        ("flag", [True, False]),
        ("half", [0.5, -2.0]),
        ("group", ["c", "a"]),
    ],
)
def test_parquet_cells_are_replaced_and_weights_added(column: str, values: list[Any]) -> None:
    table = everything()
    original = parquet(stored(table, row_group_size=7))
    kind = original.column(column).type
    new = pa.array(values, pa.string()) if pa.types.is_dictionary(kind) else pa.array(values, kind)
    if pa.types.is_dictionary(kind):  # as it comes out of the column itself
        own = original.column(column)
        new = own.take(pa.array([own.to_pylist().index(value) for value in values])).combine_chunks()
    weights = np.linspace(0, 2, 40)
    keep = np.arange(40) != 5
    cells = Cells(column, np.array([3, 20]), new)
    out = bytes_of(original, keep, cells=[cells], added=Added("weight", weights))
    found = pq.read_table(io.BytesIO(out))
    wanted = table[column].to_pylist()
    wanted[3], wanted[20] = values
    assert found[column].to_pylist() == [value for row, value in enumerate(wanted) if row != 5]
    assert found["weight"].to_pylist() == weights[keep].tolist()
    assert found.schema.remove(len(table.schema)).equals(original.table.schema, check_metadata=True)
    others = table.drop_columns([column]).filter(pa.array(keep))
    assert found.drop_columns([column, "weight"]).to_pydict() == others.to_pydict()


def test_pandas_reads_the_rows_that_are_left() -> None:
    frame = pd.DataFrame({"x": np.arange(10.0), "c": pd.Categorical(list("abcab" * 2))})
    sink = io.BytesIO()
    frame.to_parquet(sink)
    keep = np.arange(10) % 3 > 0
    out = bytes_of(parquet(sink.getvalue()), keep)
    found = pd.read_parquet(io.BytesIO(out))
    pd.testing.assert_frame_equal(found, frame[keep].reset_index(drop=True))
    named = frame.set_index(pd.Index(list("ABCDEFGHIJ"), name="key"))
    sink = io.BytesIO()
    named.to_parquet(sink)
    out = bytes_of(parquet(sink.getvalue()), keep)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(out)), named[keep])
    ranged = frame.set_index(pd.RangeIndex(5, 25, 2, name="key"))
    sink = io.BytesIO()
    ranged.to_parquet(sink)
    out = bytes_of(parquet(sink.getvalue()), keep)
    assert pd.read_parquet(io.BytesIO(out)).index.tolist() == list(range(6))  # none rather than a wrong one
    out = bytes_of(parquet(sink.getvalue()), np.ones(10, bool))
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(out)), ranged)


# --- JSON ---

CHANGED = (
    (
        '{"a": 1.50, "b": "x\\u00e9"}\n\n{"b":"y","a":2}\n',
        '{"a": 1.50, "b": "ü", "w": 0.5}\n\n{"b":"y","a":2,"w":2.0}\n',
    ),
    ('\ufeff[{"b": "x"}, {"a": 2, "b": "y"}]', '\ufeff[{"b": "ü", "w": 0.5}, {"a": 2, "b": "y", "w": 2.0}]'),
    (
        '[\n  {\n    "b": "x",\n    "c": {"b": 1}\n  },\n  {"b": "y"}\n]\n',
        '[\n  {\n    "b": "ü",\n    "c": {"b": 1},\n    "w": 0.5\n  },\n  {"b": "y", "w": 2.0}\n]\n',
    ),
)


@pytest.mark.parametrize(("before", "after"), CHANGED)
def test_of_json_only_the_values_that_change_are_other_characters(before: str, after: str) -> None:
    original = JsonOriginal(before.encode(), "t.json")
    keep = np.ones(2, bool)
    assert bytes_of(original, keep).decode() == before
    cells = [Cells("b", np.array([0]), pa.array(["ü"]))]
    assert bytes_of(original, keep, cells=cells, added=Added("w", np.array([0.5, 2.0]))).decode() == after
    one = bytes_of(original, np.array([False, True])).decode()
    assert JsonOriginal(one.encode(), "t.json").table["b"].to_pylist() == ["y"]


def test_of_json_a_number_among_texts_stays_a_number() -> None:
    original = JsonOriginal(b'{"a": 1}\n{"a": "x"}\n{}\n', "t.json")
    cells = [Cells("a", np.array([0, 1, 2]), pa.array(["2", "2", None]))]
    assert bytes_of(original, np.ones(3, bool), cells=cells) == b'{"a": 2}\n{"a": "2"}\n{"a": null}\n'


# --- Arrow ---


@pytest.mark.parametrize("is_stream", [False, True])
def test_arrow_keeps_types_metadata_and_kind(is_stream: bool) -> None:
    table = pa.table({"x": pa.array([1, 2, 3], pa.int8()), "c": pa.array(["a", "b", "a"]).dictionary_encode()})
    table = table.replace_schema_metadata({b"mine": b"yes"})
    sink = io.BytesIO()
    write, read = (pa.ipc.new_stream, pa.ipc.open_stream) if is_stream else (pa.ipc.new_file, pa.ipc.open_file)
    with write(sink, table.schema) as writer:
        writer.write_table(table)
    original = ArrowOriginal([Source("t.arrow", "t.arrow", sink.getvalue())], "t.arrow")
    cells = [Cells("x", np.array([2]), pa.array([9], pa.int8()))]
    found = read(bytes_of(original, np.array([True, False, True]), cells=cells)).read_all()
    assert found.schema.equals(table.schema, check_metadata=True)
    assert found.to_pydict() == {"x": [1, 9], "c": ["a", "a"]}
