"""The figures of `benchmarks.real` on rows whose figures can be counted by hand, and the pages made of its records."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks/ is not part of the installed package

from benchmarks import real, real_data, real_made, real_pages, real_peers
from benchmarks.real_data import Case

WRONG = np.array([True, True, False, False, False])


def case(**changes: object) -> Case:
    table = pd.DataFrame({"id": list("abcde"), "x": list("12345"), "label": ["yes", "no", "yes", "no", "no"]})
    given = {"name": "small", "family": "real labels", "train": table, "label": "label", "wrong": WRONG, "ids": ("id",)}
    return Case(**(given | changes))  # type: ignore[arg-type]


def test_figures_of_flags_by_hand() -> None:
    record = real.flagging(WRONG, np.array([True, False, True, False, False]))
    assert record["flagged"] == 0.4
    assert record["precision"] == record["recall"] == record["f1"] == 0.5
    assert record["right_flagged"] == pytest.approx(1 / 3)


def test_without_flags_precision_is_left_out_and_without_errors_recall_is() -> None:
    nothing = np.zeros(5, bool)
    assert "precision" not in real.flagging(WRONG, nothing)
    assert real.flagging(nothing, nothing) == {"flagged": 0.0, "right_flagged": 0.0}
    assert real.ranking(nothing, np.arange(5.0)) == {}


def test_what_lossval_says_is_compared_with_the_truth() -> None:
    scores = pd.DataFrame({
        "row": range(5), "importance": [0.5, 0.6, 1.2, 1.3, 1.4], "noise_probability": [0.9, 0.8, 0.3, 0.1, 0.1],
        "suspect": ["label", "features", "", "", ""],
    })  # fmt: skip
    report = {"summary": {"estimated_noise_share": {"value": 0.3, "low": 0.2, "high": 0.5}}}
    record = real.figures(case(), scores, report)
    assert record["auroc"] == record["ap"] == record["auroc_importance"] == record["precision"] == 1.0
    assert record["recall_part"] == 0.5, "one of the two is flagged by its label"
    assert (record["share"], record["covers"]) == (0.3, 1)


def test_scores_of_other_rows_are_not_taken_for_those_of_the_table() -> None:
    scores = pd.DataFrame({"row": range(1, 6), "importance": 1.0, "noise_probability": 0.0, "suspect": ""})
    with pytest.raises(AssertionError):
        real.figures(case(), scores, {})


def test_measuring_again_replaces_a_record_and_keeps_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real, "provenance", dict)
    path = tmp_path / "real.json"
    one = {"case": "pima", "method": "kNN", "seed": 100, "ap": 0.1}
    real.write_records([one, one | {"method": "lossval"}], path)
    real.write_records([one | {"ap": 0.2}], path)
    records = real.read_records(path)
    assert {record["method"]: record["ap"] for record in records} == {"kNN": 0.2, "lossval": 0.1}


def test_swapping_exchanges_two_cells_of_a_row_and_changes_no_other() -> None:
    table = pd.DataFrame({name: [str(10 * i + j) for i in range(40)] for j, name in enumerate("abc")})
    table["word"], table["label"] = "w", "1"
    swapped, rows = real_data.swap_numbers(table, "label", np.random.default_rng(0))
    changed = (swapped != table).sum(axis=1)
    assert len(rows) == round(0.03 * 40)
    assert (changed[rows] == 2).all() and changed.sum() == 2 * len(rows)
    assert [sorted(row) for row in swapped.to_numpy()] == [sorted(row) for row in table.to_numpy()]


@pytest.mark.parametrize("kind", real_made.SYSTEMATIC)
def test_systematic_noise_is_wrong_in_some_rows_and_names_no_new_class(kind: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = np.digitize(X.sum(axis=1), [-1, 1])
    given = real_made.mislabel(X, y, kind, rng)
    assert 0.01 < (given != y).mean() < 0.5
    assert set(given) <= set(y)


def test_tables_with_nothing_wrong_say_so() -> None:
    for made in (
        real_made.weak_signal(0.5, 0.5, 100),
        real_made.hard_numbers("exp", 100),
        real_made.copies("bootstrap", 100),
    ):
        assert not made.wrong.any() and made.family in real_pages.RIGHT
        assert len(made.train) == len(made.wrong) == 1_000


@pytest.mark.slow
def test_a_peer_that_knows_the_label_by_heart_finds_the_flips() -> None:
    pytest.importorskip("cleanlab")
    pytest.importorskip("skrub")
    rng = np.random.default_rng(1)
    x, wrong = rng.normal(size=200), np.arange(200) < 20
    table = pd.DataFrame({"x": x.round(4).astype(str), "label": np.where((x > 0) ^ wrong, "yes", "no")})
    planted = case(train=table, wrong=wrong, ids=())
    encoded = real_peers.Encoded(planted)
    answer = real_peers.cleanlab_forest(planted, encoded)
    for found in (
        answer,
        real_peers.bagged_out_of_bag(planted, encoded),
        real_peers.area_under_margin(planted, encoded),
    ):
        assert real.ranking(wrong, found.score)["auroc"] > 0.9
    assert real.flagging(wrong, answer.flags)["precision"] > 0.7


@pytest.mark.slow
def test_the_page_and_the_readme_are_of_the_records() -> None:
    if not real.RECORDS.exists():
        pytest.skip("not measured yet")
    data = json.loads(real.RECORDS.read_text(encoding="utf-8"))
    assert real_pages.PAGE.read_text(encoding="utf-8") == real_pages.document(data), "python -m benchmarks.real --pages"
    assert real_pages.readme_table(data) in real_pages.README.read_text(encoding="utf-8")
