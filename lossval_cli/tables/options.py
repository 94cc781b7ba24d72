"""The user's options for reading a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lossval_cli.tables.cell_options import CellOptions

if TYPE_CHECKING:
    from lossval_cli.settings import Settings


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading text tables; None leaves a choice to the reader, which says what it chose."""

    header: bool | None = None
    """Whether the first line holds the column names."""
    comment: str | None = None
    """Lines that begin with this character are left out."""
    encoding: str | None = None
    """Encoding of the text, by Python's name of it."""
    cells: CellOptions = field(default_factory=CellOptions)
    """How cells are read."""

    @classmethod
    def of(cls, settings: Settings) -> ReadOptions:
        """The options among the settings of a run."""
        cells = CellOptions.of(settings.as_dict())
        return cls(header=settings.header, comment=settings.comment, encoding=settings.encoding, cells=cells)

    @classmethod
    def of_record(cls, settings: object) -> ReadOptions:
        """The same of the settings in run.json, which older versions wrote without these."""
        known = settings if isinstance(settings, dict) else {}
        return cls(
            header=known.get("header"),
            comment=known.get("comment"),
            encoding=known.get("encoding"),
            cells=CellOptions.of(known),
        )
