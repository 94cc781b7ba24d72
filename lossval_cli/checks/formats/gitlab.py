"""GitLab's code quality report: one issue per suspect, shown in the diff of a merge request."""

from __future__ import annotations

from lossval_cli.checks.values import CheckResult
from lossval_cli.text.escape import escape_ci_json


def render_gitlab(check: CheckResult) -> str:
    """A list of issues; one in a Parquet file, which has no lines, points at its first."""
    return escape_ci_json(
        [
            {
                "description": row.message if row.line is not None else f"{row.location}: {row.message}",
                "check_name": f"lossval/{row.kind}",
                "fingerprint": row.fingerprint,
                "severity": "major" if (row.probability or 0) >= 0.9 else "minor",
                "location": {"path": check.path, "lines": {"begin": row.line or 1}},
            }
            for row in check.suspects
        ]
    )
