"""The Python functions of the commands check, diff, calibrate and acquire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path

import pandas as pd

from lossval_cli.calibration import MOST_PLANTED
from lossval_cli.calibration.outcome import Calibration, conclude
from lossval_cli.calibration.trials import run_baseline, run_trial
from lossval_cli.checks.evaluate import KINDS_OF_RULE
from lossval_cli.checks.rules import DEFAULTS, rules_of
from lossval_cli.checks.run_check import check_run
from lossval_cli.checks.values import CheckResult
from lossval_cli.errors import SettingsError, UsageError, warn
from lossval_cli.features.read_tables import Source
from lossval_cli.features.table_options import TableOptions, column_name, column_names
from lossval_cli.result import Result
from lossval_cli.runs.diff import Comparison, compare
from lossval_cli.runs.loaded import LoadedRun, read_run
from lossval_cli.runs.pool import rank_pool
from lossval_cli.settings import Settings
from lossval_cli.text.format import did_you_mean, show

Run = Result | str | Path
"""A result, or a run directory."""


def check(
    run: Run, *, baseline: Run | None = None, new_rows_only: bool = False, strict: bool = False, **limits: object
) -> CheckResult:
    """Check a run against limits, as `lossval check` does.

    run, baseline: a `Result` or a run directory.  limits: as in the `[check]` table, `max_suspects="5%"`,
    `max_label_suspects=20`; without any, the defaults.  new_rows_only: look at rows that the baseline does not have.
    strict: a warning fails, too.

    Returns a `CheckResult`: `passed`, and `results` with one entry per rule; one that cannot be evaluated has the
    outcome `unknown` and does not pass. Raises UsageError, one line.
    """
    if new_rows_only and baseline is None:
        raise UsageError("check: new_rows_only needs baseline, an earlier run")
    for name in limits:
        if name not in KINDS_OF_RULE:
            hint = did_you_mean(name, KINDS_OF_RULE) or f"rules are {', '.join(KINDS_OF_RULE)}"
            raise UsageError(f"check: {name} is unknown: {hint}")
    rules, problems = rules_of(limits or DEFAULTS, option=False)
    if problems:
        raise SettingsError(problems)
    before = None if baseline is None else _loaded(baseline)
    return check_run(_loaded(run), rules, baseline=before, new_rows_only=new_rows_only, strict=strict)


def diff(old: Run, new: Run) -> Comparison:
    """Compare two runs: rows that were added, removed or became suspect.

    old, new: a `Result` or a run directory each. Rows are matched by their ids, or by their content.

    Returns a `Comparison`, whose `to_dict()` is what `lossval diff --output-format json` prints. Raises UsageError, one
    line, where rows cannot be matched.
    """
    return compare(_loaded(old), _loaded(new))


def calibrate(
    train: Source,
    val: Source | None = None,
    *,
    rates: float | Sequence[float] = (0.02, 0.05, 0.1),
    repeats: int = 1,
    precision: float | None = None,
    label: str | None = None,
    ids: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    preset: str | None = None,
    **settings: object,
) -> Calibration:
    """Measure how reliable the flags are on a table: noise is planted in copies of it, which are scored.

    rates: shares of rows (up to 0.4) that noise of each kind is planted in.  repeats: trials per rate.  precision:
    choose thresholds that reach it, a share above 0 and up to 1.  train, val, label, ids, exclude, preset: as for
    `score`.  settings: those of `lossval presets`, as for `score`.

    Returns a `Calibration`, whose `to_dict()` is what `lossval calibrate --output-format json` prints. Raises
    LossvalError, one line.
    """
    shares = sorted(set(_shares("rates", rates, MOST_PLANTED)))
    _check_count("calibrate: repeats", repeats)
    if precision is not None:
        (precision,) = _shares("precision", [precision], 1.0)
    baseline = run_baseline(
        train,
        val,
        options=TableOptions(
            label=column_name("label", label),
            ids=column_names("ids", ids),
            exclude=column_names("exclude", exclude),
        ),
        settings=Settings.resolve(preset, None, settings),
        on_dataset=lambda _: None,
    )
    warn(baseline.dataset.warnings)
    trials = [run_trial(baseline, rate, repeat) for rate in shares for repeat in range(repeats)]
    return conclude(baseline, trials, precision)


def acquire(run: str | Path, pool: str | Path, number: int = 100, *, data: str | Path | None = None) -> pd.DataFrame:
    """Rank the rows of an unlabelled table by how much their labels would help, as `lossval acquire` does.

    run: a run directory (`Result.write`) of a table in a file.  pool: path of a table with the feature columns of the
    training table.
    number: how many rows to choose.  data: path of the training table, if it was moved.

    Returns a DataFrame, the best row first, one line per chosen row: its row number in the pool, its ids, and
    `predicted_importance` (mean 1 over training rows). Raises LossvalError, one line.
    """
    _check_count("acquire: number", number)
    for name, given in (("run", run), ("pool", pool), ("data", data)):
        if not isinstance(given, str | Path) and not (name == "data" and given is None):
            raise UsageError(f"acquire: {name} must be a path, not {type(given).__name__}")
    ranking = rank_pool(Path(run), str(pool), None if data is None else str(data), number)
    found: pd.DataFrame = ranking.table.to_pandas()
    found.attrs = {"quality": ranking.quality, "notices": list(ranking.notices)}
    return found


def _shares(name: str, given: object, most: float) -> list[float]:
    """Shares above 0 and up to `most`. Raises UsageError."""
    several = [given] if isinstance(given, Real) else given
    found = [share for share in several if isinstance(share, Real)] if isinstance(several, Iterable) else []
    shares = [float(share) for share in found if 0 < float(share) <= most]
    if not shares or not isinstance(several, Iterable) or len(shares) < len(list(several)):
        raise UsageError(f"calibrate: {name} must be shares above 0 and up to {most:g}, not {show(given)}")
    return shares


def _check_count(name: str, given: object) -> None:
    if isinstance(given, bool) or not isinstance(given, Integral) or int(given) < 1:
        raise UsageError(f"{name} must be a whole number of at least 1, not {show(given)}")


def _loaded(run: Run) -> LoadedRun:
    if isinstance(run, Result):
        return run.loaded()
    if not isinstance(run, str | Path):
        raise UsageError(f"a run is a Result or a run directory, not {type(run).__name__}")
    return read_run(Path(run))
