"""Changes to a table on disk: rows removed, cells replaced, a column added; the rest is preserved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.errors import SchemaError
from lossval_cli.text.format import format_name

Mask = npt.NDArray[np.bool_]


class Cells(NamedTuple):
    """New cells of one column. rows: (R,) 0-based, rising; values: (R,) of the type it is stored as, null where the
    cell is emptied."""

    column: str
    rows: npt.NDArray[np.int64]
    values: pa.Array

    def put_into(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the column with these cells, which stand behind it for a moment."""
        take = np.arange(len(column))
        take[self.rows] = len(column) + np.arange(len(self.rows))
        both = pa.chunked_array([*column.chunks, self.values], column.type)
        return both.unify_dictionaries().take(pa.array(take))


class Added(NamedTuple):
    """A new last column of numbers, (N,); of rows that are taken out they do not matter."""

    column: str
    values: npt.NDArray[np.float64]


class Original(ABC):
    """A table as it lies on disk, of N rows, that can be written again with changes."""

    form: Literal["CSV", "JSON", "Parquet", "Arrow"]
    """The format that is read and written."""
    name: str
    """For messages."""
    table: pa.Table
    """All columns as they are stored: text for CSV."""

    @property
    def rows(self) -> int:
        """N."""
        return int(self.table.num_rows)

    @property
    def quoted(self) -> Mapping[str, Mask]:
        """Mask (N,) by column of CSV cells that are in quotes though the word in them could mean missing."""
        return {}

    @property
    def names(self) -> list[str]:
        """Every column of the file."""
        return list(self.table.column_names)

    def column(self, name: str) -> pa.ChunkedArray:
        """A column as it is stored, (N,): text for CSV. Raises SchemaError where the file has none of it."""
        if name not in self.table.column_names:
            raise SchemaError(f"{format_name(self.name)} has no column {format_name(name)}")
        return self.table[name]

    @abstractmethod
    def write(self, sink: BinaryIO, keep: Mask, *, cells: Sequence[Cells] = (), added: Added | None = None) -> None:
        """The rows of `keep` (N,) to an open binary file, in their order, with new cells of some columns, each named
        once. OSError passes through."""
