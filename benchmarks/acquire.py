"""Do the rows that `lossval acquire` names teach more than any rows? `python -m benchmarks.acquire`.

500 training rows (15 % wrong labels), 200 trusted ones, and a pool of 2,000: 150 pool rows are labelled, as
the run says or at random (mean of five draws). Gradient boosting and a forest trained with them are compared
on up to 2,000 rows that are like the trusted ones. `same`: all rows are drawn alike. `shift`: trusted rows
lie in one half of a direction of the features; nine training rows in ten and two pool rows in three do not.
"""

from __future__ import annotations

import argparse
import sys
import zlib

import numpy as np
import pandas as pd
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

import lossval_cli
from benchmarks.removal import TABLES, load, mislabelled
from lossval_cli.runs.acquisition import forecast, pick
from lossval_cli.tables.table import read_table

TRAIN, VAL, POOL, FRESH, ASKED = 500, 200, 2_000, 2_000, 150
DRAWS = 5
SCENES = ("same", "shift")


def parts(frame: pd.DataFrame, scene: str, rng: np.random.Generator) -> list[pd.DataFrame]:
    """Training, trusted, pool and fresh rows."""
    order = rng.permutation(len(frame))
    if scene == "same":
        ends = np.cumsum([TRAIN, VAL, POOL, FRESH])
        parts_of_rows = np.split(order, ends)[:4]
    else:
        numbers = frame.drop(columns="label").select_dtypes("number")
        scaled = ((numbers - numbers.mean()) / numbers.std()).fillna(0).to_numpy()
        side = scaled @ rng.standard_normal(scaled.shape[1])
        high = side[order] > np.median(side)
        near, far = order[high], order[~high]
        own, third = TRAIN // 10, POOL // 3
        val, more, pool, fresh = np.split(near, np.cumsum([VAL, own, third]))
        parts_of_rows = [
            np.r_[far[: TRAIN - own], more],
            val,
            np.r_[far[TRAIN - own :][: POOL - third], pool],
            fresh[:FRESH],
        ]
    train, *others = (frame.iloc[rows].reset_index(drop=True) for rows in parts_of_rows)
    if frame["label"].dtype == object:
        others = [part[part["label"].isin(train["label"].unique())] for part in others]
    return [train, *others]


def run(name: str, scene: str, seed: int) -> dict[str, object]:
    """One repetition: accuracy, or R², without new rows, with those named, and with any."""
    frame, task = load(name)
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed, SCENES.index(scene)])
    train, val, pool, fresh = parts(frame, scene, rng)
    labels, _ = mislabelled(train["label"], 0.15, rng)
    result = lossval_cli.score(
        train.assign(label=labels), val, label="label", task=task, seed=seed, removal="off", threads=1
    )
    encoder, X = result.dataset.encoder, result.dataset.train.X
    X_pool, X_fresh = (encoder.transform(read_table(part)) for part in (pool, fresh))
    expected = forecast(X, result.fit.feature_evidence, X_pool, np.random.default_rng(seed))
    named = pick(X_pool, expected.value, ASKED, np.random.default_rng(seed))
    kinds = (HistGradientBoostingClassifier, ExtraTreesClassifier)
    if task == "regression":
        kinds = (HistGradientBoostingRegressor, ExtraTreesRegressor)
    own, new, truth = labels, pool["label"].to_numpy(), fresh["label"].to_numpy()

    def value(rows: np.ndarray) -> float:
        models = [kind(random_state=0).fit(np.r_[X, X_pool[rows]], np.r_[own, new[rows]]) for kind in kinds]
        return float(np.mean([model.score(X_fresh, truth) for model in models]))

    drawn = [value(rng.choice(len(pool), ASKED, replace=False)) for _ in range(DRAWS)]
    return {
        "table": name,
        "rows": scene,
        "seed": seed,
        "correlation": expected.correlation,
        "before": value(np.zeros(0, np.int64)),
        "named": value(named),
        "random": float(np.mean(drawn)),
    }


def main() -> None:
    """Measure and print the table of docs/research/acquire.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=["cpu_activity", "electricity", "pol"], choices=TABLES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[100, 101])
    given = parser.parse_args()
    records = []
    for scene in SCENES:
        for name in given.tables:
            for seed in given.seeds:
                records.append(run(name, scene, seed))
                print(records[-1], file=sys.stderr, flush=True)
    means = pd.DataFrame(records).groupby(["rows", "table"], sort=False).mean(numeric_only=True)
    print("| rows | table | rank correlation | before | with 150 named rows | with 150 random rows |")
    print("|---|---|---|---|---|---|")
    for (scene, name), mean in means.drop(columns="seed").iterrows():
        print(f"| {scene} | {name} | " + " | ".join(f"{value:.3f}" for value in mean) + " |")


if __name__ == "__main__":
    main()
