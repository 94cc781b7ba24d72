"""Several runs in the order of time: whether the data improves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from lossval_cli.errors import UsageError
from lossval_cli.report.render_markdown import escaped
from lossval_cli.runs.decisions import DECISIONS, final_verdicts, read_decisions
from lossval_cli.runs.loaded import damaged, read_part
from lossval_cli.runs.shape import check_shape
from lossval_cli.runtime.atomic_write import RECORD
from lossval_cli.text.format import escape_control, format_name, format_number, format_percent


class RunFacts(NamedTuple):
    """Facts that the history follows of one run; None where a run does not know it."""

    directory: str
    table: str
    started: str  # ISO 8601
    label: str
    rows: int
    suspects: int | None
    suspect_share: float | None
    noise: tuple[float, float, float] | None  # share of wrong rows, with its interval
    metric: str | None
    value: float | None  # of a model trained on all rows
    decided: int  # rows that reviewers decided about
    found_wrong: int  # of them wrong

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for JSON."""
        said = self._asdict()
        if self.noise is not None:
            said["noise"] = dict(zip(("value", "low", "high"), self.noise, strict=True))
        return said


def read_history(directories: Sequence[Path]) -> list[RunFacts]:
    """Facts of run directories, the oldest first. Raises ReadError for one that cannot be read, UsageError for one
    that is named twice."""
    real = [path.resolve() for path in directories]
    if twice := next((path for i, path in enumerate(real) if path in real[:i]), None):
        raise UsageError(f"{format_name(str(twice))} is named twice")
    return sorted((_facts(path) for path in directories), key=lambda facts: datetime.fromisoformat(facts.started))


def _facts(path: Path) -> RunFacts:
    record, report = read_part(path, RECORD), read_part(path, "report.json")
    try:
        check_shape(report)
        summary, study = report["summary"], report.get("removal")
        noise = summary["estimated_noise_share"]
        started = datetime.fromisoformat(str(record["started"])).astimezone()
        decided = (
            final_verdicts(read_decisions(path / DECISIONS).decisions).agreed if (path / DECISIONS).exists() else {}
        )
        return RunFacts(
            directory=str(path),
            table=str(report["data"]["tables"]["train"]["name"]),
            started=started.isoformat(timespec="seconds"),
            label=str(report["data"]["roles"]["label"]),
            rows=int(summary["rows"]),
            suspects=None if noise is None else int(summary["suspects"]),
            suspect_share=None if noise is None else float(summary["suspect_share"]),
            noise=None if noise is None else (float(noise["value"]), float(noise["low"]), float(noise["high"])),
            metric=study["metric"] if study else None,
            value=study["baseline"]["mean"] if study else None,
            decided=len(decided),
            found_wrong=sum(verdict.is_wrong for verdict in decided.values()),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from error


HEAD = ("run", "date", "rows", "suspects", "noise share", "likely", "metric", "reviewed", "wrong")


def history_rows(runs: Sequence[RunFacts]) -> list[tuple[str, ...]]:
    """Return one line of cells a run, as HEAD names them."""
    return [
        (
            one.directory,
            one.started[:10],
            f"{one.rows:,}",
            "unknown" if one.suspects is None else f"{one.suspects:,} ({format_percent(one.suspect_share)})",
            "unknown" if one.noise is None else format_percent(one.noise[0]),
            "" if one.noise is None else f"{format_percent(one.noise[1])} to {format_percent(one.noise[2])}",
            "" if one.value is None or one.metric is None else f"{one.metric} {format_number(one.value)}",
            f"{one.decided:,}" if one.decided else "",
            f"{one.found_wrong:,}" if one.decided else "",
        )
        for one in runs
    ]


def history_lines(runs: Sequence[RunFacts]) -> list[str]:
    """A table for a terminal."""
    table = [HEAD, *(tuple(escape_control(cell) for cell in row) for row in history_rows(runs))]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return lines + [f"note: {escape_control(note)}" for note in history_notes(runs)]


def history_markdown(runs: Sequence[RunFacts]) -> str:
    """The same for a pull request."""
    lines = [f"| {' | '.join(HEAD)} |", "|" + " --- |" * len(HEAD)]
    lines += [f"| {' | '.join(escaped(cell, 120) for cell in row)} |" for row in history_rows(runs)]
    lines += ["", *(f"- {escaped(note, 300)}" for note in history_notes(runs))]
    return "\n".join(lines) + "\n"


def history_notes(runs: Sequence[RunFacts]) -> list[str]:
    """Return notes on what makes runs hard to compare."""
    notes = []
    if len({one.label for one in runs}) > 1:
        notes.append("the runs predict different labels: " + ", ".join(dict.fromkeys(one.label for one in runs)))
    metrics = list(dict.fromkeys(one.metric for one in runs if one.metric))
    if len(metrics) > 1:
        notes.append(f"the runs measure different metrics: {', '.join(metrics)}")
    return notes
