"""The limits and paths of a run: time, memory, checkpoint, scratch directory. Only a time limit changes results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from lossval_cli.runtime.atomic_write import remove_file


@dataclass(frozen=True)
class Resources:
    """Resources that the user allows one run."""

    time_limit: float = math.inf
    """Seconds after which training stops, no removal study begins, and what was learned is reported."""
    checkpoint: Path | None = None
    """File of the checkpoint; None: none is written."""
    checkpoint_every: float = 600.0
    """Seconds between two."""
    memory: int | None = None
    """Bytes that a process may take; None: what is free."""
    scratch: Path | None = None
    """A directory for encoded rows may be made beside this path while the run lasts; None: tables are read
    whole."""
    resume: bool = False
    """Whether to continue from the checkpoint, if there is one."""

    def forget_checkpoint(self) -> None:
        """Remove the checkpoint, of a run that is complete. Raises OutputError."""
        if self.checkpoint is not None:
            remove_file(self.checkpoint)
