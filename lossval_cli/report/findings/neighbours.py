"""What the rows most like a suspect are labelled: what a reviewer compares it with."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.labels import NumberLabels
from lossval_cli.report.findings.names import cell, cut, rounded

MOST_NEIGHBOURS = 50
SHARE_OF_ROWS = 0.05
"""In a small table, fewer rows are near."""

FEWEST_NEIGHBOURS = 5
SHOWN = 3
"""Rows that are named, and labels that are counted."""

DIGITS_OF_SPREAD = 6
"""Digits of a label that float32 holds, counted from its standard deviation."""

SAMPLE = 50_000
"""Training rows that neighbours are sought among."""


def describe_neighbours(dataset: Dataset, rows: npt.NDArray[np.int64]) -> dict[int, dict[str, Any]]:
    """Describe, for each of `rows` of the training table, how many rows are near, how they are labelled, and the
    nearest.

    Distances are Euclidean in the encoded features. Copies of a row, and rows of its group, are not neighbours of it.
    Rows of a validation table that was given are candidates too, and marked as trusted.
    """
    train, val = dataset.train, dataset.val
    assert train.y is not None
    if not len(rows):
        return {}
    N = len(train.X)
    sample = np.arange(N)
    if N > SAMPLE:
        drawn = np.random.default_rng(N).choice(N, SAMPLE, replace=False)
        sample = np.union1d(drawn, rows)
    X, y, trusted = train.X[sample], train.y[sample], np.zeros(len(sample), bool)
    if dataset.held_out is None and val.y is not None:
        X, y = np.vstack([X, val.X[:]]), np.concatenate([y, val.y])
        trusted = np.append(trusted, np.ones(len(val.y), bool))
    units = np.arange(N) if dataset.fold_units is None else dataset.fold_units
    unit = np.append(units[sample], np.full(len(X) - len(sample), -1))
    wanted = min(MOST_NEIGHBOURS, max(FEWEST_NEIGHBOURS, round(SHARE_OF_ROWS * N)))
    index = NearestNeighbors(n_neighbors=min(len(X), 2 * wanted + 1), algorithm="brute").fit(X)
    found = {}
    for row, near in zip(rows.tolist(), index.kneighbors(train.X[rows], return_distance=False), strict=True):
        others = near[unit[near] != units[row]][:wanted]
        if len(others):
            nearest = [_named(dataset, sample, int(i)) for i in others[:SHOWN]]
            found[row] = _describe(dataset, y[others], nearest, trusted[others])
            if not isinstance(dataset.labels, NumberLabels):
                found[row]["same"] = int((y[others] == train.y[row]).sum())
    return found


def _describe(
    dataset: Dataset, y: npt.NDArray[Any], nearest: list[dict[str, Any]], trusted: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Labels y (k,) of the neighbours, counted or as quartiles; `nearest`: the first of them by name."""
    shown: list[Any]
    if not isinstance(dataset.labels, NumberLabels):
        shown = [cut(name) for name in dataset.labels.decode(y.astype(np.int64))]
        said: dict[str, Any] = {
            "labels": [{"label": label, "rows": rows} for label, rows in Counter(shown).most_common(SHOWN)]
        }
    else:
        values = _without_rounding_errors(dataset.in_units(y.astype(np.float64)), dataset.labels)
        shown = [cell(value) for value in rounded(values)]
        low, median, high = rounded(np.quantile(values, [0.25, 0.5, 0.75]), 4)
        said = {"low": low, "median": median, "high": high}
    for one, label in zip(nearest, shown, strict=False):
        one["label"] = label
    return {"rows": len(y), "trusted": int(trusted.sum())} | said | {"nearest": nearest}


def _without_rounding_errors(values: npt.NDArray[np.float64], labels: NumberLabels) -> npt.NDArray[np.float64]:
    """Return labels (k,) rounded to six digits of their spread: the loss holds them standardised, as float32, and
    0.0 would come back as 7.6e-06."""
    step = 10.0 ** (math.floor(math.log10(labels.scale)) - DIGITS_OF_SPREAD + 1)
    return np.asarray(np.round(values / step) * step + 0.0)  # no -0.0


def _named(dataset: Dataset, sample: npt.NDArray[np.int64], i: int) -> dict[str, Any]:
    """A candidate by its table, row and line."""
    is_trusted = i >= len(sample)
    row = i - len(sample) if is_trusted else int(sample[i])
    table = (dataset.val if is_trusted else dataset.train).table
    name = "val" if is_trusted else "train"
    return {"table": name, "row": row, "line": table.line(row), "trusted": is_trusted}
