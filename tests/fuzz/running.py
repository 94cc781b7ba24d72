"""One generated case: run the command in this process and check what it did."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from lossval_cli.cli import main
from lossval_cli.features import streaming
from lossval_cli.runtime import memory
from lossval_cli.runtime.memory import MemoryEstimate
from lossval_cli.tables import streamed

LONGEST = 30
"""Seconds after which a case counts as a hang; the slowest of a hundred thousand takes about one."""


class Change(NamedTuple):
    """A file that becomes another when it is opened for the n-th time to read from it."""

    opening: int
    name: str
    content: bytes


@dataclass(frozen=True)
class Case:
    """Arguments, the files they meet, and standard input; whether tables stay in their files, however small,
    and what becomes of one meanwhile."""

    arguments: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    stdin: bytes = b""
    stays: bool = False
    change: Change | None = None

    def __repr__(self) -> str:
        changed = {name: content for name, content in self.files.items() if len(content) < 2_000}
        return f"Case({self.arguments!r}, {changed!r})"[:4_000]


class Broken(AssertionError):
    """The command did what it never may."""


class _Stream(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)

    def text(self) -> str:
        return self.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]


def run_case(case: Case, directory: Path) -> int:
    """The exit code of a case run in `directory`, which is emptied first.

    Raises Broken for a traceback, an internal error, a hang, an exit code that is not 0, 1 or 2, an error
    of no or several lines, and for files that are changed or left behind.
    """
    _fill(directory, case.files)
    before = _contents(directory)
    out, err = _Stream(), _Stream()
    where = everything_stays(case.change) if case.stays else contextlib.nullcontext()
    with _streams(out, err, case.stdin), where, _time_limit():
        code = main(list(case.arguments))
    lines = err.text().splitlines()
    if code not in (0, 1, 2):
        raise Broken(f"exit code {code}")
    if any("internal error" in line or "Traceback" in line for line in lines):
        raise Broken(next(line for line in lines if "internal error" in line or "Traceback" in line))
    errors = [line for line in lines if line.startswith("error: ")]
    if (code != 0) != bool(errors) or (len(errors) > 1 and case.arguments[:1] != ("validate",)):
        raise Broken(f"exit code {code} with {len(errors)} errors: {errors[:2]}")
    after = _contents(directory)
    if case.change is not None:
        after |= {case.change.name: before[case.change.name]}
    if left := [name for name in after if "lossval-tmp" in name or "lossval-old" in name]:
        raise Broken(f"left behind: {left}")
    if code == 2 and after != before and "--output-file" not in case.arguments:
        raise Broken(f"an error, and yet files differ: {sorted(set(after) ^ set(before))}")
    return code


def _fill(directory: Path, files: dict[str, bytes]) -> None:
    wanted = {name.split("/")[0] for name in files}
    for entry in directory.iterdir():
        if not entry.is_dir():
            if entry.name not in wanted:
                entry.unlink()
        elif any(f"{entry.name}/{inner.name}" not in files for inner in entry.iterdir()):
            shutil.rmtree(entry)
    for name, content in files.items():
        path = directory / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _contents(directory: Path) -> dict[str, int]:
    """Every file below `directory` with a hash of what it holds."""
    return {
        str(path.relative_to(directory)): hash(path.read_bytes()) if path.is_file() else 0
        for path in directory.rglob("*")
    }


@contextlib.contextmanager
def _streams(out: io.TextIOWrapper, err: io.TextIOWrapper, stdin: bytes) -> Iterator[None]:
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
    finally:
        sys.stdin = before


@contextlib.contextmanager
def everything_stays(change: Change | None = None) -> Iterator[None]:
    """Tables are read in parts, as if there were no room for them in memory."""
    opened = 0
    true_open = streamed._File.open

    def counted(file: Any, *arguments: Any) -> Any:
        nonlocal opened
        opened += 1
        if change is not None and opened == change.opening:
            Path(change.name).write_bytes(change.content)
        return true_open(file, *arguments)

    with (
        mock.patch.object(streaming, "FEWEST_BYTES", 0),
        mock.patch.object(memory, "spare_memory", lambda: 10**12),
        mock.patch.object(MemoryEstimate, "resident", lambda *_: 10**13),
        mock.patch.object(streamed._File, "open", counted),
    ):
        yield


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    """Past the limit `main` raises what nothing in it catches."""

    def late(number: int, frame: object) -> None:
        raise Hang(f"still running after {LONGEST} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LONGEST)
    try:
        yield
    except Hang as error:
        raise Broken(str(error)) from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Hang(BaseException):
    """Not an Exception, so that the command cannot take it for an error of its own."""


@contextlib.contextmanager
def inside(directory: Path) -> Iterator[None]:
    """Make `directory` the current directory for the `with`."""
    with contextlib.chdir(directory):
        os.environ.setdefault("COLUMNS", "80")
        yield
