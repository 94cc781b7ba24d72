"""The Python function of `lossval score`: `lossval_cli.score`."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import fields
from numbers import Real
from pathlib import Path
from typing import Any, Literal

from lossval_cli.errors import UsageError, warn
from lossval_cli.features.read_tables import Source
from lossval_cli.features.table_options import TableOptions, column_name, column_names
from lossval_cli.lossval.state import Epoch
from lossval_cli.noise.thresholds import read_thresholds
from lossval_cli.own_code import Given
from lossval_cli.pipeline import Callbacks, Tables, run
from lossval_cli.presets import COLUMNS_TABLE, read_toml
from lossval_cli.result import Result
from lossval_cli.runtime.distributed import SINGLE_PROCESS, joined
from lossval_cli.runtime.resources import Resources
from lossval_cli.settings import Settings
from lossval_cli.text.format import show
from lossval_cli.text.quantities import read_bytes, read_seconds

TABLE_OPTIONS = tuple(field.name for field in fields(TableOptions))
COLUMNS = ("label", "weight", "group", "time")
COLUMN_LISTS = ("ids", "exclude", "features", "categories")
"""Table options for which a single name may be given instead of a list."""
RUN_OPTIONS = ("time_limit", "max_memory", "checkpoint", "checkpoint_every", "resume", "distributed")


def score(
    train: Source,
    val: Source | None = None,
    *,
    label: str | None = None,
    test: Source | None = None,
    thresholds: str | Path | None = None,
    decisions: str | Path | None = None,
    removal: Literal["full", "quick", "off"] = "full",
    preset: str | None = None,
    config: str | Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    **options: Any,
) -> Result | Any:
    """Rank the rows of `train` by how much they help a model do well on `val`.

    The method is LossVal (Wibiral et al., arXiv 2412.04158), changed as docs/method.md says; `preset="paper"` is the
    published one.

    train, val, test: DataFrames or other tables in memory, or paths of CSV, JSON, Parquet or Arrow tables: N training
    rows, J trusted rows (a part of `train` is held out where there are none), and rows to evaluate on.
    label: the column to predict; without it, one called label, target, y or class, else a last column that clearly is
    one.  thresholds: a file of `lossval calibrate` that decides which rows are suspect.  decisions: decisions.csv of
    `lossval review`, whose rows count as trusted and are not flagged again.  removal: how thoroughly to study
    what removing rows does.
    preset, config: as `--preset` and `--config`.  on_epoch: called after every epoch.

    `options` about columns:

    ids: columns that are copied to the scores and are not features.  exclude: columns left out.  features, categories:
    columns that are features whatever they look like, the latter of categories.  weight: a column of sample weights.
    group: a column whose rows stay together in one fold.  time: a column in whose order folds are contiguous.
    multi_label: the separator between the labels of one row, such as `";"`; columns of lists need none.
    ordered, order: whether classes are steps of a scale, and the classes from one end to the other.
    predictions: out-of-fold predictions of a model of your own, in place of networks: class probabilities (N, K),
    columns in sorted order of the classes or named like them, or numbers (N,) in the unit of the label; an array, a
    table, a file, or columns of `train`.  val_predictions: the same for `val`, (J, K) or (J,).
    require_labels: refuse rows without a label, which are left out otherwise.  columns: column -> role, type, or both,
    as in a `[columns]` table of `config`, which it replaces.

    `options` about the run:

    time_limit: seconds, or `"2h"`, after which training stops, no removal study begins, and what was learned is
    reported; reading, outliers, noise and the report are not cut short.
    max_memory: bytes, or `"2GB"`, to stay below; Parquet and Arrow files are then read in parts.
    checkpoint: a file that training is saved in every `checkpoint_every` seconds, and which is deleted when training
    is complete; with `resume`, training continues from it, if it is there.  distributed: False scores in this process
    alone. Otherwise the processes of a launcher (torchrun, Ray Train, Spark's TorchDistributor) share the work, or
    those of a process group that exists, which stays open; all of them must call `score` with the same tables and
    options.

    Every other option is a setting, as with `--set`, and overrides preset and config; `lossval presets` lists them.
    `loss` may be a function of (predictions, targets), (B, K) logits or (B,) numbers and (B,), that returns (B,), and
    `model` a scikit-learn estimator, or a function of (inputs, outputs) that makes a torch.nn.Module.

    Returns a `Result`: `scores` is a DataFrame with one line per training row, lowest importance first;
    `report` is the content of report.json. Of several processes the first one returns it, the others return None.
    Nothing but the checkpoint is written. Raises LossvalError, one line each; a LossvalWarning names
    reasons to doubt the result.
    """
    if removal not in ("full", "quick", "off"):
        raise UsageError(f"removal must be full, quick or off, not {show(removal)}")
    if on_epoch is not None and not callable(on_epoch):
        raise UsageError(f"on_epoch must be a function of an Epoch, not {show(on_epoch)}")
    _check_label(label)
    columns = {"label": label} | _take(options, TABLE_OPTIONS)
    columns |= {name: column_name(name, columns.get(name)) for name in COLUMNS}
    columns |= {name: column_names(name, columns[name]) for name in COLUMN_LISTS if name in columns}
    if not isinstance(separator := columns.get("multi_label"), str | None):
        raise UsageError(f"multi_label must be the separator between labels, such as ';', not {show(separator)}")
    if columns.get("columns") is None:
        columns["columns"] = {} if config is None else read_toml(Path(config)).get(COLUMNS_TABLE, {})
    given = _take(options, RUN_OPTIONS)
    is_alone = not given.pop("distributed", True)
    resources = _resources(**given)
    settings = Settings.resolve(preset, config, {name: _as_setting(name, value) for name, value in options.items()})
    with contextlib.nullcontext(SINGLE_PROCESS) if is_alone else joined() as processes:
        result = run(
            Tables(train, val, test),
            settings,
            options=TableOptions(**columns),
            thresholds=None if thresholds is None else read_thresholds(Path(thresholds)),
            decisions=None if decisions is None else Path(decisions),
            removal=removal,
            resources=resources,
            processes=processes,
            callbacks=None if on_epoch is None else Callbacks(epoch=on_epoch),
        )
    if not processes.is_main:
        return None
    warn((*result.fit.warnings, *result.dataset.warnings))
    if result.is_complete:
        resources.forget_checkpoint()
    return result


def _check_label(label: object) -> None:
    """Raise UsageError for several columns, saying how to make one column of tags of them."""
    if isinstance(label, list | tuple) and len(label) > 1:
        raise UsageError(
            f"label must be the name of one column, not {show(label)}; columns of 0 and 1 become one column of tags "
            f'by train["tags"] = train[{list(label)!r}].apply(lambda row: [*row.index[row == 1]], axis=1)'
        )


def _as_setting(name: str, value: object) -> object:
    """Functions and estimators are settings, too."""
    return Given(value) if name in ("loss", "model") and not (value is None or isinstance(value, str)) else value


def _take(options: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Take the `options` that have one of these names, which are taken out of them."""
    return {name: options.pop(name) for name in names if name in options}


def _resources(
    time_limit: float | str = math.inf,
    max_memory: int | str | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: float | str = 600.0,
    resume: bool = False,
) -> Resources:
    if checkpoint is None and resume:
        raise UsageError("resume needs checkpoint, the file to continue from")
    if checkpoint is not None and not Path(checkpoint).absolute().parent.is_dir():
        raise UsageError(f"checkpoint {str(checkpoint)!r}: there is no such directory")
    memory = None if max_memory is None else int(_amount("max_memory", max_memory, read_bytes))
    return Resources(
        time_limit=_amount("time_limit", time_limit, read_seconds),
        checkpoint=None if checkpoint is None else Path(checkpoint),
        checkpoint_every=_amount("checkpoint_every", checkpoint_every, read_seconds),
        memory=memory,
        scratch=None if memory is None else Path(tempfile.gettempdir()) / "encoded.lossval",
        resume=resume,
    )


def _amount(name: str, given: object, read: Callable[[str, str], float]) -> float:
    """A number above 0, or one as `read` reads it from text."""
    if isinstance(given, str):
        return read(name, given)
    number = -1.0 if isinstance(given, bool) or not isinstance(given, Real) else float(given)
    if not number > 0:
        raise UsageError(f"{name} must be a number above 0, not {show(given)}")
    return number
