"""Sentences about what removing, relabelling or weighting rows does to models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossval_cli.text.format import format_number, format_percent, pluralize

MODEL_WORDS = {
    "network": "neural networks",
    "boosting": "gradient boosting",
    "linear": "linear models",
    "forest": "randomised trees",
    "own": "your model",
}
"""Runs of earlier versions tried networks, too."""


def metric_name(study: Mapping[str, Any]) -> str:
    """The name of the metric in words: `log_loss` -> log loss."""
    return str(study["metric"]).replace("_", " ")


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
    trials = recommended_trials(study)
    first, *others = study["recommended_for"]
    best = trials[first]
    text = f"Recommended: {strategy_words(best['strategy'], best['share'])} improves the predictions of "
    text += f"{MODEL_WORDS[first]} on {on} ({error_change(study, best)}; {metric_change(study, best)})."
    if others:
        text += f" It also improves {' and '.join(MODEL_WORDS[name] for name in others)}."
    if unhelped := [MODEL_WORDS[name] for name in trials if name not in study["recommended_for"]]:
        text += f" No significant improvement was found for {' and '.join(unhelped)}."
    return text


def _not_recommended(study: Mapping[str, Any], on: str) -> str:
    nearly = [trial for trial in study["trials"] if trial["metric_gain"]["value"] is not None]
    if not nearly:
        return f"No removal, relabelling or weighting of rows significantly improves a model on {on}. Keep all rows."
    best = max(nearly, key=lambda trial: trial["error_gain"]["value"] / trial["error_before"])
    what, model = strategy_words(best["strategy"], best["share"]), MODEL_WORDS[best["model"]]
    return (
        f"Not recommended: {what} improves the predictions of {model} on {on} ({error_change(study, best)}), but "
        f"{metric_name(study)} does not improve ({metric_change(study, best)})."
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


def not_studied(study: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each reason why removals were not run or failed."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for failure in study["failed"]:
        removal, _, reason = failure.partition(": ")
        strategy, _, share = removal.rpartition(" ")
        reasons.setdefault((strategy.replace("_first", "").replace("random", "any"), reason), []).append(share)
    return [f"{strategy} {', '.join(shares)}: {reason}" for (strategy, reason), shares in reasons.items()]


def recommended_trials(study: Mapping[str, Any]) -> dict[str, Any]:
    """The recommended strategy with each kind of model; none in runs of earlier versions."""
    shares = (1.0, study["recommended_fraction"])
    same = [
        one for one in study.get("trials", ()) if one["strategy"] == study["recommended"] and one["share"] in shares
    ]
    return {trial["model"]: trial for trial in same}


def metric_change(study: Mapping[str, Any], trial: Mapping[str, Any]) -> str:
    """Return `accuracy +0.018, 95% CI +0.002 to +0.034`, in the direction of the metric."""
    sign = 1 if study["greater_is_better"] else -1
    gain = trial["metric_gain"]
    text = f"{metric_name(study)} {format_number(sign * gain['value'], 3, '+')}"
    if gain["low"] is None:
        return text
    low, high = (format_number(end, 3, "+") for end in sorted(sign * gain[end] for end in ("low", "high")))
    unclear = ", not significant" if gain["low"] <= 0 <= gain["high"] else ""
    return f"{text}, 95% CI {low} to {high}{unclear}"


def error_change(study: Mapping[str, Any], trial: Mapping[str, Any]) -> str:
    """`Brier score −8%`: the score that every row has."""
    name = "mean absolute error" if study["metric"] in ("rmse", "mae", "r2") else "Brier score"
    return f"{name} −{format_percent(trial['error_gain']['value'] / trial['error_before'])}"
