"""The fenced blocks of a page, and which of them can be run.

A block of `console` holds command lines, each on a line of its own or gone on with after a backslash; one of
`python` a program. Both run as they stand, top to bottom, in one directory a page. What cannot run says so
and why in a comment above it: `<!-- not run: it installs the package -->`. `<!-- output -->` stands above
what the block before it prints.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

RUNNABLE = ("console", "sh", "python")

_BLOCK = re.compile(
    r"(?P<comments>(?:^<!--[^\n]*-->\n)*)^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """One fenced block."""

    language: str
    comments: str
    """The lines of comment right above it."""
    body: str
    line: int
    """Where it begins, from 1."""
    span: tuple[int, int]
    """Characters of the page that `body` takes."""

    @property
    def runs(self) -> bool:
        """Whether it is to be run."""
        return self.language in RUNNABLE and "<!-- not run: " not in self.comments

    @property
    def is_output(self) -> bool:
        """Whether it shows what the block before it prints."""
        return "<!-- output" in self.comments

    def commands(self) -> list[str]:
        """Command lines of a `console` block."""
        return [line for line in self.body.replace("\\\n", " ").splitlines() if line.strip()]


def pages() -> list[Path]:
    """README.md, CONTRIBUTING.md and every page of docs/."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> list[Block]:
    """Fenced blocks of a page, in order."""
    return [
        Block(
            language=found["language"],
            comments=found["comments"],
            body=found["body"],
            line=page.count("\n", 0, found.start()) + 1,
            span=found.span("body"),
        )
        for found in _BLOCK.finditer(page)
    ]
