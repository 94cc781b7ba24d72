"""The rows most like the one under review, those of the trusted table first: what a reviewer compares it with."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.errors import LossvalError
from lossval_cli.features.encoder import Encoder
from lossval_cli.runs.loaded import LoadedRun, path_of_train, read_part
from lossval_cli.runtime.atomic_write import RECORD
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.table import Table, read_table

SHOWN = 6
TRUSTED_SHOWN = 3
"""Of them trusted ones, where there is a trusted table."""


class Near(NamedTuple):
    """One of the nearest rows."""

    table: Table
    row: int
    is_trusted: bool


class NearestRows:
    """Finds the nearest rows of a run's tables, which are encoded when they are first asked for."""

    def __init__(self, directory: Path, run: LoadedRun) -> None:
        self._directory, self._run = directory, run
        record = read_part(directory, RECORD)
        self._roles: dict[str, Any] = record.get("roles") or {}
        self._inputs: dict[str, Any] = record.get("inputs") or {}
        self._options = ReadOptions.of_record(record.get("settings"))

    def of(self, row: int) -> list[Near]:
        """Find at most SHOWN rows, the nearest first, trusted ones before others; rows equal to it are left out of the
        training rows only where they are the row itself. Empty where the tables are not at hand."""
        encoded = self._encoded
        if encoded is None:
            return []
        train, X, val, X_val = encoded
        distance = np.square(X - X[row]).sum(axis=1)
        distance[row] = np.inf
        own = np.argsort(distance, kind="stable")[: min(SHOWN, len(X) - 1)].tolist()
        trusted: list[int] = []
        if val is not None and X_val is not None:
            trusted = np.argsort(np.square(X_val - X[row]).sum(axis=1), kind="stable")[:TRUSTED_SHOWN].tolist()
        found = [Near(val, i, True) for i in trusted if val is not None]
        return [*found, *(Near(train, i, False) for i in own)][:SHOWN]

    @cached_property
    def _encoded(
        self,
    ) -> tuple[Table, npt.NDArray[np.float32], Table | None, npt.NDArray[np.float32] | None] | None:
        table = self._run.train
        if table is None:
            return None
        kinds = {str(name): str(kind) for name, kind in (self._roles.get("types") or {}).items()}
        try:
            train = table.read_as(self._options.cells.with_types(kinds).types)
            encoder = Encoder.fit(train, tuple(map(str, self._roles["features"])), kinds)
            X, val, X_val = encoder.transform(train), self._trusted(), None
            if val is not None:
                X_val = encoder.transform(val)
        except (KeyError, LossvalError):
            return None
        return train, X, val, X_val

    def _trusted(self) -> Table | None:
        """The validation table that was given, if it is what it was."""
        said = self._inputs.get("val")
        if not said:
            return None
        path = path_of_train(self._directory, said)
        if path is None or not os.path.exists(path):
            return None
        try:
            table = read_table(path, self._options)
        except LossvalError:
            return None
        return table if table.sha256 == said.get("sha256") else None
