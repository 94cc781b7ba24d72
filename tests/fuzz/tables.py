"""Tables as bytes: CSV that is nearly right, Parquet of every type, and damage to both."""

from __future__ import annotations

import bz2
import gzip
import io
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

HOSTILE = (
    *("", " ", "NA", "?", "-", "nan", "inf", "-Infinity", "1e308", "-1e308", "1e999", "1e-320", "-0", "+5"),
    *("0x1F", "1_000", "1,5", "1.2.3", "9223372036854775808", "-9223372036854775809", "9" * 400, "١٢٣", "½"),
    *("2024-13-40", "0000-00-00", "9999-12-31T23:59:59.9999999", "2024-02-30", "01/02/2024", "31.12.1999"),
    *("2024-01-01T00:00:00+99:99", "1677-09-21", "24:00", "TRUE", "false", "yes", "=cmd()", "@SUM(A1)"),
    *("<script>alert(1)</script>", "]]>", "::error::x", "##[error]", "%0A::set-output", "{{7*7}}", "{0}"),
    *(
        "\x1b]0;x\x07",
        "\u202e",
        "\u0301",
        "\ufeff",
        "é",
        "漢字",
        "😀",
        "a" * 300,
        "it's",
        "a, b",
        "\\n",
        "`x`",
    ),
    *('"', '""', 'a"b', "'", "\n", "\r", "a\nb", ";", "\t", "|", "null", "None", "NaN", "../../etc/passwd"),
)
"""Cells and names that a reader, a parser or a report may trip over."""

NAMES = st.one_of(
    st.sampled_from(["label", "target", "y", "class", "id", "size", "row", "line", "rank", "importance"]),
    st.sampled_from(HOSTILE),
    st.text(max_size=5),
)

KINDS: dict[str, st.SearchStrategy[str]] = {
    "whole": st.integers(-9, 9).map(str),
    "large": st.integers(-(2**70), 2**70).map(str),
    "number": st.floats(allow_nan=False).map(repr),
    "scaled": st.floats(1e29, 1e31).map(repr),
    "class": st.sampled_from(["yes", "no"]),
    "level": st.sampled_from("abcdefgh"),
    "date": st.dates().map(str),
    "text": st.text(max_size=12),
    "hostile": st.sampled_from(HOSTILE),
    "same": st.just("7"),
    "absent": st.just(""),
}


@st.composite
def csv_tables(draw: st.DrawFn) -> bytes:
    """CSV text: columns of one kind each with strange cells in between, mostly well formed."""
    width = draw(st.integers(1, 5))
    names = draw(st.lists(NAMES, min_size=width, max_size=width))
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=width, max_size=width))
    if draw(st.integers(0, 4)):  # a table that can be learned from
        names = [*(f"c{i}{name[:9]}" for i, name in enumerate(names)), "label"]
        kinds = [*kinds, draw(st.sampled_from(["class", "class", "level", "number", "scaled"]))]
    rows = draw(st.sampled_from([0, 1, 9, 10, 12, 14, 16, 20, 24, 30]))
    columns = []
    for kind in kinds:
        column = draw(st.lists(KINDS[kind], min_size=min(rows, 12), max_size=min(rows, 12)))
        columns.append([column[i % len(column)] for i in range(rows)])
    for _ in range(draw(st.integers(1, 6)) if rows and not draw(st.integers(0, 2)) else 0):
        columns[draw(st.integers(0, len(columns) - 1))][draw(st.integers(0, rows - 1))] = draw(st.sampled_from(HOSTILE))
    delimiter = draw(st.sampled_from(",,,;\t| "))
    ending = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    careful = draw(st.integers(0, 5)) > 0

    def cell(text: str) -> str:
        if careful and any(mark in text for mark in (delimiter, '"', "\n", "\r")):
            return '"' + text.replace('"', '""') + '"'
        return text

    lines = [names, *zip(*columns, strict=True)]
    text = ending.join(delimiter.join(map(cell, line)) for line in lines) + ending
    return packed(draw, damaged(draw, text.encode("utf-8", "surrogatepass")))


def damaged(draw: st.DrawFn, data: bytes, most: int = 3) -> bytes:
    """`data`, a third of the time with a few bytes changed, cut out, doubled or put in."""
    if not data or draw(st.integers(0, 2)):
        return data
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, most))):
        i = draw(st.integers(0, len(changed) - 1)) if changed else 0
        way = draw(st.integers(0, 5))
        if way == 0:
            changed[i : i + 1] = bytes([draw(st.integers(0, 255))])
        elif way == 1:
            del changed[i : i + draw(st.integers(1, 40))]
        elif way == 2:
            changed[i:i] = changed[i : i + draw(st.integers(1, 40))]
        elif way == 3:
            changed[i:i] = draw(st.sampled_from([b'"', b"\0", b"\n", b",", b"\xff\xfe", b"\xef\xbb\xbf", b"\r"]))
        elif way == 4:
            del changed[i:]
        elif changed:
            changed[i] ^= 1 << draw(st.integers(0, 7))
    return bytes(changed)


def packed(draw: st.DrawFn, data: bytes) -> bytes:
    """`data`, now and then compressed, and then damaged again."""
    way = draw(st.integers(0, 15))
    if way == 0:
        return damaged(draw, gzip.compress(data, 1, mtime=0))
    if way == 1:
        return damaged(draw, bz2.compress(data, 1))
    if way == 2:
        return damaged(draw, pa.compress(data, "zstd", asbytes=True))
    return data


def _repeated(values: list[Any], rows: int) -> list[Any]:
    return [values[i % len(values)] for i in range(rows)]


