"""How far training is, on standard error: a bar for people, one JSON object a line for programs."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from lossval_cli.cli.console import is_terminal, say, wants_colour

if TYPE_CHECKING:
    from lossval_cli.lossval.state import Epoch

Mode = Literal["bar", "json", "off"]

_STAGES = {
    "read": "reading",
    "train": "training",
    "trial": "trying",
    "removal": "trying removals",
    "report": "reporting",
    "write": "writing",
}


def choose_mode(wanted: str, *, quiet: bool) -> Mode:
    """`--progress` and `--quiet` -> what is shown; a bar only where a person is looking."""
    if quiet or wanted == "off":
        return "off"
    if wanted == "json":
        return "json"
    return "bar" if is_terminal(sys.stderr) else "off"


class Progress:
    """Shows notices, stages and epochs while its `with` lasts."""

    def __init__(self, mode: Mode, *, quiet: bool = False) -> None:
        self._mode = mode
        self._quiet = quiet
        self._start = time.monotonic()
        self._first: tuple[int, float] | None = None
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is None:
            self._event("done", seconds=round(time.monotonic() - self._start, 3))

    def notices(self, lines: Sequence[str]) -> None:
        """Show what was decided for the user, before training."""
        for line in lines:
            if self._mode == "json":
                self._event("notice", message=line)
            elif not self._quiet:
                say(line)

    def stage(self, name: str) -> None:
        """A new stage begins: read, train, trial, removal, report or write."""
        self._event("stage", name=name)
        if self._mode == "bar" and self._bar is None and name != "read":  # notices come before the bar
            self._begin_bar()
        if self._bar is not None:
            self._bar.update(self._task, description=_STAGES[name], detail="", refresh=True)

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is over."""
        if self._first is None:
            self._first = epoch.epoch, time.monotonic()
        if self._bar is not None:
            detail = f"epoch {epoch.epoch}/{epoch.epochs}  loss {epoch.loss:.4g}"
            if math.isfinite(epoch.transport):
                detail += f"  transport {epoch.transport:.3g}"
            last = epoch.epoch == epoch.epochs
            self._bar.update(self._task, total=epoch.epochs, completed=epoch.epoch, detail=detail, refresh=last)
        self._event(
            "epoch",
            epoch=epoch.epoch,
            epochs=epoch.epochs,
            loss=_finite(epoch.loss),
            transport=_finite(epoch.transport),
            seconds_left=_finite(self._seconds_left(epoch)),
        )

    def _seconds_left(self, epoch: Epoch) -> float:
        if self._first is None or epoch.epoch == self._first[0]:
            return math.nan
        first, then = self._first  # of this process: a run that continues begins later
        a_piece = (time.monotonic() - then) / (epoch.epoch - first)
        return round(a_piece * (epoch.epochs - epoch.epoch), 1)

    def _begin_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True, no_color=not wants_colour(sys.stderr), highlight=False)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeRemainingColumn(compact=True),
        )
        self._bar = Bar(*columns, console=console, transient=True, redirect_stdout=False)
        self._task = self._bar.add_task("", total=None, detail="")
        self._bar.start()

    def _event(self, event: str, **fields: object) -> None:
        if self._mode == "json":
            say(json.dumps({"event": event} | fields, ensure_ascii=False))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
