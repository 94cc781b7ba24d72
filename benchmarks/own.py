"""Own predictions and models through lossval, beside cleanlab on the same predictions: `python -m benchmarks.own`.

Real wrong labels: the software-defect tables of ../shared/real/jira (heuristic against realistic labels). The same
out-of-fold predictions of a forest go into cleanlab's tutorial workflow and into `score(predictions=...)`; `--model`
cross-fits its own. No trusted rows are given to any of them. Results: benchmarks/results/own.json; docs/comparison.md
shows their mean.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from sklearn.model_selection import cross_val_predict

import lossval_cli

DATA = Path(__file__).parents[2] / "shared" / "real" / "jira"
RESULTS = Path(__file__).parent / "results" / "own.json"
COLUMNS = ("AUROC", "AP", "F1 of flags", "flagged", "seconds")
LABEL, ID = "bug", "File"

Answer = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]
"""How suspicious each row is, and which are flagged."""


def lossval(train: pd.DataFrame, **options: object) -> Answer:
    """Scores and flags by lossval."""
    result = lossval_cli.score(
        train, label=LABEL, ids=ID, task="classification", removal="off", **options
    ).scores.sort_values("row")
    return result["label_noise_probability"].to_numpy(), result["suspect"].str.contains("label").to_numpy()


def methods(train: pd.DataFrame) -> dict[str, Callable[[], Answer]]:
    """Name -> method."""
    X, y = train.drop(columns=[LABEL, ID]), pd.factorize(train[LABEL], sort=True)[0]
    forest = RandomForestClassifier(200, min_samples_leaf=2, random_state=0)
    predictions = cross_val_predict(forest, X, y, method="predict_proba")

    def cleanlab() -> Answer:
        return 1 - get_label_quality_scores(y, predictions), find_label_issues(y, predictions)

    return {
        "cleanlab, these predictions": cleanlab,
        "lossval, these predictions": lambda: lossval(train, predictions=predictions),
        "lossval --model forest": lambda: lossval(train, model="forest"),
        "lossval --model boosting": lambda: lossval(train, model="boosting"),
        "lossval --model linear": lambda: lossval(train, model="linear"),
        "lossval": lambda: lossval(train),
    }


def main(names: list[str]) -> None:
    """Measure, record, and print the mean over the tables as a Markdown table."""
    found: dict[str, dict[str, list[float]]] = {}
    for name in names or sorted(path.name.removesuffix(".csv") for path in DATA.glob("*[0-9].csv")):
        train = pd.read_csv(DATA / f"{name}.csv")
        truth = pd.read_csv(DATA / f"{name}.truth.csv")["wrong_label"].to_numpy(bool)
        for method, answer in methods(train).items():
            start = time.perf_counter()
            score, flags = answer()
            seconds = time.perf_counter() - start
            figures = [roc_auc_score(truth, score), average_precision_score(truth, score), f1_score(truth, flags)]
            found.setdefault(method, {})[name] = [round(float(x), 4) for x in (*figures, flags.mean(), seconds)]
        RESULTS.write_text(json.dumps({"columns": COLUMNS, "methods": found}, indent=1) + "\n", encoding="utf-8")
    print("| method | AUROC | AP | F1 of flags | flagged | seconds |\n|---|---|---|---|---|---|")
    for method, rows in found.items():
        auroc, ap, f1, flagged, seconds = np.mean(list(rows.values()), axis=0)
        print(f"| {method} | {auroc:.3f} | {ap:.3f} | {f1:.3f} | {flagged:.3f} | {seconds:.1f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
