"""The result of a run in Python: scores and report, and methods to show, write and clean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from lossval_cli.errors import UsageError
from lossval_cli.features.dataset import Dataset
from lossval_cli.lossval.training import Fit
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.removal.study import RemovalStudy
from lossval_cli.report.render_html import render_html
from lossval_cli.report.sentences.run import figures, verdict
from lossval_cli.report.types import Report
from lossval_cli.runs.clean import CHOICES, LEAST_PROBABILITY, check_drops, plan_cleaning, read_drop
from lossval_cli.runs.destination import Format
from lossval_cli.runs.directory import run_files
from lossval_cli.runs.label_fixes import LabelColumn
from lossval_cli.runs.loaded import LoadedRun, loaded_run
from lossval_cli.runs.record import build_run_record
from lossval_cli.runtime.atomic_write import Content, write_directory
from lossval_cli.settings import Settings
from lossval_cli.tables.streamed import StreamedTable
from lossval_cli.text.format import format_name, format_percent, pluralize, show
from lossval_cli.text.quantities import parse_share

SHOWN_ROWS = 5
"""Suspects in the short view of a notebook."""


@dataclass(frozen=True, repr=False)
class Result:
    """The result of a run. `table` and `report` have the content of the files of a run directory."""

    table: pa.Table
    """One line per training row, lowest importance first."""
    report: Report
    """The content of report.json."""
    dataset: Dataset
    """The tables as arrays: `dataset.train.X` (N, D), `dataset.train.y` (N,)."""
    fit: Fit
    """Values that training found for each row, in the order of the rows."""
    noise: NoiseEstimate | None
    """None for the paper's algorithm, which only ranks rows."""
    removal: RemovalStudy | None
    """The effect of dropping rows; None where it was not studied."""
    settings: Settings
    """Every setting of the run."""
    source: Any = None
    """The training table as it was given."""
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the run began."""

    def __post_init__(self) -> None:
        """Keep a table as it is now, whatever its owner does to it later. Since pandas 3 that takes no memory."""
        if isinstance(self.source, pd.DataFrame):
            is_cheap = int(pd.__version__.partition(".")[0]) >= 3
            object.__setattr__(self, "source", self.source.copy(deep=not is_cheap))

    @property
    def is_complete(self) -> bool:
        """True if training reached its last epoch."""
        return not self.fit.stopped

    @property
    def scores(self) -> pd.DataFrame:
        """`table` as a DataFrame of N lines, lowest importance first; of a pandas table, with its index.

        `importance` has mean 1, evidences are in nats, probabilities from 0 to 1, and `predicted` in the unit of the
        label; docs/which-score.md explains which score to use.
        """
        frame: pd.DataFrame = self.table.to_pandas()
        index = self.dataset.train.table.index
        if index is None:
            return frame
        named = index.set_names([None if name in frame.columns else name for name in index.names])
        return frame.set_axis(named[frame["row"].to_numpy()], axis=0)

    def suspects(self) -> pd.DataFrame:
        """Returns the lines of `scores` that are suspect, the most probable first."""
        scores = self.scores
        chosen = scores[scores["suspect"] != ""]
        return chosen.sort_values("noise_probability", ascending=False, kind="stable")

    def to_html(self) -> str:
        """Returns the report as a page, which is what report.html holds."""
        return render_html(self.report)

    def write(self, directory: str | Path, *, force: bool = False) -> list[str]:
        """Write a run directory, as `lossval score -o DIR` does.

        directory: its path.  force: replace a directory that was made by something else.

        Returns the names of its files. The other commands read them (`lossval check`, `report`, `history`). The rows
        of a table in memory are not in them: `diff` and `review` then need `ids`, and `clean` and `acquire` need a run
        on a file.
        Raises OutputError where the directory cannot be written, or was made by something else and `force` is not
        given.
        """
        if not isinstance(directory, str | Path):
            raise UsageError(f"write: the run directory must be a path, not {show(directory)}")
        form: Literal["parquet", "csv"] = "parquet" if self.dataset.train.table.format == "parquet" else "csv"
        files = directory_files(self, Path(directory), form)
        write_directory(Path(directory), files, force=force)
        return list(files)

    def clean(
        self,
        drop: str | Sequence[str] = (),
        *,
        relabel: bool = False,
        min_probability: float | str | None = None,
        weights: str | None = None,
    ) -> pd.DataFrame:
        """The training table without bad rows, with better labels, or with weights, as `lossval clean` makes it.

        drop: `suspects`, `label`, `features` or `lowest:5%`, or several of them.  relabel: give rows that are suspect
        by their label alone the label that the model predicts.  min_probability: how probably wrong such a label has to
        be, by default 0.8 or `"80%"`.  weights: name of a new column with the importances, scaled to a mean of 1.

        Returns a DataFrame. A pandas table keeps its columns, types and index. Raises UsageError where nothing is asked
        for, and for choices that do not go together.
        """
        if not isinstance(drop, str | Sequence) or not all(isinstance(text, str) for text in drop):
            raise UsageError(f"clean: drop must be one of {CHOICES}, or a list of them, not {show(drop)}")
        texts = [drop] if isinstance(drop, str) else list(drop)
        least = LEAST_PROBABILITY if min_probability is None else _probability(min_probability)
        if weights is not None and not isinstance(weights, str):
            raise UsageError(f"clean: weights must be the name of a new column, not {show(weights)}")
        if not texts and not relabel and weights is None:
            raise UsageError("clean: nothing to do: give drop, relabel or weights")
        if min_probability is not None and not relabel:
            raise UsageError("clean: min_probability needs relabel=True, since it selects the rows to relabel")
        drops = [read_drop(text) for text in texts]
        check_drops(drops)
        table = self.dataset.whole_table
        if isinstance(table.data, StreamedTable):
            raise UsageError("clean: the table stays in its files: write() the run and use `lossval clean`")
        roles = self.dataset.roles
        label = LabelColumn(roles.label, roles.task, table) if relabel else None
        plan = plan_cleaning(self.loaded(), drops, label=label, min_probability=least, weigh=weights is not None)
        if isinstance(self.source, pd.DataFrame):
            frame = self.source.copy()
        else:
            frame = pa.table({name: table.typed(name) for name in table.column_names}).to_pandas()
        for cells in plan.cells:
            column = [str(name) for name in frame.columns].index(cells.column)
            values = pd.Series(cells.values.to_pylist()).astype(frame.dtypes.iloc[column])
            frame.iloc[cells.rows, column] = values.to_numpy()
        if weights is not None:
            if weights in frame.columns:
                raise UsageError(f"clean: the table has a column {format_name(weights)}: choose another for weights")
            assert plan.weights is not None
            frame[weights] = plan.weights
        return frame[plan.keep]

    def loaded(self) -> LoadedRun:
        """Returns this run as the functions that read run directories see it."""
        return loaded_run(self.report, self.table, self.dataset)

    def __repr__(self) -> str:
        summary, name = self.report["summary"], format_name(self.dataset.train.table.name)
        text = f"{pluralize(summary['rows'], 'row')} of {name}"
        if (share := summary["estimated_noise_share"]) is not None:
            text += (
                f", {summary['suspects']:,} suspect, estimated noise {format_percent(share['value'])} "
                f"({format_percent(share['low'])} to {format_percent(share['high'])})"
            )
        return f"<lossval Result: {text}>"

    def _repr_html_(self) -> str:
        """The head of the report and the first suspects, for notebooks."""
        cells = "".join(
            f"<td style='text-align:left;vertical-align:top'><small>{escape(one.name)}</small><br>"
            f"<b>{escape(one.value)}</b><br><small>{escape(one.note)}</small></td>"
            for one in figures(self.report)
        )
        rows = self.suspects().head(SHOWN_ROWS)
        first = "" if rows.empty else rows.to_html(max_cols=12, notebook=True, escape=True)
        return f"<div><p><b>{escape(verdict(self.report)[1])}</b></p><table><tr>{cells}</tr></table>{first}</div>"


def directory_files(
    result: Result,
    directory: Path,
    form: Format,
    *,
    options: Mapping[str, object] | None = None,
    safe_csv: bool = False,
) -> dict[str, Content]:
    """File name -> content of the run directory of a result. options: of the command, as run.json records them."""
    report = result.report
    record = build_run_record(
        result.dataset,
        result.settings,
        device=report["model"]["device"],
        options=options or {},
        thresholds=report["thresholds"],
        directory=directory,
        started=result.started,
        timing=report["timing"],
    )
    return run_files(result.table, report | {"directory": directory.name}, record, form, safe_csv=safe_csv)


def _probability(given: float | str) -> float:
    """0 to 1, or text such as 80%. Raises UsageError."""
    try:
        number = float(parse_share(given)) if isinstance(given, str) else float(given)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= 1:
        raise UsageError(
            f"clean: min_probability must be a share from 0% to 100%, such as 0.8 or '80%', not {show(given)}"
        )
    return number
