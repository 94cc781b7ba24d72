"""The command line. Nothing here imports PyTorch, pandas or pyarrow before a command needs them."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from lossval_cli.cli.app import CLICK_ERRORS, run_command
from lossval_cli.cli.console import flush_stdout, forget_stdout, say_what_ended_it
from lossval_cli.errors import LossvalError, system_reason
from lossval_cli.runtime.platform import TERMINATION_SIGNALS
from lossval_cli.text.format import did_you_mean, format_name

__all__ = ["main"]

# Threads of OpenMP wait for one another by spinning, for milliseconds unless set otherwise:
# where other work shares the cores, a run takes four times as long. It is read when PyTorch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (default: of this process) and return its exit code: 0, 1, 2 or 130.

    Whatever happens is reported to the user in one line; nothing but results goes to standard output.
    """
    with contextlib.ExitStack() as last:
        return _run(list(sys.argv[1:] if arguments is None else arguments), last)


def _run(arguments: list[str], last: contextlib.ExitStack) -> int:
    debug = bool(os.environ.get("LOSSVAL_DEBUG"))
    stopped: list[int] = []
    try:
        with _quiet_libraries(debug), _stoppable(stopped, last):
            code = run_command(arguments)
            flush_stdout()
            return code
    except KeyboardInterrupt as interrupt:
        say_what_ended_it(str(interrupt) or "interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough: `lossval … | head`
        forget_stdout()
        return 0
    except Exception as error:  # noqa: BLE001  # the promise is one line whatever happens
        if stopped:  # a library that was being imported made something else of it
            say_what_ended_it("interrupted")
            return INTERRUPTED
        if debug:
            traceback.print_exc()
        say_what_ended_it(_error_line(error))
        return error.exit_code if isinstance(error, LossvalError) else 2


def _error_line(error: Exception) -> str:
    """Return one line for whatever went wrong."""
    if isinstance(error, LossvalError):
        return f"error: {error}"
    if isinstance(error, CLICK_ERRORS):
        return f"error: {_usage_message(error)}"
    if isinstance(error, MemoryError):
        return "error: out of memory: use a smaller table, fewer members or a smaller batch_size"
    if isinstance(error, OSError):  # a name too long, links in a circle: nothing of ours
        where = f"{format_name(os.fsdecode(error.filename))}: " if isinstance(error.filename, str | bytes) else ""
        return f"error: {where}{system_reason(error)}"
    lines = str(error).splitlines()
    what = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return f"internal error: {what} (please report it; LOSSVAL_DEBUG=1 shows the traceback)"


def _usage_message(error: Any) -> str:
    """The message of click about a command line, reworded where that helps."""
    option = getattr(error, "option_name", None)
    near = getattr(error, "possibilities", None)
    if option is not None and near is not None:
        from lossval_cli.settings import Settings

        name = option.removeprefix("--").replace("-", "_")
        if _takes_settings(error.ctx) and name in Settings.__dataclass_fields__:
            return f"unknown option {option!r}: it is a setting, --set {name}=VALUE"
        return f"unknown option {option!r}: {did_you_mean(option, near) or 'see --help'}"
    return str(error.format_message()).rstrip(".")


def _takes_settings(context: Any) -> bool:
    return context is not None and any("--set" in parameter.opts for parameter in context.command.params)


@contextlib.contextmanager
def _quiet_libraries(debug: bool) -> Iterator[None]:
    """Warnings and log lines of libraries are for developers, not for users."""
    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
            root = logging.getLogger()
            if not root.handlers:  # without one, Python prints warnings itself
                root.addHandler(logging.NullHandler())
        yield


class _Stopped(KeyboardInterrupt):
    """SIGINT, SIGTERM or SIGHUP. Python ends a process by a signal of its own once a plain KeyboardInterrupt
    has passed through code that a library runs while it is imported; a class of ours it leaves to us."""


@contextlib.contextmanager
def _stoppable(stopped: list[int], last: contextlib.ExitStack) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a run as Ctrl-C does, so that what it has begun is cleaned away; `stopped`
    says afterwards whether one came. At its end they are ignored until `last`: a launcher that ends the other processes
    of a run must not keep one from saying what went wrong."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        raise _Stopped

    default_handlers = (signal.SIG_DFL, signal.default_int_handler)
    before = {
        number: handler for number in TERMINATION_SIGNALS if (handler := signal.getsignal(number)) in default_handlers
    }
    for number, handler in before.items():
        last.callback(signal.signal, number, handler)
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
