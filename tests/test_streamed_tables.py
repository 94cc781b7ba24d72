"""Tables that stay in their files, under attack: bombs, lies, damage, changes, and nowhere to keep rows."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import PYTHON, QUICK, Outcome, frame

import lossval_cli
from lossval_cli.errors import ReadError
from lossval_cli.features import encoded_file
from lossval_cli.tables import streamed
from lossval_cli.tables.files import Source
from lossval_cli.tables.parquet_rewrite import ParquetOriginal
from lossval_cli.tables.table import open_streamed, read_table
from tests.fuzz.bombs import BOMBS, bomb, small_in_footer

Cli = Callable[..., Outcome]
ROOT = str(Path(lossval_cli.__file__).parents[1])
SCORE = ("score", "t.data", "--val", "val.csv", *QUICK, "-q", "-o")

MOST_MIB = 600
"""What meeting all bombs takes above what the imports take."""

MEET = """
import sys
from pathlib import Path
from lossval_cli.cli import main
from tests.fuzz.running import everything_stays
import lossval_cli.pipeline
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) >> 10
before = peak()
codes = [main(["validate", name]) for name in sys.argv[1:]]
with everything_stays():
    codes += [main(["score", name, "-q", "-o", "-"]) for name in sys.argv[1:]]
print(codes, peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@pytest.mark.slow
def test_bombs_take_little_memory_whether_they_are_read_whole_or_in_parts(tmp_path: Path, fork_server: None) -> None:
    for name in BOMBS:
        (tmp_path / name).write_bytes(bomb(name))
    done = subprocess.run(
        [*PYTHON, "-c", MEET, *BOMBS],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    codes, took = done.stdout.strip().rsplit(" ", 1)
    assert codes == str([2] * 2 * len(BOMBS)), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2 * len(BOMBS) and all(line.startswith("error: ") for line in lines)
    assert sum("would grow from" in line for line in lines) >= 2 * len(BOMBS) - 2, done.stderr
    assert int(took) < MOST_MIB


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text.parquet", "rows.parquet", "page.parquet"])
def test_nor_is_a_bomb_read_whole_to_be_cleaned(name: str) -> None:
    with pytest.raises(ReadError, match="would grow from"):
        ParquetOriginal([Source(name, name, bomb(name))], name)


@pytest.mark.usefixtures("tables")
def test_lists_and_records_of_honest_files_are_read_to_be_cleaned() -> None:
    """Of each kind, with missing values, sliced, and in each encoding of text."""
    words = [f"tag {i}" for i in range(40)]
    kinds = {
        "list": pa.array([[word, None] for word in words]),
        "map": pa.array([[("k", word)] for word in words], pa.map_(pa.string(), pa.string())),
        "record": pa.array([{"x": 1, "y": word} for word in words]),
        "two": pa.array([[1.0, 2.0], None] * 20, pa.list_(pa.float32(), 2)),
        "categories": pa.array([["a", "b"]] * 40, pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        "decimals": pa.array([[1], None] * 20, pa.list_(pa.decimal128(10, 2))),
        "nothing": pa.nulls(40, pa.list_(pa.string())),
        "plain": pa.array(words),
    }
    try:
        pq.write_table(pa.table({"two": kinds["two"]}), io.BytesIO())
    except pa.ArrowNotImplementedError:  # older versions of pyarrow write no missing lists of one size
        kinds["two"] = pa.array([[1.0, None]] * 40, pa.list_(pa.float32(), 2))
    table = pa.table(kinds).slice(3, 30)
    for encoding in (None, "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"):
        lines = {"list.list.element": encoding, "plain": encoding}
        options = {"use_dictionary": False, "column_encoding": lines} if encoding else {}
        sink = io.BytesIO()
        pq.write_table(table, sink, row_group_size=7, **options)
        Path("t.parquet").write_bytes(sink.getvalue())
        assert read_table("t.parquet").data["plain"].to_pylist() == table["plain"].to_pylist()
        read = ParquetOriginal([Source("t", "t", sink.getvalue())], "t").table
        assert read.to_pylist() == table.to_pylist()


def test_text_that_is_written_as_what_differs_is_read(tables: Path) -> None:
    """DELTA_BYTE_ARRAY, as Spark and DuckDB may write it; it cannot be read as a dictionary."""
    table = pa.table({"a": [f"name {i}" for i in range(900)], "label": ["yes", "no", "no"] * 300})
    encodings = {"a": "DELTA_BYTE_ARRAY", "label": "PLAIN"}
    pq.write_table(table, "t.data", use_dictionary=False, column_encoding=encodings)
    assert read_table("t.data").data.to_pydict() == table.to_pydict()
    kept = open_streamed("t.data")
    assert kept is not None and kept.take(np.arange(900)).to_pydict() == table.to_pydict()


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_long_rows_are_read_a_few_at_a_time(tables: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    table = pa.table({"a": ["x" * 1_000, "y" * 2_000] * 400, "b": np.arange(800)})
    if suffix == "arrow":
        with pa.ipc.new_file("t.data", table.schema) as file:
            file.write_table(table)
    else:
        pq.write_table(table, "t.data")
    monkeypatch.setattr(streamed, "LARGEST_PIECE", 30_000)
    kept = open_streamed("t.data")
    assert kept is not None
    blocks = list(kept.blocks())
    assert len(blocks) > 50 and max(block.nbytes for _, block in blocks) <= 30_000
    assert [start for start, _ in blocks] == [0, *np.cumsum([len(block) for _, block in blocks])[:-1]]
    assert pa.concat_tables(block for _, block in blocks).to_pydict() == table.to_pydict()


@pytest.mark.slow
def test_a_large_record_batch_is_refused_with_what_to_do(
    cli: Cli, everything_stays: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "LARGEST_BATCH", 1_000)
    table = pa.Table.from_pandas(frame(60))
    with pa.ipc.new_file("t.data", table.schema) as file:
        file.write_table(table)
    refused = cli(*SCORE, "-")
    assert refused.code == 2
    assert "error: t.data has a record batch of " in refused.err
    assert "write it with smaller batches, or as Parquet" in refused.err


def test_a_wrong_number_of_rows_is_damage(cli: Cli, everything_stays: None) -> None:
    """A footer that says 1 where it said 60, or a group that has fewer rows than it says."""
    frame(60).to_parquet("t.data", index=False, row_group_size=30)
    whole = Path("t.data").read_bytes()
    for lie in (60, 30):
        Path("t.data").write_bytes(small_in_footer(whole, lie))
        refused = cli(*SCORE, "out")
        assert refused.code == 2 and refused.err.startswith("error: t.data "), refused.err
        assert refused.err.count("\n") == 1
    assert not Path("out").exists() and not list(Path().glob(".encoded*"))


@pytest.mark.parametrize("opening", [2, 3, 4, 5])
def test_a_file_that_changes_between_two_passes_is_refused(
    cli: Cli, everything_stays: None, monkeypatch: pytest.MonkeyPatch, opening: int
) -> None:
    """Never the first rows of one version with the last of another, nor the hash of a third."""
    frame(60).to_parquet("t.data", index=False)
    frame(60, seed=5).to_parquet("other", index=False)
    times, true_open = 0, streamed._File.open

    def replacing(file: streamed._File, *arguments: object) -> object:
        nonlocal times
        times += 1
        if times == opening:
            os.replace("other", "t.data")
        return true_open(file, *arguments)

    monkeypatch.setattr(streamed._File, "open", replacing)
    refused = cli(*SCORE, "out")
    assert refused.err == ("error: t.data has changed while it was read: start again when nothing writes to it\n")
    assert refused.code == 2
    assert not Path("out").exists() and not list(Path().glob(".encoded*"))


@pytest.fixture
def small_disk(tables: Path) -> Iterator[Path]:
    """A file system of its own on which the encoded rows have no room."""
    directory = tables / "disk"
    directory.mkdir()
    mount = ["mount", "-o", "size=100k", "-t", "tmpfs", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], capture_output=True, check=False)


def test_a_disk_too_full_for_the_encoded_rows(cli: Cli, everything_stays: None, small_disk: Path) -> None:
    frame(30_000).to_parquet("t.data", index=False)
    refused = cli(*SCORE, "disk/out")
    assert refused.code == 2
    assert refused.err.startswith("error: encoded rows cannot be kept in disk/.encoded.out.")
    assert refused.err.endswith(": no space left on device\n")
    assert not list(small_disk.iterdir())


def after_encoding(monkeypatch: pytest.MonkeyPatch, do: Callable[[Path], None]) -> None:
    true_init = encoded_file.EncodedFile.__init__

    def made(self: encoded_file.EncodedFile, *arguments: object) -> None:
        true_init(self, *arguments)  # type: ignore[arg-type]
        do(self.path)

    monkeypatch.setattr(encoded_file.EncodedFile, "__init__", made)


@pytest.mark.slow
def test_a_cache_that_is_removed_meanwhile_is_read_even_so(
    cli: Cli, everything_stays: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame(60).to_parquet("t.data", index=False)
    assert cli(*SCORE, "one.csv").code == 0
    after_encoding(monkeypatch, lambda path: shutil.rmtree(path.parent))
    assert cli(*SCORE, "two.csv").code == 0
    assert Path("one.csv").read_bytes() == Path("two.csv").read_bytes()
    assert not list(Path().glob(".encoded*"))


def test_a_cache_that_is_cut_short_is_an_error_in_one_line(
    cli: Cli, everything_stays: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame(60).to_parquet("t.data", index=False)
    after_encoding(monkeypatch, lambda path: os.truncate(path, 100))
    refused = cli(*SCORE, "out")
    assert refused.code == 2 and refused.err.startswith("error: encoded rows cannot be kept in .encoded.out.")
    assert refused.err.endswith(": the file has been cut short\n")
    assert not Path("out").exists() and not list(Path().glob(".encoded*"))


PARTED = """
import sys
from lossval_cli.cli import main
from lossval_cli.features import streaming
from lossval_cli.runtime.memory import MemoryEstimate
streaming.FEWEST_BYTES, MemoryEstimate.resident = 0, lambda *_: 10**13  # every table that can stay in its files does
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2])
def test_a_kill_while_it_trains_leaves_nothing_of_a_table_read_in_parts(
    tables: Path, fork_server: None, rendezvous: dict[str, str], size: int
) -> None:
    """All processes of the run are killed at once, in their first epochs."""
    frame(200).to_parquet("t.data", index=False)
    before = sorted(os.listdir())
    line = [*SCORE[:4], "--removal", "off", "--set", "epochs=100000", "--progress", "json", "-o", "out"]
    running = [
        subprocess.Popen(
            [*PYTHON, "-c", PARTED, *line],
            env=os.environ | rendezvous | {"RANK": str(rank), "WORLD_SIZE": str(size)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    said = running[0].stderr
    assert said is not None
    lines = list(itertools.takewhile(lambda line: '"epoch"' not in line, said))
    assert any("stays in its file" in line for line in lines), lines + said.readlines()
    for process in running:
        process.kill()
    for process in running:
        process.communicate()
    assert sorted(os.listdir()) == before


def test_columns_without_any_value_take_nothing_and_are_read(cli: Cli, everything_stays: None) -> None:
    table = pa.table({"a": pa.nulls(20), "label": pa.nulls(20)})
    with pa.ipc.new_file("t.data", table.schema) as file:
        file.write_table(table)
    refused = cli("score", "t.data", "-q", "-o", "-")
    assert refused.code == 2 and refused.err.startswith("error: t.data"), refused.err


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_pipe_is_read_once(cli: Cli, suffix: str) -> None:
    """`score <(command)`: what has been looked into cannot be read again."""
    os.mkfifo("pipe")
    content = Path(f"train.{suffix}").read_bytes()
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(content))
    writer.start()
    outcome = cli("score", "pipe", "--val", "val.csv", *QUICK, "-q", "--max-memory", "4GB", "-o", "-")
    writer.join()
    assert outcome.code == 0, outcome.err
    assert len(outcome.out.splitlines()) == 61
