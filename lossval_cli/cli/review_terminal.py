"""`lossval review --terminal`: the review on a terminal, for ssh, with the keys of the page."""

from __future__ import annotations

import contextlib
import importlib
import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lossval_cli.cli.console import is_screen, show
from lossval_cli.errors import UsageError
from lossval_cli.text.format import escape_control, format_percent

if TYPE_CHECKING:
    from lossval_cli.review.session import Session

WIDTH = 80
MOST_CELLS = 16
"""Cells of a row that are listed; `C` lists all."""
LONGEST_CELL = 200

MORE_KEYS = (
    "G  Group: the next decision is for all rows like this one; again for the next group",
    "N  Note: write a note for the next decision",
    "C  Cells: show all of them, in full; * marks those that speak against the row",
    "Q  Quit",
)

QUIT = ("q", "\x04", "")


def review_on_terminal(session: Session) -> None:
    """Ask about one undecided row after the other until there is none, or the reviewer leaves with Q."""
    from lossval_cli.review.words import KEYS, progress_sentence, random_sentence, stop_sentence

    index = _following(session, -1)
    _say(progress_sentence(session.forecast()))
    while index is not None:
        show("\n" + "\n".join(_card(session, index)) + "\n")
        group, note = "", ""
        while True:
            key = _key("[K]eep [R]elabel [F]ix [D]rop [S]kip [U]ndo [?] [Q]uit: ")
            if key in QUIT:
                show("\n")
                _say(f"Decisions are in {session.path}; to apply them:")
                show(f"  {session.command}\n")
                return
            if key == "?":
                _say(*(f"{name}  {title}: {what}" for name, _, title, what in KEYS), *MORE_KEYS)
                continue
            if key == "c":
                show("\n".join(_cells(session, index, every=True)) + "\n")
                continue
            if key == "g":
                group = _next_group(session, index, group)
                continue
            if key == "n":
                note = _line("note for the next decision: ")
                continue
            try:
                after = _act(session, index, key, group, note)
            except UsageError as error:
                _say(f"{error}")
                continue
            if after is None:
                continue
            break
        seen = session.forecast()
        _say(*(line for line in (progress_sentence(seen), random_sentence(seen), stop_sentence(seen)) if line))
        index = after if after >= 0 else _following(session, index)
    _say("Every row is decided or skipped. To apply the decisions:")
    show(f"  {session.command}\n")


def _next_group(session: Session, index: int, group: str) -> str:
    """The group after `group` of those that a row is in, '' after the last; says what the next decision is for."""
    found = [one for one in session.cards.card(index)["group_sizes"] if len(session.members(one["group"], index)) > 1]
    names = [str(one["group"]) for one in found]
    following = ([*names, ""] if group not in names else [*names[names.index(group) + 1 :], ""])[0]
    words = next((one["words"] for one in found if one["group"] == following), "")
    rows = len(session.members(following, index)) if following else 1
    if not names:
        _say("No other undecided row is like this one.")
    else:
        _say(f"The next decision is for all {rows:,} undecided rows: {words}" if following else "This row only.")
    return following


def _act(session: Session, index: int, key: str, group: str, note: str) -> int | None:
    """Do what a key says: the next row to show, -1 for the following one, None to ask again."""
    plain = {"k": "keep", "d": "drop", "s": "skip"}
    rows = session.members(group, index) if group else [index]
    if key in plain:
        session.decide(rows, plain[key], note=note)
        return -1
    if key == "u":
        undone = session.undo()
        if not undone:
            _say("There is nothing to undo.")
            return None
        return min(undone)
    if key == "r":
        suggested = session.cards.summary(index)["suggested"]
        value = _line(f"right label{f' [{escape_control(suggested)}]' if suggested else ''}: ") or suggested or ""
        if not value:
            return None
        if session.is_new_label(value):
            again = _line(f"no row of the table is labelled {escape_control(value)}; type it again to use it: ")
            if again != value:
                return None
        session.decide(rows, "relabel", value=value, note=note)
        return -1
    if key == "f":
        marked = next((one["column"] for one in session.cards.card(index)["cells"] if one["mark"]), "")
        column = _line(f"column{f' [{escape_control(marked)}]' if marked else ''}: ") or marked
        if not column:
            return None
        session.decide(rows, "fix", column=column, value=_line("it should hold: "), note=note)
        return -1
    return None


