"""Atomic writes: files and directories appear completely or not at all.

What is written lies in a private directory (0700) or file (0600) beside the target until it is complete and on disk;
then renaming puts it in place. An older run directory is renamed aside first; a run that is killed between the two
renamings leaves it there, and the next run to the same target puts it back. What a killed run left behind is locked by
nobody, and is cleared away by the next run to the same target.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import secrets
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lossval_cli.errors import OutputError, system_reason
from lossval_cli.limits import MAX_RECORD_FILE_BYTES, read_small
from lossval_cli.runtime.platform import (
    TERMINATION_SIGNALS,
    lock_abandoned,
    lock_directory,
    set_mode,
    sync_directory,
    unlock,
)
from lossval_cli.text.format import format_name

Writer = Callable[[BinaryIO], None]
Content = Writer | bytes | str
"""What a file gets: what writes it, bytes, or text, in UTF-8 with escapes for what UTF-8 cannot hold."""

RECORD = "run.json"
"""A directory is one of ours when it holds this file and the file says so."""

TOOL = "lossval"

OWN_FILES = frozenset(
    {RECORD, "report.html", "report.json", "report.md", "scores.csv", "scores.jsonl", "scores.parquet"}
)
"""What a run directory is made of; whatever else lies in one belongs to the user and stays."""

PAGES = frozenset({"report.html", "report.md"})
"""Those that are made from the others."""

_SUFFIX = ".lossval-tmp"
_ASIDE = ".lossval-old"
"""What was at the target, between two renamings."""


def _nothing(_: Path) -> None:
    """Write nothing."""


def is_run_directory(path: Path) -> bool:
    """Return whether `path` is a directory that this tool has written."""
    try:
        record = json.loads(read_small(path / RECORD, MAX_RECORD_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and record.get("tool") == TOOL and "schema_version" in record


def check_directory(path: Path, *, force: bool) -> None:
    """Raise OutputError, before any work is done, if a run directory could not be put at `path`."""
    whole = Path(os.path.realpath(path))
    if whole == Path.cwd() or whole in Path.cwd().parents:
        raise OutputError(f"{format_name(str(path))} is the directory you are in or above it; name another with -o")
    _check_parent(path)
    if path.is_symlink():
        raise OutputError(f"{format_name(str(path))} is a symbolic link; name the directory itself with -o")
    if not path.exists():
        return
    if not path.is_dir():
        raise OutputError(f"{format_name(str(path))} exists and is not a directory; name another with -o")
    if not force and not is_run_directory(path) and any(path.iterdir()):
        raise OutputError(
            f"{format_name(str(path))} exists and was not written by lossval; "
            "name another directory with -o, or add --force to put the results in it"
        )


def check_file(path: Path, *, force: bool, read: Iterable[str | Path | None] = ()) -> None:
    """Raise OutputError, before any work is done, if a file could not be put at `path`; also, whatever
    `force` says, where that is one of the files or in one of the run directories that are `read`."""
    for source in read:
        if source is not None and _is_of(path, Path(source)):
            raise OutputError(f"{format_name(str(path))} is read by this command: name another file")
    _check_parent(path)
    if path.is_symlink():
        raise OutputError(f"{format_name(str(path))} is a symbolic link; name the file itself with -o")
    if path.exists() and not path.is_file():
        raise OutputError(f"{format_name(str(path))} exists and is not a regular file; name another with -o")
    if path.exists() and not force:
        raise OutputError(f"{format_name(str(path))} exists; name another file with -o, or add --force")


def repeated_file(paths: Sequence[str]) -> str | None:
    """The first of `paths` (`-` aside is none) that is a file named before, however each is spelled: through
    links, `..` or another case on a file system that knows none; None where all differ."""
    for i, path in enumerate(paths):
        for other in paths[:i]:
            if path == other or os.path.realpath(path) == os.path.realpath(other):
                return path
            with contextlib.suppress(OSError, ValueError):
                if os.path.samefile(path, other):
                    return path
    return None


def _is_of(path: Path, source: Path) -> bool:
    """Return whether `path` is a file that there is, and is `source` or of it; pages can be made again."""
    try:
        if source.is_dir():
            is_own = path.name in OWN_FILES - PAGES if is_run_directory(source) else path.exists()
            return is_own and os.path.samefile(path.parent, source)
        return os.path.samefile(path, source)
    except (OSError, ValueError):
        return False


def write_directory(
    path: Path, files: Mapping[str, Content], *, force: bool, fill: Callable[[Path], None] = _nothing
) -> None:
    """Write `files` (name -> writer, `run.json` among them) as the directory `path`, and what `fill` writes into the
    directory that it is given, which becomes `path`.

    Files that are not ours in a directory that was there stay. Raises OutputError; then, and after any
    other exception, `path` is as it was.
    """
    with reporting(path), _Private(path) as private:
        fill(private.path)
        for name, content in files.items():
            write_new(private.path / name, content)
        sync_directory(private.path)
        check_directory(path, force=force)
        with _uninterrupted():
            if path.exists():
                os.chmod(private.path, path.stat().st_mode & 0o777)
            else:
                set_mode(private.path, 0o777)
            _put(private.path, path)
            sync_directory(path.parent)


def write_file(path: Path, content: Content, *, force: bool, private: bool = False) -> None:
    """Write one file at `path`, for this user alone where it is `private`. Raises OutputError; then, and
    after any other exception, `path` is as it was."""
    with reporting(path), _Private(path) as private_directory:
        write_new(private_directory.path / path.name, content, 0o600 if private else 0o666)
        check_file(path, force=force)
        with _uninterrupted():
            os.replace(private_directory.path / path.name, path)
            sync_directory(path.parent)


def remove_file(path: Path) -> None:
    """Remove a file of ours, if it is there, and what killed runs have left of it."""
    with reporting(path):
        _clear_leftovers(path)
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch_directory(target: Path) -> Iterator[Path]:
    """A directory beside `target` that only this user can read, while the `with` lasts. Raises
    OutputError."""
    with contextlib.ExitStack() as stack:
        with reporting(target):
            private = stack.enter_context(_Private(target))
        yield private.path


def _check_parent(path: Path) -> None:
    parent = path.parent
    if not parent.is_dir():
        reason = "is not a directory" if parent.exists() else "does not exist"
        raise OutputError(f"{format_name(str(path))} cannot be written: {format_name(str(parent))} {reason}")
    with reporting(path), _Private(path):  # the only sure test of whether one may write there
        pass


@contextlib.contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Raise what the system refuses as an OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{format_name(str(path))} cannot be written: {system_reason(error)}") from error


@dataclass
class _Private:
    """A directory beside `target` that only this user can read, gone when the `with` ends. Its lock tells
    other runs that it is in use."""

    target: Path

    def __enter__(self) -> _Private:
        _clear_leftovers(self.target)
        with _uninterrupted():
            self.path = self.target.parent / f"{_prefix(self.target)}{secrets.token_hex(4)}{_SUFFIX}"
            os.mkdir(self.path, 0o700)
            self._lock = lock_directory(self.path)
        return self

    def __exit__(self, *_: object) -> None:
        with _uninterrupted():
            shutil.rmtree(self.path, ignore_errors=True)
            unlock(self._lock)


def _prefix(target: Path) -> str:
    # A file name may have 255 bytes; a longer target is identified well enough by the first of them.
    return "." + os.fsdecode(os.fsencode(target.name)[:180]) + "."


def _clear_leftovers(target: Path) -> None:
    """Remove what runs to `target` that are no longer alive have left beside it, but nothing of the
    user's."""
    leftovers = glob.glob(glob.escape(_prefix(target)) + "*", root_dir=target.parent, include_hidden=True)
    for left in (target.parent / name for name in leftovers if name.endswith((_SUFFIX, _ASIDE))):
        with contextlib.suppress(OSError):
            lock = lock_abandoned(left)
            try:
                if left.name.endswith(_ASIDE) and not os.path.lexists(target):
                    os.rename(left, target)
                else:
                    _move_others(left, target)
                    shutil.rmtree(left)
            finally:
                unlock(lock)


def _put(new: Path, path: Path) -> None:
    """Make `new` be `path`; what was there goes, less what is not ours, which moves along."""
    if not path.exists():
        os.rename(new, path)
        return
    aside = new.with_name(f"{_prefix(path)}{secrets.token_hex(4)}{_ASIDE}")
    os.rename(path, aside)
    try:
        os.rename(new, path)
    except OSError:
        os.rename(aside, path)
        raise
    os.rename(aside, new)
    _move_others(new, path)


def _move_others(old: Path, path: Path) -> None:
    """Move what is not ours from `old` into `path`, replacing nothing."""
    for entry in sorted(old.iterdir()):
        if entry.name not in OWN_FILES and path.is_dir() and not os.path.lexists(path / entry.name):
            os.rename(entry, path / entry.name)


def write_new(path: Path, content: Content, mode: int = 0o666) -> None:
    """Write a file that does not exist yet, in a directory of `write_directory`. OSError passes through."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if callable(content):
            content(file)
        else:
            file.write(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    set_mode(path, mode)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold SIGINT, SIGTERM and SIGHUP back until the end: between two renames is no time to leave."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = {number: signal.signal(number, lambda seen, _: held.append(seen)) for number in TERMINATION_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for seen in held:
            signal.raise_signal(seen)
