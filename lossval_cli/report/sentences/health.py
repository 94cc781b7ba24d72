"""Sentences about whether the run itself can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lossval_cli.text.format import format_number, format_percent, pluralize


def training_loss(first: float, last: float, epochs: int, *, stopped: bool) -> tuple[bool, str]:
    """Return True if training went well, and a sentence on it."""
    course = f"from {format_number(first)} to {format_number(last)} in {pluralize(epochs, 'epoch')}"
    if stopped:
        return False, f"Training loss went {course}; the time limit ended training early, so ranks are provisional."
    if epochs == 1 or last < first:
        return True, f"Training loss {'was ' + format_number(last) if epochs == 1 else 'fell ' + course}."
    return False, f"Training loss did not fall ({course}): lower learning_rate, or train longer."


def validation_rows(rows: int, *, held_out: bool, few: bool, trusted: bool) -> str:
    """Return one sentence on how many validation rows there were; `trusted`: the noise estimate uses their labels."""
    text = f"{pluralize(rows, 'validation row')} {'was' if rows == 1 else 'were'} "
    text += "held out from the training table" if held_out else "given"
    text += ", too few for reliable feature evidence" if few else ""
    return f"{text}; the noise estimate assumes that their labels are right." if trusted else f"{text}."


def repeated_rows(tables: Sequence[tuple[str, int, int]]) -> str:
    """Return one sentence on tables (name, rows, distinct rows) that consist mostly of copies."""
    said = [
        f"{rows:,} {what} rows are copies of {pluralize(distinct, 'distinct row')}" for what, rows, distinct in tables
    ]
    return f"{' and '.join(said)}; each copy counts."


def transport_health(error: float, anchors: Mapping[str, Any] | None, *, rough: bool, converged: bool) -> str:
    """Return one sentence on the accuracy of the transport; `anchors`: number of validation rows used, and of all of
    them."""
    if rough and anchors is not None:
        return (
            f"Transport used {anchors['used']:,} of {anchors['of']:,} validation rows (estimated error "
            f"{format_percent(anchors['error'])}): raise max_anchors."
        )
    if converged:
        return f"Transport converged (marginal error {format_percent(error)})."
    return f"Transport did not converge (marginal error {format_percent(error)}): raise blur."


def scoring_networks(networks: int, *, out_of_fold: bool) -> str:
    """Return one sentence on the number of networks whose mean is the importance of a row."""
    if networks > 1 and not out_of_fold:
        return f"Each row was scored by {networks} networks that trained on it; raise folds to score it out-of-fold."
    if networks > 1:
        return f"Each row was scored by {networks} networks that did not train on it."
    return "Only one network scored each row, so importance_std is empty; raise members."


def tied_rows(tied: int, *, many: bool) -> str:
    """Return one sentence on rows of equal importance, whose order has no meaning."""
    if not tied:
        return "All importances differ."
    text = f"{pluralize(tied, 'row')} {'has' if tied == 1 else 'have'} the same importance as another row"
    return f"{text} and are ranked in the order of the file." if many else f"{text}."


def classes_too_small(rows: int) -> str:
    """Return one sentence on rows of classes that are too rare to be predicted."""
    verb = "its class has" if rows == 1 else "their classes have"
    checked = "was" if rows == 1 else "were"
    return f"{pluralize(rows, 'label')} {checked} not checked: {verb} too few rows."


def unit_jump(column: str, where: str, medians: tuple[float, float], factor: float) -> str:
    """Return one sentence on a column in another unit in some rows. `where` names them; medians: of these and of other
    rows; factor: of the units, 0 for degrees Fahrenheit and Celsius."""
    here, there = (format_number(median) for median in medians)
    ratio = format_number(float(f"{max(factor, 1 / factor):.3g}")) if factor else ""
    why = f"a factor of {ratio} as between units" if factor else "as degrees Fahrenheit are to Celsius"
    return (
        f"{column} may be in another unit {where}: its median is {here} there and {there} elsewhere, {why}, while "
        "other columns hardly differ."
    )
