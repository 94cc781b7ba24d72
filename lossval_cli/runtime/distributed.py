"""The processes that share one run, each with its own range of the training rows: started by `torchrun`, or those of
a process group of torch.distributed that exists already (Ray Train, a script of the user's).

Everything that a process has not done itself goes through here: what other processes have found of their rows, or
learned of the networks that they train. With a world size of 1 every operation returns its argument.

Python handles signals (Ctrl-C, SIGTERM) between its own instructions only, so nothing here waits for another process
in one call of a library: it waits in short pieces, or in a thread.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt

from lossval_cli.errors import DistributedError, UsageError
from lossval_cli.runtime.launcher import Launch, has_group, interface_towards, read_launch

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

TIMEOUT = timedelta(minutes=30)
"""A process that waits this long for another one calls it lost: the other may be reading a large table."""

JOIN_SECONDS = 300.0
"""Longest wait for all processes to come: they are started together."""

PATIENCE = 10.0
"""Seconds of it after which a process says that it waits."""

LEAVE_SECONDS = 2.0
"""Longest wait for a group to close: with a message under way it waits for the others."""

SLICE = timedelta(seconds=0.5)
"""A piece of a wait, after which signals are handled."""

SENT_ROWS = 1 << 20
"""Rows that travel at once."""

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
    group: Any = None
    """The group of torch.distributed; None: the default one."""

    @property
    def is_main(self) -> bool:
        """True if this is the process that collects, reports and writes."""
        return self.rank == 0

    def own(self, rows: int, rank: int | None = None) -> slice:
        """The rows of `rows` that are this process's (or another's): ranges in order."""
        rank = self.rank if rank is None else rank
        if self.edges:
            assert self.edges[-1] == rows
            return slice(*self.edges[rank : rank + 2])
        return slice(rank * rows // self.world_size, (rank + 1) * rows // self.world_size)

    def with_fragments(self, ends: npt.NDArray[np.int64]) -> ProcessGroup:
        """Return the group with ranges of whole fragments of a table, which end after `ends` (fragments,) rows; with
        even ranges where fragments are too few or too large for that."""
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
            _in_thread(lambda: dist.all_gather_object(messages, message, self.group))
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
        """Return `values`, the same shape on every process, reduced in place: their sum or their maximum."""
        if self.world_size > 1:
            import torch.distributed as dist

            with _clear_errors():
                kind = dist.ReduceOp.SUM if operation == "sum" else dist.ReduceOp.MAX
                work = dist.all_reduce(values, kind, self.group, async_op=True)
                if values.device.type == "cpu":
                    while not work.is_completed():
                        with contextlib.suppress(RuntimeError):  # not within this piece; failures are raised below
                            work.wait(SLICE)
                work.wait()  # on a GPU the stream waits, not this process
        return values

    def all_reduce_together(self, tensors: Sequence[Tensor]) -> None:
        """Add up each of some small `tensors` in place, all in one message."""
        if self.world_size == 1:
            return
        import torch

        message = self.all_reduce(torch.cat([tensor.flatten() for tensor in tensors]))
        parts = torch.split(message, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def gather_rows(self, own: Tensor, total: int) -> Tensor:
        """Gather (total, …) from each process's (n, …), on every process.

        Rows travel through main memory in blocks, one process after the other, so that nobody holds more
        than the result.
        """
        if self.world_size == 1:
            return own
        with _clear_errors():
            return _in_thread(lambda: self._gather_rows(own.detach().cpu(), total))

    def _gather_rows(self, own: Tensor, total: int) -> Tensor:
        import torch
        import torch.distributed as dist

        whole = own.new_empty(total, *own.shape[1:])
        for rank in range(self.world_size):
            part = whole[self.own(total, rank)]
            if rank == self.rank:
                part.copy_(own)
            for block in torch.split(part, SENT_ROWS):
                dist.broadcast(block, rank, self.group)
        return whole


SINGLE_PROCESS = ProcessGroup()


def _silent(_: str) -> None:
    """Nobody is told that a process waits."""


@contextlib.contextmanager
def joined(on_wait: Callable[[str], None] = _silent) -> Iterator[ProcessGroup]:
    """The processes of this run, while the `with` lasts: those of the process group of torch.distributed that exists
    already, which is left as it is; or those that a launcher has started; or this one alone.

    `on_wait` is given a line once this process has waited for others for a while. Raises DistributedError where they
    cannot be reached, and UsageError for a launch that contradicts itself.
    """
    exists = has_group()
    launch = None if exists else read_launch()
    if launch is None and not exists:
        yield SINGLE_PROCESS
        return
    import torch
    import torch.distributed as dist

    if exists and dist.get_world_size() == 1:
        yield SINGLE_PROCESS
        return
    on_gpus = torch.cuda.is_available()
    backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
    group: Any = None
    with _quiet():
        if launch is None:  # a group of our own for the same processes: messages cannot meet those of others
            size = dist.get_world_size()
            group = _join(lambda: dist.new_group(timeout=TIMEOUT, backend=backend), None, size, on_wait)
        else:
            if on_gpus:
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
            _join(lambda: _start(launch, backend), launch, launch.world_size, on_wait)
    try:
        processes = ProcessGroup(dist.get_rank(), dist.get_world_size(), group=group)
        machines = processes.all_gather_object(socket.gethostname())
        yield replace(processes, local_world_size=Counter(machines)[machines[processes.rank]])
    except KeyboardInterrupt:
        _ABANDONED.append(dist.group.WORLD if group is None else group)
        raise
    finally:
        with contextlib.suppress(RuntimeError, TimeoutError):
            _in_thread(lambda: dist.destroy_process_group(group), LEAVE_SECONDS)


def _start(launch: Launch, backend: str) -> None:
    """Make the default process group, over the network in which process 0 is: gloo would take the address that this
    machine's name has, which on many machines is that of the loopback."""
    import torch.distributed as dist

    interface = interface_towards(launch.address, launch.port)
    if interface is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
    dist.init_process_group(backend, timeout=TIMEOUT, rank=launch.rank, world_size=launch.world_size)


