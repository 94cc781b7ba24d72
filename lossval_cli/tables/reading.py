"""From what the user names to columns: the format is known by the first bytes of a file, not by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.errors import ReadError
from lossval_cli.tables.arrow_parts import ARROW_MAGIC
from lossval_cli.tables.csv import read_csv
from lossval_cli.tables.files import Source, decompress, digest, open_sources
from lossval_cli.tables.foreign import refuse_binary
from lossval_cli.tables.json_lines import is_json, read_json
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.parquet_parts import MAGIC
from lossval_cli.tables.parquet_reading import one_below_the_other, read_parquet
from lossval_cli.text.format import format_name

STREAM_MAGIC = b"\xff\xff\xff\xff"
"""The first bytes of an Arrow IPC stream."""


@dataclass(frozen=True)
class Contents:
    """What was read of one or more files.

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
    name = sources[0].name if name == "-" else name
    sha256 = digest(sources)
    stored = [is_stored(source) for source in sources]
    if all(stored):
        return Contents(read_parquet(sources, name), name, "parquet", None, sha256)
    if any(stored):
        one, other = (sources[stored.index(kind)].name for kind in (True, False))
        raise ReadError(f"{format_name(name)} mixes Parquet and text files: {format_name(one)}, {format_name(other)}")
    if len(sources) == 1:
        return read_text(decompress(sources[0]), name, sha256, options)
    texts = [read_text(decompress(source), source.name, sha256, options) for source in sources]
    return Contents(
        one_below_the_other([text.data for text in texts], sources, name),
        name,
        "csv",
        None if any(text.lines is None for text in texts) else np.concatenate([text.lines for text in texts]),
        sha256,
        _quoted(texts),
        tuple(notice for text in texts for notice in text.notices),
        tuple((text.name, text.data.num_rows) for text in texts),
    )


def read_text(data: bytes, name: str, sha256: str, options: ReadOptions) -> Contents:
    """One table of decompressed text: CSV or JSON."""
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
    """Whether a file is Parquet or Arrow, or is called so and is nothing else that is known."""
    if source.data.startswith((MAGIC, ARROW_MAGIC, STREAM_MAGIC)):
        return True
    refuse_binary(source.data, format_name(source.name))
    return Path(source.name).suffix.lower() in (".parquet", ".pq", ".parq")
