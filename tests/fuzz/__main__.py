"""Run many generated cases: `python -m tests.fuzz --cases 100000 --seed 1`.

Cases run in workers, so that one that ends its process is recorded and the others go on. What is found is
written to a directory, one file a distinct finding with the arguments and files of its first case, and a line
of `counts.jsonl` for each kind, which docs/research/reliability-log.md quotes. Exits with 1 when anything was found.
"""

from __future__ import annotations

import argparse
import base64
import collections
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.kinds import KINDS, base_files, cases
from tests.fuzz.running import Broken, Case, Change, inside, run_case

BATCH = 1_000
"""Things a worker generates, each for one case or several, before the next takes over."""

MOST_MEMORY = 8 << 30
"""Bytes of address space a worker may have; PyTorch's libraries alone take about three gigabytes of it."""


def as_json(case: Case) -> str:
    """A case as text."""
    files = {name: base64.b64encode(content).decode() for name, content in case.files.items()}
    stdin = base64.b64encode(case.stdin).decode()
    change = case.change and [*case.change[:2], base64.b64encode(case.change.content).decode()]
    return json.dumps(
        {"arguments": case.arguments, "files": files, "stdin": stdin, "stays": case.stays, "change": change}
    )


def from_json(text: str) -> Case:
    """What `as_json` wrote."""
    read = json.loads(text)
    files = {name: base64.b64decode(content) for name, content in read["files"].items()}
    change = read["change"] and Change(*read["change"][:2], base64.b64decode(read["change"][2]))
    return Case(tuple(read["arguments"]), files, base64.b64decode(read["stdin"]), read["stays"], change)


def work(kind: str, count: int, number: int, out: Path) -> None:
    """Run `count` cases of one kind; findings and counts are appended to files in `out`."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    codes: collections.Counter[int] = collections.Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        base = base_files(directory)

        @seed(number)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(cases(kind, base))
        def every(some: list[Case]) -> None:
            nonlocal slowest
            for case in some:
                slowest = max(slowest, one(case))

        def one(case: Case) -> float:
            Path(out, "current.json").write_text(as_json(case))
            started = time.perf_counter()
            try:
                codes[run_case(case, directory)] += 1
            except (Broken, Exception) as error:  # noqa: BLE001  # what main() lets through is a finding too
                codes[-1] += 1
                record(out, kind, str(error) if isinstance(error, Broken) else repr(error), case)
            Path(out, "done").write_text(str(codes.total()))
            return time.perf_counter() - started

        with inside(directory):
            every()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(json.dumps({"codes": codes, "slowest": slowest, "peak_mib": peak}))


def record(out: Path, kind: str, what: str, case: Case) -> None:
    """Keep the first case of each distinct finding."""
    signature = re.sub(r"[^a-z]+", "-", re.sub(r"'[^']*'|\d+", "", what.lower()))[:80].strip("-")
    path = out / f"{kind}-{signature}.json"
    if not path.exists():
        path.write_text(json.dumps({"found": what}) + "\n" + as_json(case) + "\n")


def run_many(total: int, number: int, kinds: list[str], out: Path) -> bool:
    """Run `total` cases spread over `kinds`; whether none of them broke anything."""
    out.mkdir(parents=True, exist_ok=True)
    Path(out, "current.json").write_text(as_json(Case(("--help",))))
    fine = True
    for i, kind in enumerate(kinds):
        left, batch = total // len(kinds), 0
        codes: collections.Counter[str] = collections.Counter()
        slowest, peak, started = 0.0, 0, time.monotonic()
        while left > 0:
            count = min(BATCH, left)
            own = (number * 1_000 + batch) * len(KINDS) + i
            command = [sys.executable, "-m", "tests.fuzz", "--worker", kind, str(count), str(own), str(out)]
            Path(out, "done").write_text("0")
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                summary = json.loads(done.stdout.splitlines()[-1])
                codes.update(summary["codes"])
                count = sum(summary["codes"].values())
                slowest, peak = max(slowest, summary["slowest"]), max(peak, summary["peak_mib"])
            else:
                what = f"process ended with {done.returncode}: {done.stderr.strip()[-3_000:]}"
                record(out, kind, what, from_json(Path(out, "current.json").read_text()))
                codes["crash"] += 1
                count = int(Path(out, "done").read_text()) + 1
                codes["before a crash"] += count
            left -= max(count, 1)
            batch += 1
        fine &= not (codes["-1"] or codes["crash"])
        summary = ", ".join(f"{code}: {codes[code]:,}" for code in sorted(codes))
        minutes = (time.monotonic() - started) / 60
        cases = codes.total() - codes["crash"]
        print(
            f"{kind}: {cases:,} cases ({summary}); slowest {slowest:.1f} s, peak {peak:,} MiB, {minutes:.0f} min",
            flush=True,
        )
        with Path(out, "counts.jsonl").open("a") as counts:
            row = {"kind": kind, "seed": number, "cases": cases, "codes": codes}
            row |= {"slowest_s": round(slowest, 1), "peak_mib": peak, "minutes": round(minutes, 1)}
            counts.write(json.dumps(row) + "\n")
    return fine


def main() -> int:
    """Parse the command line."""
    if sys.argv[1:2] == ["--worker"]:
        kind, count, number, out = sys.argv[2:]
        work(kind, int(count), int(number), Path(out))
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--replay", type=Path, help="run the case of one finding and show what it does")
    given_ = parser.parse_args()
    if given_.replay:
        case = from_json(given_.replay.read_text().splitlines()[-1])
        print(case.arguments)
        with tempfile.TemporaryDirectory() as folder, inside(Path(folder)):
            print(run_case(case, Path(folder)))
        return 0
    return 0 if run_many(given_.cases, given_.seed, given_.kinds, given_.out) else 1


if __name__ == "__main__":
    sys.exit(main())
