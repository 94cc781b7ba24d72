"""Which use of the ranking, if any, is advised, from what models trained with and without it predict.

A model is helped where its predictions get better on a score that every evaluation row has and no single row
dominates (Brier score for classes, absolute error for numbers): accuracy on 100 rows moves in steps larger
than most gains. The improvement has to be shown against chance and against having tried several strategies
and models, and the metric that the user asked for has to get better as well.

Paired differences to training on all rows are resampled over evaluation rows and seeds; a limit is that of
the largest of all standardised errors (max-t), so that trying more does not make a false recommendation
more likely. Of the strategies within one standard error of the best, the least invasive is advised (Breiman et
al., 1984, say the simplest): weights change no row, relabelling keeps all, and of removals the smallest comes
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.metrics import Metric
from lossval_cli.removal.plan import Strategy
from lossval_cli.runtime.sharing import share

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95

RESAMPLES = 1_000
METRIC_RESAMPLES = 200
"""A metric is computed again for every resample, seed and trial; a mean over rows is not."""

INVASIVENESS = {"weights": 0, "relabel": 1, "suspects": 2, "lowest_first": 3}


class Answers(NamedTuple):
    """Predictions of the models of one kind for n evaluation rows, in the unit of the label, and the truth."""

    model: str
    predictions: Floats
    """(seeds, 1 + strategies, n[, K]); the first was trained on all rows as they are."""
    errors: Floats
    """(seeds, 1 + strategies, n) Brier score or absolute error."""
    y: npt.NDArray[Any]  # (n,)
    strategies: tuple[Strategy, ...]

    def metric_gains(self, metric: Metric, columns: Sequence[int], rows: npt.NDArray[np.int64]) -> Floats:
        """Compute by how much each strategy betters the metric on `rows`, (seeds, columns)."""
        y = self.y[rows]
        values = [[metric.compute(one[index, rows], y) for index in (0, *columns)] for one in self.predictions]
        table = metric.sign * np.array(values)
        gains: Floats = table[:, 1:] - table[:, :1]
        return gains

    def mean_gains(self, metric: Metric, columns: Sequence[int], rows: npt.NDArray[np.int64]) -> Floats:
        """Compute the mean of `metric_gains` over seeds, (columns,)."""
        mean: Floats = self.metric_gains(metric, columns, rows).mean(axis=0)
        return mean


class Trial(NamedTuple):
    """One strategy with one kind of model. Gains are positive where it gets better."""

    model: str
    strategy: Strategy
    error_gain: tuple[float, float, float]
    """Decrease of the mean Brier score or absolute error, with an interval that holds for all trials together."""
    error_before: float
    metric_gain: tuple[float, float, float]
    """The same of the metric; NaN where predictions are not shown to get better."""
    deviation: float
    """Standard error of the decrease."""

    @property
    def improves_predictions(self) -> bool:
        """True if predictions get better beyond chance."""
        return self.error_gain[1] > 0

    @property
    def helps(self) -> bool:
        """True if the metric gets better as well."""
        return self.improves_predictions and self.metric_gain[0] > 0


class Choice(NamedTuple):
    """The strategy that is advised, and what it does to each kind of model."""

    strategy: Strategy
    best: Trial
    """The model that gains most."""
    helped: tuple[str, ...]
    """The kinds of models that it helps, that of `best` first."""


def run_trials(answers: Sequence[Answers], metric: Metric) -> list[Trial]:
    """Try every strategy with every kind of model, compared with training on all rows."""
    answers = [each for each in answers if each.strategies]
    if not answers:
        return []
    gains = [each.errors[:, :1] - each.errors[:, 1:] for each in answers]  # (seeds, strategies, n) each
    per_row = np.concatenate([gain.mean(axis=0) for gain in gains])  # (trials, n)
    mean, n = per_row.mean(axis=1), per_row.shape[1]
    rng = np.random.default_rng(0)
    counts = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    seed_errors = [_seed_errors(gain.mean(axis=2), RESAMPLES, rng) for gain in gains]
    deviation, limit = _limits(counts @ per_row.T - mean, np.concatenate(seed_errors, axis=1))
    shown = mean - limit * deviation > 0
    values, spreads, metric_limit = _metric_gains(answers, metric, shown, rng)
    trials, index = [], 0
    for each in answers:
        for strategy in each.strategies:
            reach, metric_reach = limit * deviation[index], metric_limit * spreads[index]
            trials.append(
                Trial(
                    each.model,
                    strategy,
                    _interval(mean[index], reach),
                    float(each.errors[:, 0].mean()),
                    _interval(values[index], metric_reach),
                    float(deviation[index]),
                )
            )
            index += 1
    return trials


def _metric_gains(
    answers: Sequence[Answers], metric: Metric, shown: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Floats, Floats, float]:
    """Return (trials,) changes of the metric, their standard errors, and the limit; NaN where not `shown`."""
    values, spreads = np.full(len(shown), np.nan), np.full(len(shown), np.nan)
    errors, start = [], 0
    n = len(answers[0].y)
    draws = [rng.integers(0, n, n) for _ in range(METRIC_RESAMPLES)] if shown.any() else []
    for each in answers:
        trials = np.arange(start, start + len(each.strategies))[shown[start : start + len(each.strategies)]]
        start += len(each.strategies)
        if not trials.size:
            continue
        columns = (trials - (start - len(each.strategies)) + 1).tolist()
        per_seed = each.metric_gains(metric, columns, np.arange(n))
        values[trials] = per_seed.mean(axis=0)
        resampled = np.array(share(draws, partial(each.mean_gains, metric, columns)))
        # What a resample leaves undefined (one class drawn) counts as no error.
        total = np.nan_to_num(resampled - values[trials]) + np.nan_to_num(_seed_errors(per_seed, len(draws), rng))
        spreads[trials] = total.std(axis=0) + 1e-12
        errors.append(total / spreads[trials])
    limit = float(np.quantile(np.abs(np.concatenate(errors, axis=1)).max(axis=1), CONFIDENCE)) if errors else 0.0
    return values, spreads, limit


def choose(trials: Sequence[Trial]) -> Choice | None:
    """The strategy to advise, or None where none is shown to help."""
    helping = [trial for trial in trials if trial.helps]
    if not helping:
        return None
    best = max(helping, key=lambda trial: trial.error_gain[0] / max(trial.error_before, 1e-12))
    near = [
        trial
        for trial in helping
        if trial.model == best.model and trial.error_gain[0] >= best.error_gain[0] - best.deviation
    ]
    chosen = min(near, key=lambda trial: (INVASIVENESS[trial.strategy.name], trial.strategy.share))
    others = [trial.model for trial in helping if trial.strategy == chosen.strategy and trial.model != chosen.model]
    return Choice(chosen.strategy, chosen, (chosen.model, *others))


def _interval(value: float, reach: float) -> tuple[float, float, float]:
    return float(value), float(value - reach), float(value + reach)


def _seed_errors(per_seed: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Return (draws, c) errors of c means for having few seeds, per_seed (seeds, c); scaled to be without bias."""
    seeds = len(per_seed)
    drawn = rng.integers(0, seeds, (draws, seeds))
    errors: Floats = (per_seed[drawn].mean(axis=1) - per_seed.mean(axis=0)) * np.sqrt(seeds / max(seeds - 1, 1))
    return errors


def _limits(row_errors: Floats, seed_errors: Floats) -> tuple[Floats, float]:
    """Standard errors (c,) of c means, and how many of them a simultaneous interval reaches to each side.

    Rows and seeds are two sources of error, (draws, c) each, and a resample of each is added.
    """
    total = np.nan_to_num(row_errors) + np.nan_to_num(seed_errors)
    deviation: Floats = total.std(axis=0) + 1e-12
    return deviation, float(np.quantile(np.abs(total / deviation).max(axis=1), CONFIDENCE))
