"""What dropping the least important rows would do: retrained, beside dropping the most important or any rows.

For every seed one network per set of dropped rows is trained, all side by side as members of one ensemble
with the same initial parameters and the same batches, so that two of them differ in the dropped rows alone
and their difference has little noise in it. Which rows `random` drops is drawn again for every seed.

Whether one is recommended is decided in `advice`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from lossval_cli.features.dataset import Dataset
from lossval_cli.features.labels import NumberLabels
from lossval_cli.lossval.feature_scaling import relevance
from lossval_cli.lossval.network import Ensemble
from lossval_cli.lossval.optimizer import AdamW
from lossval_cli.lossval.training import Fit, batch_size_for, learning_rate_factor
from lossval_cli.metrics import Metric, find_metric
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.removal.plan import Mask, Plan, make_plan
from lossval_cli.removal.recommendation import Answers, choose, put_in_words
from lossval_cli.settings import Settings
from lossval_cli.text.format import pluralize

Floats = npt.NDArray[np.float64]

RECOMMENDABLE = 0.3
"""Nobody is advised to drop more than this share of a table."""

MOST_ROWS = 5_000
"""Rows that retraining draws from larger tables."""

ROW_VISITS = 30_000
"""Rows times epochs of one retraining, about; no fewer than FEWEST_EPOCHS all the same."""
FEWEST_EPOCHS = 10

FEWEST_JUDGES = 30
"""Different evaluation rows below which nothing is advised: a few rows always seem to agree."""

MOST_JUDGES = 10_000
FEWEST_DRAWN = 1_000
JUDGED_PROBABILITIES = 200_000
"""Evaluation rows drawn from larger tables: so many, fewer where each holds many classes. What is resampled
is held in memory, and a gain too small for 10,000 rows to show is too small to act on."""


@dataclass(frozen=True)
class Arm:
    """One way of removing rows, its curve over `fractions`: per fraction the metric of each seed, NaN: not
    run."""

    name: str
    values: Floats  # (fractions, seeds)

    @property
    def mean(self) -> list[float | None]:
        """Per fraction the mean over seeds."""
        return [_number(row.mean()) for row in self.values]

    @property
    def spread(self) -> list[float | None]:
        """Per fraction the standard deviation over seeds."""
        return [_number(row.std(ddof=1)) if len(row) > 1 else None for row in self.values]


@dataclass(frozen=True)
class RemovalStudy:
    """What removal does to the metric, and what is advised."""

    metric: Metric
    evaluated_on: str
    """`test`, or `validation`, whose labels no training ever saw."""
    fractions: tuple[float, ...]
    arms: tuple[Arm, ...]
    """lowest_first, highest_first, random; suspects last, with one fraction, where there are any."""
    baseline: Floats
    """(seeds,) the metric with nothing removed."""
    suspect_share: float
    recommended: str
    """`nothing`, `suspects` or `lowest`."""
    recommended_fraction: float
    gain: tuple[float, float, float] | None
    """Expected change of the metric by the recommended removal, positive is better, with its 95 %
    interval."""
    verdict: str
    failed: tuple[str, ...]
    notice: str | None
    epochs: int

    def to_dict(self) -> dict[str, Any]:
        """For report.json."""
        curves = {arm.name: arm for arm in self.arms}
        suspects = curves.pop("suspects", None)
        return {
            "metric": self.metric.name,
            "greater_is_better": self.metric.greater_is_better,
            "evaluated_on": self.evaluated_on,
            "fractions": list(self.fractions),
            **{name: arm.mean for name, arm in curves.items()},
            "spreads": {name: arm.spread for name, arm in curves.items()},
            "baseline": {"mean": _number(self.baseline.mean()), "spread": _spread(self.baseline)},
            "suspects": suspects
            and {
                "share": self.suspect_share,
                "mean": suspects.mean[0],
                "spread": suspects.spread[0],
            },
            "recommended": self.recommended,
            "recommended_fraction": self.recommended_fraction,
            "expected_gain": self.gain and dict(zip(("value", "low", "high"), map(_number, self.gain), strict=True)),
            "verdict": self.verdict,
            "failed": list(self.failed),
            "notice": self.notice,
            "seeds": len(self.baseline),
            "epochs": self.epochs,
        }


def study_removal(
    dataset: Dataset,
    fit: Fit,
    noise: NoiseEstimate | None,
    settings: Settings,
    device: torch.device,
    mode: str,
) -> RemovalStudy | None:
    """Retrain without the rows that `fit` puts last (and first, and any); `mode` is full or quick.

    Evaluated on the test table where there is one, else on validation; None where that has no labels.
    Raises SettingsError for a metric that does not fit the task.
    """
    metric = find_metric(settings.metric, dataset.roles.task)
    part = dataset.test or dataset.val
    if part.y is None:
        return None
    rng = np.random.default_rng([settings.seed, len(fit.importance)])
    judges = _Judges("test" if dataset.test is not None else "validation", part.X[:], part.y)
    pool = np.arange(len(fit.importance))
    if dataset.held_out is not None and dataset.test is None:
        pool = np.setdiff1d(pool, dataset.held_out)  # what is evaluated on is not trained on
    notices = []
    if judges.on == "validation":
        notices.append("evaluated on validation rows, whose labels are not used in training")
    if len(pool) > MOST_ROWS:
        notices.append(f"retrained on {MOST_ROWS:,} rows drawn from {len(pool):,}")
        pool = np.sort(rng.choice(pool, MOST_ROWS, replace=False))
    most = min(MOST_JUDGES, max(FEWEST_DRAWN, JUDGED_PROBABILITIES // (dataset.classes or 1)))
    if len(judges.y) > most:
        notices.append(f"evaluated on {most:,} rows drawn from {len(judges.y):,}")
        rows = np.sort(rng.choice(len(judges.y), most, replace=False))
        judges = judges._replace(X=judges.X[rows], y=judges.y[rows])
    suspect = np.zeros(len(pool), np.bool_)
    if noise is not None:
        suspect = (noise.label_suspect | noise.feature_suspect)[pool]
    order = np.argsort(fit.importance[pool], kind="stable")
    plan = make_plan(dataset, pool, order, suspect, mode, rng)
    affordable = max(FEWEST_EPOCHS, ROW_VISITS // len(pool))
    epochs = min(settings.epochs if mode == "full" else FEWEST_EPOCHS, affordable)
    if epochs < settings.epochs:
        notices.append(f"each retraining has {epochs} of {settings.epochs} epochs")
    predictions = np.stack(
        [
            _retrain(dataset, pool, keeps, judges.X, settings, epochs, settings.seed + seed, device)
            for seed, keeps in enumerate(plan.keeps)
        ]
    )  # (seeds, sets, n[, K])
    return _judge(plan, predictions, dataset, judges, metric, suspect, tuple(notices), epochs)


class _Judges(NamedTuple):
    """The rows that retrainings are evaluated on."""

    on: str
    X: npt.NDArray[np.float32]  # (n, D)
    y: npt.NDArray[Any]  # (n,)


def _retrain(
    dataset: Dataset,
    pool: npt.NDArray[np.int64],
    keeps: npt.NDArray[np.bool_],
    X_eval: npt.NDArray[np.float32],
    settings: Settings,
    epochs: int,
    seed: int,
    device: torch.device,
) -> Floats:
    """One network a set of kept rows -> predictions for the evaluation rows, (sets, n, K) or (sets, n)."""
    generator = torch.Generator().manual_seed(seed)
    classes, loss = dataset.classes, dataset.loss
    X = torch.as_tensor(dataset.train.X[pool]).to(device)
    y = torch.as_tensor(dataset.train.y[pool] if dataset.train.y is not None else None).to(device)
    network = Ensemble(
        1,
        X.shape[1],
        classes or 1,
        settings,
        generator=generator,
        device=device,
    ).repeated(len(keeps))
    kept = torch.as_tensor(keeps, dtype=X.dtype)
    # As in training, but in wide tables alone: elsewhere it makes networks withstand wrong labels that other
    # models suffer from.
    columns = len(dataset.encoder.blocks)
    network.scales = relevance(X.cpu(), y.cpu(), kept, classes, columns, min_scale=1.0).to(device)
    weight = kept.to(device)
    optimizer = AdamW(network.parameters(), weight_decay=settings.weight_decay)
    batches = math.ceil(len(X) / min(len(X), settings.batch_size or batch_size_for(len(X))))
    weight = weight * (batches / weight.sum(1, keepdim=True))  # sums to about 1 over a batch
    step = 0
    for _ in range(epochs):
        for rows in torch.randperm(len(X), generator=generator).to(device).chunk(batches):
            factor = learning_rate_factor(step, epochs * batches)
            step += 1
            output = network(X[rows], training=True)
            losses = loss.per_row(output if classes else output.squeeze(-1), y[rows])
            value = (losses * weight[:, rows]).sum()
            torch.autograd.backward(value)
            optimizer.step(settings.learning_rate * factor)
    answer = network.predict(torch.as_tensor(X_eval).to(device))
    answer = loss.respond(answer if classes else answer.squeeze(-1))
    result: Floats = answer.cpu().numpy().astype(np.float64)
    return result


def _judge(
    plan: Plan,
    predictions: Floats,
    dataset: Dataset,
    judges: _Judges,
    metric: Metric,
    suspect: Mask,
    notices: Sequence[str],
    epochs: int,
) -> RemovalStudy:
    """Predictions (seeds, sets, n[, K]) -> curves and advice."""
    y = judges.y
    by_set = np.isfinite(predictions).swapaxes(0, 1).reshape(predictions.shape[1], -1)
    finite: Mask = np.logical_and.reduce(by_set, axis=1)  # (sets,)
    failed = list(plan.failed)
    for (arm, fraction), place in plan.places.items():
        if not finite[place]:
            failed.append(f"{arm} {fraction:.0%}: the retraining diverged")
    if not finite[0]:
        failed.insert(0, "nothing removed: the retraining diverged")
    scores = _row_scores(predictions, y, dataset.classes)  # (seeds, sets, n), lower is better
    answers, target = predictions, y
    if isinstance(dataset.labels, NumberLabels) and dataset.loss.target == "standardised":
        answers = dataset.labels.decode(predictions)
        target = dataset.labels.decode(y.astype(np.float64))

    def value(seed: int, place: int) -> float:
        return metric.compute(answers[seed, place], target) if finite[place] else float("nan")

    seeds = range(len(predictions))
    values = np.array([[value(seed, place) for seed in seeds] for place in range(len(finite))])
    missing = np.full(len(predictions), np.nan)
    arms = [
        Arm(
            name,
            np.array([values[plan.places[name, f]] if (name, f) in plan.places else missing for f in plan.fractions]),
        )
        for name in ("lowest_first", "highest_first", "random")
    ]
    share = float(suspect.mean())
    if ("suspects", share) in plan.places:
        arms.append(Arm("suspects", values[[plan.places["suspects", share]]]))
    candidates = {
        key: place
        for key, place in plan.places.items()
        if key[0] in ("lowest_first", "suspects") and key[1] <= RECOMMENDABLE and finite[place]
    }
    judged = bool(finite[0]) and len(np.unique(judges.X, axis=0)) >= FEWEST_JUDGES
    choice = choose(candidates, scores, Answers(answers, target, metric)) if judged else None
    recommended, fraction, gain = "nothing", 0.0, None
    if choice is not None and choice.is_shown:
        (arm, fraction), gain = choice
        recommended = "suspects" if arm == "suspects" else "lowest"
    verdict = "Removal could not be studied: retraining diverged with nothing removed."
    if finite[0]:
        verdict = put_in_words(choice, metric, pluralize(len(y), f"{judges.on} row"))
    return RemovalStudy(
        metric=metric,
        evaluated_on=judges.on,
        fractions=plan.fractions,
        arms=tuple(arms),
        baseline=values[0],
        suspect_share=share,
        recommended=recommended,
        recommended_fraction=fraction,
        gain=gain,
        verdict=verdict,
        failed=tuple(failed),
        notice="; ".join(notices) or None,
        epochs=epochs,
    )


def _row_scores(predictions: Floats, y: npt.NDArray[Any], classes: int | None) -> Floats:
    """(seeds, sets, n) Brier score or absolute error of every evaluation row."""
    if classes is None:
        errors: Floats = np.abs(predictions - y)
        return errors
    truth = np.eye(classes)[y.astype(np.int64)]
    squares: Floats = ((predictions - truth) ** 2).sum(axis=-1)
    return squares


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _spread(values: Floats) -> float | None:
    return _number(values.std(ddof=1)) if len(values) > 1 else None
