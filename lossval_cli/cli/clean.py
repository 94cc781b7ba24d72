"""`lossval clean`: the table of a run without its bad rows, with better labels, with weights."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal

import typer

from lossval_cli.cli import options
from lossval_cli.cli.console import is_screen, results, say
from lossval_cli.cli.option_groups import OptionGroup, grouped_options
from lossval_cli.errors import OutputError, UsageError
from lossval_cli.text.format import format_name, join_names, pluralize, quote
from lossval_cli.text.quantities import parse_share

if TYPE_CHECKING:
    from lossval_cli.runs.clean import Cleaning
    from lossval_cli.runs.decided_cells import DecidedChanges
    from lossval_cli.runs.label_fixes import LabelColumn
    from lossval_cli.runs.loaded import LoadedRun
    from lossval_cli.runtime.atomic_write import Writer
    from lossval_cli.tables.rewrite import Original

EXAMPLES = """\b
Examples:
  lossval clean data.lossval -o cleaned.csv --drop suspects
  lossval clean data.lossval -o cleaned.csv --decisions
  lossval clean data.lossval -o cleaned.csv --drop features --relabel
  lossval clean data.lossval -o cleaned.csv --drop lowest:5% --removed bad.csv
  lossval clean data.lossval -o weighted.parquet --add-weights weight
"""

ENDINGS = {
    "CSV": (".csv", ".tsv", ".txt", ".tab", ".psv", ".dat"),
    "JSON": (".jsonl", ".json", ".ndjson"),
    "Parquet": (".parquet", ".parq", ".pq"),
    "Arrow": (".arrow", ".feather", ".arrows", ".ipc"),
    "a format that is not written": (".xls", ".xlsx", ".html", ".htm", ".md", ".zip"),
}
PACKINGS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
"""Ending of a CSV or JSON file -> how it is packed."""


@dataclass(frozen=True, kw_only=True)
class ChangeOptions(OptionGroup):
    """The options that select and change rows."""

    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT", help="Rows to leave out: suspects, label, features, lowest:5%. Repeatable."),
    ] = None
    relabel: Annotated[
        bool,
        typer.Option(
            "--relabel",
            help="Replace the labels of rows that are suspect by label alone with the predicted ones.",
        ),
    ] = False
    min_probability: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Least noise probability for relabelling a row [default: 80%]."),
    ] = None
    decisions: Annotated[
        bool,
        typer.Option(
            "--decisions",
            help="Apply RUN_DIR/decisions.csv: drop, relabel and fix what reviewers decided. --drop and --relabel "
            "leave decided rows alone.",
        ),
    ] = False
    add_weights: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Add the importances as a last column, scaled to a mean of 1."),
    ] = None


@grouped_options
def clean(
    run_directory: options.RunDirectory,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|-",
            help="Cleaned table, in the format of the scored one (.csv, .csv.gz, …, .jsonl, .parquet or .arrow), or - "
            "for standard output.",
            show_default=False,
        ),
    ],
    changes: ChangeOptions,
    data: options.Data = None,
    removed: Annotated[str | None, typer.Option(metavar="FILE", help="File for the rows that are left out.")] = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the table of a run without bad rows, with better labels, or with weights.

    Kept rows are otherwise unchanged, in CSV and JSON byte for byte; several files become one. The table must be the
    one that was scored. With --drop and --relabel together, relabelled rows are kept.
    """
    _check_options(changes, removed)
    from lossval_cli.runs.clean import check_drops, plan_cleaning, read_drop
    from lossval_cli.runs.decided_cells import plan_decisions
    from lossval_cli.runs.decisions import find_decisions
    from lossval_cli.runs.loaded import read_run
    from lossval_cli.runs.matching import identify_run
    from lossval_cli.runs.original import find_original, open_original
    from lossval_cli.tables.rewrite import Added

    drops = [read_drop(text) for text in changes.drop or ()]
    check_drops(drops)
    least = _least_probability(changes.min_probability)
    targets = [output] if removed is None else [output, removed]
    path = find_original(run_directory, data)
    _check_targets(targets, path, run_directory, force=force)
    run = read_run(run_directory)
    table = open_original(path, run, run_directory)
    for target in targets:
        _check_ending(target, table.form, path)
    label = _label_column(run, table, path) if changes.relabel or changes.decisions else None
    decided = None
    if changes.decisions:
        assert label is not None
        whole = label.table
        run = replace(run, find_train=lambda: whole)
        decided = plan_decisions(find_decisions(run_directory), identify_run(run), label, table)
    if changes.add_weights is not None:
        _check_column(changes.add_weights, table.names)
    cleaning = plan_cleaning(
        run,
        drops,
        label=label if changes.relabel else None,
        min_probability=least,
        weigh=changes.add_weights is not None,
        decided=decided,
    )
    added = None if cleaning.weights is None else Added(changes.add_weights or "", cleaning.weights)

    def write_removed(file: BinaryIO) -> None:
        table.write(file, ~cleaning.keep)

    def write_cleaned(file: BinaryIO) -> None:
        table.write(file, cleaning.keep, cells=cleaning.cells, added=added)

    if removed is not None:
        _write(removed, write_removed, force=force)
    _write(output, write_cleaned, force=force)
    if not quiet:
        _say_what_was_done(targets, cleaning, changes.add_weights, decided)


def _label_column(run: LoadedRun, table: Original, path: str) -> LabelColumn:
    """The labels of the table, which must have some."""
    from lossval_cli.runs.label_fixes import LabelColumn
    from lossval_cli.tables.cell_options import CellOptions
    from lossval_cli.tables.table import Table

    roles = run.report["data"]["roles"]
    table.column(roles["label"])  # refused where the file has none
    cells = CellOptions.of(run.report["settings"])
    form: Literal["csv", "parquet"] = "csv" if table.form in ("CSV", "JSON") else "parquet"
    whole = Table(table.table, path, form, None, None, options=cells, quoted=table.quoted)
    return LabelColumn(roles["label"], roles["task"], whole)


