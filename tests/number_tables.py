"""Outliers of an array of numbers, as of a table with these columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lossval_cli.features.encoder import Block, Encoder
from lossval_cli.features.typed_columns import TypedColumns
from lossval_cli.noise.outliers import OutlierEstimate, find_outliers
from lossval_cli.tables.table import read_table


def number_blocks(columns: int) -> list[Block]:
    return [Block(f"x{i}", "number", i, i + 1) for i in range(columns)]


def outliers_of(X: np.ndarray, seed: int = 0, classes: np.ndarray | None = None) -> OutlierEstimate:
    """X (N, D): its values are what is read and what is encoded."""
    names = [f"x{i}" for i in range(X.shape[1])]
    table = read_table(pd.DataFrame(X, columns=names))
    columns = TypedColumns(table, Encoder.fit(table, names))
    rng = np.random.default_rng(seed)
    return find_outliers(X.astype(np.float32), number_blocks(X.shape[1]), columns, rng, classes=classes)
