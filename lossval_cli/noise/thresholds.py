"""The threshold file: from which probability on a row is a suspect, and on what evidence.

`lossval calibrate` writes it; `score` and `check` read it with --thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from lossval_cli.errors import UsageError
from lossval_cli.features.dataset import Dataset
from lossval_cli.presets import parse_toml, read_settings
from lossval_cli.settings import Settings
from lossval_cli.text.format import format_name, join_names, pluralize, quote

FILE_VERSION = 1
"""Raised when a field changes its meaning or goes."""

INDIFFERENT = frozenset({"preset", "seed", "device", "threads", "metric", "task"})
"""Settings that may differ between calibration and use: they do not change what probabilities mean."""


@dataclass(frozen=True)
class Thresholds:
    """The content of a threshold file."""

    label: float
    """Probability that the label is wrong from which a row is suspect by its label."""
    features: float
    """Probability of being an outlier from which a row is suspect by its features."""
    goal: str
    """The goal that they were chosen for: `highest F1` or `precision 0.9`."""
    file: str
    """Name without directories."""
    sha256: str
    """Digest of the file."""
    table: str
    label_column: str
    columns: tuple[str, ...]
    """Feature columns of the table that they were measured on."""
    settings: Mapping[str, Any]

    def notice(self) -> str:
        """Return the sentence that names the thresholds."""
        return (
            f"thresholds: rows are suspect from a probability of {self.label:g} (label) or {self.features:g} "
            f"(features), chosen for {self.goal} by {format_name(self.file)}"
        )

    def warnings(self, dataset: Dataset, settings: Settings) -> tuple[str, ...]:
        """Return a sentence for each difference from the run on which the thresholds were measured."""
        name, found = format_name(self.file), []
        there, here = {self.label_column, *self.columns}, {dataset.roles.label, *dataset.roles.features}
        differences = []
        if gone := sorted(there - here):
            differences.append(f"lacks {join_names(gone)}")
        if added := sorted(here - there):
            differences.append(f"adds {join_names(added)}")
        if dataset.roles.label != self.label_column and not differences:
            differences.append(
                f"predicts {format_name(dataset.roles.label)} instead of {format_name(self.label_column)}"
            )
        if differences:
            found.append(
                f"{name} was measured on a table with other columns ({format_name(self.table)}; this table "
                f"{' and '.join(differences)}), so its precision may not hold here"
            )
        own = settings.as_dict()
        changed = [
            f"{key} {self.settings[key]}, here {'auto' if own[key] is None else own[key]}"
            for key in own
            if key not in INDIFFERENT
            and key in self.settings
            and self.settings[key] != ("auto" if own[key] is None else own[key])
        ]
        if changed:
            found.append(
                f"{name} was measured with {pluralize(len(changed), 'other setting')} "
                f"({'; '.join(changed[:3])}), so its precision may not hold here"
            )
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for report.json and run.json."""
        return {
            "label": self.label,
            "features": self.features,
            "goal": self.goal,
            "file": self.file,
            "sha256": self.sha256,
        }


def read_thresholds(path: Path) -> Thresholds:
    """A threshold file. Raises UsageError, one line, where it is not there or not one."""
    called = f"threshold file {format_name(str(path))}"
    data = read_settings(path, "threshold file")  # once: it may be a pipe
    content = parse_toml(data, path, "threshold file")
    if content.get("lossval_thresholds") != FILE_VERSION:
        found = content.get("lossval_thresholds")
        what = (
            "is not a threshold file of lossval" if found is None else f"has version {quote(found)}, not {FILE_VERSION}"
        )
        raise UsageError(f"{called} {what}: `lossval calibrate -o FILE` writes one")
    try:
        table = content["table"]
        label, features = (_probability(content["thresholds"], key) for key in ("label", "features"))
        texts = [content["goal"], table["name"], table["label"], *table["columns"]]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("goal and the names of table must be text")
        return Thresholds(
            label=label,
            features=features,
            goal=content["goal"],
            file=path.name,
            sha256=sha256(data).hexdigest(),
            table=table["name"],
            label_column=table["label"],
            columns=tuple(table["columns"]),
            settings=dict(content["settings"]),
        )
    except KeyError as error:
        raise UsageError(f"{called} is incomplete: it has no {error.args[0]}") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"{called} is damaged: {error}") from error


def _probability(table: Mapping[str, Any], key: str) -> float:
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError(f"thresholds.{key} must be a probability above 0 and up to 1, not {quote(value)}")
    return float(value)
