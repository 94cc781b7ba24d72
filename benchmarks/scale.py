"""How a run grows: `python -m benchmarks.scale [--most 1e7] [--quick | --processes ROWS]`.

Tables of 20 columns (18 numbers, one of them with missing cells, a category and a count) as Parquet, in
memory and, from a million rows on, within --max-memory. Each run is a process of its own: peak memory is
VmHWM of /proc, stages are read off --progress json.

With --processes nothing else is measured and the rest of the results stays: whole runs by one, two and four processes
of one thread, in turn, with the CPU seconds of every stage in each process (`benchmarks.stages`). On a machine that
others use, CPU seconds are only ever too many: the least of several repeats counts. Processes wait for one another
after a stage, so a run takes, on as many idle cores, the sum over stages of what the slowest process takes.

Results: benchmarks/results/scale.json; what they say: docs/scale.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

RESULTS = Path(__file__).parent / "results" / "scale.json"
BLOCK = 250_000
OPTIONS = ["--set", "members=8", "--set", "folds=4", "--removal", "off", "--progress", "json"]

SMALL = ("--set", "members=2", "--set", "folds=2")
"""For the largest table, so that it is done within the hour."""

MEASURED = """
import sys, time
from lossval_cli.cli import main
code = main(sys.argv[1:])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("measured", code, int(peak.split()[1]) * 1024, time.process_time(), file=sys.stderr)
"""


def write_table(path: Path, rows: int, seed: int) -> None:
    """In blocks, so that this takes no memory worth mentioning."""
    rng = np.random.default_rng(seed)
    writer = None
    for start in range(0, rows, BLOCK):
        n = min(BLOCK, rows - start)
        X = rng.standard_normal((n, 18))
        wrong = rng.random(n) < 0.05
        y = (X[:, 0] * X[:, 1] + X[:, 2] > 0) ^ wrong
        columns: dict[str, object] = {f"x{i:02}": X[:, i] for i in range(18)}
        columns["x17"] = np.where(rng.random(n) < 0.01, np.nan, X[:, 17])
        columns["city"] = np.array(["Ulm", "Bonn", "Köln", "Jena"])[rng.integers(0, 4, n)]
        columns["count"] = rng.poisson(3, n)
        columns["label"] = np.where(y, "yes", "no")
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def score(folder: Path, rows: int, epochs: int, *extra: str) -> dict[str, object]:
    """One run in a process of its own."""
    out = folder / "scores.parquet"
    out.unlink(missing_ok=True)
    files = ["score", str(folder / f"{rows}.parquet"), "--val", str(folder / "val.parquet"), "-o", str(out)]
    started = time.monotonic()
    running = subprocess.Popen(
        [sys.executable, "-c", MEASURED, *files, *OPTIONS, "--set", f"epochs={epochs}", *extra],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    marks, last = {}, ""
    for line in running.stderr:
        last = line
        if line.startswith("{"):
            event = json.loads(line)
            name = event.get("name") or event["event"]
            marks.setdefault(name, time.monotonic() - started)
    assert running.wait() == 0 and last.startswith("measured 0"), last
    _, _, peak, cpu = last.split()
    return {
        "rows": rows,
        "epochs": epochs,
        "options": list(extra),
        "seconds": time.monotonic() - started,
        "cpu_seconds": float(cpu),
        "stages": marks,
        "peak_bytes": int(peak),
        "load": os.getloadavg()[0],
    }


def processes(folder: Path, rows: int, count: int) -> dict[str, object]:
    """One whole run, removal study and all, by `count` processes of one thread each."""
    measured = folder / "stages"
    measured.mkdir()
    files = ["score", str(folder / f"{rows}.parquet"), "--val", str(folder / "val.parquet"), "-o", str(folder / "run")]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [sys.executable, *(launcher if count > 1 else []), "-m", "benchmarks.stages", str(measured)]
    started = time.monotonic()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, *files, "--parts", "--force", "--quiet"], check=True, env=environment)
    each = [json.loads((measured / f"{rank}.json").read_text()) for rank in range(count)]
    shutil.rmtree(measured)
    return {
        "rows": rows,
        "processes": count,
        "stages": {stage: [one["seconds"][stage] for one in each] for stage in each[0]["seconds"]},
        "peak_bytes": [one["peak_bytes"] for one in each],
        "seconds": time.monotonic() - started,
        "load": os.getloadavg()[0],
    }


def stage_table(runs: list[dict[str, Any]]) -> str:
    """Of each stage the seconds of the slowest process, the least of all repeats, for every number of processes."""
    counts = sorted({run["processes"] for run in runs})
    taken = {
        stage: [min(max(run["stages"][stage]) for run in runs if run["processes"] == count) for count in counts]
        for stage in runs[0]["stages"]
    }
    lines = [f"| stage | {' | '.join(map(str, counts))} |", f"|---|{'---|' * len(counts)}"]
    lines += [f"| {stage} | {' | '.join(f'{seconds:.1f}' for seconds in row)} |" for stage, row in taken.items()]
    total = [sum(column) for column in zip(*taken.values(), strict=True)]
    lines.append(f"| **all** | {' | '.join(f'{seconds:.1f}' for seconds in total)} |")
    lines.append(f"| times as fast | {' | '.join(f'{total[0] / seconds:.2f}' for seconds in total)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write what there is after every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=float, default=1e7, help="rows of the largest table")
    parser.add_argument("--quick", action="store_true", help="up to 100,000 rows")
    parser.add_argument("--processes", type=float, metavar="ROWS", help="only one process against two and four")
    parser.add_argument("--repeats", type=int, default=3, help="of --processes [default: 3]")
    parser.add_argument("--folder", type=Path, help="where tables are written, on a disk [default: beside here]")
    options = parser.parse_args()
    most = 1e5 if options.quick else options.most
    sizes = [rows for rows in (10_000, 100_000, 1_000_000, 2_000_000, 10_000_000) if rows <= most]
    found: dict[str, object] = {
        "command": "python -m benchmarks.scale",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "note": "two cores that other programs used at the same time: `load` is the load average at the end",
        "runs": [],
        "processes": [],
    }

    if options.processes:
        before = json.loads(RESULTS.read_text())
        found = before | {"processes": [run for run in before["processes"] if run["rows"] != options.processes]}

    def keep(kind: str, run: dict[str, object]) -> None:
        found[kind].append(run)  # type: ignore[attr-defined]
        print(json.dumps(run), file=sys.stderr)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")

    with tempfile.TemporaryDirectory(dir=options.folder or Path(__file__).parent) as name:
        folder = Path(name)
        write_table(folder / "val.parquet", 2_000, 1)
        if options.processes:
            write_table(folder / f"{int(options.processes)}.parquet", int(options.processes), 0)
            for count in (1, 2, 4) * options.repeats:
                keep("processes", processes(folder, int(options.processes), count))
            runs: Any = found["processes"]
            print(stage_table([run for run in runs if run["rows"] == options.processes]))
            return
        for rows in sizes:
            write_table(folder / f"{rows}.parquet", rows, 0)
            for epochs in (1, 3) if rows <= 100_000 else (1,):
                if rows <= 1_000_000:
                    keep("runs", score(folder, rows, epochs))
            if rows >= 1_000_000:
                limit = "2GB" if rows <= 2_000_000 else "8GB"
                keep(
                    "runs",
                    score(folder, rows, 1, "--max-memory", limit, *(SMALL if rows > 2_000_000 else ())),
                )


if __name__ == "__main__":
    main()
