"""Write ranked rows to standard output or to one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from lossval_cli.cli.console import results

if TYPE_CHECKING:
    import pyarrow as pa

    from lossval_cli.runs.destination import Destination


def write_rows(table: pa.Table, destination: Destination, *, safe_csv: bool, force: bool) -> None:
    """Write `table`; `destination` was checked as far as possible before."""
    from lossval_cli.runs.scores_io import write_scores
    from lossval_cli.runtime.atomic_write import write_file

    form = destination.format_for("csv")
    if destination.kind == "stream":
        with results() as stream:
            write_scores(table, stream, form, safe=safe_csv)
        return

    def write(file: BinaryIO) -> None:
        write_scores(table, file, form, safe=safe_csv, packed=destination.packed)

    write_file(destination.path, write, force=force)
