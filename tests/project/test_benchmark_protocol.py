"""The figures on cases whose value can be counted by hand, the planting of noise, and pages of results."""

import itertools
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks/ is not part of the installed package

from benchmarks import peers, protocol, quality

NOISY = np.array([True, False, True, False])
SCORES = np.array([0.0, 1.0, 2.0, 3.0])


def test_two_means_finds_the_exact_split() -> None:
    # {0, 1} | {10, 11, 12}: within-cluster spread 0.5 + 2, less than any other split of the sorted values.
    assert protocol.two_means_flags(np.array([10, 0, 12, 1, 11])).tolist() == [
        False,
        True,
        False,
        True,
        False,
    ]
    # {0} | {4, 5, 6, 9}: 14 inside; {0, 4, 5, 6} | {9}: 20.75 inside.
    assert protocol.two_means_flags(np.array([0, 4, 5, 6, 9])).sum() == 1


def test_two_means_agrees_with_trying_every_border() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = rng.standard_normal(12).round(1) + 1e6  # ties, and far from zero
        borders = np.unique(scores)[:-1]

        def inside(border: float, scores: np.ndarray = scores) -> float:
            return sum(part.var() * len(part) for part in (scores[scores <= border], scores[scores > border]))

        best = min(borders, key=inside)
        flags = protocol.two_means_flags(scores)
        assert inside(scores[flags].max()) == pytest.approx(inside(best), abs=1e-6)


def test_two_means_of_equal_scores_flags_nothing() -> None:
    assert not protocol.two_means_flags(np.ones(5)).any()
    assert protocol.f1_two_means(np.ones(4), NOISY) == 0.0


def test_rank_figures_by_hand() -> None:
    assert protocol.auroc(SCORES, NOISY) == 0.75  # of 4 pairs, only (2, 1) is the wrong way round
    assert protocol.auroc(np.ones(4), NOISY) == 0.5
    assert protocol.average_precision(SCORES, NOISY) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert protocol.precision_at_k(SCORES, NOISY) == 0.5
    assert protocol.precision_at_k(np.ones(4), NOISY) == 0.5  # ties: the expected share
    assert protocol.discovery_curve(SCORES, NOISY, [0, 0.25, 0.5, 0.75, 1]).tolist() == [0, 0.5, 0.5, 1, 1]


def test_f1_of_flags_by_hand() -> None:
    flags = np.array([True, True, False, False])
    assert protocol.f1_flags(flags, NOISY) == 0.5  # one hit, one false alarm, one miss
    assert protocol.f1_two_means(SCORES, NOISY) == 0.5  # {0, 1} | {2, 3}


def test_without_noise_the_figures_are_undefined() -> None:
    clean = np.zeros(4, bool)
    for figure in (
        protocol.auroc,
        protocol.average_precision,
        protocol.precision_at_k,
        protocol.f1_two_means,
    ):
        assert np.isnan(figure(SCORES, clean))


@pytest.mark.parametrize(
    ("noise", "labels", "features"), [("label", 20, 0), ("feature", 0, 20), ("mixed", 10, 10), ("none", 0, 0)]
)
@pytest.mark.parametrize("values", [2, 5, 100])
def test_planted_rows_and_no_others_are_changed(noise: str, labels: int, features: int, values: int) -> None:
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((100, 4)), np.arange(100) % values
    X_noisy, y_noisy, noisy_label, noisy_feature = protocol.plant(X, y, noise, 0.2, rng)
    assert (noisy_label.sum(), noisy_feature.sum()) == (labels, features)
    assert np.array_equal(y_noisy != y, noisy_label)
    assert np.array_equal((X_noisy != X).any(axis=1), noisy_feature)
    assert not (noisy_label & noisy_feature).any()
    assert set(y_noisy) <= set(y)


