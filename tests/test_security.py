"""A stranger's file is only data: nothing in it is executed, nothing leaves the machine, nothing leaks."""

from __future__ import annotations

import ast
import getpass
import json
import os
import stat
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import pytest
from conftest import PYTHON, Outcome, frame

import lossval_cli
from lossval_cli.cli.check_outputs import OutputFormat

pytestmark = pytest.mark.usefixtures("valued_once")

Cli = Callable[..., Outcome]
PACKAGE = Path(lossval_cli.__file__).parent

FORBIDDEN_MODULES = {
    *("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "ruamel"),
    *(
        "socket",
        "ssl",
        "http",
        "urllib.request",
        "requests",
        "httpx",
        "ftplib",
        "smtplib",
        "subprocess",
        "pty",
    ),
    *("xml.dom", "xml.sax.expatreader", "lxml", "importlib.util", "webbrowser", "telnetlib"),
}
FORBIDDEN_CALLS = {
    *(
        "eval",
        "exec",
        "compile",
        "__import__",
        "os.system",
        "os.popen",
        "os.execv",
        "torch.load",
        "torch.save",
    ),
    *("ET.parse", "ET.fromstring", "ET.iterparse", "ET.XML"),  # XML is written, never read
    *("pd.read_pickle", "np.load", "tempfile.mktemp", "pd.eval", "os.chmod_all", "yaml.load"),
}

ALLOWED = {
    "review/server.py: import socket",  # of 127.0.0.1, for the page of lossval review
    "runtime/distributed.py: import socket",  # to find the other processes of a launcher
    "runtime/launcher.py: import socket",
    "cli/review.py: import webbrowser",  # to open that page
    "features/predictions/sources.py: np.load",  # with allow_pickle=False
}

NO_NETWORK = """
import sys

def refuse(event, arguments):
    if event.startswith("socket."):
        raise AssertionError(f"{event}: {arguments}")

sys.addaudithook(refuse)
from lossval_cli.cli import main
sys.exit(any(main(line.split()) for line in sys.argv[1:]))
"""


def names_of(tree: ast.AST) -> set[str]:
    """Modules that a file imports and functions it calls, dotted as written."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {f"import {name.name}" for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"import {node.module}", *(f"import {node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Call):
            found.add(ast.unparse(node.func))
    return found


@pytest.mark.slow
def test_no_pickle_no_eval_no_yaml_no_network_no_other_programs() -> None:
    offenders = []
    for path in sorted(PACKAGE.rglob("*.py")):
        found = names_of(ast.parse(path.read_text(encoding="utf-8")))
        modules = {name for name in found for bad in FORBIDDEN_MODULES if f"{name}.".startswith(f"import {bad}.")}
        offenders += [f"{path.relative_to(PACKAGE)}: {name}" for name in modules | (found & FORBIDDEN_CALLS)]
    assert set(offenders) == ALLOWED


def test_dependencies_are_none_that_load_yaml_or_pickles() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    names = {line.split(">")[0].lower() for line in project["dependencies"]}
    assert not names & {"pyyaml", "ruamel.yaml", "dill", "cloudpickle", "joblib", "requests", "httpx"}


@pytest.mark.slow
def test_the_real_commands_open_no_socket(tables: Path, fork_server: None) -> None:
    lines = [
        "score train.csv --val val.csv -q --effort low --set epochs=2 --removal quick",
        "check train.lossval --max-suspects 100% --output-format sarif",
        "diff train.lossval train.lossval",
        "report train.lossval -q",
        "validate train.parquet",
        "history train.lossval",
        "review train.lossval --export suspects.csv",
        "review train.lossval --import suspects.csv",
    ]
    done = subprocess.run([*PYTHON, "-c", NO_NETWORK, *lines], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asking = "import socket; socket.socket()"
    refused = subprocess.run([*PYTHON, "-c", NO_NETWORK.partition("from")[0] + asking], capture_output=True, text=True)
    assert "AssertionError: socket.__new__" in refused.stderr


@pytest.mark.slow
def test_a_run_directory_holds_no_absolute_paths_and_no_user(
    cli: Cli, quick: tuple[str, ...], tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables named by absolute paths, a settings file elsewhere, HOME and USER that can be told apart."""
    monkeypatch.setenv("HOME", str(tables / "home-of-mallory"))
    monkeypatch.setenv("USER", "mallory-the-user")
    monkeypatch.setenv("LOGNAME", "mallory-the-user")
    (tables / "elsewhere").mkdir()
    Path("elsewhere/s.toml").write_text("epochs = 2\n")
    absolute = [str(tables / name) for name in ("train.csv", "val.csv", "elsewhere/s.toml")]
    os.mkdir("work")
    monkeypatch.chdir("work")
    done = cli(
        "score", absolute[0], "--val", absolute[1], "--config", absolute[2], "-q",
        "-o", str(tables / "work/out"),
        "--removal", "quick", "--effort", "low",
    )  # fmt: skip
    assert done.code == 0, done.err
    for path in Path("out").iterdir():
        text = path.read_text(encoding="utf-8")
        assert str(tables) not in text, path
        assert "mallory" not in text, path
        assert f"/{getpass.getuser()}/" not in text.replace("https://", ""), path
        assert "/home/" not in text and "/tmp/" not in text, path
    record = json.loads(Path("out/run.json").read_text())
    assert record["inputs"]["train"]["name"] == "train.csv"


HOSTILE = "../../../etc/<script>alert(1)</script>|=cmd()\n::error::owned ##[add-path]x ]]>"


@pytest.mark.slow
def test_names_of_columns_ids_and_classes_are_never_paths_or_code(
    cli: Cli, quick: tuple[str, ...], tables: Path
) -> None:
    """One table whose every name and cell tries to be more than text, through every page and format."""
    table = frame()
    table["customer"] = [f"{HOSTILE}{row}" for row in range(60)]
    table["label"] = table["label"].map({"yes": f"yes{HOSTILE}", "no": f"no{HOSTILE}"})
    table = table.rename(columns={"customer": f"id{HOSTILE}", "label": f"label{HOSTILE}", "size": f"x{HOSTILE}"})
    table.to_csv("train.csv", index=False)
    before = set(tables.rglob("*"))
    run = cli("score", "train.csv", "--label", f"label{HOSTILE}", "--id", f"id{HOSTILE}", "--safe-csv", *quick)
    assert run.code == 0, run.err
    assert {path.parent.name for path in set(tables.rglob("*")) - before if path.is_file()} == {"train.lossval"}
    for text in (run.out, run.err):
        assert all(not line.startswith(("::", "##[")) for line in text.splitlines())
    html = Path("train.lossval/report.html").read_text()
    assert "<script>alert" not in html
    markdown = Path("train.lossval/report.md").read_text()
    assert "<script>alert" not in markdown
    assert all(not line.startswith("::") for line in markdown.splitlines())
    for form in OutputFormat:
        done = cli("check", "train.lossval", "--max-suspects", "0", "--output-format", form.value)
        assert done.code in (0, 1), done.err
        assert "##[" not in done.out, form
        marked = [line for line in done.out.splitlines() if line.startswith("::")]
        assert all(line.startswith(("::error title=lossval", "::warning ")) for line in marked), form
        if form in ("junit", "markdown"):
            assert "<script>" not in done.out


@pytest.mark.slow
def test_redact_holds_in_every_file_and_format(cli: Cli, quick: tuple[str, ...]) -> None:
    table = frame().assign(secret=["swordfish", "hunter2"] * 30, place=[f"street {i}" for i in range(60)])
    table["salary"] = range(73_100, 73_160)
    table.to_csv("train.csv", index=False)
    table.iloc[:9].assign(secret="tr0ub4dor").to_csv("val.csv", index=False)
    assert cli("score", "train.csv", "--val", "val.csv", *quick, "--redact", "--id", "customer").code == 0
    texts = {path.name: path.read_text() for path in Path("train.lossval").iterdir()}
    for form in OutputFormat:
        texts[form.value] = cli("check", "train.lossval", "--max-suspects", "0", "--output-format", form.value).out
    texts["report"] = cli("report", "train.lossval", "-o", "-", "--format", "html").out
    words = ("swordfish", "hunter2", "tr0ub4dor", "c0-7", "street 4", "73107", "73,107")
    assert {name: [word for word in words if word in text] for name, text in texts.items()} == {
        name: [] for name in texts
    }


@pytest.mark.parametrize("target", ["link.csv", "link/out.csv", "../outside.csv", "dangling.csv"])
def test_outputs_replace_no_link_and_stay_where_they_are_named(
    target: str, cli: Cli, quick: tuple[str, ...], tables: Path
) -> None:
    """A file behind a link is never written through; a directory behind one is the user's choice."""
    os.mkdir("real")
    Path("precious").write_text("mine")
    os.symlink("precious", "link.csv")
    os.symlink("real", "link")
    os.symlink("nowhere", "dangling.csv")
    done = cli("score", "train.csv", *quick, "-q", "-o", target, "--force")
    assert Path("precious").read_text() == "mine"
    assert not Path("nowhere").exists()
    if target in ("link.csv", "dangling.csv"):
        assert done.code == 2
        assert "is a symbolic link" in done.err
    else:
        assert done.code == 0, done.err
        assert stat.S_ISREG(os.lstat(target).st_mode)
    Path("../outside.csv").unlink(missing_ok=True)


def test_an_output_file_of_check_follows_no_link(cli: Cli, once: Cli, quick: tuple[str, ...]) -> None:
    once("score", "train.csv", "-q", *quick)
    Path("precious").write_text("mine")
    os.symlink("precious", "out.json")
    done = cli("check", "train.lossval", "--output-format", "json", "--output-file", "out.json")
    assert done.code == 2
    assert Path("precious").read_text() == "mine"


def test_what_is_being_written_is_for_its_owner_alone(cli: Cli, quick: tuple[str, ...], tables: Path) -> None:
    """While a real run writes: the directory 0700, each file in it 0600 until it is whole."""
    seen: dict[str, int] = {}
    from lossval_cli.runtime import atomic_write

    write = atomic_write.write_new

    def watched(path: Path, content: atomic_write.Content, *rest: object, **more: object) -> None:
        def look(file: BinaryIO) -> None:
            seen[path.parent.name[-11:]] = stat.S_IMODE(os.stat(path.parent).st_mode)
            seen[path.name] = stat.S_IMODE(os.stat(path).st_mode)
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)

        write(path, look, *rest, **more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic_write, "write_new", watched)
        assert cli("score", "train.csv", "-q", *quick).code == 0
    assert seen.pop("lossval-tmp") == 0o700
    assert len(seen) == 5
    assert set(seen.values()) == {0o600}
    assert pd.read_csv("train.lossval/scores.csv").shape[0] == 60
