"""Where suspects are concentrated: categories and ranges of a column with more of them than chance explains.

Each is a look: a binomial test of its suspects against the share in the whole table (which is conservative
beside the hypergeometric test that it stands in for). All looks together are corrected by Holm's method,
which holds however the looks depend on each other. Slices of the same rows are reported once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc

from lossval_cli.report.findings.column_counts import ColumnCounts
from lossval_cli.report.findings.names import cut, rounded, wilson

LEAST_ROWS = 10
"""Rows below which a slice is not looked at."""

LEAST_LIFT = 1.5
"""A slice is worth telling when it holds this many times the suspects it should; in a large table less is
significant all the same."""

SIGNIFICANCE = 0.05
MOST_SLICES = 20

KINDS = ("label", "features")


def find_slices(columns: Sequence[ColumnCounts], rows: int, evidence: Sequence[int]) -> dict[str, Any]:
    """Find slices in which suspects gather. `columns`: counts of each column looked at; `rows`: how many there are;
    `evidence`: suspects of each of KINDS in all rows."""
    looks = []
    for counts in columns:
        for i in np.flatnonzero((counts.rows >= LEAST_ROWS) & (counts.rows < rows)):
            for kind, total in enumerate(evidence):
                if total:
                    looks.append((counts, int(i), kind, int(counts.suspects[i, kind])))
    if not looks:
        return {"looks": 0, "found": []}
    n = np.array([counts.rows[i] for counts, i, *_ in looks])
    hits = np.array([look[3] for look in looks])
    base = np.array([evidence[look[2]] for look in looks]) / rows
    p = holm(bdtrc(hits - 1, n, base))
    lift = hits / n / base
    low, high = wilson(hits, n)
    wanted = np.flatnonzero((p <= SIGNIFICANCE) & (lift >= LEAST_LIFT))
    order = wanted[np.lexsort((-lift[wanted], p[wanted]))]
    found: dict[tuple[int, float, int], dict[str, Any]] = {}
    for j in order:
        counts, i, kind, count = looks[j]
        same = (int(n[j]), float(counts.members[i]), kind)
        if same in found:
            found[same]["alike"].append({"column": cut(counts.column), "value": counts.names[i]})
            continue
        if len(found) == MOST_SLICES:
            break
        outside = (evidence[kind] - count) / (rows - n[j])
        share, lower, upper, elsewhere, times, adjusted = rounded(
            [count / n[j], low[j], high[j], outside, lift[j], p[j]]
        )
        found[same] = {
            "column": cut(counts.column),
            "value": counts.names[i],
            "alike": [],
            "kind": KINDS[kind],
            "rows": int(n[j]),
            "suspects": count,
            "share": share,
            "low": lower,
            "high": upper,
            "elsewhere": elsewhere,
            "lift": times,
            "p_adjusted": adjusted,
        }
    return {"looks": len(looks), "found": list(found.values())}


def holm(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """p values (m,) corrected for m looks (Holm, 1979)."""
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
