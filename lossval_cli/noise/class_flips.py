"""The share of labels that each of two classes loses to the other.

Wrong labels rarely hit two classes alike: people overlook the rare one. Which of two labels is then more probably wrong
depends on more than how clearly each is contradicted. Where class k loses a share ρ_k of its labels, the odds that a
label y is wrong are about ρ_o p_o / p_y, with p the predicted probabilities and o the other class.

The curve of `random_flips` shows both shares, if its asymptotes are free: P(y = 1 | z) rises from ρ_0 to 1 − ρ_1. But a
plateau at one end alone is also what a table looks like in part of which labels are random. So these shares decide
which labels are doubted first, and not how many are wrong; plateaus of the same height at both ends, which
`random_flips` looks for, are hardly a coincidence.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from lossval_cli.noise.random_flips import MOST_COUNTED, fit_curve, log_chance_of_surest
from lossval_cli.noise.share_grid import MEAN_SHARE

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHARES = np.array([0, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.19, 0.25, 0.32, 0.4, 0.5])
"""Of each class, on the grid: coarser than that of `random_flips`, since there are two."""

LEAST_LOST = 1e-4
"""No class is taken to keep all of its labels: the other's would all count for nothing."""

ALIKE = 0.5
"""Prior probability that both classes lose the same share."""

EVERY = 2
"""Of the curve's slopes and midpoints, every second one: the shares are rough anyway."""


def shares_lost(probabilities: Floats, y: Ints, seed: int, distinct: int) -> Floats:
    """Estimate the share (2,) of its labels that each class loses to the other: the posterior mean, given out-of-fold
    probabilities (N, 2) and labels y (N,).

    distinct: how many different rows of features there are.
    """
    rows = min(MOST_COUNTED, distinct)
    index = np.indices((len(SHARES), len(SHARES))).reshape(2, -1)
    index = index[:, SHARES[index].sum(axis=0) < 1]
    lost_0, lost_1 = SHARES[index]
    curve = fit_curve(probabilities[:, 1], y == 1, lost_0, 1 - lost_1, rows, seed, EVERY)
    is_1 = probabilities[:, 1] > probabilities[:, 0]
    chance = [log_chance_of_surest(probabilities[part], y[part], SHARES) for part in (~is_1, is_1)]
    prior = softmax(-SHARES / MEAN_SHARE + np.log(np.gradient(SHARES)))
    alone, alike = prior[index].prod(axis=0), prior[index[0]] * (index[0] == index[1])
    log_prior = np.log((1 - ALIKE) * alone + ALIKE * alike)
    posterior = softmax(curve.log_likelihood + chance[0][index[0]] + chance[1][index[1]] + log_prior)
    result: Floats = np.maximum(SHARES[index] @ posterior, LEAST_LOST)
    return result
