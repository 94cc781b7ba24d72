"""The review without a browser: which rows are asked about, what is expected of the rest, spreadsheets, the terminal,
and a server that lets nobody else in."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import LOSSVAL, PYTHON, QUICK, Outcome, frame
from test_cli_process import heed_signals

from lossval_cli.cli import main
from lossval_cli.errors import UsageError
from lossval_cli.review.progress import forecast
from lossval_cli.review.session import Session
from lossval_cli.review.words import progress_sentence
from lossval_cli.runs.decisions import append_decisions, read_decisions
from tests.test_decisions import HOSTILE, decision

pytestmark = pytest.mark.usefixtures("valued_once")

SUSPECTS = 30


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a table, a trusted one, and a run of which 30 rows are suspect."""
    folder = tmp_path_factory.mktemp("scored")
    table = frame(120)
    texts = [text for text in HOSTILE if "\0" not in text] * 20  # which no CSV may hold
    table["remark"] = [f"{text} {row}" for row, text in zip(range(120), texts, strict=False)]
    table.to_csv(folder / "train.csv", index=False)
    frame(40, seed=1).assign(remark="fine").to_csv(folder / "val.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["score", "train.csv", "--val", "val.csv", "--quiet", *QUICK]) == 0
    flag_rows(folder / "train.lossval")
    return folder


def flag_rows(run: Path) -> None:
    """Make the first 30 rows of the file suspects, with probabilities from 90 % down."""
    scores = pd.read_csv(run / "scores.csv", dtype={"customer": str})
    first = scores["row"] < SUSPECTS
    scores["suspect"] = np.where(first, "label", "")
    scores["noise_probability"] = np.where(first, 0.9 - 0.02 * scores["row"], 0.1)
    scores["label_noise_probability"], scores["feature_noise_probability"] = scores["noise_probability"], 0.0
    scores.to_csv(run / "scores.csv", index=False)


@pytest.fixture
def run(scored: Path, tables: Path) -> Path:
    """A copy of it, in the current directory."""
    shutil.copytree(scored, tables, dirs_exist_ok=True)
    return Path("train.lossval")


@pytest.fixture
def session(run: Path) -> Session:
    return Session(run, "ann")


def test_suspects_come_by_probability_with_random_rows_among_them(session: Session) -> None:
    suspects = [item for item in session.items if not item.is_random]
    others = [item for item in session.items if item.is_random]
    assert [item.row for item in suspects] == list(range(SUSPECTS))
    assert len(others) == 5
    assert {item.chance for item in suspects} == {1.0}
    assert {item.chance for item in others} == {5 / 90}
    assert 0 < [item.kind for item in session.items].index("") < SUSPECTS
    assert [item.key for item in Session(session.directory, "bob").items] == [item.key for item in session.items]


def test_rows_of_one_label_and_one_prediction_are_a_group(session: Session) -> None:
    for name in {name for item in session.items for name in item.groups}:
        labels = {session.run.given[item.i] for item in session.items if name in item.groups}
        assert len(labels) == 1
        assert f"labelled {labels.pop()}" in name


def test_two_reviewers_see_each_other_and_their_disagreement(session: Session) -> None:
    bob = Session(session.directory, "bob")
    session.decide([0], "keep")
    session.decide([1], "drop")
    bob.decide([1], "drop")
    bob.decide([0], "relabel", value="yes")
    session.refresh()
    states = session.states()
    assert states[0] == {"state": "disputed", "by": {"ann": "keep", "bob": "relabel to yes"}}
    assert states[1]["state"] == "drop"
    assert bob.undo() == [0]
    session.refresh()
    assert session.states()[0]["state"] == "keep"


def test_undo_follows_the_file_where_a_spreadsheet_has_changed_the_times(session: Session) -> None:
    session.decide([0], "drop")
    session.decide([1], "keep")
    text = session.path.read_text(encoding="utf-8")
    times = [one.time for one in session.decisions]
    for time, other in zip(times, ("31.12.2026 10:00", "01.01.2027 10:00"), strict=True):
        text = text.replace(time, other)
    session.path.write_text(text, encoding="utf-8")
    assert session.undo() == [1]
    assert session.undo() == [0]


def test_undo_takes_back_what_was_decided_at_once(session: Session) -> None:
    session.decide([0, 1, 2], "drop")
    session.decide([3], "keep")
    assert session.undo() == [3]
    assert session.undo() == [0, 1, 2]
    assert session.undo() == []
    assert {one["state"] for one in session.states()} == {""}


@pytest.mark.parametrize(
    ("action", "more"),
    [
        ("perhaps", {}),
        ("undo", {}),
        ("relabel", {"value": "  "}),
        ("relabel", {"value": "x" * 30_000}),
        ("fix", {"column": "label", "value": "1"}),
        ("fix", {"column": "none", "value": "1"}),
        ("keep", {"note": "\0"}),
    ],
)
def test_decisions_that_make_no_sense_are_refused(session: Session, action: str, more: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        session.decide([0], action, **more)
    assert not session.path.exists()


def test_decisions_are_carried_over_to_a_run_of_the_changed_table(
    run: Path, session: Session, cli: Callable[..., Outcome]
) -> None:
    session.decide([0], "keep")
    session.decide([1], "drop")
    table = pd.read_csv("train.csv", dtype=str, keep_default_na=False)
    dropped = session.items[1].row
    kept = table["customer"][session.items[0].row]
    table.drop(index=dropped).sample(frac=1, random_state=0).to_csv("train.csv", index=False)
    assert main(["score", "train.csv", "--val", "val.csv", "--quiet", *QUICK]) == 0
    flag_rows(run)
    again = Session(run, "ann")
    again.refresh()
    states = {
        again.run.ids["customer"][item.i]: state["state"]
        for item, state in zip(again.items, again.states(), strict=True)
    }
    assert states.get(kept, "keep") == "keep"
    assert set(states.values()) <= {"", "keep"}


def test_a_card_has_what_a_reviewer_needs(session: Session) -> None:
    card = session.cards.card(0)
    assert card["reason"]
    assert {one["column"]: one["value"] for one in card["cells"]}["customer"] == "c0-0"
    assert [one["trusted"] for one in card["nearest"]["rows"]] == [True] * 3 + [False] * 3
    assert all(one["label"] in ("yes", "no") for one in card["nearest"]["rows"])


def test_a_run_whose_table_is_gone_is_reviewed_from_the_report(run: Path) -> None:
    Path("train.csv").unlink()
    session = Session(run, "ann")
    card = session.cards.card(0)
    assert card["nearest"]["rows"] == []
    session.decide([0], "keep")
    assert read_decisions(session.path).decisions[0].key == '["c0-0"]'


@pytest.mark.slow
def test_without_ids_and_without_the_table_nothing_would_find_the_rows_again(cli: Callable[..., Outcome]) -> None:
    frame(60).drop(columns="customer").to_csv("train.csv", index=False)
    assert main(["score", "train.csv", "--quiet", *QUICK]) == 0
    Session(Path("train.lossval"), "ann")
    Path("train.csv").write_text("gone\n")
    done = cli("review", "train.lossval", "--terminal")
    assert done.code == 2
    assert "name the table that was scored with --data FILE" in done.err


@pytest.mark.slow
def test_a_number_is_stored_as_its_column_writes_numbers(cli: Callable[..., Outcome]) -> None:
    table = frame(60).drop(columns="label")
    table["price"] = [f"{1000 + 7.5 * i:.2f}".replace(".", ",") for i in range(60)]
    table.to_csv("train.csv", sep=";", index=False)
    assert main(["score", "train.csv", "--label", "price", "--quiet", *QUICK]) == 0
    session = Session(Path("train.lossval"), "ann")
    for typed, stored in (("1234.5", "1234,5"), ("1234,5", "1234,5"), ("7", "7")):
        session.decide([0], "relabel", value=typed)
        assert read_decisions(session.path).decisions[-1].value == stored
    with pytest.raises(UsageError, match="is not a number: labels of this table are numbers"):
        session.decide([0], "relabel", value="much")
    with pytest.raises(UsageError, match="is not a number: column age holds numbers"):
        session.decide([0], "fix", column="age", value="4o")
    assert session.states()[0]["state"] == "relabel"
    assert main(["clean", "train.lossval", "-o", "out.csv", "--decisions", "--quiet"]) == 0
    row = session.items[0].row
    assert Path("out.csv").read_text().splitlines()[1 + row].endswith(";7")


# Progress


def test_before_any_decision_the_probabilities_are_believed() -> None:
    p = np.full(100, 0.8)
    seen = forecast(p, ["label"] * 100, [None] * 100, [], [])
    assert 60 < seen.left < 85
    assert seen.low < 60
    assert seen.high > 85


def test_a_reviewer_who_confirms_half_corrects_the_calibration() -> None:
    p = np.full(200, 0.8)
    decided: list[bool | None] = [i % 2 == 0 for i in range(60)]
    seen = forecast(p, ["label"] * 200, decided + [None] * 140, list(range(60)), [])
    assert (seen.reviewed, seen.wrong) == (60, 30)
    assert abs(seen.left - 70) < 12
    assert seen.low < 70 < seen.high
    assert seen.found[-1] == 30


@pytest.mark.slow
def test_the_interval_covers_what_is_left_as_often_as_it_says() -> None:
    """Of 200 tables whose probabilities are off by shifts that the prior does not know."""
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        p = np.sort(rng.beta(2, 2, 120))[::-1]
        true = 1 / (1 + np.exp(-(rng.normal(0, 1) + np.log(p / (1 - p)))))
        wrong = rng.random(120) < true
        decided: list[bool | None] = [bool(is_wrong) for is_wrong in wrong[:40]] + [None] * 80
        seen = forecast(p, ["label"] * 120, decided, list(range(40)), [])
        covered += seen.low <= wrong[40:].sum() <= seen.high
    assert covered >= 0.8 * 200


def test_the_kind_that_turns_out_right_is_asked_about_first() -> None:
    """Features that are unusual without being wrong do not keep wrong labels waiting."""
    p, parts = np.repeat([0.9, 0.6], 50), ["features"] * 50 + ["label"] * 50
    assert forecast(p, parts, [None] * 100, [], []).left_order[0] == 0
    decided: list[bool | None] = [False] * 8 + [None] * 42 + [True] * 2 + [None] * 48
    assert forecast(p, parts, decided, [], []).left_order[:48] == list(range(52, 100))


def test_random_rows_tell_how_many_were_not_flagged() -> None:
    seen = forecast(np.array([0.5]), ["label"], [None], [], [False] * 29 + [True])
    assert 0 < seen.others_low < 1 / 30 < seen.others_high < 0.2
    assert (
        "about 1 (0 to 1) of all 1" in progress_sentence(seen).lower()
        or "about 0 (0 to 1)" in progress_sentence(seen).lower()
    )


# Spreadsheets


@pytest.mark.parametrize("ending", ["xlsx", "csv"])
def test_a_filled_spreadsheet_becomes_decisions(run: Path, cli: Callable[..., Outcome], ending: str) -> None:
    file = f"suspects.{ending}"
    done = cli("review", str(run), "--export", file)
    assert done.code == 0, done.err
    table = pd.read_excel(file, dtype=str) if ending == "xlsx" else pd.read_csv(file, dtype=str)
    assert len(table) == 35
    for column in ("decision", "new value", "column", "note"):
        table[column] = table[column].astype(object)
    table.loc[0, ["decision", "new value", "note"]] = ["Relabel", "yes", "seen"]
    table.loc[1, "decision"] = "D"
    table.loc[2, ["decision", "column", "new value"]] = ["fix", "age", "44"]
    table.loc[3, "decision"] = "perhaps"
    table.loc[4, ["decision", "key"]] = ["keep", "nobody"]
    table.loc[5, "decision"] = "relabel"
    (table.to_excel if ending == "xlsx" else table.to_csv)(file, index=False)
    done = cli("review", str(run), "--import", file, "--reviewer", "ann")
    assert done.code == 0
    assert "row 5 left out: 'perhaps' is none of" in done.err
    assert "row 6 left out: it is not a row of this run" in done.err
    assert "row 7 left out: type the right label" in done.err
    assert "3 decisions added" in done.err
    found = read_decisions(run / "decisions.csv").decisions
    assert [(one.decision, one.value, one.column, one.note) for one in found] == [
        ("relabel", "yes", "", "seen"),
        ("drop", "", "", ""),
        ("fix", "44", "age", ""),
    ]


def test_an_exported_sheet_holds_no_formula(run: Path, cli: Callable[..., Outcome]) -> None:
    assert cli("review", str(run), "--export", "s.xlsx").code == 0
    with zipfile.ZipFile("s.xlsx") as packed:
        sheet = packed.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert cli("review", str(run), "--export", "s.csv").code == 0
    cells = pd.read_csv("s.csv", dtype=str, keep_default_na=False).to_numpy().ravel().tolist()
    assert not [cell for cell in cells if cell.startswith(("=", "+4", "@", "＝"))]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PK\x03\x04 not a workbook", b"\xff\xfe\x00"])
def test_what_is_no_spreadsheet_of_ours_is_one_line(run: Path, cli: Callable[..., Outcome], content: bytes) -> None:
    Path("s.xlsx").write_bytes(content)
    done = cli("review", str(run), "--import", "s.xlsx")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "s.xlsx" in done.err


# The command


def test_merging_lists_disagreements(run: Path, cli: Callable[..., Outcome]) -> None:
    append_decisions(run / "decisions.csv", [decision("a", "keep", reviewer="ann", where="line 2")])
    append_decisions(
        Path("bob.csv"),
        [decision("a", "drop", reviewer="bob", where="line 2"), decision("b", "drop", reviewer="bob")],
    )
    for added in (2, 0):
        done = cli("review", str(run), "--merge", "bob.csv")
        assert done.code == 0
        assert done.out == "line 2: ann: keep; bob: drop\n"
        assert f"{added} decisions added" in done.err
    assert len(read_decisions(run / "decisions.csv").decisions) == 3


def test_the_terminal_has_the_keys_of_the_page(run: Path, cli: Callable[..., Outcome]) -> None:
    keys = "g\nd\nu\nk\nr\nyes\nf\nage\n44\nd\nu\nn\nby phone\ns\nx\n?\nc\nr\nyse\nno\nq\n"
    done = cli("review", str(run), "--terminal", "--reviewer", "ann", stdin=keys.encode())
    assert done.code == 0, done.err
    *group, keep, relabel, fix, drop, undo, skip = read_decisions(run / "decisions.csv").decisions
    alike = len(group) // 2
    assert [one.decision for one in group] == [*["drop"] * alike, *["undo"] * alike]
    assert alike > 1
    found = [keep, relabel, fix, drop, undo, skip]
    assert [one.decision for one in found] == ["keep", "relabel", "fix", "drop", "undo", "skip"]
    assert (found[1].value, found[2].column, found[2].value, found[5].note) == ("yes", "age", "44", "by phone")
    assert "3 reviewed, 2 were wrong." in done.out.replace("\n", " ")
    assert f"The next decision is for all {alike} undecided rows: labelled" in done.out
    assert "no row of the table is labelled yse; type it again" in done.out
    assert done.out.endswith("  lossval clean train.lossval -o cleaned.csv --decisions\n")
    assert "\x1b" not in done.out


def test_a_run_that_cannot_be_written_to_is_not_reviewed(
    run: Path, cli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _, mode, **__: mode != os.W_OK)
    done = cli("review", str(run), "--terminal", stdin=b"k\n")
    assert (done.code, done.err) == (2, "error: train.lossval cannot be written, so that no decision would be kept\n")


def test_the_end_of_the_input_ends_the_review(run: Path, cli: Callable[..., Outcome]) -> None:
    assert cli("review", str(run), "--terminal", stdin=b"k\n").code == 0
    assert len(read_decisions(run / "decisions.csv").decisions) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--terminal", "--export", "s.csv"), "exclude each other"),
        (("--terminal", "--port", "80"), "are for the page"),
        (("--export", "s.ods"), "name a .xlsx or .csv file"),
        (("--export", "train.lossval/scores.csv"), "is read by this command"),
        (("--reviewer", " ", "--terminal"), "--reviewer is not a name"),
        (("--import", "none.csv"), "cannot be read"),
        (("--merge", "train.csv"), "is not a file of decisions"),
        (("--data", "val.csv", "--terminal"), "is not the table"),
    ],
)
def test_bad_usage_is_one_line(
    run: Path, cli: Callable[..., Outcome], arguments: tuple[str, ...], message: str
) -> None:
    done = cli("review", str(run), *arguments)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.usefixtures("fork_server")