def test_removal_of_the_one_wrong_row_restores_the_line() -> None:
    X = np.arange(5, dtype=np.float32)[:, None]
    y = np.array([0, 1, 2, 3, 14], np.float32)
    nothing = np.zeros(5, bool)
    split = protocol.Split(X, y, X, X[:, 0], X, X[:, 0], "regression", nothing, nothing)
    before, after = protocol.point_removal(split, np.array([4, 0, 1, 2, 3]), [0, 0.2])
    assert before == pytest.approx(-12.0)  # least squares gives 3 x - 2, wrong by (2 x - 2) at x = 0..4
    assert after == pytest.approx(0.0, abs=1e-10)
    assert protocol.removal_change(np.array([-12.0, -3.0]), "regression").tolist() == [0, 75]
    assert protocol.removal_change(np.array([0.5, 0.75]), "classification").tolist() == [0, 25]


def shapley(utility: Callable[[list[int]], float], n: int) -> np.ndarray:
    """By its definition: the mean gain of a row over all orders in which n rows can arrive."""
    gains = np.zeros(n)
    for order in itertools.permutations(range(n)):
        worth = [utility(sorted(order[:size])) for size in range(n + 1)]
        gains[list(order)] += np.diff(worth)
    return gains / math.factorial(n)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_knn_shapley_is_the_shapley_value(k: int) -> None:
    rng = np.random.default_rng(k)
    hits, y, target = rng.random((2, 5)) < 0.5, rng.standard_normal((2, 5)), rng.standard_normal(2)
    classes, numbers = peers.knn_class_values(hits, k), peers.knn_number_values(y, target, k)
    for j in range(2):
        share = shapley(lambda rows, j=j: hits[j, rows[:k]].sum() / k, 5)
        error = shapley(lambda rows, j=j: -((y[j, rows[:k]].sum() / k - target[j]) ** 2) if rows else 0.0, 5)
        assert classes[j] == pytest.approx(share, abs=1e-12)
        assert numbers[j] == pytest.approx(error, abs=1e-12)


def test_robust_z_counts_in_standard_deviations_of_the_bulk() -> None:
    assert peers.robust_z(np.array([0.0, 1, 2, 3, 400])) == pytest.approx(
        np.array([-2, -1, 0, 1, 398]) / 1.4826, abs=1e-12
    )


def test_quality_goes_on_after_a_line_that_was_cut_off(tmp_path: Path) -> None:
    out = tmp_path / "quality.csv"
    values = ["pol", "label", "0.1", "100", "random", *[""] * len(quality.FIGURES)]
    whole = ",".join(quality.COLUMNS) + "\n" + ",".join(values) + "\n"
    out.write_text(whole + "pol,label,0.2")
    assert quality.already_measured(out) == {quality.Run("pol", "label", 0.1, 100, "random")}
    assert out.read_text() == whole
    assert quality.already_measured(tmp_path / "new.csv") == set()


def test_quality_lists_every_figure_of_a_method_that_gives_all() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    X, noisy = rng.standard_normal((40, 2)).astype(np.float32), np.arange(40) < 10
    split = protocol.Split(X, y, X, y, X, y, "classification", noisy, np.zeros(40, bool))
    probability = np.where(noisy, 1.0, 0.05)
    row = quality.figures(split, peers.Scores(-probability, probability, noisy, (0.25, 0.2, 0.3)))
    assert set(row) == set(quality.FIGURES) - {"seconds"}
    assert row["f1_flags"] == row["auroc_probability"] == row["precision_at_k"] == 1.0
    assert row["reliability"] == "30:0" + " 0:0" * 8 + " 10:10"


@pytest.mark.slow
@pytest.mark.parametrize(("results", "page"), [("quality", "benchmarks"), ("five", "research/benchmarks-five")])
def test_benchmark_pages_are_of_the_results(results: str, page: str) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks import tables
    from benchmarks.real_data import SHARED

    if not (SHARED / "published").exists():
        pytest.skip("the pages quote ../shared/published, which is not part of the project")
    frame = tables.read_results(tables.RESULTS / f"{results}.csv")
    runs = json.loads((tables.RESULTS / f"{results}.json").read_text(encoding="utf-8"))
    made, _, made_from = tables.document(frame, runs, {}).partition("## How these were made")
    written = (tables.ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert written.startswith(made)
    assert written.endswith(made_from)
