"""Training columns before encoding, as numbers, dates and levels, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.features.encoded_file import block_table
from lossval_cli.features.encoder import Encoder
from lossval_cli.tables.streamed import StreamedTable
from lossval_cli.tables.table import Table

Ints = npt.NDArray[np.int64]


class TypedColumns:
    """Columns of a table that `encoder` was fitted on; `together`: the same table, each process reads its part.

    Numbers, dates (seconds) and booleans (0, 1) are float64 with NaN, levels and texts strings with None. `kinds`:
    number, date, boolean, category or text of each column, in order.
    """

    def __init__(self, table: Table, encoder: Encoder, together: Table | None = None) -> None:
        self._table, self._encoder, self._together = table, encoder, together or table
        self.kinds: Mapping[str, str] = encoder.types

    def __len__(self) -> int:
        return self._table.rows

    def sample(self, rows: Ints) -> pd.DataFrame:
        """Return sorted rows. In a streamed table, all processes read their parts together."""
        return self._rows(self._together, rows)

    def take(self, rows: Ints) -> pd.DataFrame:
        """Return any rows, read by this process alone."""
        return self._rows(self._table, rows)

    def blocks(self, own: slice, rows: int) -> Iterator[tuple[int, pd.DataFrame]]:
        """Yield blocks of rows. In a table in memory, columns are typed once."""
        data = self._table.data
        if not isinstance(data, StreamedTable):
            whole = dict(self._encoder.read(self._table))
            for start in range(own.start, own.stop, rows):
                part = slice(start, min(start + rows, own.stop))
                yield start, self._frame({c: cells[part] for c, cells in whole.items()})
            return
        for first, block in data.blocks(own):
            for start in range(0, block.num_rows, rows):
                part_table = block_table(self._table, block.slice(start, rows), first + start)
                yield first + start, self._frame(dict(self._encoder.read(part_table)))

    def level_counts(self) -> dict[str, dict[str, int]]:
        """Count the levels, except in a table that stays in its files: that would read it once more."""
        if isinstance(self._table.data, StreamedTable):
            return {}
        counts = {}
        for column, cells in self._encoder.read(self._table):
            if self.kinds[column] == "category":
                found = pc.value_counts(cells)
                pairs = zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
                counts[column] = {level: count for level, count in pairs if level is not None}
        return counts

    def invalid(self) -> dict[str, Ints]:
        """Rows whose cells are not of their column's type, of each column with any; none of a table in its files."""
        if isinstance(self._table.data, StreamedTable):
            return {}
        return {column: rows for column, rows in self._encoder.invalid(self._table) if len(rows)}

    def _rows(self, table: Table, rows: Ints) -> pd.DataFrame:
        if isinstance(table.data, StreamedTable):
            part = block_table(table, table.data.take(rows), 0)
            return self._frame(dict(self._encoder.read(part)))
        index = pa.array(rows)
        cells = self._encoder.read(table)
        return self._frame(
            {c: values[rows] if isinstance(values, np.ndarray) else values.take(index) for c, values in cells}
        )

    def _frame(self, columns: Mapping[str, Any]) -> pd.DataFrame:
        values = {c: cells if isinstance(cells, np.ndarray) else _objects(cells) for c, cells in columns.items()}
        return pd.DataFrame(values, columns=list(self.kinds))


def _objects(cells: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """Strings, None where one is missing."""
    found: npt.NDArray[np.object_] = np.array(cells.to_pylist(), object)
    return found
