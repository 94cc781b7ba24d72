"""How well each method finds planted noise: `python -m benchmarks.quality [--quick]`.

One CSV row per (dataset, noise, rate, seed, method), appended as soon as it is known; started again, the
command goes on where it was interrupted. `python -m benchmarks.tables` turns the CSV into docs/benchmarks.md.

Seeds 0..9 are for development: anything may be tuned on them. Seeds 100..104, the default, are reported.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks import protocol
from benchmarks.peers import METHODS, Scores

RESULTS = Path(__file__).parent / "results"
SHARES = tuple(np.round(np.arange(0, 0.501, 0.05), 2))  # of rows inspected or dropped
BINS = 10  # of the reliability table
PACKAGES = ("numpy", "scipy", "scikit-learn", "cleanlab", "torch", "geomloss")


class Run(NamedTuple):
    """What one CSV row is about, and its first columns."""

    dataset: str
    noise: protocol.Noise
    rate: float
    seed: int
    method: str


# Lists are written with spaces between; a figure a method does not have is left empty.
FIGURES = (
    "seconds",
    "f1_two_means",
    "f1_flags",
    "flagged_share",
    "auroc",
    "auroc_probability",
    "average_precision",
    "average_precision_probability",
    "precision_at_k",
    "noisy_share",
    "share_estimate",
    "share_low",
    "share_high",
    "reliability",  # rows:noisy for each tenth of noise_probability
    "discovery",  # at SHARES, lowest importance first
    "discovery_probability",  # at SHARES, highest noise probability first
    "removal_lowest",  # test score at SHARES
    "removal_highest",
)
COLUMNS = (*Run._fields, *FIGURES)


def measure(run: Run) -> dict[str, object]:
    """Make the split, run the method, return the CSV row. Raises ValueError on scores that are no ranking."""
    split = protocol.make_split(run.dataset, run.noise, run.rate, run.seed)
    start = time.perf_counter()
    answer = METHODS[run.method](split, run.seed)
    seconds = time.perf_counter() - start
    scores = answer if isinstance(answer, Scores) else Scores(answer)
    if scores.importance.shape != split.y_train.shape or not np.isfinite(scores.importance).all():
        raise ValueError(f"{run.method} on {run}: importance must be {len(split.y_train)} finite numbers")
    return run._asdict() | {"seconds": round(seconds, 4)} | figures(split, scores)


def figures(split: protocol.Split, scores: Scores) -> dict[str, object]:
    """Every figure of the protocol for one method on one split."""
    importance, noisy = scores.importance, split.noisy
    ranking = np.argsort(importance, kind="stable")
    found: dict[str, object] = {
        "f1_two_means": _short(protocol.f1_two_means(importance, noisy)),
        "auroc": _short(protocol.auroc(importance, noisy)),
        "average_precision": _short(protocol.average_precision(importance, noisy)),
        "precision_at_k": _short(protocol.precision_at_k(importance, noisy)),
        "noisy_share": _short(noisy.mean()),
        "discovery": _list(protocol.discovery_curve(importance, noisy, SHARES)),
        "removal_lowest": _list(protocol.point_removal(split, ranking, SHARES)),
        "removal_highest": _list(protocol.point_removal(split, ranking[::-1], SHARES)),
    }
    if scores.flags is not None:
        found["f1_flags"] = _short(protocol.f1_flags(scores.flags, noisy))
        found["flagged_share"] = _short(scores.flags.mean())
    if scores.noise_probability is not None:
        probability = scores.noise_probability
        found["auroc_probability"] = _short(protocol.auroc(-probability, noisy))
        found["average_precision_probability"] = _short(protocol.average_precision(-probability, noisy))
        found["discovery_probability"] = _list(protocol.discovery_curve(-probability, noisy, SHARES))
        tenth = np.minimum((probability * BINS).astype(int), BINS - 1)
        rows, hits = np.bincount(tenth, minlength=BINS), np.bincount(tenth[noisy], minlength=BINS)
        found["reliability"] = " ".join(f"{n}:{h}" for n, h in zip(rows, hits, strict=True))
    if scores.noise_share is not None:
        names = ("share_estimate", "share_low", "share_high")
        found |= dict(zip(names, map(_short, scores.noise_share), strict=True))
    return found


def _short(figure: float) -> float | str:
    return "" if np.isnan(figure) else round(float(figure), 5)


def _list(values: np.ndarray) -> str:
    return "" if np.isnan(values).any() else " ".join(f"{value:.5f}" for value in values)


# ---------------------------------------------------------------- the file


def already_measured(out: Path) -> set[Run]:
    """Runs the CSV holds; a last line that was cut off by an interruption is removed from the file."""
    if not out.exists():
        return set()
    text = out.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        out.write_bytes(whole)
    reader = csv.DictReader(whole.decode().splitlines())
    if reader.fieldnames and tuple(reader.fieldnames) != COLUMNS:
        sys.exit(f"{out}: its columns are those of another version; give another --out or remove it")
    return {Run(row["dataset"], row["noise"], float(row["rate"]), int(row["seed"]), row["method"]) for row in reader}


def note_run(out: Path, arguments: Sequence[str]) -> None:
    """Append command, versions and commit to the JSON file beside the CSV, for the tables to quote."""
    beside = out.with_suffix(".json")
    runs = json.loads(beside.read_text()) if beside.exists() else []
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=RESULTS.parent, capture_output=True, text=True
    ).stdout.strip()
    run = {
        "command": "python -m benchmarks.quality " + shlex.join(arguments),
        "commit": commit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"Python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }
    if run not in runs:
        beside.write_text(json.dumps([*runs, run], indent=1) + "\n")


# ---------------------------------------------------------------- the command


def measure_all(runs: Sequence[Run], out: Path, jobs: int) -> None:
    """Measure the runs in `jobs` processes of one thread each and append each row to `out`.

    The first error stops everything: a method that fails on a table is not left out of its average.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    # spawn: the workers read the thread limits when they import numpy and torch
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        with out.open("a", newline="") as file, bar:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            if file.tell() == 0:
                writer.writeheader()
            task = bar.add_task("quality", total=len(runs))
            for future in as_completed([pool.submit(measure, run) for run in runs]):
                row = future.result()
                writer.writerow(row)
                file.flush()
                bar.update(task, advance=1, description=f"{row['method']} on {row['dataset']}")
    finally:
        pool.shutdown(cancel_futures=True)


