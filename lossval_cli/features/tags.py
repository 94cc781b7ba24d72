"""Several labels a row: a cell of tags, `a;b`, or a list -> which tags each row has.

A set of tags is one whole number, of which bit t says whether tag t is there: rows keep one label each, which can be
counted, compared and sorted like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.errors import CellError, SchemaError, UsageError
from lossval_cli.features.roles import Roles
from lossval_cli.tables.spelling import describe_variants, find_variants
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_name, join_names, pluralize, quote

MOST_TAGS = 62
"""Bits of a whole number."""

LIST_SEPARATOR = ";"
"""Between the tags of a list, where they are written as text."""


@dataclass(frozen=True)
class TagLabels:
    """The tags of the training rows, in text order."""

    column: str
    names: tuple[str, ...]
    """T tags."""
    counts: npt.NDArray[np.int64]
    """Training rows that have each tag (T,)."""
    separator: str
    is_list: bool
    """Whether cells are lists rather than text."""
    notices: tuple[str, ...]

    @classmethod
    def fit(cls, train: Table, roles: Roles, separator: str | None) -> TagLabels:
        """Find the tags of `train`; separator: None where cells are lists.

        Raises CellError for a missing label, UsageError where no cell holds the separator, SchemaError where there
        are too few or too many tags.
        """
        column = roles.label
        where = f"{format_name(train.name)}: label column {format_name(column)}"
        sets = _sets(train, column, separator, "training")
        if separator is not None and all(len(tags) < 2 for tags in sets):
            raise UsageError(f"--multi-label {quote(separator)}: no cell of {where[len(train.name) + 2 :]} holds it")
        names = sorted({tag for tags in sets for tag in tags})
        if len(names) < 2:
            raise SchemaError(f"{where} has {pluralize(len(names), 'tag')}: at least two are needed")
        if len(names) > MOST_TAGS:
            raise SchemaError(
                f"{where} has {len(names):,} different tags, at most {MOST_TAGS} can be learned: leave out rare ones"
            )
        position = {name: t for t, name in enumerate(names)}
        counts = np.zeros(len(names), np.int64)
        for tags in sets:
            counts[[position[tag] for tag in set(tags)]] += 1
        notices = [
            f"label {format_name(column)}: {len(names)} tags, of which a row has "
            f"{counts.sum() / len(sets):.3g} on average: {join_names([quote(name) for name in names])}"
        ]
        single = [quote(name) for name, count in zip(names, counts, strict=True) if count == 1]
        notices += [f"tag {join_names(single)}: one training row only"] if single else []
        notices += describe_variants(f"label {format_name(column)}", find_variants(names), "tags")
        joined = LIST_SEPARATOR if separator is None else separator
        return cls(column, tuple(names), counts, joined, separator is None, tuple(notices))

    def encode(self, table: Table, what: str = "training") -> npt.NDArray[np.int64]:
        """Return (N,) sets of tags. Raises CellError for a missing label, and for a tag that no training row has."""
        position = {name: t for t, name in enumerate(self.names)}
        masks = np.zeros(table.rows, np.int64)
        for row, tags in enumerate(_sets(table, self.column, None if self.is_list else self.separator, what)):
            for tag in tags:
                if tag not in position:
                    raise CellError(
                        f"{table.location(row)}, column {format_name(self.column)}: {what} tag {quote(tag)} is in no "
                        f"training row (training has {join_names([quote(name) for name in self.names])}); correct or "
                        "remove the row"
                    )
                masks[row] |= 1 << position[tag]
        return masks

    def matrix(self, masks: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """Return a matrix (N, T) that is 1 where a row has a tag."""
        bits: npt.NDArray[np.float32] = (masks[:, None] >> np.arange(len(self.names)) & 1).astype(np.float32)
        return bits

    def decode(self, masks: npt.NDArray[np.integer]) -> list[str]:
        """Sets of tags as text."""
        return self.written(self.matrix(masks) > 0)

    def written(self, has: npt.NDArray[np.bool_]) -> list[str]:
        """Write tags, a mask (n, T), as text in the way a cell of the table has it."""
        return [self.separator.join(self.names[t] for t in np.flatnonzero(row)) for row in has]


def _sets(table: Table, column: str, separator: str | None, what: str) -> list[Sequence[str]]:
    """The tags of each row."""
    cells = table.as_given(column)
    missing = cells.is_null() if separator is None else table.label_column(column).values.is_null()
    rows = np.flatnonzero(np.asarray(missing.combine_chunks()))
    if len(rows):
        raise CellError(
            f"{table.location(int(rows[0]))}, column {format_name(column)}: the {what} label is missing "
            f"({pluralize(len(rows), 'such row')} in all); fill it in or remove the row"
        )
    if separator is None:
        return [[str(tag) for tag in tags if tag is not None] for tags in cells.to_pylist()]
    texts = cells.cast(pa.string()).to_pylist()
    return [[tag.strip() for tag in text.split(separator) if tag.strip()] for text in texts]
