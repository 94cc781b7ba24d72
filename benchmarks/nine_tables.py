"""The real command on each table of ../shared/data with 10 % wrong labels: `python -m
benchmarks.nine_tables`.

Every table as it comes, mixed types and missing values and all: a tenth of its rows is held out as
validation, 10 %
of the remaining labels are replaced by another label of the column, and `lossval score` runs in a process
of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

DATA = Path(__file__).parents[2] / "shared" / "data"
LABELS = {
    "2dplanes": "11",
    "adult": "income_status",
    "cpu_activity": "22",
    "electricity": "class",
    "kin8nm": "y",
    "melbourne_house_prices": "Price",
    "pol": "y",
    "telco_churn": "Churn",
    "white_wine": "quality",
}
SHARE, SEED = 0.1, 100


def score(name: str, label: str, folder: Path) -> str:
    """Plant, run, and say how it went, as a row of a Markdown table."""
    rng = np.random.default_rng(SEED)
    rows = pd.read_csv(DATA / f"{name}.csv", dtype=str, keep_default_na=False)
    rows = rows.iloc[rng.permutation(len(rows))].reset_index(drop=True)
    held_out = len(rows) // 10
    val, train = rows[:held_out], rows[held_out:].reset_index(drop=True)
    labels = train[label].unique()
    wrong = np.zeros(len(train), bool)
    wrong[rng.choice(len(train), int(SHARE * len(train)), replace=False)] = True
    shift = rng.integers(1, len(labels), wrong.sum())
    codes = pd.Categorical(train.loc[wrong, label], labels).codes
    train.loc[wrong, label] = labels[(codes + shift) % len(labels)]
    train.to_csv(folder / "train.csv", index=False)
    few = len(labels) <= 100
    known = val[label].isin(train[label]) if few else np.ones(len(val), bool)
    val[known].to_csv(folder / "val.csv", index=False)
    start = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "lossval_cli",
        "score",
        "train.csv",
        "--val",
        "val.csv",
        "--label",
        label,
    ]
    done = subprocess.run([*command, "--force"], cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        return f"| {name} | exit {done.returncode}: {done.stderr.strip().splitlines()[-1]} |"
    found = pd.read_csv(folder / "train.lossval" / "scores.csv", keep_default_na=False, na_values={"importance": [""]})
    assert sorted(found["row"]) == list(range(len(train)))
    assert found["importance"].is_monotonic_increasing
    truth = wrong[found["row"]]
    by_importance = roc_auc_score(truth, -found["importance"])
    by_probability = roc_auc_score(truth, found["noise_probability"])
    flagged = (found["suspect"] != "").to_numpy()
    precision = truth[flagged].mean() if flagged.any() else float("nan")
    return (
        f"| {name} | {len(train):,} | {by_importance:.3f} | {by_probability:.3f} | {flagged.mean():.3f} "
        f"| {precision:.2f} | {seconds:.0f} |"
    )


def main() -> None:
    """Print the table."""
    print("| table | rows | AUROC of importance | of noise_probability | flagged | of them wrong | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, label in LABELS.items():
        with tempfile.TemporaryDirectory() as folder:
            print(score(name, label, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
