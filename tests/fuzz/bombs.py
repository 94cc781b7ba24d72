"""Small files that would become large ones: each lies about its size, or says the truth and is refused."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1_000_000


def _labels(rows: int) -> pa.Array:
    return pa.array(np.arange(rows) % 2, pa.int8())


def _repeated(value: object, rows: int = ROWS, kind: pa.DataType | None = None) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([value], kind))


def _parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **({"compression": "zstd", "store_schema": False} | options))
    return sink.getvalue()


def _arrow(table: pa.Table, codec: str | None = "zstd") -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as file:
        file.write_table(table)
    return sink.getvalue()


def _signed(number: int) -> bytes:
    """As Thrift's compact protocol writes it."""
    number, found = number << 1, bytearray()
    while number >= 128:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def small_in_footer(data: bytes, large: int) -> bytes:
    """A Parquet file whose footer says 1 wherever it said `large`; the headers of its pages are as they
    were."""
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size : -8]
    signed = _signed(large)
    small = bytes([0x82, *[0x80] * (len(signed) - 2), 0])  # as many bytes as before
    return data[: -8 - size] + footer.replace(signed, small) + data[-8:]


def _page() -> bytes:
    """One page of 100 MB of text in a few kilobytes."""
    table = pa.table({"a": ["x" * 10_000_000] * 10, "label": _labels(10)})
    options = {"compression": "brotli", "use_dictionary": False, "write_statistics": False}
    data = _parquet(table, data_page_size=1 << 30, **options)
    group = pq.read_metadata(io.BytesIO(data)).row_group(0)
    sizes = (group.total_byte_size, group.column(0).total_uncompressed_size)
    return functools.reduce(small_in_footer, sizes, data)


def _growing() -> bytes:
    """20,000 texts, each one letter longer than the one before: 200 MB in a few kilobytes."""
    table = pa.table({"a": ["a" * length for length in range(20_000)], "label": _labels(20_000)})
    encodings = {"a": "DELTA_BYTE_ARRAY", "label": "PLAIN"}
    return _parquet(table, use_dictionary=False, column_encoding=encodings, write_statistics=False)


def _deep() -> bytes:
    kind = pa.int32()
    for _ in range(300):
        kind = pa.list_(kind)
    return _parquet(pa.table({"a": pa.nulls(20, kind), "label": _labels(20)}))


def _tensor() -> bytes:
    """100 missing tensors of 2 million numbers each."""
    kind = pa.fixed_shape_tensor(pa.int8(), [2_000_000])
    missing = pa.ExtensionArray.from_storage(kind, pa.nulls(100, kind.storage_type))
    return _parquet(pa.table({"a": missing, "label": _labels(100)}), store_schema=True)


BOMBS: dict[str, Callable[[], bytes]] = {
    "text.parquet": lambda: _parquet(pa.table({"a": _repeated("x" * 10**6), "label": _labels(ROWS)})),
    "bytes.parquet": lambda: _parquet(
        pa.table({"a": _repeated(b"x" * 10**6, kind=pa.binary()), "label": _labels(ROWS)})
    ),
    "rows.parquet": lambda: _parquet(pa.table({"a": _labels(9 * ROWS), "label": _labels(9 * ROWS)})),
    "deep.parquet": _deep,
    "page.parquet": _page,
    "tensor.parquet": _tensor,
    "growing.parquet": _growing,
    "zeros.arrow": lambda: _arrow(pa.table({"a": np.zeros(15 * ROWS), "label": _labels(15 * ROWS)})),
    "zeros.lz4.arrow": lambda: _arrow(pa.table({"a": np.zeros(20 * ROWS), "label": _labels(20 * ROWS)}), "lz4"),
    "text.arrow": lambda: _arrow(pa.table({"a": _repeated("x" * 10**6), "label": _labels(ROWS)})),
    "missing.arrow": lambda: _arrow(pa.table({"a": pa.nulls(50 * ROWS), "label": pa.nulls(50 * ROWS)})),
    "ends.arrow": lambda: _arrow(
        pa.table(
            {
                "a": pa.RunEndEncodedArray.from_arrays([50 * ROWS], ["x"]),
                "label": pa.nulls(50 * ROWS),
            }
        ),
        None,
    ),
}
"""File name -> what makes it."""


@functools.cache
def bomb(name: str) -> bytes:
    """The bytes of one of BOMBS."""
    return BOMBS[name]()
