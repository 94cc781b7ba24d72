"""The processes of a run that `torchrun` has started, and what a run leaves behind when it is over."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossval_cli.result import Result
    from lossval_cli.runtime.distributed import ProcessGroup
    from lossval_cli.runtime.resources import Resources


def forget_checkpoint(resources: Resources, result: Result) -> None:
    """Remove the checkpoint of a run that is complete."""
    from lossval_cli.runtime.atomic_write import remove_file

    if resources.checkpoint is not None and result.is_complete:
        remove_file(resources.checkpoint)


def is_assistant() -> bool:
    """Whether `torchrun` has started this process and it is not the first: what is only read or written is
    the first one's."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and os.environ.get("RANK", "0") != "0"


@contextlib.contextmanager
def processes() -> Iterator[ProcessGroup]:
    """The processes that `torchrun` has started; without it this one alone.

    Who is ended by torchrun because another process is gone says so.
    """
    from lossval_cli.runtime.distributed import joined

    with joined() as found:
        try:
            yield found
        except KeyboardInterrupt as interrupt:
            if found.world_size == 1 or str(interrupt):
                raise
            raise KeyboardInterrupt(
                "interrupted, or ended because another process of this run is gone; nothing was written "
                "(with --checkpoint-every, the same command with --resume continues from the last checkpoint)"
            ) from interrupt