def _check_options(changes: ChangeOptions, removed: str | None) -> None:
    """Raise UsageError for options that do nothing, alone or without others."""
    if not (changes.drop or changes.relabel or changes.decisions or changes.add_weights is not None):
        raise UsageError(
            "nothing to do: give --decisions, --drop suspects, label, features or lowest:5%, --relabel, or "
            "--add-weights COLUMN"
        )
    if changes.min_probability is not None and not changes.relabel:
        raise UsageError("--min-probability goes with --relabel")
    if removed is not None and not (changes.drop or changes.decisions):
        raise UsageError("--removed goes with --drop or --decisions: nothing is left out without one of them")


def _least_probability(given: str | None) -> float:
    from lossval_cli.runs.clean import LEAST_PROBABILITY

    try:
        return LEAST_PROBABILITY if given is None else float(parse_share(given))
    except ValueError as error:
        raise UsageError(f"--min-probability {error}") from None


def _check_targets(targets: Sequence[str], path: str, run: Path, *, force: bool) -> None:
    """Raise UsageError or OutputError for a file that must not or cannot be written."""
    from lossval_cli.runs.decisions import DECISIONS
    from lossval_cli.runtime.atomic_write import OWN_FILES, check_file, repeated_file
    from lossval_cli.tables.files import list_files

    read = [file for file in list_files(path) if os.path.exists(file.path)]
    if repeated_file(targets) is not None:
        raise UsageError("-o and --removed name the same file: give each its own")
    for target in targets:
        if target == "-":
            continue
        if not target or "\0" in target:
            raise UsageError(f"{target!r} is not a file name")
        if any(os.path.exists(target) and os.path.samefile(target, one.path) for one in read):
            raise OutputError(f"{format_name(target)} is the table that was scored; name another file")
        if os.path.isdir(path) and Path(path).resolve() in Path(target).resolve().parents:
            raise OutputError(f"{format_name(target)} lies in the table that was scored; name another file")
        file = Path(target)
        if file.name in {*OWN_FILES, DECISIONS} and os.path.realpath(file.parent) == os.path.realpath(run):
            raise OutputError(f"{format_name(target)} belongs to the run; name another file")
        check_file(file, force=force)


def _check_ending(target: str, form: str, path: str) -> None:
    """Raise UsageError for a name that promises another format than the table has; CSV may have any other name."""
    is_binary = form in ("Parquet", "Arrow")
    if target == "-":
        if is_binary and is_screen(sys.stdout):
            raise UsageError(
                f"{form} cannot be shown on a terminal: redirect standard output, or use -o FILE{ENDINGS[form][0]}"
            )
        return
    bare = target.lower()
    packing = next((end for end in PACKINGS if bare.endswith(end)), "")
    bare = bare.removesuffix(packing)
    promised = next((name for name, ends in ENDINGS.items() if bare.endswith(ends)), "CSV")
    if promised != form or (is_binary and packing):
        first = ENDINGS[form][0]
        example = first if is_binary else f"{first} or {first}.gz"
        raise UsageError(
            f"{format_name(target)}: {format_name(path)} is {form} and is written as such: name a {example} file"
        )


def _check_column(name: str, present: Sequence[str]) -> None:
    if name != name.strip() or not name or not name.isprintable():
        raise UsageError(f"--add-weights {quote(name)} is not a column name")
    if name in present:
        raise UsageError(f"--add-weights {format_name(name)}: the table has a column of that name; choose another")


def _write(target: str, write: Writer, *, force: bool) -> None:
    """Apply `write` to a file, packed as its name says, or to standard output."""
    from lossval_cli.runtime.atomic_write import write_file

    if target == "-":
        with results() as stream:
            write(stream)
        return
    packing = next((PACKINGS[end] for end in PACKINGS if target.lower().endswith(end)), None)

    def pack(file: BinaryIO) -> None:
        import pyarrow as pa

        own = os.fdopen(os.dup(file.fileno()), "wb")  # the stream closes the file that it writes to
        with own, pa.CompressedOutputStream(pa.PythonFile(own), packing) as packed:
            write(packed)

    write_file(Path(target), write if packing is None else pack, force=force)


def _say_what_was_done(
    targets: Sequence[str], cleaning: Cleaning, weights: str | None, decided: DecidedChanges | None = None
) -> None:
    rows, kept = len(cleaning.keep), int(cleaning.keep.sum())
    done = [f"{kept:,} of {pluralize(rows, 'row')} kept"]
    if kept < rows:
        done.append(f"{rows - kept:,} {'in ' + format_name(targets[1]) if targets[1:] else 'left out'}")
    if cleaning.relabelled is not None:
        done.append(f"{cleaning.relabelled:,} relabelled")
    if decided is not None and decided.fixed:
        done.append(f"{pluralize(decided.fixed, 'cell')} fixed")
    if weights is not None:
        done.append(f"weights in column {format_name(weights)}")
    name = "standard output" if targets[0] == "-" else format_name(targets[0])
    say(f"{name}: {', '.join(done)}")
    for note in () if decided is None else decided.notes:
        say(note)
    if weights is not None and cleaning.relabelled:
        say("the weights of relabelled rows were measured with their old labels: score the new table for new ones")
    if cleaning.emptied:
        say(f"no row is left with the label {join_names(map(quote, cleaning.emptied))}")
