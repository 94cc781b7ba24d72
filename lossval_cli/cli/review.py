"""`lossval review`: decide about suspects, one at a time, in a browser or on a terminal."""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
import webbrowser
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lossval_cli.cli import options
from lossval_cli.cli.console import say, show
from lossval_cli.errors import OutputError, UsageError, system_reason
from lossval_cli.text.format import format_name, join_names, pluralize

if TYPE_CHECKING:
    from lossval_cli.review.session import Session
    from lossval_cli.runs.loaded import LoadedRun

EXAMPLES = """\b
Examples:
  lossval review data.lossval
  lossval review data.lossval --terminal --reviewer ann
  lossval review data.lossval --export suspects.xlsx
  lossval review data.lossval --import suspects.xlsx
  lossval review data.lossval --merge bobs.csv
"""

INSTALL = "pip install 'lossval[review]'"


def review(
    run_directory: options.RunDirectory,
    data: options.Data = None,
    reviewer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who decides; kept with each decision [default: the user name].")
    ] = None,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address of the page without opening a browser.")
    ] = False,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Review on this terminal, with the same keys as on the page.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the rows to review as .xlsx or .csv with an empty decision column."),
    ] = None,
    import_from: Annotated[
        Path | None,
        typer.Option("--import", metavar="FILE", help="Read the decisions that were filled in such a file."),
    ] = None,
    merge: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Add the decisions of another decisions.csv, and list disagreements. Repeatable."
        ),
    ] = None,
    force: options.Force = False,
) -> None:
    """Decide about the suspects of a run: keep, relabel, fix a cell, or drop.

    Opens a page that only this machine can reach. Every decision is appended to RUN_DIR/decisions.csv at once;
    `lossval clean RUN_DIR --decisions` applies them and `lossval score TABLE --decisions FILE` learns from them.
    """
    ways = [terminal, export is not None, import_from is not None, bool(merge)]
    if sum(ways) > 1:
        raise UsageError("--terminal, --export, --import and --merge exclude each other: give one of them")
    if any(ways) and (port or no_browser):
        raise UsageError(
            "--port and --no-browser are for the page: leave out --terminal, --export, --import or --merge"
        )
    if not any(ways):
        _needs("starlette", "uvicorn", what="the page of lossval review")
    from lossval_cli.review.session import Session

    session = Session(run_directory, _reviewer(reviewer), _run(run_directory, data), data)
    session.refresh()
    target = session.path if session.path.exists() else session.path.parent
    if export is None and not os.access(target, os.W_OK):
        raise OutputError(f"{format_name(str(target))} cannot be written, so that no decision would be kept")
    if session.damaged:
        first = session.damaged[0]
        say(
            f"{format_name(str(session.path))}: {pluralize(len(session.damaged), 'damaged line')} left out "
            f"(the first is line {first.line}: {first.why})"
        )
    if merge:
        _merge(session, merge)
    elif export is not None:
        _export(session, export, force=force)
    elif import_from is not None:
        _import(session, import_from)
    elif terminal:
        from lossval_cli.cli.review_terminal import review_on_terminal

        review_on_terminal(session)
    else:
        _serve(session, port, browser=not no_browser)


def _run(directory: Path, data: str | None) -> LoadedRun:
    """The run, with the table at `data` where that is given."""
    from lossval_cli.runs.loaded import read_run, read_table_of

    run = read_run(directory)
    if data is not None:
        table = read_table_of(run, directory, data)
        return replace(run, find_train=lambda: table)
    if run.train is None:
        if run.was_in_memory:
            say(f"{format_name(str(directory))} was made on a table in memory: only what the report holds is shown")
        else:
            say(
                f"{format_name(run.path or run.name)} is not where it was, or has changed: only what the report holds "
                "is shown; say where it is with --data FILE"
            )
    return run


def _reviewer(given: str | None) -> str:
    if given is not None:
        if not given.strip() or not given.isprintable():
            raise UsageError("--reviewer is not a name")
        return given.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name
        return "reviewer"


def _needs(*modules: str, what: str) -> None:
    """Raise UsageError, which says how to install what is missing."""
    missing = []
    for name in modules:
        try:
            import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise UsageError(f"{what} needs {join_names(missing)}: {INSTALL}; or use --terminal")


def _serve(session: Session, port: int, *, browser: bool) -> None:
    import secrets

    from lossval_cli.review.server import HOST, make_app, open_socket, serve

    try:
        listener = open_socket(port)
    except OSError as error:
        raise UsageError(f"--port {port}: {system_reason(error)}; 0 takes a free port") from error
    port = int(listener.getsockname()[1])
    token = secrets.token_urlsafe(24)
    address = f"http://{HOST}:{port}/?token={token}"
    show(f"{address}\n")
    if sys.stdout is not None:
        sys.stdout.flush()  # a pipe would hold the address back to the end
    say(f"{pluralize(len(session.items), 'row')} to review; decisions go to {session.path}; Ctrl-C ends")
    if browser:
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(address)
    with listener:
        serve(make_app(session, token, port), listener)


def _merge(session: Session, files: list[Path]) -> None:
    from lossval_cli.runs.decisions import append_decisions, read_decisions

    known = set(session.decisions)
    for file in files:
        found = read_decisions(file)
        for damaged in found.damaged:
            say(f"{format_name(str(file))}: line {damaged.line} left out: {damaged.why}")
        fresh = [one for one in dict.fromkeys(found.decisions) if one not in known]
        append_decisions(session.path, fresh)
        known.update(fresh)
        old = len(found.decisions) - len(fresh)
        say(f"{format_name(str(file))}: {pluralize(len(fresh), 'decision')} added, {old:,} known")
    session.refresh()
    lines = session.disagreements()
    show("".join(f"{line}\n" for line in lines))
    say(f"reviewers disagree about {pluralize(len(lines), 'row')}" if lines else "no disagreement")


def _export(session: Session, path: Path, *, force: bool) -> None:
    from lossval_cli.review.spreadsheet import export_rows
    from lossval_cli.runtime.atomic_write import check_file, write_file

    if path.suffix.lower() not in (".xlsx", ".csv"):
        raise UsageError(f"--export {format_name(str(path))}: name a .xlsx or .csv file")
    if path.suffix.lower() == ".xlsx":
        _needs("openpyxl", what="--export to .xlsx")
    check_file(path, force=force, read=[session.directory])
    if path.resolve() == session.path.resolve():
        raise OutputError(f"{format_name(str(path))} holds the decisions: name another file")
    write_file(path, lambda file: export_rows(session, file, path.suffix.lower()), force=force)
    say(
        f"{format_name(str(path))}: {pluralize(len(session.items), 'row')}; fill in the column decision and --import it"
    )


def _import(session: Session, path: Path) -> None:
    from lossval_cli.review.spreadsheet import import_rows

    if path.suffix.lower() == ".xlsx":
        _needs("openpyxl", what="--import of .xlsx")
    done, problems = import_rows(session, path)
    for problem in problems:
        say(f"{format_name(str(path))}: {problem}")
    say(f"{format_name(str(path))}: {pluralize(done, 'decision')} added to {session.path}")
