"""The columns of the scores and the kinds of suspects: names that files and later commands agree on."""

from __future__ import annotations

from collections.abc import Sequence

FIXED_COLUMNS = (
    "rank",
    "row",
    "line",
    "importance",
    "importance_std",
    "label_evidence",
    "feature_evidence",
    "noise_probability",
    "label_noise_probability",
    "feature_noise_probability",
    "suspect",
    "predicted",
    "predicted_probability",
)
"""Columns of every scores table, a contract; id columns and the label stand between `line` and
`importance`."""

TAG_COLUMN = "label_noise_probability:"
"""Of several tags a row, each has a column of its own at the end, called so and like the tag."""

KINDS = ("label", "features", "label+features")
"""What `suspect` holds; it is empty in a row that is not suspect."""


def given_names(label: str, ids: Sequence[str]) -> dict[str, str]:
    """The user's columns in the scores, ids and then the label -> what they are called there.

    One that has the name of one of ours gets `_given` appended.
    """
    names: dict[str, str] = {}
    for name in (*ids, label):
        shown = name
        while shown in FIXED_COLUMNS or shown in names.values():
            shown += "_given"
        names[name] = shown
    return names


def score_columns(label: str, ids: Sequence[str]) -> list[str]:
    """The columns of the scores, in order."""
    return [*FIXED_COLUMNS[:3], *given_names(label, ids).values(), *FIXED_COLUMNS[3:]]
