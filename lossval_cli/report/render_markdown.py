"""report.json as report.md: what a reviewer reads in a pull request, in about sixty lines.

A cell of the user's table is text here and nothing else: no markup, no mention, no link comes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lossval_cli.report.sentences.removal import curve_words, metric_name
from lossval_cli.report.sentences.run import figures, findings, next_step, run_directory, verdict
from lossval_cli.report.sentences.suspects import suspect_facts
from lossval_cli.report.sentences.words import measured
from lossval_cli.text.format import escape_control, format_percent, pluralize

SUSPECTS, CLASSES, POINTS, SLICES, PAIRS = 10, 6, 4, 3, 3
"""Lines a section may have: without the notices, which are all shown, they stay under sixty."""

LONGEST = 60
"""Characters of a cell; tables of a pull request are narrow."""

LEVELS = {"ok": "✅", "look": "🔎", "bad": "⚠️"}

_MARKUP = re.compile(r"[\\`*_{}\[\]<>#|~$&@^]")

_LINKED = re.compile(r"(?i)(?<=&#64;)|(?<=&#35;)|(?<=www)(?=\.)|(?<=:)(?=//)|(?<=\bgh)(?=-)")
"""Where GitHub would see a mention, an address or an issue, whatever the characters are written as."""

_JOINER = "&#8288;"
"""A character without width that ends a name or an address."""


def render_markdown(report: Mapping[str, Any]) -> str:
    """GitHub-flavoured Markdown of what `build_report` returned, or of what was read from report.json."""
    level, text = verdict(report)
    table = report["data"]["tables"]["train"]["name"]
    blocks = [
        [f"## {LEVELS[level]} {escaped(text, 400)}"],
        [f"Data report of {escaped(table)}, label {escaped(report['data']['roles']['label'])}."],
        _table(["", "", ""], [[f.name, f"**{escaped(f.value)}**", escaped(f.note, 160)] for f in figures(report)]),
        *_next(report),
        *_removal(report.get("removal")),
        *_suspects(report),
        *_classes(report),
        *_findings(report),
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def escaped(value: object, longest: int = LONGEST) -> str:
    """A value as inert text on one line: markup becomes what it looks like, mentions and links nothing."""
    text = escape_control(str(value))
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return _LINKED.sub(_JOINER, _MARKUP.sub(lambda found: f"&#{ord(found[0])};", text))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def _next(report: Mapping[str, Any]) -> list[list[str]]:
    step = next_step(report)
    directory = run_directory(report)
    if "`" in directory:  # would end the code
        directory = "RUN_DIR"
    clean = f"`lossval clean {directory} {step[1]}` {step[0]}" if step else ""
    study = report.get("removal")
    is_improved = study is not None and study["recommended"] != "nothing"
    if report["summary"]["suspects"] and not is_improved:
        alternative = f" Or {clean}." if clean else ""
        return [[f"Next: `lossval review {directory}` shows the suspects one at a time.{alternative}"]]
    return [[f"Next: {clean}."]] if clean else []


def _removal(study: Mapping[str, Any] | None) -> list[list[str]]:
    if study is None:
        return []
    head = ["removed", *(format_percent(fraction) for fraction in study["fractions"])]
    strategies = {"lowest first": "lowest_first", "any rows": "random", "highest first": "highest_first"}
    rows = [[name, *(measured(value) for value in study[strategy])] for name, strategy in strategies.items()]
    better = "higher is better" if study["greater_is_better"] else "lower is better"
    base = f"{metric_name(study)} of {curve_words(study)} on {study['evaluated_on']} rows, {better}; "
    base += f"{measured(study['baseline']['mean'])} with all"
    return [["### Removing rows"], [f"{escaped(study['verdict'], 300)} ({base})"], _table(head, rows)]


def _suspects(report: Mapping[str, Any]) -> list[list[str]]:
    rows = report["suspects"][:SUSPECTS]
    if not rows:
        return []
    facts = [suspect_facts(row, report) for row in rows]
    named = ["ids"] if any(row["ids"] for row in facts) else []
    keys = ["where", *named, "given", "suggested", "reason"]
    cells = [[escaped(row[key], 160 if key == "reason" else 30) for key in keys] for row in facts]
    return [
        [f"### {_first(len(rows), report['summary']['suspects'])}"],
        _table(["where", *named, "label", "suggested", "why"], cells),
    ]


def _first(shown: int, every: int) -> str:
    return pluralize(every, "suspect") if shown == every else f"First {shown} of {every:,} suspects"


def _classes(report: Mapping[str, Any]) -> list[list[str]]:
    classes = report.get("classes")
    if not classes or not report["summary"]["suspects"]:
        return []
    worst = sorted(classes, key=lambda one: -one["share"])[:CLASSES]
    rows = [
        [
            escaped(one["label"]),
            f"{one['rows']:,}",
            f"{one['suspects']:,}",
            f"{format_percent(one['share'])} ({format_percent(one['low'])} to {format_percent(one['high'])})",
        ]
        for one in worst
    ]
    return [["### Suspects by label"], _table(["label", "rows", "suspects", "share"], rows)]


def _findings(report: Mapping[str, Any]) -> list[list[str]]:
    """Return one line for each finding: what was looked for and found."""
    lines = [escaped(text, 300) for text in findings(report)["look"][:POINTS]]
    for pair in (report.get("confusion") or {}).get("pairs", [])[:PAIRS]:
        labels = f"{escaped(pair['given'])} that should perhaps be {escaped(pair['suggested'])}"
        lines.append(f"{labels}: {pluralize(pair['rows'], 'row')}")
    for one in (report.get("slices") or {}).get("found", [])[:SLICES]:
        where = f"{escaped(one['column'])} {escaped(one['value'])}"
        if one["alike"]:
            where += f" (and {len(one['alike'])} more with the same rows)"
        count = f"{one['suspects']:,} of {pluralize(one['rows'], 'row')} suspect by {one['kind']}"
        lines.append(
            f"{where}: {count}, {format_percent(one['share'])} against {format_percent(one['elsewhere'])} elsewhere"
        )
    lines += [escaped(notice, 400) for notice in report["notices"]]
    return [["### Also"], [f"- {line}" for line in lines]] if lines else []
