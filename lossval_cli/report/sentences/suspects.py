"""Sentences about a suspect row, and about the suspects to look at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lossval_cli.report.sentences.words import cell, location, measured
from lossval_cli.text.format import format_percent, pluralize

LISTED = 100
"""Number of suspects that the page lists and that the first sentence counts."""

KIND_WORDS = {"label": "label", "features": "features", "label+features": "label and features"}

REASONS = {
    "label": "The label is unlikely.",
    "features": "The features are unusual.",
    "label+features": "The label is unlikely, and the features are unusual.",
}
"""The reason for each kind of suspect, where the reason of the row, which quotes the user's cells, is not known."""

SHORT_REASONS = {
    "label": "unlikely label",
    "features": "unusual features",
    "label+features": "both label and features",
    "": "not suspect",
}
"""The same for a column of a table."""


def suspect_facts(row: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, str]:
    """Describe one suspect in words: where, ids, given, suggested, kind, reason; '' where it is not known."""
    label = report["data"]["roles"]["label"]
    given = row.get("given", row.get(label))
    suggested = row.get("suggested")
    ids = row.get("ids") or {}
    return {
        "where": location(row),
        "ids": ", ".join(cell(value) for value in ids.values()),
        "given": "" if given is None else cell(given),
        "suggested": "" if suggested is None else cell(suggested),
        "kind": KIND_WORDS.get(row["suspect"], row["suspect"]),
        "reason": row.get("reason") or REASONS.get(row["suspect"], ""),
    }


def label_reason(given: str, chance: float | None, predicted: str, odds: float | None) -> str:
    """The reason why a label is suspect. `chance`, `odds`: probabilities of the given and the predicted label, None for
    numbers."""
    if chance is None or odds is None:
        return f"Labelled {given}, but the model predicts {predicted}."
    share = format_percent(chance, 0)
    least = f"Labelled {given}, to which the model gives {share if share.startswith('under') else 'only ' + share}"
    return f"{least}." if predicted == given else f"{least}; it predicts {predicted} ({format_percent(odds, 0)})."


def tags_reason(given: str, doubtful: Sequence[tuple[str, bool, float]]) -> str:
    """The reason why tags are suspect. `doubtful`: name, whether the row has the tag, and its probability."""
    said = [
        f"{'' if has else 'lacks '}{tag}, to which the model gives {format_percent(chance, 0)}"
        for tag, has, chance in doubtful
    ]
    return f"Labelled {given}: {'; '.join(said)}."


def unsure_label(given: str, predicted: str) -> str:
    """The sentence on the label of a row whose features are unusual."""
    return f"With such features the prediction says little about the label (labelled {given}, predicted {predicted})."


def neighbours_reason(found: Mapping[str, Any], given: str) -> str:
    """Return `48 of the 50 nearest rows (5 trusted) are labelled No, and none is labelled Yes.`; `given`: the row's
    label."""
    trusted = f" ({found['trusted']:,} trusted)" if found["trusted"] else ""
    if "median" in found:
        middle = f"from {measured(found['low'])} to {measured(found['high'])} (median {measured(found['median'])})"
        return f"Half of the {found['rows']:,} nearest rows{trusted} have labels {middle}."
    first = found["labels"][0]
    same, rest = found.get("same"), ""
    if same is not None and first["label"] != given:
        rest = f", and {same or 'none'} {'is' if same in (0, 1) else 'are'} labelled {given}"
    return f"{first['rows']:,} of the {found['rows']:,} nearest rows{trusted} are labelled {first['label']}{rest}."


def class_probabilities(found: Sequence[Mapping[str, Any]]) -> str:
    """Return `Yes 97%, No 3%`."""
    return ", ".join(f"{one['label']} {format_percent(one['probability'], 0)}" for one in found)


def nearest_rows(found: Mapping[str, Any]) -> str:
    """Return `line 12 (No), line 40 (No), trusted line 7 (No)`."""
    return ", ".join(
        f"{'trusted ' if one['trusted'] else ''}{location(one)} ({cell(one['label'])})" for one in found["nearest"]
    )


