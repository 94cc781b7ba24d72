"""What the plots draw: importances in bins with the suspects among them, and the evidences of each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lossval_cli.lossval.training import Fit
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.report.findings.names import rounded
from lossval_cli.score_columns import KINDS

Floats = npt.NDArray[np.float64]

BINS = 48
POINTS = 2_000
"""Suspects, and other rows, that are drawn at most; of more other rows an evenly spaced sample is."""

TAIL = 0.0005
"""Share of rows at each end that goes into the outermost bins, so that a few extremes do not squeeze the
rest."""


def find_distributions(
    fit: Fit, noise: NoiseEstimate | None, kinds: npt.NDArray[np.object_], recommended_fraction: float
) -> dict[str, Any]:
    """Describe distributions over the rows. `kinds` (N,): '', 'label', 'features' or 'label+features'."""
    return {
        "importance": _importance(fit.importance, kinds, recommended_fraction),
        "evidence": _evidence(fit, kinds),
        "thresholds": _thresholds(noise),
    }


def _importance(importance: Floats, kinds: npt.NDArray[np.object_], fraction: float) -> dict[str, Any]:
    low, high = np.quantile(importance, [TAIL, 1 - TAIL])
    low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
    edges = np.linspace(low, high, BINS + 1)
    inside = np.clip(importance, low, high)
    marks = {f"lowest {share:.0%}": share for share in (0.05, 0.1)}
    if fraction:
        marks[f"advised: lowest {fraction:.0%}"] = fraction
    return {
        "edges": rounded(edges),
        "rows": np.histogram(inside, edges)[0].tolist(),
        "suspects": {kind: np.histogram(inside[kinds == kind], edges)[0].tolist() for kind in KINDS},
        "marks": [
            {"name": name, "importance": rounded([np.quantile(importance, share)])[0], "share": share}
            for name, share in marks.items()
        ],
    }


def _evidence(fit: Fit, kinds: npt.NDArray[np.object_]) -> dict[str, Any] | None:
    label, features = fit.label_evidence, fit.feature_evidence
    if not (np.isfinite(label).all() and np.isfinite(features).all()):
        return None
    suspects = np.flatnonzero(kinds != "")
    # Of too many suspects the least important ones are drawn.
    suspects = suspects[np.argsort(fit.importance[suspects], kind="stable")][:POINTS]
    others = np.flatnonzero(kinds == "")
    others = others[:: max(1, -(-len(others) // POINTS))]
    drawn = np.concatenate([suspects, others])
    return {
        "points": {
            "label": rounded(label[drawn], 4),
            "features": rounded(features[drawn], 4),
            "suspect": [str(kind) for kind in kinds[drawn]],
        },
    }


def _thresholds(noise: NoiseEstimate | None) -> dict[str, Any] | None:
    """Probability of a wrong label, and of unusual features, from which a row is a suspect; null: there is
    none."""
    if noise is None:
        return None
    pairs = (
        ("label_probability", noise.label_suspect, noise.label_threshold),
        ("feature_probability", noise.feature_suspect, noise.feature_threshold),
    )
    return {name: rounded([limit])[0] if suspect.any() else None for name, suspect, limit in pairs}
