"""A report stays a page that can be mailed, however many rows it is about."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lossval_cli.features.dataset import Dataset, load_dataset
from lossval_cli.features.table_options import TableOptions
from lossval_cli.features.typed_columns import TypedColumns
from lossval_cli.lossval.training import Epoch, Fit
from lossval_cli.lossval.transport import Potentials
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.noise.outliers import find_outliers
from lossval_cli.ranking import rank_rows
from lossval_cli.report.build import build_report
from lossval_cli.runs.directory import json_bytes, render_pages
from lossval_cli.settings import Settings

pytestmark = pytest.mark.slow

ROWS = (20_000, 40_000)
CLASSES = 20
LIMIT = 1_500_000
"""Bytes of report.html."""


def big_table(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """A number, a word of many and a label of twenty long names; no two numbers are equal."""
    towns = np.array([f"town{i:03}{'x' * 40}" for i in range(800)])
    names = np.array([f"class {i:02} {'y' * 40}" for i in range(CLASSES)])
    return pd.DataFrame(
        {
            "size": rng.permutation(rows) / 7,
            "town": pd.Categorical.from_codes(rng.integers(0, 800, rows), towns),
            "label": pd.Categorical.from_codes(rng.integers(0, CLASSES, rows), names),
        }
    )


def a_fit(dataset: Dataset, rng: np.random.Generator) -> tuple[Fit, NoiseEstimate]:
    """What a training could say: every tenth row is suspect, and every label is doubted somewhere."""
    rows = len(dataset.train.X)
    label, features = rng.normal(size=rows) * 0.1, rng.normal(size=rows) * 0.1
    probability = rng.random(rows)
    predictions = np.zeros((rows, CLASSES), np.float32)
    predictions[np.arange(rows), rng.integers(0, CLASSES, rows)] = 0.7
    columns = TypedColumns(dataset.train.table, dataset.encoder)
    measured = find_outliers(dataset.train.X[:500], dataset.encoder.blocks, columns, rng)
    outliers = measured._replace(penalty=features, probability=probability)
    noise = NoiseEstimate(
        probability, probability, probability, probability > 0.95, label < -0.16, 0.95, 0.9, 0.1, 0.05, 0.15, outliers
    )
    fit = Fit(
        importance=np.exp(label + features),
        importance_std=np.abs(label),
        label_evidence=label,
        feature_evidence=features,
        predictions=predictions,
        history=tuple(Epoch(i, 300, 1 / (i + 1), 2 / (i + 1)) for i in range(300)),
        potentials=Potentials(torch.zeros(rows), torch.zeros(1), 1.0, 0.01, True),
    )
    return fit, noise


def pages(rows: int) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    settings = Settings.resolve(None, None, {})
    dataset = load_dataset(
        big_table(rows, rng), big_table(1_000, rng), options=TableOptions(label="label"), settings=settings
    )
    fit, noise = a_fit(dataset, rng)
    table = rank_rows(dataset, fit, noise)
    report: dict[str, Any] = build_report(dataset, fit, noise, None, table, settings, torch.device("cpu"))
    return render_pages(json_bytes(report))


def test_twice_the_rows_make_the_page_no_larger() -> None:
    """A few numbers have a digit more."""
    small, large = (pages(rows) for rows in ROWS)
    assert json.loads(large["report.json"])["summary"]["rows"] == ROWS[1]
    for name, limit in (("report.html", LIMIT), ("report.json", LIMIT), ("report.md", 20_000)):
        assert len(large[name]) < min(limit, 1.03 * len(small[name])), name
    assert large["report.md"].count(b"\n") < 60
