"""Everything that depends on the operating system, each with a fallback.

Importing this file imports nothing heavy. What is not here is the standard library's and the same everywhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

fcntl: Any
try:
    fcntl = importlib.import_module("fcntl")
except ImportError:  # Windows
    fcntl = None
"""None on Windows."""

TERMINATION_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a process to end; Windows has no SIGHUP."""

_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)

_CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may take."""

_MMAP_THRESHOLD = -3
"""From glibc's malloc.h."""


def lock_directory(path: Path) -> int | None:
    """Lock a directory of this process until `unlock`; None where the system or file system has no such locks, and
    then nobody clears it away either."""
    if fcntl is None:
        return None
    descriptor = os.open(path, os.O_RDONLY | _DIRECTORY)
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def lock_abandoned(path: Path) -> int:
    """Lock a directory that another process has left. Raises OSError where it is in use, is a link, or this cannot be
    known."""
    if fcntl is None:
        raise OSError("no locks on this system")
    descriptor = os.open(path, os.O_RDONLY | _DIRECTORY | _NO_LINKS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def unlock(descriptor: int | None) -> None:
    """Release a lock."""
    if descriptor is not None:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Have a renaming in a directory on disk; Windows cannot open directories and does it by itself."""
    if not _DIRECTORY:
        return
    descriptor = os.open(path, os.O_RDONLY | _DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_mode(path: Path, mode: int) -> None:
    """Give a file or directory the mode that the user's umask leaves of `mode`."""
    mask = os.umask(0o077)
    os.umask(mask)
    os.chmod(path, mode & ~mask)


def resident_memory() -> int:
    """Bytes of memory that this process has now; 0 where that cannot be known."""
    import psutil

    try:
        return int(psutil.Process().memory_info().rss)
    except (psutil.Error, OSError):
        return 0


def free_memory() -> int:
    """Bytes that processes may still take, by the system and by the limit of a container; 4 GB where that cannot be
    known."""
    import psutil

    try:
        free = int(psutil.virtual_memory().available)
    except (psutil.Error, OSError):
        free = 4 * 10**9
    with contextlib.suppress(OSError, ValueError):
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
        free = min(free, int(limit) - used) if limit.isdigit() else free
    return free


def return_freed_memory(block: int) -> None:
    """Have glibc give blocks of this many bytes back to the system when they are freed.

    Without it glibc raises its threshold to the largest block it has seen, and a run that streams its table peaks
    about a chunk above what --max-memory allows. Elsewhere nothing is done.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, block)


def exit_now(code: int) -> NoReturn:
    """End the process with `code` and without Python's teardown.

    A reading thread of Arrow that lets go of its last bytes when the interpreter is half gone ends the process with
    SIGABRT, and the exit code, the contract, is lost.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
