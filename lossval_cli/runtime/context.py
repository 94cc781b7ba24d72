"""The runtime of a run: device, processes, deadline, checkpoint and a directory for encoded rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lossval_cli.runtime.atomic_write import scratch_directory
from lossval_cli.runtime.checkpoint import CheckpointFile, Identity
from lossval_cli.runtime.device import pick_device
from lossval_cli.runtime.distributed import SINGLE_PROCESS, ProcessGroup
from lossval_cli.runtime.resources import Resources
from lossval_cli.runtime.stop import TrainingMonitor
from lossval_cli.settings import Settings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Runtime:
    """The runtime of one run and process; only a time limit in it changes results."""

    device_name: str = "cpu"
    processes: ProcessGroup = SINGLE_PROCESS
    monitor: TrainingMonitor = field(default_factory=TrainingMonitor)
    resources: Resources = field(default_factory=Resources)
    scratch: Callable[[], Path] | None = None
    """Makes a directory for encoded rows, or returns the one that it has made."""

    @property
    def device(self) -> torch.device:
        """Device that `device_name` names."""
        import torch  # a second or two: reading tables does without

        return torch.device(self.device_name)

    @property
    def is_main(self) -> bool:
        """True if this process collects, reports and writes."""
        return self.processes.is_main

    @property
    def has_time(self) -> bool:
        """True if the time limit has not passed."""
        return time.monotonic() < self.monitor.deadline

    def open_checkpoint(self, identity: Identity) -> None:
        """Save training to, and resume it from, the checkpoint of the run with this identity, if asked to."""
        if self.resources.checkpoint is not None:
            self.monitor.store = CheckpointFile(self.resources.checkpoint, identity)


@contextmanager
def open_runtime(settings: Settings, resources: Resources | None, processes: ProcessGroup) -> Iterator[Runtime]:
    """The runtime that settings and resources ask for, while the `with` lasts. The time limit starts now.

    Raises DeviceError.
    """
    resources = resources or Resources()
    deadline = time.monotonic() + resources.time_limit
    device = pick_device(settings.device)
    if settings.threads:
        import torch

        torch.set_num_threads(settings.threads)
    monitor = TrainingMonitor(every=resources.checkpoint_every, resume=resources.resume, deadline=deadline)
    with ExitStack() as stack:
        scratch = resources.scratch
        make = None if scratch is None else cache(lambda: stack.enter_context(scratch_directory(scratch)))
        yield Runtime(str(device), processes, monitor, resources, make)
