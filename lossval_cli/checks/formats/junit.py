"""JUnit XML, as Jenkins and GitLab read it: a testcase a rule.

Written by hand, since of what XML may not hold nothing can be left in: the library's writer lets control
characters through.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape  # nosec B406

from lossval_cli.checks.evaluate import Verdict
from lossval_cli.checks.formats.text import suspect_lines, tally
from lossval_cli.checks.values import GateResult
from lossval_cli.text.escape import escape_ci

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(result: GateResult) -> str:
    """One suite; a warning is a failure with `--strict` alone, and a rule that is unknown an error."""
    failures = result.count("failed") + (result.count("warned") if result.strict else 0)
    counts = f'tests="{len(result.verdicts)}" failures="{failures}" errors="{result.count("unknown")}"'
    suite = _attribute(f"lossval check {result.table}")
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites {counts}>"]
    lines.append(f'  <testsuite name={suite} {counts} skipped="0" time="0">')
    for verdict in result.verdicts:
        lines += _testcase(verdict, result)
    lines += ["  </testsuite>", "</testsuites>"]
    return "\n".join(lines) + "\n"


def _testcase(verdict: Verdict, result: GateResult) -> list[str]:
    name, message = _attribute(verdict.rule.name), _attribute(f"{verdict.text}; {verdict.rule.limit}")
    head = f'    <testcase classname="lossval.check" name={name} time="0"'
    tag = {"failed": "failure", "unknown": "error", "warned": "failure" if result.strict else ""}
    element = tag.get(verdict.outcome, "")
    if element:
        body = _text("\n".join([tally(result), *suspect_lines(result)]))
        return [
            head + ">",
            f"      <{element} message={message} type={_attribute(verdict.outcome)}>{body}</{element}>",
            "    </testcase>",
        ]
    word = "warning: " if verdict.outcome == "warned" else ""
    told = _text(f"{word}{verdict.text}; {verdict.rule.limit}")
    return [head + ">", f"      <system-out>{told}</system-out>", "    </testcase>"]


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text)).replace("##[", "#&#35;[")


def _attribute(text: str) -> str:
    text = _text(escape_ci(text)).replace('"', "&quot;")
    return f'"{text}"'
