"""What pages say is so: commands run, outputs look as shown, made pages are as made, links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
from conftest import PYTHON, Outcome

import lossval_cli
from docs.blocks import ROOT, Block, blocks, pages
from docs.generate import pages as made_pages
from tests.test_layers import LAYERS

PAGES = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in pages()}

RUNNABLE = [
    name for name, text in PAGES.items() if any(block.runs for block in blocks(text)) and name != "docs/tutorial.md"
]

QUICK = '[tool.lossval]\neffort = "low"\nepochs = 2\n'
"""Read by every command that is not given --config. The tutorial runs without it: what it shows is real."""

SHORT = {"score": ("--removal", "off"), "calibrate": ("--repeats", "1", "--rates", "0.2")}
"""Added to commands that do not say them, where QUICK is read."""

QUICK_IN_PYTHON = {"effort": "low", "epochs": 2, "removal": "off"}
"""The same for `lossval_cli.score`, which reads no file of settings."""

SHELL = """lossval() { "$PYTHON" -I -S "$CLIENT" -m lossval_cli "$@"; }
python() { "$PYTHON" -I -S "$CLIENT" "$@"; }
export -f lossval python
"""


@pytest.fixture
def folder(tables: Path) -> Path:
    """The current directory, with what pages call data.csv, val.csv, …: extracts of the example, of the frequent
    labels alone."""
    names = {"data.csv": ("wine", 0, 150), "main.csv": ("wine", 0, 120), "unlabelled.csv": ("wine", 150, 250),
             "val.csv": ("wine_val", 0, 60), "test.csv": ("wine_val", 60, 120)}  # fmt: skip
    for name, (source, first, last) in names.items():
        head, *rows = (ROOT / "examples" / f"{source}.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        i = head.strip().split(",").index("quality")
        frequent = [row for row in rows if row.strip().split(",")[i] in ("5", "6", "7")]
        (tables / name).write_text(head + "".join(frequent[first:last]), encoding="utf-8")
    pd.read_csv(tables / "data.csv").to_parquet(tables / "data.parquet", index=False)
    (tables / "pyproject.toml").write_text(QUICK)
    return tables


@pytest.fixture
def run(cli: Callable[..., Outcome], folder: Path, fork_server: None) -> Callable[[str], Outcome]:
    """Run one command line: `lossval` alone in this process, which has PyTorch already; others in a shell."""

    def call(line: str) -> Outcome:
        if line.startswith("lossval ") and not re.search(r"[|<>&;$*~]", line):
            arguments = shlex.split(line)[1:]
            short = SHORT.get(arguments[0], ()) if Path("pyproject.toml").is_file() else ()
            short = (*short, "--effort", "low") if short and "--config" in arguments else short
            return cli(*arguments, *(() if set(short) & set(arguments) else short))
        environment = os.environ | {
            "PYTHON": sys.executable,
            "CLIENT": PYTHON[-1],
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "80",
        }
        done = subprocess.run(
            ["bash", "-c", SHELL + line], capture_output=True, check=False, env=environment, cwd=folder
        )
        return Outcome(done.returncode, done.stdout, done.stderr.decode())

    return call


def heads(text: str) -> set[str]:
    """How the lines of an output begin: what of them is the same with other rows, machines and versions."""
    return set(re.findall(r"^[A-Za-z](?:[^\s\d:]| (?! ))*", text, re.MULTILINE))


def run_page(name: str, run: Callable[[str], Outcome]) -> None:
    printed = ""
    names: dict[str, object] = {"__name__": "__main__"}  # later blocks of Python go on from earlier ones
    for block in blocks(PAGES[name]):
        where = f"{name}:{block.line}"
        if block.is_output:
            missing = heads(block.body) - heads(printed)
            assert not missing, f"{where}: not printed, run `python -m docs.record`: {', '.join(missing)}"
        if not block.runs:
            continue
        if block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as stream:
                exec(compile(block.body, where, "exec"), names)
            printed = stream.getvalue()
            continue
        printed = ""
        for line in block.commands():
            if "jq " in line and not shutil.which("jq"):
                continue
            outcome = run(line)
            # A gate may fail on these tables, and 1 says that it was asked.
            assert outcome.code in ((0, 1) if "lossval check" in line else (0,)), f"{where}: {line}\n{outcome.err}"
            assert "error: " not in outcome.err or outcome.code == 1, f"{where}: {line}\n{outcome.err}"
            printed += outcome.out + outcome.err


@pytest.mark.slow
@pytest.mark.usefixtures("valued_once")
@pytest.mark.parametrize("name", RUNNABLE)
def test_commands_of_a_page_run(name: str, run: Callable[[str], Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    score = lossval_cli.score
    monkeypatch.setattr(lossval_cli, "score", lambda *tables, **given: score(*tables, **QUICK_IN_PYTHON | given))
    run_page(name, run)


@pytest.mark.slow
@pytest.mark.usefixtures("valued_once", "all_models")
def test_the_tutorial_shows_what_happens_and_the_demo_finds_most_of_what_it_flags(
    run: Callable[[str], Outcome], cli: Callable[..., Outcome], folder: Path
) -> None:
    """On the whole example, with the settings a reader has: both are the same run, which is trained once."""
    (folder / "pyproject.toml").unlink()
    for source in (ROOT / "examples").glob("wine*.csv"):
        shutil.copy(source, folder)
    run_page("docs/tutorial.md", run)
    done = cli("demo", "--quiet")
    assert done.code == 0, done.err
    found = re.search(r"among\s+(\d+) suspects\s+(\d+)", done.out)
    assert found is not None
    assert int(found[2]) > 0.6 * int(found[1]) > 60
    lowest = re.search(r"in the lowest\s+300 rows\s+(\d+)", done.out)
    assert lowest is not None
    assert int(lowest[1]) > 150  # 45 by chance


def test_made_pages_are_as_made() -> None:
    """With the pinned typer: others spell ranges otherwise."""
    pinned = re.search(r"^typer==(.*)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M)
    assert pinned is not None
    if version("typer") != pinned[1]:
        pytest.skip(f"pages are made with typer {pinned[1]}")
    old = [path.name for path, text in made_pages().items() if path.read_text(encoding="utf-8") != text]
    assert old == [], "run `python -m docs.generate`"


def test_the_man_page_is_roff() -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("no groff here")
    done = subprocess.run(
        [groff, "-man", "-ww", "-Kutf8", "-Tutf8", ROOT / "docs" / "lossval.1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    shown = re.sub(r"\x1b\[[\d;]*m|.\x08", "", done.stdout)  # bold, in either way of writing it
    assert "--max-suspects LIMIT" in shown
    assert "lossval score data.csv --val val.csv" in shown


def test_what_cannot_run_says_why() -> None:
    """A block of commands is run, or says why not; blocks of no language would be neither."""
    for name, text in PAGES.items():
        for block in blocks(text):
            assert block.language, f"{name}:{block.line} is of no language"
            for reason in re.findall(r"<!-- not run:? ?(.*?) ?-->", block.comments):
                assert len(reason) > 10, f"{name}:{block.line}"


def test_links_lead_somewhere() -> None:
    """Files are there, and headings of this page and others."""
    broken = []
    for name in PAGES:
        prose = re.sub(r"^```.*?^```$", "", PAGES[name], flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if "://" in target:
                continue
            path, _, heading = target.partition("#")
            file = ((ROOT / name).parent / path) if path else ROOT / name
            if not file.exists() or (heading and heading not in headings(file.read_text(encoding="utf-8"))):
                broken.append(f"{name}: {target}")
    assert broken == []


def headings(text: str) -> set[str]:
    """Anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_in_a_list() -> None:
    """Pages for users in that of README.md, research notes in that of their folder."""
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)\)", PAGES["README.md"]))
    assert linked == {name for name in PAGES if name.startswith("docs/") and "/research/" not in name}
    notes = {name.rpartition("/")[2] for name in PAGES if "/research/" in name} - {"README.md"}
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", PAGES["docs/research/README.md"])) == notes


