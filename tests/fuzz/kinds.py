"""The five kinds of cases: what is generated, and which command meets it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from lossval_cli.cli import main
from tests.fuzz.commands import COMMANDS, SHORT, option_lines, run_files, toml_files
from tests.fuzz.running import Case, inside
from tests.fuzz.tables import csv_tables, parquet_tables

FAST = tuple(part for key, value in SHORT.items() for part in ("--set", f"{key}={value}"))


def base_files(place: Path) -> dict[str, bytes]:
    """Good tables and a run directory to begin with; `place` is an empty directory to make them in."""
    with inside(place):
        for name, rows in (("train.csv", 24), ("val.csv", 12)):
            rng = np.random.default_rng(rows)
            table = pd.DataFrame(
                {"customer": [f"k{row}" for row in range(rows)], "size": rng.normal(size=rows)}
            )
            table["age"] = rng.integers(18, 80, rows)
            table["label"] = np.where(table["size"] > 0, "yes", "no")
            table.to_csv(name, index=False)
        table.to_parquet("t.parquet")
        if main(["score", "train.csv", "-q", "-o", "base.lossval", "--removal", "off", *FAST]):
            raise RuntimeError("the good tables cannot be scored")
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def cases(kind: str, base: dict[str, bytes]) -> st.SearchStrategy[Case]:
    """Cases of one kind; `base` is as `base_files` makes it."""
    return {"csv": _csv, "parquet": _parquet, "toml": _toml, "options": _options, "runs": _runs}[kind](base)


KINDS = ("csv", "parquet", "toml", "options", "runs")


@st.composite
def _table_command(draw: st.DrawFn, name: str, others: list[str]) -> tuple[str, ...]:
    """Mostly validate; else scores to standard output or into a run directory."""
    val = ("--val", draw(st.sampled_from(others))) if draw(st.integers(0, 2)) == 0 else ()
    task = (
        ("--task", draw(st.sampled_from(["classification", "regression"])))
        if draw(st.integers(0, 3)) == 0
        else ()
    )
    way = draw(st.integers(0, 19))
    if way > 2:
        return ("validate", name, *val, *task)
    if way > 0:
        form = draw(st.sampled_from(["csv", "jsonl", "parquet"]))
        return ("score", name, *val, *task, "-o", "-", "--format", form, *FAST)
    return (
        "score",
        name,
        *val,
        *task,
        "-o",
        "out",
        "--removal",
        draw(st.sampled_from(["off", "quick"])),
        *FAST,
    )


@st.composite
def _csv(draw: st.DrawFn, base: dict[str, bytes]) -> Case:
    files = {"t.csv": draw(csv_tables()), "val.csv": base["val.csv"]}
    if draw(st.integers(0, 9)) == 0:
        files["v.csv"] = draw(csv_tables())
    name = draw(st.sampled_from(["t.csv", "t.csv", "t.csv", "-"]))
    arguments = draw(_table_command(name, ["t.csv", "val.csv", "v.csv"]))
    return Case(arguments, files, files["t.csv"])


@st.composite
def _parquet(draw: st.DrawFn, base: dict[str, bytes]) -> Case:
    files = {"t.parquet": draw(parquet_tables()), "val.csv": base["val.csv"]}
    name = "t.parquet"
    if draw(st.integers(0, 9)) == 0:
        files = {
            "d/a=1/x.parquet": files["t.parquet"],
            "d/a=%32/y.parquet": draw(parquet_tables(damage=False)),
        }
        name = "d"
    return Case(draw(_table_command(name, [name, "val.csv"])), files)


@st.composite
def _toml(draw: st.DrawFn, base: dict[str, bytes]) -> Case:
    files = {**base, "s.toml": draw(toml_files())}
    way = draw(st.integers(0, 9))
    if way == 0:
        return Case(("score", "train.csv", "--config", "s.toml", "-o", "-", *FAST), files)
    if way == 1:
        files["pyproject.toml"] = b"[tool.lossval]\n" + files["s.toml"].replace(
            b"[check]", b"[tool.lossval.check]"
        )
        return Case(("check", "base.lossval"), files)
    if way < 5:
        return Case(
            ("check", "base.lossval", "--config", "s.toml", *(("--show-settings",) * (way == 4))), files
        )
    return Case(("validate", "train.csv", "--config", "s.toml"), files)


@st.composite
def _options(draw: st.DrawFn, base: dict[str, bytes]) -> Case:
    arguments = draw(option_lines())
    stdin = draw(st.sampled_from([b"", base["train.csv"], b"\0"]))
    return Case(tuple(arguments), {**base, "s.toml": b"seed = 1\n"}, stdin)


@st.composite
def _runs(draw: st.DrawFn, base: dict[str, bytes]) -> Case:
    whole = {name: content for name, content in base.items() if name.startswith("base.lossval/")}
    changed = draw(run_files(whole))
    files = base | {name.replace("base", "other"): content for name, content in changed.items()}
    lines = [
        ("check", "other.lossval"),
        (
            "check",
            "base.lossval",
            "--baseline",
            "other.lossval",
            "--new-rows-only",
            "--max-suspect-increase",
            "1%",
        ),
        ("check", "other.lossval", "--max-class-suspects", "yes=5%", "--output-format", "sarif"),
        ("diff", "base.lossval", "other.lossval"),
        ("diff", "other.lossval", "base.lossval"),
    ]
    if "clean" in COMMANDS:
        lines.append(("clean", "other.lossval", "-o", "cleaned.csv"))
    if "report" in COMMANDS:
        lines.append(("report", "other.lossval", "-o", draw(st.sampled_from(["-", "r.html", "r.json"]))))
    return Case(draw(st.sampled_from(lines)), files)
