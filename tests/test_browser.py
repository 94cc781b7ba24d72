"""The HTML page in a real Chromium: it fits, it sorts, it filters, and hostile cells do nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import Page

from lossval_cli.report.render_html import render_html
from lossval_cli.runs.decisions import read_decisions
from tests.test_render import HOSTILE, example, poisoned


class Opened:
    """A page of a report."""

    def __init__(self, page: Page, path: Path, report: dict[str, Any], width: int, color_scheme: str = "light") -> None:
        path.write_text(render_html(report), encoding="utf-8")
        self.own = path.as_uri()
        page.requests.clear()
        page.goto(self.own, width=width, color_scheme=color_scheme)
        self.page, self.overflow = page.page, page.overflow
        self.complaints, self.requests = page.complaints, page.requests

    def column(self, i: int) -> list[str]:
        """Texts of a column of the suspects that are shown."""
        script = """([at]) => [...document.querySelector("table.suspects").tBodies]
            .filter((row) => !row.hidden).map((row) => row.rows[0].cells[at].textContent)"""
        texts: list[str] = self.page.evaluate(script, [i])
        return texts


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_and_asks_for_nothing(page: Page, tmp_path: Path, scheme: str) -> None:
    opened = Opened(page, tmp_path / "report.html", example(), 360, color_scheme=scheme)
    for width in (360, 794, 1024):
        opened.page.set_viewport_size({"width": width, "height": 800})
        for media in ("screen", "print"):
            opened.page.emulate_media(media=media)
            assert opened.overflow() <= 0
    assert opened.complaints == []
    assert opened.requests == [opened.own]


LIVE = [text for text in HOSTILE if text.startswith(("<", '"', "javascript", "x"))]
"""Those that a browser could take for more than text, or that are very long."""


@pytest.mark.parametrize("text", LIVE, ids=range(len(LIVE)))
def test_hostile_cells_do_nothing(page: Page, tmp_path: Path, text: str) -> None:
    opened = Opened(page, tmp_path / "report.html", poisoned(text), 360)
    opened.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    opened.page.wait_for_timeout(50)
    assert opened.complaints == []
    assert opened.requests == [opened.own]
    assert opened.overflow() <= 0
    assert opened.page.title() != "taken"
    assert opened.page.locator("script").count() == 1
    assert opened.page.locator("a:not([href^='#']), img, iframe, form").count() == 0


def test_sorting(page: Page, tmp_path: Path) -> None:
    opened = Opened(page, tmp_path / "report.html", example(), 1024)
    ranks = [int(text) for text in opened.column(0)]
    assert ranks == sorted(ranks)
    head = opened.page.get_by_role("button", name="Rank")
    head.click()
    head.focus()
    opened.page.keyboard.press("Enter")
    assert [int(text) for text in opened.column(0)] == sorted(ranks, reverse=True)
    assert opened.page.locator("th[aria-sort='descending']").count() == 1
    opened.page.get_by_role("button", name="Label", exact=True).click()
    assert opened.column(3) == sorted(opened.column(3))
    assert opened.page.locator("th[aria-sort]").count() == 1


def test_filtering(page: Page, tmp_path: Path) -> None:
    report = example()
    opened = Opened(page, tmp_path / "report.html", report, 1024)
    everything = len(opened.column(0))
    first = report["suspects"][0]
    (name,) = first["ids"].values()
    opened.page.get_by_label("Filter").fill(f"{name} {first['given']}".upper())
    assert opened.column(0) == [str(first["rank"])]
    opened.page.get_by_label("Filter").fill("")
    opened.page.get_by_label("Suspect by").select_option("features")
    wanted = [str(row["rank"]) for row in report["suspects"] if row["suspect"] == "features"]
    assert opened.column(0) == wanted
    assert f"{len(wanted)} of {everything} shown" in opened.page.locator("output").inner_text()


def test_a_long_list_begins_short(page: Page, tmp_path: Path) -> None:
    report = example()
    report["suspects"] = [row | {"rank": rank} for rank, row in enumerate((report["suspects"] * 9)[:60], 1)]
    opened = Opened(page, tmp_path / "report.html", report, 1024)
    listed = opened.page.locator("table.suspects > tbody:visible")
    assert listed.count() == 20
    assert "20 of 60 shown" in opened.page.locator("output").inner_text()
    opened.page.get_by_role("button", name="Rank").click()
    opened.page.get_by_role("button", name="Rank").click()
    assert listed.first.locator("td").first.inner_text() == "60"
    opened.page.emulate_media(media="print")
    assert listed.count() == 60
    opened.page.emulate_media(media="screen")
    opened.page.get_by_role("button", name="Show all 60").click()
    assert listed.count() == 60
    assert "60 of 60 shown" in opened.page.locator("output").inner_text()
    assert opened.complaints == []


def test_a_click_on_a_row_shows_its_details(page: Page, tmp_path: Path) -> None:
    opened = Opened(page, tmp_path / "report.html", example(), 1024)
    details = opened.page.locator("table.suspects details").first
    assert details.get_attribute("open") is None
    opened.page.locator("table.suspects td").first.click()
    assert details.get_attribute("open") is not None
    opened.page.locator("table.suspects td").first.click()
    assert details.get_attribute("open") is None


def test_without_javascript(chromium: Any, tmp_path: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    path = tmp_path / "report.html"
    path.write_text(render_html(example()), encoding="utf-8")
    page = context.new_page()
    page.goto(path.as_uri())
    assert not page.get_by_label("Filter").is_visible()
    details = page.locator("table.suspects details").first
    assert not details.locator("dl").is_visible()
    details.locator("summary").click()
    assert details.locator("dl").is_visible()
    context.close()


def keyed() -> dict[str, Any]:
    """The example as a run writes it: with keys, among them one that a spreadsheet would evaluate."""
    report = example()
    for i, row in enumerate(report["suspects"]):
        row["key"] = f'["id, \\"{i}\\""]'
    report["suspects"][1]["suggested"] = "=1+1, \\ and \n more"
    return report


def test_decisions_are_kept_in_the_page_and_downloaded(page: Page, tmp_path: Path) -> None:
    report = keyed()
    opened = Opened(page, tmp_path / "report.html", report, 1024)
    shown = opened.page
    assert not shown.get_by_role("button", name="Download decisions.csv").is_visible()
    for i, name in ((0, "Keep"), (1, "Relabel"), (2, "Drop"), (3, "Drop"), (3, "Drop")):
        shown.locator("table.suspects details").nth(i).evaluate("(one) => { one.open = true; }")
        shown.locator(".decide").nth(i).get_by_role("button", name=name).click()
    shown.reload()
    assert "3 decided." in shown.locator(".decided-so-far").inner_text()
    assert shown.locator("summary .verdict").all_inner_texts()[0] == "keep"
    with shown.expect_download() as found:
        shown.get_by_role("button", name="Download decisions.csv").click()
    decisions, damaged = read_decisions(Path(found.value.path()))
    assert damaged == []
    first, second, third = report["suspects"][:3]
    assert [(one.key, one.decision, one.label) for one in decisions] == [
        (row["key"], what, str(row["given"])) for row, what in ((first, "keep"), (second, "relabel"), (third, "drop"))
    ]
    assert decisions[1].value == "=1+1, \\ and  more"  # an input is one line
    assert decisions[0].probability == pytest.approx(first["noise_probability"])
    assert opened.complaints == []


def test_a_redacted_report_has_no_decisions(page: Page, tmp_path: Path) -> None:
    opened = Opened(page, tmp_path / "report.html", example(), 1024)
    assert opened.page.locator(".decide").count() == 0


def test_paper_shows_cells_and_bars(page: Page, tmp_path: Path) -> None:
    opened = Opened(page, tmp_path / "report.html", keyed(), 1024)
    shown = opened.page
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    shown.emulate_media(media="print")
    assert shown.locator("table.suspects dl.values").first.is_visible()
    assert shown.locator("svg path.all").first.evaluate("(one) => getComputedStyle(one).display") != "none"
    assert not shown.locator(".decide").first.is_visible()
    shown.evaluate("dispatchEvent(new Event('afterprint'))")
    shown.emulate_media(media="screen")
    assert not shown.locator("table.suspects dl.values").first.is_visible()
