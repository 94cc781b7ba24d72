"""`lossval clean` from end to end: the scored table without its bad rows, and everything else as it was."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Outcome, frame

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("valued_once")]

Cli = Callable[..., Outcome]
Score = Callable[..., Path]

RUN = Path("train.lossval")
LABELS, FEATURES, BOTH = (3, 5, 7), (10, 11), (20,)
"""Rows that `mark_suspects` makes suspects of each kind."""


@pytest.fixture
def score(scored: Callable[..., None], quick: tuple[str, ...]) -> Score:
    """Score a table into train.lossval."""

    def call(table: str = "train.csv", *options: str) -> Path:
        scored(table, *(options or ("--val", "val.csv")), *quick, "-q")
        return RUN

    return call


def mark_suspects(run: Path) -> None:
    """Write into the scores that LABELS, FEATURES and BOTH are suspects, and that LABELS have another label."""
    path = run / "scores.csv"
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows, names = list(reader), list(reader.fieldnames or ())
    for row in rows:
        i, other = int(row["row"]), {"yes": "no", "no": "yes"}
        kinds = {"label": LABELS, "features": FEATURES, "label+features": BOTH}
        row["suspect"] = next((kind for kind, marked in kinds.items() if i in marked), "")
        row["noise_probability"] = str({3: 0.95, 5: 0.85, 7: 0.6}.get(i, 0.9 if row["suspect"] else 0.1))
        row["predicted"] = other[row["label"]] if i in (*LABELS, *BOTH) else row["label"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def lines(path: str | Path) -> list[bytes]:
    return Path(path).read_bytes().splitlines(keepends=True)


def without(records: list[bytes], rows: tuple[int, ...]) -> list[bytes]:
    """Header and records, less some 0-based rows."""
    return [record for i, record in enumerate(records) if i - 1 not in rows]


def test_what_is_dropped_and_relabelled(cli: Cli, score: Score) -> None:
    mark_suspects(score())
    before = lines("train.csv")
    for choice, gone in {
        "suspects": (*LABELS, *FEATURES, *BOTH),
        "label": (*LABELS, *BOTH),
        "features": (*FEATURES, *BOTH),
    }.items():
        outcome = cli("clean", str(RUN), "-o", "c.csv", "--drop", choice, "--removed", "r.csv", "--force")
        assert outcome == Outcome(0, b"", f"c.csv: {60 - len(gone)} of 60 rows kept, {len(gone)} in r.csv\n")
        assert lines("c.csv") == without(before, gone)
        assert lines("r.csv") == without(before, tuple(set(range(60)) - set(gone)))
    outcome = cli("clean", str(RUN), "-o", "-", "--relabel")
    assert outcome.err == "standard output: 60 of 60 rows kept, 2 relabelled\n"
    assert relabelled(before, outcome.raw.splitlines(keepends=True)) == [3, 5]
    outcome = cli("clean", str(RUN), "-o", "-", "--relabel", "--min-probability", "50%", "--drop", "suspects")
    assert outcome.err == "standard output: 57 of 60 rows kept, 3 left out, 3 relabelled\n"
    kept = without(before, (*FEATURES, *BOTH))
    assert relabelled(kept, outcome.raw.splitlines(keepends=True)) == [3, 5, 7]
    outcome = cli("clean", str(RUN), "-o", "-", "--relabel", "--drop", "label", "-q")
    assert outcome.err == ""
    assert relabelled(without(before, (7, *BOTH)), outcome.raw.splitlines(keepends=True)) == [3, 5]


def relabelled(before: list[bytes], after: list[bytes]) -> list[int]:
    """Rows whose label was turned round, and nothing else about them."""
    turned = []
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        if old != new:
            head, label = old.rstrip(b"\n").rsplit(b",", 1)
            assert new == head + b"," + {b"yes": b"no", b"no": b"yes"}[label] + b"\n"
            turned.append(i - 1)
    return turned


@pytest.mark.parametrize("options", [("--val", "val.csv"), ("--removal", "off")], ids=["val", "held out"])
def test_the_lowest_and_weights(cli: Cli, score: Score, options: tuple[str]) -> None:
    scores = pd.read_csv(score("train.csv", *options) / "scores.csv")
    for text, gone in (("lowest:10%", 6), ("lowest:4", 4)):
        arguments = ("--drop", text, "--add-weights", "my weight", "--force")
        outcome = cli("clean", str(RUN), "-o", "c.csv", *arguments)
        assert outcome.err == f"c.csv: {60 - gone} of 60 rows kept, {gone} left out, weights in column my weight\n"
        found, given = pd.read_csv("c.csv"), pd.read_csv("train.csv")
        left = scores[gone:].sort_values("row")
        pd.testing.assert_frame_equal(found.drop(columns="my weight"), given.iloc[left["row"]].reset_index(drop=True))
        assert found["my weight"].mean() == pytest.approx(1)
        wanted = left["importance"].to_numpy() / left["importance"].mean()
        np.testing.assert_allclose(found["my weight"], wanted)


WRITTEN: Mapping[str, Callable[[pd.DataFrame], bytes]] = {
    "plain": lambda table: table.to_csv(index=False).encode(),
    "CRLF and a mark": lambda table: b"\xef\xbb\xbf" + table.to_csv(index=False, lineterminator="\r\n").encode(),
    "semicolons, decimal commas": lambda table: table.to_csv(index=False, sep=";", decimal=",").encode(),
    "all quoted": lambda table: table.to_csv(index=False, quoting=csv.QUOTE_ALL).encode(),
    "no last break": lambda table: table.to_csv(index=False).encode().rstrip(b"\n"),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_a_csv_file_stays_as_it_is_written(cli: Cli, score: Score, way: str) -> None:
    """Notes hold quotes, line breaks and delimiters; sizes are missing here and there."""
    table = frame()
    notes = ['said "no"', "two\nlines", "a,b;c", "", "漢字", "'quoted'", " blanks "]
    table.insert(2, "note", [f"{notes[row % 7]}{row % 3}" for row in range(60)])
    table.loc[::9, "size"] = np.nan
    content = WRITTEN[way](table)
    Path("train.csv").write_bytes(content)
    scores = pd.read_csv(score("train.csv", "--id", "customer", "--removal", "off") / "scores.csv")
    outcome = cli("clean", str(RUN), "-o", "kept.csv", "--removed", "removed.csv", "--drop", "lowest:30%")
    assert outcome.code == 0, outcome.err
    kept, removed = Path("kept.csv").read_bytes(), Path("removed.csv").read_bytes()
    text = content.removeprefix(b"\xef\xbb\xbf")
    records = {int(line): row for line, row in zip(scores["line"], scores["row"], strict=True)}
    split = text.splitlines(keepends=True)
    starts = [sum(map(len, split[: line - 1])) for line in sorted(records)]
    spans = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    head = content[: len(content) - len(text) + starts[0]]
    gone = set(scores["row"][:18])
    assert kept == head + b"".join(span for row, span in enumerate(spans) if row not in gone)
    assert removed == head + b"".join(span for row, span in enumerate(spans) if row in gone)


def test_packed_files(cli: Cli, score: Score) -> None:
    content = Path("train.csv").read_bytes()
    Path("train.csv.gz").write_bytes(gzip.compress(content))
    score("train.csv.gz")
    drop = ("--drop", "lowest:1")
    assert cli("clean", str(RUN), "-o", "c.csv.gz", "--removed", "r.csv", *drop).code == 0
    kept, removed = gzip.decompress(Path("c.csv.gz").read_bytes()), Path("r.csv").read_bytes()
    assert sorted((kept + removed).splitlines()) == sorted([content.splitlines()[0], *content.splitlines()])
    assert cli("clean", str(RUN), "-o", "again.csv.gz", *drop).code == 0
    assert Path("again.csv.gz").read_bytes() == Path("c.csv.gz").read_bytes()
    assert cli("clean", str(RUN), "-o", "-", *drop).raw == kept


def test_parquet_stays_parquet(cli: Cli, score: Score) -> None:
    run = score("train.parquet", "--removal", "off")
    rows = pq.read_table(run / "scores.parquet")["row"].to_pylist()
    outcome = cli("clean", str(run), "-o", "c.parquet", "--removed", "r.pq", "--drop", "lowest:10%", "--relabel")
    assert outcome.code == 0, outcome.err
    given, kept, removed = (pq.read_table(name) for name in ("train.parquet", "c.parquet", "r.pq"))
    assert kept.schema.equals(given.schema)
    assert removed.equals(given.take(sorted(rows[:6])))
    assert kept.drop_columns("label").equals(given.take(sorted(rows[6:])).drop_columns("label"))
    streamed = cli("clean", str(run), "-o", "-", "--drop", "lowest:10%")
    assert pq.read_table(io.BytesIO(streamed.raw)).num_rows == 54
    shown = cli("clean", str(run), "-o", "-", "--drop", "lowest:10%", terminal=True)
    assert shown.err.startswith("error: Parquet cannot be shown on a terminal")


def test_numbers_get_the_number_the_model_predicts(cli: Cli, score: Score) -> None:
    rng = np.random.default_rng(0)
    for name, rows in (("train.csv", 80), ("val.csv", 40)):
        table = pd.DataFrame(rng.normal(size=(rows, 2)).round(3), columns=["a", "b"])
        table["price"] = (50 + 10 * table["a"]).round(1)
        if name == "train.csv":
            table.loc[:5, "price"] += 400
        table.to_csv(name, index=False)
    run = score("train.csv", "--val", "val.csv", "--label", "price")
    outcome = cli("clean", str(run), "-o", "c.csv", "--relabel", "--min-probability", "0")
    found, given = pd.read_csv("c.csv"), pd.read_csv("train.csv")
    scores = pd.read_csv(run / "scores.csv").sort_values("row").reset_index(drop=True)
    low, high = given["price"].min(), given["price"].max()
    wanted = scores["predicted"].clip(low, high).round(1)
    changed = ((scores["suspect"] == "label") & (wanted != given["price"])).to_numpy()
    assert changed.sum() > 0
    assert outcome.err == f"c.csv: 80 of 80 rows kept, {changed.sum()} relabelled\n"
    assert (found["price"] != given["price"]).to_numpy().tolist() == changed.tolist()
    np.testing.assert_allclose(found["price"][changed], wanted[changed], atol=1e-9)


def test_a_redacted_run_cleans_as_well(cli: Cli, score: Score) -> None:
    score("train.csv", "--val", "val.csv", "--redact")
    assert cli("clean", str(RUN), "-o", "c.csv", "--drop", "lowest:5%", "-q").code == 0
    assert set(lines("c.csv")) < set(lines("train.csv"))


def test_names_and_labels_that_were_made_safe_are_found(cli: Cli, score: Score) -> None:
    table = frame().rename(columns={"label": "=label", "customer": "@customer"})
    table["=label"] = "=" + table["=label"]
    table.to_csv("train.csv", index=False)
    run = score("train.csv", "--label", "=label", "--id", "@customer", "--safe-csv", "--removal", "off")
    path = run / "scores.csv"
    scores = pd.read_csv(path)
    assert {"'=label", "'@customer"} < set(scores)
    scores["suspect"], scores["noise_probability"] = np.where(scores["row"] == 4, "label", None), 0.9
    scores.loc[scores["row"] == 4, "predicted"] = "'=no" if table["=label"][4] == "=yes" else "'=yes"
    scores.to_csv(path, index=False)
    outcome = cli("clean", str(run), "-o", "c.csv", "--relabel")
    assert outcome.err == "c.csv: 60 of 60 rows kept, 1 relabelled\n"
    found = pd.read_csv("c.csv")
    assert np.flatnonzero(found["=label"] != table["=label"]).tolist() == [4]
    assert set(found["=label"]) == {"=yes", "=no"}


def test_a_class_that_loses_all_its_rows_is_reported(cli: Cli, score: Score) -> None:
    mark_suspects(score())
    path = RUN / "scores.csv"
    scores = pd.read_csv(path, keep_default_na=False)
    scores.loc[scores["label"] == "no", "suspect"] = "features"
    scores.to_csv(path, index=False)
    outcome = cli("clean", str(RUN), "-o", "c.csv", "--drop", "features")
    assert outcome.err.splitlines()[1] == "no row is left with the label 'no'"


def test_what_makes_no_sense_is_refused(cli: Cli, score: Score) -> None:
    score()
    content = Path("train.csv").read_bytes()
    os.link("train.csv", "linked.csv")
    Path("there.csv").write_text("mine")
    drop = ("--drop", "suspects")
    for arguments, message in (
        (
            ("-o", "c.csv"),
            "nothing to do: give --decisions, --drop suspects, label, features or lowest:5%, --relabel, or "
            "--add-weights COLUMN",
        ),
        (drop, "Missing option '-o' / '--output'"),
        (("-o", "c.csv", "--min-probability", "1", *drop), "--min-probability goes with --relabel"),
        (
            ("-o", "c.csv", "--relabel", "--min-probability", "80"),
            "--min-probability must be a share from 0% to 100%, not '80'",
        ),
        (
            ("-o", "c.csv", "--relabel", "--removed", "r.csv"),
            "--removed goes with --drop or --decisions: nothing is left out without one of them",
        ),
        (
            ("-o", "c.csv", "--drop", "worst"),
            "--drop 'worst': choose suspects, label, features or lowest:5%",
        ),
        (
            ("-o", "c.csv", "--drop", "lowest:100%"),
            "--drop 'lowest:100%': give a share between 0% and 100%, or a whole number of rows",
        ),
        (("-o", "c.csv", "--drop", "lowest:60"), "no row would be left of 60 rows: drop fewer"),
        (("-o", "there.csv", *drop), "there.csv exists; name another file with -o, or add --force"),
        (("-o", "train.csv", "--force", *drop), "train.csv is the table that was scored; name another file"),
        (
            ("-o", "linked.csv", "--force", *drop),
            "linked.csv is the table that was scored; name another file",
        ),
        (
            ("-o", "train.lossval/scores.csv", "--force", *drop),
            "train.lossval/scores.csv belongs to the run; name another file",
        ),
        (
            ("-o", "c.csv", "--removed", "./c.csv", *drop),
            "-o and --removed name the same file: give each its own",
        ),
        (
            ("-o", "c.parquet", *drop),
            "c.parquet: train.csv is CSV and is written as such: name a .csv or .csv.gz file",
        ),
        (
            ("-o", "c.csv", "--add-weights", "age"),
            "--add-weights age: the table has a column of that name; choose another",
        ),
        (("-o", "c.csv", "--add-weights", " "), "--add-weights ' ' is not a column name"),
    ):
        assert cli("clean", str(RUN), *arguments) == Outcome(2, b"", f"error: {message}\n")
    assert Path("train.csv").read_bytes() == content
    assert Path("there.csv").read_text() == "mine"
    assert not Path("c.csv").exists()


def test_the_table_must_be_the_one_that_was_scored(cli: Cli, score: Score) -> None:
    run = score()
    clean = ("clean", str(run), "-o", "c.csv", "--drop", "lowest:5%", "-q")
    with Path("train.csv").open("ab") as file:
        file.write(b"c0-60,1,30,yes\n")
    assert cli(*clean).err == (
        "error: train.csv is not the table that train.lossval was made on (its SHA-256 differs): score it "
        "again, or name the right table with --data FILE\n"
    )
    Path("train.csv").unlink()
    assert cli(*clean).err == ("error: train.csv does not exist any more: name the table with --data FILE\n")
    frame().to_csv("moved.csv", index=False)
    assert cli(*clean, "--data", "moved.csv").code == 0
    outcome = cli(*clean, "--data", "nothing.here", "--force")
    assert outcome.err == "error: nothing.here does not exist\n"
    assert not cli("clean", "none", *clean[2:]).out


def test_a_run_on_standard_input(cli: Cli, quick: tuple[str, ...]) -> None:
    content = Path("train.csv").read_bytes()
    assert cli("score", "-", "--val", "val.csv", *quick, "-q", stdin=content).code == 0
    clean = ("clean", "stdin.lossval", "-o", "c.csv", "--drop", "lowest:5%", "-q")
    assert cli(*clean).err == ("error: stdin.lossval was made on standard input: name the table with --data FILE\n")
    assert cli(*clean, "--data", "train.csv").code == 0


def test_a_table_that_lay_elsewhere_is_found_by_its_name(cli: Cli, quick: tuple[str, ...]) -> None:
    """run.json holds no path that leads up; the same file beside the run is as good."""
    Path("there").mkdir()
    Path("train.csv").rename("there/train.csv")
    Path("here").mkdir()
    assert cli("score", "there/train.csv", "-o", "here/train.lossval", *quick, "-q").code == 0
    clean = ("clean", "here/train.lossval", "-o", "c.csv", "--drop", "lowest:5%", "-q", "--force")
    assert cli(*clean).err == (
        "error: here/train.lossval was made on train.csv in another directory: name the table with --data FILE\n"
    )
    assert cli(*clean, "--data", "there/train.csv").code == 0
    shutil.copy("there/train.csv", "here/train.csv")
    assert cli(*clean) == Outcome(0, b"", "")
    assert len(lines("c.csv")) == 58
    with Path("here/train.csv").open("ab") as file:
        file.write(b"c0-60,1,30,yes\n")
    assert "is not the table that here/train.lossval was made on" in cli(*clean).err


def test_a_run_on_several_files_is_written_as_one(cli: Cli, quick: tuple[str, ...]) -> None:
    """With the column that their directories name, and a list that no model reads."""
    tables = [frame(40, seed=part).assign(tags=[["a", str(row)] for row in range(40)]) for part in range(2)]
    for part, table in enumerate(tables):
        Path(f"parts/part={part}").mkdir(parents=True)
        table.to_parquet(f"parts/part={part}/rows.parquet")
    assert cli("score", "parts", *quick, "-q").code == 0
    assert cli("score", "parts/*/*.parquet", "-o", "globbed.lossval", *quick, "-q").code == 0
    for run in ("parts.lossval", "globbed.lossval"):
        outcome = cli("clean", run, "-o", "c.parquet", "--drop", "lowest:4", "--force")
        assert outcome == Outcome(0, b"", "c.parquet: 76 of 80 rows kept, 4 left out\n")
        kept = np.sort(pd.read_parquet(f"{run}/scores.parquet")["row"][4:])
        whole = pd.concat([table.assign(part=str(i)) for i, table in enumerate(tables)], ignore_index=True)
        found = pq.read_table("c.parquet").to_pandas()
        pd.testing.assert_frame_equal(found.astype(whole.dtypes), whole.iloc[kept].reset_index(drop=True))
    clean = ("clean", "parts.lossval", "--drop", "lowest:4", "-o")
    assert cli(*clean, "c.csv").err == "error: c.csv: parts is Parquet and is written as such: name a .parquet file\n"
    assert cli(*clean, "parts/c.parquet").err == (
        "error: parts/c.parquet lies in the table that was scored; name another file\n"
    )
    assert cli(*clean, "parts/part=0/rows.parquet", "--force").err == (
        "error: parts/part=0/rows.parquet is the table that was scored; name another file\n"
    )


def test_json_and_arrow_are_written_as_they_were(cli: Cli, quick: tuple[str, ...]) -> None:
    table = frame()
    lines = [json.dumps(row) + "\r\n" for row in table.to_dict("records")]
    Path("rows.jsonl").write_text("".join(lines), newline="")
    with pa.OSFile("rows.arrow", "wb") as file, pa.ipc.new_file(file, pa.table(table).schema) as sink:
        sink.write_table(pa.table(table))
    for name, run in (("rows.jsonl", "json.lossval"), ("rows.arrow", "arrow.lossval")):
        assert cli("score", name, "-o", run, *quick, "-q").code == 0
    clean = ("--drop", "lowest:4", "--removed")
    assert cli("clean", "json.lossval", "-o", "c.jsonl", *clean, "r.jsonl").code == 0
    kept, removed = (Path(name).read_bytes().decode().splitlines(keepends=True) for name in ("c.jsonl", "r.jsonl"))
    assert [line for line in lines if line in kept] == kept and len(kept) == len(lines) - 4
    assert sorted(kept + removed) == sorted(lines)
    assert cli("clean", "arrow.lossval", "-o", "c.arrow", *clean, "r.arrow").code == 0
    back = pa.ipc.open_file("c.arrow").read_all()
    assert back.schema == pa.table(table).schema and back.num_rows == len(table) - 4
    assert cli("clean", "json.lossval", "-o", "c.csv", *clean, "r.jsonl", "--force").err == (
        "error: c.csv: rows.jsonl is JSON and is written as such: name a .jsonl or .jsonl.gz file\n"
    )


def test_several_text_files_are_written_as_one(cli: Cli, quick: tuple[str, ...]) -> None:
    frames = [frame(40, seed=part) for part in range(2)]
    Path("parts").mkdir()
    for part, table in enumerate(frames):
        table.to_csv(f"parts/{part}.csv", index=False)
    assert cli("score", "parts/*.csv", "-o", "run.lossval", *quick, "-q").code == 0
    outcome = cli("clean", "run.lossval", "-o", "c.csv", "--drop", "lowest:4", "--add-weights", "w")
    assert outcome == Outcome(0, b"", "c.csv: 76 of 80 rows kept, 4 left out, weights in column w\n")
    lines = [line for part in range(2) for line in Path(f"parts/{part}.csv").read_text().splitlines()[1:]]
    kept = Path("c.csv").read_text().splitlines()
    assert [line.rpartition(",")[0] for line in kept[1:]] == [line for line in lines if any(line in k for k in kept)]
    frames[1][frames[1].columns[::-1]].to_csv("parts/1.csv", index=False)
    assert cli("score", "parts/*.csv", "-o", "run.lossval", *quick, "-q", "--force").code == 0
    assert cli("clean", "run.lossval", "-o", "d.csv", "--drop", "lowest:4").err == (
        "error: parts/*.csv cannot be written as one file: parts/1.csv has its columns in another order than "
        "parts/0.csv; save the table as Parquet, and score that\n"
    )


def test_the_published_method_ranks_only(cli: Cli, tables: Path) -> None:
    assert cli("score", "train.csv", "--preset", "paper", "--set", "epochs=1", "--removal", "off", "-q").code == 0
    clean = ("clean", str(RUN), "-o", "c.csv", "--force")
    for choice in (("--drop", "suspects"), ("--drop", "label"), ("--relabel",)):
        assert cli(*clean, *choice).err == (
            "error: the run does not say which rows are suspect (preset paper only ranks them): use --drop "
            "lowest:5%, or score with another preset\n"
        )
    assert cli(*clean, "--drop", "lowest:5%").code == 0
