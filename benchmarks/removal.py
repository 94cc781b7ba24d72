"""Does what a run advises really help? `python -m benchmarks.removal`.

1,000 training rows of each table of ../shared/data, once with 15 % wrong labels planted and once as they are,
200 clean validation rows, and 1,000 clean test rows that the removal study evaluates on (`--test`). What it
advises (to leave rows out, to relabel them, to weigh all of them) is then carried out for models that it names
and models that it does not, and each is compared with the same model trained on all rows as they are: gradient
boosting, a linear model, and the ensemble that valuing the kept rows trains, on up to 5,000 rows that neither
training nor study has seen. Beside each change stands the interval that the study gave. As peer, Data-OOB leaves
out its lowest rows, as many as are wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge

import lossval_cli
from benchmarks.peers import data_oob
from lossval_cli.removal.plan import MIN_RELABEL_PROBABILITY
from lossval_cli.result import Result
from lossval_cli.tables.table import read_table

DATA = Path(__file__).parents[2] / "shared" / "data"
RESULTS = Path(__file__).parent / "results"

SHARE = 0.15
TRAIN, VAL, TEST, FRESH = 1_000, 200, 1_000, 5_000
REPORTED_SEEDS = (100, 101, 102)  # anything may be tuned on others

TABLES: dict[str, tuple[str, str]] = {
    "2dplanes": ("11", "above mean"),
    "pol": ("y", "above mean"),
    "electricity": ("class", "classes"),
    "adult": ("income_status", "classes"),
    "telco_churn": ("Churn", "classes"),
    "white_wine": ("quality", "classes"),
    "kin8nm": ("y", "numbers"),
    "cpu_activity": ("22", "numbers"),
    "melbourne_house_prices": ("Price", "numbers"),
}
"""Table -> its label, and what is predicted: `above mean` makes two classes of a number, as OpenML did."""

MODELS = ("boosting", "linear", "network")

EXCLUDED = {"electricity": ["Unnamed: 0"]}


class Case(NamedTuple):
    """Four tables without a row in common; `label` is the last column."""

    train: pd.DataFrame
    val: pd.DataFrame
    test: pd.DataFrame
    fresh: pd.DataFrame
    wrong: np.ndarray  # (N,) bool, training rows whose label was changed
    task: str


def load(name: str) -> tuple[pd.DataFrame, str]:
    """A table with its label last, under that name, and the task."""
    label, kind = TABLES[name]
    frame = pd.read_csv(DATA / f"{name}.csv").drop(columns=EXCLUDED.get(name, []))
    frame = frame[frame[label].notna()]
    y = frame.pop(label)
    if kind == "above mean":
        y = (y >= y.mean()).map({True: "above", False: "below"})
    elif kind == "classes":
        y = y.astype(str)
    return frame.assign(label=y), "regression" if kind == "numbers" else "classification"


def mislabelled(labels: pd.Series, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) of which a share is replaced by another value, and which ones (N,)."""
    wrong = np.zeros(len(labels), bool)
    wrong[rng.choice(len(labels), round(share * len(labels)), replace=False)] = True
    distinct, codes = np.unique(labels, return_inverse=True)
    codes[wrong] = (codes[wrong] + rng.integers(1, len(distinct), wrong.sum())) % len(distinct)
    return distinct[codes], wrong


def make_case(name: str, seed: int, share: float) -> Case:
    """Draw the rows of one repetition."""
    frame, task = load(name)
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    frame = frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
    ends = np.cumsum([TRAIN, VAL, TEST, FRESH])
    train, val, test, fresh = (
        frame[start:end].reset_index(drop=True) for start, end in zip([0, *ends], ends, strict=False)
    )
    if task == "classification":  # a class that training does not hold cannot be predicted
        val, test, fresh = (part[part["label"].isin(train["label"].unique())] for part in (val, test, fresh))
    labels, wrong = mislabelled(train["label"], share, rng)
    return Case(train.assign(label=labels), val, test, fresh, wrong, task)


