"""The examples of docs/pytorch.md run and find what was planted."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples" / "pytorch"


@pytest.mark.slow
@pytest.mark.parametrize(("script", "least"), [("digits.py", 0.85), ("sentences.py", 0.9), ("regression.py", 0.5)])
def test_an_example_finds_the_labels_that_were_planted(script: str, least: float) -> None:
    """A tenth of the labels is wrong: chance finds a tenth."""
    assert runpy.run_path(str(EXAMPLES / script))["main"]() >= least


def test_the_page_shows_what_was_measured() -> None:
    """`python -m benchmarks.examples` runs the examples and the command on the same rows."""
    page = (EXAMPLES.parents[1] / "docs" / "pytorch.md").read_text(encoding="utf-8")
    results = EXAMPLES.parents[1] / "benchmarks" / "results" / "examples.json"
    for name, found in json.loads(results.read_text(encoding="utf-8")).items():
        shares = [f"{found[column]:.0%}" for column in ("example", "label_evidence", "noise_probability")]
        (row,) = [line for line in page.splitlines() if line.startswith(f"| [`{name}.py`]")]
        assert row.strip("| ").split(" | ")[2:] == shares
