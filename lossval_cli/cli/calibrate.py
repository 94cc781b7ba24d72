"""`lossval calibrate`: how reliable the flags are on a table."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lossval_cli.calibration import MOST_PLANTED
from lossval_cli.cli.console import show, show_styled
from lossval_cli.cli.option_groups import OptionGroup, grouped_options
from lossval_cli.cli.options import Force, TextFormat, check_one_stdin
from lossval_cli.cli.run_options import RunOptions, RuntimeOptions
from lossval_cli.errors import UsageError
from lossval_cli.runtime.atomic_write import check_file, write_file
from lossval_cli.text.format import escape_control, format_duration, pluralize
from lossval_cli.text.quantities import parse_share

if TYPE_CHECKING:
    from lossval_cli.calibration.outcome import Calibration
    from lossval_cli.features.dataset import Dataset
    from lossval_cli.lossval.state import Epoch

EXAMPLES = """\b
Examples:
  lossval calibrate data.csv --val val.csv
  lossval calibrate data.csv --val val.csv --precision 0.9 -o thresholds.toml
  lossval score data.csv --val val.csv --thresholds thresholds.toml
"""

RATES = "0.02,0.05,0.1"
"""Rates of each kind: 4 to 20 % of the rows in all, as in the benchmarks' mixed noise. Flags are less precise where
noise is rare, so rates should be those that are expected."""


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions(OptionGroup):
    """Options of calibration: what is planted, what thresholds have to reach, and where they are written."""

    rates: Annotated[
        str, typer.Option(metavar="A,B", help="Shares of rows in which each kind of noise is planted.")
    ] = RATES
    repeats: Annotated[
        int, typer.Option(metavar="N", min=1, max=100, help="Trials per rate, each with other rows.")
    ] = 3
    precision: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Precision to reach at every rate [default: maximise F1].",
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Threshold file to write, for --thresholds."),
    ] = None
    force: Force = False
    output_format: Annotated[TextFormat, typer.Option(help="Output format.")] = TextFormat.text


@grouped_options
def calibrate(
    train: Annotated[
        str, typer.Argument(metavar="TRAIN", help="Table to plant noise in copies of.", show_default=False)
    ],
    options: RunOptions,
    plan: CalibrationOptions,
    runtime: RuntimeOptions,
) -> None:
    """Measure how reliable the flags are on a table.

    Plants wrong labels and outliers in copies of TRAIN, scores each copy, and reports how many of the planted
    errors are flagged, how many flags are right, and how well noise_probability is calibrated. Rows that are
    suspect before anything is planted may be real errors: they are left out, and a lower bound of the
    precision counts all flags on them as wrong. TRAIN itself is not changed.
    """
    settings = options.settings()
    check_one_stdin(train, options.val)
    shares = _shares(plan.rates)
    if plan.precision is not None and not 0 < plan.precision <= 1:
        raise UsageError(f"--precision must be above 0 and at most 1, not {plan.precision:g}")
    if plan.output is not None:
        check_file(plan.output, force=plan.force, read=(train, options.val, options.config))
    with runtime.shown() as shown, redirect_stdout(sys.stderr):  # a model of the user may print
        from lossval_cli.calibration.outcome import conclude
        from lossval_cli.calibration.trials import run_baseline, run_trial

        trials = len(shares) * plan.repeats
        shown.stage("read")
        shown.notices(
            [
                f"calibrate: {pluralize(trials + 1, 'run')}, one on the table as it is and "
                f"{pluralize(plan.repeats, 'trial')} at {pluralize(len(shares), 'rate')} of planted noise"
            ]
        )

        def on_dataset(dataset: Dataset) -> None:
            shown.notices(dataset.notices)
            shown.stage("train")

        def on_epoch(done: int) -> Callable[[Epoch], None]:
            """The epochs of all runs as those of one long one."""
            return lambda one: shown.epoch(
                one._replace(epoch=done * one.epochs + one.epoch, epochs=(trials + 1) * one.epochs)
            )

        baseline = run_baseline(
            train,
            options.val,
            options=options.tables(),
            settings=settings,
            on_dataset=on_dataset,
            on_epoch=on_epoch(0),
        )
        shown.notices([f"calibrate: about {format_duration(baseline.seconds * trials)} to go"])
        found = []
        for done, (rate, repeat) in enumerate([(rate, n) for rate in shares for n in range(plan.repeats)], 1):
            shown.stage("trial")
            found.append(run_trial(baseline, rate, repeat, on_epoch(done)))
        outcome = conclude(baseline, found, plan.precision)
    form = plan.output_format
    if not runtime.quiet:
        _show_outcome(outcome, form)
    if plan.output is not None:
        _write(outcome, plan.output, force=plan.force, is_shown=not runtime.quiet and form is TextFormat.text)


def _shares(text: str) -> list[float]:
    """`0.02,0.05` or `2%,5%` -> shares, ascending. Raises UsageError."""
    shares = []
    for part in text.split(","):
        try:
            share = float(parse_share(part))
        except ValueError as error:
            raise UsageError(f"--rates {error}") from None
        if not 0 < share <= MOST_PLANTED:
            raise UsageError(f"--rates {part.strip()!r} must be a share above 0 and up to {MOST_PLANTED:g}")
        shares.append(share)
    if len(set(shares)) < len(shares):
        raise UsageError(f"--rates {text}: a rate is named more than once")
    return sorted(shares)


def _show_outcome(outcome: Calibration, form: TextFormat) -> None:
    if form is TextFormat.text:
        from lossval_cli.calibration.render import calibration_lines

        show_styled(calibration_lines(outcome))
    elif form is TextFormat.json:
        from lossval_cli.text.escape import escape_ci_json

        show(escape_ci_json(outcome.to_dict()))
    else:
        from lossval_cli.calibration.render import calibration_markdown

        show(calibration_markdown(outcome))


def _write(outcome: Calibration, path: Path, *, force: bool, is_shown: bool) -> None:
    from lossval_cli.calibration.threshold_file import threshold_text

    for choice in outcome.choices:
        if choice.threshold is None:
            raise UsageError(
                f"no threshold file: no threshold for {choice.kind} reaches {outcome.goal} at every rate "
                f"(the best precision is {choice.best_precision:.2f}): lower --precision or change --rates"
            )
    write_file(path, threshold_text(outcome), force=force)
    if is_shown:
        show(f"\nWritten  {escape_control(str(path))}\n")
