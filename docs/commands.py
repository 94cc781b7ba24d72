"""The commands, their options and the settings as they are in the code, for the pages made from them."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import typer

from lossval_cli.cli.app import app
from lossval_cli.presets import preset_names, preset_path, read_toml
from lossval_cli.settings import Settings


class Entry(NamedTuple):
    """One option, argument or setting: how it is written, and what it does."""

    name: str
    what: str


class Command(NamedTuple):
    """One verb, as its help has it."""

    name: str
    usage: str
    paragraphs: list[str]
    """What it does; the first is a line by itself."""
    arguments: list[Entry]
    options: list[Entry]
    examples: str
    """Command lines, not indented."""
    notes: list[str]
    """Paragraphs after the examples."""


def commands() -> list[Command]:
    """All verbs in the order of `lossval --help`."""
    group: Any = typer.main.get_command(app)
    with group.make_context("lossval", ["x"], resilient_parsing=True) as context:
        return [_command(verb, context) for verb in group.commands.values()]


def settings() -> list[tuple[str, str, str, str]]:
    """Name, what is allowed, default and purpose of every setting."""
    found = []
    for name, knob in Settings.knobs().items():
        default = getattr(Settings(), name)
        shown = "auto" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
        allowed = knob.range() + (" | auto" if knob.auto else "")
        found.append((name, allowed, shown, knob.why))
    return found


def presets() -> list[tuple[str, str, dict[str, Any]]]:
    """Name, purpose and settings of every preset."""
    found = []
    for name in preset_names():
        path = preset_path(name)
        comment = [line.lstrip("# ") for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "#"]
        found.append((name, " ".join(comment[1:]).strip(), read_toml(path)))
    return found


def _command(verb: Any, parent: Any) -> Command:
    with verb.make_context(verb.name, ["x"], parent=parent, resilient_parsing=True) as context:
        arguments = [Entry(item.metavar, item.help) for item in verb.params if item.param_type_name == "argument"]
        records = [item.get_help_record(context) for item in verb.get_params(context)
                   if item.param_type_name == "option"]  # fmt: skip
        options = [Entry(_plain_choices(name), " ".join(what.split())) for name, what in records]
    names = [item.metavar if item.required else f"[{item.metavar}]" for item in verb.params
             if item.param_type_name == "argument"]  # fmt: skip
    examples, _, notes = (verb.epilog or "").partition("\n\n")
    return Command(
        name=verb.name,
        usage=" ".join([f"lossval {verb.name}", "[OPTIONS]", *names]),
        paragraphs=_paragraphs(verb.help),
        arguments=arguments,
        options=options,
        examples="\n".join(line[2:] for line in examples.splitlines()[2:]),
        notes=_paragraphs(notes),
    )


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def _plain_choices(name: str) -> str:
    """`--format <csv|jsonl>` and `--format [csv|jsonl]`, of newer and older typers, without brackets."""
    return re.sub(r"[\[<]([\w|]+)[\]>]$", r"\1", name)
