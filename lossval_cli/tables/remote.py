"""Files that are named by a URL: `s3://`, `gs://` and `abfs://` through pyarrow, others through fsspec.

Credentials come from the environment, as each store's own tools find them; a URL is shown without its query and
without a password, which may be secrets. Remote files are read whole.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import pyarrow.fs as pf

from lossval_cli.errors import ReadError
from lossval_cli.limits import MAX_BYTES, too_large
from lossval_cli.text.format import format_name
from lossval_cli.text.urls import shown_url

_ARROW_SCHEMES: Final = ("gs", "gcs", "abfs", "abfss")


def list_remote(url: str) -> list[str]:
    """URLs of the files that `url` stands for: itself, all below a directory, or those of a glob; sorted.

    Raises ReadError where there is none, or the store refuses.
    """
    if _is_web(url):
        return [url]  # a web server lists nothing, and says why it refuses only when it is asked for the file
    with _explained(url):
        fs, path = _open(url)
        pattern = path if glob.has_magic(path) else None
        base = path if pattern is None else os.path.dirname(path[: min(path.find(c) for c in "*?[" if c in path)])
        info = fs.get_file_info(base)
        if info.type == pf.FileType.NotFound and pattern is None:
            raise ReadError(f"{format_name(shown_url(url))} does not exist")
        if info.type == pf.FileType.File:
            return [url]
        below = fs.get_file_info(pf.FileSelector(base, recursive=True, allow_not_found=True))
    files = sorted(found.path for found in below if found.type == pf.FileType.File)
    if pattern is not None:
        files = [file for file in files if fnmatch.fnmatchcase(file, pattern) and file.count("/") == pattern.count("/")]
        if not files:
            raise ReadError(f"no file matches {format_name(shown_url(url))}")
    start = url.split("?")[0].rstrip("/")
    start = start if pattern is None else start[: len(start) - len(pattern) + len(base)]
    return [start + file[len(base.rstrip("/")) :] for file in files]


def read_remote(url: str) -> bytes:
    """The bytes of one file. Raises ReadError."""
    with _explained(url):
        fs, path = _open(url)
        # pyarrow would lose why a web server refuses.
        opened = fs.handler.fs.open(path) if _is_web(url) else fs.open_input_stream(path, compression=None)
        with opened as stream:
            data: bytes = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise too_large(shown_url(url), MAX_BYTES, len(data))
    return data


def _is_web(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def _open(url: str) -> tuple[Any, str]:
    """A file system and the path in it."""
    scheme = url.split("://", 1)[0].lower()
    if scheme in ("s3", "s3a", "s3n"):
        path = url.split("://", 1)[1].rstrip("/")
        return _s3(path.split("/", 1)[0]), path
    if scheme in _ARROW_SCHEMES:
        fs, path = pf.FileSystem.from_uri(url)
        return fs, path
    try:
        import fsspec.core
    except ImportError:
        raise ReadError(
            f"{format_name(shown_url(url))}: {scheme}:// needs fsspec: pip install 'lossval[remote]'"
        ) from None
    inner, path = fsspec.core.url_to_fs(url)
    return pf.PyFileSystem(pf.FSSpecHandler(inner)), path


@cache
def _s3(bucket: str) -> Any:
    """The store of a bucket: at AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL where one is set, else in its region of AWS."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        return pf.S3FileSystem(
            endpoint_override=host.rstrip("/"), scheme=scheme or "https", region=region or "us-east-1"
        )
    return pf.S3FileSystem(region=region or pf.resolve_s3_region(bucket))


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn what a store says into one line."""
    try:
        yield
    except ImportError as error:
        raise ReadError(
            f"{format_name(shown_url(url))} cannot be read: {error}; pip install 'lossval[remote]' brings what it needs"
        ) from error
    except ReadError:
        raise
    except Exception as error:  # each store's library has errors of its own
        cause = error.__cause__  # fsspec says of all that a web server refuses that there is no such file
        if isinstance(error, FileNotFoundError) and (cause is None or getattr(cause, "status", 0) == 404):
            raise ReadError(f"{format_name(shown_url(url))} does not exist") from error
        error = cause if isinstance(cause, Exception) else error
        said = " ".join(str(error).split()).replace(url, shown_url(url))[:200] or type(error).__name__
        raise ReadError(f"{format_name(shown_url(url))} cannot be read: {said}") from error