class Advice(NamedTuple):
    """What a run advises, as labels and sample weights of the training rows."""

    labels: np.ndarray  # (N,)
    weights: np.ndarray  # (N,), 0 for a row that is left out

    @property
    def dropped(self) -> np.ndarray:
        """(N,) bool, the rows left out."""
        return self.weights == 0


def advised(case: Case, result: Result) -> Advice:
    """What the study of a run advises: all rows as they are where it advises nothing."""
    study, scores = result.report["removal"], result.scores.set_index("row").sort_index()
    labels, weights = case.train["label"].to_numpy(), np.ones(len(case.train))
    if study["recommended"] == "suspects":
        weights = (scores["suspect"] == "").to_numpy(float)
    elif study["recommended"] == "lowest":
        weights = (scores["rank"] > round(study["recommended_fraction"] * len(scores))).to_numpy(float)
    elif study["recommended"] == "weights":
        weights = scores["importance"].to_numpy()
    elif study["recommended"] == "relabel":
        wrong = (scores["suspect"] == "label") & (scores["noise_probability"] >= MIN_RELABEL_PROBABILITY)
        labels = np.where(wrong, scores["predicted"], labels)
    return Advice(labels, weights)


def fresh_scores(case: Case, result: Result, advice: Advice, kinds: Sequence[str] = MODELS) -> dict[str, float]:
    """Accuracy, or R², on the fresh rows of each model of `kinds`, trained as advised."""
    dataset = result.dataset
    X, X_fresh = dataset.train.X, dataset.encoder.transform(read_table(case.fresh))
    truth, keep = case.fresh["label"].to_numpy(), ~advice.dropped
    if case.task == "classification":
        models: dict[str, Any] = {
            "boosting": HistGradientBoostingClassifier(random_state=0),
            "linear": LogisticRegression(max_iter=2_000),
        }
    else:
        models = {"boosting": HistGradientBoostingRegressor(random_state=0), "linear": Ridge()}
    values = {}
    for name, model in ((name, model) for name, model in models.items() if name in kinds):
        model.fit(X[keep], advice.labels[keep], sample_weight=advice.weights[keep])
        values[name] = float(model.score(X_fresh, truth))
    if "network" not in kinds:
        return values
    train = case.train.assign(label=advice.labels, weight=advice.weights)[keep]
    # The ensemble's own weights of rows come on top of those of the table.
    kept = lossval_cli.score(train, case.val, label="label", weight="weight", task=case.task, removal="off", threads=1)
    own = kept.dataset
    assert kept.fit.predict is not None
    answer = kept.fit.predict(own.encoder.transform(read_table(case.fresh)))
    if case.task == "classification":
        names = np.array(own.labels.names)  # type: ignore[union-attr]
        values["network"] = float((names[answer.argmax(axis=1)] == truth).mean())
    else:
        answer = own.in_units(answer)
        values["network"] = float(1 - ((answer - truth) ** 2).mean() / truth.var())
    return values


def run(
    name: str, seed: int, share: float, evaluated_on: str = "test", kinds: Sequence[str] = MODELS
) -> dict[str, object]:
    """One table, one repetition: what was advised, and what it did on fresh rows, as one flat record."""
    case = make_case(name, seed, share)
    test = case.test if evaluated_on == "test" else None
    result = lossval_cli.score(case.train, case.val, test=test, label="label", task=case.task, seed=seed, threads=1)
    study = result.report["removal"]
    advice = advised(case, result)
    changed = advice.dropped | (advice.labels != case.train["label"].to_numpy())
    gain = study["expected_gain"] or {"value": np.nan, "low": np.nan, "high": np.nan}
    record: dict[str, object] = {
        "table": name,
        "task": case.task,
        "noise": share,
        "seed": seed,
        "evaluated_on": study["evaluated_on"],
        "recommended": study["recommended"],
        "recommended_for": " ".join(study["recommended_for"]),
        "changed": changed.mean(),
        "wrong_among_changed": case.wrong[changed].mean() if changed.any() else np.nan,
        "metric": study["metric"],
        "gain": gain["value"],
        "gain_low": gain["low"],
        "gain_high": gain["high"],
        "study_seconds": study_seconds(result),
    }
    as_it_is = Advice(case.train["label"].to_numpy(), np.ones(len(case.train)))
    ways = {"before": as_it_is}
    if study["recommended"] != "nothing":
        ways["after"] = advice
    if case.wrong.any():
        ways["without_wrong"] = as_it_is._replace(weights=(~case.wrong).astype(float))
        ways["data_oob"] = as_it_is._replace(weights=without_lowest(case, result))
    for what, way in ways.items():
        record |= {f"{model}_{what}": value for model, value in fresh_scores(case, result, way, kinds).items()}
    return record


