"""Options that several verbs have, and how they become settings."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lossval_cli.cli.quantities import read_bytes, read_seconds
from lossval_cli.errors import UsageError
from lossval_cli.settings import Settings, find_project_table
from lossval_cli.text.format import escape_control
from lossval_cli.toml_text import toml_lines

if TYPE_CHECKING:
    from lossval_cli.noise.thresholds import Thresholds
    from lossval_cli.pipeline import Result
    from lossval_cli.runtime.distributed import ProcessGroup
    from lossval_cli.runtime.resources import Resources


class Format(StrEnum):
    """How scores are written."""

    csv = "csv"
    parquet = "parquet"
    jsonl = "jsonl"


class Sort(StrEnum):
    """Which row comes first."""

    worst = "worst"
    best = "best"
    original = "original"


class Removal(StrEnum):
    """How thoroughly removal is studied."""

    full = "full"
    quick = "quick"
    off = "off"


class ProgressMode(StrEnum):
    """How progress is shown."""

    auto = "auto"
    json = "json"
    off = "off"


REMOVAL_HELP = "How thoroughly to study what removing rows does"
METRIC_HELP = "What removing rows is judged by, e.g. macro_f1"
"""The beginning of the help of --removal and --metric, whose defaults differ by command."""


class TextFormat(StrEnum):
    """How what was found is told."""

    text = "text"
    json = "json"
    markdown = "markdown"


RunDirectory = Annotated[
    Path, typer.Argument(metavar="RUN_DIR", help="Run directory of `lossval score`.", show_default=False)
]
Data = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="The table that was scored [default: where it was then, else beside RUN_DIR]."),
]
Val = Annotated[str | None, typer.Option(metavar="VAL", help="Table to do well on; its labels are never learned from.")]
Test = Annotated[str | None, typer.Option(metavar="TEST", help="Table for the removal report alone.")]
Label = Annotated[
    str | None,
    typer.Option(metavar="COL", help="Column to predict [default: label, target, y or class, else the last]."),
]
Ids = Annotated[
    list[str] | None,
    typer.Option("--id", metavar="COL", help="Column that names rows: kept, not learned from. Repeatable."),
]
Exclude = Annotated[list[str] | None, typer.Option(metavar="COL", help="Column to leave out. Repeatable.")]
Task = Annotated[
    str | None,
    typer.Option(metavar="TASK", help="auto, classification or regression [default: auto]."),
]
ValFraction = Annotated[
    str | None,
    typer.Option(metavar="SHARE", help="Share of rows held out when there is no --val [default: 0.2]."),
]
Preset = Annotated[str | None, typer.Option(metavar="NAME", help="Named settings; `lossval presets` lists them.")]
Config = Annotated[Path | None, typer.Option(metavar="FILE", help="Settings in TOML, over the preset's.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, over preset and config. Repeatable."),
]
ThresholdFile = Annotated[
    Path | None,
    typer.Option(
        "--thresholds",
        metavar="FILE",
        help="Probabilities from which rows are suspect, of `lossval calibrate` [default: highest expected F1].",
    ),
]
SafeCsv = Annotated[bool, typer.Option("--safe-csv", help="Put ' before text cells that a spreadsheet would evaluate.")]
Force = Annotated[bool, typer.Option("--force", help="Write over files that are there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
ProgressOption = Annotated[
    ProgressMode,
    typer.Option("--progress", help="On standard error: a bar on a terminal, JSON lines, or nothing."),
]
ShowSettings = Annotated[
    bool,
    typer.Option("--show-settings", help="Print the settings as TOML, with where each is from, and stop."),
]
Seed = Annotated[str | None, typer.Option(metavar="N", help="Of every random draw [default: 0].")]
Threads = Annotated[str | None, typer.Option(metavar="N", help="CPU threads; the same number gives the same bits.")]
Device = Annotated[str | None, typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N [default: auto].")]
CheckpointEvery = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Save training so often, e.g. 10m, in a hidden file that goes when it is done."),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on from the checkpoint of the same run, if there is one."),
]
TimeLimit = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Stop training in time, with what has been learnt, e.g. 90s or 2h."),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="Memory to stay below, e.g. 2GB; Parquet and Arrow files are then read in parts."
    ),
]


def read_resources(
    time_limit: str | None,
    max_memory: str | None,
    checkpoint_every: str | None,
    resume: bool,
    results: Path | None,
) -> Resources:
    """What the options allow; `results`: the file or directory that is written, None: neither.

    Raises UsageError.
    """
    from lossval_cli.runtime.checkpoint import checkpoint_path
    from lossval_cli.runtime.resources import Resources

    wanted = resume or checkpoint_every is not None
    if wanted and results is None:
        raise UsageError("--checkpoint-every and --resume need -o DIR or FILE: a checkpoint lies beside the results")
    found = Resources(resume=resume, scratch=_scratch(results))
    if wanted and results is not None:
        found = replace(found, checkpoint=checkpoint_path(results))
    if checkpoint_every is not None:
        found = replace(found, checkpoint_every=read_seconds("--checkpoint-every", checkpoint_every))
    if max_memory is not None:
        found = replace(found, memory=read_bytes("--max-memory", max_memory))
    if time_limit is not None:
        found = replace(found, time_limit=read_seconds("--time-limit", time_limit))
    return found


def forget_checkpoint(resources: Resources, result: Result) -> None:
    """Remove the checkpoint of a run that has come to its end."""
    from lossval_cli.runtime.atomic_write import remove_file

    if resources.checkpoint is not None and result.is_complete:
        remove_file(resources.checkpoint)


def is_assistant() -> bool:
    """Whether `torchrun` has started this process and it is not the first: what is only read or written is
    the first one's."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and os.environ.get("RANK", "0") != "0"


