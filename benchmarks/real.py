"""Errors that nobody planted to order, lossval beside live peers: `python -m benchmarks.real`.

    python -m benchmarks.real                        every table and method, pages written at the end
    python -m benchmarks.real --only lossval         lossval again, peers as measured before
    python -m benchmarks.real --tables 'jira-*' pima --seeds 100 101 --jobs 2
    python -m benchmarks.real --pages                only the page, from docs/benchmarks/real.json

lossval runs as its command does (`lossval score`, then `lossval check` with its default rules), with the default
preset. Records are in docs/benchmarks/real.json, one line each; a record is replaced when
it is measured again. The page is `docs/real-errors.md`, written by `real_pages.py`.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks import real_data, real_made, real_peers
from benchmarks.real_data import Case, Mask

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "docs" / "benchmarks" / "real.json"
OWN = "lossval"
KEY = ("case", "method", "seed")
TABLES = real_data.tables() | real_made.tables()
PACKAGES = ("torch", "scikit-learn", "cleanlab", "lightgbm", "catboost", "pyod", "isotree", "skrub", "tabaudit")

Record = dict[str, Any]


# ---------------------------------------------------------------- figures


def ranking(wrong: Mask, score: np.ndarray, end: str = "") -> Record:
    """AUROC and average precision of a score that is higher for rows that are more likely wrong."""
    if not 0 < wrong.sum() < len(wrong):
        return {}
    return {f"auroc{end}": roc_auc_score(wrong, score), f"ap{end}": average_precision_score(wrong, score)}


def flagging(wrong: Mask, flags: Mask, end: str = "") -> Record:
    """How many rows are flagged, and how right that is. Precision is left out where nothing is flagged."""
    record: Record = {f"flagged{end}": flags.mean()}
    if (~wrong).any():
        record[f"right_flagged{end}"] = flags[~wrong].mean()
    if wrong.any():
        hits = (flags & wrong).sum()
        record |= {f"recall{end}": hits / wrong.sum(), f"f1{end}": 2 * hits / (flags.sum() + wrong.sum())}
        if flags.any():
            record[f"precision{end}"] = hits / flags.sum()
    return record


# ---------------------------------------------------------------- lossval


def run_lossval(case: Case, seed: int) -> Record:
    """The command on files, in a directory that is thrown away."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case.train.to_csv(folder / "train.csv", index=False)
        score = ["score", "train.csv", "--label", case.label, "--seed", str(seed), "--removal", "off", "--quiet"]
        score += [part for column in case.ids for part in ("--id", column)]
        score += ["--threads", "1"]
        if case.trusted is not None:
            case.trusted.to_csv(folder / "val.csv", index=False)
            score += ["--val", "val.csv"]
        if case.group is not None:
            score += ["--group", case.group]
        start = cpu_seconds()
        done = lossval(score, folder)
        seconds = cpu_seconds() - start
        if done.returncode:
            raise RuntimeError(f"{case.name}: exit {done.returncode}: {done.stderr.strip()[-300:]}")
        run = folder / "train.lossval"
        scores = pd.read_csv(run / "scores.csv", keep_default_na=False).sort_values("row")
        report = json.loads((run / "report.json").read_text(encoding="utf-8"))
        record = figures(case, scores, report) | {"seconds": seconds, "commit": commit()}
        record["gate"] = lossval(["check", "train.lossval"], folder).returncode
    return record


def cpu_seconds() -> float:
    """Of this process and of commands that have ended: a busy machine does not change it as it does the clock."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def lossval(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """One command."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "lossval_cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)


def figures(case: Case, scores: pd.DataFrame, report: Record) -> Record:
    """What the scores (a row per row of the table, in its order) and the report say, beside the truth."""
    assert list(scores["row"]) == list(range(len(case.train)))
    wrong, suspect = case.wrong, scores["suspect"].astype(str)
    own = suspect.str.contains(case.part).to_numpy()
    record = ranking(wrong, scores["noise_probability"].astype(float).to_numpy())
    record |= ranking(wrong, -scores["importance"].astype(float).to_numpy(), "_importance")
    column = f"{case.part}_noise_probability"
    if column in scores:
        record |= ranking(wrong, scores[column].astype(float).to_numpy(), "_part")
    record |= flagging(wrong, (suspect != "").to_numpy()) | flagging(wrong, own, "_part")
    share = report["summary"]["estimated_noise_share"]
    covers = share["low"] <= wrong.mean() <= share["high"]
    return record | {"share": share["value"], "low": share["low"], "high": share["high"], "covers": int(covers)}


