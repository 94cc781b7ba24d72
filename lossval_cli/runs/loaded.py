"""A finished run, read from a run directory or just computed, for the commands that use one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.errors import LossvalError, ReadError
from lossval_cli.limits import MAX_RECORD_FILE_BYTES, read_small
from lossval_cli.runs.scores_io import as_text
from lossval_cli.runs.shape import check_shape
from lossval_cli.runtime.atomic_write import RECORD, is_run_directory
from lossval_cli.score_columns import FIXED_COLUMNS, KINDS, given_names
from lossval_cli.tables.options import ReadOptions
from lossval_cli.tables.table import Table, read_table
from lossval_cli.text.format import format_name, quote
from lossval_cli.version import RECORD_VERSION, REPORT_VERSION, __version__

if TYPE_CHECKING:  # it brings PyTorch along, which reading a run can do without
    from lossval_cli.features.dataset import Dataset

Texts = Sequence[str | None]

_LATER = ("label_noise_probability", "feature_noise_probability", "predicted_probability")
"""Columns of the scores that the first versions did not write."""

EXAMPLES = (Path(__file__).parents[1] / "examples", Path(__file__).parents[2] / "examples")
"""Where the tables of `lossval demo` lie: inside the installed package, or beside it in a checkout."""

VERSIONS = {RECORD: RECORD_VERSION, "report.json": REPORT_VERSION}
"""Newest version of each file that is understood; older ones are brought up to it."""


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """N scored rows, lowest importance first, and what the report says of them all."""

    name: str
    """Name of the training table, without directories."""
    report: Mapping[str, Any]
    row: npt.NDArray[np.int64]
    """(N,) 0-based data rows."""
    line: npt.NDArray[np.int64] | None
    """(N,) 1-based lines of a CSV file."""
    ids: dict[str, Texts]
    """Id column -> (N,) cells as text; empty where there are none or they were redacted."""
    given: Texts
    """(N,) labels as text."""
    predicted: Texts
    predicted_probability: npt.NDArray[np.float64]
    """(N,) of the predicted class; NaN for numbers."""
    importance: npt.NDArray[np.float64]
    feature_evidence: npt.NDArray[np.float64]
    """(N,) NaN where the method does not part importance."""
    noise_probability: npt.NDArray[np.float64]
    """(N,) NaN where the method estimates no noise."""
    label_probability: npt.NDArray[np.float64]
    feature_probability: npt.NDArray[np.float64]
    """(N,) of its two parts; NaN in a run of version 0.1.0, too."""
    suspect: Texts
    """(N,) '', label, features or label+features."""
    path: str | None
    """Path of the training table from the current directory; None if it is not known."""
    find_train: Callable[[], Table | None]
    """Finds the training table itself, None where it is not at hand."""

    @cached_property
    def train(self) -> Table | None:
        """The training table, read when it is first asked for."""
        return self.find_train()

    @property
    def was_in_memory(self) -> bool:
        """True if the training table was a DataFrame or the like, which is in no file."""
        return bool(self.report["data"]["tables"]["train"].get("format") == "frame")

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """(N,) whether a row has a label; rows without one are last and were not learned from."""
        return np.arange(len(self.row)) < int(self.report["summary"]["rows"])

    def suspect_at(self) -> npt.NDArray[np.int64]:
        """Indices of the suspects, the most probable first; of equal probabilities the least important."""
        suspects = np.flatnonzero(np.array([bool(kind) for kind in self.suspect], bool))
        order = np.argsort(-np.nan_to_num(self.noise_probability[suspects], nan=-1.0), kind="stable")
        return suspects[order]

    def ids_at(self, i: int) -> dict[str, str | None]:
        """The ids of one row."""
        return {name: cells[i] for name, cells in self.ids.items()}


def loaded_run(report: Mapping[str, Any], table: pa.Table, dataset: Dataset) -> LoadedRun:
    """A run that was just made: its report, ranked rows and inputs."""
    name = dataset.train.table.name
    path = None if name.startswith("<") else name
    return _scored(report, table, path=path, find_train=lambda: dataset.whole_table)


def read_run(path: Path) -> LoadedRun:
    """A run directory. Raises ReadError, one line, if it is none or a file of it is missing or damaged."""
    called = format_name(str(path))
    record, report = (read_part(path, name) for name in (RECORD, "report.json"))
    files = [file for form in ("parquet", "csv", "jsonl") if (file := path / f"scores.{form}").exists()]
    if not files:
        raise ReadError(f"{called} holds no scores.csv, scores.jsonl or scores.parquet; score the table again")
    try:
        check_shape(report)
        train = record["inputs"]["train"]
        train_path = path_of_train(path, train)
        scores, digest = _read_scores(files[0]), train["sha256"]
        options = ReadOptions.of_record(record.get("settings"))
        find_train = partial(_find_table, train_path, digest, options)
        return _scored(report, scores, path=train_path or train["name"], find_train=find_train)
    except (KeyError, TypeError, ValueError, OSError, pa.ArrowException) as error:
        raise damaged(path, error) from error


def path_of_train(path: Path, train: Mapping[str, Any]) -> str | None:
    """Return the path of the training table of the run at `path`, from the current directory: as run.json says of it
    (`train`), or beside the run, here or among the examples if it lay elsewhere and a file of its name is there; else
    None."""
    parent = path.resolve().parent
    if train["path"] is not None:
        return os.path.relpath(parent / str(train["path"]))
    name = str(train["name"])
    candidates = (os.path.relpath(parent / name), name, *(os.path.relpath(folder / name) for folder in EXAMPLES))
    return next((candidate for candidate in candidates if os.path.exists(candidate)), None)


def read_part(path: Path, name: str) -> dict[str, Any]:
    """run.json or report.json of a run directory; ReadError, one line, where there is none to read."""
    called = format_name(str(path))
    if not path.is_dir():
        raise ReadError(f"{called}: no such run directory; `lossval score` writes one")
    if not is_run_directory(path):
        raise ReadError(f"{called} is not a run directory of lossval: it holds no {RECORD} that lossval wrote")
    part = format_name(str(path / name))
    try:
        content = json.loads(read_small(path / name, MAX_RECORD_FILE_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise ReadError(f"{part} cannot be read; score the table again") from error
    if not isinstance(content, dict):
        raise ReadError(f"{part} was not written by lossval; score the table again")
    _check_version(part, content.get("schema_version"), VERSIONS[name])
    if name == "report.json" and content["schema_version"] < 2:
        _rename_odd(content)
    return content


def _rename_odd(report: dict[str, Any]) -> None:
    """Report version 1 -> 2."""
    report["schema_version"] = 2
    suspects = report.get("suspects")
    for row in suspects if isinstance(suspects, list) else ():
        if isinstance(row, dict) and "odd" in row:
            row["unusual"] = row.pop("odd")


def _check_version(part: str, found: object, newest: int) -> None:
    """Refuse what a later version has written: a field may mean something else there."""
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise ReadError(f"{part} does not say which version of the format it has; score the table again")
    if found > newest:
        raise ReadError(
            f"{part} has version {found} of its format, and lossval {__version__} reads up to {newest}: "
            "update lossval, or score the table again"
        )


def damaged(path: Path, error: Exception) -> ReadError:
    """The error for a run directory whose files do not hold what they should."""
    what = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ReadError(f"{format_name(str(path))} is damaged ({type(error).__name__}: {what}); score the table again")


def _scored(
    report: Mapping[str, Any], table: pa.Table, *, path: str | None, find_train: Callable[[], Table | None]
) -> LoadedRun:
    said = report["data"]["roles"]
    row = table["row"].cast(pa.int64()).to_numpy()
    suspect = _texts(table, "suspect")
    left_out = (report["data"].get("unlabelled") or {}).get("rows", 0)
    if len(row) != report["summary"]["rows"] + left_out or (np.sort(row) != np.arange(len(row))).any():
        raise ValueError("the scores do not cover every row exactly once")
    if strange := {kind for kind in suspect if kind} - set(KINDS):
        raise ValueError(f"{quote(strange.pop())} is not a kind of suspect")
    called = {
        # A name that `--safe-csv` took for a formula has an apostrophe in front.
        name: f"'{given}" if f"'{given}" in table.column_names and given not in table.column_names else given
        for name, given in given_names(said["label"], said["ids"]).items()
    }
    line = table["line"]
    return LoadedRun(
        name=report["data"]["tables"]["train"]["name"],
        report=report,
        row=row,
        line=None if line.null_count == len(line) else line.cast(pa.int64()).to_numpy(),
        ids={name: _texts(table, called[name]) for name in said["ids"] if called[name] in table.column_names},
        given=_texts(table, called[said["label"]]),
        predicted=_texts(table, "predicted"),
        predicted_probability=_floats(table, "predicted_probability"),
        importance=_floats(table, "importance"),
        feature_evidence=_floats(table, "feature_evidence"),
        noise_probability=_floats(table, "noise_probability"),
        label_probability=_floats(table, "label_noise_probability"),
        feature_probability=_floats(table, "feature_noise_probability"),
        suspect=suspect,
        path=path,
        find_train=find_train,
    )


def _texts(table: pa.Table, column: str) -> Texts:
    cells: list[str | None] = as_text(table[column].combine_chunks()).to_pylist()
    return cells


def _floats(table: pa.Table, column: str) -> npt.NDArray[np.float64]:
    """Return a column as floats (N,), NaN for a column that earlier versions did not write."""
    if column not in table.column_names and column in _LATER:
        return np.full(table.num_rows, np.nan)
    values: npt.NDArray[np.float64] = table[column].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _read_scores(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        data = read_table(path).data  # within its limits
        assert isinstance(data, pa.Table)
        return data
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as file:
            return pa.Table.from_pylist([json.loads(line) for line in file])
    table = read_table(path, ReadOptions(header=True))
    texts = ("suspect", "predicted")
    own = [name for name in FIXED_COLUMNS if name not in texts]
    for name in set(own) & set(table.column_names):
        if len(invalid := table.column(name).invalid):  # a table may have such cells, scores may not
            raise ValueError(f"{table.location(int(invalid[0]))}, column {name}: not a number")
    return pa.table({name: table.typed(name) if name in own else table.as_given(name) for name in table.column_names})


def read_table_of(run: LoadedRun, directory: Path, data: str) -> Table:
    """Read the training table of a run from a path that the user gives. Raises ReadError where it is another one."""
    table = read_table(data, ReadOptions.of_record(run.report["settings"]))
    if table.sha256 != run.report["data"]["tables"]["train"]["sha256"]:
        raise not_the_table(data, directory)
    return table


def not_the_table(path: str, directory: Path) -> ReadError:
    """The error about a table that is not the one of a run."""
    return ReadError(
        f"{format_name(path)} is not the table that {format_name(str(directory))} was made on (its SHA-256 differs): "
        "score it again, or name the right table with --data FILE"
    )


def _find_table(path: str | None, digest: str | None, options: ReadOptions) -> Table | None:
    """The training table, if it still is where it was and what it was."""
    if path is None or digest is None or not os.path.exists(path):
        return None
    try:
        table = read_table(path, options)
    except LossvalError:
        return None
    return table if table.sha256 == digest else None
