"""`lossval check`: a gate for data, for CI."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lossval_cli.checks.evaluate import NEED_REMOVAL
from lossval_cli.cli.check_outputs import OutputOptions, pair_outputs, write_outcome
from lossval_cli.cli.check_plan import (
    GateOptions,
    LimitOptions,
    Plan,
    check_table,
    make_plan,
    only_metric,
    refuse_hopeless,
)
from lossval_cli.cli.console import forget_stdout, show
from lossval_cli.cli.option_groups import OptionGroup, grouped_options
from lossval_cli.cli.options import check_one_stdin
from lossval_cli.cli.run_options import RunOptions, RuntimeOptions
from lossval_cli.cli.scoring import scored
from lossval_cli.errors import GateFailed, UsageError
from lossval_cli.runs.destination import default_directory
from lossval_cli.runtime.atomic_write import is_run_directory
from lossval_cli.runtime.launcher import is_assistant
from lossval_cli.text.format import join_names, pluralize

if TYPE_CHECKING:
    from lossval_cli.checks.values import CheckResult
    from lossval_cli.noise.thresholds import Thresholds
    from lossval_cli.runs.loaded import LoadedRun
    from lossval_cli.settings import Settings

EXAMPLES = """\b
Examples:
  lossval check data.csv --val val.csv --max-suspects 5%
  lossval check data.lossval --max-suspects 5%:3% --max-class-suspects yes=3%
  lossval check data.lossval --baseline main.lossval --new-rows-only
  lossval check data.csv --val val.csv --output-format sarif \\
      --output-file lossval.sarif

A limit is FAIL, FAIL:WARN or :WARN, each a share (5%) or a count (20).
Rules may also stand in a [check] table of --config or, without --config, in
[tool.lossval.check] of pyproject.toml: max_suspects = "5%:3%".

Exit code: 0 passed, 1 failed, 2 could not be checked.
"""


@grouped_options
def check(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TRAIN|RUN_DIR",
            help="Table to train on, or a run directory of `lossval score` to read.",
            show_default=False,
        ),
    ],
    options: RunOptions,
    limits: LimitOptions,
    gate: GateOptions,
    outputs: OutputOptions,
    runtime: RuntimeOptions,
) -> None:
    """Check data against limits and fail where one is exceeded.

    Scores TRAIN, or reads a run directory, and compares suspects, noise and more with limits. Without any rule,
    more than 3% suspects or 5% noise fails, and more than 2% or 3% warns.
    """
    given = options
    plan = make_plan(limits, gate, options.config)
    if options.metric is None:
        options = replace(options, metric=only_metric(plan.rules, options.assignments))
    settings = options.settings()
    if runtime.show_settings:
        show(options.settings_toml() + check_table(plan))
        return
    read = (table, options.val, options.test, plan.baseline, options.config, options.thresholds, options.decisions)
    targets = pair_outputs(outputs, read)
    check_one_stdin(table, options.val, options.test)
    thresholds = options.suspect_from()
    from lossval_cli.runs.kept_rows import without_kept
    from lossval_cli.runs.loaded import read_run

    kept: list[str] = []
    before = None if plan.baseline is None else read_run(Path(plan.baseline))
    if is_run_directory(Path(table)) or table.rstrip("/").endswith(".lossval"):
        _refuse_training_options(given, runtime)
        if is_assistant():
            return
        run = read_run(Path(table))
        run, kept = without_kept(run, Path(table))
    else:
        scored = _score(table, options, runtime, settings, thresholds, plan)
        if scored is None:
            return
        run = scored
    outcome = _evaluate(run, before, plan, kept)
    try:
        write_outcome(outcome, targets, quiet=runtime.quiet or is_assistant())
    except BrokenPipeError:  # whoever read along is gone: the exit code still says what came out
        forget_stdout()
    _finish(outcome, exit_zero=gate.exit_zero)


def _score(
    table: str,
    options: RunOptions,
    runtime: RuntimeOptions,
    settings: Settings,
    thresholds: Thresholds | None,
    plan: Plan,
) -> LoadedRun | None:
    """The run of `table`; None in a process that only helps."""
    refuse_hopeless(plan, held_back=bool(options.val or options.test), removal=options.removal)
    results = Path(default_directory(table)).with_suffix(".check")  # gives the checkpoint its name
    resources = runtime.resources(results)
    needed = any(rule.kind in NEED_REMOVAL for rule in plan.rules)
    with scored(
        table,
        options,
        runtime,
        settings,
        resources,
        thresholds=thresholds,
        removal=options.removal or ("full" if needed else "off"),
    ) as (result, _, processes):
        if not processes.is_main:
            return None
    from lossval_cli.runs.loaded import loaded_run

    return loaded_run(result.report, result.table, result.dataset)


def _evaluate(run: LoadedRun, before: LoadedRun | None, plan: Plan, kept: list[str]) -> CheckResult:
    """Results of the rules of `plan` for a run, with the baseline `before`; `kept`: notes on what reviewers kept."""
    from lossval_cli.checks.run_check import check_run

    return check_run(
        run,
        plan.rules,
        baseline=before,
        new_rows_only=plan.new_rows_only,
        strict=plan.strict,
        notes=[*(["no rule given: the defaults are checked"] if plan.by_default else []), *kept],
    )


def _finish(outcome: CheckResult, *, exit_zero: bool) -> None:
    """Raise what the exit code is made of."""
    unknown = [result for result in outcome.results if result.outcome == "unknown"]
    if unknown:
        said = "; ".join(f"{result.rule.name}: {result.text}" for result in unknown)
        raise UsageError(f"the gate could not be evaluated: {said}")
    if outcome.passed or exit_zero:
        return
    bad = ("failed", "warned") if outcome.strict else ("failed",)
    broken = [result.rule.name for result in outcome.results if result.outcome in bad]
    count = f"{len(broken)} of {pluralize(len(outcome.results), 'rule')}"
    raise GateFailed(f"{outcome.table} failed {count}: {join_names(broken)}")


def _refuse_training_options(*groups: OptionGroup) -> None:
    """Raise UsageError where something was given that only training has a use for."""
    kept = ("config", "show_settings", "quiet", "progress")
    named = [group.spelling(name) for group in groups for name in group.given() if name not in kept]
    if named:
        raise UsageError(f"a run directory is read, not trained on: leave out {', '.join(named)}")
