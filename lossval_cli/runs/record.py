"""run.json: what ran on what, so that a run can be repeated, and recognised as one of ours.

It holds no user names and no absolute paths. Everything but `started` and `timing` follows from the inputs,
the settings and the installed versions.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lossval_cli.features.dataset import Dataset
from lossval_cli.report.build import base_name
from lossval_cli.runtime.atomic_write import TOOL
from lossval_cli.settings import Settings
from lossval_cli.text.urls import is_remote, shown_url
from lossval_cli.version import RECORD_VERSION, __version__

_LIBRARIES = ("torch", "numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "geomloss")


def build_run_record(
    dataset: Dataset,
    settings: Settings,
    *,
    device: str,
    options: Mapping[str, object],
    thresholds: Mapping[str, object] | None,
    directory: Path,
    started: datetime,
    timing: Mapping[str, float],
) -> dict[str, Any]:
    """The content of run.json.

    options: the command line's, by name.  thresholds: those of a file that decided which rows are suspect.
    directory: where the run is written; tables below its parent are
    recorded with the path from there, so that later commands find them.  started: UTC.
    """
    tables = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    if dataset.held_out is not None:
        del tables["val"]
    roles = dataset.roles
    return {
        "tool": TOOL,
        "schema_version": RECORD_VERSION,
        "version": __version__,
        "settings": settings.as_dict(),
        "thresholds": None if thresholds is None else dict(thresholds),
        "seed": settings.seed,
        "device": device,
        "threads": torch.get_num_threads(),
        "versions": dict(_versions()),
        "options": {name: _without_directory(value) for name, value in options.items()},
        "inputs": {
            what: {
                "name": base_name(part.table),
                "path": path_below(part.table.name, directory),
                "format": part.table.format,
                "rows": part.table.rows,
                "sha256": part.table.sha256,
            }
            for what, part in tables.items()
            if part is not None
        },
        "roles": {
            "label": roles.label,
            "ids": list(roles.ids),
            "excluded": list(roles.excluded),
            "features": list(roles.features),
            "task": roles.task,
            "weight": roles.weight,
            "group": roles.group,
            "time": roles.time,
            "types": dict(roles.kinds),
        },
        "types": dict(dataset.encoder.types),
        "started": started.isoformat(timespec="seconds"),
        "timing": dict(timing),
    }


@cache
def _versions() -> dict[str, str]:
    """Versions of Python and of the libraries that affect results."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _LIBRARIES}


def path_below(name: str, directory: Path) -> str | None:
    """The path of a table from the parent of the run directory, None if it does not lie below."""
    if name.startswith("<") or "://" in name:
        return None
    path = os.path.relpath(os.path.abspath(name), os.path.abspath(directory.parent))
    return None if path == ".." or path.startswith("../") else path


def _without_directory(value: object) -> object:
    """Option values as given; of a path that leads elsewhere only the last part."""
    if isinstance(value, list | tuple):
        return [_without_directory(item) for item in value]
    if isinstance(value, str) and is_remote(value):
        return os.path.basename(shown_url(value).rstrip("/"))
    if isinstance(value, str) and (os.path.isabs(value) or value.startswith(("~", "../"))):
        return os.path.basename(value.rstrip("/"))
    return value
