"""Decisions of reviewers: a file that loses nothing, found again in a changed table, applied by `clean`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import Outcome

from lossval_cli.errors import ReadError
from lossval_cli.runs.decided_rows import match_decisions, true_label
from lossval_cli.runs.decisions import (
    Decision,
    append_decisions,
    decision_lines,
    final_verdicts,
    header_line,
    parse_decisions,
    read_decisions,
)
from lossval_cli.runs.loaded import read_run
from lossval_cli.runs.matching import Identity, own_keys

pytestmark = pytest.mark.usefixtures("valued_once")


def decision(key: str, what: str, **more: object) -> Decision:
    return Decision(key=key, decision=what, **more)  # type: ignore[arg-type]


HOSTILE = ["=cmd|' /C calc'!A0", "'quoted", "-1.5", "+49 30", 'a,b"c\nd\r\\n', "\0", "＝1+1", "é🍷", "\\"]


def test_what_is_written_reads_back_whatever_the_cells_hold(tmp_path: Path) -> None:
    wrote = [decision("k", "relabel", value=text, note=text, label=text, chance=0.25) for text in HOSTILE]
    append_decisions(tmp_path / "d.csv", wrote)
    assert read_decisions(tmp_path / "d.csv") == (wrote, [])
    lines = (tmp_path / "d.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(HOSTILE)
    assert not any(cell.startswith(("=", "+4", "＝")) for line in lines for cell in line.replace('"', "").split(","))


def test_damaged_lines_are_reported_and_harm_no_other(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    append_decisions(path, [decision("a", "keep")])
    with path.open("ab") as file:
        file.write(b'"torn, by a writer that was stopped')
    append_decisions(path, [decision("b", "drop")])
    with path.open("ab") as file:
        file.write(b"\xff\xfe,,keep\nc,,perhaps,,,,,,,,,,,\n" + b"," * 13 + b"\n")
    found = read_decisions(path)
    assert [one.key for one in found.decisions] == ["a", "b"]
    assert [damaged.line for damaged in found.damaged] == [3, 5, 6, 7]
    assert "'perhaps' is none of keep, relabel" in found.damaged[2].why


def test_a_file_that_is_none_of_decisions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no column key"):
        parse_decisions(b"id,label\n1,2\n", "table.csv")
    with pytest.raises(ReadError, match="cannot be read"):
        read_decisions(tmp_path / "none.csv")


def test_a_spreadsheet_may_have_saved_it_with_semicolons_and_fewer_columns() -> None:
    found = parse_decisions("\ufeffkey;decision;value;probability\r\nk;relabel;yes;0,5\r\n".encode(), "d.csv")
    assert found.decisions == [decision("k", "relabel", value="yes", probability=0.5)]


def test_a_writer_that_is_killed_loses_nothing_that_it_said_was_written(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lossval_cli.runs.decisions import *\n"
        "for i in range(100000):\n"
        "    append_decisions(Path(sys.argv[1]), [Decision(key=str(i), decision='keep')])\n"
        "    print(i, flush=True)"
    )
    path = tmp_path / "d.csv"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(20)]
    os.kill(process.pid, signal.SIGKILL)
    said += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    kept = {one.key for one in read_decisions(path).decisions}
    assert {line.strip() for line in said if line.endswith("\n")} <= kept


def test_two_writers_at_once_do_not_mix_lines(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    append_decisions(path, [])

    def write(reviewer: str) -> None:
        for i in range(50):
            append_decisions(path, [decision(str(i), "keep", reviewer=reviewer, note="x" * 500)])

    writers = [threading.Thread(target=write, args=(name,)) for name in ("ann", "bob")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = read_decisions(path)
    assert (len(found.decisions), found.damaged) == (100, [])


def test_the_last_word_of_each_reviewer_counts_and_undo_takes_it_back() -> None:
    lines = [
        decision("a", "drop", reviewer="ann"),
        decision("a", "keep", reviewer="ann"),
        decision("b", "relabel", value="x", reviewer="ann"),
        decision("b", "fix", column="age", value="7", reviewer="ann"),
        decision("c", "drop", reviewer="ann"),
        decision("c", "undo", reviewer="ann"),
        decision("c", "undo", reviewer="ann"),
        decision("d", "skip", reviewer="ann"),
        decision("e", "keep", reviewer="ann"),
        decision("e", "drop", reviewer="bob"),
        decision("f", "keep", reviewer="ann", time="1"),
        decision("f", "keep", reviewer="bob", time="2"),
    ]
    agreed, disputed, skipped = final_verdicts(lines)
    assert {key: verdict.decision for key, verdict in agreed.items()} == {"a": "keep", "b": "relabel", "f": "keep"}
    assert (agreed["b"].label, agreed["b"].cells) == ("x", (("age", "7"),))
    assert agreed["f"].last.reviewer == "bob"
    assert {who: verdict.decision for who, verdict in disputed["e"].items()} == {"ann": "keep", "bob": "drop"}
    assert set(skipped) == {"d"}


def table(*rows: tuple[str, str, str]) -> Identity:
    """Id, hash of the content, label."""
    return Identity([f'["{name}"]' for name, *_ in rows], [content for _, content, _ in rows], [row[2] for row in rows])


@pytest.mark.parametrize(
    ("what", "value", "content", "label", "state"),
    [
        ("keep", "", "c", "yes", "right"),
        ("keep", "", "c", "no", "stale"),  # somebody changed the label that was kept
        ("keep", "", "other", "yes", "stale"),
        ("relabel", "no", "c", "yes", "pending"),
        ("relabel", "no", "c", "no", "right"),
        ("relabel", "no", "c", "maybe", "stale"),
        ("drop", "", "c", "yes", "pending"),
        ("fix", "7", "c", "yes", "pending"),
        ("fix", "7", "c2", "yes", "right"),
        ("fix", "7", "other", "yes", "stale"),
    ],
)
def test_a_decision_holds_as_long_as_the_row_is_as_seen_or_as_wanted(
    what: str, value: str, content: str, label: str, state: str
) -> None:
    said = decision(
        '["a"]', what, value=value, label="yes", content="c", fixed="c2", column="age" if what == "fix" else ""
    )
    found = match_decisions(final_verdicts([said]).agreed, table(("b", "c", "yes"), ("a", content, label)))
    assert found.missing == []
    assert found.rows[1].state == state
    expected = {"right": value if what == "relabel" else "yes", "pending": value or None, "stale": None}[state]
    if what == "fix" and state == "pending":
        expected = "yes"
    assert true_label(found.rows[1]) == expected


def test_rows_are_found_by_content_where_ids_are_none_or_repeat() -> None:
    by_content = Identity(None, ["x", "y", "y"], ["1", "1", "2"])
    verdicts = final_verdicts(
        [
            decision("x", "keep", label="1"),
            decision('y "2" 1', "keep", label="2"),
            decision('y "1" 1', "relabel", label="1", value="2"),
            decision("gone", "keep"),
        ]
    ).agreed
    found = match_decisions(verdicts, by_content)
    assert {row: decided.verdict.decision for row, decided in found.rows.items()} == {
        0: "keep",
        2: "keep",
        1: "relabel",
    }
    assert found.missing == ["gone"]
    repeated = table(("a", "c1", "1"), ("a", "c2", "1"))
    found = match_decisions(final_verdicts([decision('["a"] c2', "drop", label="1")]).agreed, repeated)
    assert list(found.rows) == [1]


@pytest.fixture
def run(cli: Callable[..., Outcome], quick: tuple[str, ...]) -> Path:
    """A run directory of train.csv."""
    assert cli("score", "train.csv", "--val", "val.csv", *quick).code == 0
    return Path("train.lossval")


def keys(run: Path) -> list[str]:
    """Of the rows, in the order of the file."""
    loaded = read_run(run)
    found = own_keys(loaded)
    return [found[i] for i in loaded.row.argsort().tolist()]


@pytest.mark.slow
def test_clean_applies_decisions_and_leaves_every_other_byte(run: Path, cli: Callable[..., Outcome]) -> None:
    key = keys(run)
    lines = Path("train.csv").read_text().splitlines(keepends=True)
    append_decisions(
        run / "decisions.csv",
        [
            decision(key[0], "relabel", value="yes", label="no"),
            decision(key[1], "drop", label="yes"),
            decision(key[2], "keep", label="no"),
            decision(key[3], "fix", column="age", value="44", label=lines[4].strip().rsplit(",", 1)[1]),
            decision(key[4], "fix", column="size", value="", label=lines[5].strip().rsplit(",", 1)[1]),
            decision('["nobody"]', "drop", label="no"),
            decision(key[5], "drop", label="another label than the row has"),
        ],
    )
    done = cli("clean", str(run), "-o", "out.csv", "--decisions", "--removed", "gone.csv")
    assert done.code == 0, done.err
    expected = list(lines)
    expected[1] = lines[1].replace(",no\n", ",yes\n")
    customer, size, _, label = lines[4].split(",")
    expected[4] = f"{customer},{size},44,{label}"
    customer, _, age, label = lines[5].split(",")
    expected[5] = f"{customer},,{age},{label}"
    del expected[2]
    assert Path("out.csv").read_text() == "".join(expected)
    assert Path("gone.csv").read_text() == lines[0] + lines[2]
    assert "59 of 60 rows kept, 1 in gone.csv, 1 relabelled, 2 cells fixed" in done.err
    assert "1 decision left out: the row is not in the table any more" in done.err
    assert "1 decision left out: the row was changed after the decision" in done.err


@pytest.mark.slow
def test_what_reviewers_kept_is_not_dropped_with_the_suspects(run: Path, cli: Callable[..., Outcome]) -> None:
    scores = pd.read_csv(run / "scores.csv").sort_values("row", ignore_index=True)
    suspects = scores.loc[scores["suspect"].notna(), "row"].tolist()
    if not suspects:
        pytest.skip("no suspect among these rows")
    kept = suspects[0]
    append_decisions(run / "decisions.csv", [decision(keys(run)[kept], "keep", label=str(scores["label"][kept]))])
    done = cli("clean", str(run), "-o", "out.csv", "--decisions", "--drop", "suspects")
    assert done.code == 0, done.err
    left = pd.read_csv("out.csv")
    assert len(left) == 60 - len(suspects) + 1
    assert scores["customer"][kept] in left["customer"].tolist()


@pytest.mark.slow
def test_clean_of_parquet_stores_decided_values_in_the_type_of_the_column(
    cli: Callable[..., Outcome], quick: tuple[str, ...], tables: Path
) -> None:
    frame = pd.read_parquet("train.parquet")
    frame["label"] = frame["label"].astype("category")
    frame.to_parquet("train.parquet", index=False)
    assert cli("score", "train.parquet", *quick).code == 0
    run = Path("train.lossval")
    key = keys(run)
    label = str(frame["label"][0])
    said = [
        decision(key[0], "relabel", value="perhaps", label=label),
        decision(key[0], "fix", column="age", value="44", label=label),
    ]
    append_decisions(run / "decisions.csv", said)
    assert cli("clean", str(run), "-o", "out.parquet", "--decisions").code == 0
    out = pd.read_parquet("out.parquet")
    assert (out["label"][0], out["age"][0]) == ("perhaps", 44)
    assert out.dtypes["age"] == frame.dtypes["age"]
    append_decisions(
        run / "decisions.csv", [decision(key[1], "fix", column="age", value="old", label=str(frame["label"][1]))]
    )
    done = cli("clean", str(run), "-o", "again.parquet", "--decisions")
    assert done.code == 2
    assert "'old' cannot be stored in column age, which holds int64" in done.err


@pytest.mark.slow
def test_clean_without_a_file_of_decisions_says_what_writes_one(run: Path, cli: Callable[..., Outcome]) -> None:
    done = cli("clean", str(run), "-o", "out.csv", "--decisions")
    assert done.code == 2
    assert "`lossval review train.lossval` writes it" in done.err
    assert not Path("out.csv").exists()


@pytest.mark.slow
def test_the_next_run_into_the_directory_keeps_the_decisions(
    run: Path, cli: Callable[..., Outcome], quick: tuple[str, ...]
) -> None:
    append_decisions(run / "decisions.csv", [decision(keys(run)[0], "keep")])
    before = (run / "decisions.csv").read_bytes()
    done = cli("score", "train.csv", "--val", "val.csv", *quick)
    assert done.code == 0
    assert "--decisions train.lossval/decisions.csv learns from it" in done.err
    assert (run / "decisions.csv").read_bytes() == before


def test_lines_of_decisions_are_made_of_the_columns_in_order() -> None:
    assert decision_lines([decision("k", "drop")]).startswith("k,,drop,")


@pytest.mark.parametrize("saved", ["key;where;decision;value\r\nk;line 2;keep;\r\n", "\ufeffkey,decision\nk,keep"])
def test_a_file_that_a_spreadsheet_has_saved_is_appended_to(tmp_path: Path, saved: str) -> None:
    path = tmp_path / "d.csv"
    path.write_text(saved, encoding="utf-8", newline="")
    more = [decision("l", "relabel", value="a;b,c", note="n"), decision("m", "drop", probability=0.5)]
    for one in more:
        append_decisions(path, [one])
    found = read_decisions(path)
    assert found.damaged == []
    assert [one.key for one in found.decisions] == ["k", "l", "m"]
    assert found.decisions[1:] == more


def test_two_reviewers_who_both_begin_the_file_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text((header_line() + decision_lines([decision("a", "keep")])) * 2)
    assert read_decisions(path) == ([decision("a", "keep")] * 2, [])


@pytest.mark.parametrize("text", ["007", "1/2", "1.5", "1e5", "2024-03-01", "TRUE", "12345678901234567890", "+5"])
def test_what_a_spreadsheet_would_save_as_something_else_is_kept_as_text(text: str) -> None:
    wrote = decision(text, "relabel", value=text, label="12")
    line = decision_lines([wrote])
    assert line.startswith(f"'{text},,relabel,,'{text},12,")
    assert parse_decisions((header_line() + line).encode(), "d.csv").decisions == [wrote]
