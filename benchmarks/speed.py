"""How much valuation costs: `python -m benchmarks.speed [--quick]`.

Everything is a ratio of medians of interleaved repeats in one process:

    overhead   one member with valuation / the same network on the same batches without any
    published  the published algorithm (per-batch geomloss) / one member with valuation, same epochs, batch;
               the slow side is measured on fewer steps and scaled up
    growth     time per row at more and more rows
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lossval_cli.features.encoder import Block, Encoder
from lossval_cli.features.typed_columns import TypedColumns
from lossval_cli.losses import find_loss
from lossval_cli.lossval.network import Ensemble
from lossval_cli.lossval.optimizer import AdamW
from lossval_cli.lossval.paper import PaperSettings, fit_paper
from lossval_cli.lossval.setup import TrainingData
from lossval_cli.lossval.training import learning_rate_factor, train_lossval
from lossval_cli.noise.outliers import find_outliers
from lossval_cli.runtime.context import Runtime
from lossval_cli.settings import Settings
from lossval_cli.tables.table import read_table

RESULTS = Path(__file__).parent / "results" / "speed.json"
PAGE = Path(__file__).parents[1] / "docs" / "research" / "speed.md"
CPU = torch.device("cpu")


def make_problem(rows: int, columns: int, val_rows: int, seed: int = 0) -> TrainingData:
    """Two classes of a smooth function of standard normal features."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, columns), dtype=np.float32)
    y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(np.int64)
    X_val = rng.standard_normal((val_rows, columns), dtype=np.float32)
    return TrainingData(X, y, X_val, columns, 2, np.zeros(rows))


def plain_training(training_data: TrainingData, settings: Settings) -> None:
    """The default network trained as usual: same sizes, batches, optimiser and schedule, no weights."""
    generator = torch.Generator().manual_seed(settings.seed)
    X, y = torch.as_tensor(training_data.X), torch.as_tensor(training_data.y)
    network = Ensemble(
        settings.ensemble_size(len(X))[0],
        X.shape[1],
        training_data.classes or 1,
        settings,
        generator=generator,
        device=CPU,
    )
    optimizer = AdamW(network.parameters(), weight_decay=settings.weight_decay)
    loss = find_loss("cross_entropy", "classification")
    epochs, batch_size, peak_rate, _ = settings.schedule(len(X))
    batches = math.ceil(len(X) / batch_size)
    step = 0
    for _ in range(epochs):
        total = torch.zeros(())
        for rows in torch.randperm(len(X), generator=generator).chunk(batches):
            factor = learning_rate_factor(step, epochs * batches)
            step += 1
            value = loss.per_row(network(X[rows], training=True), y[rows]).mean()
            value.backward()
            optimizer.step(peak_rate * factor)
            total += value.detach()
        float(total)


def valuation(training_data: TrainingData, settings: Settings) -> None:
    """The default method, outliers included."""
    X = training_data.X[:]
    names = [f"x{i}" for i in range(training_data.columns)]
    blocks = [Block(name, "number", i, i + 1) for i, name in enumerate(names)]
    table = read_table(pd.DataFrame(X, columns=names))
    columns = TypedColumns(table, Encoder.fit(table, names))
    classes = training_data.y.astype(np.int64)
    penalty = find_outliers(X, blocks, columns, np.random.default_rng(settings.seed), classes=classes).penalty
    data = training_data._replace(penalty=penalty)
    train_lossval(data, find_loss("cross_entropy", "classification"), settings, Runtime())


def medians(repeats: int, *jobs: Callable[[], object]) -> list[float]:
    """Median seconds of each job, run in turn so that a change of the machine's speed meets all of them."""
    for job in jobs:
        job()
    seconds: list[list[float]] = [[] for _ in jobs]
    for _ in range(repeats):
        for job, taken in zip(jobs, seconds, strict=True):
            start = time.perf_counter()
            job()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


def one_member(**settings: object) -> Settings:
    """The default with one member, which therefore scores the rows it trains on."""
    return Settings.resolve(overrides={"members": 1, "folds": 1, **settings})


def overhead(rows: int, val_rows: int, columns: int, epochs: int, repeats: int) -> dict[str, float]:
    """Valuation against plain training."""
    training_data, settings = make_problem(rows, columns, val_rows), one_member(epochs=epochs)
    plain, valued = medians(
        repeats, lambda: plain_training(training_data, settings), lambda: valuation(training_data, settings)
    )
    return {"plain_seconds": plain, "valuation_seconds": valued, "ratio": valued / plain}


