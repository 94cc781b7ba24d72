"""How much valuation costs: `python -m benchmarks.speed [--quick] [--only overhead large published growth]`.

CPU seconds of one thread, which other programs change less than the time on the clock. Each ratio is one of medians of
interleaved repeats in one process:

    overhead   training one member with valuation / the same network on the same batches without any
    published  the published algorithm (per-batch geomloss) / one member with valuation, an epoch of each, batches
               of 32; the slow side is measured on fewer steps and scaled up
    growth     time per row at more and more rows

The search for outliers, which a run makes once however many epochs it has, is measured beside them.
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
from lossval_cli.settings import EPOCHS, SMALL_TABLE, Settings
from lossval_cli.tables.table import read_table

RESULTS = Path(__file__).parent / "results" / "speed.json"
PAGE = Path(__file__).parents[1] / "docs" / "research" / "speed.md"
CPU = torch.device("cpu")
PARTS = ("overhead", "large", "published", "growth")


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


def search_outliers(training_data: TrainingData, settings: Settings) -> TrainingData:
    """The training data with its outlier penalty, as a run makes it."""
    X = training_data.X[:]
    names = [f"x{i}" for i in range(training_data.columns)]
    blocks = [Block(name, "number", i, i + 1) for i, name in enumerate(names)]
    table = read_table(pd.DataFrame(X, columns=names))
    columns = TypedColumns(table, Encoder.fit(table, names))
    classes = training_data.y.astype(np.int64)
    rng = np.random.default_rng(settings.seed)
    return training_data._replace(penalty=find_outliers(X, blocks, columns, rng, classes=classes).penalty)


def valuation(training_data: TrainingData, settings: Settings) -> None:
    """The default method, its penalty given."""
    train_lossval(training_data, find_loss("cross_entropy", "classification"), settings, Runtime())


def medians(repeats: int, *jobs: Callable[[], object]) -> list[float]:
    """Median CPU seconds of each job, run in turn so that a change of the machine's speed meets all of them."""
    for job in jobs if repeats > 1 else ():  # what the first run loads takes no time beside a long job
        job()
    seconds: list[list[float]] = [[] for _ in jobs]
    for _ in range(repeats):
        for job, taken in zip(jobs, seconds, strict=True):
            start = time.process_time()
            job()
            taken.append(time.process_time() - start)
    return [statistics.median(taken) for taken in seconds]


def one_member(**settings: object) -> Settings:
    """The default with one member, which therefore scores the rows it trains on."""
    return Settings.resolve(overrides={"members": 1, "folds": 1, **settings})


def overhead(rows: int, val_rows: int, columns: int, epochs: int | None, repeats: int) -> dict[str, float]:
    """Valuation against plain training; `epochs` None: as many as the default makes."""
    training_data, settings = make_problem(rows, columns, val_rows), one_member(epochs=epochs)
    plain, valued = medians(
        repeats, lambda: plain_training(training_data, settings), lambda: valuation(training_data, settings)
    )
    return {"plain": plain, "valued": valued, "ratio": valued / plain}


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

    settings = one_member(epochs=EPOCHS["default"] if rows <= SMALL_TABLE else 10, batch_size=32)
    slow, fast = medians(repeats, published, lambda: valuation(training_data, settings))
    slow_epoch, fast_epoch = slow * rows / part, fast / settings.schedule(rows).epochs
    return {"plain": slow_epoch, "valued": fast_epoch, "ratio": slow_epoch / fast_epoch}


def outlier_seconds(rows: int, columns: int, repeats: int) -> float:
    """CPU seconds of the search for outliers."""
    training_data, settings = make_problem(rows, columns, 100), one_member()
    return medians(repeats, lambda: search_outliers(training_data, settings))[0]


