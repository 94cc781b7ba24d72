"""The summary of a run for a terminal, 80 columns wide: a report and its scores in, styled lines out.

Whatever a cell of the user's table holds, it is one short piece of plain text here: control characters are
spelled out, markup is not interpreted, and wide characters count for the two columns they take.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from lossval_cli.report.sentences.removal import metric_name
from lossval_cli.report.sentences.run import NOISE_SHARE, findings, next_step
from lossval_cli.report.sentences.suspects import KIND_WORDS, SHORT_REASONS, first_rows
from lossval_cli.text.escape import shell_word
from lossval_cli.text.format import escape_control, format_number, format_percent, pluralize

WIDTH = 80

WORST = 10
"""Rows that are listed."""

LABEL_WIDTH = 12

_BLOCKS = "▁▂▃▄▅▆▇█"
_UNKNOWN = "·"
_SPREADS = 4
"""Least height of the curve, in standard deviations of a retraining: chance should look flat."""
_BINS = 40
_MARGIN = 18
"""Columns before what is said of a heading."""


class Column(NamedTuple):
    """A column of the list of rows: its head, at most this many columns wide, numbers to the right."""

    head: str
    cells: list[str]
    widest: int
    right: bool = False


def summary(report: Mapping[str, Any], table: pa.Table, written: Sequence[str], data: str | None = None) -> list[Text]:
    """Lines of at most 80 columns, commands aside. table: the ranked rows; written: what was written,
    directory first; data: where the scored table is, if the run does not know.
    """
    lines = [_title(report), Text()]
    lines += _suspects(report["summary"])
    lines.append(_headed("Importance", _histogram(table["importance"].drop_null().to_numpy())))
    lines += _removal(report["removal"])
    lines += _findings(report)
    shown, heading = _first_rows(report["summary"]["suspects"], table)
    lines += [Text(), Text(heading, "bold")]
    lines += _rows(_worst(shown))
    lines += [Text(line) for line in textwrap.wrap(first_rows(report), WIDTH)]
    lines += [Text(), *_written(written)]
    step = next_step(report, data)
    if (step or report["summary"]["suspects"]) and written[1:]:  # the commands read the directory
        run = shell_word(written[0].rstrip("/"))
        lines += [Text(), Text("Decide about the suspects, one at a time:", "bold"), Text(f"  lossval review {run}")]
    if step and written[1:]:
        does, choices = step
        lines += [Text("Or look at them in report.html. Then"), Text(f"  lossval clean {run} {choices}")]
        lines += [Text(line) for line in textwrap.wrap(f"{does}.", WIDTH)]
    return lines


def _findings(report: Mapping[str, Any]) -> list[Text]:
    """Return what else deserves a look, in the words of the pages."""
    lines: list[Text] = []
    for text in findings(report)["look"]:
        first, *rest = textwrap.wrap(escape_control(text), WIDTH - _MARGIN)
        lines += [_headed("Worth a look" if not lines else "", first), *(Text(" " * _MARGIN + line) for line in rest)]
    return lines


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Return `text` on exactly `width` terminal columns, cut with an ellipsis if need be."""
    text = escape_control(text)
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - cell_len(text))
    return padding + text if right else text + padding


def sparkline(values: Sequence[float], least: float = 0.0) -> str:
    """Draw one block a value, lowest to highest; a dot for what is not finite. Values that differ by less than `least`
    in all stay near the middle."""
    numbers = np.array(values, float)
    finite = np.isfinite(numbers)
    if not finite.any():
        return _UNKNOWN * len(numbers)
    low, high = numbers[finite].min(), numbers[finite].max()
    span = max(high - low, least)
    bottom = (low + high - span) / 2
    scaled = np.where(finite, (numbers - bottom) / (span or 1.0), 0.0)
    indices = np.minimum((scaled * len(_BLOCKS)).astype(int), len(_BLOCKS) - 1)
    return "".join(_BLOCKS[i] if known else _UNKNOWN for i, known in zip(indices, finite, strict=True))


def _title(report: Mapping[str, Any]) -> Text:
    data = report["data"]
    roles = data["roles"]
    name = data["tables"]["train"]["name"]
    classes = roles["classes"]
    kind = "tags" if roles["task"] == "multilabel" else "classes"
    what = "regression" if classes is None else f"{len(classes)} {kind}"
    return Text(fit(f"{name}: {report['summary']['rows']:,} rows, {roles['label']} ({what})", WIDTH).rstrip(), "bold")


def _headed(head: str, text: str) -> Text:
    return Text.assemble((f"{head:{_MARGIN - 1}} ", "bold"), text)


def _suspects(numbers: Mapping[str, Any]) -> list[Text]:
    share = numbers["estimated_noise_share"]
    if share is None:
        return [_headed("Suspects", "not estimated: preset paper only ranks rows")]
    lines = []
    if "stopped_in_epoch" in numbers:
        lines.append(_headed("Stopped early", f"the time limit ended training in epoch {numbers['stopped_in_epoch']}"))
    lines.append(_headed("Suspects", f"{numbers['suspects']:,} ({format_percent(numbers['suspect_share'])})"))
    width = len(f"{max(numbers['by_kind'].values()):,}")
    for kind, count in numbers["by_kind"].items():
        if count:
            lines.append(Text(f"  {kind:{_MARGIN - 2}}{count:{width},}  {SHORT_REASONS[kind]}"))
    interval = f"{format_percent(share['low'])} to {format_percent(share['high'])}"
    lines.append(_headed(NOISE_SHARE, f"{format_percent(share['value'])} of the rows, likely {interval}"))
    return lines


