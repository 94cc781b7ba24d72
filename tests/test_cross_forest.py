"""Every cell is predicted from the other columns, whatever columns there are."""

from __future__ import annotations

import numpy as np

from lossval_cli.noise.cross_forest import Cells, CrossForest


def test_columns_without_inputs_are_left_out_of_the_halves() -> None:
    """Of three columns one is constant: halves of which it is the only source say nothing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    values = np.column_stack([x, x, np.ones(200)])
    codes = np.column_stack([x > 0, x > 0, np.zeros(200)]).astype(np.int64)
    inputs, columns = values[:, :2].astype(np.float32), np.array([0, 1])
    cells = Cells(inputs, codes, values)
    group, bins = np.arange(200), np.array([2, 2, 1])
    forest = CrossForest.fit(cells, columns, inputs, columns, bins, group, 20, np.random.default_rng(1))
    assert len(forest.trees) == forest.seen.shape[1] > 0
    found = forest.predict(cells)
    assert (found.trees[:, :2] > 0).all()
    assert found.probability[:, 0].mean() > 0.7, "half of the rows would be right by chance"
