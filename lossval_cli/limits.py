"""What a reader refuses, so that a small hostile file cannot take the machine's memory or time.

Every limit is announced in the message of the error it raises.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

from lossval_cli.errors import ReadError

MAX_COLUMNS: Final = 20_000  # a one-hot of a table this wide is past what the method can use
MAX_RECORD_BYTES: Final = 16 << 20  # one record of a CSV file; longer is nearly always a lost quote
MAX_BYTES: Final = 8 << 30  # text, or Parquet once decoded: the whole table has to fit in memory
FREE_EXPANSION_BYTES: Final = 16 << 20  # below this no compression ratio is suspicious
FREE_PARQUET_BYTES: Final = 64 << 20  # Parquet honestly stores constant columns in next to nothing
MAX_EXPANSION: Final = 200  # decoded bytes per stored byte above the free amount; text reaches 5 to 20
MAX_FOOTER_STRING: Final = 100_000_000  # bytes of one text in the footer of a Parquet file
MAX_FOOTER_ITEMS: Final = 1_000_000  # parts of one list in it, such as columns of a row group
MAX_SETTINGS_BYTES: Final = 1 << 20  # settings, rules and thresholds that people write
MAX_RECORD_FILE_BYTES: Final = 256 << 20  # run.json and report.json, which name suspects but no other rows


def read_small(path: Path, most: int) -> bytes:
    """The bytes of a file of at most `most` bytes; OSError for a larger one, as for one that is not there:
    what never ends, /dev/zero say, is not read to its end."""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))
    return data


def allowed_size(stored: int, *, free: int = FREE_EXPANSION_BYTES) -> int:
    """Return how many bytes a compressed file of `stored` bytes may become; `free` bytes in any case."""
    return min(MAX_BYTES, max(free, MAX_EXPANSION * stored))


def check_columns(name: str, columns: int) -> None:
    """Raise ReadError when a table has more columns than MAX_COLUMNS."""
    if columns > MAX_COLUMNS:
        raise ReadError(f"{name} has {columns:,} columns; at most {MAX_COLUMNS:,} are read")


def too_large(name: str, limit: int, stored: int) -> ReadError:
    """The error for a file that would grow past `limit` bytes."""
    if limit == MAX_BYTES:
        return ReadError(f"{name} is larger than {limit >> 30} GiB once read; score a sample of its rows")
    return ReadError(
        f"{name} would grow from {stored:,} bytes to more than {limit:,} when decompressed and is refused; "
        "if you trust it, store it as plain CSV"
    )
