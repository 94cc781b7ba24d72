"""Results of `benchmarks.quality` -> docs/benchmarks.md and its plots: `python -m benchmarks.tables`.

Nothing is measured here. Means are taken over (dataset, rate) of means over seeds, so each dataset and rate
counts the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import plots, protocol
from benchmarks.peers import METHODS
from benchmarks.quality import RESULTS, SHARES

ROOT = Path(__file__).parents[1]
PUBLISHED = protocol.DATA.parent / "published" / "f1.csv"
OWN = "lossval"
CELL = ["dataset", "noise", "rate", "seed"]
DROPPED = 0.20  # share of rows in the removal table

READ_FIRST = """\
Read [real errors](real-errors.md) first. Planted noise is easier to find; this page compares it with published figures.

One of lossval's detectors looks for rows that are noisy in every column. It is fitted to copies of rows with noise much
like that planted here, so the page of real errors shows better how lossval finds other errors. Two things reduce the
number of flags here. A label that is hard to predict is not called wrong, so few of the flipped labels in electricity
and kin8nm are flagged. And many noisy rows can look like a second kind of row: where 15 or 20 % of cpu_activity, or
15 % of pol, are noisy in every column, they rank last, but in some runs few are flagged.

"""
INTRODUCTION = """\
# Planted errors

{first}Wrong labels and outliers are planted in {datasets} public tables ({names}), and each method scores every
training row without knowing the kind or the rate of the noise. Each run has 1,000 training and 100 validation rows,
both noisy; test rows are clean. Rates {rates}, seeds {seeds}. {honesty}
One configuration per method for all tables, noises and rates.

{methods}

All figures are means over datasets and rates unless a table says otherwise; the best of a column is bold.
"""
DESCRIPTIONS = {
    "lossval": "this package, `default` preset",
    "lossval-paper": "this package, `paper` preset: the published method",
    "cleanlab-linear": "cleanlab's label quality, 5-fold out-of-fold predictions of a linear model",
    "cleanlab-forest": "the same with a random forest",
    "cleanlab-boosting": "the same with histogram gradient boosting",
    "knn-shapley": "exact Shapley values of a 10-nearest-neighbour model",
    "isolation-forest": "on the features alone",
    "two-specialists": "cleanlab-forest and isolation-forest as robust z-scores, of which the smaller counts",
    "random": "any order",
}
REPORTED = "Nothing was tuned on these seeds; seeds 0 to 9 are for that."
TUNED_ON = "**These are development seeds: methods may have been tuned on them.**"


def read_results(path: Path) -> pd.DataFrame:
    """The CSV, lists as arrays, with `task` and the changes by removal added.

    Exits with a message when a method lacks a cell that another one has.
    """
    frame = pd.read_csv(path, dtype={"reliability": str})
    cells = frame[CELL].drop_duplicates()
    lacking = len(cells) - frame.groupby("method").size()
    if (lacking > 0).any():
        missing = ", ".join(f"{method} {count}" for method, count in lacking[lacking > 0].items())
        sys.exit(f"{path}: runs missing ({missing} of {len(cells)}); start benchmarks.quality again")
    for column in ("discovery", "discovery_probability", "removal_lowest", "removal_highest"):
        frame[column] = frame[column].map(_numbers)
    frame["task"] = [protocol.DATASETS[name][0] for name in frame["dataset"]]
    for end in ("lowest", "highest"):
        curves = zip(frame[f"removal_{end}"], frame["task"], strict=True)
        frame[f"change_{end}"] = [protocol.removal_change(curve, task) for curve, task in curves]
    order = {method: i for i, method in enumerate(METHODS)}
    return frame.sort_values("method", key=lambda names: names.map(order), kind="stable")


def _numbers(text: object) -> np.ndarray:
    return np.array(text.split(), float) if isinstance(text, str) else np.full(len(SHARES), np.nan)


# ---------------------------------------------------------------- numbers


def by_noise(frame: pd.DataFrame, figure: str) -> pd.DataFrame:
    """Method x noise: means of a figure over datasets and rates; methods that lack it are left out."""
    noisy = frame[frame["noise"] != "none"].dropna(subset=[figure])
    means = noisy.groupby(["method", "noise", "dataset", "rate"], sort=False)[figure].mean()
    table = means.groupby(["method", "noise"], sort=False).mean().unstack("noise")
    return table.reindex(columns=[noise for noise in protocol.NOISES if noise in table.columns])


def published_by_noise(frame: pd.DataFrame) -> pd.DataFrame:
    """Method x noise: published 2-means F1 on the datasets and rates that `frame` has."""
    published = pd.read_csv(PUBLISHED)
    noisy = frame[frame["noise"] != "none"]
    rows = published["dataset"].isin(noisy["dataset"]) & published["noise_rate"].isin(noisy["rate"])
    table = published[rows].groupby(["method", "noise"])["f1_mean"].mean().unstack("noise")
    table = table.reindex(columns=list(protocol.NOISES)).sort_values("label", ascending=False)
    return table.rename_axis(index="published method")


def by_dataset(frame: pd.DataFrame, figure: str, noise: str) -> pd.DataFrame:
    """Method x dataset: means over rates and seeds, with each method's worst dataset in the last column."""
    rows = frame[frame["noise"] == noise].dropna(subset=[figure])
    table = rows.groupby(["method", "dataset"], sort=False)[figure].mean().unstack("dataset")
    return table.assign(worst=table.idxmin(axis=1)) if len(table) else table


