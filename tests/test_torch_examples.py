"""The examples of docs/pytorch.md run and find what was planted."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples" / "pytorch"


@pytest.mark.slow
@pytest.mark.parametrize(("script", "least"), [("digits.py", 0.85), ("sentences.py", 0.9), ("regression.py", 0.5)])
def test_an_example_finds_the_labels_that_were_planted(script: str, least: float) -> None:
    """A tenth of the labels is wrong: chance finds a tenth."""
    assert runpy.run_path(str(EXAMPLES / script))["main"]() >= least
