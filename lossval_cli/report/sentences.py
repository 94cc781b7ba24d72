"""Every sentence about a run, for terminal, HTML, Markdown, `check` and SARIF; nothing is computed here.

Findings are data; these functions put them in words. Those that take a report take the dict that `build_report`
returned or that was read from report.json, in which any section may be null: redacted, or unknown to the method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lossval_cli.noise.label_estimates import LITTLE_SKILL
from lossval_cli.text.escape import shell_word
from lossval_cli.text.format import format_number, format_percent, join_names, pluralize

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
        share = Figure(NOISE_SHARE, format_percent(noise["value"]), f"estimated share of wrong rows, {_likely(noise)}")
    return [suspects, share, _gain(study)]


def suspect_facts(row: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, str]:
    """Describe one suspect in words: where, ids, given, suggested, kind, reason; '' where it is not known."""
    label = report["data"]["roles"]["label"]
    given = row.get("given", row.get(label))
    suggested = row.get("suggested")
    ids = row.get("ids") or {}
    return {
        "where": _location(row),
        "ids": ", ".join(cell(value) for value in ids.values()),
        "given": "" if given is None else cell(given),
        "suggested": "" if suggested is None else cell(suggested),
        "kind": KIND_WORDS.get(row["suspect"], row["suspect"]),
        "reason": row.get("reason") or REASONS.get(row["suspect"], ""),
    }


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
    doubted = [row["noise_probability"] for row in report["suspects"] if row["suspect"] == "label"]
    for least, options in ((0.8, "--relabel"), (0.5, "--relabel --min-probability 50%")):
        changed = [probability for probability in doubted if probability >= least]
        if changed:
            if not _within_interval(changed, summary):
                return None
            does = f"writes the predicted label where the given one is at least {least:.0%} likely wrong"
            return does, f"{output} {options}"
    return None


def run_directory(report: Mapping[str, Any]) -> str:
    """The run directory as a word of a command, relative to its parent directory; RUN_DIR where it is not known."""
    name = report.get("directory")
    return shell_word(str(name)) if name else "RUN_DIR"


def not_studied(study: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each reason why removals were not run or failed."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for failure in study["failed"]:
        removal, _, reason = failure.partition(": ")
        strategy, _, share = removal.rpartition(" ")
        reasons.setdefault((strategy.replace("_first", "").replace("random", "any"), reason), []).append(share)
    return [f"{strategy} {', '.join(shares)}: {reason}" for (strategy, reason), shares in reasons.items()]


def findings(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """Sentences under two keys: `look` for findings that are worth a look, `ok` for checks that found nothing."""
    said, checks = report.get("verdict") or {}, report.get("health") or ()
    look = [finding["text"] for finding in said.get("findings", ())]
    look += [check["text"] for check in checks if check["level"] != "ok" and check["text"] not in look]
    return {"look": look, "ok": [check["text"] for check in checks if check["level"] == "ok"]}


def other_tables(report: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Sentences on rows that other tables share with training and on how training covers them, with example rows."""
    said: list[tuple[str, list[str]]] = []
    for part, name in (("val", "validation"), ("test", "test")):
        leak = (report.get("leakage") or {}).get(part)
        if leak is None:
            continue
        if not (leak["other_rows"] or leak.get("relabelled_rows") or leak.get("near_rows")):
            said.append((f"No {name} row is a duplicate of a training row.", []))
            continue
        compared = "" if leak["compared"] == "features and label" else f" ({leak['compared']} compared)"
        text = (
            f"{duplicates_of_training(leak, name)}{compared}; {format_percent(leak['expected_share'])} of training "
            "rows have a duplicate among themselves."
        )
        said.append((text, [_location(row) for row in leak["examples"]]))
    cover = report.get("coverage")
    if cover is not None:
        said.append((uncovered_rows(cover), [_location(row) for row in cover["examples"]]))
    return said


def duplicates_of_training(leak: Mapping[str, Any], name: str) -> str:
    """Return `3 validation rows (0.8%) are exact duplicates of training rows`."""
    rows, is_one = leak["other_rows"], leak["other_rows"] == 1
    share = format_percent(leak["other_share"])
    what = "is an exact duplicate of a training row" if is_one else "are exact duplicates of training rows"
    more = [
        f"{leak[key]:,} {one if leak[key] == 1 else several}"
        for key, one, several in (
            ("relabelled_rows", "has a duplicate with another label", "have a duplicate with another label"),
            ("near_rows", "is a near copy", "are near copies"),
        )
        if leak.get(key)
    ]
    return "; ".join([f"{pluralize(rows, f'{name} row')} ({share}) {what}", *more])


