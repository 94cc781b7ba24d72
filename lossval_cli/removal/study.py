"""What it does to a model to leave out, relabel or weigh rows as the ranking says, on held-out rows.

Networks are retrained for the whole curve: without the lowest, the highest and random rows. Strategies that
may be advised are tried with gradient boosting and a linear model as well (models). Whether one is advised is
decided in `recommendation`; what is said about it stands in `report.sentences`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.labels import NumberLabels
from lossval_cli.lossval.training import Fit
from lossval_cli.metrics import Metric, find_metric
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.removal.models import Evaluation, affordable_seeds, retrain_networks, retrain_other
from lossval_cli.removal.plan import Mask, Plan, Pool, Strategy, make_plan, make_pool
from lossval_cli.removal.recommendation import Answers, Choice, Trial, choose, run_trials
from lossval_cli.settings import Settings

Floats = npt.NDArray[np.float64]

MAX_ADVISED_SHARE = 0.3
"""No larger removal is advised."""

MIN_NOISE_SHARE = 0.03
"""Share of suspects, or lower end of the noise share, from which anything can be advised. Of fewer suspects many
may be false alarms, and on clean data weights or a removal would only make up for what a model does badly."""

MAX_ROWS = 5_000
"""Rows that retraining draws from larger tables."""

ROW_VISITS = 30_000
"""Rows times epochs of one retraining, about; no fewer than MIN_EPOCHS all the same."""
MIN_EPOCHS = 10

MIN_EVALUATION_ROWS = 30
"""Different evaluation rows below which nothing is advised: a few rows always seem to agree."""

MAX_EVALUATION_ROWS = 10_000
MIN_DRAWN = 1_000
MAX_PROBABILITIES = 200_000
"""Evaluation rows drawn from larger tables: so many, fewer where each holds many classes. What is resampled
is held in memory, and a gain too small for 10,000 rows to show is too small to act on."""

CURVES = ("lowest_first", "highest_first", "random")


@dataclass(frozen=True)
class Curve:
    """The metric of retrained networks, by share of rows left out."""

    name: str
    values: Floats
    """(fractions, seeds); NaN: not run."""

    @property
    def mean(self) -> list[float | None]:
        """Per fraction the mean over seeds."""
        return [_number(row.mean()) for row in self.values]

    @property
    def spread(self) -> list[float | None]:
        """Per fraction the standard deviation over seeds."""
        return [_spread(row) for row in self.values]


@dataclass(frozen=True)
class RemovalStudy:
    """What each strategy does to each kind of model, and what is advised."""

    metric: Metric
    evaluated_on: str
    """`test`, or `validation`."""
    evaluation_rows: tuple[int, int]
    """Used, out of so many."""
    training_rows: tuple[int, int]
    """Retrained on, out of so many."""
    epochs: tuple[int, int]
    """Of a retraining, and of the run."""
    fractions: tuple[float, ...]
    curves: tuple[Curve, ...]
    """lowest_first, highest_first, random; suspects last, with one fraction, where there are any."""
    baseline: Floats
    """(seeds,) the metric of networks trained on all rows."""
    suspect_share: float
    trials: tuple[Trial, ...]
    choice: Choice | None
    failed: tuple[str, ...]

    @property
    def recommended(self) -> str:
        """`nothing`, `suspects`, `lowest`, `relabel` or `weights`."""
        if self.choice is None:
            return "nothing"
        name = self.choice.strategy.name
        return "lowest" if name == "lowest_first" else name

    @property
    def recommended_fraction(self) -> float:
        """Share of rows that the recommendation leaves out or relabels."""
        return 0.0 if self.choice is None or self.recommended == "weights" else self.choice.strategy.share

    def to_dict(self) -> dict[str, Any]:
        """For report.json; no sentence among it."""
        curves = {curve.name: curve for curve in self.curves}
        suspects = curves.pop("suspects", None)
        return {
            "metric": self.metric.name,
            "greater_is_better": self.metric.greater_is_better,
            "evaluated_on": self.evaluated_on,
            "evaluation_rows": list(self.evaluation_rows),
            "training_rows": list(self.training_rows),
            "fractions": list(self.fractions),
            **{name: curve.mean for name, curve in curves.items()},
            "spreads": {name: curve.spread for name, curve in curves.items()},
            "baseline": {"mean": _number(self.baseline.mean()), "spread": _spread(self.baseline)},
            "suspects": suspects
            and {"share": self.suspect_share, "mean": suspects.mean[0], "spread": suspects.spread[0]},
            "trials": [_trial_dict(trial) for trial in self.trials],
            "recommended": self.recommended,
            "recommended_fraction": self.recommended_fraction,
            "recommended_for": [] if self.choice is None else list(self.choice.helped),
            "expected_gain": None if self.choice is None else _gain(self.choice.best.metric_gain),
            "failed": list(self.failed),
            "seeds": len(self.baseline),
            "epochs": self.epochs[0],
            "full_epochs": self.epochs[1],
        }


def study_removal(
    dataset: Dataset, fit: Fit, noise: NoiseEstimate | None, settings: Settings, device: torch.device, mode: str
) -> RemovalStudy | None:
    """Retrain with the rows of low importance left out, relabelled or weighted; `mode` is full or quick.

    Evaluated on the test table where there is one, else on validation; None where that has no labels.
    Raises SettingsError for a metric that does not fit the task.
    """
    metric = find_metric(settings.metric, dataset.roles.task)
    part = dataset.test or dataset.val
    if part.y is None:
        return None
    rng = np.random.default_rng([settings.seed, len(fit.importance)])
    rows = np.arange(len(fit.importance))
    if dataset.held_out is not None and dataset.test is None:
        rows = np.setdiff1d(rows, dataset.held_out)  # what is evaluated on is not trained on
    available = len(rows), len(part.y)
    if len(rows) > MAX_ROWS:
        rows = np.sort(rng.choice(rows, MAX_ROWS, replace=False))
    evaluation = Evaluation("test" if dataset.test is not None else "validation", part.X[:], part.y)
    most = min(MAX_EVALUATION_ROWS, max(MIN_DRAWN, MAX_PROBABILITIES // (dataset.classes or 1)))
    if len(evaluation.y) > most:
        drawn = np.sort(rng.choice(len(evaluation.y), most, replace=False))
        evaluation = Evaluation(evaluation.name, evaluation.X[drawn], evaluation.y[drawn])
    pool = make_pool(dataset, rows, fit, noise)
    plan = make_plan(dataset, pool, mode, rng)
    affordable = max(MIN_EPOCHS, ROW_VISITS // len(rows))
    epochs = min(settings.epochs if mode == "full" else MIN_EPOCHS, affordable)

    predictions = retrain_networks(dataset, pool, plan, evaluation, settings, epochs, device)
    by_set = np.isfinite(predictions).swapaxes(0, 1).reshape(predictions.shape[1], -1)
    finite: Mask = np.logical_and.reduce(by_set, axis=1)  # (sets,)
    advisable = _advisable(plan, pool, noise, finite)
    can_advise = bool(finite[0]) and len(np.unique(evaluation.X, axis=0)) >= MIN_EVALUATION_ROWS
    answers = [_answers("network", dataset, predictions, evaluation, advisable)] if can_advise else []
    others = {strategy: index for strategy, index in advisable.items() if strategy.name != "lowest_first"}
    if can_advise and others:
        answers += _other_models(dataset, pool, plan, others, evaluation, settings.seed)
    trials = run_trials(answers, metric)

    return RemovalStudy(
        metric=metric,
        evaluated_on=evaluation.name,
        evaluation_rows=(len(evaluation.y), available[1]),
        training_rows=(len(rows), available[0]),
        epochs=(epochs, settings.epochs),
        fractions=plan.fractions,
        **_curves(plan, predictions, finite, dataset, evaluation, metric),
        suspect_share=float(pool.suspect.mean()),
        trials=tuple(trials),
        choice=choose(trials),
        failed=(*_diverged(plan, finite), *plan.failed),
    )


def _advisable(plan: Plan, pool: Pool, noise: NoiseEstimate | None, finite: Mask) -> dict[Strategy, int]:
    """The strategies that may be advised, and their sets."""
    if noise is not None and max(pool.suspect.mean(), noise.share_low) < MIN_NOISE_SHARE:
        return {}
    return {
        strategy: index
        for strategy, index in plan.strategies("suspects", "relabel", "weights", "lowest_first").items()
        if finite[index] and (strategy.name == "weights" or strategy.share <= MAX_ADVISED_SHARE)
    }


def _other_models(
    dataset: Dataset, pool: Pool, plan: Plan, strategies: dict[Strategy, int], evaluation: Evaluation, seed: int
) -> list[Answers]:
    """What boosting and a linear model predict, for those that are affordable and could be trained."""
    seeds, answers = len(plan.weights), []
    for kind, draws in (("boosting", affordable_seeds(pool, dataset, seeds)), ("linear", seeds)):
        if draws:
            sets = [0, *strategies.values()]
            predictions = retrain_other(kind, dataset, pool, plan, sets, evaluation, draws, seed)
            if np.isfinite(predictions).all():
                columns = {strategy: column for column, strategy in enumerate(strategies, start=1)}
                answers.append(_answers(kind, dataset, predictions, evaluation, columns))
    return answers


def _answers(
    model: str, dataset: Dataset, predictions: Floats, evaluation: Evaluation, columns: dict[Strategy, int]
) -> Answers:
    """Of the strategies, whose predictions are in these columns."""
    taken = predictions[:, [0, *columns.values()]]
    errors = _row_errors(taken, evaluation.y, dataset.classes)
    answers, y = _in_units(dataset, taken, evaluation.y)
    return Answers(model, answers, errors, y, tuple(columns))


def _row_errors(predictions: Floats, y: npt.NDArray[Any], classes: int | None) -> Floats:
    """(seeds, sets, n) Brier score or absolute error of every evaluation row."""
    if classes is None:
        errors: Floats = np.abs(predictions - y)
        return errors
    truth = np.eye(classes)[y.astype(np.int64)]
    squares: Floats = ((predictions - truth) ** 2).sum(axis=-1)
    return squares


def _in_units(dataset: Dataset, predictions: Floats, y: npt.NDArray[Any]) -> tuple[Floats, npt.NDArray[Any]]:
    """Predictions and truth in the unit of the label column."""
    if isinstance(dataset.labels, NumberLabels) and dataset.loss.target == "standardised":
        return dataset.labels.decode(predictions), dataset.labels.decode(y.astype(np.float64))
    return predictions, y


def _curves(
    plan: Plan,
    predictions: Floats,
    finite: Mask,
    dataset: Dataset,
    evaluation: Evaluation,
    metric: Metric,
) -> dict[str, Any]:
    """`curves` and `baseline` of the study."""
    answers, y = _in_units(dataset, predictions, evaluation.y)
    unknown = np.full(len(predictions), np.nan)

    def values(strategy: Strategy | None) -> Floats:
        index = 0 if strategy is None else plan.sets.get(strategy)
        if index is None or not finite[index]:
            return unknown
        return np.array([metric.compute(one[index], y) for one in answers])

    curves = [Curve(name, np.array([values(Strategy(name, share)) for share in plan.fractions])) for name in CURVES]
    curves += [Curve("suspects", np.array([values(strategy)])) for strategy in plan.strategies("suspects")]
    return {"curves": tuple(curves), "baseline": values(None)}


def _diverged(plan: Plan, finite: Mask) -> list[str]:
    failed = [] if finite[0] else ["nothing removed: the retraining diverged"]
    return failed + [
        f"{strategy.name} {strategy.share:.0%}: the retraining diverged"
        for strategy, index in plan.sets.items()
        if not finite[index]
    ]


def _trial_dict(trial: Trial) -> dict[str, Any]:
    name = "lowest" if trial.strategy.name == "lowest_first" else trial.strategy.name
    return {
        "model": trial.model,
        "strategy": name,
        "share": trial.strategy.share,
        "error_gain": _gain(trial.error_gain),
        "error_before": _number(trial.error_before),
        "metric_gain": _gain(trial.metric_gain),
        "helps": trial.helps,
    }


def _gain(gain: tuple[float, float, float]) -> dict[str, float | None]:
    return dict(zip(("value", "low", "high"), map(_number, gain), strict=True))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _spread(values: Floats) -> float | None:
    return _number(values.std(ddof=1)) if len(values) > 1 else None
