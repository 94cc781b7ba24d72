"""Runs over time as one small HTML page with charts: no network, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from lossval_cli.report import plots
from lossval_cli.report.page import source_hash, source_of, templates

WIDEST = 400
"""Runs that are drawn, the last ones."""


def render_history(runs: Sequence[Mapping[str, Any]], head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Render the history of runs. runs: dicts of `RunFacts`, the oldest first; head and rows: the same as a table of
    text."""
    pages = templates("lossval_cli.report")
    style = source_of(pages, "report.css")
    drawn = runs[-WIDEST:]
    return pages.get_template("history.html").render(
        style=Markup(style),  # noqa: S704  # nosec B704
        policy=f"default-src 'none'; style-src {source_hash(style)}; base-uri 'none'; form-action 'none'",
        head=head,
        rows=rows,
        plots=[plot for plot in (_shares(drawn), *_metrics(drawn)) if plot is not None],
    )


def _shares(runs: Sequence[Mapping[str, Any]]) -> tuple[str, Markup] | None:
    """Noise with its interval, and suspects, in percent."""
    x = [float(i) for i in range(1, len(runs) + 1)]
    noise = [None if one["noise"] is None else one["noise"] for one in runs]
    if all(one is None for one in noise):
        return None
    lines = [
        plots.Series(
            "its likely range",
            "range",
            x,
            [None if one is None else 50 * (one["low"] + one["high"]) for one in noise],
            [None if one is None else 50 * (one["high"] - one["low"]) for one in noise],
        ),
        plots.Series("noise share", "main", x, [None if one is None else 100 * one["value"] for one in noise]),
        plots.Series(
            "suspects",
            "",
            x,
            [None if one["suspect_share"] is None else 100 * one["suspect_share"] for one in runs],
        ),
    ]
    return "Suspects and noise share", plots.curves(lines, "Suspects and noise share by run", ("run", "% of the rows"))


def _metrics(runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, Markup]]:
    """Chart what a model trained on all rows reaches, one chart for each metric."""
    drawn = []
    for metric in dict.fromkeys(one["metric"] for one in runs if one["metric"]):
        values = [one["value"] if one["metric"] == metric else None for one in runs]
        if any(value is not None for value in values):
            name = str(metric).replace("_", " ")
            line = plots.Series(name, "main", [float(i) for i in range(1, len(runs) + 1)], values)
            drawn.append((name.capitalize(), plots.curves([line], f"{name} by run", ("run", name))))
    return drawn
