"""A calibration for people: lines of at most 80 columns for a terminal, and Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.text import Text

from lossval_cli.calibration.choice import NONE
from lossval_cli.calibration.counts import Found, Reliability, Share
from lossval_cli.calibration.outcome import Calibration
from lossval_cli.report.render_markdown import escaped
from lossval_cli.text.format import escape_control, format_percent, pluralize

HEADS = ("", "planted", "rows", "flagged", "precision", "at least", "recall")
RELIABILITY_HEADS = ("noise probability", "mean", "rows", "planted", "share planted")

NOTES = (
    "Precision: of the flagged rows, those planted; at least: if every flag on a row left out is a false "
    "one. Rows that are wrong in the table itself and were not suspect count as false flags. Ranges are 95% "
    "Wilson intervals over the rows of all repeats.",
    "The planted share refers to the rows that were not left out; errors that the table itself has are not counted.",
    "Thresholds were chosen and measured on the same trials, so expect slightly less on new rows.",
)


def calibration_lines(found: Calibration) -> list[Text]:
    """Return the lines for a terminal."""
    lines = [*_wrapped(_title(found), "bold"), *_wrapped(_left_out(found)), Text()]
    lines += [Text("Flags as `lossval score` sets them", "bold"), *_columns(_flag_rows(found.found), HEADS)]
    lines += [*_wrapped(NOTES[0]), Text(), Text("Noise probability", "bold")]
    lines += _columns(_reliability_rows(found.reliability), RELIABILITY_HEADS)
    lines += [*_wrapped(f"{_error(found)} {NOTES[1]}"), Text(), Text(_chosen(found), "bold")]
    rows = [row for choice in found.choices for row in _flag_rows(choice.found)]
    lines += _columns(rows, HEADS) if rows else []
    for said in _thresholds(found):
        lines += _wrapped(said)
    return lines


def calibration_markdown(found: Calibration) -> str:
    """Return Markdown for a page; names of the user's are inert text."""
    lines = [f"## {escaped(_title(found), 200)}", "", escaped(_left_out(found), 500), ""]
    lines += ["### Flags as `lossval score` sets them", "", *_table(_flag_rows(found.found), HEADS)]
    lines += ["", NOTES[0], "", "### Noise probability", ""]
    lines += [
        *_table(_reliability_rows(found.reliability), RELIABILITY_HEADS),
        "",
        f"{_error(found)} {NOTES[1]}",
    ]
    lines += ["", f"### {_chosen(found)}", ""]
    rows = [row for choice in found.choices for row in _flag_rows(choice.found)]
    lines += [*_table(rows, HEADS), ""] if rows else []
    lines += [line for said in _thresholds(found) for line in (said, "")]
    return "\n".join(lines).rstrip("\n") + "\n"


def _title(found: Calibration) -> str:
    return (
        f"Calibration on {found.table}: {pluralize(found.rows, 'row')}, "
        f"{pluralize(len(found.rates), 'rate')} of planted noise, {pluralize(found.repeats, 'repeat')} each"
    )


def _left_out(found: Calibration) -> str:
    share = format_percent(found.left_out / found.rows)
    return (
        f"{pluralize(found.left_out, 'row')} ({share}) suspect before anything was planted: they may be real "
        "errors, so nothing is planted in them and they are left out. Each trial plants wrong labels in this "
        "share of the others and outliers in as many more."
    )


def _error(found: Calibration) -> str:
    return f"Stated and planted differ by {format_percent(found.calibration_error)} on average."


def _chosen(found: Calibration) -> str:
    return f"Thresholds for {found.goal}"


def _thresholds(found: Calibration) -> list[str]:
    said = []
    for choice in found.choices:
        if choice.threshold is None:
            said.append(
                f"{choice.kind}: no threshold reaches {found.goal} at every rate; the best precision is "
                f"{format_percent(choice.best_precision)}."
            )
        elif choice.threshold == NONE:
            said.append(
                f"{choice.kind}: no threshold is clearly better than flagging all rows, so no row will be suspect by "
                "it."
            )
        else:
            said.append(f"{choice.kind}: suspect from a probability of {choice.threshold:g} on.")
    return [*said, NOTES[2]]


def _flag_rows(found: Sequence[Found]) -> list[tuple[str, ...]]:
    return [
        (
            one.kind,
            format_percent(one.rate),
            f"{one.planted:,}",
            f"{one.flagged:,}",
            _ranged(one.precision),
            format_percent(one.least_precision.value, 0),
            _ranged(one.recall),
        )
        for one in found
    ]


def _reliability_rows(found: Sequence[Reliability]) -> list[tuple[str, ...]]:
    return [
        (
            f"{100 * one.low:.0f}% to {100 * one.high:.0f}%",
            format_percent(one.stated),
            f"{one.noisy.of:,}",
            f"{one.noisy.hits:,}",
            _ranged(one.noisy),
        )
        for one in found
    ]


def _ranged(share: Share) -> str:
    ends = share.interval()
    if ends is None:
        return "–"
    return f"{100 * share.hits / share.of:.0f}% ({100 * ends[0]:.0f} to {100 * ends[1]:.0f}%)"


def _columns(rows: Sequence[Sequence[str]], heads: Sequence[str]) -> list[Text]:
    """Align columns to the right, the first column to the left."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]

    def line(cells: Sequence[str], style: str = "") -> Text:
        first, *others = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return Text("  ".join([first.strip().ljust(widths[0]), *others]), style)

    return [line(heads, "dim"), *(line(row) for row in rows)]


def _table(rows: Sequence[Sequence[str]], heads: Sequence[str]) -> list[str]:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _wrapped(text: str, style: str = "") -> list[Text]:
    return [Text(line, style) for line in textwrap.wrap(escape_control(text), 80)]
