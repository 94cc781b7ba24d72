"""Which classes (or ranges of a numeric label) hold the suspects, and what is confused with what."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lossval_cli.report.findings.column_counts import ColumnCounts
from lossval_cli.report.findings.names import cut, rounded, wilson

MATRIX_CLASSES = 12
"""A larger table of all against all is not read by anyone."""

MOST_CLASSES = 50
MOST_PAIRS = 20


def noise_by_label(counts: ColumnCounts) -> list[dict[str, Any]]:
    """Rows, suspects and their share with its 95 % interval; `counts` is of the label column.

    Its kinds are: any suspect, label suspects. Of many classes, those with the most suspects.
    """
    rows, suspects = counts.rows, counts.suspects[:, 0]
    low, high = wilson(suspects, rows)
    order = np.arange(len(rows))
    if len(rows) > MOST_CLASSES:
        order = np.sort(np.argsort(-suspects, kind="stable")[:MOST_CLASSES])
    result = []
    for i in order[rows[order] > 0]:
        share, lower, upper = rounded([suspects[i] / rows[i], low[i], high[i]])
        result.append(
            {
                "label": counts.names[i],
                "rows": int(rows[i]),
                "suspects": int(suspects[i]),
                "label_suspects": int(counts.suspects[i, 1]),
                "share": share,
                "low": lower,
                "high": upper,
            }
        )
    return result


def confusion(
    y: npt.NDArray[np.int64],
    suggested: npt.NDArray[np.int64],
    suspect: npt.NDArray[np.bool_],
    names: tuple[str, ...],
) -> dict[str, Any]:
    """Given against suggested label of the label suspects, y and suggested (N,): all pairs where classes are
    few, the commonest in any case."""
    K = len(names)
    pairs, counts = np.unique(y[suspect] * K + suggested[suspect], return_counts=True)
    differ = pairs // K != pairs % K
    pairs, counts = pairs[differ], counts[differ]
    order = np.argsort(-counts, kind="stable")[:MOST_PAIRS]
    matrix = None
    if K <= MATRIX_CLASSES:
        full = np.zeros(K * K, np.int64)
        full[pairs] = counts
        matrix = full.reshape(K, K).tolist()
    rows = np.bincount(y, minlength=K)
    return {
        "classes": [cut(name) for name in names] if matrix is not None else None,
        "matrix": matrix,
        "pairs": [
            {
                "given": cut(names[pairs[i] // K]),
                "suggested": cut(names[pairs[i] % K]),
                "rows": int(counts[i]),
                "share_of_given": rounded([counts[i] / rows[pairs[i] // K]])[0],
            }
            for i in order
        ],
    }
