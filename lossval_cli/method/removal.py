"""What dropping the least important rows would do: retrained, beside dropping the most important or any rows.

For every seed one network per set of dropped rows is trained, all side by side as members of one ensemble
with the same initial parameters and the same batches, so that two of them differ in the dropped rows alone
and their difference has little noise in it. Which rows `random` drops is drawn again for every seed.

A removal is recommended when it can be shown to help. What helps is decided on a score that every
evaluation row has and no single row dominates (Brier score for classes, absolute error for numbers),
because a metric such as accuracy on 100 rows moves in steps larger than most gains. Paired differences to
dropping nothing are resampled over evaluation rows and seeds; with several removals tried, the limit is
that of the largest of their standardised errors (max-t), so that trying more does not make a false
recommendation likelier. Of those above it, the smallest within one standard error of the best is advised
(Breiman et al., 1984). The surest one would often leave most of the gain behind; the largest may take a rare
kind of row away altogether, which few evaluation rows would notice.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from lossval_cli.encoding.inputs import Inputs
from lossval_cli.encoding.labels import ClassLabels, NumberLabels
from lossval_cli.method.metrics import Metric, find_metric
from lossval_cli.method.network import Ensemble
from lossval_cli.method.training import batch_size_for, learning_rate_factor
from lossval_cli.method.valuation import Valuation
from lossval_cli.settings import Settings
from lossval_cli.wording import shown

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
QUICK_FRACTIONS = (0.05, 0.1, 0.2, 0.3)
SEEDS = {"full": 4, "quick": 2}

RECOMMENDABLE = 0.3
"""Nobody is advised to drop more than this share of a table."""

MOST_ROWS = 5_000
"""Rows that retraining draws from larger tables."""

ROW_VISITS = 30_000
"""Rows times epochs of one retraining, about; no fewer than FEWEST_EPOCHS all the same."""
FEWEST_EPOCHS = 10

FEWEST_KEPT = 10
"""A removal that leaves fewer rows, or none of a class that had so many, is not run. A smaller class may go:
it is often a mistyped label."""

FEWEST_JUDGES = 30
"""Different evaluation rows below which nothing is advised: a few rows always seem to agree."""

MOST_JUDGES = 10_000
FEWEST_DRAWN = 1_000
JUDGED_PROBABILITIES = 200_000
"""Evaluation rows drawn from larger tables: so many, fewer where each holds many classes. What is resampled
is held in memory, and a gain too small for 10,000 rows to show is too small to act on."""

RESAMPLES = 1_000
CONFIDENCE = 0.95


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
    seconds: float = field(compare=False)

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
            "expected_gain": self.gain
            and dict(zip(("value", "low", "high"), map(_number, self.gain), strict=True)),
            "verdict": self.verdict,
            "failed": list(self.failed),
            "notice": self.notice,
            "seeds": len(self.baseline),
            "epochs": self.epochs,
        }


def study_removal(
    inputs: Inputs, valuation: Valuation, settings: Settings, device: torch.device, mode: str
) -> RemovalStudy | None:
    """Retrain without the rows that `valuation` puts last (and first, and any); `mode` is full or quick.

    Evaluated on the test table where there is one, else on validation; None where that has no labels.
    Raises SettingsError for a metric that does not fit the task.
    """
    start = time.perf_counter()
    metric = find_metric(settings.metric, inputs.roles.task)
    part = inputs.test or inputs.val
    if part.y is None:
        return None
    rng = np.random.default_rng([settings.seed, len(valuation.importance)])
    judges = _Judges("test" if inputs.test is not None else "validation", part.X, part.y)
    pool = np.arange(len(valuation.importance))
    if inputs.held_out is not None and inputs.test is None:
        pool = np.setdiff1d(pool, inputs.held_out)  # what is evaluated on is not trained on
    notices = []
    if judges.on == "validation":
        notices.append("evaluated on validation rows, whose labels no training saw")
    if len(pool) > MOST_ROWS:
        notices.append(f"retrained on {MOST_ROWS:,} rows drawn from {len(pool):,}")
        pool = np.sort(rng.choice(pool, MOST_ROWS, replace=False))
    most = min(MOST_JUDGES, max(FEWEST_DRAWN, JUDGED_PROBABILITIES // (inputs.classes or 1)))
    if len(judges.y) > most:
        notices.append(f"judged on {most:,} rows drawn from {len(judges.y):,}")
        rows = np.sort(rng.choice(len(judges.y), most, replace=False))
        judges = judges._replace(X=judges.X[rows], y=judges.y[rows])
    noise = valuation.noise
    suspect = np.zeros(len(pool), np.bool_)
    if noise is not None:
        suspect = (noise.label_suspect | noise.feature_suspect)[pool]
    order = np.argsort(valuation.importance[pool], kind="stable")
    plan = _plan(inputs, pool, order, suspect, mode, rng)
    affordable = max(FEWEST_EPOCHS, ROW_VISITS // len(pool))
    epochs = min(settings.epochs if mode == "full" else FEWEST_EPOCHS, affordable)
    if epochs < settings.epochs:
        notices.append(f"{epochs} of {settings.epochs} epochs a retraining")
    predictions = np.stack(
        [
            _retrain(inputs, pool, keeps, judges.X, settings, epochs, settings.seed + seed, device)
            for seed, keeps in enumerate(plan.keeps)
        ]
    )  # (seeds, sets, n[, K])
    return _judge(plan, predictions, inputs, judges, metric, suspect, tuple(notices), epochs, start)


class _Judges(NamedTuple):
    """The rows that retrainings are evaluated on."""

    on: str
    X: npt.NDArray[np.float32]  # (n, D)
    y: npt.NDArray[Any]  # (n,)


@dataclass(frozen=True)
class _Plan:
    """Sets of rows to keep: the first keeps all; then one per (arm, fraction) that can be run."""

    fractions: tuple[float, ...]
    keeps: npt.NDArray[np.bool_]  # (seeds, sets, N); seeds differ in `random` only
    places: dict[tuple[str, float], int]  # (arm, fraction) -> set
    failed: tuple[str, ...]


def _plan(
    inputs: Inputs,
    pool: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    suspect: Mask,
    mode: str,
    rng: np.random.Generator,
) -> _Plan:
    """`order` (N,): places in `pool` (N,) from the least important row to the most."""
    fractions = FRACTIONS if mode == "full" else QUICK_FRACTIONS
    seeds, rows = SEEDS[mode], len(order)
    keeps, places, failed = [np.ones((seeds, rows), np.bool_)], {}, []

    def add(arm: str, fraction: float, dropped: npt.NDArray[np.int64]) -> None:
        keep = np.ones((seeds, rows), np.bool_)
        np.put_along_axis(keep, np.broadcast_to(dropped, (seeds, dropped.shape[-1])), False, axis=1)
        reason = _too_little(inputs, pool, keep)
        if reason is not None:
            failed.append(f"{arm} {fraction:.0%}: not run, {reason}")
            return
        places[arm, fraction] = len(keeps)
        keeps.append(keep)

    shuffled = np.array([rng.permutation(rows) for _ in range(seeds)])
    for arm, ranked in (("lowest_first", order), ("highest_first", order[::-1]), ("random", shuffled)):
        for fraction in fractions:
            add(arm, fraction, ranked[..., : round(fraction * rows)])
    if suspect.any():
        add("suspects", float(suspect.mean()), np.flatnonzero(suspect))
    return _Plan(fractions, np.stack(keeps, axis=1), places, tuple(failed))


def _too_little(inputs: Inputs, pool: npt.NDArray[np.int64], keep: Mask) -> str | None:
    """Why the rows kept, (seeds, N), are not enough to train on; None where they are."""
    fewest = int(keep.sum(axis=1).min())
    if fewest < FEWEST_KEPT:
        return f"it would leave {fewest} rows"
    if isinstance(inputs.labels, ClassLabels) and inputs.train.y is not None:
        y, names = inputs.train.y[pool].astype(np.int64), inputs.labels.names
        left = np.min([np.bincount(y[kept], minlength=len(names)) for kept in keep], axis=0)
        gone = np.flatnonzero((left == 0) & (np.bincount(y, minlength=len(names)) >= FEWEST_KEPT))
        if gone.size:
            return f"it would leave no row labelled {shown(names[gone[0]])}"
    return None


def _retrain(
    inputs: Inputs,
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
    classes, loss = inputs.classes, inputs.loss
    X = torch.as_tensor(inputs.train.X[pool]).to(device)
    y = torch.as_tensor(inputs.train.y[pool] if inputs.train.y is not None else None).to(device)
    network = Ensemble(
        1,
        X.shape[1],
        classes or 1,
        layers=settings.layers or 3,
        hidden=settings.hidden or 100,
        activation=settings.activation or "silu",
        dropout=settings.dropout,
        generator=generator,
        device=device,
    ).repeated(len(keeps))
    weight = torch.as_tensor(keeps, dtype=X.dtype).to(device)
    optimizer = torch.optim.AdamW(
        [*network.matrices, *network.biases],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    batches = math.ceil(len(X) / min(len(X), settings.batch_size or batch_size_for(len(X))))
    weight = weight * (batches / weight.sum(1, keepdim=True))  # sums to about 1 over a batch
    step = 0
    for _ in range(epochs):
        for rows in torch.randperm(len(X), generator=generator).to(device).chunk(batches):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * learning_rate_factor(step, epochs * batches)
            step += 1
            output = network(X[rows], training=True)
            losses = loss.per_row(output if classes else output.squeeze(-1), y[rows])
            value = (losses * weight[:, rows]).sum()
            optimizer.zero_grad()
            torch.autograd.backward(value)
            optimizer.step()
    answer = network.predict(torch.as_tensor(X_eval).to(device))
    answer = loss.respond(answer if classes else answer.squeeze(-1))
    result: Floats = answer.cpu().numpy().astype(np.float64)
    return result


def _judge(
    plan: _Plan,
    predictions: Floats,
    inputs: Inputs,
    judges: _Judges,
    metric: Metric,
    suspect: Mask,
    notices: Sequence[str],
    epochs: int,
    start: float,
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
    scores = _row_scores(predictions, y, inputs.classes)  # (seeds, sets, n), lower is better
    answers, target = predictions, y
    if isinstance(inputs.labels, NumberLabels) and inputs.loss.target == "standardised":
        answers = inputs.labels.decode(predictions)
        target = inputs.labels.decode(y.astype(np.float64))

    def value(seed: int, place: int) -> float:
        return metric.compute(answers[seed, place], target) if finite[place] else float("nan")

    seeds = range(len(predictions))
    values = np.array([[value(seed, place) for seed in seeds] for place in range(len(finite))])
    missing = np.full(len(predictions), np.nan)
    arms = [
        Arm(
            name,
            np.array(
                [
                    values[plan.places[name, f]] if (name, f) in plan.places else missing
                    for f in plan.fractions
                ]
            ),
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
    chosen = _choose(candidates, scores, values, metric) if judged else None
    recommended, fraction, gain = "nothing", 0.0, None
    if chosen is not None:
        recommended = "suspects" if chosen[0] == "suspects" else "lowest"
        fraction = chosen[1]
        gain = _gain(candidates[chosen], answers, target, metric)
    return RemovalStudy(
        metric,
        judges.on,
        plan.fractions,
        tuple(arms),
        values[0],
        share,
        recommended,
        fraction,
        gain,
        _verdict(recommended, fraction, gain, metric, judges.on, bool(finite[0])),
        tuple(failed),
        "; ".join(notices) or None,
        epochs,
        time.perf_counter() - start,
    )


def _row_scores(predictions: Floats, y: npt.NDArray[Any], classes: int | None) -> Floats:
    """(seeds, sets, n) Brier score or absolute error of every evaluation row."""
    if classes is None:
        errors: Floats = np.abs(predictions - y)
        return errors
    truth = np.eye(classes)[y.astype(np.int64)]
    squares: Floats = ((predictions - truth) ** 2).sum(axis=-1)
    return squares


def _choose(
    candidates: dict[tuple[str, float], int], scores: Floats, values: Floats, metric: Metric
) -> tuple[str, float] | None:
    """The smallest removal, within one standard error of the best, of those shown to help.

    Shown to help: the max-t lower limit of its gain is above 0, and the metric is better too.
    """
    if not candidates:
        return None
    places = list(candidates.values())
    gains = scores[:, [0], :] - scores[:, places, :]  # (seeds, candidates, n)
    per_row, per_seed = gains.mean(axis=0), gains.mean(axis=2)  # (candidates, n), (seeds, candidates)
    mean = per_row.mean(axis=1)
    rng = np.random.default_rng(0)
    n, seeds = per_row.shape[1], len(per_seed)
    # Rows and seeds are two sources of error; a resample of each is added.
    counts = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    drawn = rng.integers(0, seeds, (RESAMPLES, seeds))
    errors = counts @ per_row.T - mean + per_seed[drawn].mean(axis=1) - mean  # (RESAMPLES, candidates)
    deviation = errors.std(axis=0) + 1e-12
    limit = np.quantile((errors / deviation).max(axis=1), CONFIDENCE)
    change = metric.sign * (values[places].mean(axis=1) - values[0].mean())
    helps = (mean - limit * deviation > 0) & (change > 0)
    if not helps.any():
        return None
    best = int(np.where(helps, mean, -np.inf).argmax())
    near = helps & (mean >= mean[best] - deviation[best])
    return min((key for key, close in zip(candidates, near, strict=True) if close), key=lambda key: key[1])


def _gain(
    place: int, answers: Floats, target: npt.NDArray[Any], metric: Metric
) -> tuple[float, float, float]:
    """Change of the metric, positive is better, with a 95 % interval over evaluation rows and seeds."""
    rng = np.random.default_rng(0)
    n, seeds = len(target), len(answers)

    def difference(seed: int, rows: npt.NDArray[np.int64]) -> float:
        after, before = (metric.compute(answers[seed, at][rows], target[rows]) for at in (place, 0))
        return metric.sign * (after - before)

    everything = np.arange(n)
    value = float(np.mean([difference(seed, everything) for seed in range(seeds)]))
    resampled = [difference(int(rng.integers(seeds)), rng.integers(0, n, n)) for _ in range(RESAMPLES // 5)]
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return value, min(value, float(low)), max(value, float(high))


def _verdict(
    recommended: str,
    fraction: float,
    gain: tuple[float, float, float] | None,
    metric: Metric,
    on: str,
    trained: bool,
) -> str:
    if not trained:
        return "Removal could not be studied: retraining diverged with nothing removed."
    if gain is None:
        return f"Removing rows cannot be shown to help ({on} table): keep them, and correct labels instead."
    what = "the suspects" if recommended == "suspects" else f"the lowest {fraction:.0%}"
    name = metric.name.replace("_", " ")
    # To correct is better than to remove, which only shows that those labels do harm.
    change, *ends = (metric.sign * end for end in gain)
    low, high = sorted(ends)
    return (
        f"Removing {what} helps: predictions for the {on} table get better; {name} changes by {change:+.3g} "
        f"(likely {low:+.3g} to {high:+.3g})."
    )


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _spread(values: Floats) -> float | None:
    return _number(values.std(ddof=1)) if len(values) > 1 else None
