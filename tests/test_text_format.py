"""How names of columns and files are written in one line."""

from __future__ import annotations

import pytest

from lossval_cli.text.format import format_name


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("free sulfur dioxide", "free sulfur dioxide"),
        ("a, b", "'a, b'"),
        (" x", "' x'"),
        ("a\nb", "'a\\nb'"),
        ("", "''"),
        ("x" * 41, "'" + "x" * 39 + "…'"),
        ("data/" + "x" * 100 + ".csv", "data/" + "x" * 100 + ".csv"),
        ("/" + "x" * 300, "'/" + "x" * 198 + "…'"),
    ],
)
def test_names_are_written_so_that_they_can_be_copied_and_fit_a_line(name: str, written: str) -> None:
    """Paths longer than a column name, since a person copies them."""
    assert format_name(name) == written
