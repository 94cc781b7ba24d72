"""The HTML page by the rules of axe-core (tests/vendor, MPL-2.0), in light and dark, narrow and wide."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Page

from tests.test_browser import Opened
from tests.test_render import VARIANTS, example, without

AXE = Path(__file__).with_name("vendor").joinpath("axe-core", "axe.min.js")

OPEN_ALL = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"


def violations(opened: Opened, *, contrast: bool = True) -> list[str]:
    """Contrast takes most of the time, and is that of the sections however many there are."""
    opened.page.evaluate(OPEN_ALL)
    # Evaluated as a debugger would: the page's own policy lets no foreign script in.
    opened.page.evaluate(AXE.read_text(encoding="utf-8"))
    options = {"rules": {"color-contrast": {"enabled": contrast}}}
    found = opened.page.evaluate("([options]) => axe.run(document, options)", [options])
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]]


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1024, "light")])
def test_the_page_breaks_no_rule(page: Page, tmp_path: Path, width: int, scheme: str) -> None:
    opened = Opened(page, tmp_path / "report.html", example(), width, color_scheme=scheme)
    assert violations(opened) == []


@pytest.mark.parametrize("name", VARIANTS)
def test_nor_with_sections_missing_and_it_fits(page: Page, tmp_path: Path, name: str) -> None:
    opened = Opened(page, tmp_path / "report.html", without(VARIANTS[name]), 1024)
    assert violations(opened, contrast=False) == []
    opened.page.set_viewport_size({"width": 360, "height": 800})
    assert opened.overflow() <= 0
    assert opened.complaints == []
