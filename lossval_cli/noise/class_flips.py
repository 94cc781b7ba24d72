"""The share of labels that each of two classes loses to the other, and whether it is by mistake.

Wrong labels rarely hit two classes alike: people overlook the rare one. Which of two labels is then more probably wrong
depends on more than how clearly each is contradicted. Where class k loses a share ρ_k of its labels, the odds that a
label y is wrong are about ρ_o p_o / p_y, with p the predicted probabilities and o the other class.

The curve of `random_flips` shows both shares, if its asymptotes are free: P(y = 1 | z) rises from ρ_0 to 1 − ρ_1. So
they decide which labels are doubted first. Whether these labels are mistakes is another question: a plateau is also
what a table looks like in part of which no feature says what the label is. Mistakes are few, and often hit both classes
alike; what no feature explains can be any share of one class. The posterior odds of the two follow from the curve.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logsumexp, softmax

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

MISTAKES = 2.0
"""Prior odds of mistakes: few tables have labels that no feature explains in one part, and that follow from the
features in the other."""

EVERY = 2
"""Of the curve's slopes and midpoints, every second one: the shares are rough anyway."""


class ClassFlips(NamedTuple):
    """What two classes lose."""

    lost: Floats  # (2,) posterior mean of the share that each class loses, if by mistake
    by_mistake: float  # probability that it is by mistake, not that no feature explains it
    otherwise: float  # posterior mean of the lesser share, if no feature explains the other


def estimate_class_flips(probabilities: Floats, y: Ints, seed: int, distinct: int) -> ClassFlips:
    """Estimate what each of two classes loses, from out-of-fold probabilities (N, 2) and labels y (N,).

    distinct: how many different rows of features there are.
    """
    rows = min(MOST_COUNTED, distinct)
    index = np.indices((len(SHARES), len(SHARES))).reshape(2, -1)
    index = index[:, SHARES[index].sum(axis=0) < 1]
    lost_0, lost_1 = SHARES[index]
    curve = fit_curve(probabilities[:, 1], y == 1, lost_0, 1 - lost_1, rows, seed, EVERY)
    is_1 = probabilities[:, 1] > probabilities[:, 0]
    chance = [log_chance_of_surest(probabilities[part], y[part], SHARES) for part in (~is_1, is_1)]
    log_likelihood = curve.log_likelihood + chance[0][index[0]] + chance[1][index[1]]

    widths = np.gradient(SHARES)
    few, any_share = softmax(-SHARES / MEAN_SHARE + np.log(widths))[index], (widths / widths.sum())[index]
    mistakes = ALIKE * few[0] * (index[0] == index[1]) + (1 - ALIKE) * few.prod(axis=0)
    unexplained = (few[0] * any_share[1] + any_share[0] * few[1]) / 2
    by_mistake = log_likelihood + np.log(mistakes)
    otherwise = log_likelihood + np.log(unexplained)
    return ClassFlips(
        np.maximum(SHARES[index] @ softmax(by_mistake), LEAST_LOST),
        float(expit(logsumexp(by_mistake) - logsumexp(otherwise) + np.log(MISTAKES))),
        float(SHARES[index].min(axis=0) @ softmax(otherwise)),
    )
