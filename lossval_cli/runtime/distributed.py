"""The processes that share one run: started by `torchrun`, each with its own range of the training rows.

Everything a process cannot know from its own rows goes through here: gradients and the transport's column
sums are added up, weights are normalised over all rows, and what is known of each row is gathered by the
main process, which alone writes. With a world size of 1 every operation returns its argument.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from lossval_cli.errors import DistributedError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

TIMEOUT = timedelta(minutes=30)
"""A process that waits this long for another one calls it lost: the other may be reading a large table."""

SENT_ROWS = 1 << 20
"""Rows that travel to the first process at once."""

UNEVEN = 1 / 8
"""How far a range of rows may begin from where it would in even ranges, as a share of their length."""


@dataclass(frozen=True)
class ProcessGroup:
    """Process `rank` of `world_size`, as torch.distributed counts them."""

    rank: int = 0
    world_size: int = 1
    local_world_size: int = 1
    """Processes on this machine."""
    edges: tuple[int, ...] = ()
    """Where each process's rows begin, and last where they end; empty: in ranges as even as can be."""

    @property
    def is_main(self) -> bool:
        """Whether this is the process that collects, reports and writes."""
        return self.rank == 0

    def own(self, rows: int, rank: int | None = None) -> slice:
        """The rows of `rows` that are this process's (or another's): ranges in order."""
        rank = self.rank if rank is None else rank
        if self.edges:
            assert self.edges[-1] == rows
            return slice(*self.edges[rank : rank + 2])
        return slice(rank * rows // self.world_size, (rank + 1) * rows // self.world_size)

    def with_fragments(self, ends: npt.NDArray[np.int64]) -> ProcessGroup:
        """With ranges of whole fragments of a table, which end after `ends` (fragments,) rows; with even
        ranges where fragments are too few or too large for that."""
        rows = int(ends[-1])
        even = np.arange(1, self.world_size) * rows / self.world_size
        nearest = ends[np.abs(ends - even[:, None]).argmin(axis=1)]
        if (np.abs(nearest - even) > UNEVEN * rows / self.world_size).any():
            return replace(self, edges=())
        return replace(self, edges=(0, *nearest.tolist(), rows))

    def all_gather_object(self, message: T) -> list[T]:
        """The messages of all processes, by rank."""
        if self.world_size == 1:
            return [message]
        import torch.distributed as dist

        messages: list[T] = [message] * self.world_size
        with _clear_errors():
            dist.all_gather_object(messages, message)
        return messages

    def check_agreement(self, own: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise UsageError, one line, on every process where one has other values than the main one, in groups of
        names. What differs would be mixed in silence, or leave them waiting for one another."""
        if self.world_size == 1:
            return
        main, *others = self.all_gather_object(own)
        for group, values in main.items():
            different = [name for name in values if any(other[group].get(name) != values[name] for other in others)]
            if different:
                raise UsageError(
                    f"the processes of this run differ in {group} ({', '.join(different)}): "
                    "start all of them with the same command, tables and version"
                )

    def all_reduce(self, values: Tensor, operation: Literal["sum", "max"] = "sum") -> Tensor:
        """`values`, the same shape on every process, reduced in place: their sum or their maximum."""
        if self.world_size > 1:
            import torch.distributed as dist

            with _clear_errors():
                dist.all_reduce(values, dist.ReduceOp.SUM if operation == "sum" else dist.ReduceOp.MAX)
        return values

    def all_reduce_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Add up the gradients of `parameters` in place, all in one message."""
        if self.world_size == 1:
            return
        import torch

        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        message = self.all_reduce(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = torch.split(message, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def pick_rows(self, own: Tensor, rows: Tensor, total: int) -> Tensor:
        """Entries at global `rows` (k,) of a vector of `total`, of which `own` is this process's range."""
        if self.world_size == 1:
            return own[rows]
        mine = self.own(total)
        here = (rows >= mine.start) & (rows < mine.stop)
        found = own.new_zeros(len(rows))
        found[here] = own[rows[here] - mine.start]
        return self.all_reduce(found)

    def gather_rows(self, own: Tensor, total: int, *, everywhere: bool = False) -> Tensor:
        """(total, …) from each process's (n, …), on the main process, or `everywhere`; else the others keep what they
        have.

        Rows travel through main memory in blocks, one process after the other, so that nobody holds more
        than the result.
        """
        if self.world_size == 1:
            return own
        import torch
        import torch.distributed as dist

        own = own.detach().cpu()
        with _clear_errors():
            if everywhere:
                whole = own.new_empty(total, *own.shape[1:])
                for rank in range(self.world_size):
                    part = whole[self.own(total, rank)]
                    if rank == self.rank:
                        part.copy_(own)
                    for block in torch.split(part, SENT_ROWS):
                        dist.broadcast(block, rank)
                return whole
            if not self.is_main:
                for block in torch.split(own.contiguous(), SENT_ROWS):
                    dist.send(block, 0)
                return own
            whole = own.new_empty(total, *own.shape[1:])
            whole[: len(own)] = own
            for rank in range(1, self.world_size):
                theirs = self.own(total, rank)
                for block in torch.split(whole[theirs], SENT_ROWS):
                    dist.recv(block, rank)
            return whole


SINGLE_PROCESS = ProcessGroup()


def is_started_by_torchrun() -> bool:
    """Whether this process is one of several that `torchrun` has started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


@contextlib.contextmanager
def joined() -> Iterator[ProcessGroup]:
    """The processes that `torchrun` has started, while the `with` lasts; without it, this one alone.

    Raises DistributedError when the others cannot be reached.
    """
    if not is_started_by_torchrun():
        yield SINGLE_PROCESS
        return
    import torch
    import torch.distributed as dist

    on_gpus = torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    with _clear_errors(), _quiet():
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout=TIMEOUT)
    try:
        size = dist.get_world_size()
        yield ProcessGroup(dist.get_rank(), size, int(os.environ.get("LOCAL_WORLD_SIZE", size)))
    finally:
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Standard output is for results: what libraries print there (PyTorch 2.8 and 2.9 do, of connections)
    goes to standard error."""
    if sys.stdout is None:  # closed
        yield
        return
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(output, 1)
        os.close(output)


@contextlib.contextmanager
def _clear_errors() -> Iterator[None]:
    """Turn what torch.distributed raises when another process is gone into one line."""
    try:
        yield
    except RuntimeError as error:
        raise DistributedError(
            "another process of this run has ended or cannot be reached; nothing was written "
            "(with --checkpoint-every, the same command with --resume continues from the last checkpoint)"
        ) from error