@contextlib.contextmanager
def processes() -> Iterator[ProcessGroup]:
    """The processes that `torchrun` has started; without it this one alone.

    Who is ended by torchrun because another process is gone says so.
    """
    from lossval_cli.runtime.distributed import joined

    with joined() as found:
        try:
            yield found
        except KeyboardInterrupt as interrupt:
            if found.is_single or str(interrupt):
                raise
            raise KeyboardInterrupt(
                "interrupted, or ended because another process of this run is gone; nothing was written "
                "(with --checkpoint-every, the same command with --resume goes on from the last checkpoint)"
            ) from interrupt


def _scratch(results: Path | None) -> Path:
    """Beside the results, where there is a disk for them. (Named so that it is never taken for results.)"""
    place = Path(tempfile.gettempdir()) / "lossval" if results is None else results
    return place.with_name(f"encoded.{place.name}")


def resolve_settings(
    preset: str | None,
    config: Path | None,
    assignments: list[str] | None,
    shortcuts: Mapping[str, str | None],
) -> Settings:
    """Preset, config (without one: `[tool.lossval]` of the nearest pyproject.toml) and `--set`; `shortcuts`
    are the settings that have an option of their own, None where it is not given.

    Raises UsageError, every problem in one line.
    """
    return Settings.resolve(preset, config or project_table(), _pairs(assignments, shortcuts))


def settings_toml(
    settings: Settings,
    preset: str | None,
    config: Path | None,
    assignments: list[str] | None,
    shortcuts: Mapping[str, str | None],
) -> str:
    """Resolved settings as a file for --config, each with where it is from; arguments as `resolve_settings`
    has them."""
    origins = Settings.origins(preset, config or project_table(), _pairs(assignments, shortcuts))
    values, options = settings.as_dict(), {**shortcuts, "preset": preset}
    lines = []
    for line, name in zip(toml_lines(values), values, strict=True):
        where = {
            "built in": "default",
            "preset": f"preset {settings.preset}",
            "file": escape_control(_settings_file(config)),
            "given": "--set" if options.get(name) is None else f"--{name.replace('_', '-')}",
        }
        lines.append(f"{line:32} # {where[origins[name]]}")
    return "\n".join(lines) + "\n"


def _settings_file(config: Path | None) -> str:
    if config is not None:
        return str(config)
    found = find_project_table(Path.cwd())
    return "" if found is None else f"{os.path.relpath(found[0])} [tool.lossval]"


def _pairs(assignments: list[str] | None, shortcuts: Mapping[str, str | None]) -> list[str]:
    """`key=value` of --set and of options that stand for a setting; UsageError where both are given."""
    given = {name: value for name, value in shortcuts.items() if value is not None}
    for pair in assignments or ():
        name = pair.partition("=")[0].strip().replace("-", "_")
        if name in given:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{name} is given both with {option} and with --set: leave one out")
    return [*(assignments or ()), *(f"{name}={value}" for name, value in given.items())]


def project_table() -> Mapping[str, object]:
    """`[tool.lossval]` of the nearest pyproject.toml here or above; empty where there is none."""
    found = find_project_table(Path.cwd())
    return {} if found is None else found[1]


def thresholds_of(file: Path | None) -> Thresholds | None:
    """What --thresholds names, None where it is not given. Raises UsageError, one line."""
    if file is None:
        return None
    from lossval_cli.noise.thresholds import read_thresholds

    return read_thresholds(file)


def check_one_stdin(*tables: str | None) -> None:
    """Raise UsageError when more than one table is to be read from standard input."""
    if sum(table == "-" for table in tables) > 1:
        raise UsageError("only one table can be read from standard input (-)")
