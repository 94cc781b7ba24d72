"""How much memory and disk a run takes, before it takes it: bytes by a formula that measurements are held
against (`benchmarks/scale.py`).

What grows with the rows: the table and its encoding, unless they stay in files; the state of training; and
what is known of each row at the end. What does not: the process, a chunk of rows, a block of costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from lossval_cli.runtime.distributed import ProcessGroup
from lossval_cli.runtime.platform import free_memory, resident_memory
from lossval_cli.runtime.row_source import chunk_rows

MB = 10**6

PROCESS = 560 * MB
"""Python with everything imported, blocks of rows at work, and what allocators keep: at least, and with a
PyTorch for the CPU alone."""

AT_WORK = 215 * MB
"""The part of it that is not yet allocated once everything is imported."""

COSTS = 160 * MB
"""Transport costs kept in memory, and a block of them."""

RESULT = 400
"""Bytes a row at the end: what is known of it, its line of the scores, what reporting sorts."""

SAMPLE = 100 * MB
"""Bytes of a streamed table that are held in memory while its columns are decided."""


@cache
def process() -> int:
    """Bytes of a process before any row: what this one had when it was first asked, a PyTorch with CUDA
    taking 290 MB more, and AT_WORK. Of a program that holds much else no more than twice PROCESS counts."""
    held = resident_memory()
    return min(max(PROCESS, held + AT_WORK), 2 * PROCESS)


@dataclass(frozen=True)
class MemoryEstimate:
    """Memory estimate: N rows of D numbers, K outputs, J validation rows, E members, M that score a row."""

    rows: int
    width: int
    outputs: int
    val_rows: int
    members: int
    scoring: int

    def state(self) -> int:
        """Bytes of training's running totals, labels among them."""
        return self.rows * (46 + 8 * self.scoring + 8 * self.outputs)

    def chunk(self, copies: int = 3) -> int:
        """Bytes of a chunk: rows that are read, sorted, and read ahead, and four numbers a member."""
        rows = min(chunk_rows(self.width), self.rows)
        return rows * (4 * self.width * copies + 16 * self.members)

    def result(self) -> int:
        """Bytes of what is known at the end."""
        return self.rows * (RESULT + 16 * self.outputs)

    def streamed(self) -> int:
        """Peak bytes of one process where the table and its encoding stay in files."""
        training = COSTS + self.state() + self.chunk()
        fixed = process() + 4 * self.val_rows * self.width * 2
        return fixed + max(training, self.result(), SAMPLE)

    def resident(self, table: int) -> int:
        """Peak bytes where a table of `table` bytes and its encoding are in memory."""
        encoded = 4 * self.rows * self.width
        training = COSTS + self.state() + self.chunk(copies=1)
        fixed = process() + 4 * self.val_rows * self.width * 2
        return fixed + table + encoded + max(training, self.result())


def spare_memory() -> int:
    """Bytes that a run may take when nobody says how many: four fifths of what is free."""
    return int(0.8 * free_memory())


def memory_limit(allowed: int | None, processes: ProcessGroup) -> int:
    """Bytes that a process may take: those `allowed`, or a share of what is free on the fullest machine."""
    if allowed is not None:
        return allowed
    own = spare_memory() // processes.local_world_size
    if processes.world_size == 1:
        return own
    import torch

    return -int(processes.all_reduce(torch.tensor(-own), "max"))


def amount(bytes_: float) -> str:
    """Return an amount in words: `1.3 GB`."""
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if bytes_ >= size:
            return f"{bytes_ / size:.1f} {unit}" if bytes_ < 100 * size else f"{bytes_ / size:.0f} {unit}"
    return f"{bytes_ / 1000:.0f} kB"
