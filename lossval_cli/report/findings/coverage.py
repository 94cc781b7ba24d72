"""How many validation rows are far from every training row: the model extrapolates there.

A validation row is uncovered when its nearest training row is farther away than the nearest other training
row is for all but UNUSUAL of the training rows. Both distances are taken to the same sample of training
rows, so the cost stays bounded and the comparison fair.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc

from lossval_cli.noise.neighbours import nearest
from lossval_cli.report.findings.names import rounded, wilson
from lossval_cli.runtime.row_source import RowSource, draw_at_most
from lossval_cli.tables.table import Table

UNUSUAL = 0.01
"""Share of training rows that lie as far from the others: what validation would show by itself."""

REFERENCE_ROWS = 10_000
"""Training rows that distances are taken to."""

QUERY_ROWS = 2_000
"""Rows of either table whose distances are taken."""

LISTED = 20
SIGNIFICANCE = 1e-3

Rows = npt.NDArray[np.float32]


def measure_coverage(X: RowSource, X_val: Rows, val: Table, seed: int) -> dict[str, Any] | None:
    """Measure how X (N, D) covers X_val (J, D). None where there are too few training rows for a rare distance to mean
    any."""
    if len(X) < 2 / UNUSUAL:
        return None
    rng = np.random.default_rng([seed, len(X)])
    reference = draw_at_most(len(X), REFERENCE_ROWS, rng)
    own = draw_at_most(len(reference), QUERY_ROWS, rng)
    queries = draw_at_most(len(X_val), QUERY_ROWS, rng)
    among = nearest(X[reference][own], X[reference], itself=own)
    limit = float(np.quantile(among, 1 - UNUSUAL))
    distances = nearest(X_val[queries], X[reference])
    uncovered = queries[distances > limit]
    count = len(uncovered)
    low, high = rounded([float(end) for end in wilson(count, len(queries))])
    farthest = uncovered[np.argsort(-distances[distances > limit], kind="stable")][:LISTED]
    return {
        "rows": len(queries),
        "uncovered": count,
        "share": count / len(queries),
        "low": low,
        "high": high,
        "expected_share": UNUSUAL,
        "suspicious": bool(bdtrc(count - 1, len(queries), 2 * UNUSUAL) < SIGNIFICANCE),
        "examples": [{"row": int(row), "line": val.line(row)} for row in farthest],
    }
