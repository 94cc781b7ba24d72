"""`lossval demo`: score the example that ships with the package, and compare the result with its known errors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lossval_cli.cli.console import show
from lossval_cli.cli.score import score

EXAMPLES = """\b
Examples:
  lossval demo
  lossval demo -o wines --quiet
"""


def demo(
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="DIR", help="Run directory [default: wine.lossval/]."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only how many errors were found.")] = False,
) -> None:
    """Score 2,000 white wines, 300 of them with a wrong quality score, and count how many are found.

    Needs no network. The two tables and the list of wrong scores are in the examples directory.
    """
    from lossval_cli.runs.loaded import EXAMPLES as FOLDERS

    folder = next(i for i in FOLDERS if (i / "wine.csv").is_file())
    target = output or "wine.lossval"
    score(train=str(folder / "wine.csv"), val=str(folder / "wine_val.csv"), output=target, quiet=quiet)
    wrong = _column(folder / "wine_truth.csv", "id")
    ranked = _column(Path(target) / "scores.csv", "id")
    suspect = [row for row, kind in zip(ranked, _column(Path(target) / "scores.csv", "suspect"), strict=True) if kind]
    lines = [f"\nPlanted errors: {len(wrong)} of {len(ranked):,} labels are wrong ({len(wrong) / len(ranked):.0%})"]
    lines += [
        f"  in the lowest {top:>4} rows  {len(set(ranked[:top]) & set(wrong)):>4}" for top in (50, 100, 200, len(wrong))
    ]
    lines.append(f"  among {len(suspect):>4} suspects     {len(set(suspect) & set(wrong)):>4}")
    show("\n".join(lines) + "\n")


def _column(path: Path, name: str) -> list[str]:
    """Read one column of one of our own CSV files."""
    import csv

    with path.open(newline="", encoding="utf-8") as file:
        return [row[name] for row in csv.DictReader(file)]
