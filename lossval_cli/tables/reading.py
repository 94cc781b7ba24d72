"""From a name to columns: the format is detected from the first bytes of a file, not from its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.errors import ReadError
from lossval_cli.limits import FREE_PARQUET_BYTES, allowed_size, too_large
from lossval_cli.tables.csv import read_csv
from lossval_cli.tables.files import Source, decompress, digest, open_sources
from lossval_cli.tables.foreign import refuse_binary
from lossval_cli.tables.json_lines import is_json, read_json
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.parquet import ARROW_MAGIC, MAGIC, STREAM_MAGIC, open_reader, reading
from lossval_cli.tables.stored_types import (
    as_declared,
    bytes_as_text,
    notice_of_bytes,
    stack,
    text_in_bytes,
    with_partitions,
)
from lossval_cli.text.format import format_name
from lossval_cli.text.urls import shown_url


@dataclass(frozen=True)
class Contents:
    """Content that was read from one or more files.

    data: N rows; text columns for CSV, stored types for Parquet, Arrow and JSON.  lines: (N,) 1-based line of the file
    on which each row starts, None where rows have no lines.  quoted: by column (N,), cells in
    quotes though the word in them could mean missing.  notices: what the reader decided for the user.  parts: name and
    number of rows of each file, where there are several.
    """

    data: pa.Table
    name: str
    format: Literal["csv", "parquet"]
    lines: npt.NDArray[np.int64] | None
    sha256: str
    quoted: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    parts: tuple[tuple[str, int], ...] = ()


def read_files(name: str, options: ReadOptions) -> Contents:
    """Read a file, a directory, a glob, or `-` for standard input.

    Parquet, Arrow, JSON and compression are known by the first bytes; anything else is CSV, unless it is plainly
    something that is not a table. Raises ReadError and SchemaError, one line each.
    """
    sources = open_sources(name)
    name = sources[0].name if name == "-" else shown_url(name)
    sha256 = digest(sources)
    stored = [is_stored(source) for source in sources]
    if all(stored):
        table, notices = read_stored(sources, name)
        return Contents(table, name, "parquet", None, sha256, notices=notices)
    if any(stored):
        one, other = (sources[stored.index(kind)].name for kind in (True, False))
        raise ReadError(f"{format_name(name)} mixes Parquet and text files: {format_name(one)}, {format_name(other)}")
    if len(sources) == 1:
        return read_text(decompress(sources[0]), name, sha256, options)
    texts = [read_text(decompress(source), source.name, sha256, options) for source in sources]
    return Contents(
        stack([text.data for text in texts], [source.relative for source in sources], name),
        name,
        "csv",
        None if any(text.lines is None for text in texts) else np.concatenate([text.lines for text in texts]),
        sha256,
        _quoted(texts),
        tuple(notice for text in texts for notice in text.notices),
        tuple((text.name, text.data.num_rows) for text in texts),
    )


def read_text(data: bytes, name: str, sha256: str, options: ReadOptions) -> Contents:
    """Read one table of decompressed text: CSV or JSON."""
    refuse_binary(data, format_name(name))
    if is_json(data):
        rows = read_json(data, name)
        return Contents(rows.data, name, "csv", rows.lines, sha256)
    text = read_csv(data, name, options)
    return Contents(text.data, name, "csv", text.lines, sha256, text.quoted, text.notices)


def _quoted(texts: Sequence[Contents]) -> dict[str, npt.NDArray[np.bool_]]:
    """The quoted cells of several files, one below the other."""
    names = {name for text in texts for name in text.quoted}
    return {
        name: np.concatenate([text.quoted.get(name, np.zeros(text.data.num_rows, bool)) for text in texts])
        for name in names
    }


def is_stored(source: Source) -> bool:
    """Return whether a file is Parquet or Arrow, or is called so and is nothing else that is known."""
    if source.data.startswith((MAGIC, ARROW_MAGIC, STREAM_MAGIC)):
        return True
    refuse_binary(source.data, format_name(source.name))
    return Path(source.name).suffix.lower() in (".parquet", ".pq", ".parq")


def read_stored(sources: Sequence[Source], name: str) -> tuple[pa.Table, tuple[str, ...]]:
    """Parquet or Arrow files one below the other, and notices; `key=value` directories become text columns.

    Raises ReadError for a damaged file or one past a limit, SchemaError for doubled columns or parts that do not have
    the same columns.
    """
    stored = sum(len(source.data) for source in sources)
    limit = allowed_size(stored, free=FREE_PARQUET_BYTES)
    parts, size = [], 0
    for source in sources:
        part = _read_one(source, limit)
        parts.append(with_partitions(part, source.relative, part.num_rows))
        size += parts[-1].nbytes
        if size > limit:
            raise too_large(format_name(name), limit, stored)
    table = stack(parts, [source.relative for source in sources], name)
    if not table.num_columns:
        raise ReadError(f"{format_name(name)} has no columns")
    if not table.num_rows:
        raise ReadError(f"{format_name(name)} has a header and no rows")
    texts = text_in_bytes(table)
    return bytes_as_text(table, texts), (notice_of_bytes(name, texts),) if texts else ()


def _read_one(source: Source, limit: int) -> pa.Table:
    if not source.data:
        raise ReadError(f"{format_name(source.name)} is empty")
    reader = open_reader(source.data, source.name, limit)
    batches = [batch for _, batch in reader.blocks()]
    with reading(reader.name, reader.form):
        table = pa.Table.from_batches(batches) if batches else reader.schema.empty_table()
        return as_declared(table, reader.schema, sum(reader.rows))
