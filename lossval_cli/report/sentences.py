"""What the pages of a report have in common: its headline and the words for a suspect, nothing computed.

Every function takes the dict that `build_report` returned or that was read from report.json, in which any
section may be null: redacted, or unknown to the method.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lossval_cli.text.escape import shell_word
from lossval_cli.text.format import format_number, format_percent, pluralize

KIND_WORDS = {"label": "label", "features": "features", "label+features": "label and features"}

FALLBACK_REASONS = {
    "label": "The label disagrees with what the model expects for such a row.",
    "features": "The row lies where the other data is not.",
    "label+features": "The label disagrees with the model, and the row lies where the other data is not.",
}
"""For reports whose own reasons, which quote the user's values, have been taken out."""


class Figure(NamedTuple):
    """One of the three numbers that matter: what is counted, the number, what to know about it."""

    name: str
    value: str
    note: str


def verdict(report: Mapping[str, Any]) -> tuple[str, str]:
    """The level (ok, look or bad) and the sentence that goes with it."""
    said = report.get("verdict")
    if said:
        return said["level"], said["text"]
    summary = report["summary"]
    return "look" if summary["suspects"] else "ok", (
        f"{summary['suspects']:,} of {pluralize(summary['rows'], 'row')} are suspect."
    )


def figures(report: Mapping[str, Any]) -> list[Figure]:
    """Suspects, estimated noise and what removal would do, in this order."""
    summary, study = report["summary"], report.get("removal")
    noise = summary["estimated_noise_share"]
    if noise is None:
        suspects = Figure("Suspect rows", "not judged", "this method ranks rows and names no suspects")
        share = Figure("Rows likely wrong", "unknown", "this method does not estimate it")
    else:
        suspects = Figure(
            "Suspect rows",
            f"{summary['suspects']:,}",
            f"of {summary['rows']:,}, {_kinds(summary['by_kind'])}",
        )
        interval = f"likely between {format_percent(noise['low'])} and {format_percent(noise['high'])}"
        share = Figure("Rows likely wrong", format_percent(noise["value"]), f"estimated over all rows, {interval}")
    return [suspects, share, _gain(study)]


def suspect_facts(row: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, str]:
    """One suspect in words: where, ids, given, suggested, kind, reason; '' where it is not known."""
    label = report["data"]["roles"]["label"]
    given = row.get("given", row.get(label))
    suggested = row.get("suggested")
    ids = row.get("ids") or {}
    return {
        "where": _place(row),
        "ids": ", ".join(cell(value) for value in ids.values()),
        "given": "" if given is None else cell(given),
        "suggested": "" if suggested is None else cell(suggested),
        "kind": KIND_WORDS.get(row["suspect"], row["suspect"]),
        "reason": row.get("reason") or FALLBACK_REASONS.get(row["suspect"], ""),
    }


def next_step(report: Mapping[str, Any], data: str | None = None) -> tuple[str, str] | None:
    """What to do now in words, and the options of `lossval clean` that do it; None where nothing is advised.

    Rows are left out where that was shown to help. Else labels are mended, from the usual probability on or,
    where no suspect is as sure, from 50 %. `data`: where the table is, if the run does not know.
    """
    study = report.get("removal") or {"recommended": "nothing"}
    train = report["data"]["tables"]["train"]
    name, form = train["name"].lower(), train.get("format")
    if name == "<dataframe>":
        return None
    is_parquet = form == "parquet" or name.endswith((".parquet", ".parq", ".pq"))
    output = f"-o cleaned.{'parquet' if is_parquet else 'csv'}"
    if name == "<stdin>":
        data = "FILE"
    if data is not None:
        output = f"--data {shell_word(data)} {output}"
    if study["recommended"] == "suspects":
        return "writes the table without the suspects", f"{output} --drop suspects"
    if study["recommended"] == "lowest":
        lowest = format_percent(study["recommended_fraction"])
        return f"writes the table without the lowest {lowest}", f"{output} --drop lowest:{lowest}"
    sure = max((row["noise_probability"] for row in report["suspects"] if row["suspect"] == "label"), default=0)
    for least, options in ((0.8, "--relabel"), (0.5, "--relabel --min-probability 50%")):
        if sure >= least:
            does = f"writes the predicted label where the given one is at least {least:.0%} likely wrong"
            return does, f"{output} {options}"
    return None


