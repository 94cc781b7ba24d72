"""The plots of docs/benchmarks.md: AUROC bars, discovery curves, removal curves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import protocol
from benchmarks.quality import SHARES

# Okabe and Ito (2008): distinguishable with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#000000", "#999999")
STYLE = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.dpi": 130,
}


def draw_all(frame: pd.DataFrame, folder: Path) -> dict[str, Path]:
    """Write the PNG files into `folder`: caption -> path. `frame` as `tables.read_results` gives it."""
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, tuple[str, Callable[[pd.DataFrame], Figure]]] = {
        "AUROC of importance, means over datasets and rates": ("auroc", auroc_bars),
        "Share of the noisy rows found, lowest importance first": ("discovery", discovery_curves),
        "Change of a linear model's test score as rows are dropped, lowest importance first; mean for "
        "classification, median for regression": ("removal", partial(removal_curves, end="lowest")),
        "The same, highest importance first": ("removal_highest", partial(removal_curves, end="highest")),
    }
    pictures = {}
    with mpl.rc_context(STYLE):
        for caption, (name, draw) in figures.items():
            path = folder / f"{name}.png"
            # without the date or version, so that the same results give the same file
            draw(frame).savefig(path, metadata={"Software": None})
            pictures[caption] = path
    return pictures


def auroc_bars(frame: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(9, 3), layout="constrained")
    axes = figure.subplots()
    methods, colours = _methods(frame)
    width = 0.85 / len(methods)
    for i, method in enumerate(methods):
        rows = frame[frame["method"] == method]
        heights = [rows.loc[rows["noise"] == noise, "auroc"].mean() for noise in protocol.NOISES]
        left = np.arange(len(protocol.NOISES)) + (i - (len(methods) - 1) / 2) * width
        axes.bar(left, heights, width * 0.9, color=colours[method], label=method)
    axes.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes.set(ylim=(0.4, 1.0), ylabel="AUROC")
    axes.set_xticks(range(len(protocol.NOISES)), [f"{noise} noise" for noise in protocol.NOISES])
    axes.grid(visible=False, axis="x")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
    return figure


def discovery_curves(frame: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(9, 3), layout="constrained")
    panels = figure.subplots(1, len(protocol.NOISES), sharey=True)
    for axes, noise in zip(panels, protocol.NOISES, strict=True):
        rows = frame[frame["noise"] == noise]
        _curves(axes, rows, "discovery", _methods(frame)[1])
        axes.set(title=f"{noise} noise", xlabel="rows inspected, %", ylim=(0, 1))
    panels[0].set_ylabel("noisy rows found")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def removal_curves(frame: pd.DataFrame, end: str) -> Figure:
    """`end` of the ranking that is dropped first: lowest or highest."""
    noises = ("none", *protocol.NOISES)
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    grid = figure.subplots(2, len(noises), sharex=True, sharey="row")
    scores = {"classification": "accuracy, points", "regression": "fall of the MSE, %"}
    for row, (task, score) in enumerate(scores.items()):
        for axes, noise in zip(grid[row], noises, strict=True):
            rows = frame[(frame["task"] == task) & (frame["noise"] == noise)]
            # a linear model can miss a far test row by orders of magnitude; the median is not led by it
            average = np.mean if task == "classification" else np.median
            _curves(axes, rows, f"change_{end}", _methods(frame)[1], average)
            axes.axhline(0, color="black", linewidth=0.8, linestyle=":")
            if row == 0:
                axes.set_title("clean" if noise == "none" else f"{noise} noise")
            else:
                axes.set_xlabel("rows dropped, %")
        grid[row][0].set_ylabel(score)
    figure.legend(*grid[0][-1].get_legend_handles_labels(), loc="outside right center")
    return figure


def _curves(
    axes: Axes,
    rows: pd.DataFrame,
    column: str,
    colours: dict[str, str],
    average: Callable[..., np.ndarray] = np.mean,
) -> None:
    """The average curve of each method over these rows of the results, in per cent of rows along x."""
    for method, curves in rows.groupby("method", sort=False)[column]:
        curve = average(np.stack(curves.tolist()), axis=0)
        axes.plot(100 * np.array(SHARES), curve, color=colours[method], linewidth=1.4, label=method)


def _methods(frame: pd.DataFrame) -> tuple[list[str], dict[str, str]]:
    """Methods in their order, and the colour each has in every plot."""
    methods = list(frame["method"].unique())
    return methods, {method: COLOURS[i % len(COLOURS)] for i, method in enumerate(methods)}
