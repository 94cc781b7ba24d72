"""report.json as report.md: what a reviewer reads in a pull request, in under sixty lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def render_markdown(report: Mapping[str, Any]) -> str:
    """GitHub-flavoured Markdown of what `build_report` returned, or of what was read from report.json."""
    summary = report["summary"]
    return f"# Data report\n\n{summary['suspects']:,} of {summary['rows']:,} rows are suspect.\n"
