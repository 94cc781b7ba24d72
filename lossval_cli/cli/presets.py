"""`lossval presets`: the named settings, and every setting there is."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from lossval_cli.cli.console import show
from lossval_cli.toml_text import toml_value

EXAMPLES = """\b
Examples:
  lossval presets
  lossval presets thorough
  lossval presets default > mine.toml
"""


def presets(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Preset to print in full, as TOML.", show_default=False),
    ] = None,
) -> None:
    """List the presets, or show all settings of one.

    `lossval presets NAME` prints a file for --config: each setting with its range and its purpose.
    """
    from lossval_cli.presets import preset_names, preset_path
    from lossval_cli.settings import Settings

    if name is None:
        width = max(map(len, preset_names())) + 2
        for preset in preset_names():
            purpose = _purpose(preset_path(preset).read_text(encoding="utf-8"))
            show(textwrap.fill(purpose, 80, initial_indent=f"{preset:{width}}", subsequent_indent=" " * width) + "\n")
        return
    settings = Settings.resolve(name).as_dict()
    lines = [f"# All settings of the preset {name}. What is commented out is left to the method (auto)."]
    for key, knob in Settings.knobs().items():
        if key == "preset":
            continue
        value = settings[key]
        lines += ["", f"# {knob.why}", f"# {knob.range()}"]
        lines.append(f'# {key} = "auto"' if value is None else f"{key} = {toml_value(value)}")
    show("\n".join(lines) + "\n")


def _purpose(text: str) -> str:
    """The first sentence of the comment that a preset opens with, after the command that runs it."""
    comment = [line.lstrip("# ").strip() for line in text.splitlines() if line.startswith("#")]
    return " ".join(comment[1:]).strip().split(". ")[0].rstrip(".")
