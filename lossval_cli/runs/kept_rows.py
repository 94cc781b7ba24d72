"""A run without the flags on rows that reviewers decided to keep: a gate does not fail on what is known to be right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lossval_cli.runs.decided_cells import match_file
from lossval_cli.runs.decisions import DECISIONS, KEEP, read_decisions
from lossval_cli.runs.loaded import LoadedRun
from lossval_cli.runs.matching import identify_run
from lossval_cli.text.format import pluralize


def without_kept(run: LoadedRun, directory: Path) -> tuple[LoadedRun, list[str]]:
    """The run at `directory`, and what to say of it; as it is where it has no decisions. Raises ReadError."""
    path = directory / DECISIONS
    if not path.is_file():
        return run, []
    match, notes = match_file(read_decisions(path), identify_run(run))
    kept = {row for row, one in match.rows.items() if one.verdict.decision == KEEP and one.state == "right"}
    flagged = [i for i, row in enumerate(run.row.tolist()) if row in kept and run.suspect[i]]
    notes = [f"{DECISIONS}: {note}" for note in notes]
    if not flagged:
        return run, notes
    ignored = set(flagged)
    suspect = ["" if i in ignored else kind for i, kind in enumerate(run.suspect)]
    report = dict(run.report)
    summary = dict(report["summary"])
    left = sum(bool(kind) for kind in suspect)
    report["summary"] = summary | {"suspect_share": left / max(int(summary["rows"]), 1)}
    if report["data"]["roles"]["task"] == "classification":
        report["classes"] = None  # counted from the rows instead
    notes.append(f"{pluralize(len(flagged), 'suspect')} ignored: reviewers decided to keep the row ({DECISIONS})")
    return replace(run, suspect=suspect, report=report), notes
