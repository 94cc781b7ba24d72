"""Sentences about a run as a whole: its verdict, its figures, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lossval_cli.noise.label_estimates import LITTLE_SKILL
from lossval_cli.report.sentences.removal import (
    MODEL_WORDS,
    error_change,
    metric_change,
    metric_name,
    recommended_trials,
)
from lossval_cli.report.sentences.suspects import KIND_WORDS, within_interval
from lossval_cli.report.sentences.words import likely
from lossval_cli.text.escape import shell_word
from lossval_cli.text.format import format_number, format_percent, join_names, pluralize

NOISE_SHARE = "Noise share"
"""The one name of `estimated_noise_share` on screen."""


class Figure(NamedTuple):
    """One of the three main numbers: its name, its value, and a note on it."""

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


def headline(summary: Mapping[str, Any], level: str, *, healthy: bool, findings: int) -> str:
    """The sentence at the top of every page. `healthy`: the noise share needs no action."""
    noise, rows = summary["estimated_noise_share"], pluralize(summary["rows"], "row")
    if noise is None:
        return f"The {rows} are ranked; preset paper does not estimate which of them are wrong."
    estimate = format_percent(noise["value"])
    about = estimate if estimate.startswith("under") else f"about {estimate}"
    if level == "ok":
        text = f"The data looks healthy: {about} of the {rows} may be noisy"
    elif healthy:
        text = f"Few rows look noisy: {about} of the {rows}"
    else:
        verb = "look" if level == "bad" else "may be"
        text = f"{about[0].upper()}{about[1:]} of the {rows} {verb} noisy"
    text += f" ({likely(noise)}){_mostly(summary, noise['low'])}"
    if healthy and findings:
        text += f"; but {pluralize(findings, 'finding')} {'is' if findings == 1 else 'are'} worth a look"
    return f"{text}."


def _mostly(summary: Mapping[str, Any], low: float) -> str:
    """Which kind most suspects are; nothing where possibly no row is wrong. low: lower end of the noise share."""
    kinds, suspects = summary["by_kind"], summary["suspects"]
    if not suspects or round(low, 3) == 0:
        return ""
    if kinds["label"] >= 0.6 * suspects:
        return ", mostly wrong labels"
    if kinds["features"] >= 0.6 * suspects:
        return ", mostly outliers"
    return ", both wrong labels and outliers"


def figures(report: Mapping[str, Any]) -> list[Figure]:
    """Suspects, estimated noise and what removal would do, in this order."""
    summary, study = report["summary"], report.get("removal")
    noise = summary["estimated_noise_share"]
    if noise is None:
        suspects = Figure("Suspect rows", "not estimated", "preset paper ranks rows and names no suspects")
        share = Figure(NOISE_SHARE, "not estimated", "preset paper only ranks rows")
    else:
        suspects = Figure(
            "Suspect rows",
            f"{summary['suspects']:,}",
            f"of {summary['rows']:,}, {_kinds(summary['by_kind'])}",
        )
        share = Figure(NOISE_SHARE, format_percent(noise["value"]), f"estimated share of wrong rows, {likely(noise)}")
    return [suspects, share, _gain(study)]


def _kinds(by_kind: Mapping[str, int]) -> str:
    parts = [f"{count:,} by {KIND_WORDS.get(kind, kind)}" for kind, count in by_kind.items() if count]
    return ", ".join(parts) or "none by label or features"


def _gain(study: Mapping[str, Any] | None) -> Figure:
    """Return the gain as a figure; gains are positive when the metric gets better, whichever way that is."""
    name = "Gain by removing or weighting rows"
    if study is None:
        return Figure(name, "not studied", "no model was retrained")
    gain = study["expected_gain"]
    if gain is None or gain["value"] is None:
        return Figure(name, "none significant", f"on {study['evaluated_on']} rows")
    share = format_percent(study["recommended_fraction"])
    what = {
        "suspects": f"without the suspects {share}",
        "weights": "with rows weighted by importance",
        "relabel": f"with {share} relabelled",
    }.get(study["recommended"], f"without the lowest {share}")
    models = [MODEL_WORDS[name] for name in study.get("recommended_for", ())]
    what += f", for {join_names(models)}" if models else ""
    sign = 1 if study["greater_is_better"] else -1
    interval = ""
    if gain["low"] is not None:
        if gain["low"] <= 0 <= gain["high"] and (trials := recommended_trials(study)):
            first = trials[study["recommended_for"][0]]
            return Figure(name, error_change(study, first), f"{what}; {metric_change(study, first)}")
        low, high = (format_number(end, 3, "+") for end in sorted(sign * gain[end] for end in ("low", "high")))
        interval = f" (likely {low} to {high})"
    return Figure(
        name,
        format_number(sign * gain["value"], 3, "+"),
        f"{metric_name(study)} {what}{interval}",
    )


def findings(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """Sentences under two keys: `look` for findings that are worth a look, `ok` for checks that found nothing."""
    said, checks = report.get("verdict") or {}, report.get("health") or ()
    look = [finding["text"] for finding in said.get("findings", ())]
    look += [check["text"] for check in checks if check["level"] != "ok" and check["text"] not in look]
    return {"look": look, "ok": [check["text"] for check in checks if check["level"] == "ok"]}


def little_skill(skill: float) -> str:
    """Return one sentence on a label that the features do not explain."""
    return (
        f"The features hardly explain the label (out-of-fold predictions remove {format_percent(max(skill, 0.0))} of "
        "its uncertainty): a label that is hard to predict is not wrong, so few labels can be flagged."
    )


def next_step(report: Mapping[str, Any], data: str | None = None) -> tuple[str, str] | None:
    """The next step in words, and the options of `lossval clean` that do it; None where nothing is advised.

    Rows are left out where that was shown to help. Otherwise labels are corrected from the default probability on or,
    if no suspect reaches it, from 50 %. Numbers are never corrected. Nor are labels that the features hardly explain,
    or where fewer rows may be wrong by the interval of the noise share.
    `data`: the path of the table, if the run does not record it.
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
    if study["recommended"] == "weights":
        return (
            "writes the table with a column of weights, to be used as sample weights",
            f"{output} --add-weights weight",
        )
    if study["recommended"] == "relabel":
        does = "writes the predicted label where the given one is at least 50% likely wrong"
        return does, f"{output} --relabel --min-probability 50%"
    if study["recommended"] == "lowest":
        lowest = format_percent(study["recommended_fraction"])
        return f"writes the table without the lowest {lowest}", f"{output} --drop lowest:{lowest}"
    summary = report["summary"]
    skill = summary.get("skill")
    if report["data"]["roles"].get("task") == "regression" or (skill is not None and skill < LITTLE_SKILL):
        return None
    doubted = [row for row in report["suspects"] if row["suspect"] == "label"]
    for least, options in ((0.8, "--relabel"), (0.5, "--relabel --min-probability 50%")):
        changed = [row for row in doubted if row["noise_probability"] >= least]
        if changed:
            if not within_interval(changed, report):
                return None
            does = f"writes the predicted label where the given one is at least {least:.0%} likely wrong"
            return does, f"{output} {options}"
    return None


def run_directory(report: Mapping[str, Any]) -> str:
    """The run directory as a word of a command, relative to its parent directory; RUN_DIR where it is not known."""
    name = report.get("directory")
    return shell_word(str(name)) if name else "RUN_DIR"
