"""Workflow commands of GitHub Actions: one annotation for each failed rule and for each of the worst ten rows.

GitHub shows ten annotations of a kind a step. What a cell holds is escaped as the runner unescapes it, so
that it can end neither the command nor the line.
"""

from __future__ import annotations

from lossval_cli.checks.formats.text import count_outcomes, rule_lines
from lossval_cli.checks.values import CheckResult
from lossval_cli.text.escape import escape_ci

ANNOTATED = 10
"""Suspects that are marked in the files of a pull request."""


def render_github(check: CheckResult) -> str:
    """Lines of workflow commands, and between them what a person reads in the log."""
    lines = [*rule_lines(check), count_outcomes(check)]
    for result in check.results:
        if result.outcome != "passed":
            bad = result.outcome in ("failed", "unknown") or check.strict
            text = f"{result.rule.name}: {result.text}; {result.rule.limit}"
            lines.append(_command("error" if bad else "warning", {"title": "lossval check"}, text))
    if check.count("passed") == len(check.results):
        return "\n".join(lines) + "\n"
    for row in check.suspects[:ANNOTATED]:
        location = {"file": check.path} | ({} if row.line is None else {"line": str(row.line)})
        text = row.message if row.line is not None else f"{row.location}: {row.message}"
        lines.append(_command("warning", {**location, "title": f"lossval: suspect by {row.kind}"}, text))
    return "\n".join(lines) + "\n"


def _command(name: str, properties: dict[str, str], text: str) -> str:
    said = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name} {said}::{_data(text)}"


def _data(text: str) -> str:
    return escape_ci(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
