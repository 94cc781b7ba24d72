"""Plain text: one line per rule, and the worst rows if a rule failed."""

from __future__ import annotations

from lossval_cli.checks.evaluate import RuleResult
from lossval_cli.checks.values import CheckResult
from lossval_cli.text.escape import escape_ci
from lossval_cli.text.format import pluralize

SHOWN = 10
"""Suspects that are shown; other formats hold more."""


def render_text(check: CheckResult) -> str:
    """Lines of at least one rule each: outcome, rule, value, limit."""
    lines = [f"check of {escape_ci(check.table)}: {pluralize(check.rows, 'row')}"]
    lines += [f"note: {escape_ci(note)}" for note in check.notes]
    lines += rule_lines(check)
    lines += suspect_lines(check)
    lines.append(count_outcomes(check))
    return "\n".join(lines) + "\n"


def rule_lines(check: CheckResult) -> list[str]:
    """Outcome, rule, value and limit of every rule, in columns."""
    cells = [(result.rule.name, _value(result), result.rule.limit) for result in check.results]
    known = [result.text for result in check.results if result.outcome != "unknown"]
    widths = max((len(row[0]) for row in cells), default=0), max(map(len, known), default=0)
    return [
        escape_ci(f"{result.outcome.upper():7}  {name.ljust(widths[0])}  {value.ljust(widths[1])}  {limit}").rstrip()
        for result, (name, value, limit) in zip(check.results, cells, strict=True)
    ]


def suspect_lines(check: CheckResult) -> list[str]:
    """Return `- data.csv:12: why`, worst first, where a rule was broken."""
    if not check.suspects or not check.count("failed") + check.count("warned"):
        return []
    lines = ["suspects, worst first:"]
    for row in check.suspects[:SHOWN]:
        where = f"{check.path}:{row.line}" if row.line is not None else f"{check.path} {row.location}"
        lines.append(f"- {escape_ci(where)}: {escape_ci(row.message)}")
    if check.suspect_count > SHOWN:
        lines.append(f"- and {check.suspect_count - SHOWN:,} more")
    return lines


def count_outcomes(check: CheckResult) -> str:
    """Return `gate failed: 2 failed, 1 warned, 4 passed`."""
    counts = [(check.count(outcome), outcome) for outcome in ("failed", "unknown", "warned", "passed")]
    said = ", ".join(f"{count} {outcome}" for count, outcome in counts if count)
    word = "passed" if check.passed else "could not be evaluated" if check.count("unknown") else "failed"
    return f"gate {word}: {said}"


def _value(result: RuleResult) -> str:
    return f"cannot be evaluated: {result.text}" if result.outcome == "unknown" else result.text
