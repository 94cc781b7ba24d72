"""How models change on held-out rows if rows are left out, relabelled or weighted by the ranking.

A linear model is retrained for the whole curve: without the lowest, the highest and random rows. Strategies that
may be advised are tried with gradient boosting as well (models). Whether one is advised is decided in
`recommendation`; what is said about it stands in `report.sentences`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossval_cli.errors import TrainingError
from lossval_cli.features.dataset import Dataset
from lossval_cli.lossval.training import Fit
from lossval_cli.metrics import Metric, find_metric
from lossval_cli.models.choice import Module, choose_model
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.removal.models import Evaluation, Kind, boosting_kind, own_kind, retrain
from lossval_cli.removal.plan import Plan, Pool, Strategy, make_plan, make_pool
from lossval_cli.removal.recommendation import Answers, Choice, Trial, choose, run_trials
from lossval_cli.runtime.row_source import draw_at_most
from lossval_cli.settings import Settings

Floats = npt.NDArray[np.float64]

MAX_ADVISED_SHARE = 0.3
"""No larger removal is advised."""

MIN_NOISE_SHARE = 0.03
"""Share of suspects, or lower end of the noise share, from which anything can be advised. Of fewer suspects many
may be false alarms, and on clean data weights or a removal would only make up for what a model does badly."""

MAX_ROWS = 5_000
"""Rows that retraining draws from larger tables."""

MIN_EVALUATION_ROWS = 30
"""Different evaluation rows below which nothing is advised: a few rows always seem to agree."""

MAX_EVALUATION_ROWS = 10_000
MIN_DRAWN = 1_000
MAX_PROBABILITIES = 200_000
"""Evaluation rows drawn from larger tables: so many, fewer where each holds many classes. What is resampled
is held in memory, and a gain too small for 10,000 rows to show is too small to act on."""

CURVES = ("lowest_first", "highest_first", "random")

CURVES_OF = "linear"
"""The kind of model whose metric the curves show: the one that is cheap enough for all of them at every size."""


@dataclass(frozen=True)
class Curve:
    """The metric of retrained linear models, by share of rows left out."""

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
    """Effect of each strategy on each kind of model, and what is advised."""

    metric: Metric
    evaluated_on: str
    """`test`, or `validation`."""
    evaluation_rows: tuple[int, int]
    """Used, out of so many."""
    training_rows: tuple[int, int]
    """Retrained on, out of so many."""
    fractions: tuple[float, ...]
    curves: tuple[Curve, ...]
    """lowest_first, highest_first, random; suspects last, with one fraction, where there are any."""
    baseline: Floats
    """(seeds,) the metric of linear models trained on all rows."""
    suspect_share: float
    trials: tuple[Trial, ...]
    choice: Choice | None
    failed: tuple[str, ...]
    own_model: str
    """Why the user's own model is not among those retrained, where there is one."""

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
        """Return a dict for report.json; it holds no sentences."""
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
            "own_model": self.own_model,
            "seeds": len(self.baseline),
            "curves_of": CURVES_OF,
        }