def test_without_the_extra_a_line_says_how_to_install_it(run: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules.update(uvicorn=None, openpyxl=None)\n"
        "from lossval_cli.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    for arguments in (["--no-browser"], ["--export", "s.xlsx"]):
        done = subprocess.run(
            [*PYTHON, "-c", code, "review", str(run), *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "pip install 'lossval[review]'" in done.stderr


# The server


class Served:
    """A review that is served in this process."""

    def __init__(self, session: Session) -> None:
        from lossval_cli.review.server import make_app, open_socket

        uvicorn = pytest.importorskip("uvicorn")
        self.token = "secret"
        listener = open_socket(0)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            make_app(session, self.token, self.port), log_level="critical", lifespan="off", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()
        self._listener = listener

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def ask(
        self, method: str, path: str, body: Any = None, token: str | None = "secret", **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["x-lossval-token"] = token
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text, {name.lower(): value for name, value in answer.getheaders()}


@pytest.fixture
def served(session: Session) -> Iterator[Served]:
    pytest.importorskip("starlette")
    server = Served(session)
    yield server
    server.stop()


def test_the_page_and_its_answers_are_for_who_has_the_token(served: Served, session: Session) -> None:
    assert served.ask("GET", "/?token=secret", token=None)[0] == 200
    assert served.ask("GET", "/state")[0] == 200
    refused = [
        served.ask("GET", "/", token=None),
        served.ask("GET", "/?token=wrong", token=None),
        served.ask("GET", "/state", token=None),
        served.ask("GET", "/state?token=secret", token=None),
        served.ask("GET", "/row/0", token="wrong"),
        served.ask("POST", "/decide", {"rows": [0], "action": "drop"}, token="wrong"),
        served.ask("POST", "/undo", {}, token=None),
        served.ask("GET", "/nothing", token=None),
    ]
    assert {status for status, *_ in refused} == {403}
    assert all("c0-" not in text and "secret" not in text for _, text, _ in refused)
    assert not session.path.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1:1"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_foreign_hosts_and_origins_get_nothing_even_with_the_token(
    served: Served, session: Session, headers: dict[str, str]
) -> None:
    for method, path, body in (("GET", "/state", None), ("POST", "/decide", {"rows": [0], "action": "drop"})):
        assert served.ask(method, path, body, **headers)[0] == 403
    assert served.ask("GET", "/?token=secret", token=None, **headers)[0] == 403
    assert not session.path.exists()


def test_answers_allow_no_other_page_and_no_cache(served: Served) -> None:
    for path in ("/?token=secret", "/state", "/row/0", "/nothing"):
        _, _, headers = served.ask("GET", path)
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"rows": [0]}',
        {"rows": "0", "action": "keep"},
        {"rows": [True], "action": "keep"},
        {"rows": [0], "action": 1},
        {"rows": [0], "action": "keep", "note": 5},
        {"rows": [], "action": "keep"},
        {"rows": [999], "action": "keep"},
        {"rows": [-1], "action": "keep"},
        {"rows": [0], "action": "format"},
        b"x" * (2 << 20),
    ],
    ids=range(12),
)
def test_requests_that_are_no_decision_are_refused(served: Served, session: Session, body: Any) -> None:
    status, text, _ = served.ask("POST", "/decide", body)
    assert status == 400
    assert "error" in json.loads(text)
    assert not session.path.exists()


