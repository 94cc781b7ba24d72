"""The files of a run directory, from what a run found."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, BinaryIO

import pyarrow as pa

from lossval_cli.report.render_html import render_html
from lossval_cli.report.render_markdown import render_markdown
from lossval_cli.runs.destination import Format
from lossval_cli.runs.scores_io import write_scores
from lossval_cli.runtime.atomic_write import RECORD, Content


def run_files(
    table: pa.Table, report: Mapping[str, Any], record: Mapping[str, Any], form: Format, *, safe_csv: bool
) -> dict[str, Content]:
    """File name -> content. run.json, by which a run directory is recognised, comes last."""

    def scores(file: BinaryIO) -> None:
        write_scores(table, file, form, safe=safe_csv)

    return {f"scores.{form}": scores, **render_pages(json_bytes(report)), RECORD: json_bytes(record)}


def render_pages(said: bytes) -> dict[str, bytes]:
    """Render report.json, report.md and report.html from the bytes of the first.

    The pages of a run come from what its report.json says, never from more: they can be made again from it.
    """
    report = json.loads(said)
    return {
        "report.json": said,
        "report.md": render_markdown(report).encode("utf-8", "backslashreplace"),
        "report.html": render_html(report).encode("utf-8", "backslashreplace"),
    }


def json_bytes(value: Any) -> bytes:
    """Write indented UTF-8 JSON; numbers that JSON cannot hold (NaN, infinity) are null."""
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # Bytes of a file name that are not text become escapes, which JSON can hold.
    return text.encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