def _following(session: Session, after: int) -> int | None:
    """The next undecided row, of the earlier ones after the last; skipped rows wait for another day."""
    session.refresh()
    states, order = session.states(), session.sequence(session.forecast())
    open_rows = [i for i in order if states[i]["state"] in ("", "disputed") and i != after]
    later = set(order[order.index(after) + 1 :] if after >= 0 else order)
    return next((i for i in open_rows if i in later), open_rows[0] if open_rows else None)


def _card(session: Session, index: int) -> list[str]:
    card = session.cards.card(index)
    ids = f", {card['ids']}" if card["ids"] else ""
    position = session.sequence(session.forecast()).index(index) + 1
    chance = "unknown" if card["probability"] is None else format_percent(card["probability"], 0)
    lines = [
        f"{position} of {len(session.items)}  {card['where']}{ids}  ({card['kind_words']})",
        *textwrap.wrap(card["reason"], WIDTH),
        f"label {card['given']}"
        + (f", suggested {card['suggested']}" if card["suggested"] else "")
        + f"; {chance} wrong",
    ]
    if card["probabilities"]:
        given = ", ".join(f"{one['label']} {format_percent(one['probability'], 0)}" for one in card["probabilities"])
        lines += textwrap.wrap(f"the models give: {given}", WIDTH)
    said = "; ".join(f"{who}: {what}" for who, what in session.states()[index]["by"].items())
    lines += [f"decided: {said}"] if said else []
    near = card["nearest"]["rows"]
    if near:
        named = [f"{'trusted ' if one['trusted'] else ''}{one['where']} ({one['label']})" for one in near]
        lines += textwrap.wrap(f"nearest: {', '.join(named)}", WIDTH)
    return [escape_control(line) for line in lines] + _cells(session, index)


def _cells(session: Session, index: int, *, every: bool = False) -> list[str]:
    cells = session.cards.card(index)["cells"]
    shown = cells if every else cells[:MOST_CELLS]
    lines = []
    for one in shown:
        text = escape_control("(missing)" if one["value"] is None else one["value"])
        if not every and len(text) > LONGEST_CELL:
            text = text[: LONGEST_CELL - 1] + "…"
        typical = f"  (typical: {one['typical']})" if one["typical"] else ""
        lines.append(f"{'*' if one['mark'] else ' '} {escape_control(one['column'])}: {text}{escape_control(typical)}")
    left = len(cells) - len(shown)
    return [*lines, f"  and {left} more: C"] if left else lines


def _say(*lines: str) -> None:
    wrapped = [part for line in lines for part in textwrap.wrap(escape_control(line), WIDTH)]
    show("\n".join(wrapped) + "\n")


def _line(prompt: str) -> str:
    show(prompt)
    sys.stdout.flush()
    return sys.stdin.readline().rstrip("\r\n")


def _key(prompt: str) -> str:
    """Read one key, without waiting for a line where the terminal allows it; '' at the end of the input."""
    if not is_screen(sys.stdin):
        show(prompt)
        line = sys.stdin.readline()
        return line.strip().lower()[:1] or ("" if not line else "\n")
    with _single_keys():
        show(prompt)
        sys.stdout.flush()
        key = sys.stdin.read(1)
    show(f"{escape_control(key.strip())}\n")
    return key.lower()


@contextlib.contextmanager
def _single_keys() -> Iterator[None]:
    """Keys arrive one by one, while the `with` lasts; Ctrl-C still interrupts. Lines where the system has no such
    thing."""
    try:
        termios: Any = importlib.import_module("termios")
        tty: Any = importlib.import_module("tty")
        before = termios.tcgetattr(sys.stdin)
    except (ImportError, OSError, ValueError):
        yield
        return
    try:
        tty.setcbreak(sys.stdin, termios.TCSADRAIN)  # keys that came early are kept
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
