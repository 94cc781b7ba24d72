"""The summary, pinned at 80 columns without colour; and what hostile cells do to it: nothing."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from lossval_cli.report.display import WIDTH, fit, sparkline, summary

pytestmark = pytest.mark.usefixtures("valued_once")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)

SUMMARY = """\
wine.csv: 1,200 rows, quality (3 classes)

Suspects          131 (10.9%)
  label           113  unlikely label
  features         16  unusual features
  label+features    2  both label and features
Noise share       11.9% of the rows, likely 9.8% to 14.1%
Importance        0.01 ▆                                    █ ▆ 1.51
Removal           macro f1 ▂▃▅▇█▇▁·  lowest 0, 1, 2, 5, 10, 20, 30, 50% removed
                  Removing the lowest 10% helps: macro f1 on the validation
                  table changes by +0.07.
                  12 of 25 epochs a retraining

3 of 131 suspects, the most likely wrong first
rank  bottle  quality  predicted  noise  why
   1  b-17    poor     good         99%  both label and features
   2  b-4     good     poor         98%  unlikely label
   3  b-1100  good     good         91%  unusual features

Written           wine.lossval/
                  scores.csv, report.html, run.json

Decide about the suspects, one at a time:
  lossval review wine.lossval
Or look at them in report.html. Then
  lossval clean wine.lossval -o cleaned.csv --drop lowest:10%
