"""`lossval check`: a gate for data, for CI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lossval_cli.checks.evaluate import NEED_REMOVAL, Rule, evaluate, passed
from lossval_cli.checks.rules import DEFAULTS, merged, read_check_table, rules_of
from lossval_cli.cli import options
from lossval_cli.cli.check_outputs import OutputFormat, pair_outputs, tell
from lossval_cli.cli.console import show
from lossval_cli.cli.progress import Progress, choose_mode
from lossval_cli.errors import GateFailed, SettingsError, UsageError
from lossval_cli.runs.destination import default_directory
from lossval_cli.runtime.atomic_write import is_run_directory
from lossval_cli.settings import CHECK_TABLE, read_toml
from lossval_cli.text.format import join_names, pluralize
from lossval_cli.toml_text import toml_lines

if TYPE_CHECKING:
    from lossval_cli.checks.values import GateResult
    from lossval_cli.runs.loaded import LoadedRun

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


@dataclass(frozen=True)
class Plan:
    """What is asked of the data, from all places where it can be asked."""

    rules: list[Rule]
    baseline: str | None
    new_rows_only: bool
    strict: bool
    by_default: bool


def _limit(text: str, metavar: str = "LIMIT") -> Any:
    return typer.Option(metavar=metavar, help=text)


def check(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TRAIN|RUN_DIR",
            help="Table to train on, or a run directory of `lossval score`, which is only read.",
            show_default=False,
        ),
    ],
    val: options.Val = None,
    test: options.Test = None,
    label: options.Label = None,
    ids: options.Ids = None,
    exclude: options.Exclude = None,
    task: options.Task = None,
    val_fraction: options.ValFraction = None,
    preset: options.Preset = None,
    config: options.Config = None,
    assignments: options.Assignments = None,
    device: options.Device = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    metric: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"{options.METRIC_HELP} [default: that of --min-metric]."),
    ] = None,
    removal: Annotated[
        options.Removal | None,
        typer.Option(help=f"{options.REMOVAL_HELP} [default: full if a rule needs it, else off]."),
    ] = None,
    thresholds: options.ThresholdFile = None,
    max_suspects: Annotated[str | None, _limit("Suspect rows, e.g. 5%, 20 or 5%:3%.")] = None,
    max_label_suspects: Annotated[str | None, _limit("Rows whose label is suspect.")] = None,
    max_feature_suspects: Annotated[str | None, _limit("Rows whose features are suspect.")] = None,
    max_noise_share: Annotated[
        str | None, _limit("Estimated share of noisy rows, by the lower end of its interval.")
    ] = None,
    max_class_suspects: Annotated[list[str] | None, _limit("Suspects of one class. Repeatable.", "NAME=LIMIT")] = None,
    min_metric: Annotated[
        list[str] | None, _limit("What a model reaches, e.g. accuracy=0.8. Repeatable.", "NAME=LIMIT")
    ] = None,
    max_metric: Annotated[list[str] | None, _limit("The same where less is better, e.g. rmse=3.", "NAME=LIMIT")] = None,
    max_removal_gain: Annotated[
        str | None, _limit("Gain by removing rows: 1% is a point of accuracy, or a hundredth of an error.")
    ] = None,
    max_leakage: Annotated[str | None, _limit("Validation and test rows that TRAIN holds too.")] = None,
    max_conflicting_duplicates: Annotated[str | None, _limit("Equal rows with different labels.")] = None,
    max_suspect_increase: Annotated[
        str | None, _limit("Share of suspects above that of --baseline, in points: 1%.")
    ] = None,
    baseline: Annotated[str | None, typer.Option(metavar="RUN_DIR", help="An earlier run to compare with.")] = None,
    new_rows_only: Annotated[
        bool,
        typer.Option("--new-rows-only", help="Judge suspects and noise of rows whose ids --baseline lacks."),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit with 0 even if a rule failed.")] = False,
    output_format: Annotated[
        list[OutputFormat] | None,
        typer.Option(
            metavar="FORMAT",
            help="text, json, junit, sarif, github, gitlab or markdown [default: text]. Repeatable.",
        ),
    ] = None,
    output_file: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Where each --output-format goes, - for standard output."),
    ] = None,
    time_limit: options.TimeLimit = None,
    max_memory: options.MaxMemory = None,
    checkpoint_every: options.CheckpointEvery = None,
    resume: options.Resume = False,
    show_settings: options.ShowSettings = False,
    quiet: options.Quiet = False,
    progress: options.ProgressOption = options.ProgressMode.auto,
) -> None:
    """Fail when data is worse than agreed.

    Scores TRAIN, or reads a run directory, and compares suspects, noise and more with limits; without any
    rule, 10% of suspects or of noise fails and 5% warns.
    """
    limits = {
        "max_suspects": max_suspects,
        "max_label_suspects": max_label_suspects,
        "max_feature_suspects": max_feature_suspects,
        "max_noise_share": max_noise_share,
        "max_class_suspects": max_class_suspects,
        "min_metric": min_metric,
        "max_metric": max_metric,
        "max_removal_gain": max_removal_gain,
        "max_leakage": max_leakage,
        "max_conflicting_duplicates": max_conflicting_duplicates,
        "max_suspect_increase": max_suspect_increase,
    }
    plan = _plan(limits, config, baseline, new_rows_only, strict)
    shortcuts = {
        "task": task,
        "val_fraction": val_fraction,
        "device": device,
        "seed": seed,
        "threads": threads,
        "metric": metric or _only_metric(plan.rules, assignments),
    }
    settings = options.resolve_settings(preset, config, assignments, shortcuts)
    if show_settings:
        show(options.settings_toml(settings, preset, config, assignments, shortcuts) + _check_table(plan))
        return
    read = (table, val, test, plan.baseline, config, thresholds)
    outputs = pair_outputs(output_format or [], output_file or [], read)
    options.check_one_stdin(table, val, test)
    suspect_from = options.thresholds_of(thresholds)
    from lossval_cli.runs.loaded import loaded_run, read_run

    before = None if plan.baseline is None else read_run(Path(plan.baseline))
    if is_run_directory(Path(table)) or table.rstrip("/").endswith(".lossval"):
        training: dict[str, object] = {
            "val": val,
            "test": test,
            "label": label,
            "id": ids,
            "exclude": exclude,
            "task": task,
        }
        training |= {"val-fraction": val_fraction, "preset": preset, "set": assignments, "device": device}
        training |= {"seed": seed, "threads": threads, "metric": metric, "removal": removal}
        training |= {"thresholds": thresholds, "time-limit": time_limit, "max-memory": max_memory}
        training |= {"checkpoint-every": checkpoint_every, "resume": resume}
        _refuse_training_options(training)
        if options.is_assistant():
            return
        run: LoadedRun = read_run(Path(table))
    else:
        _refuse_hopeless(plan, held_back=bool(val or test), removal=removal)
        beside = Path(default_directory(table)).with_suffix(".check")  # of which a checkpoint has its name
        resources = options.read_resources(time_limit, max_memory, checkpoint_every, resume, beside)
        quiet = quiet or options.is_assistant()
        with (
            options.processes() as processes,
            Progress(choose_mode(progress.value, quiet=quiet), quiet=quiet) as shown,
        ):
            from lossval_cli.pipeline import run as score

            needed = any(rule.kind in NEED_REMOVAL for rule in plan.rules)
            result = score(
                table,
                val,
                test,
                label=label,
                ids=ids or (),
                exclude=exclude or (),
                settings=settings,
                thresholds=suspect_from,
                removal=removal.value if removal else "full" if needed else "off",
                on_dataset=lambda dataset: shown.notices(dataset.notices),
                on_epoch=shown.epoch,
                on_stage=shown.stage,
                on_estimate=lambda estimate: shown.notices([estimate.text()]),
                resources=resources,
                processes=processes,
            )
            if result is None:
                return
            shown.notices(result.valuation.notices)
            options.forget_checkpoint(resources, result)
        run = loaded_run(result.report, result.table, result.dataset)
    outcome = _judge(run, before, plan)
    tell(outcome, outputs, quiet=quiet)
    _finish(outcome, exit_zero=exit_zero)


def _judge(run: LoadedRun, before: LoadedRun | None, plan: Plan) -> GateResult:
    """What the rules of `plan` say of a run, beside the baseline `before`."""
    from lossval_cli.checks.values import (
        GateResult,
        collect_facts,
        collect_suspects,
        find_new_rows,
        host_path,
    )

    notes = ["no rule given, so the defaults are checked"] if plan.by_default else []
    if epoch := run.report["summary"].get("stopped_in_epoch"):
        notes.append(f"time was up in epoch {epoch}: what was found is less settled than in a whole run")
    if used := run.report.get("thresholds"):
        notes.append(
            f"suspects by the thresholds of {used['file']}: {used['label']:g} for labels, "
            f"{used['features']:g} for features"
        )
    new = None
    if plan.new_rows_only:
        assert before is not None  # _plan() sees to it
        new = find_new_rows(run, before)
        notes.append(f"{int(new.sum()):,} of {pluralize(len(new), 'row')} are new; suspects and noise are theirs")
    verdicts = evaluate(plan.rules, collect_facts(run, before, new))
    suspects, count = collect_suspects(run, new)
    return GateResult(
        verdicts=verdicts,
        passed=passed(verdicts, strict=plan.strict),
        strict=plan.strict,
        table=run.name,
        path=host_path(run.path, run.name),
        rows=len(run.row),
        suspects=suspects,
        suspect_count=count,
        notes=notes,
    )


def _finish(outcome: GateResult, *, exit_zero: bool) -> None:
    """Raise what the exit code is made of."""
    unknown = [verdict for verdict in outcome.verdicts if verdict.outcome == "unknown"]
    if unknown:
        told = "; ".join(f"{verdict.rule.name}: {verdict.text}" for verdict in unknown)
        raise UsageError(f"the gate could not be evaluated: {told}")
    if outcome.passed or exit_zero:
        return
    bad = ("failed", "warned") if outcome.strict else ("failed",)
    broken = [verdict.rule.name for verdict in outcome.verdicts if verdict.outcome in bad]
    count = f"{len(broken)} of {pluralize(len(outcome.verdicts), 'rule')}"
    raise GateFailed(f"{outcome.table} failed {count}: {join_names(broken)}")


def _plan(
    limits: Mapping[str, object],
    config: Path | None,
    baseline: str | None,
    new_rows_only: bool,
    strict: bool,
) -> Plan:
    """Rules of the file and, over them, of the command line; the defaults where there are none."""
    table = options.project_table() if config is None else read_toml(config)
    from_file, switches = read_check_table(table.get(CHECK_TABLE, {}))
    given = {name: value for name, value in limits.items() if value}
    own, problems = rules_of(given, option=True)
    if problems:
        raise SettingsError(problems)
    rules = merged(from_file, own)
    by_default = not rules
    before = baseline or switches.get("baseline")
    if before is None and (new_rows_only or switches.get("new_rows_only", False)):
        raise UsageError("--new-rows-only needs --baseline RUN_DIR")
    if by_default:
        rules, _ = rules_of(DEFAULTS, option=False)
    return Plan(
        rules=rules,
        baseline=before,
        new_rows_only=new_rows_only or switches.get("new_rows_only", False),
        strict=strict or switches.get("strict", False),
        by_default=by_default,
    )


def _only_metric(rules: Sequence[Rule], assignments: Sequence[str] | None) -> str | None:
    """The metric that rules are about, if it is one and nobody sets another."""
    named = {rule.key for rule in rules if rule.kind in ("min_metric", "max_metric")}
    if len(named) != 1 or any(pair.partition("=")[0].strip() == "metric" for pair in assignments or ()):
        return None
    return named.pop()


def _refuse_hopeless(plan: Plan, *, held_back: bool, removal: options.Removal | None) -> None:
    """Raise UsageError for rules that training could not make evaluable: better now than after it."""
    kinds = {rule.kind for rule in plan.rules}
    metrics = {str(rule.key) for rule in plan.rules if rule.kind in ("min_metric", "max_metric")}
    problems = []
    if len(metrics) > 1:
        problems.append(f"a run measures one metric, not {join_names(sorted(metrics))}: check one of them at a time")
    if removal is options.Removal.off and kinds & NEED_REMOVAL:
        problems.append(f"{join_names(sorted(kinds & NEED_REMOVAL))}: leave out --removal off")
    if "max_suspect_increase" in kinds and plan.baseline is None:
        problems.append("max_suspect_increase: there is nothing to compare with: give --baseline RUN_DIR")
    if "max_leakage" in kinds and not held_back:
        problems.append("max_leakage: validation was drawn from the training table: give --val")
    if problems:
        raise UsageError("the gate could not be evaluated: " + "; ".join(problems))


def _refuse_training_options(given: Mapping[str, object]) -> None:
    named = [f"--{name}" for name, value in given.items() if value]
    if named:
        raise UsageError(f"a run directory is only read, not trained on: leave out {', '.join(named)}")


def _check_table(plan: Plan) -> str:
    """Rules and switches as the `[check]` table of a settings file."""
    switches: dict[str, object] = {} if plan.baseline is None else {"baseline": plan.baseline}
    switches |= {"new_rows_only": plan.new_rows_only, "strict": plan.strict}
    plain = {rule.kind: rule.notation for rule in plan.rules if rule.key is None}
    lines = ["", f"[{CHECK_TABLE}]", *toml_lines(switches | plain)]
    keyed = [rule for rule in plan.rules if rule.key is not None]
    for kind in dict.fromkeys(rule.kind for rule in keyed):
        lines += ["", f"[{CHECK_TABLE}.{kind}]"]
        lines += toml_lines({str(rule.key): rule.notation for rule in keyed if rule.kind == kind})
    return "\n".join(lines) + "\n"
