"""What must be equal to continue from a checkpoint: everything that changes the result."""

from __future__ import annotations

import hashlib

import numpy as np

from lossval_cli.features.dataset import Dataset, Split
from lossval_cli.features.reviewed import ReviewedRows
from lossval_cli.runtime.checkpoint import Identity
from lossval_cli.settings import Settings
from lossval_cli.version import __version__

CHECKPOINT_VERSION = 3
"""Raised when a checkpoint holds other things than before."""

HARMLESS = ("device", "threads", "metric", "expect_noise")
"""Settings that change nothing that training finds."""


def run_identity(dataset: Dataset, settings: Settings) -> Identity:
    """Return versions, settings, tables and roles of a run, by group and name."""
    roles = dataset.roles
    tables = {"train": dataset.train, "val": dataset.val}
    return {
        **settings_identity(settings),
        "tables": {f"the {name} table": _digest(part) for name, part in tables.items()},
        "roles": {"label": roles.label, "features": list(roles.features), "task": roles.task}
        | {"classes": list(getattr(dataset.labels, "names", ()))},
        "decisions": {} if dataset.reviewed is None else {"the decided rows": _reviewed_digest(dataset.reviewed)},
        "order": {"the rows of a chunk": dataset.layout.chunk_rows},
    }


def settings_identity(settings: Settings) -> Identity:
    """Return the part of a run's identity that is known before any table is read."""
    return {
        "versions": {"lossval": __version__, "checkpoint": CHECKPOINT_VERSION},
        "settings": {name: value for name, value in settings.as_dict().items() if name not in HARMLESS},
    }


def _reviewed_digest(reviewed: ReviewedRows) -> str:
    total = hashlib.sha256()
    for values in reviewed:
        total.update(np.ascontiguousarray(values).tobytes())
    return total.hexdigest()


def _digest(part: Split) -> str:
    """Hash of the bytes of a table's files, or of the arrays that a DataFrame became."""
    if part.table.sha256 is not None:
        return part.table.sha256
    total = hashlib.sha256(np.ascontiguousarray(part.X[:]).data)
    total.update(b"" if part.y is None else np.ascontiguousarray(part.y).data)
    return total.hexdigest()
