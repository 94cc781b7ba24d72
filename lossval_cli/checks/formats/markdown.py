"""GitHub-flavoured Markdown for a pull request or a job summary; cells are inert text."""

from __future__ import annotations

from lossval_cli.checks.formats.text import tally
from lossval_cli.checks.values import GateResult
from lossval_cli.report.render_markdown import escaped
from lossval_cli.text.escape import escape_ci
from lossval_cli.text.format import pluralize

SHOWN = 10

MARKS = {"passed": "✅ passed", "warned": "🔎 warned", "failed": "❌ failed", "unknown": "⚠️ not evaluated"}


def render_markdown(result: GateResult) -> str:
    """Headline, a table of rules and one of the worst suspects."""
    mark = "✅" if result.passed else "❌"
    lines = [f"## {mark} {_cell(tally(result))}", ""]
    lines += [f"Data of {_cell(result.path)}, {pluralize(result.rows, 'row')}.", ""]
    for note in result.notes:
        lines += [_cell(note, 200), ""]
    lines += ["| rule | value | limit | |", "| --- | --- | --- | --- |"]
    for verdict in result.verdicts:
        cells = (verdict.rule.name, verdict.text, verdict.rule.limit)
        lines.append("| " + " | ".join(_cell(cell, 200) for cell in cells) + f" | {MARKS[verdict.outcome]} |")
    if result.suspects:
        shown = result.suspects[:SHOWN]
        of = f"{len(shown)} of {result.suspect_count:,}" if result.suspect_count > len(shown) else "All"
        lines += ["", f"### {of} suspects, worst first", "", "| where | why |", "| --- | --- |"]
        lines += [f"| {row.place} | {_cell(row.message, 300)} |" for row in shown]
    return "\n".join(lines) + "\n"


def _cell(text: str, longest: int = 100) -> str:
    return escaped(escape_ci(text), longest)
