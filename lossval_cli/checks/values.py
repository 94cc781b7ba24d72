"""From a run to the values that rules compare with limits, and to the rows that the outputs list."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.checks.evaluate import Interval, Metric, RuleResult, Values
from lossval_cli.report.sentences.suspects import REASONS
from lossval_cli.runs.loaded import LoadedRun
from lossval_cli.runs.matching import match_rows, own_keys, row_mask
from lossval_cli.score_columns import KINDS
from lossval_cli.text.format import escape_control, format_name, format_percent, join_names, pluralize, quote

MOST_ROWS = 5_000
"""Suspects that are passed on; code hosts take no more results of one upload."""


@dataclass(frozen=True)
class SuspectRow:
    """A row that a reviewer should see. `message` is one line with cells quoted."""

    kind: str
    row: int
    line: int | None
    ids: dict[str, str | None]
    probability: float | None
    importance: float | None
    message: str
    fingerprint: str
    """The same for the same row wherever in the file it stands."""

    @property
    def location(self) -> str:
        """`line 7`, or `row 5` where there are no lines."""
        return f"row {self.row}" if self.line is None else f"line {self.line}"


@dataclass(frozen=True)
class CheckResult:
    """Result of a check, as every format reports it."""

    results: Sequence[RuleResult]
    passed: bool
    strict: bool
    table: str
    path: str
    """Path of the table from the current directory, with `/`, as code hosts write it."""
    rows: int
    suspects: Sequence[SuspectRow]
    """At most MOST_ROWS, worst first."""
    suspect_count: int
    notes: Sequence[str] = ()

    def count(self, outcome: str) -> int:
        """Rules with this outcome."""
        return sum(result.outcome == outcome for result in self.results)


def collect_values(run: LoadedRun, baseline: LoadedRun | None, new: npt.NDArray[np.bool_] | None) -> Values:
    """Collect what is known of `run`; suspects, classes and noise of the rows `new` (N,) alone where it is given.

    Raises nothing for what is not known: that is said in `Values.why`.
    """
    report = run.report
    why: dict[str, str] = {}
    has_noise = _get(report, "summary", "estimated_noise_share") is not None
    if not has_noise:
        why["suspects"] = why["noise_share"] = why["classes"] = (
            "the run does not say which rows are suspect (preset paper only ranks them): use another preset"
        )
    chosen = run.labelled if new is None else new & run.labelled
    indices = np.flatnonzero(chosen).tolist()
    counts = Counter(run.suspect[i] or "" for i in indices)
    metric, why["metric"] = _metric(report)
    leakage, why["leakage"] = _leakage(report)
    invalid, why["invalid_cells"] = _invalid_cells(report)
    tells, why["target_leakage"] = _target_leakage(report)
    conflicting = _get(report, "conflicting_duplicates", "rows")
    share = None
    if baseline is not None and _get(baseline.report, "summary", "estimated_noise_share") is None:
        why["baseline_share"] = (
            "the run of --baseline does not say which rows are suspect: score it with another preset"
        )
    elif baseline is not None:
        share = len(baseline.suspect_at()) / max(int(baseline.labelled.sum()), 1)
    else:
        why["baseline_share"] = "there is nothing to compare with: give --baseline RUN_DIR"
    return Values(
        rows=len(indices),
        suspects={kind: counts[kind] for kind in KINDS} if has_noise else None,
        noise_share=_noise(run, None if new is None else indices) if has_noise else None,
        classes=_classes(run, indices, whole=new is None) if has_noise else None,
        metric=metric,
        leakage=leakage,
        conflicting_duplicates=None if conflicting is None else (int(conflicting), int(run.labelled.sum())),
        baseline_share=share,
        invalid_cells=invalid,
        target_leakage=tells,
        why=why,
    )


class NewRows(NamedTuple):
    """The rows that --new-rows-only is about."""

    mask: npt.NDArray[np.bool_]
    """(N,) rows that the baseline lacks, or has with another label or other features."""
    note: str


def find_new_rows(run: LoadedRun, baseline: LoadedRun) -> NewRows:
    """Find the rows that are new or changed since `baseline`. Raises UsageError where rows cannot be matched."""
    found = match_rows(baseline, run)
    relabelled, edited = set(found.relabelled), set(found.edited or ())
    changed = relabelled | edited
    mask = row_mask(len(run.row), [*found.only_second, *changed])
    note = f"{len(found.only_second):,} of {pluralize(len(run.row), 'row')} are new"
    what = f"{pluralize(len(relabelled), 'label')}, features of {len(edited):,}"
    what += " (not compared: a table is no longer at its path)" if found.edited is None else ""
    note += f", {len(changed):,} known rows changed ({what})" if changed else ", no known row changed"
    return NewRows(mask, f"{note}; suspects and noise are of new and changed rows")


def collect_suspects(run: LoadedRun, new: npt.NDArray[np.bool_] | None) -> tuple[list[SuspectRow], int]:
    """Collect at most MOST_ROWS suspects, worst first, and count all there are; of the rows `new` (N,) where given."""
    indices = run.suspect_at()
    if new is not None:
        indices = indices[new[indices]]
    keys = own_keys(run)
    reasons = {said["row"]: said.get("reason") for said in run.report.get("suspects") or ()}
    return [_suspect(run, i, keys[i], reasons) for i in indices[:MOST_ROWS].tolist()], len(indices)


def host_path(path: str | None, name: str) -> str:
    """The path of a table as a code host knows it: relative, with `/`; the name alone of one elsewhere."""
    if path is None:
        return name.strip("<>")
    relative = os.path.relpath(path).replace(os.sep, "/")
    return os.path.basename(relative) if relative.startswith("../") else relative


def _suspect(run: LoadedRun, i: int, key: str, reasons: dict[int, str | None]) -> SuspectRow:
    kind, row = run.suspect[i] or "", int(run.row[i])
    probability, importance = float(run.noise_probability[i]), float(run.importance[i])
    message = (reasons.get(row) or "").rstrip(".")
    if not message:
        message = REASONS[kind].rstrip(".")
        message = message[0].lower() + message[1:]
        if "label" in kind:
            message += f" (labelled {quote(run.given[i])}, predicted {quote(run.predicted[i])})"
    message = f"suspect by {kind}: {message}"
    if math.isfinite(probability):
        message += f"; noise probability {format_percent(probability, 0)}"
    if run.ids:
        message += "; " + ", ".join(f"{format_name(name)} {quote(cell)}" for name, cell in run.ids_at(i).items())
    return SuspectRow(
        kind=kind,
        row=row,
        line=None if run.line is None else int(run.line[i]),
        ids=run.ids_at(i),
        probability=probability if math.isfinite(probability) else None,
        importance=importance if math.isfinite(importance) else None,
        message=escape_control(message),
        fingerprint=sha256(f"{run.name}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()[:32],
    )


def _get(report: Any, *keys: str) -> Any:
    """A value inside nested dicts, None where any step is missing or null."""
    for key in keys:
        report = report.get(key) if isinstance(report, dict) else None
    return report


def _metric(report: Mapping[str, Any]) -> tuple[Metric | None, str]:
    study = report.get("removal")
    if not isinstance(study, dict):
        return None, "the run did not study removal: score without --removal off"
    if not {"metric", "greater_is_better"} <= set(study):
        return None, "the report does not name the metric of the removal study"
    gain = study.get("expected_gain")
    shown_gain = None
    if isinstance(gain, dict) and gain.get("value") is not None:
        shown_gain = Interval(gain["value"], gain.get("low"), gain.get("high"))
    return (
        Metric(
            name=study["metric"],
            mean=_get(study, "baseline", "mean"),
            greater_is_better=study["greater_is_better"],
            gain=shown_gain,
            failed=_failure(study),
        ),
        "",
    )


def _failure(study: Mapping[str, Any]) -> str:
    """Explain why removal says nothing: with no curve, or nothing to compare it with, no gain is not none shown."""
    curve = study.get("lowest_first")
    if _get(study, "baseline", "mean") is not None and curve and any(mean is not None for mean in curve):
        return ""
    failed = study.get("failed")
    return str(failed[0]) if failed else "the report holds no curve"


def _leakage(report: Mapping[str, Any]) -> tuple[tuple[int, int] | None, str]:
    tables = _get(report, "data", "tables") or {}
    parts = [name for name in ("val", "test") if name in tables]
    if _get(report, "data", "held_out"):
        parts.remove("val")
    if not parts:
        return None, "validation was drawn from the training table: give --val"
    shared = rows = 0
    for part in parts:
        count = _get(report, "leakage", part, "other_rows")
        if count is None:
            return None, f"the report does not say which rows training shares with {part}"
        for kind in ("relabelled_rows", "near_rows"):
            count += int(_get(report, "leakage", part, kind) or 0)
        shared, rows = shared + int(count), rows + int(tables[part]["rows"])
    return (shared, rows), ""


def _invalid_cells(report: Mapping[str, Any]) -> tuple[tuple[int, int] | None, str]:
    """`data.invalid_cells`: {"count": cells that do not fit, "cells": cells that were read}."""
    found = _get(report, "data", "invalid_cells")
    if not isinstance(found, dict) or "count" not in found:
        return None, "the report does not count them (an older version wrote it): score the table again"
    cells = found.get("cells")
    if cells is None:
        cells = int(report["summary"]["rows"]) * int(_get(report, "data", "column_count") or 1)
    return (int(found["count"]), int(cells)), ""


def _target_leakage(report: Mapping[str, Any]) -> tuple[tuple[float, str] | None, str]:
    """`data.target_leakage`: {"strength": 0 to 1 of the strongest, "columns": [its names]}."""
    found = _get(report, "data", "target_leakage")
    if not isinstance(found, dict) or "strength" not in found:
        return None, "the report does not measure it (an older version wrote it): score the table again"
    return (float(found["strength"]), join_names(map(str, found.get("columns") or ()))), ""


def _noise(run: LoadedRun, indices: list[int] | None) -> Interval | None:
    """The report's estimate, or of some rows alone their mean noise probability, with what is random in the
    number of noisy rows when each is noisy with its own probability."""
    if indices is None:
        share = run.report["summary"]["estimated_noise_share"]
        return Interval(share["value"], share["low"], share["high"])
    if not indices:
        return Interval(0.0, 0.0, 0.0)
    p = run.noise_probability[indices]
    mean, error = float(p.mean()), 1.96 * math.sqrt(float((p * (1 - p)).sum())) / len(p)
    return Interval(mean, max(mean - error, 0.0), min(mean + error, 1.0))


def _classes(run: LoadedRun, indices: list[int], *, whole: bool) -> dict[str, tuple[int, int]]:
    """Label -> suspects, rows. Numbers are counted by the ranges of the report."""
    found: dict[str, tuple[int, int]] = {}
    if _get(run.report, "data", "roles", "task") == "classification":
        rows, suspects = Counter[str](), Counter[str]()
        for i in indices:
            name = (run.given[i] or "").strip()
            rows[name] += 1
            suspects[name] += bool(run.suspect[i])
        found = {name: (suspects[name], rows[name]) for name in rows}
        for name in _get(run.report, "data", "roles", "classes") or ():
            found.setdefault(str(name), (0, 0))  # a class without new rows is not a mistyped name
    if whole:
        for one in run.report.get("classes") or ():
            found[str(one["label"])] = (int(one["suspects"]), int(one["rows"]))
    return found
