"""What may save training or end it before its last epoch: a clock, a signal, a limit."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Protocol

from torch import Tensor

STOP, INTERRUPT = 1, 2
"""Places of the votes that mean more than to save."""

Saved = tuple[Mapping[str, Tensor], Mapping[str, Any]]
"""Tensors by name, and what JSON can hold: epoch, step, history."""


class Store(Protocol):
    """Where checkpoints lie."""

    def progress(self) -> Mapping[str, Any] | None:
        """Of the last one without its tensors, None where there is none."""

    def load(self) -> Saved | None:
        """The last one, None where there is none."""

    def save(self, tensors: Mapping[str, Tensor], progress: Mapping[str, Any]) -> None:
        """Put a new one in its place."""


class Interrupted(KeyboardInterrupt):
    """Training was asked to end and has been saved; says how to go on."""


class TrainingMonitor:
    """Asked after every step whether to save, to stop or to be interrupted.

    store: where checkpoints go, None: nowhere.  every: seconds between two.  resume: whether to go on from
    the one that is there.  deadline: `time.monotonic()` by which results should be there.

    `begun_anew`: why training was begun anew with smaller steps, each time; a checkpoint is of one of these
    trainings.
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
        self._saved_at = time.monotonic()
        self._interrupted = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> TrainingMonitor:
        """Hold SIGINT, SIGTERM and SIGHUP back until a step is over, where there is something to save."""
        if self.store is not None and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._handlers[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        self._handlers = {}

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to watch for."""
        return self.store is not None or math.isfinite(self.deadline)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted:  # asked twice: at once
            raise KeyboardInterrupt
        self._interrupted = True

    def find(self) -> None:
        """Set `begun_anew` to that of the checkpoint to go on from."""
        progress = self.store.progress() if self.store is not None and self.resume else None
        self.restarts = tuple(progress["restarts"]) if progress else ()

    def load(self) -> Saved | None:
        """The checkpoint to go on from, if it is of this training."""
        saved = self.store.load() if self.store is not None and self.resume else None
        return saved if saved and tuple(saved[1]["restarts"]) == self.restarts else None

    def requests(self, reserve: float) -> list[float]:
        """1 where this process wants to save, stop or be interrupted; `reserve`: seconds that are still
        needed after a stop."""
        now = time.monotonic()
        save = self.store is not None and now - self._saved_at >= self._every
        return [float(save), float(now + reserve >= self.deadline), float(self._interrupted)]

    def save(self, take: Callable[[], Saved], *, writes: bool) -> None:
        """Save what `take` gives; only the process that `writes` does."""
        if self.store is not None:
            tensors, progress = take()
            if writes:
                self.store.save(tensors, {**progress, "restarts": self.restarts})
            self._saved_at = time.monotonic()
