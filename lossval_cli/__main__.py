"""`python -m lossval_cli` is `lossval`."""

from typing import NoReturn

from lossval_cli.cli import main
from lossval_cli.runtime.platform import exit_now


def run() -> NoReturn:
    """The command line as a process of its own, which ends with the exit code of `main`."""
    exit_now(main())


if __name__ == "__main__":
    run()
