"""The one pass over a table that the findings share: counts of the cells of every column."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.features.columns.date import as_seconds
from lossval_cli.features.columns.number import as_floats
from lossval_cli.features.dataset import Dataset
from lossval_cli.features.labels import ClassLabels
from lossval_cli.features.tags import TagLabels
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.report.findings.column_counts import ColumnCounts, count_column
from lossval_cli.runtime.sharing import share
from lossval_cli.tables.table import Table


class TableScan(NamedTuple):
    """Counts of every column of the training table."""

    features: dict[str, ColumnCounts]  # by column, suspects by label and by features
    excluded: dict[str, ColumnCounts]  # the same of columns that the user set aside
    label: ColumnCounts  # suspects of any kind, and by label


def scan_table(dataset: Dataset, noise: NoiseEstimate | None) -> TableScan:
    """Read every column of the training table once."""
    table = dataset.train.table
    no_one = np.zeros(table.rows, np.bool_)
    by_label, by_features = (no_one, no_one) if noise is None else (noise.label_suspect, noise.feature_suspect)
    kinds = np.stack([by_label, by_features], axis=1)  # (N, 2)
    readers = dataset.encoder.readers(table)

    def count_feature(column: str) -> ColumnCounts:
        return count_column(column, dataset.encoder.types[column], readers[column](), kinds)

    def count_excluded(column: str) -> ColumnCounts | None:
        kind, values = _plain_column(table, column)
        return count_column(column, kind, values, kinds) if kind else None

    features = dict(zip(readers, share(list(readers), count_feature), strict=True))
    found = zip(dataset.roles.excluded, share(dataset.roles.excluded, count_excluded), strict=True)
    excluded = {column: counts for column, counts in found if counts is not None}
    label = _label_counts(dataset, np.stack([by_label | by_features, by_label], axis=1))
    return TableScan(features, excluded, label)


def _plain_column(table: Table, column: str) -> tuple[str, Any]:
    """Kind and values of a column that no encoder was fitted on; '' where it can't be cut into slices."""
    typed = table.typed(column)
    types = pa.types
    if typed.null_count == len(typed):
        return "", None
    if types.is_string(typed.type):
        return "category", typed.cast(pa.large_string())
    if types.is_timestamp(typed.type):
        return "date", as_seconds(typed)
    if types.is_boolean(typed.type) or types.is_integer(typed.type) or types.is_floating(typed.type):
        values = as_floats(typed)
        kind = "boolean" if types.is_boolean(typed.type) else "number"
        return (kind, values) if np.isfinite(values[~np.isnan(values)]).all() else ("", None)
    return "", None


def _label_counts(dataset: Dataset, suspects: npt.NDArray[np.bool_]) -> ColumnCounts:
    """Return the counts per class, or per range of a numeric label; `suspects` (N, kinds)."""
    column, table = dataset.roles.label, dataset.train.table
    if isinstance(dataset.labels, ClassLabels):
        y = dataset.train.y
        assert y is not None
        names = dataset.labels.names
        counted = [np.bincount(y[mask], minlength=len(names)) for mask in suspects.T]
        rows = np.bincount(y, minlength=len(names))
        members = np.bincount(y, weights=np.arange(float(len(y))), minlength=len(names))
        return ColumnCounts(column, tuple(names), rows, np.stack(counted, axis=1), members, None, None)
    if isinstance(dataset.labels, TagLabels):
        assert dataset.train.y is not None
        has = dataset.labels.matrix(dataset.train.y.astype(np.int64)).astype(np.int64)  # (N, T)
        first = np.arange(float(len(has))) @ has
        return ColumnCounts(
            column, dataset.labels.names, has.sum(axis=0), has.T @ suspects.astype(np.int64), first, None, None
        )
    return count_column(column, "number", as_floats(table.typed(column)), suspects)
