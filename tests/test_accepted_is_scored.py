"""What `validate` accepts, `score` scores: every layout and stored type of the reading tests through a whole run."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Outcome
from test_file_layouts import OBJECTS, READ_AS_MEANT, REFUSED

from lossval_cli.tables.table import read_table

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("valued_once")]

TINY = ("--preset", "fast", "--set", "epochs=1", "--removal", "off", "-q", "--force", "-o", "out")
N = len(OBJECTS)


def arrow(table: pa.Table) -> None:
    with pa.ipc.new_file("t.csv", table.schema) as file:
        file.write_table(table)


def parquet(table: pa.Table) -> None:
    pq.write_table(table, "t.csv", use_deprecated_int96_timestamps=True)


def columns() -> dict[str, pa.Array]:
    """One column of each kind that has broken a run after training."""
    rng = np.random.default_rng(0)
    codes = pa.array(rng.integers(0, 2, N).astype(np.uint32))
    texts = pa.array([cells["city"] for cells in OBJECTS])
    return {
        "x": pa.array([cells["height"] for cells in OBJECTS]),
        "text": texts.cast(pa.string_view()) if hasattr(pa, "string_view") else texts,
        "category": pa.DictionaryArray.from_arrays(codes, pa.array(["u", "v"])),
        "when": pa.array([datetime.datetime(9999, 12, 31) if i % 5 else None for i in range(N)], pa.timestamp("us")),
        "vector": pa.array(rng.normal(size=(N, 3)).tolist(), pa.list_(pa.float32())),
        "bytes": texts.cast(pa.binary()),
        "decimal": pa.array([i / 4 for i in range(N)]).cast(pa.decimal128(10, 2)),
        "none": pa.nulls(N),
        "record": pa.array([{"a": i} for i in range(N)]),
        "duration": pa.array(range(N), pa.duration("us")),
        "clock": pa.array(range(N), pa.time64("us")),
        "half": pa.array(np.arange(N).astype(np.float16)),
        "label": pa.array([cells["label"] for cells in OBJECTS]),
    }


def check(cli: Callable[..., Outcome]) -> None:
    accepted, scored = cli("validate", "t.csv", "--label", "label"), cli("score", "t.csv", "--label", "label", *TINY)
    assert (accepted.code, scored.code) in ((0, 0), (2, 2)), scored.err
    assert "internal error" not in accepted.err + scored.err
    if accepted.code == 0:
        assert len(read_table("out/scores.csv" if Path("out/scores.csv").exists() else "out/scores.parquet").data) == N


@pytest.mark.parametrize("layout", [*READ_AS_MEANT, *REFUSED])
def test_every_layout_of_text(cli: Callable[..., Outcome], layout: str) -> None:
    Path("t.csv").write_bytes((READ_AS_MEANT | REFUSED)[layout][0])
    check(cli)


@pytest.mark.parametrize("name", [name for name in columns() if name not in ("x", "label")])
@pytest.mark.parametrize("write", [arrow, parquet])
def test_every_stored_type(cli: Callable[..., Outcome], write: Callable[[pa.Table], None], name: str) -> None:
    every = columns()
    table = pa.table({"x": every["x"], name: every[name], "label": every["label"]})
    try:
        write(table)
    except pa.ArrowNotImplementedError:
        pytest.skip("this version of pyarrow does not write it")
    check(cli)
