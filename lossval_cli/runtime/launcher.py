"""What a launcher (torchrun, Ray Train, Spark, a cluster's own) tells a process that it starts, in its environment.

Importing this file imports nothing heavy."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys
from typing import NamedTuple

from lossval_cli.errors import UsageError

ADVICE = "start all processes with torchrun, which sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, or unset them"


class Launch(NamedTuple):
    """Process `rank` of `world_size`, which meet at `address`:`port`, where process 0 runs."""

    rank: int
    world_size: int
    address: str
    port: int


def read_launch() -> Launch | None:
    """The launch that this process is part of; None where it was started alone, or as the only one.

    An empty variable counts as one that is not set. Raises UsageError where the variables contradict each other: a
    process that went on alone would do the work of all, and write over their results.
    """
    rank, world_size = _whole_number("RANK"), _whole_number("WORLD_SIZE")
    if rank is None and world_size is None:
        return None
    if world_size is None:
        raise UsageError(f"RANK is {rank} but WORLD_SIZE is not set: {ADVICE}")
    if world_size < 1:
        raise UsageError(f"WORLD_SIZE is {world_size}, but must be at least 1: {ADVICE}")
    if rank is None:
        if world_size == 1:
            return None
        raise UsageError(f"WORLD_SIZE is {world_size} but RANK is not set: {ADVICE}")
    if not 0 <= rank < world_size:
        raise UsageError(
            f"RANK is {rank}, but must be from 0 to {world_size - 1}, as WORLD_SIZE is {world_size}: {ADVICE}"
        )
    if world_size == 1:
        return None
    address, port = os.environ.get("MASTER_ADDR", "").strip(), _whole_number("MASTER_PORT")
    if not address or port is None:
        missing = "MASTER_PORT" if address else "MASTER_ADDR"
        raise UsageError(f"WORLD_SIZE is {world_size} but {missing} is not set: {ADVICE}")
    if not 1 <= port <= 65535:
        raise UsageError(f"MASTER_PORT is {port}, but must be from 1 to 65535: {ADVICE}")
    return Launch(rank, world_size, address, port)


def interface_towards(address: str, port: int) -> str | None:
    """The network interface through which this process reaches `address`; None where that is itself, or unknown."""
    import psutil

    with contextlib.suppress(OSError):
        family, kind, _, _, target = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(target)  # finds a route, and sends nothing
            own = probe.getsockname()[0]
        if not ipaddress.ip_address(own.partition("%")[0]).is_loopback:
            for name, addresses in psutil.net_if_addrs().items():
                if any(one.address.partition("%")[0] == own.partition("%")[0] for one in addresses):
                    return str(name)
    return None


def has_group() -> bool:
    """Return whether somebody has made a process group; without importing PyTorch."""
    dist = sys.modules.get("torch.distributed")
    return dist is not None and dist.is_available() and dist.is_initialized()


def is_assistant() -> bool:
    """Return whether this process is one of several and not the first: what is only read or written is the first one's.

    Raises UsageError for a launch that contradicts itself.
    """
    if has_group():
        import torch.distributed as dist

        return dist.get_rank() > 0
    launch = read_launch()
    return launch is not None and launch.rank > 0


def _whole_number(name: str) -> int | None:
    value = os.environ.get(name, "").strip()
    if not value:
        return None
    try:
        return int(value)
    except ValueError:
        raise UsageError(f"{name} is {value!r}, but must be a whole number: {ADVICE}") from None
