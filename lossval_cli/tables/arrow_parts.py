"""One Arrow IPC file (Feather 2), decoded a record batch at a time; its buffers may be compressed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from lossval_cli.errors import ReadError
from lossval_cli.limits import check_columns, too_large
from lossval_cli.tables.arrow_sizes import arrow_sizes
from lossval_cli.tables.parquet_parts import (
    check_names,
    decoded_size,
    flat_columns,
    only_rows,
    opened,
    reading,
)
from lossval_cli.text.format import format_name

ARROW_MAGIC = b"ARROW1"


class ArrowParts:
    """The record batches of one file. `name` is for messages, `limit` is what it may become when decoded."""

    form = "an Arrow file"

    def __init__(self, source: bytes | Path, name: str, limit: int, largest: int | None = None) -> None:
        """`largest`: bytes that one batch may take, None: as many as all. Raises ReadError where it is
        damaged or past a limit."""
        self.name = format_name(name)
        self.decoded = 0
        """Bytes of the blocks of the present pass so far."""
        self._limit = limit
        self._stored = len(source) if isinstance(source, bytes) else source.stat().st_size
        with reading(self.name, self.form):
            with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
                sizes = arrow_sizes(file)
            self.rows = [batch.rows for batch in sizes.batches]
            if sizes.bytes > limit:
                raise too_large(self.name, limit, self._stored)
            self._source = source
            file = pa.ipc.open_file(opened(source))
            self.schema: pa.Schema = file.schema
            check_columns(self.name, len(self.schema.names))
            check_names(self.schema.names, name)
            if 8 * sum(self.rows) * len(self.schema.names) > limit:
                raise too_large(self.name, limit, self._stored)
            if len(self.rows) != file.num_record_batches:
                raise ReadError(f"{self.name} is damaged: its record batches cannot be counted")
        self._largest = max((batch.bytes for batch in sizes.batches), default=0)
        self._most = largest

    def blocks(
        self, groups: Sequence[int] | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Some record batches (None: all) in order, each with its number; of some columns (None: all) those
        that are no lists or records. Raises ReadError."""
        if self._most is not None and self._largest > self._most:
            raise ReadError(
                f"{self.name} has a record batch of {self._largest >> 20:,} MiB, and at most "
                f"{self._most >> 20:,} are read at once: write it with smaller batches, or as Parquet"
            )
        names = flat_columns(self.schema, columns)
        places = [self.schema.names.index(name) for name in names]
        self.decoded = 0
        with reading(self.name, self.form):
            options = pa.ipc.IpcReadOptions(included_fields=places)
            file = pa.ipc.open_file(opened(self._source), options=options)
        for group in range(len(self.rows)) if groups is None else groups:
            if not names:
                yield group, only_rows(self.rows[group])
                continue
            with reading(self.name, self.form):
                batch = file.get_batch(group)
                batch.validate(full=True)
                self.decoded += sum(decoded_size(column) for column in batch.columns)
            if self.decoded > self._limit:
                raise too_large(self.name, self._limit, self._stored)
            if batch.num_rows != self.rows[group] or batch.schema.names != names:
                raise ReadError(f"{self.name} is damaged: it has not as many rows as it says")
            yield group, batch
