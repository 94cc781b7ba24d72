"""Columns of embeddings: one block whose geometry is kept, from lists of any kind, through the whole run."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import lossval_cli
from lossval_cli.features.encoder import Encoder
from lossval_cli.tables.table import Table

ROWS = np.random.default_rng(0).normal(size=(40, 5)) * [1, 10, 1, 1, 1]


def table_of(values: pa.Array) -> Table:
    return Table(pa.table({"x": values}), "t.parquet", "parquet", None, None)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float64(), 5)]
)
def test_a_column_of_lists_is_one_block_of_variance_one_that_keeps_its_geometry(kind: pa.DataType) -> None:
    table = table_of(pa.array(ROWS.tolist(), kind))
    encoder = Encoder.fit(table, ["x"])
    X = encoder.transform(table)
    assert X.shape == (40, 5)
    assert float(X.var(axis=0).sum()) == pytest.approx(1, abs=1e-4)
    centred = ROWS - ROWS.mean(axis=0)
    assert np.allclose(X / X[0, 0], centred / centred[0, 0], rtol=1e-3, atol=1e-4)


def test_missing_vectors_and_those_of_another_length_are_missing() -> None:
    cells: list[list[float] | None] = [*ROWS.tolist(), None, [1.0, 2.0], [float("nan")] * 5]
    X = Encoder.fit(table := table_of(pa.array(cells)), ["x"]).transform(table)
    assert X.shape == (43, 6)
    assert np.isfinite(X).all()
    assert not X[-3:, :5].any()
    assert len(np.unique(X[:, 5])) == 2


@pytest.mark.slow
def test_embeddings_are_scored_and_reported() -> None:
    y = np.where(ROWS[:, 0] > 0, "a", "b")
    frame = pd.DataFrame({"x": list(ROWS), "label": y})
    result = lossval_cli.score(frame, label="label", effort="low", epochs=3, removal="quick", device="cpu")
    assert len(result.scores) == 40
    json.dumps(result.report, allow_nan=False)
