"""Members that are trained in a process and a thread of their own.

The layers of a member are small: threads that share one product of matrices wait for one another longer than they
compute, and so do processes that add up the gradients of every step. Members share no parameter within an epoch, so
that some of them take all of its steps in one process or thread while the others take theirs in another. After it
processes exchange what they have learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import NamedTuple, TypeGuard, TypeVar

import torch

from lossval_cli.lossval.network import Ensemble
from lossval_cli.lossval.optimizer import AdamW
from lossval_cli.lossval.own_networks import StackedModules
from lossval_cli.runtime.distributed import SINGLE_PROCESS, ProcessGroup

FEWEST_MEMBERS = 2
"""Members of a thread's part, at least: each step of a part has a fixed cost."""

Found = TypeVar("Found")


class Part(NamedTuple):
    """Some of the members; what their steps change is that of the whole."""

    members: slice
    network: Ensemble | StackedModules
    optimizer: AdamW


def can_split(network: Ensemble | StackedModules) -> TypeGuard[Ensemble]:
    """Return whether members learn the same apart: not where they draw random numbers, or are of the user's own."""
    return isinstance(network, Ensemble) and not network.dropout


def split_members(
    network: Ensemble | StackedModules,
    optimizer: AdamW,
    members: int,
    processes: ProcessGroup = SINGLE_PROCESS,
    *,
    in_threads: bool,
) -> list[Part]:
    """This process's range of the members, in as many parts as there are threads for; in one on a GPU, without
    `in_threads`, and where networks cannot be split. None where there are more processes than members."""
    if not can_split(network):
        return [Part(slice(0, members), network, optimizer)]
    first, last = (-(-rank * members // processes.world_size) for rank in (processes.rank, processes.rank + 1))
    most = (last - first) // FEWEST_MEMBERS if in_threads and network.is_on_cpu else 1
    parts = max(1, min(torch.get_num_threads(), most))
    edges = [first + i * (last - first) // parts for i in range(parts + 1)]
    found = []
    for some in map(slice, edges, edges[1:]) if last > first else ():
        part = network.part(some)
        found.append(Part(some, part, optimizer.part(part.parameters(), some)))
    return found


def join_members(
    network: Ensemble | StackedModules, optimizer: AdamW, parts: Sequence[Part], processes: ProcessGroup
) -> None:
    """Give every process the members that the others have trained."""
    if processes.world_size == 1:
        return
    learned = [*network.parameters(), *optimizer.means, *optimizer.squares]
    with torch.no_grad():
        for values in learned:  # a sum in which each process has its own members
            others = torch.ones(len(values), dtype=torch.bool, device=values.device)
            for part in parts:
                others[part.members] = False
            values[others] = 0
        processes.all_reduce_together(learned)


def run_parts(parts: Sequence[Part], run: Callable[[Part, Event], Found]) -> list[Found]:
    """Run `run(part, stopped)` of every part, each in a thread. It returns early once `stopped` is set: when the user
    interrupts the run, or another part has failed."""
    stopped, threads = Event(), torch.get_num_threads()
    if len(parts) < 2:
        return [run(part, stopped) for part in parts]
    torch.set_num_threads(max(1, threads // len(parts)))
    try:
        with ThreadPoolExecutor(len(parts)) as pool:
            futures = [pool.submit(run, part, stopped) for part in parts]
            try:
                return [future.result() for future in futures]
            except BaseException:
                stopped.set()
                raise
    finally:
        torch.set_num_threads(threads)
