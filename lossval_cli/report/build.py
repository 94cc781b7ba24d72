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

from lossval_cli.features.dataset import Dataset, Split
from lossval_cli.features.invalid_cells import describe_invalid_cells
from lossval_cli.features.labels import ClassLabels
from lossval_cli.features.overlap import is_suspicious
from lossval_cli.lossval.training import Fit
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.ranking import suspect_kinds
from lossval_cli.removal.study import RemovalStudy
from lossval_cli.report.findings.class_noise import confusion, noise_by_label
from lossval_cli.report.findings.coverage import measure_coverage
from lossval_cli.report.findings.distributions import find_distributions
from lossval_cli.report.findings.duplicates import find_conflicts, find_leakage
from lossval_cli.report.findings.explain import explain_suspects
from lossval_cli.report.findings.health import check_health
from lossval_cli.report.findings.names import rounded
from lossval_cli.report.findings.slices import find_slices
from lossval_cli.report.findings.table_scan import TableScan, scan_table
from lossval_cli.report.findings.verdict import decide_verdict
from lossval_cli.report.sentences.removal import removal_notice, removal_verdict
from lossval_cli.score_columns import KINDS
from lossval_cli.settings import Settings
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_name
from lossval_cli.version import REPORT_VERSION

MOST_COLUMNS = 200
"""Columns that `data` describes; a wide table would drown the rest."""

UNLABELLED = 100
"""Rows without a label that are listed."""

MOST_EPOCHS = 200
"""Epochs of the history that are kept, evenly spread, the last one always."""


def build_report(
    dataset: Dataset,
    fit: Fit,
    noise: NoiseEstimate | None,
    removal: RemovalStudy | None,
    table: pa.Table,
    settings: Settings,
    device: torch.device,
) -> dict[str, Any]:
    """Return everything that is known about a run as one JSON-serialisable dict (`table`: the ranked rows).

    Holds no absolute path and no number that JSON does not know; `timing` is for the caller to fill in.
    """
    kinds = suspect_kinds(noise, len(fit.importance))
    seen = scan_table(dataset, noise)
    study = None if removal is None else _removal(removal, dataset)
    recommended = study["recommended_fraction"] if study and study["recommended"] == "lowest" else 0.0
    report: dict[str, Any] = {
        "schema_version": REPORT_VERSION,
        "verdict": None,
        "summary": _summary(fit, noise, kinds),
        "removal": study,
        "suspects": explain_suspects(dataset, fit, noise, table, kinds, seen, settings),
        "model": _model(fit, device),
        "data": _data(dataset),
        "settings": settings.as_dict(),
        "timing": {},
        "notices": [*fit.notices, *_notices(dataset)],
        "classes": None if noise is None else noise_by_label(seen.label),
        "confusion": _confusion(dataset, fit, noise),
        "slices": _slices(noise, seen, len(kinds)),
        "conflicting_duplicates": _conflicts(dataset),
        "leakage": {
            "val": None if dataset.held_out is not None else _leakage(dataset, dataset.val, "validation"),
            "test": None if dataset.test is None else _leakage(dataset, dataset.test, "test"),
        },
        "coverage": _coverage(dataset, settings),
        "distributions": find_distributions(fit, noise, kinds, recommended),
        "health": check_health(dataset, fit, noise, settings),
    }
    report["verdict"] = decide_verdict(report)
    _restore_row_numbers(report, dataset)
    return report


def _removal(removal: RemovalStudy, dataset: Dataset) -> dict[str, Any]:
    overlap = dataset.overlaps.get(removal.to_dict()["evaluated_on"])
    study = removal.to_dict() | {"leaked_rows": 0 if overlap is None else overlap.total}
    return study | {"verdict": removal_verdict(study), "notice": removal_notice(study)}


def _restore_row_numbers(report: dict[str, Any], dataset: Dataset) -> None:
    """Row numbers of the file in place of those of its labelled rows, wherever a row is named."""
    numbers = dataset.train.table.row_numbers
    if numbers is not None:
        for row in report["suspects"]:
            row["row"] = int(numbers[row["row"]])
        for example in report["conflicting_duplicates"]["examples"]:
            example["rows"] = numbers[example["rows"]].tolist()
        for column in report["data"]["invalid_cells"]["columns"]:
            for example in column["examples"]:
                example["row"] = int(numbers[example["row"]])
    for part, split in (("val", dataset.val), ("test", dataset.test)):
        leak, others = report["leakage"][part], None if split is None else split.table.row_numbers
        for example in [] if leak is None else leak["examples"]:
            if numbers is not None:
                example["row"] = int(numbers[example["row"]])
            if others is not None:
                example["other_row"] = int(others[example["other_row"]])
    cover, val_numbers = report["coverage"], dataset.val.table.row_numbers
    if cover is not None and val_numbers is not None:
        for example in cover["examples"]:
            example["row"] = int(val_numbers[example["row"]])


def _unlabelled(dataset: Dataset) -> dict[str, Any] | None:
    """Count the rows of the training table without a label, and list the first of them."""
    if dataset.unlabelled is None:
        return None
    whole, rows = dataset.unlabelled
    first = [{"row": row, "line": whole.line(row)} for row in rows[:UNLABELLED].tolist()]
    return {"rows": len(rows), "examples": first}


