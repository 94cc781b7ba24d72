"""Plan the changes of `lossval clean`: the rows that stay, the labels that change, the weight of each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.errors import DataError, UsageError
from lossval_cli.runs.decided_cells import DecidedChanges
from lossval_cli.runs.label_fixes import LabelColumn, suggested_labels
from lossval_cli.runs.loaded import LoadedRun
from lossval_cli.runs.scores_io import as_text
from lossval_cli.tables.rewrite import Cells, Mask
from lossval_cli.text.format import pluralize, quote
from lossval_cli.text.quantities import parse_quantity

LOWEST = "lowest"
SUSPECTS = ("suspects", "label", "features")
LEAST_PROBABILITY = 0.8
"""Noise probability from which a row is relabelled, unless the user says otherwise."""
CHOICES = "suspects, label, features or lowest:5%"


class Drop(NamedTuple):
    """Rows to take out: suspects of a kind, or the `amount` (a share below 1, or a count) of lowest
    importance."""

    what: str
    amount: float = 0.0


@dataclass(frozen=True)
class Cleaning:
    """The changes of N rows, in the order of the file."""

    keep: Mask
    cells: list[Cells]
    """New labels of rows that are kept, and fixed cells."""
    relabelled: int | None
    """Rows of them with a new label; None where labels are not looked at."""
    weights: npt.NDArray[np.float64] | None
    """(N,) importances, mean 1 over the rows that are kept."""
    emptied: list[str]
    """Classes of which no row is left."""


def read_drop(text: str) -> Drop:
    """Parse `suspects`, `label`, `features`, `lowest:5%` or `lowest:20`; UsageError for anything else."""
    if text in SUSPECTS:
        return Drop(text)
    what, colon, amount = text.partition(":")
    if what != LOWEST or not colon:
        raise UsageError(f"--drop {quote(text)}: choose {CHOICES}")
    try:
        number, is_share = parse_quantity(amount)
    except ValueError:
        raise UsageError(f"--drop {quote(text)}: choose {CHOICES}") from None
    if number <= 0 or (is_share and number >= 1) or not (is_share or number.denominator == 1):
        raise UsageError(f"--drop {quote(text)}: give a share between 0% and 100%, or a whole number of rows")
    return Drop(LOWEST, float(number))


def check_drops(drops: Sequence[Drop]) -> None:
    """Raise UsageError for drops of which one makes another pointless."""
    kinds = [drop.what for drop in drops]
    if twice := next((kind for kind in kinds if kinds.count(kind) > 1), None):
        raise UsageError(f"--drop {twice} is given {kinds.count(twice)} times: give it once")
    for part in ("label", "features"):
        if part in kinds and "suspects" in kinds:
            raise UsageError(f"--drop suspects already leaves out the rows of --drop {part}: give one of them")


def plan_cleaning(
    run: LoadedRun,
    drops: Sequence[Drop],
    *,
    label: LabelColumn | None,
    min_probability: float,
    weigh: bool,
    decided: DecidedChanges | None = None,
) -> Cleaning:
    """Decide about every row; what reviewers `decided` goes before.

    label: given where rows are to be relabelled. A row is if it is suspect by its label alone, with a noise
    probability of at least `min_probability`: the model is unreliable for outliers. A row whose
    label is corrected is no longer a suspect; `lowest` drops it all the same.

    Raises UsageError where the run estimates no noise or has no weights, DataError where no row is left.
    """
    N = len(run.row)
    has_noise = run.report["summary"]["estimated_noise_share"] is not None
    if not has_noise and (label is not None or any(drop.what in SUSPECTS for drop in drops)):
        raise UsageError(
            "the run does not say which rows are suspect (preset paper only ranks them): use --drop lowest:5%, or "
            "score with another preset"
        )
    kinds = np.array([kind or "" for kind in run.suspect], object)
    cells, corrected = None, np.zeros(N, bool)  # corrected, wrong, outlier, dropped: in rank order
    index = np.argsort(run.row)  # (N,) index in the ranking of each row of the file
    settled = np.zeros(N, bool) if decided is None else decided.settled[run.row]
    kinds[settled] = ""
    if label is not None:
        sure = (kinds == "label") & (run.noise_probability >= min_probability)
        rows = np.sort(run.row[sure])
        predicted = [run.predicted[i] for i in index[rows].tolist()]
        cells = suggested_labels(label, rows, predicted)
        corrected[index[cells.rows]] = True
    wrong = np.array(["label" in kind for kind in kinds], bool) & ~corrected
    unusual = np.array(["features" in kind for kind in kinds], bool)
    dropped = np.zeros(N, bool)
    for drop in drops:
        if drop.what == LOWEST:
            count = round(drop.amount * int(run.labelled.sum())) if drop.amount < 1 else int(drop.amount)
            dropped[:count] = True
        else:
            dropped |= {"suspects": wrong | unusual, "label": wrong, "features": unusual}[drop.what]
    dropped[settled] = False
    keep = ~dropped[index]
    if decided is not None:
        keep &= ~decided.drop
    if not keep.any():
        raise DataError(f"no row would be left of {pluralize(N, 'row')}: drop fewer")
    changes = [] if cells is None else [cells]
    if decided is not None:
        corrected[index[decided.relabelled]] = True
        changes = merge_cells([*changes, *decided.cells])
    changes = [_kept(one, keep) for one in changes]
    labels = next((one for one in changes if one.column == run.report["data"]["roles"]["label"]), None)
    importance = np.where(run.labelled, run.importance, 0.0)  # a row without a label weighs nothing
    weights = _weights(importance[index], keep) if weigh else None
    emptied = _emptied(run, keep[run.row] & ~corrected, labels)
    relabelled = None if label is None and decided is None else 0 if labels is None else len(labels.rows)
    return Cleaning(keep, changes, relabelled, weights, emptied)


def merge_cells(changes: Sequence[Cells]) -> list[Cells]:
    """Merge the changes into one set of new cells for each column; no cell is changed twice."""
    merged: dict[str, Cells] = {}
    for one in changes:
        if one.column in merged:
            first = merged[one.column]
            rows = np.concatenate([first.rows, one.rows])
            values = pa.concat_arrays([_plain(first.values), _plain(one.values)])
            order = np.argsort(rows, kind="stable")
            values = values.take(pa.array(order))
            if pa.types.is_dictionary(first.values.type):
                coded = values.dictionary_encode()
                index = coded.indices.cast(first.values.type.index_type)
                values = pa.DictionaryArray.from_arrays(index, coded.dictionary)
            one = Cells(one.column, rows[order], values)
        merged[one.column] = one
    return list(merged.values())


def _plain(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _kept(cells: Cells, keep: Mask) -> Cells:
    staying = keep[cells.rows]
    return Cells(cells.column, cells.rows[staying], cells.values.filter(pa.array(staying)))


def _weights(importance: npt.NDArray[np.float64], keep: Mask) -> npt.NDArray[np.float64]:
    if not (np.isfinite(importance) & (importance >= 0)).all() or not importance[keep].any():
        raise UsageError(
            "--add-weights: some importances of this run are below 0 (preset paper does not bound them) and "
            "cannot be weights; score with another preset"
        )
    weights: npt.NDArray[np.float64] = importance / importance[keep].mean()
    return weights


def _emptied(run: LoadedRun, as_given: Mask, cells: Cells | None) -> list[str]:
    """Find the classes that lose all their rows. as_given (N,) in rank order: the row is kept and so is its label."""
    if run.report["data"]["roles"]["task"] != "classification":
        return []
    given = np.array([text or "" for text in run.given], object)
    new = [] if cells is None else as_text(cells.values).to_pylist()
    return sorted(set(given.tolist()) - set(given[as_given].tolist()) - set(new))