def without_lowest(case: Case, result: Result) -> np.ndarray:
    """Weights (N,) that leave out as many rows as are wrong, those of the least Data-OOB: a peer that is told the
    share, which it does not estimate."""
    labels = case.train["label"].to_numpy()
    y = np.unique(labels, return_inverse=True)[1] if case.task == "classification" else labels.astype(float)
    order = np.argsort(data_oob(result.dataset.train.X[:], y), kind="stable")
    weights = np.ones(len(y))
    weights[order[: case.wrong.sum()]] = 0
    return weights


def study_seconds(result: Result) -> float:
    """Seconds that the removal study took."""
    seconds: dict[str, float] = result.report["timing"]
    return seconds["removal"]


def as_markdown(records: pd.DataFrame) -> str:
    """One line per table and noise: what was advised, and what it did to each model on fresh rows."""
    kinds = [model for model in MODELS if f"{model}_before" in records]
    lines = [
        f"| table | noise | advised | rows left out or relabelled | of them wrong | {' | '.join(kinds)} | "
        "boosting, exactly the wrong ones left out | boosting, as many left out by Data-OOB |",
        "|---|---|---|---|---|---|---|" + "---|" * len(kinds),
    ]
    for (name, noise), runs in records.groupby(["table", "noise"], sort=False):
        done = runs[runs["recommended"] != "nothing"]
        what = ", ".join(f"{count} × {way}" for way, count in done["recommended"].value_counts().items())
        cells = [str(name), f"{noise:.0%}", f"{len(done)} of {len(runs)}" + (f" ({what})" if what else "")]
        if len(done):
            wrong = done["wrong_among_changed"].mean()
            cells += [f"{done['changed'].mean():.0%}", "" if np.isnan(wrong) else f"{wrong:.0%}"]
            cells += [f"{done[f'{model}_before'].mean():.3f} → {done[f'{model}_after'].mean():.3f}" for model in kinds]
        else:
            cells += ["", ""] + [f"{runs[f'{model}_before'].mean():.3f}" for model in kinds]
        shown = done if len(done) else runs
        for way in ("without_wrong", "data_oob"):
            cells.append(f"{shown[f'boosting_{way}'].mean():.3f}" if noise else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write benchmarks/results/removal.csv and print the table of docs/research/removal.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES)
    parser.add_argument("--seeds", nargs="+", type=int, default=REPORTED_SEEDS)
    parser.add_argument("--shares", nargs="+", type=float, default=[SHARE, 0.0])
    parser.add_argument("--evaluated-on", nargs="+", default=["test"], choices=["test", "validation"])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS, help="trained as advised")
    parser.add_argument("--csv", type=Path, default=RESULTS / "removal.csv")
    given = parser.parse_args()
    records = []
    for name in given.tables:
        for share in given.shares:
            for evaluated_on in given.evaluated_on:
                for seed in given.seeds:
                    records.append(run(name, seed, share, evaluated_on, given.models))
                    print(json.dumps(records[-1], default=float), file=sys.stderr, flush=True)
                    pd.DataFrame(records).to_csv(given.csv, index=False)
    print(as_markdown(pd.DataFrame(records)))


if __name__ == "__main__":
    main()
