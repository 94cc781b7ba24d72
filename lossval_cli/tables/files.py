"""Names to bytes: files, standard input, directories and globs, decompressed within limits."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from lossval_cli.errors import ReadError, system_reason
from lossval_cli.limits import MAX_BYTES, allowed_size, too_large
from lossval_cli.tables.remote import list_remote, read_remote
from lossval_cli.text.format import closest_name, format_name
from lossval_cli.text.urls import is_remote, shown_url

_BLOCK = 1 << 20
_STORED = (".parquet", ".pq", ".parq", ".arrow", ".feather", ".arrows", ".ipc")
_TEXTS = (".csv", ".tsv", ".jsonl", ".ndjson")
_PACKED = (".gz", ".zst", ".bz2")
_LAKES = {"_delta_log": "a Delta table", ".hoodie": "a Hudi table", "metadata": "an Iceberg table"}
"""Directories by which table formats are known whose files are not all part of the table."""
_COMPRESSIONS = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bz2"))


@dataclass(frozen=True)
class Source:
    """Bytes of one file and its name in messages; `relative` is its path below the directory read."""

    name: str
    relative: str
    data: bytes


def open_sources(name: str) -> list[Source]:
    """Read every file `name` stands for: one file, `-`, those of a directory, or of a glob.

    Raises ReadError when there is nothing to read or the system refuses.
    """
    if name == "-":
        if sys.stdin is None:
            raise ReadError("standard input is closed: give a file, or pipe a table in")
        return [Source("<stdin>", "", _read_all(sys.stdin.buffer, "<stdin>"))]
    return [Source(shown_url(file.path), file.relative, read_file(file.path)) for file in list_files(name)]


class Listed(NamedTuple):
    """A file to read, and its path below the directory or glob that was named."""

    path: str
    relative: str


def list_files(name: str) -> list[Listed]:
    """The files that `name` stands for: itself, those of a directory, or of a glob; read or not.

    Raises ReadError when there is none.
    """
    if "\0" in name or not name:
        raise ReadError(f"{name!r} is not a file name")
    if is_remote(name):
        return _list_remote(name)
    if os.path.isdir(name):
        return _list_directory(name)
    if not os.path.lexists(name) and glob.has_magic(name):
        found = sorted(path for path in glob.glob(name, recursive=True) if os.path.isfile(path))
        if not found:
            raise ReadError(f"no file matches {format_name(name)}")
        base = os.path.dirname(name[: min(name.find(mark) for mark in "*?[" if mark in name)])
        for path in found:
            _refuse_lake(Path(path).parent, Path(base or "."))
        return [Listed(path, os.path.relpath(path, base or ".")) for path in found]
    return [Listed(name, os.path.basename(name))]


def _list_directory(name: str) -> list[Listed]:
    """The Parquet and Arrow files below a directory, else its CSV and JSON lines files, sorted; names that begin with
    `_` or `.` are not data."""
    root = Path(name)
    found = []
    for path in sorted(root.rglob("*")):
        if path.name in _LAKES and path.is_dir():
            _refuse_lake(path.parent, path.parent)
        if path.is_file():
            found.append(Listed(str(path), path.relative_to(root).as_posix()))
    return _of_one_kind(found, name)


def _list_remote(name: str) -> list[Listed]:
    """The same of a URL."""
    urls = list_remote(name)
    if urls == [name]:
        return [Listed(name, shown_url(name).rpartition("/")[2])]
    base = os.path.commonpath([shown_url(url).rpartition("/")[0].replace("://", ":", 1) for url in urls])
    start = len(base) + 3  # "://" for ":", and the slash
    listed = [Listed(url, shown_url(url)[start:]) for url in urls]
    if glob.has_magic(name):
        return listed
    for file in listed:
        for folder, what in _LAKES.items():
            marked = folder != "metadata" or file.relative.endswith(".metadata.json")
            if marked and folder in file.relative.split("/")[:-1]:
                raise _lake(shown_url(name), what)
    return _of_one_kind(listed, shown_url(name))


def _of_one_kind(found: Sequence[Listed], name: str) -> list[Listed]:
    """The Parquet and Arrow files, else the CSV and JSON lines files; ReadError where there are both or none."""
    stored: list[Listed] = []
    texts: list[Listed] = []
    for file in found:
        parts = file.relative.split("/")
        if any(part.startswith(("_", ".")) for part in parts):
            continue
        suffixes = [suffix.lower() for suffix in Path(parts[-1]).suffixes]
        if suffixes and suffixes[-1] in _PACKED:
            del suffixes[-1]
        if suffixes and suffixes[-1] in _STORED + _TEXTS:
            group = stored if suffixes[-1] in _STORED else texts
            group.append(file)
    if stored and texts:
        raise ReadError(
            f"{format_name(name)} holds Parquet and CSV files ({format_name(stored[0].relative)}, "
            f"{format_name(texts[0].relative)}): name one kind with a glob"
        )
    if not stored and not texts:
        raise ReadError(
            f"{format_name(name)} is a directory without Parquet or CSV files; name a file, or a glob of files"
        )
    return stored or texts


def _refuse_lake(directory: Path, top: Path) -> None:
    """Raise ReadError where `directory`, or one above it up to `top`, is a table of Delta, Hudi or Iceberg: some of
    the files below it are deleted or replaced rows."""
    for folder in (directory, *directory.parents):
        for mark, what in _LAKES.items():
            inside = folder / mark
            if not inside.is_dir() or (mark == "metadata" and not _is_iceberg(inside)):
                continue
            raise _lake(str(folder), what)
        if folder == top:
            return


def _lake(name: str, what: str) -> ReadError:
    return ReadError(
        f"{format_name(name)} is {what}, and not all of its files are rows of the table as it is now: "
        "read it with its own library, and save the rows as Parquet"
    )


def _is_iceberg(metadata: Path) -> bool:
    return any(metadata.glob("*.metadata.json")) or (metadata / "version-hint.text").is_file()


def read_file(path: str) -> bytes:
    """The bytes of one file, as stored. Devices are refused: they may never end."""
    if is_remote(path):
        return read_remote(path)
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                raise ReadError(f"{format_name(path)} is a device, not a file")
            return _read_all(file, path)
    except FileNotFoundError:
        raise ReadError(f"{format_name(path)} does not exist{_neighbour(path)}") from None
    except OSError as error:
        raise ReadError(f"{format_name(path)} cannot be read: {system_reason(error)}") from error


def _read_all(file: BinaryIO, name: str) -> bytes:
    blocks, size = [], 0
    while block := file.read(16 * _BLOCK):
        blocks.append(block)
        size += len(block)
        if size > MAX_BYTES:
            raise too_large(name, MAX_BYTES, size)
    return b"".join(blocks)


def _neighbour(path: str) -> str:
    """A hint at a file of nearly the same name in the same directory."""
    directory, base = os.path.split(path)
    try:
        near = closest_name(base, [name for name in os.listdir(directory or ".") if name != base])
    except OSError:
        near = None
    return f"; did you mean {format_name(os.path.join(directory, near))}?" if near else ""


def decompress(source: Source) -> bytes:
    """The bytes of a gzip, zstd or bzip2 file, known by its first bytes; other bytes as they are.

    Raises ReadError when the stream is damaged, cut short, or grows past `limits.allowed_size`.
    """
    kind = next((kind for magic, kind in _COMPRESSIONS if source.data.startswith(magic)), None)
    if kind is None:
        return source.data
    limit = allowed_size(len(source.data))
    blocks, size = [], 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(source.data), kind) as stream:
            while block := stream.read(_BLOCK):
                blocks.append(block)
                size += len(block)
                if size > limit:
                    raise too_large(source.name, limit, len(source.data))
    except (OSError, pa.ArrowException) as error:
        raise ReadError(f"{format_name(source.name)} is a {kind} file that is damaged or cut short") from error
    return b"".join(blocks)


def digest(sources: Sequence[Source]) -> str:
    """SHA-256 of one file's bytes as stored; of many, over each relative name, its length and its bytes."""
    if len(sources) == 1:
        return hashlib.sha256(sources[0].data).hexdigest()
    total = hashlib.sha256()
    for source in sources:
        total.update(os.fsencode(f"{source.relative}\0{len(source.data)}\0"))
        total.update(source.data)
    return total.hexdigest()


def digest_files(files: Sequence[Listed]) -> str:
    """Compute what `digest` gives for the same files, reading them in blocks. Raises ReadError."""
    total, single = hashlib.sha256(), len(files) == 1
    for file in files:
        try:
            with open(file.path, "rb") as stream:
                if not single:
                    total.update(os.fsencode(f"{file.relative}\0{os.fstat(stream.fileno()).st_size}\0"))
                while block := stream.read(16 * _BLOCK):
                    total.update(block)
        except OSError as error:
            raise ReadError(f"{format_name(file.path)} cannot be read: {system_reason(error)}") from error
    return total.hexdigest()