def growth(sizes: list[int], columns: int, epochs: int) -> list[dict[str, float]]:
    """Seconds per row of so many epochs of one member as rows grow, and the peak memory so far in bytes."""
    points = []
    for rows in sizes:
        training_data = make_problem(rows, columns, 2_000)
        settings = one_member(epochs=epochs, batch_size=1024)
        start = time.process_time()
        valuation(search_outliers(training_data, settings), settings)
        taken = time.process_time() - start
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
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure these, keep the other results")
    asked = parser.parse_args()
    quick = asked.quick
    torch.set_num_threads(1)
    result: dict[str, Any] = json.loads(RESULTS.read_text()) if set(asked.only) != set(PARTS) else {}
    result |= {
        "command": "python -m benchmarks.speed" + (" --quick" if quick else ""),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }

    def measure(name: str, job: Callable[..., object], *arguments: Any) -> None:
        result[name] = job(*arguments)
        print(f"{name}:", result[name], file=sys.stderr)

    if "overhead" in asked.only:
        measure("overhead 1,000 / 100 / 25", overhead, 1_000, 100, 10, 25, 3 if quick else 9)
        measure("outliers 1,000 × 10", outlier_seconds, 1_000, 10, 3)
    if "large" in asked.only and not quick:
        measure("overhead 100,000 / 2,000 / 25", overhead, 100_000, 2_000, 20, 25, 1)
        measure("overhead 100,000 / 2,000 / 5", overhead, 100_000, 2_000, 20, 5, 3)
        measure("overhead 100,000 / 2,000 / 3", overhead, 100_000, 2_000, 20, None, 3)
        measure("outliers 100,000 × 20", outlier_seconds, 100_000, 20, 1)
    if "published" in asked.only:
        measure("published 1,000 / 100", against_published, 1_000, 100, 10, 31, 3)
        if not quick:
            measure("published 20,000 / 2,000", against_published, 20_000, 2_000, 10, 2, 1)
    if "growth" in asked.only:
        sizes = [10_000, 100_000] if quick else [10_000, 100_000, 1_000_000]
        result["growth"] = growth(sizes, 20, 2 if quick else 3)
    if not quick:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
        PAGE.write_text(as_markdown(result))


def as_markdown(result: dict[str, Any]) -> str:
    """docs/research/speed.md."""
    lines = [
        "# Speed",
        "",
        f"`{result['command']}`. PyTorch {result['torch']}, Python {result['python']}, one thread, busy machine.",
        "CPU seconds, up to twice those of an idle machine; both sides of a ratio in the same run, by turns, medians. "
        "One repeat of",
        "100,000 rows in 25 epochs, and of the published algorithm at 20,000 rows: two batches, scaled up.",
        "",
        "| rows / validation / epochs | one member trained plainly | the same, valued | ratio |",
        "|---|---|---|---|",
        *_rows(result, "overhead"),
        "",
        "Above 5,000 rows the default makes fewer than 25 epochs: 3 of 100,000 rows.",
        "",
        "| rows / validation | an epoch of the published algorithm, batches of 32 | one of ours | ratio |",
        "|---|---|---|---|",
        *_rows(result, "published"),
        "",
        "Outliers are searched for once in a run, however many epochs it has, and are not counted above.",
        "",
        "| rows | search for outliers |",
        "|---|---|",
        *(f"| {name[9:]} | {seconds:.3g} |" for name, seconds in result.items() if name.startswith("outliers")),
        "",
        "| rows × 20 | µs a row: outliers, one member, 3 epochs; encoded rows | peak memory, GiB |",
        "|---|---|---|",
    ]
    for point in result["growth"]:
        seconds, peak = 1e6 * point["seconds_per_row"], point["peak_bytes"] / 2**30
        lines.append(f"| {point['rows']:,} | {seconds:.1f} | {peak:.2f} |")
    return "\n".join(lines) + "\n"


def _rows(result: dict[str, Any], kind: str) -> list[str]:
    """Lines of the table of this kind."""
    found = {name.removeprefix(kind).strip(): one for name, one in result.items() if name.startswith(kind)}
    return [
        f"| {size} | {one['plain']:.3g} | {one['valued']:.3g} | {one['ratio']:,.3g} |" for size, one in found.items()
    ]


if __name__ == "__main__":
    main()
