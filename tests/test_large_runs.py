"""What keeps large runs possible: anchors, fewer bits, and less at once on a device that is full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from test_training import CPU, fit, importance, make_problem

from lossval_cli.errors import TrainingError
from lossval_cli.lossval.training import TrainingData
from lossval_cli.lossval.validation_sample import choose_validation_sample
from lossval_cli.runtime.row_loader import Chunk, Rows


def wide_validation(rows: int) -> TrainingData:
    rng = np.random.default_rng(3)
    training_data = make_problem(300)[0]
    return training_data._replace(X_val=rng.standard_normal((rows, 5)).astype(np.float32))


def test_anchors_are_spread_over_validation() -> None:
    """Different rows, as many in each stretch of the leading direction; all rows where they are few."""
    X_val = wide_validation(2_000).X_val * np.array([5, 1, 1, 1, 1], np.float32)
    anchors = choose_validation_sample(X_val, 200, np.random.default_rng(0))
    assert len(set(anchors.rows.tolist())) == 200 and anchors.of == 2_000
    quarters = np.digitize(X_val[anchors.rows, 0], np.quantile(X_val[:, 0], [0.25, 0.5, 0.75]))
    assert np.bincount(quarters).min() >= 45
    few = choose_validation_sample(X_val[:50], 200, np.random.default_rng(0))
    assert few.rows.tolist() == list(range(50))


def test_more_anchors_come_nearer_and_say_so() -> None:
    """The reported error is about what ranks of the feature evidence are off by."""
    training_data = wide_validation(1_500)
    whole = fit(training_data, epochs=2, blur=0.2)
    assert whole.anchors is None
    errors, apart = [], []
    for most in (20, 400):
        part = fit(training_data, epochs=2, blur=0.2, max_anchors=most)
        assert part.anchors is not None and part.anchors["used"] == most and part.anchors["of"] == 1_500
        errors.append(part.anchors["error"])
        apart.append(1 - spearmanr(part.feature_evidence, whole.feature_evidence).statistic)
    assert errors[1] < errors[0] / 2 and apart[1] < apart[0]


def test_held_out_rows_keep_their_own_place_among_anchors() -> None:
    training_data = make_problem(400, noise=0.0)[0]
    held_out = np.arange(0, 400, 2)
    result = fit(training_data._replace(X_val=training_data.X[held_out], held_out=held_out), max_anchors=50)
    assert np.isfinite(importance(result)).all()


def test_bfloat16_keeps_the_ranks() -> None:
    """8 bits of mantissa on 300 rows. On 20,000 rows: docs/scale.md."""
    training_data = make_problem()[0]
    whole, halved = (fit(training_data, precision=precision) for precision in ("float32", "bfloat16"))
    assert spearmanr(importance(whole), importance(halved)).statistic > 0.99


def test_a_full_device_is_tried_again_with_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows stay off the device, in smaller blocks; the result says so, and is that of such blocks."""
    training_data = make_problem(20_000)[0]
    failures = 2
    chunks = Rows.chunks

    def full(self: Rows, *arguments: Any, **options: Any) -> Iterator[Chunk]:
        nonlocal failures
        if failures:
            failures -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return chunks(self, *arguments, **options)

    monkeypatch.setattr(Rows, "chunks", full)
    result = fit(training_data, epochs=1, members=2, folds=2, hidden=8)
    assert [notice.rpartition(" ")[2] for notice in result.notices] == ["5,000", "4,096"]
    assert np.isfinite(importance(result)).all()
    failures = 9
    with pytest.raises(TrainingError, match=r"^out of memory on the device with 4,096 rows at once: "):
        fit(training_data, epochs=1, members=2, folds=2, hidden=8)


def test_rows_off_the_device_give_the_same_bits() -> None:
    training_data = make_problem(9_000)[0]
    held, read = (Rows(training_data.X, CPU, chunk_rows=4_096, hold=hold) for hold in (True, False))
    epochs = (rows.chunks(7, torch.Generator().manual_seed(1)) for rows in (held, read))
    for one, other in zip(*epochs, strict=True):
        assert one.bounds == other.bounds
        assert torch.equal(one.rows, other.rows) and torch.equal(one.X, other.X)
