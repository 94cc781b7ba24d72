"""The examples of docs/pytorch.md beside `lossval score` on the same rows: `python -m benchmarks.examples`.

Both are measured alike: the share of planted errors among as many rows of lowest label evidence as there are errors.
The trusted rows have no labels, as in the examples. Results: benchmarks/results/examples.json.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import lossval_cli

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "pytorch"
RESULTS = ROOT / "benchmarks" / "results" / "examples.json"


def digits(example: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Rows of 64 pixels."""
    X, y, X_val, wrong = example["planted_digits"]()
    frames = [pd.DataFrame(part.flatten(1).numpy()).add_prefix("pixel") for part in (X, X_val)]
    return frames[0].assign(label=[f"digit {label}" for label in y.tolist()]), frames[1], wrong


def sentences(example: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Rows of one text."""
    words = list(example["WORDS"])
    X, y, X_val, wrong = example["planted_reviews"]()
    texts = [[" ".join(words[i] for i in row) for row in part.tolist()] for part in (X, X_val)]
    train = pd.DataFrame({"text": texts[0], "label": np.where(y.numpy() == 1, "good", "bad")})
    return train, pd.DataFrame({"text": texts[1]}), wrong


def regression(example: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Rows of ten numbers."""
    X, y, X_val, wrong = example["planted_numbers"]()
    frames = [pd.DataFrame(part.numpy()).add_prefix("x") for part in (X, X_val)]
    return frames[0].assign(label=y.numpy()), frames[1], wrong


def main(names: list[str]) -> None:
    """Measure the examples and write what was found."""
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for tables in (digits, sentences, regression):
        name = tables.__name__
        if names and name not in names:
            continue
        example = runpy.run_path(str(EXAMPLES / f"{name}.py"))
        train, val, wrong = tables(example)
        result = lossval_cli.score(train, val, label="label", removal="off")
        by_row = result.scores.sort_values("row").reset_index(drop=True)
        shares = {
            column: float(
                wrong[
                    by_row[column].sort_values(ascending=column == "label_evidence", kind="stable").index[: wrong.sum()]
                ].mean()
            )
            for column in ("label_evidence", "noise_probability")
        }
        found[name] = {"errors": int(wrong.sum()), "rows": len(wrong), "example": example["main"](), **shares}
        print(name, found[name])
        RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