_ABANDONED: list[Any] = []
"""Groups that were left while a message was under way: their destructor waits for it."""


def _join(start: Callable[[], T], launch: Launch | None, size: int, on_wait: Callable[[str], None]) -> T:
    """Return what `start` returns once all `size` processes have called it."""
    if launch is None:
        who, whom = "a process", "the others of its group, which must make the same call"
        where = ""
    else:
        who = f"process {launch.rank} of {size}"
        where = f" at {launch.address}:{launch.port} (MASTER_ADDR, MASTER_PORT)"
        whom = f"the others{where}"
    try:
        return _in_thread(start, JOIN_SECONDS, lambda: on_wait(f"{who} waits for {whom}"))
    except TimeoutError as error:
        advice = "" if launch is None else f": start all {size}, process 0 on that host, with the port open"
        raise DistributedError(f"{who} waited {JOIN_SECONDS:.0f} s for {whom}{advice}") from error
    except (RuntimeError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DistributedError(f"{who} cannot meet the others{where}: {reason}") from error


def _in_thread(call: Callable[[], T], seconds: float | None = None, on_wait: Callable[[], None] | None = None) -> T:
    """Run `call` in a thread of its own and return or raise what it does; the caller can be interrupted while waiting.

    Raises TimeoutError after `seconds`, and calls `on_wait` before; the thread then ends with the process.
    """
    outcome: list[tuple[T | None, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that waits)
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    if on_wait is not None and seconds is not None and seconds > PATIENCE:
        thread.join(PATIENCE)
        seconds -= PATIENCE
        if thread.is_alive():
            on_wait()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError
    result, error = outcome[0]
    if error is not None:
        raise error
    return cast(T, result)


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
