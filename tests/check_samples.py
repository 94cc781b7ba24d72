"""What tests of the gate share: values, outcomes, and cells that try to be more than text."""

from __future__ import annotations

from lossval_cli.checks.evaluate import Interval, Metric, Values, evaluate, passed
from lossval_cli.checks.rules import rules_of
from lossval_cli.checks.values import CheckResult, SuspectRow

HOSTILE = [
    "::error file=a,line=1::owned",
    "x\n::set-env name=PATH::/evil",
    "x\r\n::stop-commands::t",
    "##[add-path]/evil",
    "%0A::error::owned",
    "<script>alert(1)</script>",
    "]]></failure><!-- -->",
    "\x1b[31mred\x00\u202ereversed",
    "| a | b |\n# title",
    "[click](http://evil.example)",
    "@everyone #1 `code` **bold**",
    "\"quoted\" 'twice' \\back {0}",
    "=1+1",
    "\ud800 lone",
]


def values(**changes: object) -> Values:
    """Of 200 rows: 12 suspects, two of three classes, everything known."""
    known: dict[str, object] = {
        "rows": 200,
        "suspects": {"label": 7, "features": 3, "label+features": 2},
        "noise_share": Interval(0.08, 0.04, 0.13),
        "classes": {"yes": (9, 60), "no": (3, 140)},
        "metric": Metric("accuracy", 0.85, True, Interval(0.02, -0.01, 0.05)),
        "leakage": (2, 50),
        "conflicting_duplicates": (4, 200),
        "baseline_share": 0.05,
    }
    return Values(**(known | changes))  # type: ignore[arg-type]


def suspect(row: int = 5, *, line: int | None = 7, cell: str = "yes", **changes: object) -> SuspectRow:
    """A suspect row whose message holds `cell`, as the message of a redacted or hostile run may."""
    known: dict[str, object] = {
        "kind": "label",
        "row": row,
        "line": line,
        "ids": {cell: cell},
        "probability": 0.93,
        "importance": 0.2,
        "message": f"suspect by label: label {cell} disagrees with the model",
        "fingerprint": f"{row:032x}",
    }
    return SuspectRow(**(known | changes))  # type: ignore[arg-type]


def outcome(
    limits: dict[str, object] | None = None,
    *,
    suspects: list[SuspectRow] | None = None,
    strict: bool = False,
    table: str = "data.csv",
    **changes: object,
) -> CheckResult:
    """The outcome of `limits` (default: one rule fails, one warns, one passes, one is unknown) on `values`."""
    limits = limits or {
        "max_suspects": "5%",
        "max_noise_share": "10%:3%",
        "max_leakage": "10%",
        "max_conflicting_duplicates": 0,
    }
    rules, problems = rules_of(limits, option=False)
    assert not problems
    results = evaluate(rules, values(**({"conflicting_duplicates": None} | changes)))
    rows = [suspect()] if suspects is None else suspects
    ok = passed(results, strict=strict)
    return CheckResult(results, ok, strict, table, table, 200, rows, len(rows))
