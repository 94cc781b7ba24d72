"""The whole result of a check as JSON."""

from __future__ import annotations

from dataclasses import asdict

from lossval_cli.checks.values import CheckResult
from lossval_cli.text.escape import escape_ci_json

VERSION = 1
"""Raised when a field changes its meaning or goes."""


def render_json(check: CheckResult) -> str:
    """Write one JSON object: results, and the suspects, of which `suspects` lists up to 5,000."""
    return escape_ci_json(
        {
            "schema_version": VERSION,
            "passed": check.passed,
            "strict": check.strict,
            "table": check.table,
            "path": check.path,
            "rows": check.rows,
            "rules": [result.to_dict() for result in check.results],
            "suspect_count": check.suspect_count,
            "suspects": [asdict(row) for row in check.suspects],
            "notes": list(check.notes),
        }
    )