# ---------------------------------------------------------------- runs


def measure(name: str, seed: int, methods: Iterable[str]) -> list[Record]:
    """All records of one table; `methods` empty: all that apply."""
    case = TABLES[name](seed)
    encoded = real_peers.Encoded(case)
    peers = real_peers.peers_of(case) if case.wrong.any() else {}
    if peers:
        _ = encoded.both if case.part == "label" else (encoded.both, encoded.plain)  # no peer's seconds
    known = {"rows": len(case.train), "wrong": round(float(case.wrong.mean()), 4), "family": case.family}
    records = []
    for method in (OWN, *peers):
        if methods and not any(fnmatch.fnmatch(method, pattern) for pattern in methods):
            continue
        start = cpu_seconds()
        try:
            if method == OWN:
                record = run_lossval(case, seed)
            else:
                score, flags = peers[method](case, encoded)
                record = {"seconds": cpu_seconds() - start}
                record |= {} if score is None else ranking(case.wrong, score)
                record |= {} if flags is None else flagging(case.wrong, flags)
        except Exception as error:  # noqa: BLE001  (a table that a tool cannot read is a result)
            record = {"failed": f"{type(error).__name__}: {error}"[:200]}
        records.append({"case": name, "method": method, "seed": seed, **known, **rounded(record)})
        shown = {key: value for key, value in records[-1].items() if key in ("auroc", "ap", "f1", "flagged", "failed")}
        print(f"{name} {seed} {method}: {shown}", file=sys.stderr, flush=True)
    return records


def rounded(record: Record) -> Record:
    return {key: round(float(value), 4) if not isinstance(value, str) else value for key, value in record.items()}


def read_records(path: Path = RECORDS) -> list[Record]:
    """All that was measured, or nothing."""
    return json.loads(path.read_text(encoding="utf-8"))["records"] if path.exists() else []


def write_records(new: list[Record], path: Path = RECORDS) -> None:
    """Replace what was measured again, keep the rest; one record a line, in the order of the tables."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"runs": {}, "records": []}
    kept = {tuple(record[key] for key in KEY): record for record in [*old["records"], *new]}
    order = {name: i for i, name in enumerate(TABLES)}
    records = sorted(kept.values(), key=lambda record: (order.get(record["case"], -1), record["seed"]))
    measured = {"lossval" if record["method"] == OWN else "peers" for record in new}
    runs = old["runs"] | {who: provenance() for who in measured}
    lines = ",\n".join(json.dumps(record) for record in records)
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'{{"runs": {json.dumps(runs, indent=1)},\n"records": [\n{lines}\n]}}\n', encoding="utf-8")


def provenance() -> Record:
    """What was measured with."""
    return {"python": platform.python_version(), "versions": {package: version(package) for package in PACKAGES}}


def commit() -> str:
    """Of the working tree."""
    head = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(head, capture_output=True, text=True, cwd=ROOT, check=False).stdout.strip()


def main(arguments: list[str]) -> None:
    """Measure, keep, and write the page."""
    from benchmarks import real_pages

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.real", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[], help="methods, as patterns")
    parser.add_argument("--tables", nargs="+", default=["*"], help="cases, as patterns")
    parser.add_argument("--seeds", nargs="+", type=int, default=[100])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--pages", action="store_true", help="measure nothing")
    parser.add_argument("--records", type=Path, default=RECORDS)
    given = parser.parse_args(arguments)
    names = [name for name in TABLES if any(fnmatch.fnmatch(name, pattern) for pattern in given.tables)]
    if not given.pages:
        with ProcessPoolExecutor(given.jobs) as pool:
            runs = [pool.submit(measure, name, seed, given.only) for name in names for seed in given.seeds]
            for run in runs:
                write_records(run.result(), given.records)
    if given.records == RECORDS:
        real_pages.write(json.loads(RECORDS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main(sys.argv[1:])
