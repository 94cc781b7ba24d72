"""What the review says, on the page and on the terminal alike."""

from __future__ import annotations

from pathlib import Path

from lossval_cli.review.progress import WORTH_IT, Forecast
from lossval_cli.text.escape import shell_word
from lossval_cli.text.format import format_percent

KIND_WORDS = {
    "label": "suspect by its label",
    "features": "suspect by its features",
    "label+features": "suspect by label and features",
    "": "not flagged",
}

RANDOM = "drawn at random"

FEWEST_RANDOM = 5
"""Random rows from which something is said of all others."""

UNFLAGGED_REASON = "Not flagged. Of the rows that are not, it is among the most likely to be wrong."


def prediction_reason(given: str | None, predicted: str | None, chance: float | None) -> str:
    """Return `The models predict no (61%).`; '' where they predict the given label, or nothing."""
    if predicted is None or predicted == given:
        return ""
    return f"The models predict {predicted}{'' if chance is None else f' ({format_percent(chance, 0)})'}."


RANDOM_REASON = (
    "Not a suspect. It was drawn at random from the rows that are not, to learn how many wrong rows were not flagged."
)

KEYS = (
    ("K", "keep", "Keep", "the row is right"),
    ("R", "relabel", "Relabel", "choose or type the right label"),
    ("F", "fix", "Fix a cell", "type what a cell should hold"),
    ("D", "drop", "Drop", "leave the row out of the cleaned table"),
    ("S", "skip", "Skip", "look at it later"),
    ("U", "undo", "Undo", "take your last decision back"),
    ("?", "help", "Help", "what the keys do"),
)
"""Key, action, name, what it does."""


def progress_sentence(seen: Forecast) -> str:
    """Return `41 reviewed, 29 were wrong. About 18 of the next 50 are; about 33 (20 to 47) of all 159 that are
    left.`"""
    said, verb = "Nothing is reviewed yet.", "are wrong"
    if seen.reviewed:
        said = f"{seen.reviewed:,} reviewed, {seen.wrong or 'none'} {'were' if seen.wrong > 1 else 'was'} wrong."
        verb = "are"
    if not seen.left_rows:
        return said
    left = f"about {round(seen.left):,} ({seen.low:,} to {seen.high:,}) of all {seen.left_rows:,} that are left"
    if seen.next_rows == seen.left_rows:
        return f"{said} {left[0].upper()}{left[1:]} {verb}."
    return f"{said} About {round(seen.next_wrong):,} of the next {seen.next_rows:,} {verb}; {left}."


def random_sentence(seen: Forecast) -> str:
    """Describe what random rows say of those that are not suspect; '' where too few were reviewed."""
    if seen.others < FEWEST_RANDOM:
        return ""
    low, high = format_percent(seen.others_low, 0), format_percent(seen.others_high, 0)
    return (
        f"Of the rows that are not suspect, {seen.others:,} drawn at random were "
        f"reviewed and {seen.others_wrong or 'none'} {'were' if seen.others_wrong > 1 else 'was'} wrong: likely "
        f"{low} to {high} of all such rows are."
    )


def clean_command(directory: Path, table: str, data: str | None) -> str:
    """Return the command that applies the decisions about a table, which is at `data` where the run does not know; as
    it can be typed."""
    ending = next((kind for kind in (".parquet", ".parq", ".pq") if table.lower().endswith(kind)), ".csv")
    where = "" if data is None else f" --data {shell_word(data)}"
    return f"lossval clean {shell_word(str(directory))}{where} -o cleaned{ending} --decisions"


def stop_sentence(seen: Forecast) -> str:
    """Advise when to stop; '' where it is not yet time."""
    if not seen.left_rows:
        return "Every row is decided."
    if seen.next_wrong < WORTH_IT * seen.next_rows:
        return f"You may stop: fewer than one in ten of the next {seen.next_rows:,} is expected to be wrong."
    return ""
