"""GitHub-flavoured Markdown for a pull request or a job summary; cells are inert text."""

from __future__ import annotations

from lossval_cli.checks.formats.text import count_outcomes
from lossval_cli.checks.values import CheckResult
from lossval_cli.report.render_markdown import escaped
from lossval_cli.text.escape import escape_ci
from lossval_cli.text.format import pluralize

SHOWN = 10

MARKS = {"passed": "✅ passed", "warned": "🔎 warned", "failed": "❌ failed", "unknown": "⚠️ not evaluated"}


def render_markdown(check: CheckResult) -> str:
    """Headline, a table of rules and one of the worst suspects."""
    mark = "✅" if check.passed else "❌"
    lines = [f"## {mark} {_cell(count_outcomes(check))}", ""]
    lines += [f"Data of {_cell(check.path)}, {pluralize(check.rows, 'row')}.", ""]
    for note in check.notes:
        lines += [_cell(note, 200), ""]
    lines += ["| rule | value | limit | |", "| --- | --- | --- | --- |"]
    for result in check.results:
        cells = (result.rule.name, result.text, result.rule.limit)
        lines.append("| " + " | ".join(_cell(cell, 200) for cell in cells) + f" | {MARKS[result.outcome]} |")
    if check.suspects:
        shown = check.suspects[:SHOWN]
        of = f"{len(shown)} of {check.suspect_count:,}" if check.suspect_count > len(shown) else "All"
        lines += ["", f"### {of} suspects, worst first", "", "| where | why |", "| --- | --- |"]
        lines += [f"| {row.location} | {_cell(row.message, 300)} |" for row in shown]
    return "\n".join(lines) + "\n"


def _cell(text: str, longest: int = 100) -> str:
    return escaped(escape_ci(text), longest)
