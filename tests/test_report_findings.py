"""Each finding of the report on tables in which what is to be found was put there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from lossval_cli.features.row_keys import row_keys
from lossval_cli.noise.neighbours import nearest
from lossval_cli.report.findings.class_noise import confusion, noise_by_label
from lossval_cli.report.findings.column_counts import count_column
from lossval_cli.report.findings.coverage import measure_coverage
from lossval_cli.report.findings.duplicates import find_conflicts, find_leakage
from lossval_cli.report.findings.names import cell, rounded, wilson
from lossval_cli.report.findings.slices import find_slices, holm
from lossval_cli.report.findings.verdict import decide_verdict
from lossval_cli.report.sentences.run import figures
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_number, format_percent


def a_table(rows: int, **columns: list[Any]) -> Table:
    data = pa.table(columns or {"x": list(range(rows))})
    return Table(data, "t.csv", "csv", np.arange(rows) + 2, None)


def texts(values: list[str | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.large_string())])


def one_kind(mask: np.ndarray) -> np.ndarray:
    return np.stack([mask, np.zeros(len(mask), bool)], axis=1)


# --- column counts ---


def test_numbers_are_cut_into_ranges_of_as_many_rows() -> None:
    values = np.random.default_rng(0).permutation(1000).astype(float)
    values[:7] = np.nan
    counts = count_column("x", "number", values, one_kind(values > 899))
    assert counts.rows.sum() == 1000
    assert counts.rows[-1] == 7
    assert counts.names[-1] == "missing"
    assert counts.names[0].startswith("up to ")
    assert counts.names[-2].startswith("over ")
    assert (abs(counts.rows[:-1] - 99.3) <= 1).all()
    assert counts.suspects[-2, 0] >= 99
    assert counts.suspects[:, 1].sum() == 0


@pytest.mark.parametrize(
    ("kind", "values", "names"),
    [
        ("number", [3.0, 4.0, 4.0, 9.5], ("3", "4", "9.5")),
        ("boolean", [0.0, 1.0, 1.0, np.nan], ("false", "true", "missing")),
        ("date", [0.0, 86400.0, 86400.0, 172800.0], ("1970-01-01", "1970-01-02", "1970-01-03")),
    ],
)
def test_few_values_are_taken_one_by_one(kind: str, values: list[float], names: tuple[str, ...]) -> None:
    counts = count_column("x", kind, np.array(values), np.zeros((4, 2), bool))
    assert counts.names == names
    assert counts.rows.tolist() == [1, 2, 1]


def test_levels_are_counted_and_the_rarest_left_out() -> None:
    values = ["common"] * 20 + [f"rare{i}" for i in range(1500)] + [None] * 3
    counts = count_column("x", "category", texts(values), np.ones((len(values), 2), bool))
    assert len(counts.names) == 1001
    assert counts.rows[counts.names.index("common")] == 20
    assert counts.rows[counts.names.index("missing")] == 3
    assert (counts.rows == counts.suspects[:, 0]).all()


cells = st.tuples(
    st.sampled_from([0.0, -0.0, 1.0, 2.0, float("nan")]), st.sampled_from(["", "a", "b", None, "missing"])
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(cells, min_size=1, max_size=12))
def test_keys_are_equal_where_all_cells_are(rows: list[tuple[float, str | None]]) -> None:
    keys = row_keys([np.array([row[0] for row in rows]), texts([row[1] for row in rows])], len(rows))
    seen = [("nan" if np.isnan(x) else x + 0.0, y) for x, y in rows]
    for i, one in enumerate(seen):
        for to, other in enumerate(seen):
            assert (keys[i] == keys[to]) == (one == other)


def test_keys_tell_columns_apart() -> None:
    one, other = np.array([1.0, 2.0]), np.array([2.0, 1.0])
    keys = row_keys([one, other], 2)
    assert keys[0] != keys[1]


# --- slices ---


def test_a_slice_with_many_suspects_is_found_and_no_other() -> None:
    rng = np.random.default_rng(1)
    who = rng.choice(["ann", "bob", "eve"], 3000)
    suspect = rng.random(3000) < np.where(who == "bob", 0.3, 0.05)
    columns = [
        count_column("annotator", "category", texts(list(who)), one_kind(suspect)),
        count_column("size", "number", rng.normal(size=3000), one_kind(suspect)),
    ]
    found = find_slices(columns, 3000, (int(suspect.sum()), 0))
    assert found["looks"] == 13
    (one,) = found["found"]
    assert (one["column"], one["value"], one["kind"]) == ("annotator", "bob", "label")
    assert one["suspects"] == int(suspect[who == "bob"].sum())
    assert one["elsewhere"] == pytest.approx(suspect[who != "bob"].mean(), rel=1e-4)
    assert one["low"] < 0.3 < one["high"]
    assert one["p_adjusted"] < 1e-6


@pytest.mark.slow
def test_many_looks_at_nothing_find_nothing() -> None:
    """At 5 % each, 300 looks would find 15."""
    wrong = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        suspect = rng.random(1000) < 0.1
        columns = [count_column(str(i), "number", rng.normal(size=1000), one_kind(suspect)) for i in range(30)]
        wrong += bool(find_slices(columns, 1000, (int(suspect.sum()), 0))["found"])
    assert wrong <= 2


def test_holm_on_its_own_example() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


def test_slices_of_the_same_rows_are_reported_once() -> None:
    rng = np.random.default_rng(2)
    site = rng.choice(["here", "there"], 1000, p=[0.2, 0.8])
    suspect = rng.random(1000) < np.where(site == "here", 0.4, 0.05)
    twin = np.where(site == "here", "yes", "no")
    columns = [
        count_column(name, "category", texts(list(values)), one_kind(suspect))
        for name, values in (("site", site), ("twin", twin))
    ]
    (one,) = find_slices(columns, 1000, (int(suspect.sum()), 0))["found"]
    assert (one["column"], one["value"]) == ("site", "here")
    assert one["alike"] == [{"column": "twin", "value": "yes"}]


def test_no_suspects_no_looks() -> None:
    counts = count_column("x", "number", np.arange(50.0), np.zeros((50, 2), bool))
    assert find_slices([counts], 50, (0, 0)) == {"looks": 0, "found": []}


# --- duplicates and leakage ---


def test_conflicts_are_counted_and_shown() -> None:
    x = np.array([1.0, 2.0, 1.0, 3.0, 2.0, 1.0, 4.0])
    y = np.array([0, 0, 1, 0, 0, 0, 1])
    table = a_table(7, label=["no", "no", "yes", "no", "no", "no", "yes"])
    found = find_conflicts(row_keys([x], 7), y, table, "label")
    assert found == {
        "groups": 1,
        "rows": 3,
        "duplicate_rows": 5,
        "examples": [{"count": 3, "rows": [0, 2, 5], "lines": [2, 4, 7], "labels": ["no", "yes", "no"]}],
    }


def test_rows_in_validation_are_found_with_their_lines() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=200), rng.integers(0, 2, 200)
    x_val, y_val = rng.normal(size=50), rng.integers(0, 2, 50)
    x_val[[4, 9, 30]], y_val[[4, 9, 30]] = x[[17, 3, 88]], y[[17, 3, 88]]
    x_val[20], y_val[20] = x[5], 1 - y[5]  # another label: no leak
    found = find_leakage(row_keys([x], 200), y, a_table(200), row_keys([x_val], 50), y_val, a_table(50))
    assert (found["rows"], found["other_rows"], found["suspicious"]) == (3, 3, True)
    assert found["examples"] == [
        {"row": 3, "line": 5, "other_row": 9, "other_line": 11},
        {"row": 17, "line": 19, "other_row": 4, "other_line": 6},
        {"row": 88, "line": 90, "other_row": 30, "other_line": 32},
    ]
    unlabelled = find_leakage(row_keys([x], 200), y, a_table(200), row_keys([x_val], 50), None, a_table(50))
    assert unlabelled["other_rows"] == 4
    assert unlabelled["compared"] == "features"


def test_a_table_of_few_categories_repeats_itself_without_suspicion() -> None:
    rng = np.random.default_rng(0)
    x, x_val = rng.integers(0, 5, 300).astype(float), rng.integers(0, 5, 80).astype(float)
    y, y_val = rng.integers(0, 2, 300), rng.integers(0, 2, 80)
    found = find_leakage(row_keys([x], 300), y, a_table(300), row_keys([x_val], 80), y_val, a_table(80))
    assert found["other_rows"] == 80
    assert not found["suspicious"]


# --- coverage ---


def test_validation_far_from_training_is_uncovered() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 3)).astype(np.float32)
    same, other = rng.normal(size=(400, 3)), rng.normal(size=(400, 3))
    other[:80] += 9
    ordinary = measure_coverage(X, same.astype(np.float32), a_table(400), 0)
    shifted = measure_coverage(X, other.astype(np.float32), a_table(400), 0)
    assert ordinary is not None
    assert shifted is not None
    assert ordinary["share"] < 0.03
    assert not ordinary["suspicious"]
    assert shifted["uncovered"] >= 80
    assert shifted["suspicious"]
    assert all(one["row"] < 80 and one["line"] == one["row"] + 2 for one in shifted["examples"])


def test_few_training_rows_say_nothing_of_coverage() -> None:
    assert measure_coverage(np.zeros((50, 2), np.float32), np.ones((5, 2), np.float32), a_table(5), 0) is None


def test_nearest_is_the_nearest() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(30, 4)).astype(np.float32), rng.normal(size=(50, 4)).astype(np.float32)
    plain = np.linalg.norm(one[:, None] - other, axis=2).min(axis=1)
    np.testing.assert_allclose(nearest(one, other), plain, rtol=1e-6)
    assert (nearest(other, other) == 0).all()
    assert (nearest(other, other, itself=np.arange(50)) > 0).all()


# --- classes ---


def test_confusion_counts_doubted_labels_alone() -> None:
    y, suggested = np.array([0, 0, 1, 1, 2, 2]), np.array([1, 1, 0, 1, 2, 0])
    found = confusion(y, suggested, np.array([True, False, True, False, True, True]), ("a", "b", "c"))
    assert found["matrix"] == [[0, 1, 0], [1, 0, 0], [1, 0, 0]]
    assert found["pairs"][2] == {"given": "c", "suggested": "a", "rows": 1, "share_of_given": 0.5}


def test_the_most_common_pairs_of_many_classes_are_reported() -> None:
    y = np.repeat(np.arange(60), 5)
    found = confusion(y, (y + 1) % 60, np.ones(300, bool), tuple(str(k) for k in range(60)))
    assert found["matrix"] is found["classes"] is None
    assert len(found["pairs"]) == 20
    counts = count_column("label", "category", texts([str(k) for k in y]), np.stack([y == 59, y == 0], axis=1))
    shares = noise_by_label(counts)
    assert len(shares) == 50
    assert next(one for one in shares if one["label"] == "59")["suspects"] == 5


# --- words ---


@pytest.mark.parametrize(("hits", "rows"), [(0, 10), (3, 10), (10, 10), (50, 1000)])
def test_wilson_is_scipys(hits: int, rows: int) -> None:
    low, high = wilson(hits, rows)
    expected = binomtest(hits, rows).proportion_ci(method="wilson")
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-7)


def test_wilson_of_nothing_is_everything() -> None:
    assert [float(end) for end in wilson(0, 0)] == [0.0, 1.0]


def test_numbers_and_cells_in_words() -> None:
    assert [format_percent(x) for x in (None, 0.0, 0.0004, 0.0123, 0.05, 0.124, 0.9998, 1.0)] == [
        "–", "0%", "under 0.1%", "1.2%", "5%", "12.4%", "over 99.9%", "100%",
    ]  # fmt: skip
    assert [format_percent(x, 0) for x in (0.004, 0.124, 0.996)] == ["under 1%", "12%", "over 99%"]
    assert [format_number(x) for x in (0.0, 12345.6, 0.012346, 3.0, 2e9)] == [
        "0",
        "12,346",
        "0.01235",
        "3",
        "2e+09",
    ]
    assert [format_number(x, 3, "+") for x in (0.0012346, -1234.5)] == ["+0.00123", "-1,234"]
    assert rounded([1.23456789, float("nan"), float("inf")]) == [1.2346, None, None]
    assert cell(float("nan")) is None
    assert cell("x" * 81) == "x" * 79 + "…"


def a_report(value: float, low: float, high: float, **changes: Any) -> dict[str, Any]:
    return {
        "summary": {
            "rows": 1000,
            "suspects": 10,
            "by_kind": {"label": 8, "features": 2, "label+features": 0},
            "estimated_noise_share": {"value": value, "low": low, "high": high},
        },
        "conflicting_duplicates": {"groups": 0, "rows": 0},
        "slices": {"found": []},
        "leakage": {"val": None, "test": None},
        "coverage": None,
        "health": [{"check": "training", "level": "ok", "text": "."}],
        "data": {"roles": {"classes": ["a", "b"]}},
    } | changes


@pytest.mark.parametrize(
    ("value", "low", "high", "level"),
    [(0.01, 0.0, 0.03, "ok"), (0.05, 0.01, 0.09, "look"), (0.01, 0.0, 0.2, "look"), (0.15, 0.1, 0.2, "bad")],
)
def test_the_level_follows_the_interval(value: float, low: float, high: float, level: str) -> None:
    verdict = decide_verdict(a_report(value, low, high))
    assert verdict["level"] == level
    assert verdict["text"].endswith("mostly wrong labels.") == (low > 0)  # else possibly no label is wrong
    assert ("healthy" in verdict["text"]) == (level == "ok")


def test_next_to_nothing_is_not_about_so_much() -> None:
    text = decide_verdict(a_report(0.0004, 0.0, 0.003))["text"]
    assert text.startswith("The data looks healthy: under 0.1% of the 1,000 rows may be noisy (likely 0% to 0.3%)")


def test_the_verdict_and_the_figures_below_it_are_rounded_alike() -> None:
    report = a_report(0.124, 0.0512, 0.1874)
    report |= {"verdict": decide_verdict(report), "removal": None}
    share = figures(report)[1]
    assert share.value in report["verdict"]["text"]
    assert "5.1% to 18.7%" in report["verdict"]["text"]
    assert "5.1% to 18.7%" in share.note


def test_a_healthy_table_with_a_finding_deserves_a_look() -> None:
    leak = {"suspicious": True, "other_rows": 12, "other_share": 0.1}
    verdict = decide_verdict(a_report(0.01, 0.0, 0.03, leakage={"val": leak, "test": None}))
    assert verdict["level"] == "look"
    assert verdict["text"] == (
        "Few rows look noisy: about 1% of the 1,000 rows (likely 0% to 3%); but 1 finding is worth a look."
    )
    assert verdict["findings"] == [
        {"section": "leakage", "text": "12 validation rows (10%) are exact duplicates of training rows."}
    ]


def test_a_column_nearly_all_of_whose_values_are_its_largest_is_counted() -> None:
    values = np.r_[np.arange(40.0), np.full(2000, 100.0)]
    counted = count_column("coverage", "number", values, np.zeros((2040, 1), np.bool_))
    assert list(counted.rows) == [40, 2000]