TYPES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    **{
        f"int{bits}": (getattr(pa, f"int{bits}")(), st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
        for bits in (8, 16, 32, 64)
    },
    **{f"uint{bits}": (getattr(pa, f"uint{bits}")(), st.integers(0, 2**bits - 1)) for bits in (8, 16, 32, 64)},
    "float32": (pa.float32(), st.floats(width=32)),
    "float64": (pa.float64(), st.floats()),
    "bool": (pa.bool_(), st.booleans()),
    "string": (pa.string(), st.text(max_size=8) | st.sampled_from(HOSTILE)),
    "large_string": (pa.large_string(), st.sampled_from("abc")),
    "binary": (pa.binary(), st.binary(max_size=8)),
    "fixed": (pa.binary(3), st.binary(min_size=3, max_size=3)),
    "decimal": (pa.decimal128(20, 5), st.integers(-(10**10), 10**10).map(lambda i: Decimal(i).scaleb(-3))),
    "decimal256": (pa.decimal256(60, 2), st.integers(-(10**20), 10**20).map(Decimal)),
    "date32": (pa.date32(), st.dates()),
    "date64": (pa.date64(), st.just(date(1969, 7, 20)) | st.dates()),
    "time": (pa.time64("us"), st.times().map(lambda i: i.replace(tzinfo=None)) | st.just(time(23, 59))),
    "second": (pa.timestamp("s"), st.datetimes()),
    "nano": (pa.timestamp("ns", "Europe/Berlin"), st.integers(-(2**63) + 1, 2**63 - 1)),
    "zoned": (pa.timestamp("ms", "UTC"), st.datetimes()),
    "duration": (pa.duration("us"), st.timedeltas(timedelta(days=-9), timedelta(days=9))),
    "null": (pa.null(), st.none()),
    "list": (pa.list_(pa.int32()), st.lists(st.integers(0, 9), max_size=3)),
    "struct": (
        pa.struct({"a": pa.string(), "b": pa.float64()}),
        st.fixed_dictionaries({"a": st.text(max_size=3), "b": st.floats()}),
    ),
    "map": (
        pa.map_(pa.string(), pa.int8()),
        st.dictionaries(st.text(max_size=2), st.integers(0, 9), max_size=2),
    ),
    "class": (pa.string(), st.sampled_from(["yes", "no"])),
    "category": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["u", "v", "w"])),
    "numbers": (pa.dictionary(pa.int16(), pa.int64()), st.integers(0, 5)),
}


@st.composite
def arrow_columns(draw: st.DrawFn) -> pa.Table:
    """Columns of any types, mostly with one that is a label."""
    width = draw(st.integers(1, 4))
    kinds = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=width, max_size=width))
    rows = draw(st.sampled_from([0, 1, 10, 12, 16, 20, 24, 30]))
    names = [f"c{i}" for i in range(width)]
    if draw(st.integers(0, 3)):
        names, kinds = (
            [*names, "label"],
            [*kinds, draw(st.sampled_from(["class", "int8", "float64", "category"]))],
        )
    else:
        names = draw(st.lists(NAMES, min_size=width, max_size=width))
    columns = []
    for name, kind in zip(names, kinds, strict=True):
        dtype, cells = TYPES[kind]
        cells = cells | st.none() if name != "label" and draw(st.booleans()) else cells
        values = draw(st.lists(cells, min_size=2, max_size=10))
        columns.append(_array(_repeated(values, rows), dtype))
    return pa.Table.from_arrays(columns, names=[name.encode("utf-8", "replace").decode() for name in names])


@st.composite
def arrow_tables(draw: st.DrawFn) -> bytes:
    """An Arrow file of any types, and half of the time damage to it, mostly to what says where things are."""
    table = draw(arrow_columns())
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=draw(st.sampled_from([None, "lz4", "zstd"])), unify_dictionaries=True)
    with pa.ipc.new_file(sink, table.schema, options=options) as file:
        file.write_table(table, max_chunksize=draw(st.sampled_from([None, 1, 7])))
    data = damaged(draw, sink.getvalue(), most=6)
    if not draw(st.integers(0, 2)) and len(data) > 16:
        size = min(int.from_bytes(data[-10:-6], "little"), len(data) - 10)
        changed = bytearray(data)
        for _ in range(draw(st.integers(1, 3))):
            changed[-10 - draw(st.integers(1, max(size, 1)))] = draw(st.integers(0, 255))
        data = bytes(changed)
    return data


@st.composite
def parquet_tables(draw: st.DrawFn, *, damage: bool = True) -> bytes:
    """A Parquet file of any types, and half of the time damage to it."""
    sink = io.BytesIO()
    pq.write_table(
        draw(arrow_columns()),
        sink,
        compression=draw(st.sampled_from(["none", "snappy", "zstd", "gzip", "brotli", "lz4"])),
        row_group_size=draw(st.sampled_from([None, 1, 7])),
        use_dictionary=draw(st.booleans()),
        data_page_version=draw(st.sampled_from(["1.0", "2.0"])),
        write_statistics=draw(st.booleans()),
    )
    data = sink.getvalue()
    if not damage:
        return data
    data = damaged(draw, data, most=6)
    if not draw(st.integers(0, 2)) and len(data) > 12:  # the part that readers get lost in is the footer
        size = min(int.from_bytes(data[-8:-4], "little"), len(data) - 12)
        if size > 0:
            footer = bytearray(data[-8 - size : -8])
            for _ in range(draw(st.integers(1, 3))):
                footer[draw(st.integers(0, size - 1))] = draw(st.integers(0, 255))
            data = data[: -8 - size] + bytes(footer) + data[-8:]
    return data


def _array(values: list[Any], dtype: pa.DataType) -> pa.Array:
    """Values of `dtype`; those that it cannot hold are missing."""
    try:
        return pa.array(values, dtype)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, ValueError):
        return pa.array([None] * len(values), dtype)
