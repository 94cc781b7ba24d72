"""report.json as one self-contained HTML file: no network, no script needed, every cell of the user's text.

Jinja2 escapes what the template inserts. The policy in the page's head names the one style and the one
script by their hashes, so that nothing else could run even if it got in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from lossval_cli.report import plots
from lossval_cli.report.page import source_hash, source_of, templates
from lossval_cli.report.sentences.removal import curve_words, metric_name, not_studied
from lossval_cli.report.sentences.run import figures, findings, next_step, run_directory, verdict
from lossval_cli.report.sentences.suspects import (
    LISTED,
    class_probabilities,
    deciding_cells,
    first_rows,
    nearest_rows,
    neighbours_reason,
    suspect_facts,
    usual,
)
from lossval_cli.report.sentences.tables import other_tables
from lossval_cli.report.sentences.words import cell, measured
from lossval_cli.text.format import format_percent

STRATEGIES = (
    ("lowest_first", "lowest first", "main"),
    ("random", "any rows", ""),
    ("highest_first", "highest first", "second"),
)


def render_html(report: Mapping[str, Any]) -> str:
    """A page of what `build_report` returned, or of what was read from report.json."""
    pages = templates("lossval_cli.report")
    style, script = (source_of(pages, f"report.{kind}") for kind in ("css", "js"))
    level, text = verdict(report)
    study, classes = report.get("removal"), report.get("classes")
    suspects = [(row, suspect_facts(row, report)) for row in report["suspects"][:LISTED]]
    any_suspects = bool(report["summary"]["suspects"])
    return pages.get_template("report.html").render(
        report=report,
        policy=f"default-src 'none'; style-src {source_hash(style)}; script-src {source_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704  # nosec B704
        script=Markup(script),  # noqa: S704  # nosec B704
        train=report["data"]["tables"]["train"],
        roles=report["data"]["roles"],
        level=level,
        verdict=text,
        figures=figures(report),
        next_step=next_step(report),
        directory=run_directory(report),
        points=findings(report),
        other_tables=other_tables(report),
        suspects=suspects,
        has_ids=any(facts["ids"] for _, facts in suspects),
        removal=study,
        metric=study and metric_name(study),
        curve_models=study and curve_words(study),
        not_studied=not_studied(study) if study else [],
        removal_plot=study and _removal_plot(study),
        class_plot=_class_plot(classes) if classes and any_suspects else None,
        confusion=(report.get("confusion") or {}).get("pairs", []),
        slices=(report.get("slices") or {}).get("found", []),
        duplicates=(report.get("conflicting_duplicates") or {}).get("examples", []),
        plots=_plots(report),
        cell=cell,
        measured=measured,
        format_percent=format_percent,
        usual=usual,
        first_rows=first_rows(report),
        class_probabilities=class_probabilities,
        neighbours_reason=neighbours_reason,
        nearest_rows=nearest_rows,
        deciding_cells=deciding_cells,
    )


def _removal_plot(study: Mapping[str, Any]) -> Markup | None:
    """Curves from nothing removed on, with the spread over retrainings."""
    base = study["baseline"]
    shares = [0.0, *study["fractions"]]
    lines = [
        plots.Series(name, css, shares, [base["mean"], *study[strategy]], [base["spread"], *study["spreads"][strategy]])
        for strategy, name, css in STRATEGIES
    ]
    if all(value is None for line in lines for value in line.y):
        return None
    names = ("share of rows removed", metric_name(study))
    what = {"lowest": "recommended: the lowest", "suspects": "recommended: the suspects,"}.get(study["recommended"])
    share = study["recommended_fraction"]
    mark = (share, f"{what} {format_percent(share)}") if what else None
    title = f"{names[1]} as rows are removed"
    return plots.curves(lines, title, names, as_percent=True, free=("second",), mark=mark)


def _class_plot(classes: Sequence[Mapping[str, Any]]) -> Markup:
    worst = sorted(classes, key=lambda one: -one["share"])
    rows = [(one["label"], one["share"], one["low"], one["high"]) for one in worst]
    return plots.bars(rows, "Share of suspects by label")


def _plots(report: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """Heading and drawing of what concerns every row, and of how training went."""
    drawn = []
    shape = report.get("distributions")
    if shape:
        drawn.append(("Importance of all rows", _importance(shape["importance"])))
        if shape["evidence"]:
            drawn.append(("Label and feature evidence of each row", _evidence(shape["evidence"])))
    history = report["model"]["history"]
    for key, heading, css in (
        ("loss", "Training loss", "main"),
        ("transport", "Distance to the validation rows", "second"),
    ):
        values = [_finite(epoch[key]) for epoch in history]
        if any(value is not None for value in values):
            line = plots.Series(heading, css, [epoch["epoch"] for epoch in history], values)
            names = ("epoch", heading.lower())
            drawn.append((heading, plots.curves([line], f"{heading} by epoch", names)))
    return drawn


def _importance(bins: Mapping[str, Any]) -> Markup:
    suspects = [sum(kinds) for kinds in zip(*bins["suspects"].values(), strict=True)]
    marks = {mark["importance"]: mark["name"] for mark in bins["marks"]}  # of two in one place the last
    return plots.histogram(bins["edges"], bins["rows"], suspects, list(marks.items()), "Importance of all rows")


def _evidence(evidence: Mapping[str, Any]) -> Markup:
    points = evidence["points"]
    marked = [kind != "" for kind in points["suspect"]]
    return plots.scatter(
        list(zip(points["label"], points["features"], marked, strict=True)),
        "Label evidence against feature evidence",
        ("label evidence", "feature evidence"),
    )


def _finite(value: float | None) -> float | None:
    """null, or a report that has not been through JSON, has NaN where a number is not known."""
    return value if value is not None and math.isfinite(value) else None
