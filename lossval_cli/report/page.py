"""What every HTML page of ours is made with: templates that escape, one style, at most one script, no network."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

import jinja2


@cache
def templates(*packages: str) -> jinja2.Environment:
    """The templates of some packages, compiled once: every cell is escaped, and an unknown name is an error."""
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader(package) for package in packages])
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)


def source_of(pages: jinja2.Environment, name: str) -> str:
    """A style or a script as it is in its package."""
    assert pages.loader is not None
    return pages.loader.get_source(pages, name)[0]


def source_hash(content: str) -> str:
    """A style or a script as a content security policy names it: nothing else could run even if it got in."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
