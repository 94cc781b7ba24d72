"""The share of labels flipped at random, as distinct from labels that are merely hard to predict.

Both contradict the prediction. But where the features say ever more clearly what the label is, a right label
contradicts them ever more rarely, while a flipped one does so as often as elsewhere. Sort the rows by what is
predicted: the share of rows of a class rises along a logistic curve of the normal score z of the rank, and
flips cut off its ends (the four-parameter logistic model of item response theory; Barton & Lord, 1981):

    P(y = k | z) = L + (U − L) σ(a z + b)        L, U: asymptotes, fixed by the share π of flips

A curve that is flat all along, as of labels that no feature explains, says nothing about π: the posterior
stays at its prior. (π, a, b) are averaged over a grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, logsumexp, ndtri
from scipy.stats import binom, rankdata

from lossval_cli.noise.share_grid import SHARES, log_prior, normalised, share_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SLOPES = np.exp(np.linspace(np.log(0.05), np.log(12), 26))
MIDPOINTS = np.linspace(-3.2, 3.2, 53)
"""z at which the curve is half way up; curves without a slope lie at the base rate."""

EDGES = np.unique(
    np.concatenate([[0, 0.002, 0.005, 0.01, 0.02], np.linspace(0.03, 0.97, 48), [0.98, 0.99, 0.995, 0.998, 1]])
)
"""Bins of ranks, finer at both ends, which decide."""

MOST_COUNTED = 2_000
"""The likelihood counts as if there were no more rows: beyond, the curve's form is what is uncertain."""

MOST_RANKED = 400_000
"""Pairs of rows and classes, at most, that the curve is fitted to."""

ABOUT_THE_SAME = 1.5
"""Three or more classes: the ratio of frequencies up to which they share a curve."""

FEWEST_SUREST = 50
"""The surest predictions that are looked at: so many, twice as many, and so on."""


class Flips(NamedTuple):
    """The estimated flips."""

    probability: Floats  # (N,) that the label was flipped
    share: float  # posterior mean of π
    low: float
    high: float


def estimate_flips(probabilities: Floats, y: Ints, seed: int, distinct: int | None = None) -> Flips:
    """Estimate which labels were flipped at random, and how many, from out-of-fold probabilities (N, K) and labels y
    (N,).

    distinct: how many different rows of features there are (default: N). Copies of a row say how often it has each
    label, and nothing of the curve.
    """
    N, K = probabilities.shape
    counted = min(MOST_COUNTED, N if distinct is None else distinct)
    rates = np.maximum(np.bincount(y, minlength=K) / N, 1e-6)
    probability = np.zeros(N)
    chance_of_surest = log_chance_of_surest(probabilities, y, SHARES)
    if K == 2:
        curve = fit_curve(probabilities[:, 1], y == 1, SHARES, 1 - SHARES, counted, seed)
        posterior = _posterior([curve], chance_of_surest)
        for i in np.flatnonzero(posterior > 1e-4):
            is_1 = curve.height(i, curve.z)
            right = np.where(y == 1, is_1, 1 - is_1)
            flipped = SHARES[i] * (1 - right)
            probability += posterior[i] * flipped / np.maximum(flipped + (1 - SHARES[i]) * right, 1e-12)
    else:  # every pair of a row and a class is one case
        groups = _equally_frequent(rates)
        curves = []
        for group in groups:
            is_own = (y[:, None] == group).ravel()
            rows = counted * len(group) / K
            curves.append(fit_curve(probabilities[:, group].ravel(), is_own, SHARES / (K - 1), 1 - SHARES, rows, seed))
        posterior = _posterior(curves, chance_of_surest)
        for group, curve in zip(groups, curves, strict=True):
            own = np.flatnonzero(np.isin(y, group))
            z = curve.z.reshape(N, len(group))[own, np.searchsorted(group, y[own])]
            for i in np.flatnonzero(posterior > 1e-4):
                right = curve.height(i, z)
                flipped = SHARES[i] / (K - 1) * (1 - right)
                probability[own] += posterior[i] * flipped / np.maximum(flipped + (1 - SHARES[i]) * right, 1e-12)
    return Flips(probability, *share_of(posterior))