writes the table without the lowest 10%.
"""


def a_report(**changes: Any) -> dict[str, Any]:
    return {
        "summary": {
            "rows": 1200,
            "suspects": 131,
            "suspect_share": 131 / 1200,
            "by_kind": {"label": 113, "features": 16, "label+features": 2},
            "estimated_noise_share": {"value": 0.119, "low": 0.098, "high": 0.141},
        },
        "removal": {
            "metric": "macro_f1",
            "fractions": [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5],
            "baseline": {"mean": 0.61, "spread": 0.01},
            "greater_is_better": True,
            "lowest_first": [0.62, 0.64, 0.66, 0.68, 0.66, 0.6, None],
            "verdict": "Removing the lowest 10% helps: macro f1 on the validation table changes by +0.07.",
            "notice": "12 of 25 epochs a retraining",
            "recommended": "lowest",
            "recommended_fraction": 0.1,
        },
        "data": {
            "tables": {"train": {"name": "wine.csv"}},
            "roles": {"label": "quality", "task": "classification", "classes": ["poor", "good", "very very good"]},
        },
        "suspects": [],
    } | changes


def scores(ids: list[str] | None = None, labels: list[Any] | None = None, kinds: Any = None) -> pa.Table:
    labels = labels or ["poor", "good", "good", "very very good"]
    count = len(labels)
    columns: dict[str, Any] = {"rank": range(1, count + 1), "row": range(count), "line": range(2, count + 2)}
    if ids is not None:
        columns["bottle"] = ids
    columns |= {
        "quality": labels,
        "importance": [0.01, *[1.4] * 2, 1.51][:count],
        "noise_probability": [0.99, 0.98, 0.91, 0.09][:count],
        "suspect": kinds or ["label+features", "label", "features", ""][:count],
        "predicted": ["good", "poor", "good", "poor"][:count],
    }
    return pa.table(columns)


def plain(report: dict[str, Any], table: pa.Table, *written: str) -> str:
    lines = summary(report, table, written or ["wine.lossval/", "scores.csv", "report.html", "run.json"])
    return "".join(line.plain + "\n" for line in lines)


def test_the_summary_is_pinned() -> None:
    assert plain(a_report(), scores(["b-17", "b-4", "b-1100", "b-2"])) == SUMMARY


def test_without_ids_rows_are_named_by_line_or_else_by_row() -> None:
    assert "\nrank  line  quality" in plain(a_report(), scores())
    table = scores()
    table = table.set_column(2, "line", pa.nulls(4, pa.int64()))
    assert "\nrank  row  quality" in plain(a_report(), table)


def test_numbers_and_missing_cells() -> None:
    text = plain(a_report(), scores([None, "b", "c", "d"], [1.23456, 7, -2e-9, 5.0]))
    assert "(missing)  1.235" in text
    assert "-2e-09" in text


def test_removals_that_could_not_be_tried_are_said_not_drawn() -> None:
    report = a_report()
    report["removal"]["lowest_first"] = [None] * 7
    report["removal"]["failed"] = ["lowest_first 1%: not run", "and so on"]
    assert "Removal           lowest_first 1%: not run\n" in plain(report, scores())


def test_without_a_removal_study_nothing_is_said_of_it() -> None:
    assert "Removal" not in plain(a_report(removal=None), scores())


def test_the_published_algorithm_has_no_suspects() -> None:
    numbers = a_report()["summary"] | {"estimated_noise_share": None}
    text = plain(a_report(summary=numbers), scores())
    assert "Suspects          not estimated: preset paper only ranks rows\n" in text
    assert "Noise share" not in text


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(TEXT, min_size=4, max_size=4), TEXT)
def test_whatever_cells_hold_the_lines_fit_and_say_nothing_to_the_terminal(cells: list[str], name: str) -> None:
    report = a_report()
    report["data"]["tables"]["train"]["name"] = name
    names = [name + "_" if old == "quality" else old for old in scores(cells).column_names]
    table = scores(cells, cells).rename_columns(names)
    for line in plain(report, table).splitlines():
        assert line.isprintable()
        assert cell_len(line) <= WIDTH


@pytest.mark.parametrize(
    ("text", "width", "fitted"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 5, "abcd…"),
        ("大きさ", 6, "大きさ"),
        ("大きさ", 5, "大き…"),
        ("大きさ", 4, "大 …"),
        ("e\u0301a", 4, "e\u0301a  "),
        ("\x1b[2J", 8, "\\x1b[2J "),
        ("a\nb", 5, "a\\nb "),
        ("\u202eabc", 6, "\\u202…"),
        ("[red]x[/]", 9, "[red]x[/]"),
    ],
)
def test_fit(text: str, width: int, fitted: str) -> None:
    assert fit(text, width) == fitted
    assert cell_len(fitted) == width


def test_fit_to_the_right() -> None:
    assert fit("大", 4, right=True) == "  大"


def test_sparkline() -> None:
    assert sparkline([0, 1, 2, 3]) == "▁▃▆█"
    assert sparkline([5, 5]) == "▁▁"
    assert sparkline([1, float("nan"), 2]) == "▁·█"
    assert sparkline([float("nan")]) == "·"
    assert sparkline([]) == ""


def test_the_next_command_says_where_the_table_is_if_the_run_does_not_know() -> None:
    written = ["wine.lossval/", "report.html"]
    lines = [line.plain for line in summary(a_report(), scores(), written, "../my data/wine.csv")]
    command = "lossval clean wine.lossval --data '../my data/wine.csv' -o cleaned.csv --drop lowest:10%"
    assert f"  {command}" in lines


def test_a_flat_curve_looks_flat() -> None:
    """Differences that chance makes between retrainings are not drawn as if something had happened."""
    assert sparkline([0.577, 0.574, 0.578, 0.581], 0.04) == "▄▄▅▅"
    assert sparkline([1, 2, 9], 0.04) == "▁▂█"
    report = a_report()
    report["removal"]["baseline"]["spread"] = 0.1
    assert "macro f1 ▄▄▅▅▅▅▄·" in plain(report, scores())


def test_of_an_error_less_is_better_and_said_to_be() -> None:
    report = a_report()
    report["removal"].update(metric="log_loss", greater_is_better=False)
    assert "\n                  a lower log loss is better\n" in plain(report, scores())


def test_large_numbers_are_written_out() -> None:
    text = plain(a_report(), scores(["a", "b", "c", "d"], [2429808.4, 760000.0, 1e12, 5.0]))
    assert "2429808" in text
    assert "760000" in text
    assert "1e+12" in text


def test_suspects_are_to_be_reviewed_where_no_rows_are_to_be_changed() -> None:
    """Numbers are never relabelled: the last line then names the review."""
    report = a_report(removal=None)
    report["data"]["roles"] |= {"task": "regression", "classes": None}
    assert plain(report, scores()).endswith("one at a time:\n  lossval review wine.lossval\n")
    report["summary"]["suspects"] = 0
    assert "lossval review" not in plain(report, scores(kinds=[""] * 4))


def test_what_is_nearly_certain_is_not_called_certain() -> None:
    table = scores()
    table = table.set_column(table.column_names.index("noise_probability"), "noise_probability", [[0.9999, 0.5, 0, 0]])
    assert " over 99%  " in plain(a_report(), table)
    assert "100%" not in plain(a_report(), table)


def test_a_number_label_keeps_its_exponent() -> None:
    """It is shown as the file writes it where that fits."""
    table = scores(labels=["7.5914550e-01", "1.2691371e+05", "0.50", "12,345,678.50 €"], kinds=["label"] * 4)
    table = table.set_column(table.column_names.index("predicted"), "predicted", [[0.5, 1e5, 0.5, 1e7]])
    text = plain(a_report(), table)
    assert " 0.7591 " in text
    assert " 126914 " in text
    assert " 0.50 " in text
    assert " 12,345,678.… " in text
