"""Two runs compared: rows that were added, removed, or became or ceased to be suspect; and totals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lossval_cli.report.render_markdown import escaped
from lossval_cli.runs.loaded import LoadedRun
from lossval_cli.runs.matching import match_rows
from lossval_cli.text.format import (
    escape_control,
    format_name,
    format_number,
    format_percent,
    pluralize,
    quote,
)

LISTED = 20
"""Rows of a kind that people are shown; JSON holds all of them."""


@dataclass(frozen=True)
class Change:
    """One number in both runs, None where a run does not know it."""

    name: str
    old: float | None
    new: float | None

    @property
    def difference(self) -> float | None:
        """New less old."""
        return None if self.old is None or self.new is None else self.new - self.old


@dataclass(frozen=True)
class Comparison:
    """Changes from `old` to `new`. Rows are dicts: row, line, ids, label, suspect, noise_probability; of the run they
    are in, of `new` where they are in both."""

    old: str
    new: str
    matched_by: str
    """ids, ids+content, content or row."""
    rows: Change
    matched: int
    rank_correlation: float | None
    """Spearman's, over the rows in both, None below 2 rows or where all are equal."""
    newly_suspect: list[dict[str, Any]]
    no_longer_suspect: list[dict[str, Any]]
    added: list[dict[str, Any]]
    removed: list[dict[str, Any]]
    relabelled: list[dict[str, Any]]
    """Rows in both whose label is another one."""
    edited: int | None
    """Rows in both, matched by ids, whose features are others; None where the tables are not at hand."""
    changes: list[Change]
    """Suspect share, noise share and the metric."""
    labels: tuple[str, str]
    """The label column of each."""

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for JSON."""
        said = {
            change.name: {"old": change.old, "new": change.new, "difference": change.difference}
            for change in (self.rows, *self.changes)
        }
        lists = ("newly_suspect", "no_longer_suspect", "added", "removed", "relabelled")
        return {
            "schema_version": 1,
            "old": self.old,
            "new": self.new,
            "labels": list(self.labels),
            "matched_by": self.matched_by,
            "matched": self.matched,
            "rank_correlation": self.rank_correlation,
            "changes": said,
            "counts": {name: len(getattr(self, name)) for name in lists},
            "edited": self.edited,
        } | {name: getattr(self, name) for name in lists}


def compare(old: LoadedRun, new: LoadedRun) -> Comparison:
    """Match the rows of two runs and say what changed; worst rows first in every list.

    Raises UsageError where rows cannot be matched.
    """
    matching = match_rows(old, new)
    pairs = matching.pairs
    return Comparison(
        old=old.name,
        new=new.name,
        matched_by=matching.by,
        rows=Change("rows", len(old.row), len(new.row)),
        matched=len(pairs),
        rank_correlation=_spearman(old, new, pairs),
        newly_suspect=[_row(new, b) for a, b in pairs if new.suspect[b] and not old.suspect[a]],
        no_longer_suspect=[_row(new, b) for a, b in pairs if old.suspect[a] and not new.suspect[b]],
        added=[_row(new, j) for j in matching.only_second],
        removed=[_row(old, i) for i in matching.only_first],
        relabelled=[_row(new, j) for j in matching.relabelled],
        edited=None if matching.edited is None else len(matching.edited),
        changes=_changes(old, new),
        labels=(str(old.report["data"]["roles"]["label"]), str(new.report["data"]["roles"]["label"])),
    )


def comparison_lines(comparison: Comparison) -> list[str]:
    """Return the lines for a terminal."""
    lines = [
        f"{escape_control(comparison.old)} -> {escape_control(comparison.new)}: {_matching(comparison)}",
        *(f"{name:18} {value}" for name, value in _facts(comparison)),
    ]
    for title, rows in _lists(comparison):
        if rows:
            lines += ["", f"{title} ({len(rows):,})"]
            lines += [f"- {escape_control(_describe(row))}" for row in rows[:LISTED]]
            lines += [f"- and {len(rows) - LISTED:,} more"] if len(rows) > LISTED else []
    return lines


def comparison_markdown(comparison: Comparison) -> str:
    """Return Markdown for a pull request; cells are inert text."""
    lines = [f"## {escaped(comparison.old)} → {escaped(comparison.new)}", "", f"{_matching(comparison)}.", ""]
    lines += ["| | |", "| --- | --- |"]
    lines += [f"| {escaped(name)} | {escaped(value, 200)} |" for name, value in _facts(comparison)]
    for title, rows in _lists(comparison):
        if rows:
            lines += ["", f"### {title} ({len(rows):,})", ""]
            lines += [f"- {escaped(_describe(row), 300)}" for row in rows[:LISTED]]
            lines += [f"- and {len(rows) - LISTED:,} more"] if len(rows) > LISTED else []
    return "\n".join(lines) + "\n"


def _matching(comparison: Comparison) -> str:
    how = {
        "ids": "by ids",
        "ids+content": "by ids, and by content where ids repeat",
        "content": "by content",
        "row": "by row number (the table is the same)",
    }[comparison.matched_by]
    return f"{pluralize(comparison.matched, 'row')} matched {how}"


def _lists(comparison: Comparison) -> list[tuple[str, list[dict[str, Any]]]]:
    """Rows that came are listed where they are suspect; all of them are counted."""
    return [
        ("Newly suspect", comparison.newly_suspect),
        ("Added and suspect", [row for row in comparison.added if row["suspect"]]),
        ("No longer suspect", comparison.no_longer_suspect),
    ]


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    correlation = comparison.rank_correlation
    suspects = f"{len(comparison.newly_suspect):,} new, {len(comparison.no_longer_suspect):,} no longer"
    edited = "" if comparison.edited is None else f", features of {comparison.edited:,}"
    compared = [
        ("rows", f"{len(comparison.added):,} added, {len(comparison.removed):,} removed"),
        ("changed", f"labels of {len(comparison.relabelled):,}{edited}, of the rows in both"),
        ("rank correlation", "unknown" if correlation is None else f"{correlation:.3f}"),
        ("suspects", f"{suspects}, of the rows in both"),
    ]
    if len(set(comparison.labels)) > 1:
        compared.insert(0, ("label", " -> ".join(map(format_name, comparison.labels))))
    for change in comparison.changes:
        old, new = _number(change, change.old), _number(change, change.new)
        compared.append((change.name.replace("_", " "), f"{old} -> {new}"))
    return compared


def _number(change: Change, value: float | None) -> str:
    if value is None:
        return "unknown"
    return format_percent(value) if change.name.endswith("share") else format_number(value)


def _describe(row: dict[str, Any]) -> str:
    where = f"row {row['row']}" if row["line"] is None else f"line {row['line']}"
    ids = "".join(f", {format_name(name)} {quote(cell)}" for name, cell in row["ids"].items())
    said = f"{where}{ids}: label {quote(row['label'])}"
    if row["suspect"]:
        said += f", suspect by {row['suspect']}"
    probability = row["noise_probability"]
    return said if probability is None else f"{said}, noise probability {format_percent(probability, 0)}"


def _row(run: LoadedRun, i: int) -> dict[str, Any]:
    probability = float(run.noise_probability[i])
    return {
        "row": int(run.row[i]),
        "line": None if run.line is None else int(run.line[i]),
        "ids": run.ids_at(i),
        "label": run.given[i],
        "suspect": run.suspect[i] or "",
        "noise_probability": probability if math.isfinite(probability) else None,
    }


def _spearman(old: LoadedRun, new: LoadedRun, pairs: list[tuple[int, int]]) -> float | None:
    if len(pairs) < 2:
        return None
    i, j = np.array(pairs).T
    before, after = old.importance[i], new.importance[j]
    known = np.isfinite(before) & np.isfinite(after)  # rows without a label have no importance
    if known.sum() < 2 or np.ptp(before[known]) == 0 or np.ptp(after[known]) == 0:
        return None
    # Spearman's correlation is Pearson's of the ranks; loading scipy.stats would take longer than the comparison.
    ranks = [pd.Series(values[known]).rank().to_numpy() for values in (before, after)]
    correlation = float(np.corrcoef(ranks[0], ranks[1])[0, 1])
    return correlation if math.isfinite(correlation) else None


def _changes(old: LoadedRun, new: LoadedRun) -> list[Change]:
    summaries = [run.report["summary"] for run in (old, new)]
    shares = [summary.get("estimated_noise_share") for summary in summaries]
    suspects = [
        None if share is None else summary["suspect_share"] for share, summary in zip(shares, summaries, strict=True)
    ]
    changes = [
        Change("suspect_share", *suspects),
        Change("noise_share", *(None if share is None else share["value"] for share in shares)),
    ]
    studies = [run.report.get("removal") for run in (old, new)]
    for name in dict.fromkeys(study["metric"] for study in studies if study):
        means = [study["baseline"]["mean"] if study and study["metric"] == name else None for study in studies]
        changes.append(Change(name, means[0], means[1]))
    return changes
