"""What a run makes of decisions: trusted rows, no second flag, better ranks, and a gate that knows what was kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import QUICK, Outcome, frame

from lossval_cli.features.reviewed import ReviewedRows
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.noise.reviewed import learn_from_reviews
from lossval_cli.runs.decisions import append_decisions
from tests.test_decisions import decision

pytestmark = pytest.mark.usefixtures("valued_once")


def estimate(probability: np.ndarray) -> NoiseEstimate:
    """Believed of the labels alone."""
    nothing = np.zeros(len(probability))
    return NoiseEstimate(
        probability, probability, nothing, probability > 0.5, nothing > 0.5, 0.5, 1.0,
        float(probability.mean()), 0.0, 1.0,
    )  # fmt: skip


def reviewed(rows: np.ndarray, wrong: np.ndarray, y: np.ndarray, drawn: np.ndarray | None = None) -> ReviewedRows:
    order = np.argsort(rows)
    rows, wrong = rows[order], wrong[order]
    none = np.zeros(len(rows), bool)
    true = np.where(wrong, 1 - y[rows], y[rows])
    return ReviewedRows(rows, wrong, none, wrong, true, (none if drawn is None else drawn[order]))


def example(N: int = 1_500, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels of one class are wrong in one part of the table, systematically: every model of the given labels learns
    them, and doubts rows near the border of the classes as much."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, 5)).astype(np.float32)
    true = (X[:, 0] + 0.3 * rng.normal(size=N) > 0).astype(np.int64)
    wrong = (X[:, 1] > 0.8) & (true == 1) & (rng.random(N) < 0.6)
    y = np.where(wrong, 0, true)
    is_one = 1 / (1 + np.exp(-5 * X[:, 0])) * np.where(X[:, 1] > 0.8, 0.6, 1.0)
    predictions = np.stack([1 - is_one, is_one], axis=1)
    p = 1 - predictions[np.arange(N), y]
    return X, y, p, wrong, predictions


def test_decided_rows_are_certain_and_not_flagged() -> None:
    X, y, p, wrong, predictions = example()
    rows = np.argsort(-p)[:50]
    noise = learn_from_reviews(estimate(p), reviewed(rows, wrong[rows], y), X, predictions, y)
    assert np.array_equal(noise.probability[rows], wrong[rows])
    assert not noise.label_suspect[rows].any()
    assert not noise.feature_suspect.any()


@pytest.mark.slow
def test_decisions_order_the_other_rows_better() -> None:
    X, y, p, wrong, predictions = example()
    rows = np.argsort(-p)[:150]
    noise = learn_from_reviews(estimate(p), reviewed(rows, wrong[rows], y), X, predictions, y)
    rest = np.setdiff1d(np.arange(len(p)), rows)
    before, after = (wrong[rest[np.argsort(-values[rest])][:100]].mean() for values in (p, noise.probability))
    assert after > before + 0.05


@pytest.mark.slow
def test_a_reviewer_who_keeps_most_suspects_lowers_the_share() -> None:
    X, y, p, _, predictions = example()
    rows = np.argsort(-p)[:40]
    lower = learn_from_reviews(estimate(p), reviewed(rows, np.arange(40) % 4 == 0, y), X, predictions, y)
    higher = learn_from_reviews(estimate(p), reviewed(rows, np.arange(40) % 8 > 0, y), X, predictions, y)
    assert lower.share < higher.share
    assert lower.share_low <= lower.share <= lower.share_high


@pytest.mark.slow
def test_random_rows_speak_for_the_rows_that_were_not_suspect() -> None:
    """Ten of forty random rows are wrong, where the probabilities expect one in a hundred."""
    X, y, p, _, predictions = example()
    p = np.where(p > np.quantile(p, 0.95), p, 0.01)
    suspects, others = np.flatnonzero(p > 0.01)[:30], np.flatnonzero(p == 0.01)[:40]
    rows, wrong = np.concatenate([suspects, others]), np.concatenate([np.ones(30, bool), np.arange(40) % 4 == 0])
    drawn = np.arange(70) >= 30
    noise = learn_from_reviews(estimate(p), reviewed(rows, wrong, y, drawn), X, predictions, y)
    rest = np.setdiff1d(np.flatnonzero(p == 0.01), others)
    assert 0.1 < noise.label_probability[rest].mean() < 0.25
    assert noise.share_low < 0.25 < noise.share_high + 0.1


def test_of_few_decisions_of_one_kind_nothing_is_learned_but_the_calibration() -> None:
    X, y, p, _, predictions = example()
    rows = np.argsort(-p)[:5]
    noise = learn_from_reviews(estimate(p), reviewed(rows, np.ones(5, bool), y), X, predictions, y)
    rest = np.setdiff1d(np.arange(len(p)), rows)
    low = p[rest] < np.quantile(p[rows], 0.05)
    order = np.argsort(p[rest][low], kind="stable")
    assert np.all(np.diff(noise.label_probability[rest][low][order]) >= -1e-9)


@pytest.fixture
def scored(tables: Path, once: Callable[..., Outcome]) -> Path:
    """train.csv with 20 wrong labels, and a run of it."""
    table = frame(200)
    flipped = table["label"].map({"yes": "no", "no": "yes"})
    table["label"] = table["label"].where(np.arange(200) % 10 != 0, flipped)
    table.to_csv("train.csv", index=False)
    once("score", "train.csv", "--val", "val.csv", *QUICK)
    return Path("train.lossval")


def suspects(run: Path) -> pd.DataFrame:
    scores = pd.read_csv(run / "scores.csv")
    return scores[scores["suspect"].notna()]


def test_score_flags_no_decided_row_again_and_says_how_good_its_flags_were(
    scored: Path, cli: Callable[..., Outcome]
) -> None:
    before = suspects(scored)
    assert len(before) > 4
    said = [
        decision(f'["{row.customer}"]', "keep" if i % 2 else "drop", label=row.label, suspect=row.suspect, chance=1.0)
        for i, row in enumerate(before.itertuples())
    ]
    append_decisions(scored / "decisions.csv", said)
    done = cli("score", "train.csv", "--val", "val.csv", "--decisions", str(scored / "decisions.csv"), *QUICK)
    assert done.code == 0, done.err
    assert not set(before["customer"]) & set(suspects(scored)["customer"])
    wrong = (len(before) + 1) // 2
    assert f"decisions: {wrong} of {len(before)} reviewed suspects were wrong" in done.err
    scores = pd.read_csv(scored / "scores.csv").set_index("customer")
    decided = scores.loc[[row.customer for row in before.itertuples()], "noise_probability"]
    assert decided.tolist() == [float(i % 2 == 0) for i in range(len(before))]
    report = json.loads((scored / "report.json").read_text())
    assert any("count as trusted" in notice for notice in report["notices"])
    held_out = cli("score", "train.csv", "-o", "-", "--decisions", str(scored / "decisions.csv"), *QUICK)
    assert held_out.code == 0, held_out.err
    assert "count as trusted" in held_out.err


def test_decisions_about_another_table_are_said_to_be_lost(scored: Path, cli: Callable[..., Outcome]) -> None:
    append_decisions(Path("d.csv"), [decision('["nobody"]', "keep")])
    done = cli("score", "train.csv", "--decisions", "d.csv", *QUICK)
    assert done.code == 0
    assert "no decision is about a row of this table" in done.err
    done = cli("score", "train.csv", "--decisions", "none.csv", *QUICK)
    assert (done.code, done.out) == (2, "")
    assert "none.csv cannot be read" in done.err


def test_check_ignores_what_was_kept(scored: Path, cli: Callable[..., Outcome]) -> None:
    found = suspects(scored)
    assert cli("check", str(scored), "--max-suspects", "0").code == 1
    said = [decision(f'["{row.customer}"]', "keep", label=row.label) for row in found.itertuples()]
    append_decisions(scored / "decisions.csv", said[1:])
    done = cli("check", str(scored), "--max-suspects", "0")
    assert done.code == 1
    assert "1 of 200 rows" in done.out
    append_decisions(scored / "decisions.csv", said[:1])
    done = cli("check", str(scored), "--max-suspects", "0", "--max-class-suspects", "yes=0")
    assert done.code == 0, done.out
    assert f"{len(found)} suspects ignored: reviewers decided to keep the row" in done.out + done.err


def test_rows_that_are_wrong_in_their_features_teach_nothing_about_labels() -> None:
    X, y, p, wrong, predictions = example()
    rows = np.sort(np.argsort(-p)[:60])
    none = np.zeros(60, bool)
    believed = estimate(p)._replace(feature_probability=np.where(np.arange(len(p)) % 20 == 0, 0.9, 0.01))
    seen = ReviewedRows(rows, none, wrong[rows], none, y[rows], none)
    noise = learn_from_reviews(believed, seen, X, predictions, y)
    rest = np.setdiff1d(np.arange(len(p)), rows)
    below = rest[p[rest] < np.quantile(p[rows], 0.05)]
    assert np.array_equal(np.argsort(noise.label_probability[below]), np.argsort(p[below]))


@pytest.mark.slow
def test_numbers_learn_from_decisions_too() -> None:
    """Wrong numbers are small ones, which residuals alone do not tell from other far ones."""
    rng = np.random.default_rng(1)
    N = 1_000
    X = rng.normal(size=(N, 4)).astype(np.float32)
    predictions = 3 * X[:, 0].astype(np.float64)
    wrong = rng.random(N) < 0.1
    y = predictions + rng.standard_t(3, N)
    y[wrong] = predictions[wrong] - rng.uniform(1.5, 3, int(wrong.sum()))
    p = np.clip(np.abs(y - predictions) / 6, 0.01, 0.95)
    rows = np.argsort(-p)[:120]
    none = np.zeros(120, bool)
    order = np.argsort(rows)
    seen = ReviewedRows(rows[order], wrong[rows][order], none, wrong[rows][order], np.full(120, -1), none)
    noise = learn_from_reviews(estimate(p), seen, X, predictions, y)
    rest = np.setdiff1d(np.arange(N), rows)
    before, after = (wrong[rest[np.argsort(-values[rest])][:50]].mean() for values in (p, noise.probability))
    assert after > before
    assert np.array_equal(noise.probability[rows], wrong[rows])
