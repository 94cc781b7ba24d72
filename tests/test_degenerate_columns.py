"""Columns that hardly vary, or vary beyond reason, go through the whole run with its report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lossval_cli


@pytest.mark.slow
def test_degenerate_columns_are_scored_and_reported(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    n = 120
    x = rng.normal(size=n)
    few = rng.random(n) < 0.05
    few[:4] = True
    columns: dict[str, object] = {
        "x": x,
        "constant": 1.0,
        "constant_but_for_one": np.where(np.arange(n) == 7, 5.0, 1.0),
        "mostly_largest": np.where(few, rng.uniform(0, 90, n), 100.0),
        "mostly_smallest": np.where(few, rng.uniform(1, 90, n), 0.0),
        "two_values": np.where(x > 0, 1.5, -1.5),
        "missing_but_for_one": np.where(np.arange(n) == 3, 1.0, np.nan),
        "all_missing": np.nan,
        "huge": x * 1e300,
        "tiny": x * 1e-300,
        "both_ends": np.where(x > 0, 1.7e308, -1.7e308),
        "infinite": np.where(np.arange(n) == 5, np.inf, x),
        "one_category": "only",
        "category_but_for_one": np.where(np.arange(n) == 9, "other", "only"),
        "date_but_for_one": np.where(np.arange(n) == 9, "2021-01-01", "2020-01-01"),
        "true_but_for_one": np.where(np.arange(n) == 9, "False", "True"),
        "large_integers": (x * 1e15).astype(np.int64) + 2**60,
        "label": np.where(x + rng.normal(scale=0.5, size=n) > 0, "yes", "no"),
    }
    frame = pd.DataFrame(columns)
    frame.to_csv(tmp_path / "t.csv", index=False)
    for source, removal in ((frame, "off"), (str(tmp_path / "t.csv"), "quick")):
        result = lossval_cli.score(source, label="label", effort="low", epochs=3, removal=removal, device="cpu")
        assert np.isfinite(result.scores["importance"].to_numpy(float)).all()
        json.dumps(result.report, allow_nan=False)
