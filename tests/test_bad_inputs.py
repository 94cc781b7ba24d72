"""Every kind of bad input: one line on standard error, exit 2, nothing written, no traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import Outcome, frame

GOOD = "train.csv"


def text(name: str, content: str | bytes) -> Callable[[], None]:
    """Write a file in the current directory."""
    return lambda: Path(name).write_bytes(content.encode() if isinstance(content, str) else content) and None


def changed(change: Callable[[pd.DataFrame], pd.DataFrame | None], source: str = GOOD) -> Callable[[], None]:
    """Write bad.csv: a good table after `change`."""

    def make() -> None:
        table = pd.read_csv(source, dtype=str, keep_default_na=False)
        result = change(table)
        (table if result is None else result).to_csv("bad.csv", index=False)

    return make


def cell(row: int, column: str, value: str) -> Callable[[], None]:
    return changed(lambda table: table.__setitem__(column, table[column].where(table.index != row, value)))


def column(name: str, value: str) -> Callable[[], None]:
    return changed(lambda table: table.assign(**{name: value}))


def cut_parquet() -> None:
    Path("cut.parquet").write_bytes(Path("train.parquet").read_bytes()[:-100])


def twice() -> None:
    table = pd.read_csv(GOOD)
    table.columns = ["customer", "size", "size", "label"]
    table.to_csv("bad.csv", index=False)


def nothing() -> None:
    pass


def folder() -> None:
    os.mkdir("folder")


def foreign_directory() -> None:
    os.mkdir("mine")
    Path("mine/thesis.tex").touch()


BAD = ("bad.csv", "--val", "val.csv")
CASES: dict[str, tuple[Callable[[], None], tuple[str, ...], str]] = {
    "missing file": (nothing, ("trian.csv",), "trian.csv does not exist; did you mean train.csv?"),
    "missing validation file": (
        nothing,
        (GOOD, "--val", "nothing-like-it"),
        "nothing-like-it does not exist",
    ),
    "empty file": (text("bad.csv", ""), BAD, "bad.csv is empty"),
    "blank file": (text("bad.csv", "\n \n"), BAD, "bad.csv is empty"),
    "header only": (text("bad.csv", "a,label\n"), BAD, "bad.csv has a header and no rows"),
    "too few rows": (
        text("bad.csv", "a,label\n" + "1,x\n2,y\n" * 4),
        BAD,
        "bad.csv has 8 data rows: at least 10 are needed",
    ),
    "ragged row": (
        text("bad.csv", "a,b,label\n" + "1,2,x\n" * 12 + "1,2\n"),
        BAD,
        "bad.csv line 14: 2 fields, but the header has 3 (separated by commas)",
    ),
    "open quote": (
        text("bad.csv", 'a,label\n1,x\n2,"y\n' + "1,x\n" * 12),
        BAD,
        "bad.csv line 3: a quoted field opens here and is never closed",
    ),
    "not UTF-8": (
        text("bad.csv", b"a,label\n1,x\n2,caf\xe9\n"),
        BAD,
        (
            "bad.csv line 3: byte 0xe9 (offset 17) is not UTF-8; convert the file, for example "
            "with iconv -f windows-1252 -t utf-8"
        ),
    ),
    "UTF-16": (
        text("bad.csv", "a,label\n1,x\n".encode("utf-16")),
        BAD,
        "bad.csv is UTF-16 text, not CSV or Parquet; save it as UTF-8 CSV",
    ),
    "zero byte": (
        text("bad.csv", b"a,label\n1,\0\n"),
        BAD,
        "bad.csv is not text: it holds a zero byte at byte 10; save it as UTF-8 CSV",
    ),
    "Excel workbook": (
        text("bad.xlsx", b"PK\x03\x04 and so on"),
        ("bad.xlsx",),
        ("bad.xlsx is a zip archive or an Excel workbook, not CSV or Parquet; save it as UTF-8 CSV"),
    ),
    "damaged gzip": (
        text("bad.csv.gz", b"\x1f\x8b\x08 no"),
        ("bad.csv.gz",),
        "bad.csv.gz is a gzip file that is damaged or cut short",
    ),
    "truncated Parquet": (
        cut_parquet,
        ("cut.parquet",),
        "cut.parquet is not a whole Parquet file; it is damaged or cut short",
    ),
    "text called Parquet": (
        text("bad.parquet", "a,label\n1,2\n"),
        ("bad.parquet",),
        "bad.parquet is not a whole Parquet file; it is damaged or cut short",
    ),
    "directory without Parquet": (
        folder,
        ("folder",),
        "folder is a directory without Parquet files; name a file, or a glob of Parquet files",
    ),
    "glob without files": (nothing, ("part-*.parquet",), "no file matches part-*.parquet"),
    "empty standard input": (nothing, ("-", "--val", "val.csv"), "<stdin> is empty"),
    "standard input twice": (
        nothing,
        ("-", "--val", "-"),
        "only one table can be read from standard input (-)",
    ),
    "duplicate column names": (twice, BAD, "bad.csv has 1 column name more than once: size; rename them"),
    "label column absent": (
        nothing,
        (GOOD, "--label", "lable"),
        ("--label lable: train.csv has no such column; did you mean label? its columns are customer, size, age, label"),
    ),
    "id column absent": (
        nothing,
        (GOOD, "--id", "custommer"),
        (
            "--id custommer: train.csv has no such column; did you mean customer? its columns are "
            "customer, size, age, label"
        ),
    ),
    "excluded column absent": (
        nothing,
        (GOOD, "--exclude", "nothing"),
        ("--exclude nothing: train.csv has no such column; its columns are customer, size, age, label"),
    ),
    "label as id": (
        nothing,
        (GOOD, "--label", "label", "--id", "label"),
        "column label is given both as --label and as --id",
    ),
    "no features left": (
        nothing,
        (GOOD, *(f"--exclude={name}" for name in ("customer", "size", "age"))),
        ("train.csv has no feature columns left: label label, ids none, excluded customer, size, age"),
    ),
    "all features constant": (
        changed(lambda table: table.assign(size="1", age="2")),
        BAD,
        (
            "bad.csv: no feature column is left to learn from: column age is not used: every row "
            "has the same value, '2'; column size is not used: every row has the same value, '1'"
        ),
    ),
    "all labels missing": (column("label", ""), BAD, "bad.csv: label column label is empty in every row"),
    "one label missing": (
        cell(7, "label", ""),
        BAD,
        ("bad.csv line 9, column label: the label is missing (1 such row in all); fill it in or remove the row"),
    ),
    "one class": (
        column("label", "yes"),
        BAD,
        (
            "bad.csv: label column label has one class only, 'yes': there is nothing to learn; "
            "name another column with --label"
        ),
    ),
    "a class per row": (
        changed(lambda table: table.assign(label=table["customer"])),
        BAD,
        (
            "bad.csv: label column label has 60 different values in 60 rows, too many for classes;"
            " name another column with --label"
        ),
    ),
    "infinite feature": (
        cell(3, "size", "inf"),
        BAD,
        ("bad.csv line 5, column size: 'inf' is not finite; leave the cell empty (missing) or write a number"),
    ),
    "minus infinite feature": (
        cell(4, "size", "-Infinity"),
        BAD,
        ("bad.csv line 6, column size: '-Infinity' is not finite; leave the cell empty (missing) or write a number"),
    ),
    "missing numeric label": (
        changed(lambda table: table.assign(label=["1.5", "nan", *["2.5", "3"] * 29])),
        BAD,
        ("bad.csv line 3, column label: the label is missing (1 such row in all); fill it in or remove the row"),
    ),
    "infinite label": (
        changed(lambda table: table.assign(label=["1.5", "inf", *["2.5", "3"] * 29])),
        BAD,
        "bad.csv line 3, column label: label 'inf' is not finite; correct or remove 1 row",
    ),
    "constant target": (
        column("label", "2.5"),
        BAD,
        (
            "bad.csv: label column label is 2.5 in every row: there is nothing to learn; name "
            "another column with --label"
        ),
    ),
    "words for regression": (
        nothing,
        (GOOD, "--task", "regression"),
        "train.csv line 2, column label: 'no' is not a number",
    ),
    "dates as label": (
        changed(lambda table: table.assign(label=[f"2024-01-{day:02}" for day in range(1, 31)] * 2)),
        BAD,
        ("bad.csv: label column label holds dates; name a label of numbers or classes with --label"),
    ),
    "validation lacks a column": (
        changed(lambda table: table.rename(columns={"size": "sise"})),
        (GOOD, "--val", "bad.csv"),
        "bad.csv lacks 1 column of train.csv: size; it has instead: sise (for size?); to go on without it: "
        "--exclude size",
    ),
    "test lacks the label": (
        changed(lambda table: table.drop(columns="label")),
        (GOOD, "--val", "val.csv", "--test", "bad.csv"),
        "bad.csv lacks 1 column of train.csv: label (the label)",
    ),
    "unseen label in validation": (
        cell(5, "label", "maybe"),
        (GOOD, "--val", "bad.csv"),
        (
            "bad.csv line 7, column label: validation label 'maybe' is in no training row "
            "(training has 'no', 'yes'); correct or remove 1 row"
        ),
    ),
    "word where training has numbers": (
        cell(5, "size", "big"),
        (GOOD, "--val", "bad.csv"),
        "bad.csv line 7, column size: 'big' is not a number",
    ),
    "negative counts": (
        changed(lambda table: table.assign(label=[str(row - 1) for row in range(60)])),
        (*BAD, "--set", "loss=poisson_deviance"),
        (
            "bad.csv: column 'label', row 0 (line 2): -1 is below 0, the least that loss "
            "'poisson_deviance' is defined for; correct the value or choose another loss"
        ),
    ),
    "unknown loss": (
        nothing,
        (GOOD, "--set", "loss=fokal"),
        "loss: there is no loss 'fokal'; did you mean 'focal'?",
    ),
    "loss of the other task": (
        nothing,
        (GOOD, "--set", "loss=huber"),
        (
            "loss: 'huber' is for regression, but the task is classification; use one of "
            "cross_entropy, focal, label_smoothed_cross_entropy"
        ),
    ),
    "unknown setting": (
        nothing,
        (GOOD, "--set", "epoch=3"),
        "setting 'epoch' is unknown: did you mean epochs?",
    ),
    "several settings wrong": (
        nothing,
        (GOOD, "--set", "epochs=0", "--set", "blur=big", "--set", "nix"),
        (
            "--set 'nix' is not of the form key=value; setting epochs must be from 1 to 100,000, "
            "not 0; setting blur must be a number, not 'big'"
        ),
    ),
    "setting twice": (
        nothing,
        (GOOD, "--seed", "1", "--set", "seed=2"),
        "seed is given both with --seed and with --set: leave one out",
    ),
    "unknown task": (
        nothing,
        (GOOD, "--task", "ranking"),
        "setting task must be one of auto, classification, regression, not 'ranking'",
    ),
    "unknown metric": (
        nothing,
        (GOOD, "--metric", "acuracy"),
        (
            "setting metric must be one of accuracy, macro_f1, log_loss, auroc, rmse, mae, r2, not"
            " 'acuracy'; did you mean accuracy?"
        ),
    ),
    "metric of the other task": (
        nothing,
        (GOOD, "--metric", "rmse"),
        ("setting metric rmse is not for classification: use one of accuracy, macro_f1, log_loss, auroc"),
    ),
    "unknown preset": (nothing, (GOOD, "--preset", "fats"), "preset 'fats' is unknown: did you mean fast?"),
    "missing config": (
        nothing,
        (GOOD, "--config", "no.toml"),
        "settings file no.toml: no such file or directory",
    ),
    "broken config": (
        text("bad.toml", "epochs = = 2"),
        (GOOD, "--config", "bad.toml"),
        "settings file bad.toml is not valid TOML: Invalid value (at line 1, column 10)",
    ),
    "unknown device": (
        nothing,
        (GOOD, "--device", "tpu"),
        "device 'tpu' is unknown: use auto, cpu, cuda or cuda:N",
    ),
    "impossible device": (
        nothing,
        (GOOD, "--device", "cuda:99"),
        "device cuda:99 is not available (found no CUDA device): use --device auto or cpu",
    ),
    "seed that is no number": (
        nothing,
        (GOOD, "--seed", "x"),
        "setting seed must be a whole number, not 'x'",
    ),
    "unknown option": (nothing, (GOOD, "--lable", "y"), "unknown option '--lable': did you mean --label?"),
    "unknown format": (
        nothing,
        (GOOD, "-o", "out.xlsx"),
        (
            "-o out.xlsx: scores are written as .csv, .csv.gz, .jsonl, .jsonl.gz or .parquet; a "
            "name without such an ending is a directory"
        ),
    ),
    "formats that contradict": (
        nothing,
        (GOOD, "-o", "out.csv", "--format", "parquet"),
        "-o out.csv and --format parquet contradict each other: leave one out",
    ),
    "output in a missing directory": (
        nothing,
        (GOOD, "-o", "no/out"),
        "no/out cannot be written: no does not exist",
    ),
    "output over a file": (
        text("out", "mine"),
        (GOOD, "-o", "out"),
        "out exists and is not a directory; name another with -o",
    ),
    "output over a table": (
        nothing,
        (GOOD, "-o", "val.csv"),
        "val.csv exists; name another file with -o, or add --force",
    ),
    "output in a directory of the user's": (
        foreign_directory,
        (GOOD, "-o", "mine"),
        (
            "mine exists and was not written by lossval; name another directory with -o, or add "
            "--force to put the results in it"
        ),
    ),
    "output over the current directory": (
        nothing,
        (GOOD, "-o", "."),
        ". is the directory you are in or above it; name another with -o",
    ),
    "columns for a directory": (
        nothing,
        (GOOD, "--columns", "rank"),
        "--columns is for -o FILE or -o -: a run directory holds every row and column",
    ),
    "unknown column to write": (
        nothing,
        (GOOD, "-o", "-", "--columns", "rank,rwo"),
        "--columns rwo: the scores have no such column; did you mean row?",
    ),
    "safe CSV for JSON": (
        nothing,
        (GOOD, "-o", "-", "--format", "jsonl", "--safe-csv"),
        "--safe-csv is about CSV, and the scores are written as jsonl",
    ),
}


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", CASES)
def test_one_line_exit_2_and_nothing_written(
    name: str, cli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    make, arguments, message = CASES[name]
    make()
    before = contents()
    outcome = cli("score", *arguments, "--quiet")
    assert outcome.err == f"error: {message}\n"
    assert outcome.code == 2
    assert outcome.raw == b""
    assert contents() == before


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "-o" not in case[1]])
def test_validate_says_the_same_without_training(name: str, cli: Callable[..., Outcome]) -> None:
    make, arguments, message = CASES[name]
    options = {"--columns", "--seed", "--metric"} & set(arguments)
    if options:
        pytest.skip(f"validate has no {options.pop()}")
    make()
    outcome = cli("validate", *arguments)
    assert (outcome.code, outcome.raw) == (2, b"")
    if "cuda" not in message:
        assert outcome.err == f"error: {message}\n"


def test_odd_names_of_files_and_columns(cli: Callable[..., Outcome], quick: tuple[str, ...]) -> None:
    """Bytes that are no UTF-8 in the name of a part; a new line in --columns."""
    os.mkdir("parts")
    for name in (b"a.parquet", b"b\xff.parquet"):
        frame(30).to_parquet("part", index=False)
        os.rename("part", os.path.join(b"parts", name))
    assert cli("score", "parts", *quick, "-q", "-o", "out").code == 0
    refused = cli("score", "train.csv", *quick, "-q", "-o", "out.csv", "--columns", "rank\rrow")
    assert refused.code in (0, 2) and "internal error" not in refused.err
