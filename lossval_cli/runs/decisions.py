"""decisions.csv: what reviewers decided about rows, one line per decision, appended and never rewritten.

Line breaks inside cells are escaped, so that a damaged line damages no other; it stays in the file, is reported, and
counts for nothing. What a spreadsheet would evaluate, or would save as something else, has an apostrophe in front. A
line of column names may come again: what follows it has its columns. So a file that a spreadsheet has saved with
semicolons can be appended to.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

from lossval_cli.errors import OutputError, ReadError, system_reason
from lossval_cli.limits import MAX_RECORD_FILE_BYTES, read_small
from lossval_cli.runtime.platform import sync_directory
from lossval_cli.text.escape import FORMULA_STARTS, PLAIN_NUMBER
from lossval_cli.text.format import format_name, quote

DECISIONS = "decisions.csv"
"""Its name in a run directory."""

KEEP, RELABEL, FIX, DROP, SKIP, UNDO = ACTIONS = ("keep", "relabel", "fix", "drop", "skip", "undo")
"""`skip` puts a row off; `undo` takes back the reviewer's last decision about the row."""

_CONVERTED = re.compile(r"(?is)true|false|[+\-]?[\d.,].*")
_UNCHANGED = re.compile(r"-?(0|[1-9]\d{0,14})")
"""What a spreadsheet turns into a number, a date or a truth value, and the whole numbers that stay what they are."""

_FORMULA = re.compile(f"['{FORMULA_STARTS}]")
_NUMBER = re.compile(PLAIN_NUMBER)
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\0": "\\0"}
_UNESCAPES = {escaped: plain for plain, escaped in _ESCAPES.items()}


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One line of the file; its fields are the columns."""

    key: str
    """Key of the row, as `runs.matching.own_keys` gives it: its ids, a hash of its content, or both."""
    where: str = ""
    """`line 948`, for people."""
    decision: str
    """One of ACTIONS."""
    column: str = ""
    """Column of a cell that is fixed."""
    value: str = ""
    """The new label, or the new cell."""
    label: str = ""
    """The label that the reviewer saw."""
    content: str = ""
    """Hash of the cells that the reviewer saw, label aside; empty where the table was not at hand."""
    fixed: str = ""
    """The same hash once the row's cells are fixed."""
    suspect: str = ""
    """What the run flagged: label, features, label+features, or nothing."""
    probability: float | None = None
    """That the row is wrong, as the run had it."""
    chance: float | None = None
    """Of being shown: 1 for suspects, less for rows drawn at random; None where that is not known."""
    time: str = ""
    """ISO 8601, UTC."""
    reviewer: str = ""
    note: str = ""


COLUMNS = tuple(field.name for field in fields(Decision))
_NUMBERS = ("probability", "chance")
_NEEDED = ("key", "decision")
"""Columns without which a file is none of decisions; others may be missing in a file that people made."""


class Damaged(NamedTuple):
    """A line that cannot be read."""

    line: int
    why: str


class DecisionFile(NamedTuple):
    """Content of a file of decisions, in its order."""

    decisions: list[Decision]
    damaged: list[Damaged]


def read_decisions(path: Path) -> DecisionFile:
    """Read a file of decisions. Raises ReadError where the file cannot be read or is none of decisions; single damaged
    lines are returned."""
    try:
        data = read_small(path, MAX_RECORD_FILE_BYTES)
    except OSError as error:
        raise ReadError(f"{format_name(str(path))} cannot be read: {system_reason(error)}") from error
    return parse_decisions(data, format_name(str(path)))


def find_decisions(run: Path) -> DecisionFile:
    """Find the decisions of a run directory. Raises ReadError where it has none."""
    path = run / DECISIONS
    if not path.is_file():
        raise ReadError(f"{format_name(str(path))} does not exist: `lossval review {format_name(str(run))}` writes it")
    return read_decisions(path)