def study_removal(
    dataset: Dataset, fit: Fit, noise: NoiseEstimate | None, settings: Settings, mode: str
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
    rows = rows[draw_at_most(len(rows), MAX_ROWS, rng)]
    most = min(MAX_EVALUATION_ROWS, max(MIN_DRAWN, MAX_PROBABILITIES // (dataset.classes or 1)))
    drawn = draw_at_most(len(part.y), most, rng)
    name = "validation" if dataset.test is None else "test"
    evaluation = Evaluation(name, part.X[drawn], part.y[drawn], drawn)
    pool = make_pool(dataset, rows, fit, noise)
    plan = make_plan(dataset, pool, mode, rng)
    curves = retrain(
        Kind(CURVES_OF, len(plan.weights)),
        dataset,
        pool,
        plan,
        list(range(plan.weights.shape[1])),
        evaluation,
        settings.seed,
    )
    advisable = _advisable(plan, pool, noise)
    answers, problem = [], ""
    if advisable and len(np.unique(evaluation.X, axis=0)) >= MIN_EVALUATION_ROWS:
        if boosting := boosting_kind(dataset, len(plan.weights)):
            sets = [0, *advisable.values()]
            predictions = retrain(boosting, dataset, pool, plan, sets, evaluation, settings.seed)
            answers.append(_answers(boosting.name, dataset, predictions, evaluation, tuple(advisable)))
        own, problem = _own_answers(dataset, pool, plan, advisable, evaluation, settings)
        answers += own
        taken = curves[:, [0, *advisable.values()]]
        answers.append(_answers(CURVES_OF, dataset, taken, evaluation, tuple(advisable)))
    trials = run_trials(answers, metric)

    return RemovalStudy(
        metric=metric,
        evaluated_on=evaluation.name,
        evaluation_rows=(len(evaluation.y), available[1]),
        training_rows=(len(rows), available[0]),
        fractions=plan.fractions,
        **_curves(plan, curves, dataset, evaluation, metric),
        suspect_share=float(pool.suspect.mean()),
        trials=tuple(trials),
        choice=choose(trials),
        failed=plan.failed,
        own_model=problem or _not_retrained(dataset, settings),
    )


def _own_answers(
    dataset: Dataset,
    pool: Pool,
    plan: Plan,
    advisable: dict[Strategy, int],
    evaluation: Evaluation,
    settings: Settings,
) -> tuple[list[Answers], str]:
    """Return the answers of the estimator of `--model`, if there is one, or why it has none: a failure of the user's
    code must not take away what the run found."""
    kind = own_kind(dataset, settings, len(plan.weights))
    if kind is None:
        return [], ""
    tried = {one: index for one, index in advisable.items() if one.name != "weights" or kind.takes_weights}
    try:
        sets = [0, *tried.values()]
        predictions = retrain(kind, dataset, pool, plan, sets, evaluation, settings.seed)
    except TrainingError as error:
        # The user's words may quote cells, which a report with --redact must not hold.
        why = f"{error.cause} in its fit or prediction" if error.cause else str(error)
        return [], f"your own model could not be retrained: {why}"
    return [_answers(kind.name, dataset, predictions, evaluation, tuple(tried))], ""


def _not_retrained(dataset: Dataset, settings: Settings) -> str:
    """Return a note where the user's own model is none of the kinds."""
    if dataset.predictions is not None:
        return "the model behind your predictions is not retrained, but linear models and gradient boosting are"
    if isinstance(choose_model(settings, dataset.roles), Module):
        return "your own network is not retrained, but linear models and gradient boosting are"
    return ""


def _advisable(plan: Plan, pool: Pool, noise: NoiseEstimate | None) -> dict[Strategy, int]:
    """The strategies that may be advised, and their sets: the lowest rows only where no row is known to be suspect."""
    if noise is None:
        names: tuple[str, ...] = ("weights", "lowest_first")
    elif max(pool.suspect.mean(), noise.share_low) < MIN_NOISE_SHARE:
        names = ()
    else:
        names = ("suspects", "relabel", "weights")
    return {
        strategy: index
        for strategy, index in plan.strategies(*names).items()
        if strategy.name == "weights" or strategy.share <= MAX_ADVISED_SHARE
    }


def _answers(
    model: str, dataset: Dataset, predictions: Floats, evaluation: Evaluation, strategies: tuple[Strategy, ...]
) -> Answers:
    """Compute the answers of predictions (seeds, 1 + strategies, n[, K])."""
    errors = _row_errors(predictions, evaluation.y, dataset.classes)
    return Answers(model, dataset.in_units(predictions), errors, dataset.in_units(evaluation.y), strategies)


def _row_errors(predictions: Floats, y: npt.NDArray[Any], classes: int | None) -> Floats:
    """Return (seeds, sets, n) Brier score or absolute error of every evaluation row."""
    if classes is None:
        errors: Floats = np.abs(predictions - y)
        return errors
    truth = np.eye(classes)[y.astype(np.int64)]
    squares: Floats = ((predictions - truth) ** 2).sum(axis=-1)
    return squares


def _curves(
    plan: Plan, predictions: Floats, dataset: Dataset, evaluation: Evaluation, metric: Metric
) -> dict[str, Any]:
    """Return `curves` and `baseline` of the study."""
    answers, y = dataset.in_units(predictions), dataset.in_units(evaluation.y)
    unknown = np.full(len(predictions), np.nan)

    def values(strategy: Strategy | None) -> Floats:
        index = 0 if strategy is None else plan.sets.get(strategy)
        if index is None:
            return unknown
        return np.array([metric.compute(one[index], y) for one in answers])

    curves = [Curve(name, np.array([values(Strategy(name, share)) for share in plan.fractions])) for name in CURVES]
    curves += [Curve("suspects", np.array([values(strategy)])) for strategy in plan.strategies("suspects")]
    return {"curves": tuple(curves), "baseline": values(None)}


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
