"""SARIF 2.1.0 for code hosts: one result per suspect row, at its line of a CSV file or as a row of Parquet."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from lossval_cli.checks.values import CheckResult, SuspectRow
from lossval_cli.report.sentences.suspects import REASONS
from lossval_cli.text.escape import escape_ci_json
from lossval_cli.version import __version__

RULES = {"label": "SuspectLabel", "features": "SuspectFeatures", "label+features": "SuspectLabelAndFeatures"}

FINGERPRINT = "lossvalRow/v1"
"""Changes its number when it is made of something else."""


def render_sarif(check: CheckResult) -> str:
    """Write one SARIF log with one run."""
    rules = [
        {
            "id": f"lossval/{kind}",
            "name": name,
            "shortDescription": {"text": REASONS[kind]},
            "defaultConfiguration": {"level": "warning"},
        }
        for kind, name in RULES.items()
    ]
    driver = {
        "name": "lossval",
        "semanticVersion": __version__,
        "rules": rules,
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": check.count("unknown") == 0}],
        "results": [_result(row, check.path) for row in check.suspects],
        "properties": {
            "passed": check.passed,
            "rules": [result.to_dict() for result in check.results],
            "suspectCount": check.suspect_count,
        },
    }
    return escape_ci_json({"version": "2.1.0", "runs": [run]})


def _result(row: SuspectRow, path: str) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(path, safe="/", errors="replace")}}
    location: dict[str, Any] = {"physicalLocation": physical}
    if row.line is None:
        location["logicalLocations"] = [{"fullyQualifiedName": row.location, "kind": "row"}]
    else:
        physical["region"] = {"startLine": row.line}
    ranked = {} if row.probability is None else {"rank": round(100 * row.probability, 2)}
    return {
        "ruleId": f"lossval/{row.kind}",
        "ruleIndex": list(RULES).index(row.kind),
        "level": "warning",
        "message": {"text": _message(row.message)},
        "locations": [location],
        # The first is the one that GitHub knows an alert by when its line moves.
        "partialFingerprints": {"primaryLocationLineHash": row.fingerprint, FINGERPRINT: row.fingerprint},
        "properties": {"row": row.row, "importance": row.importance},
    } | ranked


def _message(text: str) -> str:
    """Escape a cell: `[text](link)` and `{0}` mean something in a SARIF message; of a cell they are only characters."""
    text = re.sub(r"([\\\[\]])", r"\\\1", text)
    return re.sub(r"\{(\d+)\}", r"{{\1}}", text)
