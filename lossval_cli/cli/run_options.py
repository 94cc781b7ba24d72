"""The options of the commands that read tables and train: score, check, calibrate and validate.

To add an option, add one field to `RunOptions` (what is read and learned) or `RuntimeOptions` (how the run goes):

- `Only("score", "check")` in its annotation limits it to those commands; without it all four have it.
- A field named like a setting (`seed`, `metric`) becomes that setting, as with --set.
- A field named like a field of `features.table_options.TableOptions` reaches `load_dataset` by itself.
- Help, docs/reference.md (`python -m docs.generate`), run.json and the refusals of `check RUN_DIR` follow.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lossval_cli.cli.option_groups import DefaultText, Only, OptionGroup
from lossval_cli.cli.options import ProgressMode, Removal
from lossval_cli.cli.progress import Progress, choose_mode
from lossval_cli.errors import UsageError
from lossval_cli.features.table_options import TableOptions
from lossval_cli.presets import COLUMNS_TABLE, find_project_table, read_toml
from lossval_cli.runtime.launcher import is_assistant
from lossval_cli.settings import Settings
from lossval_cli.text.format import escape_control
from lossval_cli.text.quantities import read_bytes, read_seconds
from lossval_cli.toml_text import toml_lines

if TYPE_CHECKING:
    from lossval_cli.noise.thresholds import Thresholds
    from lossval_cli.runtime.resources import Resources

TRAINING = ("score", "check", "calibrate")
"""Commands that train; validate only reads."""


@dataclass(frozen=True, kw_only=True)
class RunOptions(OptionGroup):
    """Options of a run: what it reads, and the settings it learns with."""

    val: Annotated[
        str | None,
        typer.Option(
            metavar="VAL",
            help="Trusted table against which importance is measured; its labels are used in the noise estimate, "
            "not in training.",
        ),
    ] = None
    test: Annotated[
        str | None,
        typer.Option(metavar="TEST", help="Table used only to evaluate the removal study."),
        Only("score", "check", "validate"),
    ] = None
    label: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Column to predict [default: one named label, target, y or class, or a last column that "
            "is clearly a label].",
        ),
    ] = None
    ids: Annotated[
        list[str] | None,
        typer.Option(
            "--id", metavar="COL", help="Column that identifies rows: kept in the scores, not a feature. Repeatable."
        ),
    ] = None
    exclude: Annotated[list[str] | None, typer.Option(metavar="COL", help="Column not to use. Repeatable.")] = None
    features: Annotated[
        list[str] | None,
        typer.Option("--feature", metavar="COL", help="Column that is a feature, whatever it looks like. Repeatable."),
    ] = None
    categories: Annotated[
        list[str] | None,
        typer.Option("--category", metavar="COL", help="Feature that holds categories, even as numbers. Repeatable."),
    ] = None
    weight: Annotated[str | None, typer.Option(metavar="COL", help="Column of sample weights, at least 0.")] = None
    group: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Rows with the same value are in one fold and on one side of a hold-out."),
    ] = None
    time: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Column of dates or numbers; folds are contiguous in its order."),
    ] = None
    multi_label: Annotated[
        str | None,
        typer.Option(
            "--multi-label",
            metavar="SEPARATOR",
            help="A row has several labels, with this between them, e.g. ';'. Lists need no option but --label.",
        ),
    ] = None
    ordered: Annotated[
        bool | None,
        typer.Option(
            "--ordered/--unordered",
            help="Whether classes are steps of a scale (1 < 2 < 3), where a far one is more suspect than a neighbour "
            "[default: where words, ranges or the column's name say so].",
        ),
    ] = None
    order: Annotated[
        str | None,
        typer.Option(
            metavar="CLASSES", help="The classes from one end of their scale to the other, e.g. mild,bad,worst."
        ),
    ] = None
    predictions: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|COLUMNS",
            help="Out-of-fold predictions of your own model for TRAIN, in place of networks: one column per class "
            "(probabilities) or of predicted numbers, in a table or .npy file or in columns of TRAIN.",
        ),
        Only("score", "check"),
    ] = None
    val_predictions: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|COLUMNS",
            help="The same for VAL [default: the columns of --predictions, if VAL has them].",
        ),
        Only("score", "check"),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Model that predicts the labels, cross-fitted: networks, boosting, forest, linear, or module:factory "
            "of your own (it is imported and run) [default: networks].",
        ),
        Only(*TRAINING),
    ] = None
    require_labels: Annotated[
        bool, typer.Option("--require-labels", help="Refuse rows without a label instead of leaving them out.")
    ] = False
    header: Annotated[
        bool | None,
        typer.Option("--header/--no-header", help="Whether the first line of a CSV file holds the column names."),
    ] = None
    comment: Annotated[
        str | None, typer.Option(metavar="CHAR", help="Leave out lines of a CSV file that begin with this, e.g. '#'.")
    ] = None
    encoding: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Encoding of a CSV file [default: by the bytes]."),
    ] = None
    missing: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help="Words that mean missing, separated by commas, instead of the usual ones; 'empty' for none.",
        ),
    ] = None
    decimal: Annotated[
        str | None, typer.Option(metavar="MARK", help="Decimal mark of numbers: . or , [default: by the cells].")
    ] = None
    thousands: Annotated[
        str | None,
        typer.Option(
            metavar="MARK", help="Mark between groups of digits: . , ' space or none [default: by the cells]."
        ),
    ] = None
    date_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT", help="DMY, MDY or a format such as %d/%m/%Y for all dates [default: by the cells]."
        ),
    ] = None
    task: Annotated[
        str | None, typer.Option(metavar="TASK", help="auto, classification or regression [default: auto].")
    ] = None
    val_fraction: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Share of rows held out when there is no --val [default: 0.2]."),
    ] = None
    expect_noise: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Share of wrong labels that you expect, e.g. 20%; used as far as the table does not contradict it "
            "[default: estimated from the table].",
        ),
        Only(*TRAINING),
    ] = None
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Named set of settings; `lossval presets` lists them.")
    ] = None
    effort: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="low, default or high: quality against time. low takes 0.5 to 0.9 times as long as default, high two "
            "to ten times [default: default].",
        ),
        Only(*TRAINING),
    ] = None
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of settings; overrides the preset.")
    ] = None
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set one setting; overrides preset and config. Repeatable."),
    ] = None
    device: Annotated[str | None, typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N [default: auto].")] = (
        None
    )
    seed: Annotated[str | None, typer.Option(metavar="N", help="Random seed [default: 0]."), Only(*TRAINING)] = None
    threads: Annotated[
        str | None,
        typer.Option(metavar="N", help="Number of CPU threads; the same number gives identical results."),
        Only(*TRAINING),
    ] = None
    metric: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Metric for the removal study, e.g. macro_f1"),
        DefaultText(score="accuracy or rmse", check="that of --min-metric"),
        Only("score", "check"),
    ] = None
    removal: Annotated[
        Removal | None,
        typer.Option(help="How thoroughly to study the effect of removing rows"),
        DefaultText(score="full", check="full if a rule needs it, else off"),
        Only("score", "check"),
    ] = None
    thresholds: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File of `lossval calibrate` with the probabilities from which rows are suspect "
            "[default: highest expected F1].",
        ),
        Only("score", "check"),
    ] = None

    decisions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="decisions.csv of `lossval review`: decided rows count as trusted and are not flagged again.",
        ),
        Only("score", "check"),
    ] = None

    def tables(self) -> TableOptions:
        """Return what the user said about columns and cells."""
        names = [field.name for field in dataclasses.fields(TableOptions)]
        given: dict[str, Any] = {name: value for name, value in self.given().items() if name in names}
        table: Mapping[str, Any] = read_toml(self.config) if self.config else project_table()
        return TableOptions(**given, columns=table.get(COLUMNS_TABLE, {}))

    def settings(self) -> Settings:
        """Preset, config (without one: `[tool.lossval]` of the nearest pyproject.toml), --set, and the options
        that are settings.

        Raises UsageError, every problem in one line.
        """
        return Settings.resolve(self.preset, self.config or project_table(), self._assigned())

    def settings_toml(self) -> str:
        """The resolved settings as a file for --config, each with where it is from."""
        values, options = self.settings().as_dict(), {**self._shortcuts(), "preset": self.preset}
        origins = Settings.origins(self.preset, self.config or project_table(), self._assigned())
        lines = []
        for line, name in zip(toml_lines(values), values, strict=True):
            where = {
                "built in": "default",
                "effort": f"effort {values['effort']}",
                "preset": f"preset {values['preset']}",
                "file": escape_control(_settings_file(self.config)),
                "given": "--set" if options.get(name) is None else self.spelling(name),
            }
            lines.append(f"{line:32} # {where[origins[name]]}")
        return "\n".join(lines) + "\n"

    def suspect_from(self) -> Thresholds | None:
        """The thresholds of --thresholds. Raises UsageError, one line."""
        if self.thresholds is None:
            return None
        from lossval_cli.noise.thresholds import read_thresholds

        return read_thresholds(self.thresholds)

    def _shortcuts(self) -> dict[str, str]:
        """Options that stand for a setting of the same name."""
        knobs = Settings.knobs()
        return {name: value for name, value in self.given().items() if name in knobs and name != "preset"}

    def _assigned(self) -> list[str]:
        """Return `key=value` of --set and of the options that stand for a setting; UsageError where both are given."""
        shortcuts = self._shortcuts()
        for pair in self.assignments or ():
            name = pair.partition("=")[0].strip().replace("-", "_")
            if name in shortcuts:
                raise UsageError(f"{name} is given both with {self.spelling(name)} and with --set: leave one out")
        return [*(self.assignments or ()), *(f"{name}={value}" for name, value in shortcuts.items())]


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions(OptionGroup):
    """Options of how a run goes: none changes what is found, time aside."""

    time_limit: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Stop training after TIME (e.g. 90s or 2h) and report what was learned; reading, outliers, noise and "
            "the report are not cut short.",
        ),
        Only("score", "check"),
    ] = None
    max_memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory limit, e.g. 2GB; Parquet and Arrow files are then read in parts."),
        Only("score", "check"),
    ] = None
    checkpoint_every: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Write a checkpoint every TIME (e.g. 10m); deleted when the run completes."),
        Only("score", "check"),
    ] = None
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue from the checkpoint of the same run, if there is one."),
        Only("score", "check"),
    ] = False
    show_settings: Annotated[
        bool,
        typer.Option("--show-settings", help="Print the settings as TOML, each with its origin, and exit."),
        Only("score", "check"),
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False
    progress: Annotated[
        ProgressMode,
        typer.Option("--progress", help="Progress on standard error: a bar on a terminal, JSON lines, or nothing."),
        Only(*TRAINING),
    ] = ProgressMode.auto

    def resources(self, results: Path | None) -> Resources:
        """Return what the run may use; `results`: the file or directory that is written, None: neither.

        Raises UsageError.
        """
        from lossval_cli.runtime.checkpoint import checkpoint_path
        from lossval_cli.runtime.resources import Resources

        wanted = self.resume or self.checkpoint_every is not None
        if wanted and results is None:
            raise UsageError(
                "--checkpoint-every and --resume need -o DIR or FILE: the checkpoint is written next to the results"
            )
        found = Resources(resume=self.resume, scratch=_scratch(results))
        if wanted and results is not None:
            found = replace(found, checkpoint=checkpoint_path(results))
        if self.checkpoint_every is not None:
            found = replace(found, checkpoint_every=read_seconds("--checkpoint-every", self.checkpoint_every))
        if self.max_memory is not None:
            found = replace(found, memory=read_bytes("--max-memory", self.max_memory))
        if self.time_limit is not None:
            found = replace(found, time_limit=read_seconds("--time-limit", self.time_limit))
        return found

    def shown(self) -> Progress:
        """Return the context that shows notices and progress."""
        quiet = self.quiet or is_assistant()
        return Progress(choose_mode(self.progress.value, quiet=quiet), quiet=quiet)


def project_table() -> Mapping[str, object]:
    """Return `[tool.lossval]` of the nearest pyproject.toml here or above; empty where there is none."""
    found = find_project_table(Path.cwd())
    return {} if found is None else found[1]


def _scratch(results: Path | None) -> Path:
    """Return the place for scratch files: next to the results, where there is a disk for them, under a name that no
    command takes for results."""
    target = Path(tempfile.gettempdir()) / "lossval" if results is None else results
    return target.with_name(f"encoded.{target.name}")


def _settings_file(config: Path | None) -> str:
    if config is not None:
        return str(config)
    found = find_project_table(Path.cwd())
    return "" if found is None else f"{os.path.relpath(found[0])} [tool.lossval]"
