"""What report.json says: the numbers behind every page and every gate, and nothing computed twice."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from lossval_cli.importance import KINDS
from lossval_cli.inputs import Inputs
from lossval_cli.removal import RemovalStudy
from lossval_cli.settings import Settings
from lossval_cli.tables import Table
from lossval_cli.valuation import Valuation
from lossval_cli.wording import plain

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or goes; new fields alone do not raise it."""

TOP = 100
"""Suspects that the report lists; the scores hold all of them."""


def build_report(
    inputs: Inputs,
    valuation: Valuation,
    removal: RemovalStudy | None,
    table: pa.Table,
    settings: Settings,
    device: torch.device,
) -> dict[str, Any]:
    """Everything that is known about a run as one JSON-serialisable dict (`table`: the ranked rows)."""
    return {
        "schema_version": SCHEMA_VERSION,
        "summary": _summary(valuation, table),
        "removal": None if removal is None else removal.to_dict(),
        "suspects": _suspects(table),
        "model": _model(valuation, device),
        "data": _data(inputs),
        "settings": settings.as_dict(),
        "notices": _notices(inputs),
    }


def _summary(valuation: Valuation, table: pa.Table) -> dict[str, Any]:
    kinds = Counter(table["suspect"].to_pylist())
    suspects = table.num_rows - kinds[""]
    noise = valuation.noise
    share = None
    if noise is not None:
        share = {"value": noise.share, "low": noise.share_low, "high": noise.share_high}
    return {
        "rows": table.num_rows,
        "suspects": suspects,
        "suspect_share": suspects / table.num_rows,
        "by_kind": {kind: kinds[kind] for kind in KINDS},
        "estimated_noise_share": share,
    }


def _suspects(table: pa.Table) -> list[dict[str, Any]]:
    """The first suspects in rank order, as in the scores."""
    suspect = np.array(table["suspect"].to_pylist(), object)
    return json_rows(table.take(pa.array(np.flatnonzero(suspect != "")[:TOP])))


def json_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as dicts whose values JSON can hold; what it cannot is written as text."""
    return [
        {
            name: value if isinstance(value, str | int | float | bool | None) else str(value)
            for name, value in row.items()
        }
        for row in table.to_pylist()
    ]


def _model(valuation: Valuation, device: torch.device) -> dict[str, Any]:
    history = [epoch._asdict() for epoch in valuation.history]
    transport = None
    if valuation.fit is not None:
        potentials = valuation.fit.potentials
        transport = {
            "cost": potentials.cost,
            "marginal_error": potentials.marginal_error,
            "converged": potentials.converged,
        }
    return {"device": str(device), "history": history, "transport": transport}


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
            name: {"name": base_name(part.table), "rows": len(part.X), "sha256": part.table.sha256}
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
        "columns": inputs.encoder.describe(),
        "held_out": inputs.held_out is not None,
    }
