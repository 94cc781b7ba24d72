"""The threshold file that `lossval calibrate` writes, and `noise.thresholds` reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossval_cli.calibration.outcome import Calibration
from lossval_cli.noise.thresholds import FILE_VERSION
from lossval_cli.toml_text import toml_lines
from lossval_cli.version import __version__


def threshold_text(found: Calibration) -> str:
    """The content of a threshold file, evidence included. Every kind has found its threshold."""
    lines = [
        "# Probabilities from which rows are suspect, for `lossval score` and `lossval check --thresholds`.",
        "# Written by `lossval calibrate`; below them, what they reached on planted noise:",
        "# precision and recall with 95 % Wilson intervals, and a lower bound of the precision that counts every",
        "# flag on rows that were suspect before anything was planted (doubtful) as a false one.",
        *toml_lines({"lossval_thresholds": FILE_VERSION, "version": __version__, "goal": found.goal}),
        "",
        "[thresholds]",
        *toml_lines({choice.kind: choice.threshold for choice in found.choices}),
        "",
        "[table]",
    ]
    table = found.to_dict()["table"]
    lines += toml_lines({key: value for key, value in table.items() if value is not None})
    lines += ["", "[planted]", *toml_lines(found.to_dict()["planted"])]
    lines += ["", "[settings]", *toml_lines(found.settings)]
    for one in (one for choice in found.choices for one in choice.found):
        lines += ["", "[[measured]]"]
        lines += toml_lines({key: value for key, value in _flat(one.to_dict()).items() if value is not None})
    return "\n".join(lines) + "\n"


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"recall": {"low": .5}}` -> `{"recall_low": .5}`, and `recall` for its value."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= {key: value["value"], f"{key}_low": value["low"], f"{key}_high": value["high"]}
        else:
            flat[key] = value
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in flat.items()}
