"""`python -m lossval_cli` is `lossval`."""

import gc
from typing import NoReturn

from lossval_cli.cli import main
from lossval_cli.runtime.platform import exit_now

COLLECT_AFTER = (100_000, 20, 20)
"""New objects after which cycles are looked for. With Python's few hundred, imports take a third longer: they make
300,000 objects that all stay."""


def run() -> NoReturn:
    """The command line as a process of its own, which ends with the exit code of `main`."""
    gc.set_threshold(*COLLECT_AFTER)
    exit_now(main())


if __name__ == "__main__":
    run()
