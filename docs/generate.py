"""Write the pages that come from the code itself: `python -m docs.generate`.

docs/reference.md and docs/lossval.1 (the man page) from the commands, docs/settings.md from the settings,
docs/api.md from docstrings, and the help in README.md. tests/project/test_documents.py fails where one of them is not
what is written here.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from docs.api import api_page
from docs.commands import Command, Entry, commands, presets, settings
from docs.report_types import MODULE, types_module
from lossval_cli.version import __version__

ROOT = Path(__file__).parents[1]

MADE = "<!-- Made by `python -m docs.generate`: change the code instead. -->\n"

EXIT_CODES = (
    Entry("0", "Done, or the gate passed."),
    Entry("1", "The gate of lossval check failed."),
    Entry(
        "2",
        "Bad usage, bad data, or something broke; a line on standard error says what, where and what to do.",
    ),
    Entry("130", "Interrupted."),
)

ENVIRONMENT = (
    Entry("NO_COLOR", "No colour, on a terminal either."),
    Entry("LOSSVAL_DEBUG", "Show the traceback of an internal error."),
    Entry(
        "GITHUB_STEP_SUMMARY",
        "Set by GitHub: lossval check --output-format github adds its summary to that file.",
    ),
)


def reference(verbs: Sequence[Command]) -> str:
    """docs/reference.md: every command and option."""
    lines = [
        "# Commands",
        MADE,
        "`lossval COMMAND --help` says the same. Results go to standard output, all else to standard error.",
        "",
        *(f"- [`lossval {verb.name}`](#lossval-{verb.name}): {verb.paragraphs[0]}" for verb in verbs),
    ]
    for verb in verbs:
        lines += ["", f"## lossval {verb.name}", ""]
        lines += ["```text", verb.usage, "```", ""]
        for paragraph in verb.paragraphs:
            lines += [paragraph, ""]
        lines += ["| | |", "|---|---|"]
        lines += [f"| `{_cell(name)}` | {_cell(what)} |" for name, what in (*verb.arguments, *verb.options)]
        lines += ["", "<!-- not run: the examples of the help, with names of any tables -->"]
        lines += ["```console", verb.examples, "```"]
        for paragraph in verb.notes:
            lines += ["", paragraph]
    for head, entries in (("Exit codes", EXIT_CODES), ("Environment", ENVIRONMENT)):
        lines += ["", f"## {head}", "", "| | |", "|---|---|"]
        lines += [f"| `{name}` | {what} |" for name, what in entries]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """docs/settings.md: every setting and preset."""
    lines = [
        "# Settings",
        MADE,
        "A setting has the same name in `--set NAME=VALUE`, in a TOML file (`--config FILE`, or",
        "`[tool.lossval]` of the nearest `pyproject.toml` where no `--config` is given) and in Python",
        "(`lossval_cli.score(..., NAME=VALUE)`). The later wins: preset, file, options. `auto` (`None` in",
        "Python) leaves the choice to the method.",
        "",
        "| setting | allowed | default | what it is |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{name}` | {_cell(allowed)} | {default} | {_cell(why)} |" for name, allowed, default, why in settings()
    ]
    lines += ["", "## Presets", "", "| preset | for | sets |", "|---|---|---|"]
    for name, purpose, values in presets():
        shown = ", ".join(f"`{key}={value}`" for key, value in values.items())
        lines.append(f"| `{name}` | {_cell(purpose)} | {shown} |")
    return "\n".join(lines) + "\n"


def man_page(verbs: Sequence[Command]) -> str:
    """docs/lossval.1: the same as a page for man(1), in roff.

    click-man 0.6 finds no option of ours: current typers carry their own copy of click, whose classes it does not know.
    """
    lines = [
        r".\" Made by python -m docs.generate: change the code instead.",
        f'.TH LOSSVAL 1 "" "lossval {__version__}" "User Commands"',
        ".SH NAME",
        r"lossval \- find the rows of a table that help, the rows that hurt, and the labels that are wrong",
        ".SH SYNOPSIS",
    ]
    for verb in verbs:
        lines += [_roff(verb.usage), ".br"]
    lines += [".SH DESCRIPTION"]
    lines += [_roff("Results go to standard output, everything else to standard error. Nothing is ever asked.")]
    for verb in verbs:
        lines.append(f'.SH "LOSSVAL {verb.name.upper()}"')
        for paragraph in verb.paragraphs:
            lines += [".PP", _roff(paragraph)]
        lines += _tagged([*verb.arguments, *verb.options])
        lines += [
            ".PP",
            "Examples:",
            ".PP",
            ".nf",
            ".RS 4",
            *map(_roff, verb.examples.splitlines()),
            ".RE",
            ".fi",
        ]
        for paragraph in verb.notes:
            lines += [".PP", _roff(paragraph)]
    lines.append(".SH SETTINGS")
    lines += _tagged(
        [Entry(name, f"{why} ({allowed}; default: {default})") for name, allowed, default, why in settings()]
    )
    lines += [".SH EXIT STATUS", *_tagged(EXIT_CODES), ".SH ENVIRONMENT", *_tagged(ENVIRONMENT)]
    return "\n".join(lines) + "\n"


def readme_with_help(readme: str) -> str:
    """README.md with the help that the command prints."""
    shown = subprocess.run(
        [sys.executable, "-m", "lossval_cli", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()
    return re.sub(r"(?<=<!-- help -->\n```text\n).*?(?=\n```)", lambda _: shown, readme, flags=re.DOTALL)


def pages() -> dict[Path, str]:
    """Path -> text of every page that is made."""
    verbs = commands()
    readme = ROOT / "README.md"
    return {
        ROOT / "docs" / "reference.md": reference(verbs),
        ROOT / "docs" / "settings.md": settings_page(),
        ROOT / "docs" / "lossval.1": man_page(verbs),
        ROOT / "docs" / "api.md": api_page(),
        MODULE: types_module(),
        readme: readme_with_help(readme.read_text(encoding="utf-8")),
    }


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _tagged(entries: Sequence[Entry]) -> list[str]:
    return [line for name, what in entries for line in (".TP", rf"\fB{_roff(name)}\fR", _roff(what))]


def _roff(text: str) -> str:
    """`text` as roff shows it as it stands: backslashes, hyphens, and dots and quotes that open a line."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("`", "")
    text = text.replace("…", r"\[u2026]").replace("·", r"\[pc]")
    return rf"\&{text}" if text[:1] in (".", "'") else text


def main() -> None:
    """Write them all."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
