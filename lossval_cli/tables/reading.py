"""From what the user names to columns: the format is known by the first bytes of a file, not by its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from lossval_cli.tables.arrow_parts import ARROW_MAGIC
from lossval_cli.tables.csv import read_csv
from lossval_cli.tables.files import decompress, digest, open_sources
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.parquet_parts import MAGIC
from lossval_cli.tables.parquet_reading import read_parquet


@dataclass(frozen=True)
class Contents:
    """What was read of one or more files.

    data: N rows; text columns for CSV, stored types for Parquet and Arrow.  lines: (N,) 1-based line of the file
    on which each row starts, None where rows have no lines.  decimal_comma: whether numbers may be written `1,5`.
    notices: what the reader decided for the user.
    """

    data: pa.Table
    name: str
    format: Literal["csv", "parquet"]
    lines: np.ndarray | None
    sha256: str
    decimal_comma: bool = False
    notices: tuple[str, ...] = ()


def read_files(name: str, options: ReadOptions) -> Contents:
    """Read a file, a directory, a glob, or `-` for standard input.

    Parquet begins with PAR1, gzip, zstd and bzip2 are unpacked, and anything else is CSV. Raises ReadError and
    SchemaError, one line each.
    """
    sources = open_sources(name)
    name = sources[0].name if name == "-" else name
    sha256 = digest(sources)
    if len(sources) > 1 or sources[0].data.startswith((MAGIC, ARROW_MAGIC)) or _says_parquet(sources[0].name):
        return Contents(read_parquet(sources, name), name, "parquet", None, sha256)
    text = read_csv(decompress(sources[0]), name)
    return Contents(text.data, name, "csv", text.lines, sha256, text.delimiter in ";\t")


def _says_parquet(path: str) -> bool:
    return Path(path).suffix.lower() in (".parquet", ".pq", ".parq")