def parse_decisions(data: bytes, called: str) -> DecisionFile:
    """The content of a file that messages call `called`; empty is a file without decisions."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not any(lines):
        return DecisionFile([], [])
    names, delimiter = _names(lines[0])
    if missing := [name for name in _NEEDED if name not in names]:
        raise ReadError(
            f"{called} is not a file of decisions: its first line has no column {missing[0]}; "
            f"`lossval review` writes {', '.join(COLUMNS)}"
        )
    decisions, damaged = [], []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        if _is_head(line):
            names, delimiter = _names(line)
            continue
        try:
            decisions.append(_parse(line.decode("utf-8").rstrip("\r"), names, delimiter))
        except UnicodeDecodeError:
            damaged.append(Damaged(number, "it is not UTF-8"))
        except (ValueError, csv.Error) as error:
            damaged.append(Damaged(number, str(error)))
    return DecisionFile(decisions, damaged)


def _names(line: bytes) -> tuple[list[str], str]:
    """The columns that a first line names, and the delimiter."""
    head = line.decode("utf-8", "replace").rstrip("\r")
    delimiter = next((mark for mark in ",;\t" if mark in head), ",")
    return [name.strip() for name in next(csv.reader([head], delimiter=delimiter), [])], delimiter


def _is_head(line: bytes) -> bool:
    """Return whether a line further down holds column names, and nothing else."""
    if b"decision" not in line:
        return False
    names = set(_names(line)[0])
    return names.issuperset(_NEEDED) and names <= {*COLUMNS, ""}


def _parse(line: str, names: Sequence[str], delimiter: str) -> Decision:
    cells = next(csv.reader([line], delimiter=delimiter, strict=True))
    if len(cells) != len(names):
        raise ValueError(f"it has {len(cells)} cells instead of {len(names)}")
    said = {name: _plain(cell) for name, cell in zip(names, cells, strict=True) if name in COLUMNS}
    if said["decision"] not in ACTIONS:
        raise ValueError(f"decision {quote(said['decision'])} is none of {', '.join(ACTIONS)}")
    if not said["key"]:
        raise ValueError("it has no key")
    if said["decision"] == RELABEL and not said.get("value"):
        raise ValueError("relabel has no value")
    if said["decision"] == FIX and not said.get("column"):
        raise ValueError("fix names no column")
    numbers: dict[str, float | None] = {name: _share(name, said.pop(name, "")) for name in _NUMBERS}
    return Decision(**said, **numbers)  # type: ignore[arg-type]  # texts and numbers go to fields of their kind


def _share(name: str, text: str) -> float | None:
    if not text:
        return None
    value = float(text.replace(",", "."))
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise ValueError(f"{name} {quote(text)} is not between 0 and 1")
    return value


def append_decisions(path: Path, decisions: Iterable[Decision]) -> None:
    """Write decisions at the end of the file, on disk when this returns; a new file begins with its header.

    One write of whole lines, so that those of two reviewers do not mix. After a line that was cut short a new one
    begins. Raises OutputError.
    """
    try:
        is_new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            text = decision_lines(decisions)
            before = path.read_bytes() if size else b""
            if not _has_our_columns(before):
                text = header_line() + text
            if before and not before.endswith(b"\n"):
                text = "\n" + text
            data = text.encode("utf-8", "backslashreplace")
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync_directory(path.parent)
    except OSError as error:
        raise OutputError(f"{format_name(str(path))} cannot be written: {system_reason(error)}") from error


def _has_our_columns(data: bytes) -> bool:
    """Return whether lines that are appended to a file are read as having COLUMNS."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    last = next((line for line in reversed(lines[1:]) if _is_head(line)), lines[0])
    return last.rstrip(b"\r") == header_line().rstrip().encode()


def header_line() -> str:
    """The first line of a file."""
    return ",".join(COLUMNS) + "\n"


