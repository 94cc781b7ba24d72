"""What is predicted: classes, numbers or several tags a row, the order of classes, and the loss that goes with them."""

from __future__ import annotations

from typing import TypeAlias

import pyarrow as pa

from lossval_cli.errors import SchemaError, SettingsError, UsageError
from lossval_cli.features.class_order import find_class_order
from lossval_cli.features.labels import ClassLabels, NumberLabels
from lossval_cli.features.roles import Roles
from lossval_cli.features.table_options import TableOptions
from lossval_cli.features.tags import TagLabels
from lossval_cli.features.unlabelled import Unlabelled, missing_word_hint
from lossval_cli.losses import Loss, check_loss, find_loss
from lossval_cli.settings import Settings
from lossval_cli.tables.streamed import StreamedTable
from lossval_cli.tables.table import Table

Labels: TypeAlias = ClassLabels | NumberLabels | TagLabels

DEFAULT_LOSS = {
    "classification": "cross_entropy",
    "regression": "huber(0.5)",
    "multilabel": "binary_cross_entropy",
}
"""Huber bends at half a standard deviation of the target: wrong labels must not steer the network."""
ORDERED_LOSS = "cumulative_cross_entropy"
"""Default loss of ordered classes."""


def fit_labels(table: Table, roles: Roles, options: TableOptions, unlabelled: Unlabelled | None) -> Labels:
    """The labels of the training table. Raises UsageError, and SchemaError with a hint if words that were read as
    missing may be classes."""
    if roles.task == "multilabel":
        if isinstance(table.data, StreamedTable):
            raise UsageError("several tags a row: the table has to fit into memory; raise --max-memory")
        return TagLabels.fit(table, roles, options.multi_label)
    try:
        return (ClassLabels if roles.task == "classification" else NumberLabels).fit(table, roles)
    except SchemaError as error:
        hint = "" if unlabelled is None else missing_word_hint(unlabelled, roles.label)
        raise SchemaError(f"{error}{hint}") from None


def choose_loss(labels: Labels, roles: Roles, settings: Settings) -> Loss:
    """The loss that the settings name, or the default for the kind of label. Raises SettingsError."""
    is_ordered = isinstance(labels, ClassLabels) and labels.is_ordered
    loss = find_loss(settings.loss or (ORDERED_LOSS if is_ordered else DEFAULT_LOSS[roles.task]), roles.task)
    if loss.ordered and not is_ordered:
        raise SettingsError([f"loss: {loss.name!r} needs ordered classes: --ordered or --order says that they are"])
    if ":" in (settings.loss or ""):  # the user's own
        check_loss(loss, None if isinstance(labels, NumberLabels) else len(labels.names))
    return loss


def in_order(labels: Labels, table: Table, options: TableOptions) -> Labels:
    """The labels, as steps of a scale if they are ordered classes. Raises UsageError."""
    if not isinstance(labels, ClassLabels):
        if options.ordered or options.order:
            what = "several tags a row" if isinstance(labels, TagLabels) else "regression, where numbers have an order"
            raise UsageError(f"--ordered and --order are for classes, and the task is {what}")
        return labels
    kind, declared = table.as_given(labels.column).type, []
    if pa.types.is_dictionary(kind) and kind.ordered:
        declared = [str(value) for value in table.as_given(labels.column).chunk(0).dictionary.to_pylist()]
    order = find_class_order(
        labels.names, labels.column, ordered=options.ordered, order=options.order, declared=declared
    )
    return labels if order is None else labels.in_order(order)
