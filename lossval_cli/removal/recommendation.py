"""Which removal, if any, is advised, from what networks trained without the removed rows predict.

Two things must be shown, each against chance and against trying several removals. First that predictions get
better, on a score that every evaluation row has and no single row dominates (Brier score for classes,
absolute error for numbers): accuracy on 100 rows moves in steps larger than most gains. Then that the metric
does, for that is what the user asked about, and surer probabilities alone may leave it where it was.

Paired differences to dropping nothing are resampled over evaluation rows and seeds; with several removals
tried, a limit is that of the largest of their standardised errors (max-t), so that trying more does not make
a false recommendation likelier. Of those above it, the smallest within one standard error of the best is
advised (Breiman et al., 1984). The surest one would often leave most of the gain behind; the largest may take
a rare kind of row away altogether, which few evaluation rows would notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from lossval_cli.metrics import Metric
from lossval_cli.text.format import format_number

Floats = npt.NDArray[np.float64]
Removal: TypeAlias = tuple[str, float]
"""Arm and fraction: what is removed."""

CONFIDENCE = 0.95

RESAMPLES = 1_000
METRIC_RESAMPLES = 200
"""A metric is computed again for every resample, seed and removal; a mean over rows is not."""


class Choice(NamedTuple):
    """The best that can be said for a removal."""

    removal: Removal
    gain: tuple[float, float, float]
    """Change of the metric, positive is better, with its 95 % interval, which holds for all removals that
    were in question together."""

    @property
    def is_shown(self) -> bool:
        """Whether the metric gets better beyond chance; if not, predictions do and the metric may not."""
        return self.gain[1] > 0


class Answers(NamedTuple):
    """What retrained networks predict for n evaluation rows, in the unit of the label, and the truth."""

    predictions: Floats  # (seeds, sets, n[, K]); set 0 was trained on all rows
    y: npt.NDArray[Any]  # (n,)
    metric: Metric

    def changes(self, places: Sequence[int], rows: npt.NDArray[np.int64]) -> Floats:
        """(seeds, places) by how much the metric of each set is better than that of set 0 on `rows`."""
        y = self.y[rows]
        values = [[self.metric.compute(one[at, rows], y) for at in (0, *places)] for one in self.predictions]
        table = self.metric.sign * np.array(values)
        change: Floats = table[:, 1:] - table[:, :1]
        return change


def choose(candidates: dict[Removal, int], scores: Floats, answers: Answers) -> Choice | None:
    """The removal to advise, or one that is nearly shown to help, or None where none is.

    `candidates`: removal -> set. `scores` (seeds, sets, n): Brier score or absolute error of every row.
    """
    if not candidates:
        return None
    removals, places = list(candidates), list(candidates.values())
    gains = scores[:, [0], :] - scores[:, places, :]  # (seeds, candidates, n)
    per_row, per_seed = gains.mean(axis=0), gains.mean(axis=2)  # (candidates, n), (seeds, candidates)
    mean = per_row.mean(axis=1)
    rng = np.random.default_rng(0)
    n = per_row.shape[1]
    counts = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    deviation, limit = _limits(counts @ per_row.T - mean, per_seed, rng)
    helps = np.flatnonzero(mean - limit * deviation > 0)
    if not helps.size:
        return None
    asked = [places[at] for at in helps]
    changes = answers.changes(asked, np.arange(n))  # (seeds, helps)
    draws = [answers.changes(asked, rng.integers(0, n, n)).mean(axis=0) for _ in range(METRIC_RESAMPLES)]
    value = changes.mean(axis=0)
    spread, limit = _limits(np.array(draws) - value, changes, rng)
    shown = value - limit * spread > 0
    usable = shown if shown.any() else np.isfinite(value)
    if not usable.any():
        return None
    best = helps[usable][mean[helps[usable]].argmax()]
    near = usable & (mean[helps] >= mean[best] - deviation[best])
    at = min(np.flatnonzero(near), key=lambda place: removals[helps[place]][1])
    gain = tuple(float(value[at] + side * limit * spread[at]) for side in (0, -1, 1))
    return Choice(removals[helps[at]], gain)  # type: ignore[arg-type]  # three of them


def put_in_words(choice: Choice | None, metric: Metric, judges: str) -> str:
    """The advice as sentences; `judges`: how many rows of what it rests on, e.g. `200 test rows`."""
    if choice is None:
        return f"No removal significantly improves the model on {judges}. Keep all rows."
    (arm, fraction), gain = choice
    what = "the suspects" if arm == "suspects" else f"the lowest {fraction:.0%}"
    name = metric.name.replace("_", " ")
    change, *ends = (metric.sign * end for end in gain)
    low, high = sorted(ends)
    likely = "{}, 95% CI {} to {}".format(*(format_number(end, 3, "+") for end in (change, low, high)))
    if choice.is_shown:
        return f"Recommended: without {what}, {name} improves on {judges} ({likely})."
    better = "predictions" if metric.name in ("rmse", "mae", "r2") else "predicted probabilities"
    return (
        f"Not recommended: without {what}, {better} improve on {judges}, but {name} does not change "
        f"significantly ({likely})."
    )


def _limits(errors: Floats, per_seed: Floats, rng: np.random.Generator) -> tuple[Floats, float]:
    """Standard errors (c,) of c means, and how many of them a simultaneous interval reaches to each side.

    errors (draws, c): of resampled rows; per_seed (seeds, c). Rows and seeds are two sources of error, and a
    resample of each is added, that of the few seeds scaled to be without bias. What a resample leaves
    undefined (one class drawn) counts as no error.
    """
    seeds = len(per_seed)
    drawn = rng.integers(0, seeds, (len(errors), seeds))
    of_seeds = per_seed[drawn].mean(axis=1) - per_seed.mean(axis=0)
    total = np.nan_to_num(errors) + np.nan_to_num(of_seeds * np.sqrt(seeds / max(seeds - 1, 1)))
    deviation: Floats = total.std(axis=0) + 1e-12
    return deviation, float(np.quantile(np.abs(total / deviation).max(axis=1), CONFIDENCE))
