"""Killed at random, again and again, and gone on with: `python -m benchmarks.resume [--times 20]`.

Each round starts a run with checkpoints, kills it (SIGKILL) at a random moment after the first of them,
starts it again with `--resume`, and compares its scores, byte by byte, with those of an undisturbed run. A
run that had come to its end before the kill does not count: another moment is drawn.
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
OPTIONS = ["--set", "epochs=200", "--set", "members=4", "--removal", "off", "-q"]


def write_table(path: Path, rows: int, seed: int) -> None:
    """Five numbers and a class."""
    training_data = make_problem(rows, 5, 10, seed)
    lines = ["a,b,c,d,e,label"]
    for row, label in zip(training_data.X, training_data.y, strict=True):
        lines.append(",".join(f"{x:.4f}" for x in row) + f",{label}")
    path.write_text("\n".join(lines) + "\n")


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lossval_cli", "score", str(folder / "train.csv"), *OPTIONS, *arguments]
    return subprocess.Popen([*command, "--val", str(folder / "val.csv")])


def until_saved(running: subprocess.Popen[bytes], checkpoint: Path) -> float:
    """Wait for the first checkpoint; seconds that took."""
    began = time.monotonic()
    while not checkpoint.exists() and running.poll() is None:
        time.sleep(0.01)
    return time.monotonic() - began


def main() -> None:
    """Run, print, and write benchmarks/results/resume.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    draw = random.Random(0)
    rounds: list[dict[str, object]] = []
    ended_first = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder / "train.csv", 3_000, 0)
        write_table(folder / "val.csv", 300, 1)
        assert start(folder, "-o", str(folder / "whole.csv")).wait() == 0
        expected = (folder / "whole.csv").read_bytes()
        began = time.monotonic()
        running = start(folder, "-o", str(folder / "timed.csv"), "--checkpoint-every", "0.2s")
        first = until_saved(running, folder / ".timed.csv.checkpoint")
        assert running.wait() == 0
        rest = time.monotonic() - began - first
        while len(rounds) < times:
            results = folder / f"{len(rounds)}.csv"
            checkpoint = folder / f".{results.name}.checkpoint"
            saving = ["-o", str(results), "--checkpoint-every", "0.2s"]
            running = start(folder, *saving)
            until_saved(running, checkpoint)
            moment = draw.uniform(0.0, rest)
            time.sleep(moment)
            running.kill()
            if running.wait() == 0 or results.exists():
                ended_first += 1
                results.unlink(missing_ok=True)
                checkpoint.unlink(missing_ok=True)
                continue
            had = checkpoint.exists()
            assert start(folder, *saving, "--resume").wait() == 0
            same = results.read_bytes() == expected
            rounds.append({"after_first_checkpoint": round(moment, 2), "had_checkpoint": had, "same": same})
            print(f"{len(rounds):2}: {rounds[-1]}", file=sys.stderr)
        left_over = sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
    summary = {
        "command": f"python -m benchmarks.resume --times {times}",
        "killed_before_the_end": len(rounds),
        "gone_on_with_from_a_checkpoint": sum(bool(one["had_checkpoint"]) for one in rounds),
        "same_scores": sum(bool(one["same"]) for one in rounds),
        "not_counted_since_ended_before_the_kill": ended_first,
        "seconds_from_the_first_checkpoint_to_the_end": round(rest, 2),
        "left_over": left_over,
    }
    print(summary)
    RESULTS.write_text(json.dumps(summary | {"each": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
