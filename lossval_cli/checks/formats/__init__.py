"""The result of a check in each output format: one file per format, each with a function that returns text."""

from __future__ import annotations

from collections.abc import Callable

from lossval_cli.checks.formats.github import render_github
from lossval_cli.checks.formats.gitlab import render_gitlab
from lossval_cli.checks.formats.json import render_json
from lossval_cli.checks.formats.junit import render_junit
from lossval_cli.checks.formats.markdown import render_markdown
from lossval_cli.checks.formats.sarif import render_sarif
from lossval_cli.checks.formats.text import render_text
from lossval_cli.checks.values import CheckResult

__all__ = ["FORMATS"]

FORMATS: dict[str, Callable[[CheckResult], str]] = {
    "text": render_text,
    "json": render_json,
    "junit": render_junit,
    "sarif": render_sarif,
    "github": render_github,
    "gitlab": render_gitlab,
    "markdown": render_markdown,
}