def against_published(rows: int, val_rows: int, columns: int, steps: int, repeats: int) -> dict[str, float]:
    """The published algorithm, on `steps` batches of 32 and scaled to an epoch, against an epoch of ours."""
    training_data = make_problem(rows, columns, val_rows)
    part = min(rows, 32 * steps)

    def published() -> None:
        fit_paper(
            training_data.X[:part],
            training_data.y[:part],
            training_data.X_val,
            PaperSettings(epochs=1),
            classes=2,
            generator=torch.Generator().manual_seed(0),
        )

    epochs = 10
    ours_settings = one_member(epochs=epochs, batch_size=32)
    slow, fast = medians(repeats, published, lambda: valuation(training_data, ours_settings))
    slow_epoch, fast_epoch = slow * rows / part, fast / epochs
    return {"published_epoch": slow_epoch, "valuation_epoch": fast_epoch, "ratio": slow_epoch / fast_epoch}


def growth(sizes: list[int], columns: int, epochs: int) -> list[dict[str, float]]:
    """Seconds per row of so many epochs of one member as rows grow, and the peak memory so far in bytes."""
    points = []
    for rows in sizes:
        training_data = make_problem(rows, columns, 2_000)
        start = time.perf_counter()
        valuation(training_data, one_member(epochs=epochs, batch_size=1024))
        taken = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        points.append({"rows": rows, "seconds_per_row": taken / rows, "peak_bytes": peak})
        print(
            f"growth {rows:>9,} rows: {1e6 * taken / rows:.1f} µs a row, peak {peak / 2**30:.2f} GiB",
            file=sys.stderr,
        )
    return points


def main() -> None:
    """Measure, print and write benchmarks/results/speed.json and docs/research/speed.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes and few repeats")
    quick = parser.parse_args().quick
    result: dict[str, object] = {
        "command": "python -m benchmarks.speed" + (" --quick" if quick else ""),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }
    result["overhead 1,000 / 100"] = overhead(1_000, 100, 10, 25, 3 if quick else 9)
    print("overhead 1,000 / 100:", result["overhead 1,000 / 100"], file=sys.stderr)
    if not quick:
        result["overhead 100,000 / 2,000"] = overhead(100_000, 2_000, 20, 25, 3)
        print("overhead 100,000 / 2,000:", result["overhead 100,000 / 2,000"], file=sys.stderr)
    result["published 1,000 / 100"] = against_published(1_000, 100, 10, 31, 3)
    print("published 1,000 / 100:", result["published 1,000 / 100"], file=sys.stderr)
    if not quick:
        result["published 20,000 / 2,000"] = against_published(20_000, 2_000, 10, 4, 1)
        print("published 20,000 / 2,000:", result["published 20,000 / 2,000"], file=sys.stderr)
    result["growth"] = growth([10_000, 100_000] if quick else [10_000, 100_000, 1_000_000], 20, 2 if quick else 3)
    if not quick:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
        PAGE.write_text(as_markdown(result))


def as_markdown(result: dict[str, Any]) -> str:
    """docs/research/speed.md."""
    versions = f"PyTorch {result['torch']}, Python {result['python']}, threads: {result['threads']}"
    lines = [
        "# Speed",
        "",
        f"`{result['command']}`. {versions}. Both sides of a ratio",
        "in the same run, by turns; medians, in seconds.",
        "",
        "| what | rows / validation | A | B | ratio |",
        "|---|---|---|---|---|",
    ]
    for name, sides in result.items():
        if isinstance(sides, dict):
            kind, _, size = name.partition(" ")
            what = {
                "overhead": "A: one member trained plainly, 25 epochs; B: valuing as well; B / A",
                "published": "A: an epoch of the published algorithm, batches of 32; B: one of ours; A / B",
            }[kind]
            one, other, ratio = sides.values()
            lines.append(f"| {what} | {size} | {one:.3g} | {other:.3g} | {ratio:.3g} |")
    lines += [
        "",
        "| rows × 20 | µs a row: one member, 3 epochs, encoded rows | peak memory, GiB |",
        "|---|---|---|",
    ]
    for point in result["growth"]:
        seconds, peak = 1e6 * point["seconds_per_row"], point["peak_bytes"] / 2**30
        lines.append(f"| {point['rows']:,} | {seconds:.1f} | {peak:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
