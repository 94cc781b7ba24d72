"""Rows that occur twice: with different labels within the training table, or again in validation or test."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lossval_cli.features.overlap import is_more
from lossval_cli.features.row_keys import Keys, are_among, repeated_share, with_label
from lossval_cli.report.findings.names import cell
from lossval_cli.tables.table import Table

EXAMPLES = 10
ROWS_OF_AN_EXAMPLE = 6
LEAKS_LISTED = 50


def find_conflicts(keys: Keys, y: npt.NDArray[np.generic], table: Table, label: str) -> dict[str, Any]:
    """Groups of training rows with identical features, and among them those whose labels differ."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(keys[order]) != 0))
    sizes = np.diff(np.append(starts, len(keys)))
    labels = y[order]
    differ = np.minimum.reduceat(labels, starts) != np.maximum.reduceat(labels, starts)
    groups = np.flatnonzero(differ)
    # In the order of the file, by the first row of each group.
    groups = groups[np.argsort(order[starts[groups]], kind="stable")]
    given = table.as_given(label)
    examples = []
    for group in groups[:EXAMPLES]:
        rows = order[starts[group] : starts[group] + sizes[group]][:ROWS_OF_AN_EXAMPLE]
        examples.append(
            {
                "count": int(sizes[group]),
                "rows": rows.tolist(),
                "lines": None if table.lines is None else table.lines[rows].tolist(),
                "labels": [cell(given[int(row)].as_py()) for row in rows],
            }
        )
    return {
        "groups": len(groups),
        "rows": int(sizes[groups].sum()),
        "duplicate_rows": int(sizes[sizes > 1].sum()),
        "examples": examples,
    }


def find_leakage(
    keys: Keys,
    y: npt.NDArray[np.generic],
    table: Table,
    other_keys: Keys,
    other_y: npt.NDArray[np.generic] | None,
    other: Table,
) -> dict[str, Any]:
    """Training rows that another table holds too: features and label, or features where it has none.

    A table of few categories repeats itself, so the shared rows are compared with the share of training rows
    that have a duplicate among the training rows.
    """
    if other_y is not None:
        keys, other_keys = with_label(keys, y), with_label(other_keys, other_y)
    sorter = np.argsort(other_keys, kind="stable")
    i = np.searchsorted(other_keys, keys, sorter=sorter)
    match = sorter[np.minimum(i, len(other_keys) - 1)]  # (N,) first row of other with a key not smaller
    shared = np.flatnonzero(other_keys[match] == keys)
    in_other = int(are_among(other_keys, keys).sum())
    expected = repeated_share(keys)
    listed = shared[:LEAKS_LISTED]
    return {
        "rows": len(shared),
        "other_rows": in_other,
        "other_share": in_other / len(other_keys),
        "expected_share": expected,
        "suspicious": is_more(in_other, len(other_keys), expected, len(keys)),
        "compared": "features and label" if other_y is not None else "features",
        "examples": [
            {
                "row": int(row),
                "line": table.line(row),
                "other_row": int(match[row]),
                "other_line": other.line(match[row]),
            }
            for row in listed
        ],
    }
