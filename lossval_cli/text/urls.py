"""Names of tables that are URLs, and how they are shown."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_remote(name: str) -> bool:
    """Return whether `name` is a URL of files elsewhere."""
    return bool(_URL.match(name)) and not name.startswith("file://")


def shown_url(url: str) -> str:
    """A URL without query and password; any other name as it is."""
    if not is_remote(url):
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
