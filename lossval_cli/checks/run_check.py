"""A check of one run: its values, the result of each rule, and the rows to look at."""

from __future__ import annotations

from collections.abc import Sequence

from lossval_cli.checks.evaluate import Rule, evaluate, passed
from lossval_cli.checks.values import CheckResult, collect_suspects, collect_values, find_new_rows, host_path
from lossval_cli.runs.loaded import LoadedRun


def check_run(
    run: LoadedRun,
    rules: Sequence[Rule],
    *,
    baseline: LoadedRun | None,
    new_rows_only: bool,
    strict: bool,
    notes: Sequence[str] = (),
) -> CheckResult:
    """The results of `rules` for a run, with an earlier run as baseline; `new_rows_only`: for rows that it lacks.

    `strict`: a warning fails, too. `notes` go before those about the run.
    """
    notes = list(notes)
    if epoch := run.report["summary"].get("stopped_in_epoch"):
        notes.append(f"the time limit ended training in epoch {epoch}: results are provisional")
    if used := run.report.get("thresholds"):
        notes.append(
            f"suspects by the thresholds of {used['file']}: {used['label']:g} for labels, "
            f"{used['features']:g} for features"
        )
    new = None
    if new_rows_only:
        assert baseline is not None  # asked for before
        new, note = find_new_rows(run, baseline)
        notes.append(note)
    results = evaluate(rules, collect_values(run, baseline, new))
    suspects, count = collect_suspects(run, new)
    return CheckResult(
        results=results,
        passed=passed(results, strict=strict),
        strict=strict,
        table=run.name,
        path=host_path(run.path, run.name),
        rows=len(run.row),
        suspects=suspects,
        suspect_count=count,
        notes=notes,
    )
