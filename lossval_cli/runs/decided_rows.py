"""Decisions of a file -> rows of a table, which may have changed since: rows moved, labels corrected, rows dropped.

A decision finds its row by ids where they name one row, else by what the row holds. It still holds where the row is as
the reviewer saw it, or as the reviewer wanted it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal, NamedTuple

from lossval_cli.runs.decisions import DROP, FIX, KEEP, RELABEL, Verdict
from lossval_cli.runs.matching import Identity, same_label

State = Literal["right", "pending", "stale"]
"""`right`: the row is right, as it was kept or corrected; `pending`: it is wrong, and the table still has it so;
`stale`: it was changed since, so that the decision says nothing of it."""


class Decided(NamedTuple):
    """Decision about a row."""

    verdict: Verdict
    state: State


class RowMatch(NamedTuple):
    """Decisions by index of the row, and the keys of those whose row is not in the table."""

    rows: dict[int, Decided]
    missing: list[str]


class _Key(NamedTuple):
    """The parts of a key of `runs.matching.own_keys`."""

    ids: str | None
    content: str | None


def match_decisions(verdicts: Mapping[str, Verdict], table: Identity) -> RowMatch:
    """Find the row of each verdict, by key. Of rows that nothing tells apart, each is taken by one decision."""
    by_ids, by_content = _indices(table.ids), _indices(table.contents)
    found: dict[int, Decided] = {}
    missing = []
    for key, verdict in verdicts.items():
        parts, last = _parse(key), verdict.last
        hashes = [text for text in (parts.content or last.content, last.fixed) if text]
        if parts.ids is not None and table.ids is not None:
            rows = by_ids.get(parts.ids, [])
            if len(rows) > 1:
                rows = [row for row in rows if table.contents is not None and table.contents[row] in hashes]
        else:
            rows = list(dict.fromkeys(row for text in hashes for row in by_content.get(text, [])))
        rows = [row for row in rows if row not in found]
        if len(rows) > 1:  # copies: one with the label that the decision is about, or has led to
            wanted = (last.label, verdict.label)
            rows = [row for row in rows if any(same_label(table.given[row], label) for label in wanted)] or rows
        if rows:
            found[rows[0]] = Decided(verdict, decision_state(verdict, table, rows[0]))
        else:
            missing.append(key)
    return RowMatch(found, missing)


def decision_state(verdict: Verdict, table: Identity, row: int) -> State:
    """Return whether a decision about a row still holds."""
    last, content = verdict.last, None if table.contents is None else table.contents[row]
    is_as_seen = not (content and last.content) or content == last.content
    is_fixed = bool(last.fixed) and content == last.fixed
    has_label = same_label(table.given[row], last.label)
    if verdict.decision == KEEP:
        return "right" if is_as_seen and has_label else "stale"
    if verdict.decision == DROP:
        return "pending" if is_as_seen and has_label else "stale"
    label_done = verdict.label is None or same_label(table.given[row], verdict.label)
    cells_done = not verdict.cells or is_fixed
    if label_done and cells_done and (is_as_seen or is_fixed):
        return "right"
    return "pending" if (has_label or label_done) and (is_as_seen or is_fixed) else "stale"


def true_label(decided: Decided) -> str | None:
    """The label that the row should have; None where that is not known."""
    verdict = decided.verdict
    if decided.state == "stale" or verdict.decision == DROP:
        return None
    if verdict.decision in (KEEP, FIX):
        return verdict.last.label
    assert verdict.decision == RELABEL
    return verdict.label


def _indices(texts: list[str] | None) -> Mapping[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(texts or ()):
        found[text].append(i)
    return found


def _parse(key: str) -> _Key:
    ids, rest = None, key
    if key.startswith("["):
        try:
            _, end = json.JSONDecoder().raw_decode(key)
        except ValueError:
            return _Key(key, None)
        ids, rest = key[:end], key[end:].strip()
    return _Key(ids, rest.split(" ", 1)[0] or None)
