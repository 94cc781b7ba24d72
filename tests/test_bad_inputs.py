"""Every kind of bad input: one line on standard error, exit 2, nothing written, no traceback.

The cases are a table, tests/data/bad_inputs.toml.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Outcome

CASES = tomllib.loads(Path(__file__).with_name("data").joinpath("bad_inputs.toml").read_text(encoding="utf-8"))["case"]
BAD = ("bad.csv", "--val", "val.csv")
CHANGES = {"cell", "columns", "rename", "drop"}


def make(case: dict[str, Any]) -> None:
    """Write what the case is about into the current directory."""
    if "directory" in case:
        Path(case["directory"]).mkdir()
    if case.keys() & CHANGES:
        changed(case).to_csv("bad.csv", index=False)
    content = content_of(case)
    if content is not None:
        path = Path(case.get("file", "bad.csv"))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def content_of(case: dict[str, Any]) -> bytes | None:
    for key, encoding in {"content": "utf-8", "latin1": "latin-1", "utf16": "utf-16"}.items():
        if key in case:
            return bytes(case[key].encode(encoding))
    if "cut" in case:
        return Path(case["cut"]).read_bytes()[:-100]
    if "header" in case:
        _, _, rows = Path("train.csv").read_text(encoding="utf-8").partition("\n")
        return f"{case['header']}\n{rows}".encode()
    return None


def changed(case: dict[str, Any]) -> pd.DataFrame:
    """train.csv, cells as text, after the changes of the case."""
    table = pd.read_csv("train.csv", dtype=str, keep_default_na=False)
    if "cell" in case:
        row, column, value = case["cell"]
        table.loc[row, column] = value
    for column, given in case.get("columns", {}).items():
        first = [given] if isinstance(given, str) else given
        values = itertools.chain(first, itertools.repeat(first[-1]))
        table[column] = [value.format(**row) for row, value in zip(table.to_dict("records"), values, strict=False)]
    return table.rename(columns=case.get("rename", {})).drop(columns=case.get("drop", []))


def files() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def test_the_table_uses_known_words_and_each_name_once() -> None:
    known = {
        "name",
        "arguments",
        "message",
        "file",
        "content",
        "latin1",
        "utf16",
        "cut",
        "header",
        "directory",
        *CHANGES,
    }
    assert [case["name"] for case in CASES if case.keys() - known] == []
    assert len({case["name"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_one_line_exit_2_and_nothing_written(
    case: dict[str, Any], cli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    make(case)
    arguments = [part for word in case["arguments"] for part in (BAD if word == "BAD" else (word,))]
    before = files()
    outcome = cli("score", *arguments, "--quiet")
    assert outcome.err == f"error: {case['message']}\n"
    assert outcome.code == 2
    assert outcome.raw == b""
    assert files() == before
