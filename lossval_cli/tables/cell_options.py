"""The user's options for reading cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from lossval_cli.errors import UsageError
from lossval_cli.tables.missing import EMPTY_ONLY
from lossval_cli.text.format import quote

CellKind = Literal["number", "date", "boolean", "text"]
"""What a column of text may be read as by the user's wish."""

ORDERS = ("DMY", "MDY", "YMD")


@dataclass(frozen=True)
class CellOptions:
    """missing: the words that mean missing, instead of the lists of `tables.missing`.  decimal, thousands: the
    marks of numbers.  date_format: DMY, MDY or YMD, or a strptime format such as %d/%m/%Y.  types: what single
    columns are read as, whatever they look like.
    """

    missing: tuple[str, ...] | None = None
    decimal: str | None = None
    thousands: str | None = None
    date_format: str | None = None
    types: Mapping[str, CellKind] = field(default_factory=dict)

    def with_types(self, kinds: Mapping[str, str]) -> CellOptions:
        """The same with the kinds of some columns; a category is read as text."""
        types = {name: cast(CellKind, "text" if kind == "category" else kind) for name, kind in kinds.items()}
        return replace(self, types={**self.types, **types})

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> CellOptions:
        """The options among the settings of a run, by name; older runs have none."""
        names = ("missing", "decimal", "thousands", "date_format")
        given = {name: value for name in names if isinstance(value := settings.get(name), str) and value != "auto"}
        return cls.read(**given)

    @classmethod
    def read(
        cls,
        *,
        missing: str | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        date_format: str | None = None,
    ) -> CellOptions:
        """The options as the command line spells them. Raises UsageError, one line."""
        names = {"point": ".", "comma": ",", "space": " ", "apostrophe": "'"}
        decimal = names.get(decimal or "", decimal)
        thousands = names.get(thousands or "", thousands)
        if decimal not in (None, ".", ","):
            raise UsageError(f"--decimal {quote(decimal)}: give . or ,")
        if thousands not in (None, ".", ",", " ", "'", "none"):
            raise UsageError(f"--thousands {quote(thousands)}: give . or , or ' or space or none")
        if decimal is not None and decimal == thousands:
            raise UsageError(f"--decimal and --thousands are both {quote(decimal)}: they must differ")
        if date_format is not None and date_format.upper() in ORDERS:
            date_format = date_format.upper()
        elif date_format is not None and "%" not in date_format:
            raise UsageError(f"--date-format {quote(date_format)}: give DMY, MDY or YMD, or a format such as %d/%m/%Y")
        words = None
        if missing is not None:
            words = tuple(word.strip() for word in missing.split(",") if word.strip())
            if not words:
                raise UsageError(
                    f"--missing is empty: name the words that mean missing, separated by commas, or {EMPTY_ONLY} "
                    "if only empty cells do"
                )
            words = () if words == (EMPTY_ONLY,) else words
        return cls(words, decimal, thousands, date_format)
