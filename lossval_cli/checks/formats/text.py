"""A line a rule, as pytest has a line a test, and the worst rows where a rule was broken."""

from __future__ import annotations

from lossval_cli.checks.evaluate import Verdict
from lossval_cli.checks.values import GateResult
from lossval_cli.text.escape import escape_ci
from lossval_cli.text.format import pluralize

SHOWN = 10
"""Suspects that are shown; other formats hold more."""


def render_text(result: GateResult) -> str:
    """Lines of at least one rule each: outcome, rule, value, limit."""
    lines = [f"check of {escape_ci(result.table)}: {pluralize(result.rows, 'row')}"]
    lines += [f"note: {escape_ci(note)}" for note in result.notes]
    lines += rule_lines(result)
    lines += suspect_lines(result)
    lines.append(tally(result))
    return "\n".join(lines) + "\n"


def rule_lines(result: GateResult) -> list[str]:
    """Outcome, rule, value and limit of every rule, in columns."""
    cells = [(verdict.rule.name, _value(verdict), verdict.rule.limit) for verdict in result.verdicts]
    known = [verdict.text for verdict in result.verdicts if verdict.outcome != "unknown"]
    widths = max((len(row[0]) for row in cells), default=0), max(map(len, known), default=0)
    return [
        escape_ci(f"{verdict.outcome.upper():7}  {name.ljust(widths[0])}  {value.ljust(widths[1])}  {limit}").rstrip()
        for verdict, (name, value, limit) in zip(result.verdicts, cells, strict=True)
    ]


def suspect_lines(result: GateResult) -> list[str]:
    """`- data.csv:12: why`, worst first, where a rule was broken."""
    if not result.suspects or not result.count("failed") + result.count("warned"):
        return []
    lines = ["suspects, worst first:"]
    for row in result.suspects[:SHOWN]:
        where = f"{result.path}:{row.line}" if row.line is not None else f"{result.path} {row.place}"
        lines.append(f"- {escape_ci(where)}: {escape_ci(row.message)}")
    if result.suspect_count > SHOWN:
        lines.append(f"- and {result.suspect_count - SHOWN:,} more")
    return lines


def tally(result: GateResult) -> str:
    """`gate failed: 2 failed, 1 warned, 4 passed`."""
    counts = [(result.count(outcome), outcome) for outcome in ("failed", "unknown", "warned", "passed")]
    told = ", ".join(f"{count} {outcome}" for count, outcome in counts if count)
    word = "passed" if result.passed else "could not be evaluated" if result.count("unknown") else "failed"
    return f"gate {word}: {told}"


def _value(verdict: Verdict) -> str:
    return f"cannot be evaluated: {verdict.text}" if verdict.outcome == "unknown" else verdict.text
