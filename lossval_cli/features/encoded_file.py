"""Encoded rows in files: written once, block by block, and read a few rows at a time.

What is in memory is what was asked for and never the file. Of several processes each writes the rows that are
its own, and those of processes on other machines, whose files it cannot read. Files stay open, so that they can be
read when they have no names any more, and they are not mapped, so that one cut short is an error and not a signal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.errors import OutputError, system_reason
from lossval_cli.features.encoder import Encoder
from lossval_cli.features.row_keys import Keys
from lossval_cli.runtime.distributed import ProcessGroup
from lossval_cli.tables.streamed import StreamedTable
from lossval_cli.tables.table import Table
from lossval_cli.text.format import escape_control

Floats = npt.NDArray[np.float32]

_ONE_READ = 1 << 30
"""Bytes; Linux reads up to 2 GiB in one call."""

FLOAT_BYTES = np.dtype(np.float32).itemsize

NEAR_ROWS = 64
"""Rows that lie no further apart are read in one go."""


class EncodedPart(NamedTuple):
    """A range of rows and the file they are in."""

    rows: slice
    path: Path


class EncodedFile:
    """X (N, D), float32.

    keys: (N,) as `row_keys` gives them.  invalid: by column the rows, rising, whose cells are not of its type.
    """

    def __init__(
        self,
        parts: Sequence[EncodedPart],
        width: int,
        keys: Keys,
        invalid: Mapping[str, npt.NDArray[np.int64]],
    ) -> None:
        """parts: of all processes, in order; width: D. Raises OutputError where one is not there."""
        self.path = parts[0].path
        self.shape = (int(parts[-1].rows.stop), width)
        self.keys = keys
        self.invalid = invalid
        self._parts = parts
        self._files: dict[Path, FileIO] = {}
        self._turn = threading.Lock()  # rows are read by a thread that reads ahead, too
        for part in parts:
            with _keeping(part.path):
                self._files[part.path] = FileIO(part.path)
            weakref.finalize(self, self._files[part.path].close)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Size of the files of all processes."""
        return self.shape[0] * self.shape[1] * FLOAT_BYTES

    def __getitem__(self, rows: Any) -> Floats:
        """Rows by slice, or by numbers (k,) in any order, as a new array (k, D)."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            for part in self._parts if step == 1 else ():
                if part.rows.start <= start <= stop <= part.rows.stop:
                    return self._read(part, start, stop)
            rows = np.arange(start, stop, step)
        numbers = np.asarray(rows, np.int64)
        out = np.empty((len(numbers), self.shape[1]), np.float32)
        order = np.argsort(numbers, kind="stable")
        for part in self._parts:
            inside = order[slice(*np.searchsorted(numbers[order], [part.rows.start, part.rows.stop]))]
            if not len(inside):
                continue
            for run in _runs(numbers[inside]):
                wanted = inside[run]
                first, last = int(numbers[wanted[0]]), int(numbers[wanted[-1]])
                out[wanted] = self._read(part, first, last + 1)[numbers[wanted] - first]
        return out

    def _read(self, part: EncodedPart, start: int, stop: int) -> Floats:
        found = np.empty((stop - start, self.shape[1]), np.float32)
        left = memoryview(found.data).cast("B") if found.size else memoryview(b"")
        offset = (start - part.rows.start) * self.shape[1] * FLOAT_BYTES
        file = self._files[part.path]
        with _keeping(part.path), self._turn:
            file.seek(offset)
            while left:
                got = file.readinto(left[:_ONE_READ])
                if not got:
                    raise OSError(errno.EIO, "the file has been cut short")
                left = left[got:]
        return found


def encode_to_file(
    table: Table, encoder: Encoder, path: Path, own: slice
) -> tuple[EncodedPart, Keys, dict[str, list[int]]]:
    """Encode the rows `own` of a stored table into a new file at `path`; also their keys and, by column, the rows of
    invalid cells.

    Raises CellError for a cell that its column has no place for, and OutputError where the disk is full.
    """
    assert isinstance(table.data, StreamedTable)
    invalid: dict[str, list[int]] = {}
    keys = [np.zeros(0, np.uint64)]
    with _keeping(path), path.open("xb") as file:
        for first, block in table.data.blocks(own):
            part = block_table(table, block, first)
            file.write(np.ascontiguousarray(encoder.transform(part), np.float32).data)
            keys.append(encoder.keys(part))
            for column, rows in encoder.invalid(part):
                if len(rows):
                    invalid.setdefault(column, []).extend((rows + first).tolist())
    return EncodedPart(own, path), np.concatenate(keys), invalid


def encode_streamed(
    table: Table, encoder: Encoder, scratch: Callable[[], Path], processes: ProcessGroup
) -> EncodedFile:
    """Encode a streamed table, each process its own rows: into a file in the scratch directory of the main process
    where that can be reached, so that the others can read it, else in its own. Rows whose file a process cannot reach
    it encodes itself, too.

    The files are unlinked as soon as every process has opened what it reads: the system frees them with the last
    process that holds them, however it ends.
    """
    directory = os.fsencode(scratch().absolute()) if processes.is_main else b""
    shared = Path(os.fsdecode(processes.all_gather_object(directory)[0]))
    is_guest = shared.is_dir() and not processes.is_main
    folder = shared if is_guest else scratch()
    path = folder / f"encoded-{processes.rank}"
    own, own_keys, own_invalid = encode_to_file(table, encoder, path, processes.own(table.rows))
    keys = np.concatenate(processes.all_gather_object(own_keys))
    everywhere = processes.all_gather_object(own_invalid)
    columns = dict.fromkeys(column for found in everywhere for column in found)
    invalid = {column: np.sort([row for found in everywhere for row in found.get(column, ())]) for column in columns}
    paths = processes.all_gather_object(os.fsencode(path.absolute()))  # waits until all are written
    parts = [
        own if rank == processes.rank else EncodedPart(processes.own(table.rows, rank), Path(os.fsdecode(name)))
        for rank, name in enumerate(paths)
    ]
    parts = [
        part
        if part is own or part.path.exists()
        else encode_to_file(table, encoder, folder / f"encoded-{processes.rank}-{rank}", part.rows)[0]
        for rank, part in enumerate(parts)
    ]
    encoded = EncodedFile(parts, encoder.width, keys, invalid)
    processes.all_gather_object(b"")  # waits until all have opened them
    if not is_guest:
        shutil.rmtree(folder, ignore_errors=True)
    return encoded


@contextlib.contextmanager
def _keeping(path: Path) -> Iterator[None]:
    """Raise what the system refuses as an OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"encoded rows cannot be kept in {escape_control(str(path.parent))}: {system_reason(error)}"
        ) from error


def block_table(table: Table, block: Any, first: int) -> Table:
    """Return some rows of `table`, by its name; row 0 is row `first` of it."""
    return Table(block, table.name, table.format, None, None, first, table.options, types=table.types, is_block=True)


def _runs(numbers: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Stretches of sorted row `numbers` without a large gap."""
    if not len(numbers):
        return
    breaks = np.flatnonzero(np.diff(numbers) > NEAR_ROWS) + 1
    edges = [0, *breaks.tolist(), len(numbers)]
    for start, stop in pairwise(edges):
        yield slice(start, stop)
