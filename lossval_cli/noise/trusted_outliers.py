"""Outliers compared with trusted rows: what trusted rows look like may be unusual, but is not wrong.

In a table with heavy tails, trusted rows look like outliers as often as other rows do. For each row, take the training
rows that are at least as unusual; a share of them is right, which is estimated from the trusted rows. This is the
tail-area false discovery rate (Storey, 2002) with trusted rows as the null. It is computed for each kind of outlier by
itself, since common incomes of 99999 say nothing about misspelt names.

Where noise of whole rows is certain, trusted rows do not lower its probability, even if single cells of these rows are
less likely still. Noise of one size in every column is not normal in any table, and trusted rows may have it too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.typed_columns import TypedColumns
from lossval_cli.noise.outliers import OutlierEstimate
from lossval_cli.runtime.row_source import draw_at_most

Floats = npt.NDArray[np.float64]

FEWEST_TRUSTED = 20
"""Fewest trusted rows from which tails are estimated."""

MOST_TRUSTED = 2_000
"""Largest number of trusted rows that are scored."""

BEFORE = 0.2
"""Share of outliers that trusted rows are supposed to lead to expect, before any is seen: as one expected row."""

UNUSUAL = 0.3
"""Probability from which a row counts as an outlier; lower probabilities are not reduced."""


def relative_to_trusted(outliers: OutlierEstimate, dataset: Dataset) -> OutlierEstimate:
    """The same estimate, with probabilities (N,) lowered as far as trusted rows are equally unusual. Penalties do not
    change, since importance ranks rows whether they are called outliers or not."""
    val, model = dataset.val, outliers.model
    if model is None or dataset.held_out is not None or val.table.rows < FEWEST_TRUSTED:
        return outliers
    rows = draw_at_most(val.table.rows, MOST_TRUSTED, np.random.default_rng(val.table.rows))
    frame = TypedColumns(val.table, dataset.encoder).take(rows)
    classes = None if dataset.classes is None or val.y is None else val.y[rows].astype(np.int64)
    trusted = model.score(frame, np.full(len(rows), -1), val.X[rows], classes)
    assert outliers.way is not None and outliers.noisy is not None
    expected, way = np.zeros(len(outliers.way)), outliers.way
    for i in np.unique(way):
        own, alike = np.where(way == i, outliers.probability, 0.0), np.where(trusted.way == i, trusted.probability, 0.0)
        expected[way == i] = share_expected(own, alike)[way == i]
    probability = outliers.probability * (1 - expected)
    if model.noise is not None and model.noise.is_sure:
        probability = np.maximum(probability, outliers.noisy)
    kept = float(probability.sum() / max(outliers.probability.sum(), 1e-300))
    return outliers._replace(
        probability=probability, share_low=kept * outliers.share_low, share_high=kept * outliers.share_high
    )


def share_expected(probability: Floats, trusted: Floats) -> Floats:
    """Return, among the rows as unusual as each row or more, the share (N,) that trusted rows lead to expect.

    probability (N,), trusted (J,): that rows are outliers. Rows that nobody calls outliers are as the least of those
    that are called so.
    """
    level = np.maximum(probability, UNUSUAL)
    as_unusual = len(probability) - np.searchsorted(np.sort(probability), level)
    by_trusted = len(trusted) - np.searchsorted(np.sort(trusted), level)
    share = np.minimum((by_trusted + BEFORE) / (as_unusual / len(probability) * len(trusted) + 1), 1.0)
    order = np.argsort(level, kind="stable")
    share[order] = np.minimum.accumulate(share[order])  # the more unusual, the less likely right
    return share
