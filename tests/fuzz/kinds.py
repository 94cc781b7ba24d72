"""The kinds of cases: what is generated, and which command meets it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from lossval_cli.cli import main
from tests.fuzz.bombs import BOMBS, bomb
from tests.fuzz.commands import COMMANDS, SHORT, option_lines, run_files, toml_files
from tests.fuzz.running import Case, Change, inside
from tests.fuzz.tables import arrow_tables, csv_tables, parquet_tables

FAST = tuple(part for key, value in SHORT.items() for part in ("--set", f"{key}={value}"))


def base_files(directory: Path) -> dict[str, bytes]:
    """Good tables and a run directory to begin with; `directory` is an empty directory to make them in."""
    with inside(directory):
        for name, rows in (("train.csv", 24), ("val.csv", 12)):
            rng = np.random.default_rng(rows)
            table = pd.DataFrame({"customer": [f"k{row}" for row in range(rows)], "size": rng.normal(size=rows)})
            table["age"] = rng.integers(18, 80, rows)
            table["label"] = np.where(table["size"] > 0, "yes", "no")
            table.to_csv(name, index=False)
        table.to_parquet("t.parquet")
        if main(["score", "train.csv", "-q", "-o", "base.lossval", "--removal", "off", *FAST]):
            raise RuntimeError("the good tables cannot be scored")
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def cases(kind: str, base: dict[str, bytes]) -> st.SearchStrategy[list[Case]]:
    """Cases of one kind, some lines for each thing generated; `base` is as `base_files` makes it."""
    kinds = {"csv": _csv, "parquet": _parquet, "streamed": _streamed, "toml": _toml}
    return (kinds | {"options": _options, "runs": _runs})[kind](base)


KINDS = ("csv", "parquet", "streamed", "toml", "options", "runs")

TASKS = ("classification", "regression")

Line = tuple[str, ...]


@st.composite
def _score_line(draw: st.DrawFn, name: str) -> Line:
    """Scores to standard output, or seldom into a run directory with a study of removal."""
    task = ("--task", draw(st.sampled_from(TASKS)))
    line = ("score", name, *(task if draw(st.booleans()) else ()), *FAST)
    if draw(st.integers(0, 9)):
        return (*line, "-o", "-", "--format", draw(st.sampled_from(["csv", "jsonl", "parquet"])))
    return (*line, "-o", "out", "--removal", draw(st.sampled_from(["off", "quick"])))


@st.composite
def _table_lines(draw: st.DrawFn, name: str) -> list[Line]:
    """A table as training rows for either task, as validation rows of itself, and now and then scored."""
    lines: list[Line] = [
        ("validate", name),
        (
            "validate",
            name,
            "--val",
            "val.csv",
            "--task",
            draw(st.sampled_from(TASKS)),
        ),
        ("validate", "train.csv", "--val", name),
    ]
    if draw(st.integers(0, 2)) == 0:
        lines.append(draw(_score_line(name)))
    return lines


@st.composite
def _csv(draw: st.DrawFn, base: dict[str, bytes]) -> list[Case]:
    files = {"t.csv": draw(csv_tables()), "val.csv": base["val.csv"], "train.csv": base["train.csv"]}
    name = draw(st.sampled_from(["t.csv", "t.csv", "t.csv", "-"]))
    return [Case(line, files, files["t.csv"]) for line in draw(_table_lines(name))]


@st.composite
def _parquet(draw: st.DrawFn, base: dict[str, bytes]) -> list[Case]:
    files = {"t.parquet": draw(parquet_tables()), "val.csv": base["val.csv"], "train.csv": base["train.csv"]}
    name = "t.parquet"
    if draw(st.integers(0, 9)) == 0:
        files["d/a=1/x.parquet"] = files["t.parquet"]
        files["d/a=%32/y.parquet"] = draw(parquet_tables(damage=False))
        name = "d"
    return [Case(line, files) for line in draw(_table_lines(name))]


@st.composite
def _streamed(draw: st.DrawFn, base: dict[str, bytes]) -> list[Case]:
    """Parquet and Arrow files that are read in parts, now and then changed between two of them, or bombs."""
    tables = st.one_of(parquet_tables(), arrow_tables())
    data = draw(st.sampled_from(sorted(BOMBS)).map(bomb) if draw(st.integers(0, 29)) == 0 else tables)
    files = {"t.data": data, "val.csv": base["val.csv"]}
    name, change = "t.data", None
    way = draw(st.integers(0, 9))
    if way == 0:
        files["d/a=1/x.parquet"] = data
        files["d/a=%32/y.parquet"] = draw(st.one_of(parquet_tables(damage=False), st.just(data)))
        name = "d"
    elif way < 3:
        changed = draw(st.one_of(st.just(data[: len(data) // 2]), st.just(b""), tables))
        change = Change(draw(st.integers(2, 9)), name, changed)
    line = ["score", name, *FAST, "-q", "-o", draw(st.sampled_from(["-", "-", "-", "out", "out.csv"]))]
    line += ["--removal", "quick"] if line[-1] == "out" else []
    for option in ("--label", "--id", "--exclude"):
        line += [option, draw(st.sampled_from(["c0", "c1", "a"]))] if draw(st.integers(0, 4)) == 0 else []
    line += ["--val", "val.csv"] if draw(st.integers(0, 7)) == 0 else []
    line += ["--task", draw(st.sampled_from(TASKS))] if draw(st.integers(0, 2)) == 0 else []
    return [Case(tuple(line), files, stays=True, change=change)]


@st.composite
def _toml(draw: st.DrawFn, base: dict[str, bytes]) -> list[Case]:
    files = {**base, "s.toml": draw(toml_files())}
    project = b"[tool.lossval]\n" + files["s.toml"].replace(b"[check]", b"[tool.lossval.check]")
    lines: list[Line] = [
        ("validate", "train.csv", "--config", "s.toml"),
        ("check", "base.lossval", "--config", "s.toml"),
        ("check", "base.lossval", "--config", "s.toml", "--show-settings"),
    ]
    if draw(st.integers(0, 5)) == 0:
        lines.append(("score", "train.csv", "--config", "s.toml", "-o", "-", *FAST))
    return [
        Case(("check", "base.lossval"), files | {"pyproject.toml": project}),
        *(Case(line, files) for line in lines),
    ]


@st.composite
def _options(draw: st.DrawFn, base: dict[str, bytes]) -> list[Case]:
    stdin = draw(st.sampled_from([b"", base["train.csv"], b"\0"]))
    files = {**base, "s.toml": b"seed = 1\n"}
    return [Case(tuple(draw(option_lines())), files, stdin)]


@st.composite
def _runs(draw: st.DrawFn, base: dict[str, bytes]) -> list[Case]:
    whole = {name: content for name, content in base.items() if name.startswith("base.lossval/")}
    changed = draw(run_files(whole))
    files = base | {name.replace("base", "other"): content for name, content in changed.items()}
    new_rows = ("--baseline", "other.lossval", "--new-rows-only", "--max-suspect-increase", "1%")
    lines: list[Line] = [
        ("check", "other.lossval"),
        ("check", "base.lossval", *new_rows),
        ("check", "other.lossval", "--max-class-suspects", "yes=5%", "--output-format", "sarif"),
        ("diff", "base.lossval", "other.lossval"),
        ("diff", "other.lossval", "base.lossval"),
    ]
    if "clean" in COMMANDS:
        lines.append(("clean", "other.lossval", "-o", "cleaned.csv"))
    if "report" in COMMANDS:
        lines.append(("report", "other.lossval", "-o", draw(st.sampled_from(["-", "r.html", "r.json"]))))
    return [Case(line, files) for line in lines]
