"""Fit and noise estimate -> the ranked table of scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.labels import ClassLabels
from lossval_cli.features.tags import TagLabels
from lossval_cli.lossval.training import Fit
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.noise.tag_errors import corrected_tags
from lossval_cli.score_columns import KINDS, TAG_COLUMN, given_names


def suspect_kinds(noise: NoiseEstimate | None, rows: int) -> npt.NDArray[np.object_]:
    """(N,) '', 'label', 'features' or 'label+features'."""
    kinds = np.full(rows, "", object)
    if noise is not None:
        kinds[noise.label_suspect] = KINDS[0]
        kinds[noise.feature_suspect] = KINDS[1]
        kinds[noise.label_suspect & noise.feature_suspect] = KINDS[2]
    return kinds


def rank_rows(dataset: Dataset, fit: Fit, noise: NoiseEstimate | None) -> pa.Table:
    """Rank the rows: one line per training row, lowest importance first; equal importances in the order of the file.

    Ids and label come back as given, under the names of `given_names`.
    """
    table = dataset.train.table
    order = np.argsort(fit.importance, kind="stable")
    predicted, probability = _predicted(dataset, fit, noise)
    take = pa.array(order)
    lines = None if table.lines is None else table.lines[order]
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "rank": pa.array(np.arange(1, table.rows + 1)),
        "row": take,
        "line": pa.nulls(table.rows, pa.int64()) if lines is None else pa.array(lines),
    }
    for name, shown in given_names(dataset.roles.label, dataset.roles.ids).items():
        columns[shown] = table.as_given(name).take(take)
    unknown = np.full(table.rows, np.nan)
    numbers = {
        "importance": fit.importance,
        "importance_std": fit.importance_std,
        "label_evidence": fit.label_evidence,
        "feature_evidence": fit.feature_evidence,
        "noise_probability": unknown if noise is None else noise.probability,
        "label_noise_probability": unknown if noise is None else noise.label_probability,
        "feature_noise_probability": unknown if noise is None else noise.feature_probability,
    }
    for name, values in numbers.items():
        columns[name] = pa.array(values[order], from_pandas=True)
    columns["suspect"] = pa.array(suspect_kinds(noise, table.rows)[order], pa.string())
    columns["predicted"] = predicted.take(take)
    columns["predicted_probability"] = pa.array(probability[order], from_pandas=True)
    if isinstance(dataset.labels, TagLabels) and noise is not None and noise.labels is not None:
        assert noise.labels.tags is not None
        for name, values in zip(dataset.labels.names, noise.labels.tags.T, strict=True):
            columns[f"{TAG_COLUMN}{name}"] = pa.array(values[order])
    return pa.table(columns)


def restore_rows(scores: pa.Table, dataset: Dataset) -> pa.Table:
    """Ranked rows with the row numbers of the file, and after them, without an importance, the rows that have no
    label: every row of the training table is in the scores."""
    numbers, left_out = dataset.train.table.row_numbers, dataset.unlabelled
    if numbers is None or left_out is None:
        return scores
    position = scores.column_names.index("row")
    scores = scores.set_column(position, "row", pa.array(numbers[scores["row"].to_numpy()]))
    whole, rows = left_out
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "rank": pa.array(np.arange(scores.num_rows + 1, scores.num_rows + 1 + len(rows))),
        "row": pa.array(rows),
        "suspect": pa.array([""] * len(rows), pa.string()),
    }
    if whole.lines is not None:
        columns["line"] = pa.array(whole.lines[rows])
    for name, shown in given_names(dataset.roles.label, dataset.roles.ids).items():
        columns[shown] = whole.as_given(name).take(pa.array(rows))
    rest = {
        field.name: columns[field.name] if field.name in columns else pa.nulls(len(rows), field.type)
        for field in scores.schema
    }
    return pa.concat_tables([scores, pa.table(rest)], promote_options="permissive")


def _predicted(dataset: Dataset, fit: Fit, noise: NoiseEstimate | None) -> tuple[pa.Array, npt.NDArray[np.float64]]:
    """Return the label (N,) that the model would give, as the user writes labels, and its probability (NaN for numbers
    and tags)."""
    predictions = fit.predictions
    if isinstance(dataset.labels, TagLabels):
        assert dataset.train.y is not None
        has = dataset.labels.matrix(dataset.train.y.astype(np.int64)) > 0
        if noise is not None and noise.labels is not None and noise.labels.tags is not None:
            has = corrected_tags(has, noise.labels.tags, noise.label_suspect)
        return pa.array(dataset.labels.written(has), pa.string()), np.full(len(has), np.nan)
    if isinstance(dataset.labels, ClassLabels):
        best = predictions.argmax(axis=1)
        names = pa.array(dataset.labels.names, pa.string())
        return names.take(pa.array(best)), predictions[np.arange(len(best)), best]
    return pa.array(dataset.in_units(predictions)), np.full(len(predictions), np.nan)
