"""How much of the label the features explain: without that, a label that is hard to predict looks like a wrong one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def measure_skill(predictions: npt.NDArray[np.float64], y: npt.NDArray[Any], classes: int | None) -> float | None:
    """Share of the label's uncertainty that out-of-fold `predictions` (N, K) or (N,) of `y` (N,) remove.

    Brier skill score for classes, against their frequencies (Brier, 1950); for numbers the absolute error against
    that of the median. Both are bounded per row or linear, so that a few wrong labels cost little. None where all
    labels are the same.
    """
    if classes is None:
        spread = float(np.abs(y - np.median(y)).mean())
        return None if spread == 0 else 1 - float(np.abs(y - predictions).mean()) / spread
    rates = np.bincount(y.astype(np.int64), minlength=classes) / len(y)
    base = 1 - float((rates**2).sum())
    if base == 0:
        return None
    given = predictions[np.arange(len(y)), y.astype(np.int64)]
    return 1 - float((1 - 2 * given + (predictions**2).sum(axis=1)).mean()) / base
