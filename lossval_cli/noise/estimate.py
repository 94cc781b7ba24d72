"""The two entrances to this folder: outliers before training, wrong labels and flags after it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.typed_columns import TypedColumns
from lossval_cli.noise.label_errors import NoiseEstimate, estimate_labels, with_thresholds
from lossval_cli.noise.outliers import OutlierEstimate, find_outliers
from lossval_cli.noise.thresholds import Thresholds
from lossval_cli.settings import Settings

Floats = npt.NDArray[np.float64]


def estimate_outliers(dataset: Dataset, settings: Settings) -> OutlierEstimate:
    """How unusual the features of each training row are, for the n rows of this process.

    Its `penalty` (n,), in nats, enters the transport cost. Labels say only which rows are compared.
    """
    train, processes = dataset.train, dataset.storage.processes
    assert train.y is not None
    classes = None if dataset.classes is None else train.y.astype(np.int64)
    own = None if processes.world_size == 1 else processes.own(len(train.X))
    columns = TypedColumns(train.table, dataset.encoder, dataset.storage.together(train.table))
    rng = np.random.default_rng(settings.seed)
    with threadpool_limits(1, user_api="blas"):  # its matrices are small: threads would wait for one another
        return find_outliers(train.X, dataset.encoder.blocks, rng, columns=columns, own=own, classes=classes)


def estimate_noise(
    dataset: Dataset, predictions: Floats, outliers: OutlierEstimate, thresholds: Thresholds | None = None
) -> NoiseEstimate:
    """Which rows are wrong, from out-of-fold `predictions` (N, K) or (N,) and the outliers among all N rows.

    `thresholds` decide which rows are suspect; without them expected F1 does.
    """
    assert dataset.train.y is not None
    noise = estimate_labels(predictions, dataset.train.y, dataset.classes, outliers)
    return noise if thresholds is None else with_thresholds(noise, thresholds.label, thresholds.features)
