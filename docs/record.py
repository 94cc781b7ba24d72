"""Run the example and keep what is seen: `python -m docs.record`, a minute.

Writes the pictures in docs/images (the demo on a terminal of 80 columns as SVG; the first view of its report
as PNG, which takes Chromium) and the outputs that docs/tutorial.md shows.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from docs.blocks import ROOT, blocks

IMAGES = ROOT / "docs" / "images"
TUTORIAL = ROOT / "docs" / "tutorial.md"
VIEW = (1100, 980)
"""Width and height of the picture of the report, in pixels."""


def on_terminal(command: list[str], folder: Path, term: str) -> str:
    """What `command` writes when both its streams are one terminal of 80 columns.

    `term`: the kind of terminal; `dumb` has no colours and no progress bar.
    """
    ours, theirs = pty.openpty()
    environment = os.environ | {
        "TERM": term,
        "COLUMNS": "80",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    process = subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    while chunk := _read(ours):
        seen += chunk
    os.close(ours)
    if process.wait() not in (0, 1):
        raise SystemExit(f"{command} failed:\n{seen.decode()}")
    return seen.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the last writer is gone
        return b""


def picture_of_terminal(shown: str) -> str:
    """SVG of a terminal. `shown`: text with colours as a terminal gets them."""
    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(shown))
    # Without fonts from elsewhere: a picture loads nothing.
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="lossval demo", code_format=form, unique_id="demo")


def picture_of_page(address: str, target: Path) -> None:
    """PNG of the first view of an HTML page, three seconds after it was opened."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no chromium: the picture of the report stays as it is")
    subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={VIEW[0]},{VIEW[1]}",
         "--virtual-time-budget=3000", f"--screenshot={target}", address],
        check=True, capture_output=True,
    )  # fmt: skip


def picture_of_review(folder: Path, target: Path) -> None:
    """PNG of the page of `lossval review` of the run in `folder`."""
    command = [sys.executable, "-m", "lossval_cli", "review", "wine.lossval", "--no-browser", "--reviewer", "ann"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    review = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment)
    assert review.stdout is not None
    try:
        picture_of_page(review.stdout.readline().strip(), target)
    finally:
        review.terminate()
        review.wait()


def with_outputs(page: str, folder: Path) -> str:
    """A page with the outputs of its commands, run in `folder`, where it shows them."""
    printed = ""
    pieces, end = [], 0
    for block in blocks(page):
        if block.is_output:
            pieces += [page[end : block.span[0]], printed.strip("\n") + "\n"]
            end = block.span[1]
        if block.runs:
            lines = [["bash", "-c", line] for line in block.commands()]
            commands = lines if block.language == "console" else [[sys.executable, "-c", block.body]]
            printed = "".join(on_terminal(command, folder, "dumb") for command in commands)
    return "".join([*pieces, page[end:]])


def main() -> None:
    """Run it all in a directory that is thrown away."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for table in (ROOT / "examples").glob("wine*.csv"):
            shutil.copy(table, folder)
        page = TUTORIAL.read_text(encoding="utf-8")
        TUTORIAL.write_text(with_outputs(page, folder), encoding="utf-8")
        seen = on_terminal([sys.executable, "-m", "lossval_cli", "demo"], folder, "xterm-256color")
        seen = seen.replace(f"{ROOT}/examples/", "")  # where the package lies is no matter of others
        (IMAGES / "terminal.svg").write_text(picture_of_terminal(seen), encoding="utf-8")
        picture_of_page((folder / "wine.lossval" / "report.html").as_uri(), IMAGES / "report.png")
        picture_of_review(folder, IMAGES / "review.png")


if __name__ == "__main__":
    main()