def decision_lines(decisions: Iterable[Decision]) -> str:
    """Return one line for each decision."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for decision in decisions:
        writer.writerow([_cell(name, getattr(decision, name)) for name in COLUMNS])
    return stream.getvalue()


def _cell(name: str, value: str | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, float | int):
        return f"{value:.6g}"
    if name == "time":  # which spreadsheets leave as it is
        return value
    return kept_as_text("".join(_ESCAPES.get(char, char) for char in value))


def kept_as_text(text: str) -> str:
    """Return the text with an apostrophe in front of what a spreadsheet would evaluate, or save as something else: 007,
    1/2, 1e5."""
    if _CONVERTED.fullmatch(text) and not _UNCHANGED.fullmatch(text):
        return f"'{text}"
    return neutral(text)


def neutral(text: str) -> str:
    """Return the text with an apostrophe in front of what a spreadsheet would evaluate, and of what begins with one."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _plain(cell: str) -> str:
    text = cell.removeprefix("'")
    return re.sub(r"\\[\\nr0]", lambda found: _UNESCAPES[found[0]], text)


@dataclass(frozen=True)
class Verdict:
    """Final decision of one reviewer, or of all of them, about a row."""

    decision: str
    """keep, relabel, fix, drop or skip; with fixed cells and a new label it is relabel."""
    label: str | None
    """The new label."""
    cells: tuple[tuple[str, str], ...]
    """New cells by column, in the order of the columns' first fix."""
    last: Decision
    """The line that counts."""

    @property
    def is_wrong(self) -> bool:
        """True if the row was found to be wrong."""
        return self.decision in (RELABEL, FIX, DROP)

    def agrees(self, other: Verdict) -> bool:
        """Return whether both verdicts say the same."""
        return (self.decision, self.label, self.cells) == (other.decision, other.label, other.cells)


def single_verdict(decision: Decision) -> Verdict:
    """Return the verdict of one line by itself."""
    label = decision.value if decision.decision == RELABEL else None
    cells = ((decision.column, decision.value),) if decision.decision == FIX else ()
    return Verdict(decision.decision, label, cells, decision)


class Outcome(NamedTuple):
    """Verdicts on rows, by key."""

    agreed: dict[str, Verdict]
    """The newest verdict where all reviewers agree; skipped rows are not decided."""
    disputed: dict[str, dict[str, Verdict]]
    """Key -> reviewer -> verdict."""
    skipped: dict[str, Verdict]


def final_verdicts(decisions: Iterable[Decision]) -> Outcome:
    """Reduce all lines to one verdict a row: the last of each reviewer, less what was undone."""
    stacks: dict[str, dict[str, list[Decision]]] = {}
    for decision in decisions:
        stack = stacks.setdefault(decision.key, {}).setdefault(decision.reviewer, [])
        if decision.decision != UNDO:
            stack.append(decision)
        elif stack:
            stack.pop()
    found = Outcome({}, {}, {})
    for key, by_reviewer in stacks.items():
        verdicts = {who: _verdict(stack) for who, stack in by_reviewer.items() if stack}
        decided = {who: verdict for who, verdict in verdicts.items() if verdict.decision != SKIP}
        if not decided:
            if verdicts:
                found.skipped[key] = next(iter(verdicts.values()))
            continue
        first, *others = decided.values()
        if all(first.agrees(other) for other in others):
            found.agreed[key] = max(decided.values(), key=lambda verdict: verdict.last.time)
        else:
            found.disputed[key] = decided
    return found


def _verdict(stack: Sequence[Decision]) -> Verdict:
    """A new label and fixed cells go together; keep, drop and skip replace what was before, and are replaced."""
    label: str | None = None
    cells: dict[str, str] = {}
    for decision in stack:
        if decision.decision == RELABEL:
            label = decision.value
        elif decision.decision == FIX:
            cells[decision.column] = decision.value
        else:
            label, cells = None, {}
    last = stack[-1]
    kind = last.decision
    if kind in (RELABEL, FIX):
        kind = FIX if label is None else RELABEL
    return Verdict(kind, label, tuple(cells.items()), last)