def uncovered_rows(cover: Mapping[str, Any]) -> str:
    """Return one sentence on validation rows that are far from every training row."""
    count = f"{cover['uncovered']:,} of {pluralize(cover['rows'], 'validation row')}"
    verb = "is" if cover["uncovered"] == 1 else "are"
    return (
        f"{count} ({format_percent(cover['share'])}) {verb} far from every training row; "
        f"{format_percent(cover['expected_share'])} is expected."
    )


def conflicting_duplicates(conflicts: Mapping[str, Any]) -> str:
    """Return one sentence on rows that differ only in their label."""
    groups = pluralize(conflicts["groups"], "group")
    return f"{conflicts['rows']:,} rows in {groups} have identical features but different labels."


def concentrated_suspects(columns: Sequence[str]) -> str:
    """Return one sentence on columns in which suspects are more frequent at some values than at others."""
    more = f" and {pluralize(len(columns) - 3, 'more column')}" if len(columns) > 3 else ""
    return f"Suspects are concentrated in parts of {', '.join(columns[:3])}{more}."


def classes_too_small(rows: int) -> str:
    """Return one sentence on rows of classes that are too rare to be predicted."""
    verb = "its class has" if rows == 1 else "their classes have"
    checked = "was" if rows == 1 else "were"
    return f"{pluralize(rows, 'label')} {checked} not checked: {verb} too few rows."


def little_skill(skill: float) -> str:
    """Return one sentence on a label that the features do not explain."""
    return (
        f"The features hardly explain the label (out-of-fold predictions remove {format_percent(max(skill, 0.0))} of "
        "its uncertainty): a label that is hard to predict is not wrong, so few labels can be flagged."
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
    text += f" ({_likely(noise)}){_mostly(summary)}"
    if healthy and findings:
        text += f"; but {pluralize(findings, 'finding')} {'is' if findings == 1 else 'are'} worth a look"
    return f"{text}."


def _likely(interval: Mapping[str, Any]) -> str:
    return f"likely {format_percent(interval['low'])} to {format_percent(interval['high'])}"


def _mostly(summary: Mapping[str, Any]) -> str:
    kinds, suspects = summary["by_kind"], summary["suspects"]
    if not suspects:
        return ""
    if kinds["label"] >= 0.6 * suspects:
        return ", mostly wrong labels"
    if kinds["features"] >= 0.6 * suspects:
        return ", mostly outliers"
    return ", both wrong labels and outliers"


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
        f"{'trusted ' if one['trusted'] else ''}{_location(one)} ({cell(one['label'])})" for one in found["nearest"]
    )


def deciding_cells(found: Sequence[Mapping[str, Any]]) -> str:
    """Return `Contract = Two year, tenure = 53`."""
    return ", ".join(f"{one['column']} = {cell(one['value'])}" for one in found)


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
    if not _within_interval(doubted, summary):
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


def _within_interval(probabilities: Sequence[float], summary: Mapping[str, Any]) -> bool:
    """Return True if the sum of these probabilities is at most the number of wrong rows at the lower end of the
    interval."""
    share = summary.get("estimated_noise_share")
    return not share or round(sum(probabilities)) <= share["low"] * summary["rows"]


def features_reason(cells: Sequence[str]) -> str:
    """The reason why features are suspect. `cells`: a description of each unusual cell, empty where none is."""
    if not cells:
        return "Each cell is typical by itself, but their combination is unusual."
    return f"Unusual: {'; '.join(cells)}."


def training_loss(first: float, last: float, epochs: int, *, stopped: bool) -> tuple[bool, str]:
    """Return True if training went well, and a sentence on it."""
    course = f"from {format_number(first)} to {format_number(last)} in {pluralize(epochs, 'epoch')}"
    if stopped:
        return False, f"Training loss went {course}; the time limit ended training early, so ranks are provisional."
    if epochs == 1 or last < first:
        return True, f"Training loss {'was ' + format_number(last) if epochs == 1 else 'fell ' + course}."
    return False, f"Training loss did not fall ({course}): lower learning_rate, or train longer."


