"""The page of `lossval review` in a real Chromium: by keys and by mouse, narrow, wide and printed, light and dark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Page

from lossval_cli.review.session import Session
from lossval_cli.runs.decisions import append_decisions, read_decisions
from tests.test_accessibility import AXE
from tests.test_decisions import decision
from tests.test_review import Served, run, scored, served, session  # noqa: F401  # fixtures

pytest.importorskip("uvicorn")


class Review:
    """The page, and every complaint and foreign request it made."""

    def __init__(self, page: Page, served: Served, width: int = 1024, color_scheme: str = "light") -> None:  # noqa: F811
        self.address = f"http://127.0.0.1:{served.port}/?token={served.token}"
        self.own = f"http://127.0.0.1:{served.port}/"
        self.page, self.overflow, self.complaints = page.page, page.overflow, page.complaints
        self._requests = page.requests
        page.goto(self.address, width=width, color_scheme=color_scheme)
        self.wait_for("1 of")

    @property
    def foreign(self) -> list[str]:
        return [address for address in self._requests if not address.startswith(self.own)]

    def wait_for(self, position: str) -> None:
        """Until the row at this place of the queue is shown."""
        self.page.wait_for_function(
            "(text) => !document.getElementById('card').hidden && "
            "document.getElementById('position').textContent.startsWith(text)",
            arg=position,
            polling=20,  # milliseconds; each frame that is drawn takes more time
        )

    def press(self, key: str, then: str) -> None:
        self.page.keyboard.press(key)
        self.wait_for(then)

    def violations(self, part: str = "html") -> list[str]:
        """In an element of the page."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("([part]) => axe.run(document.querySelector(part))", [part])
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]]


@pytest.fixture
def review(page: Page, served: Served) -> Iterator[Review]:  # noqa: F811
    opened = Review(page, served)
    yield opened
    assert opened.complaints == []
    assert opened.foreign == []


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1024, "light")])
def test_the_page_fits_and_breaks_no_rule(page: Page, served: Served, width: int, scheme: str) -> None:  # noqa: F811
    opened = Review(page, served, width, color_scheme=scheme)
    assert opened.overflow() <= 0
    assert opened.violations() == []
    opened.press("d", "2 of")
    opened.page.emulate_media(media="print")
    assert opened.overflow() <= 0
    assert not opened.page.locator(".actions").is_visible()
    opened.page.emulate_media(media="screen")
    for key in ("r", "f", "?"):
        opened.page.keyboard.press(key)
        opened.page.wait_for_selector("dialog[open]")
        assert opened.violations("dialog[open]") == []
        assert opened.overflow() <= 0
        opened.page.keyboard.press("Escape")
    assert opened.complaints == []


def test_every_decision_by_keys(review: Review, session: Session) -> None:  # noqa: F811
    page = review.page
    review.press("k", "2 of")
    page.keyboard.press("n")
    page.keyboard.type("no doubt")
    page.keyboard.press("Escape")
    review.press("d", "3 of")
    page.keyboard.press("r")
    page.wait_for_selector("#relabel[open]")
    review.press("1", "4 of")
    page.keyboard.press("r")
    page.get_by_label("Another label").fill("perhaps")
    page.keyboard.press("Enter")
    assert page.get_by_text("No row is labelled perhaps").is_visible()
    review.press("Enter", "5 of")
    page.keyboard.press("f")
    page.get_by_label("Column").select_option("age")
    page.get_by_label("It should hold").fill("44")
    review.press("Enter", "6 of")
    review.press("s", "7 of")
    review.press("u", "6 of")
    review.press("u", "5 of")
    page.keyboard.press("?")
    assert page.get_by_role("heading", name="Keys").is_visible()
    page.keyboard.press("Escape")
    found = read_decisions(session.path).decisions
    assert [one.decision for one in found] == ["keep", "drop", "relabel", "relabel", "fix", "skip", "undo", "undo"]
    assert (found[1].note, found[3].value, found[4].column, found[4].value) == ("no doubt", "perhaps", "age", "44")
    assert {one.reviewer for one in found} == {"ann"}
    assert page.locator("#sentence").inner_text().startswith("4 reviewed, 3 were wrong.")


