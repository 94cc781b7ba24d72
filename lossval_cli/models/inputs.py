"""What an estimator of the user's own is fitted on: rows as this package encodes them, or columns of the table.

Most estimators need numbers without gaps, so they get the encoded rows. One that selects columns, or has a part for
categories or text, was written for the table itself: it gets the feature columns by name, as they were read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from lossval_cli.errors import UsageError
from lossval_cli.features.columns.number import as_floats
from lossval_cli.features.dataset import Dataset, Split
from lossval_cli.tables.column_types import is_number
from lossval_cli.tables.streamed import StreamedTable
from lossval_cli.text.format import closest_name, format_name, quote

Inputs: TypeAlias = npt.NDArray[np.float32] | pd.DataFrame
"""(n, D) encoded rows, or (n, columns) of the table."""


def takes_columns(estimator: Any, features: tuple[str, ...]) -> bool:
    """Return whether an estimator is to get columns of the table: some part of it selects columns, takes categories or
    text, or has a parameter that lists columns by name."""
    parts = list(_parts(estimator))
    return any(_selects(part) or _takes_words(part) for part in parts) or any(
        set(listed) <= set(features) for part in parts for listed in _listed_names(part)
    )


def model_inputs(dataset: Dataset, split: Split, estimator: Any) -> Inputs:
    """The rows of `split` as the estimator takes them: encoded, float32 (n, D), or a DataFrame of its feature columns,
    numbers as float64, dates as datetime64, other cells as text, missing ones as NaN."""
    if not takes_columns(estimator, dataset.roles.features):
        return split.X[:]
    trained, table = dataset.train.table, split.table
    columns = {}
    for name in trained.column_names:  # in the order of the table: parts may select columns by their positions
        if name in dataset.roles.features and name in table.column_names:
            values = table.column_as(name, trained.column(name).type).values
            columns[name] = _as_pandas(values)
    frame = pd.DataFrame(columns)
    return frame if dataset.held_out is None or split is not dataset.val else take(frame, dataset.held_out)


def take(X: Inputs, rows: npt.NDArray[np.int64]) -> Inputs:
    """Return some rows of inputs."""
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]


def check_columns(dataset: Dataset, estimator: Any, name: str) -> None:
    """Raise UsageError, one line, where the estimator selects columns that are no features, or the table stays in its
    files."""
    features = dataset.roles.features
    if not takes_columns(estimator, features):
        return
    if isinstance(dataset.train.table.data, StreamedTable):
        raise UsageError(f"model {name} takes columns of the table, which must fit into memory: raise --max-memory")
    for part in _parts(estimator):
        for column in _selected(part):
            if column in features:
                continue
            table, near = dataset.train.table, closest_name(column, features)
            if column in table.column_names:
                raise UsageError(
                    f"model {name} selects column {format_name(column)}, which is not a feature: "
                    f"add --feature {format_name(column)}, or leave it out of the model"
                )
            hint = f"; did you mean {quote(near)}?" if near else ""
            where = format_name(table.name)
            raise UsageError(f"model {name} selects column {format_name(column)}, which {where} does not have{hint}")


def _parts(estimator: Any) -> Iterator[Any]:
    """The estimator and everything that it is made of."""
    yield estimator
    if not isinstance(estimator, type) and hasattr(estimator, "get_params"):
        yield from (part for part in estimator.get_params(deep=True).values() if hasattr(part, "get_params"))


def _selects(part: Any) -> bool:
    """Return whether a part is a ColumnTransformer, whose parts are triples that end with columns."""
    return bool(getattr(part, "transformers", ())) and hasattr(part, "remainder")


def _selected(part: Any) -> Iterator[str]:
    """The columns that a ColumnTransformer selects by name."""
    for triple in part.transformers if _selects(part) else ():
        columns = triple[2] if isinstance(triple, tuple) and len(triple) == 3 else ()
        listed = [columns] if isinstance(columns, str) else columns if isinstance(columns, list | tuple) else []
        yield from (column for column in listed if isinstance(column, str))


def _takes_words(part: Any) -> bool:
    """Return whether a part is for categories or text, as scikit-learn's tags say."""
    try:
        tags = part.__sklearn_tags__().input_tags
    except (AttributeError, TypeError):
        return False
    return bool(tags.categorical or tags.string)


def _listed_names(part: Any) -> Iterator[list[str]]:
    """Parameters that are lists of names, such as `cat_features`."""
    if isinstance(part, type) or not hasattr(part, "get_params"):
        return
    for value in part.get_params(deep=False).values():
        if isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value):
            yield list(value)


def _as_pandas(values: pa.ChunkedArray) -> pd.Series:
    if is_number(values.type):
        return pd.Series(as_floats(values))
    series: pd.Series = values.to_pandas()
    return series.where(series.notna(), np.nan) if series.dtype == object else series
