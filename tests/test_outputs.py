"""Files appear whole or not at all, and nothing of the user's is ever lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from conftest import Outcome

from lossval_cli.errors import OutputError
from lossval_cli.runtime import atomic_write
from lossval_cli.runtime.atomic_write import check_directory, check_file, write_directory, write_file

RECORD = json.dumps({"tool": "lossval", "schema_version": 1}).encode()


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def a_run(content: bytes = b"new") -> dict[str, atomic_write.Content]:
    return {"scores.csv": content, "run.json": RECORD}


def left() -> list[str]:
    return sorted(os.listdir())


def no_space(file: BinaryIO) -> None:
    file.write(b"half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_new_directory_is_whole_and_has_ordinary_permissions() -> None:
    before = os.umask(0o022)
    try:
        write_directory(Path("out"), a_run(), force=False)
    finally:
        os.umask(before)
    assert left() == ["out"]
    assert sorted(os.listdir("out")) == ["run.json", "scores.csv"]
    assert stat.S_IMODE(os.stat("out").st_mode) == 0o755
    assert stat.S_IMODE(os.stat("out/scores.csv").st_mode) == 0o644


def test_nobody_else_can_read_what_is_being_written() -> None:
    seen = []

    def look(file: BinaryIO) -> None:
        (beside,) = os.listdir()
        seen.append(stat.S_IMODE(os.stat(beside).st_mode))
        seen.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))

    write_directory(Path("out"), {"scores.csv": look, "run.json": RECORD}, force=False)
    assert seen == [0o700, 0o600]


class TestReplacing:
    def test_an_older_run_goes_and_what_the_user_added_stays(self) -> None:
        write_directory(Path("out"), a_run(b"old") | {"scores.parquet": b"old"}, force=False)
        Path("out/notes.txt").write_text("mine")
        os.mkdir("out/more")
        write_directory(Path("out"), a_run(), force=False)
        assert sorted(os.listdir("out")) == ["more", "notes.txt", "run.json", "scores.csv"]
        assert Path("out/scores.csv").read_bytes() == b"new"
        assert Path("out/notes.txt").read_text() == "mine"
        assert left() == ["out"]

    def test_force_puts_a_run_into_a_directory_of_the_users(self) -> None:
        os.mkdir("out", 0o750)
        os.chmod("out", 0o750)
        Path("out/thesis.tex").write_text("mine")
        with pytest.raises(OutputError, match="exists and was not written by lossval"):
            write_directory(Path("out"), a_run(), force=False)
        assert os.listdir("out") == ["thesis.tex"]
        write_directory(Path("out"), a_run(), force=True)
        assert sorted(os.listdir("out")) == ["run.json", "scores.csv", "thesis.tex"]
        assert stat.S_IMODE(os.stat("out").st_mode) == 0o750
        assert left() == ["out"]

    def test_a_full_disk_leaves_the_older_run(self) -> None:
        write_directory(Path("out"), a_run(b"old"), force=False)
        with pytest.raises(OutputError, match=r"^out cannot be written: no space left on device$"):
            write_directory(Path("out"), {"run.json": no_space}, force=False)
        assert Path("out/scores.csv").read_bytes() == b"old"
        assert left() == ["out"]


def test_a_failed_second_rename_brings_the_older_run_back(monkeypatch: pytest.MonkeyPatch) -> None:
    write_directory(Path("out"), a_run(b"old"), force=False)
    rename, calls = os.rename, []

    def second_fails(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(OutputError, match="input/output error"):
        write_directory(Path("out"), a_run(), force=False)
    assert Path("out/scores.csv").read_bytes() == b"old"
    assert left() == ["out"]


def test_what_a_killed_run_left_is_cleared_but_not_what_is_in_use() -> None:
    os.mkdir(".out.dead0000.lossval-tmp")
    Path(".out.dead0000.lossval-tmp/scores.csv").write_text("half")
    os.mkdir(".other.dead0000.lossval-tmp")
    with atomic_write._Private(Path("out")) as alive:
        write_directory(Path("out"), a_run(), force=False)
        assert left() == [".other.dead0000.lossval-tmp", alive.path.name, "out"]
    assert left() == [".other.dead0000.lossval-tmp", "out"]


def test_a_run_killed_between_two_renames_is_put_back() -> None:
    write_directory(Path("out"), a_run(b"old"), force=False)
    os.rename("out", ".out.dead0000.lossval-old")
    check_directory(Path("out"), force=False)
    assert left() == ["out"]
    assert Path("out/scores.csv").read_bytes() == b"old"


def test_files_of_the_user_survive_a_kill_after_the_renames() -> None:
    write_directory(Path("out"), a_run(), force=False)
    os.mkdir(".out.dead0000.lossval-tmp")
    Path(".out.dead0000.lossval-tmp/notes.txt").write_text("mine")
    check_directory(Path("out"), force=False)
    assert left() == ["out"]
    assert Path("out/notes.txt").read_text() == "mine"


def test_an_interruption_while_writing_leaves_nothing() -> None:
    def stop(file: BinaryIO) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_directory(Path("out"), {"run.json": stop}, force=False)
    with pytest.raises(KeyboardInterrupt):
        write_file(Path("out.csv"), stop, force=False)
    assert left() == []


def test_an_interruption_between_the_renames_waits_until_they_are_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_directory(Path("out"), a_run(b"old"), force=False)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in the background
    move = atomic_write._move_others

    def interrupted(old: Path, new: Path) -> None:
        signal.raise_signal(signal.SIGINT)
        move(old, new)

    monkeypatch.setattr(atomic_write, "_move_others", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_directory(Path("out"), a_run(), force=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert left() == ["out"]
    assert Path("out/scores.csv").read_bytes() == b"new"


def test_killed_at_any_moment_there_is_one_whole_run_once_the_next_looks() -> None:
    loop = (
        "import json\nfrom pathlib import Path\nfrom lossval_cli.runtime.atomic_write import write_directory\n"
        "record = json.dumps({'tool': 'lossval', 'schema_version': 1}).encode()\n"
        "for n in range(10**6):\n"
        "    text = (b'%d\\n' % n) * 2000\n"
        "    files = {'scores.csv': text, 'report.md': text, 'run.json': record}\n"
        "    write_directory(Path('out'), {name: (lambda file, text=text: file.write(text) and None)\n"
        "        for name, text in files.items()}, force=False)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(atomic_write.__file__).parents[2])}
    for moment in range(6):
        child = subprocess.Popen([sys.executable, "-c", loop], env=environment)
        deadline = time.monotonic() + 30
        while not Path("out/run.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.03 + 0.007 * moment)
        child.kill()
        child.wait()
        check_directory(Path("out"), force=False)
        scores = Path("out/scores.csv").read_bytes()
        assert scores == Path("out/report.md").read_bytes()
        assert len(scores.splitlines()) == 2000
    assert left() == ["out"]


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (lambda: None, "no/out", "no/out cannot be written: no does not exist"),
        (lambda: Path("no").touch(), "no/out", "no/out cannot be written: no is not a directory"),
        (lambda: Path("out").touch(), "out", "out exists and is not a directory; name another with -o"),
        (lambda: None, ".", ". is the directory you are in or above it; name another with -o"),
        (lambda: None, "..", ".. is the directory you are in or above it; name another with -o"),
        (
            lambda: os.symlink("elsewhere", "out"),
            "out",
            "out is a symbolic link; name the directory itself with -o",
        ),
        (
            lambda: (os.mkdir("out"), Path("out/run.json").write_text("{}")),
            "out",
            "out exists and was not written by lossval; "
            "name another directory with -o, or add --force to put the results in it",
        ),
    ],
)
def test_a_directory_that_cannot_be_written_is_refused_at_once(make, name: str, message: str) -> None:
    make()
    before = left()
    with pytest.raises(OutputError) as caught:
        check_directory(Path(name), force=False)
    assert str(caught.value) == message
    assert left() == before


def test_force_does_not_follow_links_or_replace_the_current_directory() -> None:
    os.mkdir("mine")
    os.symlink("mine", "out")
    for name in ("out", ".", ".."):
        with pytest.raises(OutputError):
            check_directory(Path(name), force=True)


def test_a_file_is_replaced_only_with_force() -> None:
    write_file(Path("scores.csv"), b"one", force=False)
    with pytest.raises(OutputError, match=r"^scores.csv exists; name another file with -o, or add --force$"):
        check_file(Path("scores.csv"), force=False)
    with pytest.raises(OutputError):
        write_file(Path("scores.csv"), no_space, force=True)
    assert Path("scores.csv").read_bytes() == b"one"
    write_file(Path("scores.csv"), b"two", force=True)
    assert Path("scores.csv").read_bytes() == b"two"
    assert left() == ["scores.csv"]


def test_links_and_what_is_no_file_are_not_replaced() -> None:
    Path("precious").write_text("mine")
    os.symlink("precious", "link.csv")
    os.mkfifo("pipe.csv")
    for name in ("link.csv", "pipe.csv"):
        with pytest.raises(OutputError):
            check_file(Path(name), force=True)
    assert Path("precious").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission_is_refused_at_once() -> None:
    os.mkdir("locked", 0o500)
    with pytest.raises(OutputError, match=r"^locked/out cannot be written: permission denied$"):
        check_directory(Path("locked/out"), force=False)


def test_a_parent_that_vanishes_is_reported() -> None:
    os.mkdir("parent")

    def vanish(file: BinaryIO) -> None:
        shutil.rmtree("parent")

    with pytest.raises(OutputError, match=r"^parent/out cannot be written: no such file or directory$"):
        write_directory(Path("parent/out"), {"scores.csv": vanish, "run.json": RECORD}, force=False)
    assert left() == []


def test_a_name_as_long_as_names_may_be() -> None:
    name = "n" * 255
    write_directory(Path(name), a_run(), force=False)
    assert left() == [name]


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.slow
def test_what_a_command_reads_is_not_written_over(cli: Callable[..., Outcome], quick: tuple[str, ...]) -> None:
    """Not with --force, not through another name, and not by --output-file, which asks for no --force."""
    assert cli("score", "train.csv", "--val", "val.csv", *quick, "-q").code == 0
    os.link("train.csv", "again.csv")
    before = contents()
    report = ("--output-format", "json", "--output-file")
    for line in (
        ("score", "train.csv", *quick, "-o", "train.csv", "--force"),
        ("score", "train.csv", *quick, "-o", "again.csv", "--force"),
        ("score", "train.csv", "--val", "val.csv", *quick, "-o", "./val.csv", "--force"),
        ("check", "train.csv", "--set", "epochs=1", *report, "train.csv"),
        ("check", "train.lossval", *report, "train.lossval/scores.csv"),
        ("check", "train.lossval", *report, "train.lossval/run.json"),
        ("report", "train.lossval", "-o", "train.lossval/run.json", "--force"),
        ("acquire", "train.csv", "--run", "train.lossval", "-o", "train.csv", "--force"),
        ("calibrate", "train.csv", "-o", "train.csv", "--force"),
    ):
        refused = cli(*line)
        output = line[-2] if line[-1] == "--force" else line[-1]
        output = output.removeprefix("./")
        assert refused.err == f"error: {output} is read by this command: name another file\n"
        assert refused.code == 2
    assert contents() == before
    assert cli("report", "train.lossval", "-o", "train.lossval/report.html", "--force", "-q").code == 0


def test_links_in_a_circle_are_reported(cli: Callable[..., Outcome], quick: tuple[str, ...]) -> None:
    os.symlink("loop", "loop")
    for line in (
        ("score", "train.csv", *quick, "-o", "loop"),
        ("score", "loop", *quick),
        ("check", "loop"),
        ("clean", "loop", "--drop", "suspects", "-o", "out.csv"),
    ):
        refused = cli(*line)
        assert refused.code == 2 and refused.err.startswith("error: loop"), refused.err
        assert refused.err.count("\n") == 1
    os.symlink("nowhere", "gone.csv")
    assert cli("score", "gone.csv", *quick).err == "error: gone.csv does not exist\n"
