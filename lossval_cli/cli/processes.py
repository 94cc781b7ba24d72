"""The processes of a run, and what a run leaves behind when it is over."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lossval_cli.cli.console import say

if TYPE_CHECKING:
    from lossval_cli.result import Result
    from lossval_cli.runtime.distributed import ProcessGroup
    from lossval_cli.runtime.resources import Resources


def forget_checkpoint(resources: Resources, result: Result) -> None:
    """Remove the checkpoint of a run that is complete."""
    from lossval_cli.runtime.atomic_write import remove_file

    if resources.checkpoint is not None and result.is_complete:
        remove_file(resources.checkpoint)


@contextlib.contextmanager
def processes() -> Iterator[ProcessGroup]:
    """The processes of this run; without a launcher this one alone.

    A process that the launcher ends because another one has failed says so.
    """
    from lossval_cli.runtime.distributed import joined

    if not os.environ.get("LOSSVAL_DEBUG"):
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")  # what fails is said in one line
    with joined(say) as found:
        try:
            yield found
        except KeyboardInterrupt as interrupt:
            if found.world_size == 1 or str(interrupt):
                raise
            raise KeyboardInterrupt(
                "interrupted, or ended because another process of this run is gone; nothing was written "
                "(with --checkpoint-every, the same command with --resume continues from the last checkpoint)"
            ) from interrupt