def test_a_decision_must_be_sent_as_json(served: Served, session: Session) -> None:
    """A form of another site can be sent without a preflight, JSON cannot."""
    body = json.dumps({"rows": [0], "action": "keep"}).encode()
    assert served.ask("POST", "/decide", body, content_type="text/plain")[0] == 400
    assert served.ask("GET", "/decide")[0] == 405
    assert not session.path.exists()


def test_a_decision_is_on_disk_when_the_answer_comes(served: Served, session: Session) -> None:
    status, text, _ = served.ask("POST", "/decide", {"rows": [0, 1], "action": "drop", "note": "gone"})
    assert status == 200
    said = json.loads(text)
    assert [one["state"] for one in said["states"][:3]] == ["drop", "drop", ""]
    assert "2 reviewed, 2 were wrong." in said["progress"]["sentence"]
    assert [one.note for one in read_decisions(session.path).decisions] == ["gone", "gone"]
    assert json.loads(served.ask("POST", "/undo", {})[1])["undone"] == [0, 1]


def test_a_decision_about_a_label_that_was_changed_since_is_not_shown(run: Path) -> None:
    session = Session(run, "ann")
    session.decide([0, 1], "keep")
    scores = pd.read_csv(run / "scores.csv", dtype=str, keep_default_na=False)
    changed = scores["row"] == str(session.items[0].row)
    scores.loc[changed, "label"] = scores.loc[changed, "label"].map({"yes": "no", "no": "yes"})
    scores.to_csv(run / "scores.csv", index=False)
    again = Session(run, "ann")
    again.refresh()
    assert [one["state"] for one in again.states()[:2]] == ["", "keep"]


