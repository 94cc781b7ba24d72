"""Make the example that ships with the package: `python -m benchmarks.make_example`.

2,000 white wines with 300 quality scores replaced by another one, 400 wines nobody touched, and a side
file that says which labels were changed and what they were.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SOURCE = Path(__file__).parents[2] / "shared" / "data" / "white_wine.csv"
EXAMPLES = Path(__file__).parents[1] / "examples"
ROWS, TRUSTED, WRONG, SEED = 2_000, 400, 300, 20_241_205


def main() -> None:
    """Write the three files."""
    rng = np.random.default_rng(SEED)
    wines = pd.read_csv(SOURCE, dtype=str)
    chosen = wines.iloc[rng.permutation(len(wines))[: ROWS + TRUSTED]].reset_index(drop=True)
    chosen.insert(0, "id", [f"wine-{number:04d}" for number in range(1, len(chosen) + 1)])
    train, trusted = chosen[:ROWS].copy(), chosen[ROWS:]
    scores = sorted(wines["quality"].unique())
    rows = np.sort(rng.choice(ROWS, WRONG, replace=False))
    truth = train.loc[rows, ["id", "quality"]].rename(columns={"quality": "true_quality"})
    wrong = [rng.choice([score for score in scores if score != own]) for own in truth["true_quality"]]
    train.loc[rows, "quality"] = wrong
    train.to_csv(EXAMPLES / "wine.csv", index=False)
    trusted.to_csv(EXAMPLES / "wine_val.csv", index=False)
    truth.assign(wrong_quality=wrong).to_csv(EXAMPLES / "wine_truth.csv", index=False)


if __name__ == "__main__":
    main()
