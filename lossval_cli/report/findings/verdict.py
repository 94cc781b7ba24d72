"""The one sentence, its level, and what else deserves a look. No cell of the table enters these texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossval_cli.text.format import format_percent, pluralize

HEALTHY = 0.02
"""Estimated share of noisy rows below which nothing needs to be done."""

BAD = 0.08
"""Where its interval lies above this, the table should not be used as it is; below, it is healthy."""


def judge(report: Mapping[str, Any]) -> dict[str, Any]:
    """`level` (ok, look or bad), `text`, and `findings`: sentences with the section that tells more."""
    findings = [finding for find in (_labels, _slices, _leaks, _coverage, _health) for finding in find(report)]
    summary = report["summary"]
    noise = summary["estimated_noise_share"]
    rows = pluralize(summary["rows"], "row")
    if noise is None:
        text = f"The {rows} are ranked; this method does not say which of them are wrong."
        return {"level": "look", "text": text, "findings": findings}
    healthy = noise["value"] < HEALTHY and noise["high"] < BAD
    level = "bad" if noise["low"] >= BAD else "ok" if healthy and not findings else "look"
    estimate, likely = (
        format_percent(noise["value"]),
        f"likely {format_percent(noise['low'])} to {format_percent(noise['high'])}",
    )
    about = estimate if estimate.startswith("under") else f"about {estimate}"
    if level == "ok":
        text = f"The data looks healthy: {about} of the {rows} may be noisy"
    elif healthy:
        text = f"Few rows look noisy: {about} of the {rows}"
    else:
        text = f"About {estimate} of the {rows} look noisy"
    text += f" ({likely}){_mostly(summary)}"
    if healthy and findings:
        verb = "is" if len(findings) == 1 else "are"
        text += f"; but {pluralize(len(findings), 'finding')} {verb} worth a look"
    return {"level": level, "text": f"{text}.", "findings": findings}


def _mostly(summary: Mapping[str, Any]) -> str:
    kinds, suspects = summary["by_kind"], summary["suspects"]
    if not suspects:
        return ""
    if kinds["label"] >= 0.6 * suspects:
        return ", mostly wrong labels"
    if kinds["features"] >= 0.6 * suspects:
        return ", mostly odd features"
    return ", wrong labels as well as odd features"


def _finding(section: str, text: str) -> dict[str, str]:
    return {"section": section, "text": text}


def _labels(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """Identical rows with different labels; numbers differ by nature."""
    conflicts = report["conflicting_duplicates"]
    if not conflicts["groups"] or report["data"]["roles"]["classes"] is None:
        return []
    groups = pluralize(conflicts["groups"], "group")
    text = f"{conflicts['rows']:,} rows in {groups} have identical features but different labels."
    return [_finding("duplicates", text)]


def _slices(report: Mapping[str, Any]) -> list[dict[str, str]]:
    columns = list(dict.fromkeys(found["column"] for found in report["slices"]["found"]))
    if not columns:
        return []
    more = f" and {len(columns) - 3} more" if len(columns) > 3 else ""
    return [_finding("slices", f"Suspects gather in parts of {', '.join(columns[:3])}{more}.")]


def _leaks(report: Mapping[str, Any]) -> list[dict[str, str]]:
    findings = []
    for part, name in (("val", "validation"), ("test", "test")):
        leak = report["leakage"][part]
        if leak is not None and leak["suspicious"]:
            rows = f"{leak['other_rows']:,} {name} rows ({format_percent(leak['other_share'])})"
            findings.append(_finding("leakage", f"{rows} also stand in the training table."))
    return findings


def _coverage(report: Mapping[str, Any]) -> list[dict[str, str]]:
    coverage = report["coverage"]
    if coverage is None or not coverage["suspicious"]:
        return []
    lies = f"{format_percent(coverage['share'])} of validation lies where training has next to nothing"
    return [_finding("coverage", f"{lies} ({format_percent(coverage['expected_share'])} would be usual).")]


def _health(report: Mapping[str, Any]) -> list[dict[str, str]]:
    return [_finding("health", check["text"]) for check in report["health"] if check["level"] != "ok"]