def _equally_frequent(rates: Floats) -> list[Ints]:
    """Classes (K,) in groups of about the same frequency, each in ascending order: they share a curve. Of classes that
    are not, base rates alone would say which label a row has, and the most frequent one, never sure, would seem to be
    full of flips."""
    groups: list[list[int]] = []
    for k in np.argsort(rates, kind="stable").tolist():
        if not groups or rates[k] > ABOUT_THE_SAME * rates[groups[-1][0]]:
            groups.append([])
        groups[-1].append(k)
    return [np.sort(group) for group in groups]


def log_chance_of_surest(probabilities: Floats, y: Ints, shares: Floats) -> Floats:
    """Return the log (shares,) of the chance that among the n surest predictions as many labels agree as do, for the n
    of which it is least, if such shares of labels are flipped. probabilities (N, K), y (N,).

    Flips hit sure and unsure rows alike. Where a part of the rows is predicted without a mistake, hardly any label is
    flipped, whatever the curve of the other rows looks like.
    """
    predicted = probabilities.argmax(axis=1)
    order = np.argsort(-probabilities.max(axis=1), kind="stable")[:MOST_COUNTED]
    agree = (predicted == y)[order].cumsum()
    n = np.unique(np.append(FEWEST_SUREST * 2 ** np.arange(8), len(order)))
    n = n[(n >= FEWEST_SUREST) & (n <= len(order))]
    if not len(n):
        return np.zeros(len(shares))
    chances: Floats = binom.logsf(agree[n - 1] - 1, n, 1 - shares[:, None])
    least: Floats = np.clip(chances.min(axis=1) + np.log(len(n)), -1e6, 0.0)  # of several (Bonferroni)
    return least


def _posterior(curves: list[Curve], log_chance: Floats) -> Floats:
    """Return (SHARES,) posterior of the share π that all curves have; log_chance (SHARES,): other evidence of it."""
    log_likelihood = np.sum([curve.log_likelihood for curve in curves], axis=0) + log_chance
    return normalised(log_likelihood + log_prior())


class Curve(NamedTuple):
    """Curves between given asymptotes."""

    log_likelihood: Floats  # (shares,) averaged over a and b
    heights: Floats  # (shares, bins) of σ(a z + b), averaged over a and b
    bins: Floats  # (bins,) z of each
    z: Floats  # (M,) normal scores of the predictions

    def height(self, share: np.intp, z: Floats) -> Floats:
        """σ(a z + b) for normal scores z (n,)."""
        result: Floats = np.interp(z, self.bins, self.heights[share])
        return result


def fit_curve(
    predicted: Floats,
    happens: npt.NDArray[np.bool_],
    lower: Floats,
    upper: Floats,
    rows: float,
    seed: int,
    every: int = 1,
) -> Curve:
    """Fit a curve to what is predicted (M,) and whether it happened (M,), for each pair of asymptotes (shares,).

    rows: how many the M count as; every: of the slopes and midpoints on the grid, every such one is tried.
    """
    z = ndtri((rankdata(predicted) - 0.5) / len(predicted))
    ranked = np.arange(len(z))
    if len(z) > MOST_RANKED:
        ranked = np.random.default_rng(seed).choice(ranked, MOST_RANKED, replace=False)
    bin_index = np.clip(np.searchsorted(ndtri(EDGES), z[ranked]) - 1, 0, len(EDGES) - 2)
    n = np.bincount(bin_index, minlength=len(EDGES) - 1).astype(np.float64)
    k = np.bincount(bin_index, weights=happens[ranked], minlength=len(n))
    middle = np.bincount(bin_index, weights=z[ranked], minlength=len(n)) / np.maximum(n, 1)
    n, k, middle = n[n > 0], k[n > 0], middle[n > 0]

    base = logit(np.clip(happens.mean(), 1e-4, 1 - 1e-4))
    slope, midpoint = SLOPES[::every, None, None], MIDPOINTS[None, ::every, None]
    heights = expit(slope * (middle - midpoint) + base / (1 + slope**2))  # (slopes, midpoints, bins)
    counted = rows / len(ranked)
    log_likelihood = np.empty((len(lower), *heights.shape[:2]))
    for i, (low, high) in enumerate(zip(lower, upper, strict=True)):
        chance = np.clip(low + (high - low) * heights, 1e-6, 1 - 1e-6)
        log_likelihood[i] = counted * (np.log(chance) @ k + np.log1p(-chance) @ (n - k))
    averaged = logsumexp(log_likelihood, axis=(1, 2))
    weights = np.exp(log_likelihood - averaged[:, None, None])
    return Curve(averaged, np.einsum("psm,smb->pb", weights, heights), middle, z)
