"""Killed at random, again and again, and gone on with: `python -m benchmarks.resume [--times 20]`.

Each round starts a run with checkpoints, kills it (SIGKILL) at a random moment after the first of them,
starts it again with `--resume`, and compares its scores, byte by byte, with those of an undisturbed run.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.speed import make_problem

RESULTS = Path(__file__).parent / "results" / "resume.json"
OPTIONS = ["--set", "epochs=60", "--set", "members=4", "--removal", "off", "-q"]


def write_table(path: Path, rows: int, seed: int) -> None:
    """Five numbers and a class."""
    problem = make_problem(rows, 5, 10, seed)
    lines = ["a,b,c,d,e,label"]
    for row, label in zip(problem.X, problem.y, strict=True):
        lines.append(",".join(f"{x:.4f}" for x in row) + f",{label}")
    path.write_text("\n".join(lines) + "\n")


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lossval_cli", "score", str(folder / "train.csv"), *OPTIONS, *arguments]
    return subprocess.Popen([*command, "--val", str(folder / "val.csv")])


def main() -> None:
    """Run, print, and write benchmarks/results/resume.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    draw = random.Random(0)
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder / "train.csv", 3_000, 0)
        write_table(folder / "val.csv", 300, 1)
        began = time.monotonic()
        assert start(folder, "-o", str(folder / "whole.csv")).wait() == 0
        whole = time.monotonic() - began
        expected = (folder / "whole.csv").read_bytes()
        for at in range(times):
            results = folder / f"{at}.csv"
            left = folder / f".{results.name}.checkpoint"
            saving = ["-o", str(results), "--checkpoint-every", "0.2s"]
            running = start(folder, *saving)
            while not left.exists() and running.poll() is None:
                time.sleep(0.01)
            moment = draw.uniform(0.0, 0.4) * whole
            time.sleep(moment)
            running.kill()
            died = running.wait() != 0 and not results.exists()
            had = left.exists()
            if died:
                assert start(folder, *saving, "--resume").wait() == 0
            same = results.read_bytes() == expected
            rounds.append({"after": round(moment, 2), "died": died, "resumed": had, "same": same})
            print(f"{at + 1:2}: {rounds[-1]}", file=sys.stderr)
        left_over = sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
    summary = {
        "rounds": times,
        "killed": sum(one["died"] for one in rounds),
        "resumed_from_a_checkpoint": sum(one["resumed"] for one in rounds),
        "same_scores": sum(one["same"] for one in rounds),
        "left_over": left_over,
    }
    print(summary)
    RESULTS.write_text(json.dumps(summary | {"each": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