def start(run: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [*LOSSVAL, "review", str(run), "--no-browser", *arguments]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=heed_signals)


def send(address: str, path: str, body: Any = None) -> dict[str, Any]:
    where, token = address.strip().split("/?token=")
    data = None if body is None else json.dumps(body).encode()
    headers = {"x-lossval-token": token, "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{where}/{path}", data, headers), timeout=30) as answer:
        said: dict[str, Any] = json.load(answer)
    return said


@pytest.mark.slow
@pytest.mark.usefixtures("fork_server")
def test_a_server_that_is_killed_loses_nothing_and_the_next_goes_on(run: Path) -> None:
    first = start(run, "--reviewer", "ann")
    second = start(run, "--reviewer", "bob")
    assert first.stdout is not None
    assert second.stdout is not None
    address, other = first.stdout.readline(), second.stdout.readline()
    send(address, "decide", {"rows": [0, 1], "action": "drop"})
    send(other, "decide", {"rows": [2], "action": "keep"})
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    states = send(other, "state")["states"]
    assert [one["state"] for one in states[:4]] == ["drop", "drop", "keep", ""]
    assert states[0]["by"] == {"ann": "drop"}
    second.send_signal(signal.SIGINT)
    assert second.wait() == 130
    for process in (first, second):
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.slow
@pytest.mark.usefixtures("fork_server")
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_on_a_terminal_a_key_needs_no_line_break(run: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [*LOSSVAL, "review", str(run), "--terminal", "--reviewer", "ann"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "TERM": "xterm"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)

    def read_until(text: bytes) -> None:
        seen = b""
        while text not in seen:
            seen += os.read(ours, 65536)

    for keys, prompt in ((b"k", b"[Q]uit: "), (b"r", b"[Q]uit: "), (b"yes\n", b": "), (b"q", b"[Q]uit: ")):
        read_until(prompt)
        os.write(ours, keys)
    assert process.wait(timeout=60) == 0
    os.close(ours)
    assert [one.decision for one in read_decisions(run / "decisions.csv").decisions] == ["keep", "relabel"]
