"""The list of commands, and how arguments are parsed into one of them."""

from __future__ import annotations

import functools
import os
import re
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from lossval_cli.cli import (
    acquire,
    calibrate,
    check,
    clean,
    demo,
    diff,
    history,
    presets,
    report,
    review,
    score,
    validate,
)
from lossval_cli.cli.console import say, show
from lossval_cli.errors import UsageError
from lossval_cli.text.format import did_you_mean
from lossval_cli.version import __version__

CLICK_ERRORS: tuple[type[Exception], ...] = (typer.BadParameter.__mro__[2],)
"""ClickException, in a tuple for `except`. Newer typers carry a copy of click, older ones use the package: by
its place above BadParameter it is found in both."""

_EXAMPLES = """\b
Examples:
  lossval score data.csv --val val.csv
  lossval validate data.csv --val val.csv
  lossval score data.csv --val val.csv -o - | head
"""


class Verbs(TyperGroup):
    """Commands in the order they are added; an unknown one is answered with the nearest."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Older typers sort them."""
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that `args` begins with; UsageError if there is none."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            hint = did_you_mean(args[0], self.commands) or f"commands are {', '.join(self.commands)}"
            raise UsageError(f"unknown command {args[0]!r}: {hint}")
        return super().resolve_command(ctx, args)


class Verb(TyperCommand):
    """A command whose usage line has arguments by their plain names: newer typers put braces around them."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The parts of the usage line after the command."""
        return [re.sub(r"^\{(.*)\}.*", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as click does, but an option that is empty (an unset variable of a CI job) is refused, and so is a
        limit given twice, of which click would take the last: a gate must not pass since its limit got lost. Of other
        options given twice the last counts, as in every shell alias, and a line says so."""
        if not ctx.resilient_parsing:
            values, _, order = self.make_parser(ctx).parse_args(list(args))
            options: list[Any] = [param for param in order if param.param_type_name == "option"]
            options = [param for param in options if not param.is_flag]
            repeated: list[Any] = []
            for param in options:
                given = values.get(param.name)
                spelled = max(param.opts, key=len)
                if "" in (given if isinstance(given, list) else [given]):
                    raise UsageError(f"{spelled} is empty: give it a value, or leave it out")
                if param.multiple or options.count(param) == 1:
                    continue
                if spelled.startswith(("--max-", "--min-", "--baseline")) and spelled != "--max-memory":
                    raise UsageError(f"{spelled} is given {options.count(param)} times: give it once")
                if param not in repeated and not values.get("quiet"):
                    say(f"{spelled} is given {options.count(param)} times: the last value counts ({given})")
                repeated.append(param)
        return super().parse_args(ctx, args)


def _version(wanted: bool) -> None:
    if wanted:
        show(f"lossval {__version__}\n")
        raise typer.Exit


app = typer.Typer(
    cls=Verbs,
    name="lossval",
    help="Find the rows of a table that help, the rows that hurt, and the labels that are wrong.",
    epilog=_EXAMPLES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)


@app.callback()
def _lossval(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


_VERBS = (score, validate, check, diff, history, report, review, clean, acquire, calibrate, presets, demo)
for _verb in _VERBS:  # modules, each with a function of the same name
    app.command(cls=Verb, epilog=_verb.EXAMPLES)(getattr(_verb, _verb.__name__.rpartition(".")[2]))


@functools.cache
def _command() -> Any:
    return typer.main.get_command(app)


def run_command(arguments: list[str]) -> int:
    """Run one command line and return its exit code; errors, usage errors among them, are raised."""
    command = _command()
    if "_LOSSVAL_COMPLETE" in os.environ:  # a shell asks for completions
        command.main(arguments, prog_name="lossval")
    try:
        with command.make_context("lossval", arguments or ["--help"]) as context:
            command.invoke(context)
    except typer.Exit as done:
        return int(done.exit_code)
    return 0
