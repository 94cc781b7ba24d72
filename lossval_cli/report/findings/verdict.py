"""The level of a report, its headline, and what else deserves a look. No cell of the table enters these texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossval_cli.noise.label_estimates import LITTLE_SKILL
from lossval_cli.report.sentences.run import headline, little_skill
from lossval_cli.report.sentences.tables import (
    concentrated_suspects,
    conflicting_duplicates,
    duplicates_of_training,
    uncovered_rows,
)

HEALTHY = 0.02
"""Estimated share of noisy rows below which nothing needs to be done."""

BAD = 0.08
"""Where its interval lies above this, the table should not be used as it is; below, it is healthy."""


def decide_verdict(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return `level` (ok, look or bad), `text`, and `findings`: sentences with the section that tells more."""
    findings = [finding for find in (_skill, _labels, _slices, _leaks, _coverage, _health) for finding in find(report)]
    summary = report["summary"]
    noise = summary["estimated_noise_share"]
    healthy, level = False, "look"
    if noise is not None:
        healthy = noise["value"] < HEALTHY and noise["high"] < BAD
        level = "bad" if noise["low"] >= BAD else "ok" if healthy and not findings else "look"
    text = headline(summary, level, healthy=healthy, findings=len(findings))
    return {"level": level, "text": text, "findings": findings}


def _finding(section: str, text: str) -> dict[str, str]:
    return {"section": section, "text": text}


def _skill(report: Mapping[str, Any]) -> list[dict[str, str]]:
    skill = report["summary"].get("skill")
    return [] if skill is None or skill >= LITTLE_SKILL else [_finding("suspects", little_skill(skill))]


def _labels(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """Identical rows with different labels; numbers differ by nature."""
    conflicts = report["conflicting_duplicates"]
    if not conflicts["groups"] or report["data"]["roles"]["classes"] is None:
        return []
    return [_finding("duplicates", conflicting_duplicates(conflicts))]


def _slices(report: Mapping[str, Any]) -> list[dict[str, str]]:
    columns = list(dict.fromkeys(found["column"] for found in report["slices"]["found"]))
    return [_finding("slices", concentrated_suspects(columns))] if columns else []


def _leaks(report: Mapping[str, Any]) -> list[dict[str, str]]:
    findings = []
    for part, name in (("val", "validation"), ("test", "test")):
        leak = report["leakage"][part]
        if leak is not None and leak["suspicious"]:
            findings.append(_finding("leakage", f"{duplicates_of_training(leak, name)}."))
    return findings


def _coverage(report: Mapping[str, Any]) -> list[dict[str, str]]:
    coverage = report["coverage"]
    if coverage is None or not coverage["suspicious"]:
        return []
    return [_finding("coverage", uncovered_rows(coverage))]


def _health(report: Mapping[str, Any]) -> list[dict[str, str]]:
    return [_finding("health", check["text"]) for check in report["health"] if check["level"] != "ok"]
