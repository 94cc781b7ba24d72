"""Everything a calibration found, as data for the page, the JSON output and the threshold file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lossval_cli.calibration.choice import Choice, choose_threshold
from lossval_cli.calibration.counts import (
    INTERVAL,
    KINDS,
    Found,
    Reliability,
    as_scored,
    count_flags,
    measure_reliability,
)
from lossval_cli.calibration.trials import Baseline, Trial
from lossval_cli.report.build import base_name
from lossval_cli.version import __version__

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or goes; new fields alone do not raise it."""


@dataclass(frozen=True)
class Calibration:
    """Outcome of a calibration: what was planted in which table, what the flags found of it, and the thresholds that
    follow."""

    table: str
    sha256: str | None
    val: str | None
    val_sha256: str | None
    rows: int
    left_out: int
    """Rows that were suspect before anything was planted."""
    label_column: str
    columns: tuple[str, ...]
    rates: tuple[float, ...]
    repeats: int
    settings: dict[str, Any]
    found: list[Found]
    """Counts of the flags as `score` sets them: by kind, then by rate."""
    reliability: list[Reliability]
    goal: str
    choices: list[Choice]
    """For label and for features."""

    @property
    def calibration_error(self) -> float:
        """Mean distance of stated probability and planted share over the tenths, weighted by their rows."""
        rows = [one for one in self.reliability if one.stated is not None]
        total = sum(one.noisy.of for one in rows)
        gaps = (one.noisy.of * abs((one.stated or 0.0) - (one.noisy.value or 0.0)) for one in rows)
        return sum(gaps) / total

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "version": __version__,
            "table": {
                "name": self.table,
                "sha256": self.sha256,
                "val": self.val,
                "val_sha256": self.val_sha256,
                "rows": self.rows,
                "label": self.label_column,
                "columns": list(self.columns),
            },
            "planted": {"rates": list(self.rates), "repeats": self.repeats, "left_out": self.left_out},
            "interval": {"method": "Wilson", "level": INTERVAL},
            "flags": [one.to_dict() for one in self.found],
            "reliability": [
                {"low": one.low, "high": one.high, "stated": one.stated, "noisy": one.noisy.to_dict()}
                for one in self.reliability
            ],
            "calibration_error": self.calibration_error,
            "thresholds": {
                "goal": self.goal,
                **{
                    choice.kind: {
                        "threshold": choice.threshold,
                        "best_precision": choice.best_precision,
                        "flags": [one.to_dict() for one in choice.found],
                    }
                    for choice in self.choices
                },
            },
            "settings": self.settings,
        }


def conclude(baseline: Baseline, trials: Sequence[Trial], precision: float | None) -> Calibration:
    """Count and choose. precision: what flags have to reach, None for the highest F1."""
    dataset, eligible = baseline.dataset, baseline.eligible
    val = None if dataset.held_out is not None else dataset.val.table
    return Calibration(
        table=base_name(dataset.train.table),
        sha256=dataset.train.table.sha256,
        val=None if val is None else base_name(val),
        val_sha256=None if val is None else val.sha256,
        rows=len(eligible),
        left_out=int((~eligible).sum()),
        label_column=dataset.roles.label,
        columns=dataset.roles.features,
        rates=tuple(sorted({trial.rate for trial in trials})),
        repeats=1 + max(trial.repeat for trial in trials),
        settings=baseline.settings.as_dict(),
        found=[one for kind in KINDS for one in count_flags(trials, eligible, kind, as_scored(kind))],
        reliability=measure_reliability(trials, eligible),
        goal="highest F1" if precision is None else f"precision {precision:g}",
        choices=[choose_threshold(trials, eligible, kind, precision) for kind in KINDS[:2]],
    )
