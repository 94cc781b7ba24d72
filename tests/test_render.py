"""Pages of a report: what they say is pinned, and whatever a cell holds, it is text."""

from __future__ import annotations

import copy
import html
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import lossval_cli
from lossval_cli.report.plots import BOTTOM, HEIGHT, TOP, Axis, Series, bars, curves, histogram
from lossval_cli.report.render_html import render_html
from lossval_cli.report.render_markdown import escaped, render_markdown
from lossval_cli.report.sentences.removal import not_studied
from lossval_cli.report.sentences.run import figures, next_step

PACKAGE = Path(lossval_cli.__file__).parent
GOLDEN = Path(__file__).with_name("golden")

HOSTILE = (
    "<script>document.title='taken'</script>",
    "javascript:alert(1)",
    '"><img src=x onerror="document.title=\'taken\'">',
    "</style></title></svg><script>document.title='taken'</script>",
    "=cmd|' /C calc'!A0",
    "a | b\n## heading\r\n- [x](http://evil.example)",
    "@everyone `code` #12 www.evil.example",
    "{{ 7 * 7 }}{% raw %}",
    "x" * 5_000,
)


def example() -> dict[str, Any]:
    report: dict[str, Any] = json.loads((GOLDEN / "report.json").read_text(encoding="utf-8"))
    return report


def poisoned(text: str) -> dict[str, Any]:
    """The example with `text` wherever a name or a cell of the user's can stand."""
    report = example()
    for row in report["suspects"]:
        row.update(ids={text: text}, given=text, suggested=text, predicted=text, reason=text)
        row["features"] = [{"column": text, "value": text} for _ in row["features"]]
        row["unusual"] = [one | {"column": text, "value": text, "text": text} for one in row["unusual"]]
    for one in report["classes"]:
        one["label"] = text
    for pair in report["confusion"]["pairs"]:
        pair.update(given=text, suggested=text)
    for one in report["slices"]["found"]:
        one.update(column=text, value=text)
    for one in report["conflicting_duplicates"]["examples"]:
        one["labels"] = [text] * len(one["labels"])
    for table in report["data"]["tables"].values():
        table["name"] = text
    report["data"]["roles"].update(label=text, classes=[text])
    report["notices"] = [text]
    report["removal"]["failed"] = [text]
    return report


def without(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    report = example()
    change(report)
    return report


def paper(report: dict[str, Any]) -> None:
    """What the published algorithm knows."""
    report["summary"].update(
        suspects=0, suspect_share=0.0, by_kind={"label": 0, "features": 0}, estimated_noise_share=None
    )
    report.update(suspects=[], classes=None, confusion=None, slices={"looks": 0, "found": []})
    report["distributions"].update(evidence=None, thresholds=None)
    report["verdict"] = {"level": "look", "text": "Ranked only.", "findings": []}
    report["model"].update(transport=None)
    for epoch in report["model"]["history"]:
        epoch["transport"] = None


def redacted(report: dict[str, Any]) -> None:
    """The least that `--redact` may leave."""
    kept = {"schema_version", "summary", "removal", "suspects", "model", "data", "settings", "notices"}
    for name in report.keys() - kept:
        report[name] = None
    names = ("rank", "row", "line", "importance", "label_evidence", "feature_evidence", "noise_probability")
    report["suspects"] = [{name: row[name] for name in (*names, "suspect")} for row in report["suspects"]]


def clean(report: dict[str, Any]) -> None:
    """Nothing found at all."""
    report["summary"].update(suspects=0, suspect_share=0.0)
    report["summary"]["by_kind"] = dict.fromkeys(report["summary"]["by_kind"], 0)
    report["suspects"] = []
    report["confusion"]["pairs"] = []
    report["verdict"] = {"level": "ok", "text": "The data looks healthy.", "findings": []}


def diverged(report: dict[str, Any]) -> None:
    """A study of removal in which no retraining came to an end."""
    study = report["removal"]
    nothing = [None] * len(study["fractions"])
    for strategy in ("lowest_first", "highest_first", "random"):
        study[strategy] = study["spreads"][strategy] = nothing
    study.update(baseline={"mean": None, "spread": None}, suspects=None, expected_gain=None, failed=["all"])


VARIANTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "paper": paper,
    "redacted": redacted,
    "clean": clean,
    "diverged": diverged,
    "removal off": lambda report: report.update(removal=None),
    "no validation beside": lambda report: report.update(coverage=None, leakage={"val": None, "test": None}),
    "regression": lambda report: report.update(confusion=None),
}