def _histogram(importance: Any) -> str:
    """Rows at each importance; heights are square roots, so that the few far out can be seen."""
    counts, edges = np.histogram(importance, bins=_BINS)
    blocks = sparkline(list(np.sqrt(counts)))
    shown = "".join(block if count else " " for block, count in zip(blocks, counts, strict=True))
    return f"{edges[0]:.3g} {shown} {edges[-1]:.3g}"


def _removal(study: Mapping[str, Any] | None) -> list[Text]:
    """The metric as more and more of the lowest rows are removed, and what follows from it."""
    if study is None:
        return []
    shares = ", ".join(f"{100 * share:g}" for share in (0.0, *study["fractions"]))
    values = [study["baseline"]["mean"], *study["lowest_first"]]
    least = _SPREADS * (study["baseline"]["spread"] or 0.0)
    curve = sparkline([math.nan if value is None else value for value in values], least)
    if all(value is None for value in study["lowest_first"]) and study["failed"]:
        text = study["failed"][0]
    else:
        text = f"{metric_name(study)} {curve}  lowest {shares}% removed"
    lines = [_headed("Removal", fit(text, WIDTH - _MARGIN).rstrip())]
    direction = "" if study["greater_is_better"] else f"a lower {metric_name(study)} is better"
    for remark in (direction, study["verdict"], study["notice"]):
        wrapped = textwrap.wrap(escape_control(remark or ""), WIDTH - _MARGIN)
        lines += [Text(" " * _MARGIN + line) for line in wrapped]
    return lines


def _first_rows(suspects: int, table: pa.Table) -> tuple[pa.Table, str]:
    """The suspects that are most likely wrong or, where there are none, the rows of least importance."""
    if not suspects:
        return table.slice(0, WORST), f"{pluralize(min(WORST, table.num_rows), 'row')} of least importance"
    found = np.flatnonzero(np.array([bool(kind) for kind in table["suspect"].to_pylist()]))
    probability = table["noise_probability"].to_numpy(zero_copy_only=False)[found]
    order = found[np.argsort(-probability, kind="stable")][:WORST]
    count = f"{len(order)} of {suspects:,} suspects" if suspects > len(order) else pluralize(suspects, "suspect")
    return table.take(pa.array(order)), f"{count}, the most likely wrong first"


def _worst(rows: pa.Table) -> list[Column]:
    names = rows.column_names
    given = names[names.index("line") + 1 : names.index("importance")]  # ids, then the label
    name = given[0] if len(given) > 1 else "line" if rows["line"].null_count == 0 else "row"
    suspects = rows["suspect"].to_pylist()
    probability = rows["noise_probability"].to_pylist()
    label = [_cell(value) for value in rows[given[-1]].to_pylist()]
    if pa.types.is_floating(rows["predicted"].type):
        label = [_short_number(text) for text in label]
    return [
        Column("rank", [str(rank) for rank in rows["rank"].to_pylist()], 7, right=True),
        Column(name, [_cell(value) for value in rows[name].to_pylist()], 14),
        Column(given[-1], label, LABEL_WIDTH),
        Column("predicted", [_cell(value) for value in rows["predicted"].to_pylist()], 12),
        Column("noise", ["" if value is None else format_percent(value, 0) for value in probability], 8, right=True),
        Column("why", suspects, 29),
    ]


def _cell(value: object) -> str:
    if value is None:
        return "(missing)"
    return format_number(value).replace(",", "") if isinstance(value, float) else str(value)


def _short_number(text: str) -> str:
    """A number as it was written, unless its end, where the exponent is, would be cut off."""
    if len(text) <= LABEL_WIDTH:
        return text
    try:
        return _cell(float(text))
    except ValueError:  # with a currency, say
        return text


def _rows(columns: list[Column]) -> list[Text]:
    *others, why = columns
    widths = [
        min(column.widest, max(cell_len(escape_control(text)) for text in (column.head, *column.cells)))
        for column in others
    ]
    left = WIDTH - sum(widths) - 2 * len(widths)
    reasons = SHORT_REASONS if left >= why.widest else KIND_WORDS | {"": "–"}
    lines = []
    for i in range(-1, len(why.cells)):
        cells = [column.head if i < 0 else column.cells[i] for column in others]
        fitted = [
            fit(cell, width, right=column.right) for cell, width, column in zip(cells, widths, others, strict=True)
        ]
        last = why.head if i < 0 else reasons[why.cells[i]]
        lines.append(Text("  ".join([*fitted, last]).rstrip(), "dim" if i < 0 else ""))
    return lines


def _written(paths: Sequence[str]) -> list[Text]:
    """The paths, as many to a line as fit; a long one is not cut, so that it can be copied."""
    lines = [_headed("Written", escape_control(paths[0]))]
    rest = ", ".join(escape_control(path) for path in paths[1:])
    if rest:
        lines.append(Text(" " * _MARGIN + rest))
    return lines
