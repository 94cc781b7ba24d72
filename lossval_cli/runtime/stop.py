"""Saving training, and ending it before its last epoch: a checkpoint interval, a deadline, a signal.

All of them act at the end of an epoch, where everything that training knows is consistent and small.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from lossval_cli.runtime.distributed import SINGLE_PROCESS, ProcessGroup
from lossval_cli.runtime.platform import TERMINATION_SIGNALS

if TYPE_CHECKING:
    from torch import Tensor

Saved: TypeAlias = "tuple[Mapping[str, Tensor], Mapping[str, Any]]"
"""Tensors by name, and what JSON can hold: epoch, step, history."""


class Store(Protocol):
    """Storage for checkpoints."""

    def progress(self) -> Mapping[str, Any] | None:
        """The last checkpoint without its tensors, None if there is none."""

    def load(self) -> Saved | None:
        """The last checkpoint, None where there is none."""

    def save(self, tensors: Mapping[str, Tensor], progress: Mapping[str, Any]) -> None:
        """Replace the last checkpoint."""


class Interrupted(KeyboardInterrupt):
    """Training was asked to end and has been saved; the message says how to resume."""


class TrainingMonitor:
    """Asked after every epoch whether to save, to stop or to be interrupted.

    store: where checkpoints go, None: nowhere.  every: seconds between two checkpoints.  resume: whether to
    continue from the checkpoint in the store.  deadline: `time.monotonic()` by which training should be over.

    `restarts`: why training was repeated with smaller steps, once for each time; a checkpoint belongs to one
    of these trainings.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        every: float = math.inf,
        resume: bool = False,
        deadline: float = math.inf,
    ) -> None:
        self.store = store
        self.deadline = deadline
        self._every = every
        self.resume = resume
        self.restarts: tuple[str, ...] = ()
        self._saved_time = self._epoch_start = time.monotonic()
        self._interrupted = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> TrainingMonitor:
        """Hold termination signals back until an epoch is over, where there is a store to save to."""
        if self.store is not None and threading.current_thread() is threading.main_thread():
            for number in TERMINATION_SIGNALS:
                self._handlers[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        self._handlers = {}

    @property
    def is_needed(self) -> bool:
        """True if training may be saved or cut short."""
        return self.store is not None or math.isfinite(self.deadline)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted:  # a second signal ends the run at once
            raise KeyboardInterrupt
        self._interrupted = True

    def load_restarts(self) -> None:
        """Set `restarts` to those of the checkpoint to resume from."""
        progress = self.store.progress() if self.store is not None and self.resume else None
        self.restarts = tuple(progress["restarts"]) if progress else ()

    def load(self) -> Saved | None:
        """The checkpoint to resume from, if it belongs to this training."""
        saved = self.store.load() if self.store is not None and self.resume else None
        return saved if saved and tuple(saved[1]["restarts"]) == self.restarts else None

    def start(self) -> None:
        """Note that the first epoch begins now."""
        self._epoch_start = time.monotonic()

    def requests(self) -> tuple[bool, bool, bool]:
        """Return whether this process wants to save, to stop and to be interrupted.

        It wants to stop where another epoch, as long as the last one, would pass the deadline.
        """
        now = time.monotonic()
        next_end = now + (now - self._epoch_start)
        self._epoch_start = now
        save = self.store is not None and now - self._saved_time >= self._every
        return save, next_end >= self.deadline, self._interrupted

    def end_epoch(
        self, epoch: int, epochs: int, take: Callable[[], Saved], processes: ProcessGroup = SINGLE_PROCESS
    ) -> bool:
        """Do what any process requests after 1-based `epoch` of `epochs`: save what `take` returns, raise
        Interrupted, or return True to stop. What stops early is saved, so that it can be resumed."""
        import torch

        requests = torch.tensor(self.requests(), dtype=torch.int64)
        save, stop, interrupt = processes.all_reduce(requests, "max").bool().tolist()
        if self.store is not None and (save or interrupt or (stop and epoch < epochs)):
            if processes.is_main:
                tensors, progress = take()
                self.store.save(tensors, {**progress, "restarts": self.restarts})
            self._saved_time = time.monotonic()
        if interrupt:
            raise Interrupted(
                f"interrupted after epoch {epoch} of {epochs} and saved; "
                "the same command with --resume continues from there"
            )
        return bool(stop) and epoch < epochs
