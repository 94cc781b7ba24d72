"""Output: results go to standard output, everything else to standard error."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from lossval_cli.errors import OutputError, system_reason
from lossval_cli.text.escape import break_commands, escape_ci
from lossval_cli.text.format import escape_control

if TYPE_CHECKING:
    from rich.text import Text


def say(line: str) -> None:
    """Write one line to standard error. That nobody listens there is no reason to stop."""
    line = escape_ci(line)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(line + "\n")  # Python spells out there what the terminal cannot show
        sys.stderr.flush()


def say_what_ended_it(line: str) -> None:
    """Write one line on why there are no results. Processes that `torchrun` has started on a machine end together, each
    with an error of its own: the first to come here speaks for all of them, by leaving a mark in the directory that
    torchrun keeps for them."""
    report = Path(os.environ.get("TORCHELASTIC_ERROR_FILE", ""))  # …/LOCAL_RANK/error.json
    if "LOCAL_RANK" in os.environ and len(report.parts) > 2 and report.name == "error.json":
        try:
            (report.parents[1] / "lossval.error-shown").open("x").close()
        except FileExistsError:
            return
        except OSError:  # said too often is better than not at all
            pass
    say(line)


def show_styled(lines: Sequence[Text]) -> None:
    """Styled lines of results, in colour where that is wanted, on standard output."""
    from rich.console import Console

    text = io.StringIO()  # rich ends the process when a pipe closes, so it must not hold one
    colours: Any = "auto" if wants_colour(sys.stdout) else None
    console = Console(file=text, force_terminal=True, color_system=colours, highlight=False)
    for line in lines:
        console.print(line, soft_wrap=True)
    _put(break_commands(text.getvalue()))


def show(text: str) -> None:
    """Lines of results, plain, on standard output. Raises BrokenPipeError and OutputError."""
    _put(_visible(text) if is_screen(sys.stdout) else text)


def _put(text: str) -> None:
    if sys.stdout is None:
        return
    with _as_output_error():
        if hasattr(sys.stdout, "reconfigure"):  # escapes where a terminal knows no block characters
            sys.stdout.reconfigure(errors="backslashreplace")
        sys.stdout.write(text)


@contextlib.contextmanager
def results() -> Iterator[BinaryIO]:
    """Standard output for bytes, while the `with` lasts: unchanged, but on a terminal as text in which control
    characters are escaped. Raises BrokenPipeError and OutputError."""
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    with _as_output_error():
        sys.stdout.flush()
        yield cast(BinaryIO, _Screen()) if is_screen(sys.stdout) else sys.stdout.buffer
        sys.stdout.buffer.flush()


class _Screen(io.RawIOBase):
    """Shows bytes of results as text. A terminal obeys escape sequences, which cells of a table may hold."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        content = bytes(data)
        _put(_visible(content.decode("utf-8", "backslashreplace").replace("\r\n", "\n")))
        return len(content)


def _visible(text: str) -> str:
    """Return `text` with the lines and tabs that it has, and nothing else that a terminal would obey."""
    return "\n".join("\t".join(map(escape_control, line.split("\t"))) for line in text.split("\n"))


@contextlib.contextmanager
def _as_output_error() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: {system_reason(error)}") from error


def flush_stdout() -> None:
    """Push results out now, while a full disk or a closed pipe can still be reported."""
    if sys.stdout is None:
        return
    try:
        with _as_output_error():
            sys.stdout.flush()
    except OutputError:
        forget_stdout()
        raise


def forget_stdout() -> None:
    """Keep Python from trying once more at exit, and complaining."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def is_screen(stream: Any) -> bool:
    """Return whether `stream` is a terminal, where a person is looking."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def is_terminal(stream: Any) -> bool:
    """Return whether a person is looking, at a screen that can do more than show one line below the other."""
    return is_screen(stream) and os.environ.get("TERM") != "dumb"


def wants_colour(stream: Any) -> bool:
    """Colour is for terminals whose owner has not set NO_COLOR."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")
