"""JUnit XML, as Jenkins and GitLab read it: one test case per rule."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET  # nosec B405  # written here, never parsed

from lossval_cli.checks.evaluate import RuleResult
from lossval_cli.checks.formats.text import count_outcomes, suspect_lines
from lossval_cli.checks.values import CheckResult
from lossval_cli.text.escape import escape_ci

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, which ElementTree writes all the same."""


def render_junit(check: CheckResult) -> str:
    """Write one JUnit suite. A warning is a failure with `--strict` alone; a rule that cannot be evaluated is an
    error."""
    failures = check.count("failed") + (check.count("warned") if check.strict else 0)
    counts = {"tests": str(len(check.results)), "failures": str(failures), "errors": str(check.count("unknown"))}
    root = ET.Element("testsuites", counts)
    name = _text(escape_ci(f"lossval check {check.table}"))
    suite = ET.SubElement(root, "testsuite", {"name": name} | counts | {"skipped": "0", "time": "0"})
    for result in check.results:
        _add_case(suite, result, check)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    # GitHub's runner takes `##[` for a command wherever it stands in a line.
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + text.replace("##[", "#&#35;[") + "\n"


def _add_case(suite: ET.Element, result: RuleResult, check: CheckResult) -> None:
    attributes = {"classname": "lossval.check", "name": _text(escape_ci(result.rule.name)), "time": "0"}
    case = ET.SubElement(suite, "testcase", attributes)
    element = {"failed": "failure", "unknown": "error", "warned": "failure" if check.strict else ""}
    said = f"{result.text}; {result.rule.limit}"
    if tag := element.get(result.outcome):
        found = ET.SubElement(case, tag, {"message": _text(escape_ci(said)), "type": result.outcome})
        found.text = _text("\n".join([count_outcomes(check), *suspect_lines(check)]))
        return
    word = "warning: " if result.outcome == "warned" else ""
    ET.SubElement(case, "system-out").text = _text(word + said)


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
