"""Rules, limits and results; nothing is trained."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from check_samples import values

from lossval_cli.checks.evaluate import KINDS_OF_RULE, Metric, Rule, RuleResult, evaluate, passed
from lossval_cli.checks.rules import DEFAULTS, merged, read_check_table, rules_of
from lossval_cli.errors import SettingsError
from lossval_cli.presets import find_project_table
from lossval_cli.settings import Settings


def rule(kind: str, limit: object) -> Rule:
    rules, problems = rules_of({kind: limit}, option=True)
    assert not problems
    return rules[0]


def outcome_of(kind: str, limit: object, **changes: object) -> RuleResult:
    return evaluate([rule(kind, limit)], values(**changes))[0]


@pytest.mark.parametrize(
    ("kind", "limit", "outcome"),
    [
        ("max_suspects", "6%", "passed"),
        ("max_suspects", "5.9%", "failed"),
        ("max_suspects", "12", "passed"),
        ("max_suspects", 11, "failed"),
        ("max_suspects", "10%:5%", "warned"),
        ("max_suspects", "20:12", "passed"),
        ("max_suspects", ":5%", "warned"),
        ("max_suspects", ":6%", "passed"),
        ("max_label_suspects", "9", "passed"),
        ("max_label_suspects", "8", "failed"),
        ("max_feature_suspects", "5:4", "warned"),
        ("max_feature_suspects", "4", "failed"),
        ("max_noise_share", "4%", "passed"),
        ("max_noise_share", 0.03, "failed"),
        ("max_class_suspects", {"yes": "15%"}, "passed"),
        ("max_class_suspects", ["yes=14%"], "failed"),
        ("min_metric", ["accuracy=0.85"], "passed"),
        ("min_metric", {"accuracy": "80%:90%"}, "warned"),
        ("min_metric", {"accuracy": 0.86}, "failed"),
        ("max_removal_gain", "2%", "passed"),
        ("max_removal_gain", "0.019", "failed"),
        ("max_leakage", 2, "passed"),
        ("max_leakage", "0", "failed"),
        ("max_leakage", "4%", "passed"),
        ("max_conflicting_duplicates", "2%:1%", "warned"),
        ("max_suspect_increase", "1.1%", "passed"),
        ("max_suspect_increase", "0.5%", "failed"),
    ],
)
def test_outcomes(kind: str, limit: object, outcome: str) -> None:
    assert outcome_of(kind, limit).outcome == outcome


@pytest.mark.parametrize("rows", [20, 60, 140, 300, 700, 1100])
@pytest.mark.parametrize("share", ["5%", "7%", "0.1%", "29%"])
def test_exactly_the_share_is_not_more_than_it(rows: int, share: str) -> None:
    allowed = int(Fraction(share[:-1]) / 100 * rows)
    for count, outcome in ((allowed, "passed"), (allowed + 1, "failed")):
        suspects = {"label": count, "features": 0, "label+features": 0}
        assert outcome_of("max_suspects", share, rows=rows, suspects=suspects).outcome == outcome


def test_no_rows_have_no_share_to_find_fault_with() -> None:
    none = {"label": 0, "features": 0, "label+features": 0}
    for kind in ("max_suspects", "max_suspect_increase"):
        assert outcome_of(kind, "0%", rows=0, suspects=none).outcome == "passed"


@pytest.mark.parametrize("kind", KINDS_OF_RULE)
def test_what_is_not_known_is_never_a_pass(kind: str) -> None:
    limit: Any = {"yes": "3%"} if kind == "max_class_suspects" else "100%"
    if kind.endswith("_metric"):
        limit = {"accuracy": "0"}
    nothing = dict.fromkeys(
        (
            "suspects",
            "noise_share",
            "classes",
            "metric",
            "leakage",
            "conflicting_duplicates",
            "baseline_share",
            "invalid_cells",
            "target_leakage",
        )
    )
    why = dict.fromkeys(nothing, "it was not looked at")
    result = outcome_of(kind, limit, **nothing, why=why)
    assert (result.outcome, result.number, result.text) == ("unknown", None, "it was not looked at")
    assert not passed([result], strict=False)
    assert outcome_of(kind, limit, **nothing).text.startswith("the report says nothing about ")


@pytest.mark.parametrize(
    ("kind", "limit", "text"),
    [
        ("max_class_suspects", {"yess": "3%"}, "the table has no class yess: did you mean yes?"),
        ("max_class_suspects", {"x": "3%"}, "the table has no class x: classes are yes, no"),
        ("min_metric", {"macro_f1": "0.5"}, "the run measured accuracy: score with --metric macro_f1"),
        ("max_metric", {"accuracy": "0.5"}, "greater accuracy is better: use min_metric"),
    ],
)
def test_why_a_rule_cannot_be_evaluated(kind: str, limit: object, text: str) -> None:
    result = outcome_of(kind, limit)
    assert (result.outcome, result.text) == ("unknown", text)


def test_errors_are_held_below_and_their_gain_is_a_share_of_them() -> None:
    error = Metric("rmse", 3.0, False, None)
    assert outcome_of("max_metric", {"rmse": "3:2.9"}, metric=error).outcome == "warned"
    assert outcome_of("min_metric", {"rmse": "3"}, metric=error).text == "less rmse is better: use max_metric"
    assert outcome_of("max_removal_gain", "0", metric=error).outcome == "passed"
    from lossval_cli.checks.evaluate import Interval

    gains = Metric("rmse", 3.0, False, Interval(0.03))
    assert outcome_of("max_removal_gain", "1%", metric=gains).outcome == "passed"
    assert outcome_of("max_removal_gain", "0.9%", metric=gains).outcome == "failed"
    assert outcome_of("max_removal_gain", "0.02", metric=gains).outcome == "failed"


def test_a_value_that_is_no_number_is_unknown() -> None:
    broken = Metric("accuracy", float("nan"), True, None)
    assert outcome_of("min_metric", {"accuracy": "0"}, metric=broken).outcome == "unknown"


def test_warnings_fail_with_strict_alone() -> None:
    results = [outcome_of("max_suspects", "10%:5%")]
    assert passed(results, strict=False)
    assert not passed(results, strict=True)


def test_limits_are_reported_and_written_as_they_were_given() -> None:
    assert rule("max_suspects", "5%:3%").limit == "at most 5% (warns above 3%)"
    assert rule("max_suspects", ":3").limit == "warns above 3"
    assert rule("min_metric", {"accuracy": 0.8}).limit == "at least 0.8"
    assert rule("max_class_suspects", ["a=b=3%"]).key == "a=b"
    for text in ("5%:3%", ":3", "12", "0.25%"):
        assert rule("max_suspects", text).notation == text


@pytest.mark.parametrize(
    ("kind", "limit", "message"),
    [
        ("max_suspects", "", "--max-suspects must be a limit such as 5%, 20 or 5%:3%, not ''"),
        ("max_suspects", "many", "--max-suspects must be a limit such as 5%, 20 or 5%:3%, not 'many'"),
        ("max_suspects", "5%:", "--max-suspects must be a limit such as 5%, 20 or 5%:3%, not ''"),
        ("max_suspects", "nan", "--max-suspects must be a limit such as 5%, 20 or 5%:3%, not 'nan'"),
        ("max_suspects", True, "--max-suspects must be a limit such as 5%, 20 or 5%:3%, not 'True'"),
        ("max_suspects", "-1", "--max-suspects must not be below 0, not '-1'"),
        (
            "max_suspects",
            "0.05",
            "--max-suspects must be a whole number of rows or a share such as 5%, not '0.05'",
        ),
        ("max_suspects", "5%:3", "--max-suspects has one level in % and one not: '5%:3'"),
        ("max_suspects", "3%:5%", "--max-suspects would fail before it warns: '3%:5%' (write FAIL:WARN)"),
        (
            "min_metric",
            ["accuracy=0.9:0.8"],
            "--min-metric would fail before it warns: '0.9:0.8' (write FAIL:WARN)",
        ),
        ("min_metric", ["0.9"], "--min-metric must be METRIC=LIMIT, not '0.9'"),
        ("max_class_suspects", ["=3%"], "--max-class-suspects must be CLASS=LIMIT, not '=3%'"),
        ("max_noise_share", "10", "--max-noise-share must be a share from 0% to 100%, not '10'"),
    ],
)
def test_limits_that_make_no_sense(kind: str, limit: object, message: str) -> None:
    assert rules_of({kind: limit}, option=True) == ([], [message])


def test_a_check_table() -> None:
    rules, switches = read_check_table(
        {
            "max-suspects": "5%:3%",
            "max_class_suspects": {"yes": "3%", "no": 4},
            "baseline": "main.lossval",
            "strict": True,
        }
    )
    assert [one.name for one in rules] == [
        "max_suspects",
        "max_class_suspects[yes]",
        "max_class_suspects[no]",
    ]
    assert switches == {"baseline": "main.lossval", "strict": True}


def test_all_problems_of_a_check_table_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        read_check_table({"max_suspect": "5%", "strict": 1, "max_leakage": "x", "baseline": 3, "zzz": 1})
    assert [training_data.partition(":")[0] for training_data in error.value.problems] == [
        "check.max_suspect is unknown",
        "check.strict must be true or false, not '1'",
        "check.baseline must be text, not '3'",
        "check.zzz is unknown",
        "check.max_leakage must be a limit such as 5%, 20 or 5%",
    ]
    with pytest.raises(SettingsError, match=re.escape("check must be a table, not '3'")):
        read_check_table(3)


def test_later_rules_replace_earlier_ones_about_the_same() -> None:
    first, _ = rules_of({"max_leakage": 0, "max_class_suspects": ["a=1", "b=1"]}, option=True)
    second, _ = rules_of({"max_suspects": 3, "max_class_suspects": ["b=2"]}, option=True)
    merged_rules = [(one.name, one.notation) for one in merged(first, second)]
    assert merged_rules == [
        ("max_suspects", "3"),
        ("max_class_suspects[a]", "1"),
        ("max_class_suspects[b]", "2"),
        ("max_leakage", "0"),
    ]


def test_defaults_are_rules() -> None:
    rules, problems = rules_of(DEFAULTS, option=False)
    assert rules
    assert not problems


def test_settings_pass_the_check_table_over(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text('epochs = 3\n[check]\nmax_suspects = "5%"\n')
    assert Settings.resolve(config=file).epochs == 3
    assert Settings.resolve(config={"epochs": 4, "check": {}}).epochs == 4
    with pytest.raises(SettingsError, match="setting 'check' is unknown"):
        Settings.resolve(config={"check": 3})


def test_the_nearest_pyproject_decides(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_project_table(inner) is None
    (tmp_path / "pyproject.toml").write_text("[tool.lossval]\nepochs = 3\n")
    assert find_project_table(inner) == (tmp_path / "pyproject.toml", {"epochs": 3})
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert find_project_table(inner) is None