def test_pictures_are_there_small_and_described() -> None:
    pictures = re.findall(r"!\[(.*?)\]\((docs/images/[\w.-]+)\)", PAGES["README.md"])
    assert len(pictures) == 3
    for description, path in pictures:
        assert len(description) > 20
        assert (ROOT / path).stat().st_size < 300_000


def test_blocks_are_found_with_their_comments() -> None:
    text = "a\n\n<!-- not run: because of that -->\n```console\nx \\\n  y\n\nz\n```\n\n```text\n1\n```\n"
    first, second = blocks(text)
    assert first == Block("console", "<!-- not run: because of that -->\n", "x \\\n  y\n\nz\n", 3, first.span)
    assert (first.runs, second.runs, second.line) == (False, False, 11)
    assert [line.split() for line in first.commands()] == [["x", "y"], ["z"]]


def test_the_page_of_the_architecture_has_every_room_in_its_order() -> None:
    text = PAGES["docs/architecture.md"].partition("## Symbols")[0]
    named = re.findall(r"`(\w+)/?`", "\n".join(re.findall(r"^\| (.*?) \|", text, re.MULTILINE)))
    assert [name for name in named if name in sum(LAYERS, ())] == named
    height = {room: i for i, rooms in enumerate(LAYERS) for room in rooms}
    assert [height[name] for name in named] == sorted(height[name] for name in named)
    assert set(height) - set(named) == {"__main__"}


def test_the_lines_that_the_readme_shows_are_those_of_the_tutorial() -> None:
    shown = re.search(r"```text\n(Suspects .*?)```", PAGES["README.md"], re.DOTALL)
    assert shown is not None
    assert set(shown[1].splitlines()) <= set(PAGES["docs/tutorial.md"].splitlines())