def validation_rows(rows: int, *, held_out: bool, few: bool, trusted: bool) -> str:
    """Return one sentence on how many validation rows there were; `trusted`: the noise estimate uses their labels."""
    text = f"{pluralize(rows, 'validation row')} {'was' if rows == 1 else 'were'} "
    text += "held out from the training table" if held_out else "given"
    text += ", too few for reliable feature evidence" if few else ""
    return f"{text}; the noise estimate assumes that their labels are right." if trusted else f"{text}."


def repeated_rows(tables: Sequence[tuple[str, int, int]]) -> str:
    """Return one sentence on tables (name, rows, distinct rows) that consist mostly of copies."""
    said = [
        f"{rows:,} {what} rows are copies of {pluralize(distinct, 'distinct row')}" for what, rows, distinct in tables
    ]
    return f"{' and '.join(said)}; each copy counts."


def transport_health(error: float, anchors: Mapping[str, Any] | None, *, rough: bool, converged: bool) -> str:
    """Return one sentence on the accuracy of the transport; `anchors`: number of validation rows used, and of all of
    them."""
    if rough and anchors is not None:
        return (
            f"Transport used {anchors['used']:,} of {anchors['of']:,} validation rows (estimated error "
            f"{format_percent(anchors['error'])}): raise max_anchors."
        )
    if converged:
        return f"Transport converged (marginal error {format_percent(error)})."
    return f"Transport did not converge (marginal error {format_percent(error)}): raise blur."


def scoring_networks(networks: int, *, out_of_fold: bool) -> str:
    """Return one sentence on the number of networks whose mean is the importance of a row."""
    if networks > 1 and not out_of_fold:
        return f"Each row was scored by {networks} networks that trained on it; raise folds to score it out-of-fold."
    if networks > 1:
        return f"Each row was scored by {networks} networks that did not train on it."
    return "Only one network scored each row, so importance_std is empty; raise members."


def tied_rows(tied: int, *, many: bool) -> str:
    """Return one sentence on rows of equal importance, whose order has no meaning."""
    if not tied:
        return "All importances differ."
    text = f"{pluralize(tied, 'row')} {'has' if tied == 1 else 'have'} the same importance as another row"
    return f"{text} and are ranked in the order of the file." if many else f"{text}."


def _location(row: Mapping[str, Any]) -> str:
    return f"row {row['row']}" if row["line"] is None else f"line {row['line']}"


def usual(known: Mapping[str, Any]) -> str:
    """The typical values of a column, shown next to an unusual cell."""
    if "median" in known:
        return f"{known['low']} to {known['high']}, median {known['median']}"
    return f"this value occurs in {pluralize(known['rows'], 'row')}"


def measured(value: float | None) -> str:
    """Write four significant digits; a dash for null."""
    return "–" if value is None else format_number(value)


def cell(value: object) -> str:
    """A value of the user's table as text, whatever its type."""
    if value is None:
        return "(missing)"
    return format_number(value, 6).replace(",", "") if isinstance(value, float) else str(value)


def metric_name(study: Mapping[str, Any]) -> str:
    """The name of the metric in words: `log_loss` -> log loss."""
    return str(study["metric"]).replace("_", " ")


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
        if gain["low"] <= 0 <= gain["high"] and (trials := _recommended_trials(study)):
            first = trials[study["recommended_for"][0]]
            return Figure(name, _error_change(study, first), f"{what}; {_change(study, first)}")
        low, high = (format_number(end, 3, "+") for end in sorted(sign * gain[end] for end in ("low", "high")))
        interval = f" (likely {low} to {high})"
    return Figure(
        name,
        format_number(sign * gain["value"], 3, "+"),
        f"{metric_name(study)} {what}{interval}",
    )


MODEL_WORDS = {
    "network": "neural networks",
    "boosting": "gradient boosting",
    "linear": "linear models",
    "forest": "randomised trees",
    "own": "your model",
}
"""Runs of earlier versions tried networks, too."""


def curve_words(study: Mapping[str, Any]) -> str:
    """The models whose metric the curves of a removal study show."""
    return MODEL_WORDS[study.get("curves_of", "network")]