def test_a_gain_that_is_not_significant_does_not_lead() -> None:
    """The Brier score gets better beyond chance, accuracy does not: the first is the one to show."""
    report = example()
    trial = {"model": "boosting", "strategy": "suspects", "share": 0.1, "error_before": 0.2}
    trial |= {"error_gain": {"value": 0.016, "low": 0.004, "high": 0.03}}
    trial |= {"metric_gain": {"value": 0.012, "low": -0.01, "high": 0.03}}
    change = {"recommended": "suspects", "recommended_fraction": 0.1, "recommended_for": ["boosting"]}
    report["removal"] |= {**change, "trials": [trial], "expected_gain": trial["metric_gain"]}
    gain = figures(report)[-1]
    assert gain.value == "Brier score −8%"
    assert "accuracy +0.012, 95% CI -0.01 to +0.03, not significant" in gain.note


def test_the_golden_report_is_as_its_schema_says() -> None:
    schema = json.loads((PACKAGE / "report" / "schemas" / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(example())


def test_the_markdown_page_is_the_golden_one() -> None:
    page = render_markdown(example())
    path = GOLDEN / "report.md"
    assert page == path.read_text(encoding="utf-8"), f"if it should read so, write it to {path}"


def test_the_markdown_page_is_short_and_the_verdict_first() -> None:
    report = example()
    page = render_markdown(report)
    assert len(page.splitlines()) < 60
    assert report["verdict"]["text"] in page.splitlines()[0]


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("render", [render_markdown, render_html])
def test_sections_that_are_not_there_leave_no_trace(render: Callable[[Any], str], name: str) -> None:
    page = render(without(VARIANTS[name]))
    for trace in ("None", "nan", "Undefined", "null"):
        assert trace not in page.split("<script>")[0]


def test_rendering_changes_nothing_and_is_repeatable() -> None:
    report = example()
    before = copy.deepcopy(report)
    assert render_html(report) == render_html(report)
    assert render_markdown(report) == render_markdown(report)
    assert report == before


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_cells_are_text_in_markdown(text: str) -> None:
    page = render_markdown(poisoned(text))
    assert len(page.splitlines()) < 60
    for live in ("<script", "<img", "](http", "`code`", "@everyone", " #12", "www.evil", "a | b", "http://"):
        assert live not in page
    tables = [line for line in page.splitlines() if line.startswith("|")]
    for head, rule in pairwise(tables):
        assert not rule.startswith("| ---") or head.count("|") == rule.count("|")
    assert max(map(len, page.splitlines())) < 4_000


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain words, 3.5 (or so)", "plain words, 3.5 (or so)"),
        ("a|b", "a&#124;b"),
        ("a\nb", "a&#92;nb"),
        ("<b>", "&#60;b&#62;"),
        ("@name", "&#64;&#8288;name"),
        ("GH-12", "GH&#8288;-12"),
        ("https://x.example", "https:&#8288;//x.example"),
        ("&lt;", "&#38;lt;"),
    ],
)
def test_escaped(given: str, shown: str) -> None:
    assert escaped(given) == shown