def deciding_cells(found: Sequence[Mapping[str, Any]]) -> str:
    """Return `Contract = Two year, tenure = 53`."""
    return ", ".join(f"{one['column']} = {cell(one['value'])}" for one in found)


def features_reason(cells: Sequence[str]) -> str:
    """The reason why features are suspect. `cells`: a description of each unusual cell, empty where none is."""
    if not cells:
        return "Each cell is typical by itself, but their combination is unusual."
    return f"Unusual: {'; '.join(cells)}."


def usual(known: Mapping[str, Any]) -> str:
    """The typical values of a column, shown next to an unusual cell."""
    if "median" in known:
        return f"{known['low']} to {known['high']}, median {known['median']}"
    return f"this value occurs in {pluralize(known['rows'], 'row')}"


def first_rows(report: Mapping[str, Any]) -> str:
    """The expected number of wrong rows among the listed suspects; empty where none is listed or it is not known.

    Without trusted rows, a row that is certainly unusual may still be right. So outliers, and numbers far from their
    prediction, are counted without this number. The same holds for labels where, by the interval of the noise share,
    fewer rows of the whole table may be wrong: such labels may be hard to predict and right.
    """
    rows = [row for row in report["suspects"][:LISTED] if row.get("noise_probability") is not None]
    if not rows:
        return ""
    data, summary, count = report["data"], report["summary"], len(rows)
    is_open = bool(data.get("held_out"))  # no trusted rows
    is_far = is_open and data["roles"].get("task") == "regression"
    counted = [row for row in rows if not (is_far or (is_open and "features" in row["suspect"]))]
    doubted = [row["noise_probability"] for row in counted]
    if not within_interval(counted, report):
        doubted = []
    outliers = 0 if doubted and not is_open else sum("features" in row["suspect"] for row in rows)
    unsure = count - len(doubted) - outliers
    if count == len(doubted) == 1:
        return f"Check it: it is wrong with a probability of {format_percent(doubted[0], 0)}."
    which = "all" if count == summary.get("suspects") else "the first"
    text = "Check it" if count == 1 else f"Check {which} {count:,} suspects"
    if doubted:
        wrong, of = round(sum(doubted)), "them" if len(doubted) == count else f"the {len(doubted):,} unlikely labels"
        expected = f"about {wrong:,} of {of} {'is' if wrong == 1 else 'are'} expected to be wrong"
        if len(doubted) == 1:
            expected = f"1 label is wrong with a probability of {format_percent(doubted[0], 0)}"
        text += f": {expected}"
    unusual = []
    if unsure and is_far:
        unusual.append(f"{pluralize(unsure, 'label')} {'lies' if unsure == 1 else 'lie'} far from the prediction")
    elif unsure:
        unusual.append(f"{pluralize(unsure, 'label')} {'is' if unsure == 1 else 'are'} unlikely")
    if outliers:
        unusual.append(f"{pluralize(outliers, 'row')} {'is an outlier' if outliers == 1 else 'are outliers'}")
    if not unusual:
        return f"{text}."
    text += f"{';' if doubted else ':'} {' and '.join(unusual)}"
    may = "it may be an error" if outliers + unsure == 1 else "they may be errors"
    return f"{text}; {may}, or rare and right{' (trusted rows would show which)' if is_open else ''}."


def within_interval(rows: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> bool:
    """Return True if no more of these suspects are expected to be wrong than at the lower end of the interval, of which
    the outliers among the other suspects take their part."""
    share = report["summary"].get("estimated_noise_share")
    counted = {id(row) for row in rows}
    outliers = [row for row in report["suspects"] if "features" in row["suspect"] and id(row) not in counted]
    expected = sum(row["noise_probability"] for row in (*rows, *outliers))
    return not share or round(expected) <= share["low"] * report["summary"]["rows"]
