"""How many of the rows that are left are wrong: the run's probabilities, corrected by the decisions so far.

A row that the run calls wrong with probability p is wrong with sigmoid(a + b logit p). Before any decision a is near 0
and b near 1; the decisions give the posterior of both, on a grid. A reviewer who confirms half of the 80-percent rows
thus corrects what is expected of the rest. (Platt scaling with a prior: Platt, 1999.) Rows that are suspect by their
label and those suspect by their features have an a and b each: unusual features are no errors in one table and nearly
always errors in another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from lossval_cli.report.findings.names import exact_interval

Floats = npt.NDArray[np.float64]

SHIFTS = np.linspace(-4.0, 4.0, 65)
"""a on the grid; prior N(0, 2²): the odds may well be off by a factor of seven."""
SHIFT_DEVIATION = 2.0
SLOPES = np.linspace(0.0, 2.5, 26)
"""b on the grid; prior N(1, 0.5²)."""
SLOPE_MEAN, SLOPE_DEVIATION = 1.0, 0.5

DISCREPANCY = 1.2
"""Standard deviation of a shift of the log-odds of all rows that are left: they differ from the reviewed ones."""

MISTAKES = 0.05
"""Assumed share of mistaken decisions, so that one decision against a sure row does not overturn everything."""

CLOSEST = 0.01
"""Probabilities nearer to 0 and 1 count as this far from them."""

DRAWS = 2_000
INTERVAL = 0.9
NEXT = 50
"""Rows of the forecast: those that are asked about next."""

WORTH_IT = 0.1
"""Expected share of wrong rows among the next, below which reviewing hardly pays."""


class Forecast(NamedTuple):
    """Estimates for S suspects, R of them reviewed."""

    reviewed: int
    wrong: int
    next_rows: int
    next_wrong: float
    left_rows: int
    left: float  # expected wrong rows among the suspects that are left, with an interval
    low: int
    high: int
    others: int  # random rows reviewed
    others_wrong: int
    others_low: float  # interval of the share of wrong rows among those that are not suspect
    others_high: float
    left_order: list[int]  # those that are left, the most probable first
    found: list[int]  # wrong rows among the first 0, 1, ... R reviewed
    expected: Floats  # (L + 1,) expected wrong rows after 0, 1, ... L more, with an interval
    expected_low: Floats
    expected_high: Floats


def forecast(
    probability: Floats, parts: list[str], decided: list[bool | None], order: list[int], others: list[bool]
) -> Forecast:
    """Forecast the wrong rows that are left. probability (S,) of the suspects in the order of the queue, NaN counts as
    a half; parts (S,): what of them is suspect; decided (S,): whether each was found wrong, None where nobody has said;
    order: the decided ones as they were decided; others: what was found of random rows."""
    z = logit(np.clip(np.nan_to_num(probability, nan=0.5), CLOSEST, 1 - CLOSEST))
    seen = np.array([is_wrong is not None for is_wrong in decided], bool)
    wrong = np.array([bool(is_wrong) for is_wrong in decided], bool)
    rng = np.random.default_rng(len(z))
    odds = np.zeros((DRAWS, len(z)))
    for part in sorted(set(parts)):
        own = np.array([one == part for one in parts], bool)
        odds[:, own] = _draw_odds(z[own], wrong[own & seen], z[own & seen], rng)
    corrected = expit(odds).mean(axis=0)
    by_draw = expit(odds + rng.normal(0.0, DISCREPANCY, (DRAWS, 1)))
    left = np.flatnonzero(~seen)
    left = left[np.argsort(-corrected[left], kind="stable")]
    paths = np.cumsum(rng.random((DRAWS, len(left))) < by_draw[:, left], axis=1)
    paths = np.hstack([np.zeros((DRAWS, 1), np.int64), paths])
    tail = (1 - INTERVAL) / 2
    low, high = np.quantile(paths, [tail, 1 - tail], axis=0, method="nearest")
    ahead = left[:NEXT]
    k, n = sum(others), len(others)
    others_low, others_high = exact_interval(k, n, INTERVAL)
    return Forecast(
        reviewed=int(seen.sum()),
        wrong=int(wrong.sum()),
        next_rows=len(ahead),
        next_wrong=float(corrected[ahead].sum()),
        left_rows=len(left),
        left=float(corrected[left].sum()),
        low=int(low[-1]),
        high=int(high[-1]),
        others=n,
        others_wrong=k,
        others_low=others_low,
        others_high=others_high,
        left_order=left.tolist(),
        found=np.cumsum([0, *(bool(decided[i]) for i in order)]).tolist(),
        expected=np.concatenate([[0.0], np.cumsum(corrected[left])]),
        expected_low=low.astype(np.float64),
        expected_high=high.astype(np.float64),
    )


def _draw_odds(z: Floats, wrong: npt.NDArray[np.bool_], seen: Floats, rng: np.random.Generator) -> Floats:
    """Return (DRAWS, n) log-odds of n rows of one part with logits z, by the posterior after the rows with logits
    `seen`."""
    shift, slope = (grid.ravel() for grid in np.meshgrid(SHIFTS, SLOPES, indexing="ij"))
    log_posterior = -0.5 * (shift / SHIFT_DEVIATION) ** 2 - 0.5 * ((slope - SLOPE_MEAN) / SLOPE_DEVIATION) ** 2
    for value, is_wrong in zip(seen, wrong, strict=True):
        chance = MISTAKES + (1 - 2 * MISTAKES) * expit(shift + slope * value)
        log_posterior += np.log(chance if is_wrong else 1 - chance)
    weight = np.exp(log_posterior - log_posterior.max())
    drawn = rng.choice(len(weight), DRAWS, p=weight / weight.sum())
    odds: Floats = shift[drawn, None] + slope[drawn, None] * z
    return odds