def own_flags(frame: pd.DataFrame) -> pd.DataFrame:
    """F1 of lossval's flags for each dataset (rows) and noise (columns)."""
    own = frame[(frame["method"] == OWN) & (frame["noise"] != "none")]
    table = own.groupby(["dataset", "noise"], sort=False)["f1_flags"].mean().unstack("noise")
    return table.reindex(columns=[noise for noise in protocol.NOISES if noise in table])


def removal_gain(frame: pd.DataFrame) -> pd.DataFrame:
    """Method x dataset: change of the test score when the lowest 20 % are dropped, mean over rates and seeds.

    Accuracy in percentage points; for regression the fall of the MSE in percent of the MSE before.
    """
    i = SHARES.index(DROPPED)
    gain = [change[i] for change in frame["change_lowest"]]
    gains = frame.assign(gain=gain).groupby(["method", "dataset"], sort=False)["gain"]
    return gains.mean().unstack("dataset")


def restraint(frame: pd.DataFrame) -> pd.DataFrame:
    """Method x figures of those that flag rows: on clean data, and the estimated share of noisy rows."""
    flagging = frame[frame["flagged_share"].notna()]
    clean = flagging["noise"] == "none"
    columns = {
        "flagged, clean data": flagging[clean].groupby("method")["flagged_share"].mean(),
        "flagged, worst clean run": flagging[clean].groupby("method")["flagged_share"].max(),
    }
    estimated = flagging.dropna(subset=["share_low", "share_high"])
    covered = estimated["noisy_share"].between(estimated["share_low"], estimated["share_high"])
    error = (estimated["share_estimate"] - estimated["noisy_share"]).abs()
    columns["interval covers the true share"] = covered.groupby(estimated["method"]).mean()
    columns["mean error of the share"] = error.groupby(estimated["method"]).mean()
    return pd.DataFrame(columns)


def reliability(frame: pd.DataFrame, method: str) -> pd.DataFrame:
    """Of the rows given a noise probability in a tenth, over all cells: how many, and the share noisy."""
    texts = frame.loc[(frame["method"] == method) & frame["reliability"].notna(), "reliability"]
    if texts.empty:
        return pd.DataFrame()
    counts = np.array([[pair.split(":") for pair in text.split()] for text in texts], int).sum(axis=0)
    tenths = [f"{i / 10:.1f} to {(i + 1) / 10:.1f}" for i in range(len(counts))]
    noisy = counts[:, 1] / np.maximum(counts[:, 0], 1)
    table = pd.DataFrame({"rows": counts[:, 0].astype(str), "of them noisy": noisy}, index=tenths)
    return table.rename_axis(index="noise probability")


# ---------------------------------------------------------------- Markdown


def markdown(table: pd.DataFrame, digits: int = 3, bold: bool = False) -> str:
    """A table with its index as first column; `bold` marks the highest number of each column."""
    lines = [
        "| " + " | ".join([str(table.index.name or ""), *map(str, table.columns)]) + " |",
        "|---" * (len(table.columns) + 1) + "|",
    ]
    shown = pd.DataFrame(index=table.index, columns=table.columns, dtype=object)
    for column in table.columns:
        values = table[column]
        if not pd.api.types.is_numeric_dtype(values):
            shown[column] = values
            continue
        texts = values.map(lambda value: "" if np.isnan(value) else f"{value:.{digits}f}")
        top = texts[values.idxmax()] if bold and values.notna().any() else ""
        shown[column] = [f"**{text}**" if text and text == top else text for text in texts]
    lines += [
        "| " + " | ".join([str(name), *row]) + " |" for name, row in zip(shown.index, shown.to_numpy(), strict=True)
    ]
    return "\n".join(lines)


