"""Rows that two tables share: a model looks better on rows that it was trained on, under whatever label."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc

from lossval_cli.features.row_keys import Keys, are_among, repeated_share, with_label
from lossval_cli.runtime.row_source import RowSource, draw_at_most
from lossval_cli.text.format import format_name, format_percent, pluralize

SIGNIFICANCE = 0.01
"""Probability below which shared rows are more than the repetitions of such a table."""

NEAR = 0.02
"""Difference per column, in standard deviations, up to which two rows are near copies: rounding and small noise."""

NEAR_QUERIES, NEAR_REFERENCE = 1_000, 10_000
"""Rows of either table whose nearest training row is looked for, and training rows among which it is."""


class Overlap(NamedTuple):
    """Rows of another table that the training table holds too."""

    rows: int
    """Rows of the other table."""
    same: int
    """Features and label are those of a training row; features, where the other table has no label."""
    relabelled: int
    """Features are those of training rows, the label is not; 0 where so many would be expected by chance."""
    near: int
    """Features are nearly those of a training row; 0 where so many would be expected by chance."""
    is_whole: bool
    """Whether the two tables hold the same rows."""

    @property
    def total(self) -> int:
        """Rows that leak in one of the three ways."""
        return self.same + self.relabelled + self.near

    def notice(self, other: str, train: str, what: str) -> str:
        """Return a notice on what is shared and what that means; other, train: names of the tables, what: validation or
        test."""
        if self.is_whole:
            return (
                f"{format_name(other)} holds the same rows as {format_name(train)}: nothing measured on it says how a "
                f"model does on other rows; give a {what} table of rows that are not in the training table"
            )
        kinds = (
            (self.same, "exact duplicates of training rows"),
            (self.relabelled, "training rows with another label"),
            (self.near, "near copies of training rows"),
        )
        parts = [f"{count:,} {name}" for count, name in kinds if count]
        return (
            f"{format_name(other)}: {self.total:,} of {pluralize(self.rows, f'{what} row')} "
            f"({format_percent(self.total / self.rows)}) leak from training: {', '.join(parts)}; "
            f"what is measured on them is too good"
        )


def find_overlap(
    keys: Keys,
    y: npt.NDArray[np.generic],
    X: RowSource,
    other_keys: Keys,
    other_y: npt.NDArray[np.generic] | None,
    other_X: npt.NDArray[np.float32],
    columns: int,
) -> Overlap:
    """Find the overlap of two tables. Arguments are keys (N,), y (N,), X (N, D) of training; the same (J,), (J,) or
    None, (J, D) of another table; `columns`: how many columns D encodes."""
    shared = are_among(other_keys, keys)
    same = shared
    if other_y is not None:
        same = are_among(with_label(other_keys, other_y), with_label(keys, y))
    relabelled = int((shared & ~same).sum())
    if relabelled and not is_more(int(shared.sum()), len(shared), repeated_share(keys), len(keys)):
        relabelled = 0
    is_whole = bool(same.all() and len(keys) == len(other_keys) and are_among(keys, other_keys).all())
    near = 0 if shared.all() else _near_copies(X, other_X[~shared], columns, len(keys))
    return Overlap(len(shared), int(same.sum()), relabelled, near, is_whole)


def is_suspicious(overlap: Overlap, keys: Keys) -> bool:
    """Return whether more rows are shared than such a table shares with itself."""
    if overlap.relabelled + overlap.near > 0:
        return True
    return overlap.same > 0 and is_more(overlap.same, overlap.rows, repeated_share(keys), len(keys))


def is_more(count: int, rows: int, expected_share: float, training_rows: int) -> bool:
    """Return whether `count` of `rows` are more than twice the share that is expected by chance, and significantly
    so."""
    if count <= 2 * expected_share * rows:
        return False
    return bool(bdtrc(count - 1, rows, min(1.0, max(expected_share, 1 / training_rows))) < SIGNIFICANCE)


def _near_copies(X: RowSource, others: npt.NDArray[np.float32], columns: int, rows: int) -> int:
    """Count the `others` (n, D) that lie within NEAR per column of a training row, if that is more often than training
    rows lie so near to one another."""
    rng = np.random.default_rng([rows, len(others)])
    reference = X[draw_at_most(rows, NEAR_REFERENCE, rng)]
    queries = others[draw_at_most(len(others), NEAR_QUERIES, rng)]
    own = draw_at_most(len(reference), NEAR_QUERIES, rng)
    limit = NEAR * np.sqrt(columns)
    from sklearn.neighbors import NearestNeighbors  # 0.3 s, and only for a table to compare with

    index = NearestNeighbors(n_neighbors=2).fit(reference)
    near = int((index.kneighbors(queries, n_neighbors=1)[0][:, 0] <= limit).sum())
    if not near:
        return 0
    among = index.kneighbors(reference[own])[0][:, 1]
    if not is_more(near, len(queries), float((among <= limit).mean()), len(reference)):
        return 0
    return round(near / len(queries) * len(others))
