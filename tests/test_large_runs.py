"""What keeps large runs possible: a sample of validation rows, fewer bits, fewer rows on a full device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from conftest import frame
from scipy.stats import spearmanr
from test_training import CPU, fit, importance, make_problem

from lossval_cli.errors import TrainingError
from lossval_cli.features.dataset import load_dataset
from lossval_cli.lossval.fit import train
from lossval_cli.lossval.setup import TrainingData
from lossval_cli.lossval.validation_sample import choose_validation_sample
from lossval_cli.runtime.context import Runtime
from lossval_cli.runtime.row_loader import Chunk, Rows
from lossval_cli.settings import Settings

pytestmark = pytest.mark.slow


def wide_validation(rows: int) -> TrainingData:
    rng = np.random.default_rng(3)
    training_data = make_problem(300)[0]
    return training_data._replace(X_val=rng.standard_normal((rows, 5)).astype(np.float32))


def test_the_validation_sample_is_spread_over_all_rows() -> None:
    """Different rows, as many in each part of the leading direction; all rows where they are few."""
    X_val = wide_validation(2_000).X_val * np.array([5, 1, 1, 1, 1], np.float32)
    sample = choose_validation_sample(X_val, 200, np.random.default_rng(0))
    assert len(set(sample.rows.tolist())) == 200 and sample.of == 2_000
    quarters = np.digitize(X_val[sample.rows, 0], np.quantile(X_val[:, 0], [0.25, 0.5, 0.75]))
    assert np.bincount(quarters).min() >= 45
    few = choose_validation_sample(X_val[:50], 200, np.random.default_rng(0))
    assert few.rows.tolist() == list(range(50))


def test_a_larger_validation_sample_has_a_smaller_error_and_reports_it() -> None:
    """The reported error is about the error in the ranks of the feature evidence."""
    training_data = wide_validation(1_500)
    whole = fit(training_data, epochs=2, blur=0.2)
    assert whole.transport_sample is None
    errors, apart = [], []
    for most in (20, 400):
        part = fit(training_data, epochs=2, blur=0.2, max_anchors=most)
        sample = part.transport_sample
        assert sample is not None and (sample["used"], sample["of"]) == (most, 1_500)
        errors.append(sample["error"])
        apart.append(1 - spearmanr(part.feature_evidence, whole.feature_evidence).statistic)
    assert errors[1] < errors[0] / 2 and apart[1] < apart[0]


def test_held_out_rows_are_not_transported_to_themselves_in_a_sample() -> None:
    training_data = make_problem(400, noise=0.0)[0]
    held_out = np.arange(0, 400, 2)
    result = fit(training_data._replace(X_val=training_data.X[held_out], held_out=held_out), max_anchors=50)
    assert np.isfinite(importance(result)).all()


def test_a_full_device_is_tried_again_with_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows stay off the device, in smaller blocks; the result says so, and is that of such blocks."""
    dataset = load_dataset(frame(20_000), frame(50, seed=1), settings=Settings())
    settings = Settings.resolve(overrides={"epochs": 1, "members": 2, "folds": 2, "hidden": 8})
    failures = 2
    chunks = Rows.chunks

    def full(self: Rows, *arguments: Any, **options: Any) -> Iterator[Chunk]:
        nonlocal failures
        if failures:
            failures -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return chunks(self, *arguments, **options)

    monkeypatch.setattr(Rows, "chunks", full)
    result = train(dataset, np.zeros(20_000), settings, Runtime())
    assert [notice.rpartition(" ")[2] for notice in result.notices] == ["5,000", "4,096"]
    assert np.isfinite(importance(result)).all()
    failures = 9
    with pytest.raises(TrainingError, match=r"^out of memory on the device with 4,096 rows at once: "):
        train(dataset, np.zeros(20_000), settings, Runtime())


def test_rows_off_the_device_give_the_same_bits() -> None:
    training_data = make_problem(9_000)[0]
    held, read = (Rows(training_data.X, CPU, chunk_rows=4_096, hold=hold) for hold in (True, False))
    epochs = (rows.chunks(7, torch.Generator().manual_seed(1)) for rows in (held, read))
    for one, other in zip(*epochs, strict=True):
        assert one.bounds == other.bounds
        assert torch.equal(one.rows, other.rows) and torch.equal(one.X, other.X)
