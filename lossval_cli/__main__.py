"""`python -m lossval_cli` is `lossval`."""

import contextlib
import os
import sys
from typing import NoReturn

from lossval_cli.cli import main


def run() -> NoReturn:
    """The command line as a process of its own, which ends with the exit code of `main`.

    It ends without Python's teardown: a reading thread of Arrow that lets go of its last bytes when the
    interpreter is half gone ends the process with SIGABRT, and the exit code, the contract, is lost.
    """
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