def strategy_words(strategy: str, share: float) -> str:
    """The removal, relabelling or weighting as the subject of a sentence."""
    if strategy == "weights":
        return "weighting rows by importance"
    if strategy == "relabel":
        return f"relabelling {format_percent(share)} of the rows"
    return "removing the suspects" if strategy == "suspects" else f"removing the lowest {format_percent(share)}"


def removal_verdict(study: Mapping[str, Any]) -> str:
    """The conclusion of a removal study in one to three sentences."""
    if study["baseline"]["mean"] is None:
        rows = f"{study['evaluated_on']} rows"
        return f"Removal could not be studied: {metric_name(study)} cannot be computed on the {rows}."
    on = pluralize(study["evaluation_rows"][0], f"{study['evaluated_on']} row")
    if study["recommended"] == "nothing":
        return _not_recommended(study, on)
    trials = _recommended_trials(study)
    first, *others = study["recommended_for"]
    best = trials[first]
    text = f"Recommended: {strategy_words(best['strategy'], best['share'])} improves the predictions of "
    text += f"{MODEL_WORDS[first]} on {on} ({_error_change(study, best)}; {_change(study, best)})."
    if others:
        text += f" It also improves {' and '.join(MODEL_WORDS[name] for name in others)}."
    if unhelped := [MODEL_WORDS[name] for name in trials if name not in study["recommended_for"]]:
        text += f" No significant improvement was found for {' and '.join(unhelped)}."
    return text


def _recommended_trials(study: Mapping[str, Any]) -> dict[str, Any]:
    """The recommended strategy with each kind of model; none in runs of earlier versions."""
    shares = (1.0, study["recommended_fraction"])
    same = [
        one for one in study.get("trials", ()) if one["strategy"] == study["recommended"] and one["share"] in shares
    ]
    return {trial["model"]: trial for trial in same}


def _not_recommended(study: Mapping[str, Any], on: str) -> str:
    nearly = [trial for trial in study["trials"] if trial["metric_gain"]["value"] is not None]
    if not nearly:
        return f"No removal, relabelling or weighting of rows significantly improves a model on {on}. Keep all rows."
    best = max(nearly, key=lambda trial: trial["error_gain"]["value"] / trial["error_before"])
    what, model = strategy_words(best["strategy"], best["share"]), MODEL_WORDS[best["model"]]
    return (
        f"Not recommended: {what} improves the predictions of {model} on {on} ({_error_change(study, best)}), but "
        f"{metric_name(study)} does not improve ({_change(study, best)})."
    )


def removal_notice(study: Mapping[str, Any]) -> str | None:
    """A note on what limits the study: samples, and the rows that it was evaluated on. None where nothing does."""
    parts = []
    if leaked := study.get("leaked_rows"):
        parts.append(f"evaluated on {study['evaluated_on']} rows of which {leaked:,} are in the training table")
    elif study["evaluated_on"] == "validation":
        parts.append("evaluated on validation rows; use --test to evaluate on rows that nothing else has used")
    used, available = study["training_rows"]
    if used < available:
        parts.append(f"retrained on {used:,} rows drawn from {available:,}")
    used, available = study["evaluation_rows"]
    if used < available:
        parts.append(f"evaluated on {used:,} rows drawn from {available:,}")
    if own := study.get("own_model"):
        parts.append(own)
    return "; ".join(parts) or None


def _change(study: Mapping[str, Any], trial: Mapping[str, Any]) -> str:
    """Return `accuracy +0.018, 95% CI +0.002 to +0.034`, in the direction of the metric."""
    sign = 1 if study["greater_is_better"] else -1
    gain = trial["metric_gain"]
    text = f"{metric_name(study)} {format_number(sign * gain['value'], 3, '+')}"
    if gain["low"] is None:
        return text
    low, high = (format_number(end, 3, "+") for end in sorted(sign * gain[end] for end in ("low", "high")))
    unclear = ", not significant" if gain["low"] <= 0 <= gain["high"] else ""
    return f"{text}, 95% CI {low} to {high}{unclear}"


def _error_change(study: Mapping[str, Any], trial: Mapping[str, Any]) -> str:
    """`Brier score −8%`: the score that every row has."""
    name = "mean absolute error" if study["metric"] in ("rmse", "mae", "r2") else "Brier score"
    return f"{name} −{format_percent(trial['error_gain']['value'] / trial['error_before'])}"
