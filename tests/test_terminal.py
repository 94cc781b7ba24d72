"""A hostile table on a real terminal: what it holds is seen as text, and the terminal obeys none of it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import unicodedata
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest
from conftest import LOSSVAL, frame
from rich.cells import cell_len
from test_cli_process import ENVIRONMENT, QUICK, heed_signals

from lossval_cli.report.display import WIDTH
from lossval_cli.text.format import escape_control

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fork_server")]

HOSTILE = (
    "\x1b[2J\x1b[31mred",
    "\x1b]0;a title\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31m",
    "\x9d0;a title\x9c",
    "\u202eevil\u202c\u2066\u200b\u200d",
    "a" + "\u0301" * 300,
    "\u3164\u115f\u1160\u2800\uffa0",
    "[red]markup[/red][link=http://x]y[/link]",
    "a\ttab, two\nlines, one\rcarriage and \x08\x7f",
    "漢" * 100,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 30,
    "x" * 10_000,
)
LABEL, RUN = "\x1b[31mlabel\u202e", "o\x1b[2J\u202e.lossval"
SCORE = ("score", "train.csv", "--val", "val.csv", "--label", LABEL, "--id", HOSTILE[13], *QUICK)

OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A|\r")
"""Colours, and how the bar comes and goes."""


def on_a_terminal(*arguments: str, width: int = 80, stop_at: str | None = None, **environment: str) -> str:
    """All that a command sends to the terminal that is its standard output and error; Ctrl-C once that is
    `stop_at`."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    here = {name: value for name, value in ENVIRONMENT.items() if name not in ("NO_COLOR", "COLUMNS")}
    running = subprocess.Popen(
        [*LOSSVAL, *arguments],
        env=here | {"TERM": "xterm-256color", "PYTHONUTF8": "1"} | environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=heed_signals,
    )
    os.close(theirs)
    sent = b""
    for piece in _pieces(ours):
        sent += piece
        if stop_at is not None and stop_at.encode() in sent:
            running.send_signal(signal.SIGINT)
            stop_at = None
    os.close(ours)
    assert running.wait() in (0, 1, 130), sent
    return sent.decode().replace("\r\n", "\n")


def _pieces(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # Linux says so that nobody is left at the other end
            return
        if not piece:
            return
        yield piece


def assert_harmless(sent: str) -> list[str]:
    """That nothing is left but visible text once what is ours is away; its lines."""
    lines = OURS.sub("", sent).split("\n")
    for line in lines:
        assert escape_control(line.replace("\t", "")) == line.replace("\t", "")
        assert not any(unicodedata.category(char) in ("Cc", "Cf") for char in line.replace("\t", ""))
    return lines


@pytest.fixture
def hostile(tables: Path) -> None:
    for name, rows, seed in (("train.csv", 90, 0), ("val.csv", 45, 1)):
        table = frame(rows, seed).rename(columns={"label": LABEL, "customer": HOSTILE[13]})
        table[HOSTILE[13]] = [f"{cell}{seed}" for cell in islice(cycle(HOSTILE), rows)]
        table[LABEL] = table[LABEL].replace({"yes": HOSTILE[1], "no": HOSTILE[7]})
        for i, cell in enumerate(HOSTILE[:13]):
            table[cell] = list(islice(cycle(HOSTILE[i:5] or (1.5, 2.5, 4.0)), rows))
        table.to_csv(name, index=False, quoting=1)


@pytest.mark.usefixtures("hostile")
def test_whatever_a_table_holds_reaches_the_terminal_as_text() -> None:
    """The bar, the summary, and every command that shows names or gives back cells, which a pipe gets as they
    are."""
    lines = assert_harmless(on_a_terminal(*SCORE, "-o", RUN, width=20))
    summary = lines[next(i for i, line in enumerate(lines) if line.startswith("train.csv: ")) :]
    assert all(cell_len(line) <= WIDTH for line in summary if not line.startswith("  lossval clean "))
    assert any("\\x1b]0;" in line for line in summary)
    for command in (
        ("validate", "train.csv", "--label", LABEL, "--val", "val.csv"),
        ("check", RUN, "--max-suspects", "0%", "--max-class-suspects", f"{HOSTILE[1]}=0%"),
        ("diff", RUN, RUN),
        ("report", RUN, "-o", "-", "--format", "html"),
        ("acquire", "val.csv", "--run", RUN, "-n", "20", "--format", "jsonl"),
        (*SCORE[:-2], "-o", "-"),
    ):
        assert_harmless(on_a_terminal(*command))
    cleaned = ("clean", RUN, "--drop", "suspects", "-o", "-", "--quiet")
    shown = on_a_terminal(*cleaned)
    assert_harmless(shown)
    assert HOSTILE[2].encode("unicode_escape").decode() in shown
    piped = subprocess.run([*LOSSVAL, *cleaned], env=ENVIRONMENT, capture_output=True, check=True).stdout
    assert HOSTILE[2].encode() in piped


@pytest.mark.usefixtures("hostile")
def test_the_terminal_is_left_as_it_was_by_ctrl_c_and_a_plain_one_gets_no_sequence() -> None:
    """The cursor is back and the bar is gone; with TERM=dumb there was none."""
    sent = on_a_terminal(*SCORE, "--set", "epochs=100000", "-o", RUN, stop_at="epoch ")
    assert sent.rindex("\x1b[?25h") > sent.rindex("\x1b[?25l")
    assert assert_harmless(sent)[-2:] == ["interrupted", ""]
    assert sorted(path.name for path in Path().iterdir()) == ["train.csv", "train.parquet", "val.csv"]
    assert "\x1b" not in on_a_terminal(*SCORE, "-o", RUN, TERM="dumb")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Ἀθῆναι, שָׁלוֹם, ភ្នំ, 東京, ❤️", "Ἀθῆναι, שָׁלוֹם, ភ្នំ, 東京, ❤️"),
        ("\u3164\u2800", "\\u3164\\u2800"),
    ],
)
def test_text_of_any_script_stays_and_what_would_cover_or_hide_it_is_spelled_out(text: str, seen: str) -> None:
    assert escape_control(text) == seen
    assert escape_control(seen) == seen
