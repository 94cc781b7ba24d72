"""The rows to review as a spreadsheet with an empty column for decisions, and the filled one read back.

Cells that a spreadsheet would evaluate are text: in CSV with an apostrophe in front, in .xlsx by their type.
"""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from lossval_cli.errors import ReadError, UsageError, system_reason
from lossval_cli.limits import MAX_RECORD_FILE_BYTES, read_small
from lossval_cli.review.session import Session
from lossval_cli.runs.decisions import DROP, FIX, KEEP, RELABEL, SKIP, neutral
from lossval_cli.text.format import escape_control, format_name, quote

KEY, DECISION, VALUE, COLUMN, NOTE = "key", "decision", "new value", "column", "note"
FILLED = (DECISION, VALUE, COLUMN, NOTE)
"""What a reviewer fills in: keep, relabel (the right label in `new value`), fix (`column` and `new value`), drop."""

COLUMNS = 30
"""Cells of a row that are exported, deciding ones first."""

LONGEST = 32_000
"""Characters of a cell; a spreadsheet takes no more."""

MOST_EXPANDED = 512 << 20
"""Bytes of an .xlsx once unpacked."""


BY_LETTER = {action[0]: action for action in (KEEP, RELABEL, FIX, DROP, SKIP)}
"""The keys of the page serve in a spreadsheet too."""


def export_rows(session: Session, sink: BinaryIO, ending: str) -> None:
    """Write every row of the queue to an open binary file; `ending`: .xlsx or .csv."""
    states = [one["state"] for one in session.states()]
    table = [_head(session), *(_line(session, index, state) for index, state in enumerate(states))]
    if ending == ".xlsx":
        _write_workbook(table, sink)
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([neutral(cell) for cell in row] for row in table)
    sink.write(b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "backslashreplace"))


def _head(session: Session) -> list[str]:
    names = session.cards.columns[:COLUMNS]
    return [*FILLED, "where", "label", "suggested", "likely wrong", "suspect by", "reason", *names, KEY]


def _line(session: Session, index: int, state: str) -> list[str]:
    card, decided = session.cards.row_facts(index), "" if state in ("", SKIP, "disputed") else state
    chance = "" if card["probability"] is None else f"{card['probability']:.2f}"
    cells = session.cards.cells(index, session.cards.columns[:COLUMNS])
    own = [decided, "", "", "", card["where"], card["given"] or "", card["suggested"] or "", chance]
    own += [card["kind_words"], card["reason"], *(text or "" for text in cells), session.items[index].key]
    return own


def _write_workbook(table: list[list[str]], sink: BinaryIO) -> None:
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.worksheet.datavalidation import DataValidation

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "suspects"
    for r, row in enumerate(table, 1):
        for c, text in enumerate(row, 1):
            cell = sheet.cell(r, c)
            cell.value = _sheet_text(text)
            cell.data_type = "s"  # text, whatever it begins with
    for cell in sheet[1]:
        cell.font = Font(bold=True)
        if cell.value in FILLED:
            cell.fill = PatternFill("solid", fgColor="FFF3E2D8")
    sheet.freeze_panes = "E2"
    sheet.auto_filter.ref = sheet.dimensions
    widths = {"reason": 60, "where": 12, DECISION: 12, VALUE: 16, COLUMN: 16, NOTE: 24}
    for cell in sheet[1]:
        sheet.column_dimensions[cell.column_letter].width = widths.get(str(cell.value), 14)
    for row in sheet.iter_rows(min_row=2):
        for cell in row:
            cell.alignment = Alignment(vertical="top", wrap_text=True)
    choice = DataValidation("list", formula1=f'"{KEEP},{RELABEL},{FIX},{DROP},{SKIP}"', allow_blank=True)
    sheet.add_data_validation(choice)
    choice.add(f"A2:A{max(2, len(table))}")
    book.save(sink)


def _sheet_text(text: str) -> str:
    """Return the text that an .xlsx may hold: no control characters, and not too long."""
    plain = "".join(char if char in "\n\t" or char >= " " else escape_control(char) for char in text)
    return plain.encode("utf-8", "backslashreplace").decode()[:LONGEST]


def import_rows(session: Session, path: Path) -> tuple[int, list[str]]:
    """Decide what was filled in; how many decisions were made, and a line for each row that makes no sense.

    Rows whose decision is as it is already are not decided again. Raises ReadError.
    """
    head, *lines = _read(path)
    if missing := [name for name in (KEY, DECISION) if name not in head]:
        raise ReadError(
            f"{format_name(str(path))} has no column {missing[0]}: fill in a file that `lossval review --export` wrote"
        )
    by_key = {item.key: index for index, item in enumerate(session.items)}
    states = [one["state"] for one in session.states()]
    done, problems = 0, []
    for number, cells in enumerate(lines, 2):
        said = dict(zip(head, cells, strict=False))
        action = said[DECISION].strip().lower()
        if not action:
            continue
        action = BY_LETTER.get(action, action)
        index = by_key.get(said.get(KEY, ""))
        if index is None:
            problems.append(f"row {number} left out: it is not a row of this run")
            continue
        if states[index] == action and not said.get(VALUE):
            continue
        try:
            if action not in (KEEP, RELABEL, FIX, DROP, SKIP):
                raise UsageError(f"{quote(said[DECISION])} is none of keep, relabel, fix, drop, skip")
            texts = {"value": said.get(VALUE, ""), "column": said.get(COLUMN, ""), "note": said.get(NOTE, "")}
            session.decide([index], action, **texts)
            done += 1
        except UsageError as error:
            problems.append(f"row {number} left out: {error}")
    return done, problems


def _read(path: Path) -> list[list[str]]:
    try:
        data = read_small(path, MAX_RECORD_FILE_BYTES)
    except OSError as error:
        raise ReadError(f"{format_name(str(path))} cannot be read: {system_reason(error)}") from error
    try:
        rows = _workbook_rows(data) if data.startswith(b"PK") else _csv_rows(data)
    except (ValueError, KeyError, csv.Error, zipfile.BadZipFile, OSError, TypeError) as error:
        raise ReadError(f"{format_name(str(path))} is damaged, or neither .xlsx nor .csv") from error
    if not rows:
        raise ReadError(f"{format_name(str(path))} is empty")
    return rows


def _csv_rows(data: bytes) -> list[list[str]]:
    text = data.decode("utf-8-sig")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [[cell.removeprefix("'") for cell in row] for row in rows if row]


def _workbook_rows(data: bytes) -> list[list[str]]:
    from openpyxl import load_workbook

    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        if sum(part.file_size for part in packed.infolist()) > MOST_EXPANDED:
            raise ValueError("too large")
    book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    try:
        sheet: Any = book.worksheets[0]
        return [[_text(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
    finally:
        book.close()


def _text(cell: object) -> str:
    """Return a cell as a person reads it: 7, not 7.0."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell)
