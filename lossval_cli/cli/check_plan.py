"""The rules of `lossval check`, from options and settings files, and its baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from lossval_cli.checks.evaluate import NEED_REMOVAL, Rule
from lossval_cli.checks.rules import DEFAULTS, merged, read_check_table, rules_of
from lossval_cli.cli.option_groups import OptionGroup
from lossval_cli.cli.options import Removal
from lossval_cli.cli.run_options import project_table
from lossval_cli.errors import SettingsError, UsageError
from lossval_cli.presets import CHECK_TABLE, read_toml
from lossval_cli.text.format import join_names
from lossval_cli.toml_text import toml_lines


def _limit(text: str, metavar: str = "LIMIT") -> Any:
    return typer.Option(metavar=metavar, help=text)


@dataclass(frozen=True, kw_only=True)
class LimitOptions(OptionGroup):
    """The rules, one option each. To add one: a field here and a kind of the same name in `checks.evaluate`."""

    max_suspects: Annotated[str | None, _limit("Limit on suspect rows, e.g. 5%, 20 or 5%:3%.")] = None
    max_label_suspects: Annotated[str | None, _limit("Limit on rows whose label is suspect.")] = None
    max_feature_suspects: Annotated[str | None, _limit("Limit on rows whose features are suspect.")] = None
    max_noise_share: Annotated[str | None, _limit("Limit on the lower end of the interval of the noise share.")] = None
    max_class_suspects: Annotated[
        list[str] | None, _limit("Limit on the suspects of one class. Repeatable.", "NAME=LIMIT")
    ] = None
    min_metric: Annotated[
        list[str] | None, _limit("Least score of a model, e.g. accuracy=0.8. Repeatable.", "NAME=LIMIT")
    ] = None
    max_metric: Annotated[
        list[str] | None, _limit("Greatest error of a model, e.g. rmse=3. Repeatable.", "NAME=LIMIT")
    ] = None
    max_removal_gain: Annotated[
        str | None, _limit("Limit on the gain by removing rows: 1% is one point of accuracy, or 1% of an error.")
    ] = None
    max_leakage: Annotated[str | None, _limit("Limit on validation and test rows that also occur in TRAIN.")] = None
    max_conflicting_duplicates: Annotated[str | None, _limit("Limit on equal rows with different labels.")] = None
    max_invalid_cells: Annotated[str | None, _limit("Limit on cells that do not fit the type of their column.")] = None
    max_target_leakage: Annotated[
        str | None, _limit("Limit on how well a single column predicts the label, e.g. 99%.")
    ] = None
    max_suspect_increase: Annotated[
        str | None, _limit("Limit on the rise of the suspect share since --baseline, e.g. 1%.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class GateOptions(OptionGroup):
    """Options of the gate: what rules are held against, and what a broken one does."""

    baseline: Annotated[str | None, typer.Option(metavar="RUN_DIR", help="Earlier run to compare with.")] = None
    new_rows_only: Annotated[
        bool,
        typer.Option("--new-rows-only", help="Check only rows that are new or changed since --baseline."),
    ] = False
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as failures.")] = False
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit with code 0 even if a rule failed.")] = False


@dataclass(frozen=True)
class Plan:
    """Rules asked of the data, from all places where they can be set."""

    rules: list[Rule]
    baseline: str | None
    new_rows_only: bool
    strict: bool
    by_default: bool


def make_plan(limits: LimitOptions, gate: GateOptions, config: Path | None) -> Plan:
    """Rules of the file and, over them, of the command line; the defaults where there are none.

    Raises SettingsError with every problem found, and UsageError.
    """
    table = project_table() if config is None else read_toml(config)
    from_file, switches = read_check_table(table.get(CHECK_TABLE, {}))
    own, problems = rules_of(limits.given(), option=True)
    if problems:
        raise SettingsError(problems)
    rules = merged(from_file, own)
    by_default = not rules
    before = gate.baseline or switches.get("baseline")
    new_rows_only = gate.new_rows_only or switches.get("new_rows_only", False)
    if before is None and new_rows_only:
        raise UsageError("--new-rows-only needs --baseline RUN_DIR")
    if by_default:
        rules, _ = rules_of(DEFAULTS, option=False)
    return Plan(
        rules=rules,
        baseline=before,
        new_rows_only=new_rows_only,
        strict=gate.strict or switches.get("strict", False),
        by_default=by_default,
    )


def only_metric(rules: Sequence[Rule], assignments: Sequence[str] | None) -> str | None:
    """The metric that rules are about, if it is one and nobody sets another."""
    named = {rule.key for rule in rules if rule.kind in ("min_metric", "max_metric")}
    if len(named) != 1 or any(pair.partition("=")[0].strip() == "metric" for pair in assignments or ()):
        return None
    return named.pop()


def refuse_hopeless(plan: Plan, *, held_back: bool, removal: Removal | None) -> None:
    """Raise UsageError for rules that training could not make evaluable: better now than after it."""
    kinds = {rule.kind for rule in plan.rules}
    metrics = {str(rule.key) for rule in plan.rules if rule.kind in ("min_metric", "max_metric")}
    problems = []
    if len(metrics) > 1:
        problems.append(f"a run measures one metric, not {join_names(sorted(metrics))}: check one of them at a time")
    if removal is Removal.off and kinds & NEED_REMOVAL:
        problems.append(f"{join_names(sorted(kinds & NEED_REMOVAL))}: leave out --removal off")
    if "max_suspect_increase" in kinds and plan.baseline is None:
        problems.append("max_suspect_increase: there is nothing to compare with: give --baseline RUN_DIR")
    if "max_leakage" in kinds and not held_back:
        problems.append("max_leakage: validation was drawn from the training table: give --val")
    if problems:
        raise UsageError("the gate could not be evaluated: " + "; ".join(problems))


def check_table(plan: Plan) -> str:
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
