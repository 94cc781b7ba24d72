"""From the user's tables to arrays: what a run learns from and reports on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.features.columns.number import as_floats
from lossval_cli.features.encoded_file import EncodedFile, encode_streamed
from lossval_cli.features.encoder import Encoder
from lossval_cli.features.hold_out import hold_out
from lossval_cli.features.invalid_cells import InvalidCells, find_invalid_cells
from lossval_cli.features.labels import ClassLabels, NumberLabels
from lossval_cli.features.overlap import Overlap, find_overlap, is_suspicious
from lossval_cli.features.predictions.read import Predictions, read_predictions
from lossval_cli.features.read_tables import ReadTables, Source, read_tables
from lossval_cli.features.reviewed import ReviewedRows
from lossval_cli.features.roles import Roles
from lossval_cli.features.row_keys import Keys, Units, find_copies, join_units
from lossval_cli.features.special_columns import read_groups, read_time, read_weights
from lossval_cli.features.streaming import Layout, plan_layout
from lossval_cli.features.table_options import ColumnRule, Role, TableOptions
from lossval_cli.features.tags import TagLabels
from lossval_cli.features.target import Labels, choose_loss, fit_labels, in_order
from lossval_cli.features.target_leakage import TargetLeakage, find_class_leakage, find_number_leakage
from lossval_cli.features.unlabelled import Unlabelled
from lossval_cli.losses import Loss, check_targets
from lossval_cli.runtime.context import Runtime
from lossval_cli.runtime.memory import MemoryEstimate, amount
from lossval_cli.runtime.row_source import RowSource
from lossval_cli.settings import Settings
from lossval_cli.tables.streamed import StreamedTable
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_name, format_percent, join_names, pluralize, quote

COPIES_WORTH_A_NOTICE = 0.01
"""Share of rows that are copies from which it is said; the report counts fewer, too."""


@dataclass(frozen=True)
class Split:
    """A table as arrays: X (n, D), y (n,), of several tags a row their sets (`TagLabels`); y is None where the table
    has no label."""

    table: Table
    X: RowSource
    """An array, or rows that are read from a file when asked for."""
    y: npt.NDArray[np.generic] | None


@dataclass(frozen=True)
class Dataset:
    """Everything a run learns from and reports on."""

    train: Split
    val: Split
    test: Split | None
    held_out: npt.NDArray[np.int64] | None
    """(J,) training rows that stand in for a validation table, None where one was given."""
    roles: Roles
    encoder: Encoder
    labels: Labels
    loss: Loss
    notices: tuple[str, ...]
    """Decisions and findings, in sentences."""
    layout: Layout
    weights: npt.NDArray[np.float32] | None
    """(N,) sample weights of --weight, at least 0 and mean 1: they multiply each row's loss and its transport mass.
    None without --weight."""
    groups: npt.NDArray[np.int64] | None
    """(N,) group number of each training row, 0..G-1, None without --group."""
    time_order: npt.NDArray[np.int64] | None
    """(N,) rank in time of each training row, 0..T-1, equal for equal times: folds are contiguous in it. None
    without --time."""
    keys: Keys
    """(N,) hash of the features of each training row."""
    copies: Units | None
    """(N,) the same number for training rows that are copies of one another (`row_keys.find_copies`), 0..U-1; None
    where there are none."""
    invalid_cells: tuple[InvalidCells, ...]
    """Cells of the training table that are not of the type of their column: missing in X, suspect by themselves."""
    unlabelled: Unlabelled | None
    """Rows of the training table that have no label and are not among the N."""
    overlaps: Mapping[str, Overlap]
    """validation, test -> the rows that they share with training."""
    predictions: Predictions | None
    """Those of the user's own model, where they were given."""
    target_leakage: TargetLeakage | None
    """The column, or the two, that tell the label best; None where the table is too small to say."""
    warnings: tuple[str, ...]
    """The notices that cast doubt on the result."""
    reviewed: ReviewedRows | None = None
    """Training rows that people have decided about; None without --decisions."""

    @property
    def whole_table(self) -> Table:
        """The training table with the rows that have no label."""
        return self.train.table if self.unlabelled is None else self.unlabelled.whole

    def in_units(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return numbers of any shape that the loss works with in the unit of the label; classes and tags as given."""
        if isinstance(self.labels, NumberLabels) and self.loss.target == "standardised":
            return self.labels.decode(values)
        return values

    @cached_property
    def fold_units(self) -> Units | None:
        """(N,) 0..U-1: rows of one unit (a group, or copies of one row) have to be in one fold, so that none is
        scored by members that trained on the others. None where every row may be in any fold."""
        return join_units(self.groups, self.copies)

    def column_rules(self) -> dict[str, ColumnRule]:
        """Role and type of every column of the training table, as a `[columns]` table says them."""
        roles = self.roles
        given: dict[Role, tuple[str | None, ...]] = {
            "label": (roles.label,),
            "weight": (roles.weight,),
            "group": (roles.group,),
            "time": (roles.time,),
            "id": roles.ids,
            "exclude": roles.excluded,
        }
        found: dict[str, ColumnRule] = {}
        for name in self.train.table.column_names:
            role: Role = next((role for role, names in given.items() if name in names), "feature")
            kind = self.encoder.types.get(name, roles.kinds.get(name)) if role == "feature" else roles.kinds.get(name)
            if kind == "text" and pa.types.is_nested(self.train.table.column(name).type.dtype):
                kind = None  # a list of numbers is one whatever it is called
            found[name] = ColumnRule(role, kind)
        return found

    @property
    def classes(self) -> int | None:
        """K, or None for numbers and for tags."""
        return len(self.labels.names) if isinstance(self.labels, ClassLabels) else None

    @property
    def outputs(self) -> int | None:
        """K classes or T tags that a network gives a number each, None for numbers."""
        return None if isinstance(self.labels, NumberLabels) else len(self.labels.names)


def load_dataset(
    train: Source,
    val: Source | None,
    test: Source | None = None,
    *,
    options: TableOptions | None = None,
    settings: Settings,
    runtime: Runtime | None = None,
) -> Dataset:
    """Read, check and encode. A table that does not fit into memory is encoded into a file in the scratch directory
    of `runtime`. What is decided of columns and classes is decided on the training table alone.

    Raises DataError and UsageError, one line each.
    """
    options, runtime = options or TableOptions(), runtime or Runtime()
    read = read_tables(train, val, test, options, settings, runtime)
    options, roles, table = read.options, read.roles, read.train
    labels = in_order(fit_labels(read.sharded, roles, options, read.unlabelled), table, options)
    encoder = Encoder.fit(read.sample, roles.features, roles.kinds)
    notices = [*read.notices, *labels.notices, *encoder.notices]
    loss = choose_loss(labels, roles, settings)
    encode = _Encoding(roles, encoder, labels, loss)

    layout = plan_layout(table, _memory_estimate(read, encoder, labels, settings), runtime)
    y = encode.labels_of(read.sharded, "training")
    own, encoded_notices = _encode_training(table, y, encoder, runtime, layout)
    notices += encoded_notices
    special = _read_special(read.sharded, roles)
    notices += special.notices
    invalid, keys, copies = _examine_rows(table, own, roles, encoder)
    target_leakage = _find_target_leakage(read.sample, own, encoder, labels, settings.seed)
    warnings: list[str] = []
    if target_leakage is not None and target_leakage.is_almost_perfect:
        warnings.append(target_leakage.notice(is_number=isinstance(labels, NumberLabels)))

    held_out = None
    if read.val is None:
        units = join_units(special.groups, copies)
        stratify = roles.task != "regression"
        held_out = hold_out(y, settings, stratify=stratify, units=units, time_order=special.time_order)
        notices.append(_hold_out_notice(held_out, table, roles))
        val_split = Split(table, own.X[held_out], y[held_out])
    else:
        notices += encoder.differences(read.val)
        val_split = encode.split(read.val, "validation")
        notices += _absent_classes(labels, val_split)
    predictions = read_predictions(read, y, None if read.val is None else val_split.y, labels)
    if predictions is not None:
        notices += predictions.notices
        warnings += predictions.warnings
    test_split = None if read.test is None else encode.split(read.test, "test")
    others = {"validation": None if held_out is not None else val_split, "test": test_split}
    overlaps, overlap_warnings = _find_overlaps(own, keys, encoder, others)
    warnings += overlap_warnings
    notices += [*_copies(copies, table), *warnings]
    return Dataset(
        own,
        val_split,
        test_split,
        held_out,
        roles,
        encoder,
        labels,
        loss,
        tuple(notices),
        layout,
        weights=special.weights,
        groups=special.groups,
        time_order=special.time_order,
        keys=keys,
        copies=copies,
        invalid_cells=invalid,
        predictions=predictions,
        target_leakage=target_leakage,
        unlabelled=read.unlabelled,
        overlaps=overlaps,
        warnings=tuple(warnings),
    )


def _memory_estimate(read: ReadTables, encoder: Encoder, labels: Labels, settings: Settings) -> MemoryEstimate:
    rows = read.train.rows
    return MemoryEstimate(
        rows,
        encoder.width,
        1 if isinstance(labels, NumberLabels) else len(labels.names),
        round(settings.val_fraction * rows) if read.val is None else read.val.rows,
        *_ensemble(settings, rows, held_out=read.val is None),
    )


class _Special(NamedTuple):
    """The content of columns that are not features, as in `Dataset`."""

    weights: npt.NDArray[np.float32] | None
    groups: npt.NDArray[np.int64] | None
    time_order: npt.NDArray[np.int64] | None
    notices: Sequence[str]


def _read_special(table: Table, roles: Roles) -> _Special:
    weights = None if roles.weight is None else read_weights(table, roles.weight)
    groups, notices = (None, ()) if roles.group is None else read_groups(table, roles.group)
    time_order = None if roles.time is None else read_time(table, roles.time)
    return _Special(weights, groups, time_order, notices)


def _examine_rows(
    table: Table, own: Split, roles: Roles, encoder: Encoder
) -> tuple[tuple[InvalidCells, ...], Keys, Units | None]:
    """Invalid cells, keys and copies, as in `Dataset`."""
    if isinstance(own.X, EncodedFile):
        types = encoder.nouns
        invalid = tuple(InvalidCells(name, types[name], rows) for name, rows in own.X.invalid.items())
        keys = own.X.keys
    else:
        invalid = find_invalid_cells(table, roles.features)
        keys = encoder.keys(table)
    return invalid, keys, find_copies(keys, (values for _, values in encoder.read(table)))


def _find_overlaps(
    own: Split, keys: Keys, encoder: Encoder, others: Mapping[str, Split | None]
) -> tuple[dict[str, Overlap], list[str]]:
    """Find the rows that each other table shares with training; many of them give a warning."""
    found: dict[str, Overlap] = {}
    warnings: list[str] = []
    for what, split in others.items():
        if split is None:
            continue
        assert own.y is not None
        found[what] = find_overlap(
            keys, own.y, own.X, encoder.keys(split.table), split.y, split.X[:], len(encoder.blocks)
        )
        if is_suspicious(found[what], keys):
            warnings.append(found[what].notice(split.table.name, own.table.name, what))
    return found, warnings


def _encode_training(
    table: Table,
    y: npt.NDArray[np.generic],
    encoder: Encoder,
    runtime: Runtime,
    layout: Layout,
) -> tuple[Split, list[str]]:
    """The encoded training rows, in memory or, of a table that stays in its file, in a file of their own."""
    if not isinstance(table.data, StreamedTable):
        return Split(table, encoder.transform(table), y), []
    assert runtime.scratch is not None  # without it no table is streamed
    file = encode_streamed(table, encoder, runtime.scratch, layout.processes)
    notice = (
        f"{format_name(table.name)} stays in its file; its encoded rows take {amount(file.nbytes)} of disk in "
        f"{format_name(str(file.path.parent.parent))} while the run lasts"
    )
    return Split(table, file, y), [notice]


def _hold_out_notice(held_out: npt.NDArray[np.int64], table: Table, roles: Roles) -> str:
    which = "the last " if roles.time is not None else ""
    whole = f" in whole groups by {quote(roles.group)}" if roles.group is not None else ""
    return (
        f"no --val: {which}{pluralize(len(held_out), 'training row')} ({len(held_out) / table.rows:.0%}) held out "
        f"for validation{whole}; they are scored too"
    )


def _copies(copies: Units | None, table: Table) -> list[str]:
    repeated = 0 if copies is None else int((np.bincount(copies)[copies] > 1).sum())
    if repeated < max(1, COPIES_WORTH_A_NOTICE * table.rows):
        return []
    return [
        f"{format_name(table.name)}: {repeated:,} of {pluralize(table.rows, 'row')} "
        f"({format_percent(repeated / table.rows)}) are copies of other rows (equal features); copies share a fold"
    ]


def _ensemble(settings: Settings, rows: int, *, held_out: bool) -> tuple[int, int]:
    """Members, and how many of them score a row."""
    members, folds = settings.ensemble_size(rows)
    return members, members if held_out or folds == 1 else -(-members // folds)


def _find_target_leakage(seen: Table, own: Split, encoder: Encoder, labels: Labels, seed: int) -> TargetLeakage | None:
    if isinstance(labels, TagLabels):
        return None
    if isinstance(labels, NumberLabels):
        return find_number_leakage(encoder.read(seen), as_floats(seen.typed(labels.column)))
    assert own.y is not None
    return find_class_leakage(own.X, own.y.astype(np.int64), encoder.blocks, seed)


def _absent_classes(labels: Labels, val: Split) -> list[str]:
    """A notice where the validation table has labels, but none of some class."""
    if not isinstance(labels, ClassLabels) or val.y is None:
        return []
    counts = np.bincount(val.y.astype(np.int64), minlength=len(labels.names))
    absent = [labels.names[i] for i in np.flatnonzero(counts == 0)]
    if not absent:
        return []
    those = "that label" if len(absent) == 1 else "those labels"
    return [
        f"{format_name(val.table.name)}: no validation row is labelled {join_names(map(quote, absent))}; training rows "
        f"with {those} are compared with the other classes, and the removal study cannot measure their effect"
    ]


@dataclass(frozen=True)
class _Encoding:
    """Decisions made on the training table, applied to all tables."""

    roles: Roles
    encoder: Encoder
    labels: Labels
    loss: Loss

    def split(self, table: Table, what: str) -> Split:
        has_label = self.roles.label in table.column_names
        if what == "validation" and has_label:
            has_label = table.as_given(self.roles.label).null_count < table.rows
            if not isinstance(self.labels, TagLabels):
                has_label = table.label_column(self.roles.label).values.null_count < table.rows
        return Split(table, self.encoder.transform(table), self.labels_of(table, what) if has_label else None)

    def labels_of(self, table: Table, what: str) -> npt.NDArray[np.generic]:
        """Return (n,) class numbers, or targets as the loss expects them."""
        if not (isinstance(self.labels, NumberLabels) and self.loss.target == "raw"):
            return self.labels.encode(table, what)
        y = self.labels.raw(table, what).astype(np.float32)
        check_targets(self.loss, y, table=table.name, column=self.roles.label, lines=table.lines)
        return y
