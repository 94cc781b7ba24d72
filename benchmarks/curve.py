"""Quality against time as a table grows: `python -m benchmarks.curve [--rows 1000 10000 ...]`.

lossval, at efforts low and default, beside cleanlab with LightGBM, CatBoost and a random forest, on the same rows in
the same process and one thread: AUROC and average precision of the wrong labels, and CPU seconds without imports. Two
tables, in both of which 15 % of the labels are flipped and 1,000 rows are trusted, which only lossval uses: one of 20
standard normal columns and a smooth rule, and one of prices of electricity (../shared/data), where trees do better.

Results: benchmarks/results/curve.json, a record replaced when it is measured again; what they say: docs/scale.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.peers import cleanlab
from benchmarks.protocol import Split
from benchmarks.real_data import SHARED

RESULTS = Path(__file__).parent / "results" / "curve.json"
TRUSTED = 1_000
FLIPPED = 0.15
COLUMNS = 20
KEY = ("table", "rows", "method", "score")

Scores = dict[str, np.ndarray]


def smooth(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features (rows, COLUMNS) and labels (rows,) by a smooth rule and chance."""
    X = rng.standard_normal((rows, COLUMNS)).astype(np.float32)
    signal = X[:, 0] * X[:, 1] + np.sin(2 * X[:, 2]) + X[:, 3] + 0.5 * rng.standard_normal(rows)
    return X, (signal > 0).astype(np.int64)


def electricity(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """As many rows of the table, at random."""
    table = pd.read_csv(SHARED / "data" / "electricity.csv")
    table = table.iloc[rng.permutation(len(table))[:rows]]
    numbers = table.drop(columns=[name for name in table if name.startswith("Unnamed") or name == "class"])
    return numbers.to_numpy(np.float32), table["class"].to_numpy(np.int64)


TABLES = {"smooth": smooth, "electricity": electricity}


def make_table(name: str, rows: int, seed: int = 0) -> Split:
    """Rows with labels, some of them flipped."""
    rng = np.random.default_rng(seed)
    X, y = TABLES[name](rows + TRUSTED, rng)
    rows = len(X) - TRUSTED
    flipped = rng.random(rows) < FLIPPED
    given = np.where(flipped, 1 - y[:rows], y[:rows])
    trusted = slice(rows, None)
    return Split(
        X[:rows],
        given,
        X[trusted],
        y[trusted],
        X[trusted],
        y[trusted],
        "classification",
        noisy_label=flipped,
        noisy_feature=np.zeros(rows, bool),
    )


def score_lossval(split: Split, effort: str) -> Scores:
    """Higher for rows that are more likely wrong, by two of the columns of the scores."""
    import lossval_cli

    def frame(X: np.ndarray, y: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame({f"x{i:02d}": X[:, i] for i in range(X.shape[1])} | {"label": y})

    train, val = frame(split.X_train, split.y_train), frame(split.X_val, split.y_val)
    result = lossval_cli.score(train, val, label="label", removal="off", device="cpu", effort=effort, threads=1)
    found = result.scores.sort_values("row")
    return {
        "label_noise_probability": found["label_noise_probability"].to_numpy(),
        "importance": -found["importance"].to_numpy(),
    }


def methods() -> dict[str, Callable[[Split], Scores]]:
    """By name."""
    from catboost import CatBoostClassifier
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import RandomForestClassifier

    models: dict[str, Any] = {
        "LightGBM": LGBMClassifier(n_jobs=1, verbose=-1, random_state=0),
        "CatBoost": CatBoostClassifier(thread_count=1, verbose=False, random_seed=0, allow_writing_files=False),
        "forest": RandomForestClassifier(random_state=0),
    }
    peers: dict[str, Callable[[Split], Scores]] = {
        f"cleanlab, {name}": lambda split, model=model: {"label quality": -cleanlab(model, None, split, 0)}
        for name, model in models.items()
    }
    own: dict[str, Callable[[Split], Scores]] = {
        f"lossval, effort {effort}": lambda split, effort=effort: score_lossval(split, effort)
        for effort in ("low", "default")
    }
    return own | peers


def main() -> None:
    """Measure, print, and write what there is after every method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--methods", nargs="+", default=[""], help="parts of their names")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    warm_up = make_table("smooth", 200)
    chosen = {name: run for name, run in methods().items() if any(part in name for part in options.methods)}
    for run in chosen.values():  # so that imports count for nobody
        run(warm_up)
    for table, rows in itertools.product(options.tables, options.rows):
        split = make_table(table, rows)
        for name, run in chosen.items():
            start = time.process_time()
            scores = run(split)
            seconds = time.process_time() - start
            for column, values in scores.items():
                record = {
                    "table": table,
                    "rows": len(split.y_train),
                    "method": name,
                    "score": column,
                    "cpu_seconds": round(seconds, 2),
                    "auroc": round(float(roc_auc_score(split.noisy_label, values)), 4),
                    "ap": round(float(average_precision_score(split.noisy_label, values)), 4),
                }
                key = [record[field] for field in KEY]
                known = [one for one in known if [one[field] for field in KEY] != key] + [record]
                print(json.dumps(record), flush=True)
            RESULTS.write_text("[\n" + ",\n".join(json.dumps(one) for one in known) + "\n]\n")


if __name__ == "__main__":
    main()
