"""How the user says that a file is to be read, where the file does not say so itself."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

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

    @classmethod
    def of(cls, settings: Settings) -> ReadOptions:
        """The options among the settings of a run."""
        return cls(header=settings.header, comment=settings.comment, encoding=settings.encoding)

    @classmethod
    def of_record(cls, settings: object) -> ReadOptions:
        """The same of the settings in run.json, which older versions wrote without these."""
        known = settings if isinstance(settings, dict) else {}
        return cls(**{field.name: known.get(field.name) for field in fields(cls)})
