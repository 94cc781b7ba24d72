"""`--redact`: scores and reports without ids and without feature values.

What stays: counts, scores, row and line numbers, column names and types, labels and predicted labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from lossval_cli.score_columns import FIXED_COLUMNS

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
"""Values in messages are quoted; so are names that are not a plain word."""


def redact_table(table: pa.Table, ids: Sequence[str]) -> pa.Table:
    """The scores without the id columns, which are called `ids` there."""
    return table.drop_columns([name for name in ids if name in table.column_names])


def redact_report(given: Mapping[str, Any]) -> dict[str, Any]:
    """The report without ids and feature values.

    Sections that are not known here to be free of them are null, so that a new one cannot leak.
    """
    report: dict[str, Any] = {name: section if name in _SECTIONS else None for name, section in given.items()}
    report["suspects"] = [{name: value for name, value in row.items() if name in _KNOWN} for row in report["suspects"]]
    report["notices"] = [_QUOTED.sub("'…'", notice) for notice in report["notices"]]
    data = dict(report["data"])
    data["columns"] = [_counts(column) for column in data["columns"]]
    if data.get("invalid_cells"):
        columns = [{**column, "examples": []} for column in data["invalid_cells"]["columns"]]
        data["invalid_cells"] = {**data["invalid_cells"], "columns": columns}
    report["data"] = data
    return report


_SECTIONS = frozenset(
    {
        "schema_version",
        "directory",
        "verdict",
        "summary",
        "removal",
        "suspects",
        "model",
        "data",
        "settings",
        "notices",
        "thresholds",
        "timing",
        "classes",
        "confusion",
        "conflicting_duplicates",
        "leakage",
        "coverage",
        "distributions",
        "health",
    }
)

_KNOWN = frozenset(
    {
        *FIXED_COLUMNS,
        "given",
        "suggested",
        "given_probability",
        "probabilities",
        "neighbours",
        "label_probability",
        "feature_probability",
    }
)
"""What stays of a suspect."""

_COUNTS = ("column", "type", "encoding", "dims", "missing", "missing_share")


def _counts(column: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a column less what its cells hold: levels, ranges, centres."""
    return {name: column[name] for name in _COUNTS if name in column}
