"""How the user wants the tables to be read, beyond what the tables say themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """Options about columns and cells, handed unchanged from the command line and from `lossval_cli.score` to
    `load_dataset`.

    To add one: a field here, a field of the same name in `cli.run_options.RunOptions`, and its use below
    `load_dataset`. Everything between passes the whole object on.
    """

    label: str | None = None
    """Column to predict; None leaves the choice to `decide_roles`."""
    ids: Sequence[str] = ()
    """Columns that name rows: kept in the scores, not used as features."""
    exclude: Sequence[str] = ()
    """Columns that are not used at all."""