def numbers(text: str) -> tuple[int, ...]:
    """Seeds: '100..104' or '0,1,7'."""
    first, dots, last = text.partition("..")
    return tuple(range(int(first), int(last) + 1)) if dots else tuple(int(part) for part in text.split(","))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seed 100 and 10 %% noise alone: ten minutes")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--datasets", nargs="+", choices=protocol.DATASETS, default=list(protocol.DATASETS))
    parser.add_argument("--noises", nargs="+", choices=(*protocol.NOISES, "none"), default=None)
    parser.add_argument("--rates", nargs="+", type=float, default=None)
    parser.add_argument("--seeds", type=numbers, default=None, help="100..104 (default) or 0,1")
    parser.add_argument("--out", type=Path, default=None, help="default benchmarks/results/quality.csv")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes, of one thread each")
    given = parser.parse_args(arguments)

    seeds = given.seeds or (protocol.REPORTED_SEEDS[:1] if given.quick else protocol.REPORTED_SEEDS)
    rates = given.rates or ((0.10,) if given.quick else protocol.RATES)
    out = given.out or RESULTS / ("quick.partial.csv" if given.quick else "quality.csv")
    noises = given.noises or (*protocol.NOISES, "none")
    amounts = [(n, r) for n in noises for r in (rates if n != "none" else (0.0,))]
    # Seeds outermost: what an interrupted run leaves is whole repetitions, not some datasets.
    cells = itertools.product(seeds, given.datasets, amounts, given.methods)
    wanted = [Run(dataset, noise, rate, seed, method) for seed, dataset, (noise, rate), method in cells]
    done = already_measured(out)
    pending = [run for run in wanted if run not in done]
    print(f"{out}: {len(pending)} of {len(wanted)} runs to measure", file=sys.stderr)
    if pending:
        note_run(out, arguments)
        measure_all(pending, out, given.jobs)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
