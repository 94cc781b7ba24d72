"""Sentences about the tables: duplicates, leaked rows, rows far from training, parts with many suspects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lossval_cli.report.sentences.words import location
from lossval_cli.text.format import format_percent, pluralize


def other_tables(report: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Sentences on rows that other tables share with training and on how training covers them, with example rows."""
    said: list[tuple[str, list[str]]] = []
    for part, name in (("val", "validation"), ("test", "test")):
        leak = (report.get("leakage") or {}).get(part)
        if leak is None:
            continue
        if not (leak["other_rows"] or leak.get("relabelled_rows") or leak.get("near_rows")):
            said.append((f"No {name} row is a duplicate of a training row.", []))
            continue
        compared = "" if leak["compared"] == "features and label" else f" ({leak['compared']} compared)"
        text = (
            f"{duplicates_of_training(leak, name)}{compared}; {format_percent(leak['expected_share'])} of training "
            "rows have a duplicate among themselves."
        )
        said.append((text, [location(row) for row in leak["examples"]]))
    cover = report.get("coverage")
    if cover is not None:
        said.append((uncovered_rows(cover), [location(row) for row in cover["examples"]]))
    return said


def duplicates_of_training(leak: Mapping[str, Any], name: str) -> str:
    """Return `3 validation rows (0.8%) are exact duplicates of training rows`."""
    rows, is_one = leak["other_rows"], leak["other_rows"] == 1
    share = format_percent(leak["other_share"])
    what = "is an exact duplicate of a training row" if is_one else "are exact duplicates of training rows"
    more = [
        f"{leak[key]:,} {one if leak[key] == 1 else several}"
        for key, one, several in (
            ("relabelled_rows", "has a duplicate with another label", "have a duplicate with another label"),
            ("near_rows", "is a near copy", "are near copies"),
        )
        if leak.get(key)
    ]
    return "; ".join([f"{pluralize(rows, f'{name} row')} ({share}) {what}", *more])


def uncovered_rows(cover: Mapping[str, Any]) -> str:
    """Return one sentence on validation rows that are far from every training row."""
    count = f"{cover['uncovered']:,} of {pluralize(cover['rows'], 'validation row')}"
    verb = "is" if cover["uncovered"] == 1 else "are"
    return (
        f"{count} ({format_percent(cover['share'])}) {verb} far from every training row; "
        f"{format_percent(cover['expected_share'])} is expected."
    )


def conflicting_duplicates(conflicts: Mapping[str, Any]) -> str:
    """Return one sentence on rows that differ only in their label."""
    groups = pluralize(conflicts["groups"], "group")
    return f"{conflicts['rows']:,} rows in {groups} have identical features but different labels."


def concentrated_suspects(columns: Sequence[str]) -> str:
    """Return one sentence on columns in which suspects are more frequent at some values than at others."""
    more = f" and {pluralize(len(columns) - 3, 'more column')}" if len(columns) > 3 else ""
    return f"Suspects are concentrated in parts of {', '.join(columns[:3])}{more}."
