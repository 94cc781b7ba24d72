"""Members that are trained in a thread of their own.

The layers of a member are small: threads that share one product of matrices wait for one another longer than they
compute. Members share no parameter within an epoch, so that some of them take all of its steps in one thread while the
others take theirs in another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import NamedTuple, TypeVar

import torch

from lossval_cli.lossval.network import Ensemble
from lossval_cli.lossval.optimizer import AdamW
from lossval_cli.lossval.own_networks import StackedModules

FEWEST_MEMBERS = 2
"""Members of a part, at least: each step of a part has a fixed cost."""

Found = TypeVar("Found")


class Part(NamedTuple):
    """Some of the members; what their steps change is that of the whole."""

    members: slice
    network: Ensemble | StackedModules
    optimizer: AdamW


def split_members(network: Ensemble | StackedModules, optimizer: AdamW, members: int, *, alone: bool) -> list[Part]:
    """Split networks into as many parts as there are threads for; into one on a GPU, where they draw random numbers,
    and where not all that they call is this package's own (`alone`)."""
    parts = min(torch.get_num_threads(), members // FEWEST_MEMBERS)
    if alone or parts < 2 or not isinstance(network, Ensemble) or network.dropout or not network.is_on_cpu:
        return [Part(slice(0, members), network, optimizer)]
    edges = [i * members // parts for i in range(parts + 1)]
    found = []
    for some in map(slice, edges, edges[1:]):
        part = network.part(some)
        found.append(Part(some, part, optimizer.part(part.parameters(), some)))
    return found


def run_parts(parts: Sequence[Part], run: Callable[[Part, Event], Found]) -> list[Found]:
    """Run `run(part, stopped)` of every part, each in a thread. It returns early once `stopped` is set: when the user
    interrupts the run, or another part has failed."""
    stopped, threads = Event(), torch.get_num_threads()
    if len(parts) == 1:
        return [run(parts[0], stopped)]
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