def not_studied(study: Mapping[str, Any]) -> list[str]:
    """Removals that were not run or came to nothing, those of one reason in one sentence."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for failure in study["failed"]:
        removal, _, reason = failure.partition(": ")
        arm, _, share = removal.rpartition(" ")
        reasons.setdefault((arm.replace("_first", "").replace("random", "any"), reason), []).append(share)
    return [f"{arm} {', '.join(shares)}: {reason}" for (arm, reason), shares in reasons.items()]


def findings(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """Sentences: `look`, what deserves a look, and `ok`, checks that found nothing wrong."""
    said, checks = report.get("verdict") or {}, report.get("health") or ()
    look = [finding["text"] for finding in said.get("findings", ())]
    look += [check["text"] for check in checks if check["level"] != "ok" and check["text"] not in look]
    return {"look": look, "ok": [check["text"] for check in checks if check["level"] == "ok"]}


def beside(report: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """What training shares with the other tables and where they lie, each with the rows it is about."""
    said: list[tuple[str, list[str]]] = []
    for part, name in (("val", "validation"), ("test", "test")):
        leak = (report.get("leakage") or {}).get(part)
        if leak is None:
            continue
        if not leak["other_rows"]:
            said.append((f"No {name} row stands in the training table too.", []))
            continue
        shared = f"{pluralize(leak['other_rows'], f'{name} row')} ({format_percent(leak['other_share'])})"
        text = (
            f"In the training table too, {leak['compared']} alike: {shared}; "
            f"{format_percent(leak['expected_share'])} of training rows have a twin in training."
        )
        said.append((text, [_place(row) for row in leak["examples"]]))
    cover = report.get("coverage")
    if cover is not None:
        remote = f"{cover['uncovered']:,} of {pluralize(cover['rows'], 'validation row')}"
        text = (
            f"Where training has next to nothing: {remote} ({format_percent(cover['share'])}); "
            f"{format_percent(cover['expected_share'])} would be usual."
        )
        said.append((text, [_place(row) for row in cover["examples"]]))
    return said


def _place(row: Mapping[str, Any]) -> str:
    return f"row {row['row']}" if row["line"] is None else f"line {row['line']}"


def usual(known: Mapping[str, Any]) -> str:
    """What a column holds as a rule, to be read beside an odd cell."""
    if "median" in known:
        return f"{known['low']} to {known['high']}, median {known['median']}"
    return f"this cell is in {pluralize(known['rows'], 'row')}"


def measured(value: float | None) -> str:
    """Four significant digits; a dash for null."""
    return "–" if value is None else format_number(value)


def cell(value: object) -> str:
    """A value of the user's table as text, whatever its type."""
    if value is None:
        return "(missing)"
    return format_number(value, 6).replace(",", "") if isinstance(value, float) else str(value)


def metric_name(study: Mapping[str, Any]) -> str:
    """The metric as it is read: `log_loss` -> log loss."""
    return str(study["metric"]).replace("_", " ")


def _kinds(by_kind: Mapping[str, int]) -> str:
    parts = [f"{count:,} by {KIND_WORDS.get(kind, kind)}" for kind, count in by_kind.items() if count]
    return ", ".join(parts) or "none by label or features"


def _gain(study: Mapping[str, Any] | None) -> Figure:
    """Gains are positive when the metric gets better, whichever way that is."""
    name = "Gain by removing rows"
    if study is None:
        return Figure(name, "not studied", "no retraining was done")
    gain = study["expected_gain"]
    if gain is None or gain["value"] is None:
        return Figure(name, "none shown", f"on {study['evaluated_on']} rows")
    what = "the suspects" if study["recommended"] == "suspects" else "the lowest"
    sign = 1 if study["greater_is_better"] else -1
    interval = ""
    if gain["low"] is not None:
        low, high = (format_number(end, 3, "+") for end in sorted(sign * gain[end] for end in ("low", "high")))
        interval = f" (likely {low} to {high})"
    return Figure(
        name,
        format_number(sign * gain["value"], 3, "+"),
        f"{metric_name(study)} without {what} {format_percent(study['recommended_fraction'])}{interval}",
    )
