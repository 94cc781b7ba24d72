"""The two functions that the pipeline calls: outliers before training, wrong labels and flags after it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.labels import ClassLabels
from lossval_cli.features.streaming import shard
from lossval_cli.features.tags import TagLabels
from lossval_cli.features.typed_columns import TypedColumns
from lossval_cli.noise.class_errors import Scale, find_wrong_classes
from lossval_cli.noise.label_errors import NoiseEstimate, combine, with_thresholds
from lossval_cli.noise.label_estimates import Trusted
from lossval_cli.noise.number_errors import find_wrong_numbers
from lossval_cli.noise.out_of_fold import Fitting
from lossval_cli.noise.outliers import OutlierEstimate, find_outliers
from lossval_cli.noise.reviewed import learn_from_reviews, without_decided
from lossval_cli.noise.tag_errors import find_wrong_tags
from lossval_cli.noise.thresholds import Thresholds
from lossval_cli.noise.trusted_outliers import relative_to_trusted
from lossval_cli.runtime.own_estimators import own_estimators
from lossval_cli.settings import Settings

Floats = npt.NDArray[np.float64]
Predict = Callable[[npt.NDArray[np.float32]], Floats]


@own_estimators()
def estimate_outliers(dataset: Dataset, settings: Settings) -> OutlierEstimate:
    """Score the features of each training row, of the n rows of this process: the less usual, the more of an outlier.

    Its `penalty` (n,), in nats, enters the transport cost. Labels say only which rows are compared.
    """
    train, processes = dataset.train, dataset.layout.processes
    assert train.y is not None
    classes = None if dataset.classes is None else train.y.astype(np.int64)
    own = None if processes.world_size == 1 else processes.own(len(train.X))
    columns = TypedColumns(train.table, dataset.encoder, shard(train.table, processes))
    rng = np.random.default_rng(settings.seed)
    with threadpool_limits(1, user_api="blas"):  # its matrices are small: threads would wait for one another
        return find_outliers(train.X, dataset.encoder.blocks, columns, rng, own=own, classes=classes)


class _Options(TypedDict):
    """Arguments that all kinds of labels have."""

    trusted: Trusted | None
    units: npt.NDArray[np.int64] | None
    expected_share: float | None
    fitting: Fitting
    alone: bool


def estimate_noise(
    dataset: Dataset,
    predictions: Floats,
    outliers: OutlierEstimate,
    thresholds: Thresholds | None,
    *,
    predict: Predict | None,
    expected_share: float | None,
    seed: int,
    trees: float,
    alone: bool,
) -> NoiseEstimate:
    """Estimate which rows are wrong, from the networks' out-of-fold `predictions` (N, K) or (N,) and the outliers among
    all N rows.

    `thresholds` decide which rows are suspect; without them expected F1 does. `predict` gives the networks'
    predictions of other rows: with it, labels of a validation table that the user gave count as right. `trees`: of
    the forests, as a multiple of the default. `expected_share`: of wrong labels, as the user expects it. `alone`:
    only these predictions count, and no other models are fitted to the given labels.
    """
    train, labels = dataset.train, dataset.labels
    assert train.y is not None
    options = _Options(
        trusted=_trusted(dataset, predict),
        units=dataset.fold_units,
        expected_share=expected_share,
        fitting=Fitting(seed % 2**32, trees, dataset.encoder.one_hot),
        alone=alone,
    )
    with own_estimators():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few hundred steps of a linear model are close enough
        if isinstance(labels, ClassLabels):
            y = train.y.astype(np.int64)
            found = find_wrong_classes(train.X, y, predictions, scale=Scale(labels.is_ordered), **options)
        elif isinstance(labels, TagLabels):
            found = find_wrong_tags(train.X, labels.matrix(train.y.astype(np.int64)), predictions, **options)
        else:
            found = find_wrong_numbers(train.X, train.y.astype(np.float64), predictions, **options)
    noise, reviewed = combine(found, relative_to_trusted(outliers, dataset)), dataset.reviewed
    if reviewed is not None:
        noise = learn_from_reviews(noise, reviewed, train.X, found.predictions, train.y)
    if thresholds is not None:
        noise = with_thresholds(noise, thresholds.label, thresholds.features)
    return noise if reviewed is None else without_decided(noise, reviewed)


def _trusted(dataset: Dataset, predict: Predict | None) -> Trusted | None:
    """Rows of the validation table that the user gave; None where it has no labels, or none was given."""
    val = dataset.val
    if dataset.held_out is not None or val.y is None or predict is None:
        return None
    X = val.X[:]
    keys = dataset.encoder.keys(val.table)
    known, first = np.unique(dataset.keys, return_index=True)
    i = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    copy_of = np.where(known[i] == keys, first[i], -1)
    y: npt.NDArray[np.generic] = val.y
    if isinstance(dataset.labels, TagLabels):
        y = dataset.labels.matrix(val.y.astype(np.int64))
    return Trusted(X, y, predict(X), copy_of)