def _confusion(dataset: Dataset, fit: Fit, noise: NoiseEstimate | None) -> dict[str, Any] | None:
    """Return the confusion of labels, None for numbers and where nothing is suspected."""
    y = dataset.train.y
    if noise is None or y is None or not isinstance(dataset.labels, ClassLabels):
        return None
    suggested = fit.predictions.argmax(axis=1)
    return confusion(y.astype(np.int64), suggested, noise.label_suspect, dataset.labels.names)


def _slices(noise: NoiseEstimate | None, seen: TableScan, rows: int) -> dict[str, Any]:
    evidence = (0, 0) if noise is None else (int(noise.label_suspect.sum()), int(noise.feature_suspect.sum()))
    return find_slices([*seen.features.values(), *seen.excluded.values()], rows, evidence)


def _conflicts(dataset: Dataset) -> dict[str, Any]:
    assert dataset.train.y is not None
    return find_conflicts(dataset.keys, dataset.train.y, dataset.train.table, dataset.roles.label)


def _leakage(dataset: Dataset, other: Split, what: str) -> dict[str, Any]:
    train = dataset.train
    assert train.y is not None
    keys = dataset.encoder.keys(other.table)
    found = find_leakage(dataset.keys, train.y, train.table, keys, other.y, other.table)
    if (overlap := dataset.overlaps.get(what)) is not None:
        found |= {"relabelled_rows": overlap.relabelled, "near_rows": overlap.near}
        found["suspicious"] = is_suspicious(overlap, dataset.keys)
    return found


def _coverage(dataset: Dataset, settings: Settings) -> dict[str, Any] | None:
    """Return the coverage of validation rows, None where validation was drawn from the training table and so lies where
    that lies."""
    if dataset.held_out is not None:
        return None
    return measure_coverage(dataset.train.X, dataset.val.X[:], dataset.val.table, settings.seed)


def _summary(fit: Fit, noise: NoiseEstimate | None, kinds: npt.NDArray[np.object_]) -> dict[str, Any]:
    counts = Counter(kinds.tolist())
    suspects = len(kinds) - counts[""]
    share, skill = None, None
    if noise is not None:
        skill = None if noise.labels is None else rounded([noise.labels.skill])[0]
        share = {"value": noise.share, "low": noise.share_low, "high": noise.share_high}
    return ({"stopped_in_epoch": len(fit.history)} if fit.stopped else {}) | {
        "rows": len(kinds),
        "suspects": suspects,
        "suspect_share": suspects / len(kinds),
        "by_kind": {kind: counts[kind] for kind in KINDS},
        "estimated_noise_share": share,
        "skill": skill,
    }


def _model(fit: Fit, device: torch.device) -> dict[str, Any]:
    """The curves of training, and how well the transport problem is solved."""
    epochs = fit.history
    step = -(-len(epochs) // MOST_EPOCHS)
    history = [
        {"epoch": epoch.epoch, "loss": rounded([epoch.loss])[0], "transport": rounded([epoch.transport])[0]}
        for epoch in epochs[(len(epochs) - 1) % step :: step]
    ]
    transport = None
    if (potentials := fit.potentials) is not None:
        transport = {
            "cost": potentials.cost,
            "marginal_error": potentials.marginal_error,
            "converged": potentials.converged,
        } | ({} if fit.transport_sample is None else {"anchors": fit.transport_sample})
    return {"device": str(device), "epochs": len(epochs), "history": history, "transport": transport}


def base_name(table: Table) -> str:
    """Return the name of a table for files that others may read: without the directories it lies in."""
    return os.path.basename(table.name.rstrip("/")) or table.name


def _notices(dataset: Dataset) -> list[str]:
    """The notices, with tables called by their base names."""
    notices = list(dataset.notices)
    for part in (dataset.train, dataset.val, dataset.test):
        if part is not None:
            name, base = format_name(part.table.name), format_name(base_name(part.table))
            notices = [notice.replace(name, base) for notice in notices]
    return notices


def _data(dataset: Dataset) -> dict[str, Any]:
    tables = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
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
            "label": dataset.roles.label,
            "ids": list(dataset.roles.ids),
            "excluded": list(dataset.roles.excluded),
            "weight": dataset.roles.weight,
            "group": dataset.roles.group,
            "time": dataset.roles.time,
            "task": dataset.roles.task,
            "classes": getattr(dataset.labels, "names", None),
            "ordered": getattr(dataset.labels, "is_ordered", False),
            "separator": getattr(dataset.labels, "separator", None),
        },
        "target_leakage": _target_leakage(dataset),
        "unlabelled": _unlabelled(dataset),
        "columns": dataset.encoder.describe()[:MOST_COLUMNS],
        "invalid_cells": describe_invalid_cells(
            dataset.invalid_cells, dataset.train.table, len(dataset.roles.features)
        ),
        "column_count": len(dataset.roles.features),
        "held_out": dataset.held_out is not None,
    }


def _target_leakage(dataset: Dataset) -> dict[str, Any] | None:
    found = dataset.target_leakage
    return None if found is None else {"strength": rounded([found.strength])[0], "columns": list(found.columns)}