def document(frame: pd.DataFrame, runs: list[dict[str, Any]], pictures: dict[str, str]) -> str:
    """The text of docs/benchmarks.md; `pictures` are caption -> path relative to it."""
    seeds, rates = (
        sorted(frame["seed"].unique()),
        sorted(frame.loc[frame["noise"] != "none", "rate"].unique()),
    )
    names = frame["dataset"].unique()
    parts = [
        INTRODUCTION.format(
            first=READ_FIRST if frame["method"].nunique() > 1 else "",  # the page of one method is a note
            datasets=len(names),
            names=", ".join(names),
            rates=", ".join(f"{rate:.0%}" for rate in rates),
            seeds=", ".join(map(str, seeds)),
            methods="\n".join(f"- **{name}**: {DESCRIPTIONS[name]}" for name in frame["method"].unique()),
            honesty=REPORTED if min(seeds) >= len(protocol.DEVELOPMENT_SEEDS) else TUNED_ON,
        )
    ]

    def section(title: str, table: pd.DataFrame, **style: Any) -> None:
        if not table.empty:
            parts.append(f"{title}\n\n{markdown(table, **style)}\n")

    section("## AUROC of `importance`", by_noise(frame, "auroc"), bold=True)
    section("## AUROC of `noise_probability`", by_noise(frame, "auroc_probability"), bold=True)
    section("## F1 of a method's own flags", by_noise(frame, "f1_flags"), bold=True)
    section(f"Each dataset, {OWN}:", own_flags(frame))
    section("## F1 by 2-means on `importance`", by_noise(frame, "f1_two_means"), bold=True)
    section(
        "Published on the same datasets and rates (LossVal paper, other splits):",
        published_by_noise(frame),
        bold=True,
    )
    section("## Average precision", by_noise(frame, "average_precision"), bold=True)
    section("## Precision at the true number of noisy rows", by_noise(frame, "precision_at_k"), bold=True)
    for noise in protocol.NOISES:
        section(
            f"## Each dataset, {noise} noise: AUROC of `importance`",
            by_dataset(frame, "auroc", noise),
            bold=True,
        )
        own = by_dataset(frame, "auroc_probability", noise)
        section(f"AUROC of `noise_probability`, {noise} noise:", own, bold=True)
    section("## Restraint and the estimated share of noisy rows", restraint(frame))
    section(f"## Reliability of `noise_probability`, {OWN}", reliability(frame, OWN))
    parts.append(
        f"## Dropping the lowest {DROPPED:.0%}\n\nChange of a linear model's test score: accuracy in "
        "percentage points, for regression the fall of the MSE in percent of the MSE before. Higher is "
        "better.\n"
    )
    clean = frame["noise"] == "none"
    section("Clean data:", removal_gain(frame[clean]), digits=2, bold=True)
    section("Noisy data, all three noises:", removal_gain(frame[~clean]), digits=2, bold=True)
    times = frame.groupby("method", sort=False)["seconds"].quantile([0.5, 1.0]).unstack()
    times.columns = ["median", "slowest"]
    section("## Seconds per run, one thread on a shared machine, methods not side by side", times, digits=2)
    if frame["method"].nunique() > 1:
        parts.append(f"{OWN} was measured while other work took most of the machine. Alone it takes less time.\n")
    if pictures:
        parts.append("## Plots\n")
    parts += [f"![{caption}]({path})\n\n{caption}.\n" for caption, path in pictures.items()]
    parts.append("## How these were made\n")
    parts += [provenance(run) for run in runs]
    parts.append("Then `python -m benchmarks.tables`.\n")
    return "\n".join(parts)


def provenance(run: dict[str, Any]) -> str:
    """The line about one entry of the JSON file that `benchmarks.quality` writes."""
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    return f"`{run['command']}` at commit {run['commit']}; {versions}; {run['machine']}.\n"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--csv", type=Path, default=RESULTS / "quality.csv")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md", help="plots lie beside it")
    given = parser.parse_args(arguments)
    frame = read_results(given.csv)
    runs = json.loads(given.csv.with_suffix(".json").read_text())
    several = frame["method"].nunique() > 1  # plots compare
    pictures = plots.draw_all(frame, given.out.with_suffix("")) if several else {}
    relative = {caption: path.relative_to(given.out.parent).as_posix() for caption, path in pictures.items()}
    given.out.write_text(document(frame, runs, relative), encoding="utf-8")
    print(f"{given.out}: {frame['method'].nunique()} methods, {len(frame)} runs", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
