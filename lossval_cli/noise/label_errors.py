"""Noisy rows, their probabilities and their share: wrong labels and outliers together.

    out-of-fold   what other rows say of a row's label: networks, linear model, forest, boosting   (out_of_fold)
    mixture       weighted by how well each predicts labels it was not fitted on                   (stacking)
    classes       flips that contradict even the surest predictions; a model of trusted labels     (class_errors)
    numbers       residuals in units of those of rows with similar predictions                     (number_errors)
    flags         the rows above the threshold that maximises the expected F1                      (flags)

Predictions say little of a row whose features are wrong: as far as it is an outlier, its label is as probably wrong
as any.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.noise.flags import choose_suspects
from lossval_cli.noise.label_estimates import LabelErrors
from lossval_cli.noise.outliers import OutlierEstimate

Floats = npt.NDArray[np.float64]


class NoiseEstimate(NamedTuple):
    """The estimated noise in N training rows."""

    probability: Floats  # (N,) that a row is noisy in either way
    label_probability: Floats  # (N,) that its label is wrong
    feature_probability: Floats  # (N,) that it is an outlier
    label_suspect: npt.NDArray[np.bool_]  # (N,)
    feature_suspect: npt.NDArray[np.bool_]  # (N,)
    label_threshold: float  # probability from which a row is a suspect; 1.0 where there is none
    feature_threshold: float
    share: float  # expected share of noisy rows, with its interval
    share_low: float
    share_high: float
    outliers: OutlierEstimate | None = None
    labels: LabelErrors | None = None  # the label part in detail


def combine(labels: LabelErrors, outliers: OutlierEstimate) -> NoiseEstimate:
    """The estimate of each row, from those of its label and of its features."""
    features = outliers.probability
    label = labels.probability * (1 - features) + np.minimum(labels.probability, labels.share) * features
    label_suspect, label_threshold = choose_suspects(label)
    feature_suspect, feature_threshold = choose_suspects(features)
    probability = 1 - (1 - label) * (1 - features)
    share = float(probability.mean())
    return NoiseEstimate(
        probability,
        label,
        features,
        label_suspect,
        feature_suspect,
        label_threshold,
        feature_threshold,
        share,
        min(share, 1 - (1 - labels.low) * (1 - outliers.share_low)),
        max(share, 1 - (1 - labels.high) * (1 - outliers.share_high)),
        outliers,
        labels,
    )


def with_thresholds(noise: NoiseEstimate, label: float, features: float) -> NoiseEstimate:
    """The same estimate, with the rows flagged whose probabilities are at or above the thresholds."""
    return noise._replace(
        label_suspect=noise.label_probability >= label,
        feature_suspect=noise.feature_probability >= features,
        label_threshold=label,
        feature_threshold=features,
    )