class _Page(HTMLParser):
    """Elements and attributes of a page, and the text in between."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_cells_are_text_in_html(text: str) -> None:
    page, plain = _Page(render_html(poisoned(text))), _Page(render_html(poisoned("plain")))
    assert page.tags == plain.tags
    assert [name for name, _ in page.attributes] == [name for name, _ in plain.attributes]
    assert text.replace("\r", "\n")[:70] in "".join(page.text).replace("\r", "\n")


def test_the_html_page_asks_for_nothing_from_outside() -> None:
    page = render_html(example())
    assert "default-src 'none'" in html.unescape(page)
    assert not re.search(r"\b(src|href(?!=\"#[a-z]+\")|action|srcset|xlink:href)=", page)
    assert not re.search(r"url\(|@import", page)
    assert " style=" not in page  # the policy would not let it be
    assert not re.search(r"\son\w+=", page)


def test_the_html_page_of_a_large_table_stays_small() -> None:
    report = example()
    wide = [{"column": f"column {i}".ljust(80, "<"), "value": "x" * 80} for i in range(24)]
    report["suspects"] = [row | {"features": wide, "reason": "y" * 300} for row in report["suspects"] * 12][:100]
    report["distributions"]["evidence"] = {
        "points": {
            "label": [i / 2_000 for i in range(2_000)],
            "features": [0.123456] * 2_000,
            "suspect": ["label"] * 2_000,
        },
    }
    assert len(render_html(report).encode()) < 1_500_000


def test_every_plot_has_a_title_and_a_description() -> None:
    page = render_html(example())
    plots = page.count("<svg viewBox")
    assert plots >= 6
    assert page.count("<desc>") == plots
    assert len(re.findall(r"<svg[^>]*role=\"img\"[^>]*><title>[^<]+</title>", page)) == plots


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (3, 47, [10, 20, 30, 40]),
        (-1e-3, 1e-3, [-1e-3, -5e-4, 0, 5e-4, 1e-3]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert Axis(low, high, 0, 100).ticks() == pytest.approx(ticks)


def test_an_axis_runs_from_start_to_stop() -> None:
    assert [Axis(2, 4, 10, 20).pixel(value) for value in (2, 3, 4)] == [10, 15, 20]


@pytest.mark.parametrize("values", [[1.0, 1.0], [0.0, 0.0], [None, 2.0], [None, None], [-1e300, 1e300]])
def test_curves_of_any_values(values: list[float | None]) -> None:
    drawn = curves([Series("a", "main", [0, 1], values, [None, 0.1])], "title", ("x", "y"))
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_a_curve_that_may_leave_the_field_is_cut_off_there_and_the_legend_says_so() -> None:
    near, far = Series("near", "main", [0, 1], [0.9, 0.91]), Series("far", "second", [0, 1], [0.9, 0.2])
    drawn = curves([near, far], "title", ("x", "y"), free=("second",), mark=(0.5, "advised: <half>"))
    assert '<li class="main">near</li>' in drawn
    assert '<li class="second">far (cut off, to 0.2)</li>' in drawn
    inner = re.search(r'<svg x="54" y="(\d+)" width="\d+" height="(\d+)"', drawn)
    assert inner is not None and int(inner[1]) == TOP and int(inner[1]) + int(inner[2]) == HEIGHT - BOTTOM
    assert "advised: &lt;half&gt;</text>" in drawn


def test_degenerate_plots() -> None:
    assert "<svg" in histogram([0.5, 1.5], [0], [0], [], "empty")
    assert "<svg" in bars([], "nothing")


def test_ticks_of_a_narrow_range_differ() -> None:
    drawn = curves([Series("a", "main", [1, 2, 3], [1.0031, 1.003101, 1.0031])], "flat", ("epoch", "cost"))
    ticks = re.findall(r'class="tick y"[^>]*>([^<]*)<', drawn)
    assert len(ticks) > 3 and len(set(ticks)) == len(ticks)


# What comes next


@pytest.mark.parametrize(
    ("recommended", "surest", "options"),
    [
        ("lowest", 0.9, "-o cleaned.csv --drop lowest:5%"),
        ("suspects", 0.9, "-o cleaned.csv --drop suspects"),
        ("nothing", 0.9, "-o cleaned.csv --relabel"),
        ("nothing", 0.6, "-o cleaned.csv --relabel --min-probability 50%"),
        ("nothing", 0.4, None),
    ],
)
def test_the_next_step_is_the_advice_as_a_command(recommended: str, surest: float, options: str | None) -> None:
    """Where removal is not shown to help, labels are corrected, and never by a command that would correct none."""
    report = example()
    report["removal"]["recommended"] = recommended
    report["summary"]["estimated_noise_share"]["low"] = 0.1
    for row in report["suspects"]:
        row["noise_probability"] = surest
    step = next_step(report)
    assert (step and step[1]) == options
    for page in (render_markdown(report), render_html(report)):
        assert ("lossval clean RUN_DIR" in page) == (options is not None)


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("a.parquet", "-o cleaned.parquet "),
        ("<stdin>", "--data FILE -o cleaned.csv "),
        ("a directory", "-o cleaned.parquet "),
        ("<DataFrame>", None),
    ],
)
def test_the_next_step_fits_the_table(name: str, output: str | None) -> None:
    report = example()
    report["data"]["tables"]["train"]["name"] = name
    if name == "a directory":
        report["data"]["tables"]["train"]["format"] = "parquet"
    step = next_step(report)
    assert step is None if output is None else step is not None and step[1].startswith(output)


def test_removals_that_fail_for_one_reason_are_reported_together() -> None:
    failed = ["lowest_first 20%: not run, why", "lowest_first 30%: not run, why", "random 50%: it diverged"]
    assert not_studied({"failed": failed}) == ["lowest 20%, 30%: not run, why", "any 50%: it diverged"]


def test_suspects_are_to_be_reviewed_where_no_improvement_was_shown() -> None:
    report = example()
    assert "lossval review" not in render_markdown(report)
    report["removal"]["recommended"] = "nothing"
    report["summary"]["estimated_noise_share"]["low"] = 0.1
    page = render_markdown(report)
    assert "\nNext: `lossval review RUN_DIR` shows the suspects one at a time. Or `lossval clean RUN_DIR -o" in page
    report["data"]["roles"]["task"] = "regression"
    assert "\nNext: `lossval review RUN_DIR` shows the suspects one at a time.\n" in render_markdown(report)


def test_every_notice_is_shown() -> None:
    report = example()
    report["notices"] = [f"notice {i}" for i in range(9)]
    assert all(f"\n- notice {i}\n" in render_markdown(report) for i in range(9))