def test_every_decision_by_mouse(review: Review, session: Session) -> None:  # noqa: F811
    page = review.page
    page.get_by_role("button", name="Keep").click()
    review.wait_for("2 of")
    page.get_by_role("button", name="Relabel").click()
    page.locator("#choices button").first.click()
    review.wait_for("3 of")
    page.locator(".actions").get_by_role("button", name="Fix a cell").click()
    page.get_by_label("It should hold").fill("")
    page.locator("#fix").get_by_role("button", name="Fix", exact=True).click()
    review.wait_for("4 of")
    page.locator(".actions").get_by_role("button", name="Drop").click()
    review.wait_for("5 of")
    page.get_by_role("button", name="Skip").click()
    review.wait_for("6 of")
    page.get_by_role("button", name="Undo").click()
    review.wait_for("5 of")
    kinds = [one.decision for one in read_decisions(session.path).decisions]
    assert kinds == ["keep", "relabel", "fix", "drop", "skip", "undo"]
    page.get_by_label("Show").select_option("decided")
    review.wait_for("1 of")
    assert page.locator("#decided").inner_text() == "ann: keep"
    assert page.locator("#list button").count() == 4


def test_like_rows_are_decided_at_once(review: Review, session: Session) -> None:  # noqa: F811
    page = review.page
    sizes = [box.inner_text() for box in page.locator("#groups label").all()]
    assert sizes, "the first suspects share label and prediction"
    page.keyboard.press("g")
    assert page.locator("#groups input").first.is_checked()
    page.keyboard.press("d")
    page.wait_for_function("() => document.getElementById('live').textContent.includes('rows dropped')")
    found = read_decisions(session.path).decisions
    assert len(found) == int(sizes[0].split()[1])
    assert len({one.time for one in found}) == 1
    page.keyboard.press("u")
    page.wait_for_function("() => document.getElementById('live').textContent === 'Undone.'")
    session.refresh()
    assert {one["state"] for one in session.states()} == {""}


def test_filters_and_the_list(review: Review, session: Session) -> None:  # noqa: F811
    page = review.page
    page.get_by_label("Suspect by").select_option("label")
    suspects = sum(item.kind == "label" for item in session.items)
    page.wait_for_function("(count) => document.querySelectorAll('#list button').length === count", arg=suspects)
    page.locator("#list button").nth(3).click()
    review.wait_for("4 of")
    chosen = page.locator("#list [aria-current]").inner_text()
    assert page.locator("#where").inner_text().split(",")[0] in chosen
    page.get_by_label("Suspect by").select_option("label+features")
    page.get_by_text("No row fits").wait_for()


def test_what_another_reviewer_decides_is_seen_and_disputed(review: Review, session: Session) -> None:  # noqa: F811
    append_decisions(session.path, [decision(session.items[0].key, "drop", label="no", reviewer="bob", time="2026")])
    review.press("k", "2 of")
    review.press("ArrowLeft", "1 of")
    review.page.wait_for_function("() => document.getElementById('decided').textContent.includes('bob: drop')")
    assert "ann: keep" in review.page.locator("#decided").inner_text()


def test_hostile_cells_are_text(review: Review, session: Session) -> None:  # noqa: F811
    """The table of this test holds formulas, quotes and control characters; markup comes through a decision."""
    markup = "<img src=x onerror=alert(1)>"
    append_decisions(
        session.path,
        [decision(session.items[0].key, "relabel", value=markup, label="no", reviewer=markup, time="2026")],
    )
    review.page.reload()
    review.wait_for("2 of")
    review.page.get_by_label("Show").select_option("decided")
    review.wait_for("1 of")
    assert markup in review.page.locator("#decided").inner_text()
    assert review.page.locator("img, iframe, script[src]").count() == 0


def test_a_server_that_is_gone_is_said(review: Review, served: Served) -> None:  # noqa: F811
    served.stop()
    review.page.keyboard.press("k")
    review.page.wait_for_selector("#trouble:not([hidden])")
    assert "not running any more" in review.page.locator("#trouble").inner_text()
    review.complaints.clear()  # the browser's own line on the refused connection


def test_a_wrong_token_shows_no_page(page: Page, served: Served) -> None:  # noqa: F811
    answer = page.page.goto(f"http://127.0.0.1:{served.port}/?token=wrong")
    assert answer.status == 403
    assert "c0-" not in page.page.content()


def test_a_page_of_another_origin_reaches_nothing(page: Page, served: Served, session: Session) -> None:  # noqa: F811
    """Even with the token: its requests carry its own origin."""
    script = """async ([address]) => {
        const send = (options) => fetch(address, options).then((answer) => answer.status, () => "refused");
        const body = JSON.stringify({ rows: [0], action: "drop" });
        const headers = { "x-lossval-token": "secret", "content-type": "application/json" };
        return [
            await send({ method: "POST", body, headers }),
            await send({ method: "POST", body, mode: "no-cors" }),
        ];
    }"""
    page.page.evaluate(script, [f"http://127.0.0.1:{served.port}/decide"])
    assert not session.path.exists()
