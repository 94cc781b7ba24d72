"""What report.json says: the numbers behind every page and every gate, and nothing computed twice.

A table of contents: each finding has a file of its own in `lossval_cli.report.findings`.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from lossval_cli._version import REPORT_VERSION
from lossval_cli.encoding.inputs import Inputs, Part
from lossval_cli.encoding.labels import ClassLabels
from lossval_cli.method.importance import suspect_kinds
from lossval_cli.method.noise import NoiseEstimate
from lossval_cli.method.removal import RemovalStudy
from lossval_cli.method.valuation import Valuation
from lossval_cli.report.findings.class_noise import confusion, noise_by_label
from lossval_cli.report.findings.coverage import measure_coverage
from lossval_cli.report.findings.distributions import find_distributions
from lossval_cli.report.findings.duplicates import find_conflicts, find_leakage
from lossval_cli.report.findings.explain import explain_suspects
from lossval_cli.report.findings.health import check_health
from lossval_cli.report.findings.slices import find_slices
from lossval_cli.report.findings.survey import Survey, keys_of, survey
from lossval_cli.report.findings.verdict import judge
from lossval_cli.report.findings.wordings import rounded
from lossval_cli.score_columns import KINDS
from lossval_cli.settings import Settings
from lossval_cli.tables.table import Table
from lossval_cli.wording import plain

MOST_COLUMNS = 200
"""Columns that `data` describes; a wide table would drown the rest."""

MOST_EPOCHS = 200
"""Epochs of the history that are kept, evenly spread, the last one always."""


def build_report(
    inputs: Inputs,
    valuation: Valuation,
    removal: RemovalStudy | None,
    table: pa.Table,
    settings: Settings,
    device: torch.device,
) -> dict[str, Any]:
    """Everything that is known about a run as one JSON-serialisable dict (`table`: the ranked rows).

    Holds no absolute path and no number that JSON does not know; `timing` is for the caller to fill in.
    """
    noise = valuation.noise
    kinds = suspect_kinds(noise, len(valuation.importance))
    seen = survey(inputs, noise)
    study = None if removal is None else removal.to_dict()
    recommended = study["recommended_fraction"] if study and study["recommended"] == "lowest" else 0.0
    report: dict[str, Any] = {
        "schema_version": REPORT_VERSION,
        "verdict": None,
        "summary": _summary(valuation, kinds),
        "removal": study,
        "suspects": explain_suspects(inputs, valuation, table, kinds, seen),
        "model": _model(valuation, device),
        "data": _data(inputs),
        "settings": settings.as_dict(),
        "timing": {},
        "notices": [*valuation.notices, *_notices(inputs)],
        "classes": None if noise is None else noise_by_label(seen.label),
        "confusion": _confusion(inputs, valuation),
        "slices": _slices(noise, seen, len(kinds)),
        "conflicting_duplicates": _conflicts(inputs, seen),
        "leakage": {
            "val": None if inputs.held_out is not None else _leakage(inputs, seen, inputs.val),
            "test": None if inputs.test is None else _leakage(inputs, seen, inputs.test),
        },
        "coverage": _coverage(inputs, settings),
        "distributions": find_distributions(valuation, kinds, recommended),
        "health": check_health(inputs, valuation, settings, seen.keys),
    }
    report["verdict"] = judge(report)
    return report


def _confusion(inputs: Inputs, valuation: Valuation) -> dict[str, Any] | None:
    """None for numbers and where nothing is suspected."""
    y, noise = inputs.train.y, valuation.noise
    if noise is None or y is None or not isinstance(inputs.labels, ClassLabels):
        return None
    suggested = valuation.predictions.argmax(axis=1)
    return confusion(y.astype(np.int64), suggested, noise.label_suspect, inputs.labels.names)


def _slices(noise: NoiseEstimate | None, seen: Survey, rows: int) -> dict[str, Any]:
    totals = (0, 0) if noise is None else (int(noise.label_suspect.sum()), int(noise.feature_suspect.sum()))
    return find_slices([*seen.features.values(), *seen.excluded.values()], rows, totals)


def _conflicts(inputs: Inputs, seen: Survey) -> dict[str, Any]:
    assert inputs.train.y is not None
    return find_conflicts(seen.keys, inputs.train.y, inputs.train.table, inputs.roles.label)


def _leakage(inputs: Inputs, seen: Survey, other: Part) -> dict[str, Any]:
    train = inputs.train
    assert train.y is not None
    keys = keys_of(inputs, other.table)
    return find_leakage(seen.keys, train.y, train.table, keys, other.y, other.table)


def _coverage(inputs: Inputs, settings: Settings) -> dict[str, Any] | None:
    """None where validation was drawn from the training table, and lies where that lies."""
    if inputs.held_out is not None:
        return None
    return measure_coverage(inputs.train.X, inputs.val.X[:], inputs.val.table, settings.seed)


def _summary(valuation: Valuation, kinds: npt.NDArray[np.object_]) -> dict[str, Any]:
    counts = Counter(kinds.tolist())
    suspects = len(kinds) - counts[""]
    noise = valuation.noise
    share = None
    if noise is not None:
        share = {"value": noise.share, "low": noise.share_low, "high": noise.share_high}
    stopped = valuation.fit is not None and valuation.fit.stopped
    return ({"stopped_in_epoch": len(valuation.history)} if stopped else {}) | {
        "rows": len(kinds),
        "suspects": suspects,
        "suspect_share": suspects / len(kinds),
        "by_kind": {kind: counts[kind] for kind in KINDS},
        "estimated_noise_share": share,
    }


def _model(valuation: Valuation, device: torch.device) -> dict[str, Any]:
    """The curves of training, and how well the transport problem is solved."""
    epochs = valuation.history
    step = -(-len(epochs) // MOST_EPOCHS)
    history = [
        {"epoch": epoch.epoch, "loss": rounded([epoch.loss])[0], "transport": rounded([epoch.transport])[0]}
        for epoch in epochs[(len(epochs) - 1) % step :: step]
    ]
    transport = None
    if valuation.fit is not None:
        potentials = valuation.fit.potentials
        transport = {
            "cost": potentials.cost,
            "marginal_error": potentials.marginal_error,
            "converged": potentials.converged,
        } | ({} if valuation.fit.anchors is None else {"anchors": valuation.fit.anchors})
    return {"device": str(device), "epochs": len(epochs), "history": history, "transport": transport}


def base_name(table: Table) -> str:
    """What a table is called in files that others may read: without the directories it lies in."""
    return os.path.basename(table.name.rstrip("/")) or table.name


def _notices(inputs: Inputs) -> list[str]:
    """The notices, with tables called by their base names."""
    notices = list(inputs.notices)
    for part in (inputs.train, inputs.val, inputs.test):
        if part is not None:
            name, base = plain(part.table.name), plain(base_name(part.table))
            notices = [notice.replace(name, base) for notice in notices]
    return notices


def _data(inputs: Inputs) -> dict[str, Any]:
    tables = {"train": inputs.train, "val": inputs.val, "test": inputs.test}
    return {
        "tables": {
            name: {
                "name": base_name(part.table),
                "format": part.table.format,
                "rows": len(part.X),
                "sha256": part.table.sha256,
            }
            for name, part in tables.items()
            if part is not None
        },
        "roles": {
            "label": inputs.roles.label,
            "ids": list(inputs.roles.ids),
            "excluded": list(inputs.roles.excluded),
            "task": inputs.roles.task,
            "classes": getattr(inputs.labels, "names", None),
        },
        "columns": inputs.encoder.describe()[:MOST_COLUMNS],
        "column_count": len(inputs.roles.features),
        "held_out": inputs.held_out is not None,
    }
