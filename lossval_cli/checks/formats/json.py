"""Everything a gate found, for programs."""

from __future__ import annotations

from dataclasses import asdict

from lossval_cli.checks.values import GateResult
from lossval_cli.text.escape import escape_ci_json

VERSION = 1
"""Raised when a field changes its meaning or goes."""


def render_json(result: GateResult) -> str:
    """One object: verdicts, and the suspects that stand in `suspects` up to 5,000."""
    return escape_ci_json(
        {
            "schema_version": VERSION,
            "passed": result.passed,
            "strict": result.strict,
            "table": result.table,
            "path": result.path,
            "rows": result.rows,
            "rules": [verdict.to_dict() for verdict in result.verdicts],
            "suspect_count": result.suspect_count,
            "suspects": [asdict(row) for row in result.suspects],
            "notes": list(result.notes),
        }
    )
