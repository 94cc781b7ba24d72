"""A row's wrong cell is named, and not the right ones that are predicted from it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lossval_cli.noise.outliers import CellFinding, OutlierModel

pytestmark = pytest.mark.usefixtures("valued_once")

KINDS = {**dict.fromkeys(("amount", "fee", "tax", "total"), "number"), "city": "category", "country": "category"}


def invoices(rows: int = 1500) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    amount = rng.lognormal(4, 0.6, rows).round(2)
    columns = {"amount": amount, "fee": (0.05 * amount * np.exp(0.1 * rng.normal(size=rows))).round(2)}
    columns |= {"tax": (0.2 * amount).round(2), "total": (1.25 * amount).round(2)}
    city = rng.integers(0, 24, rows)
    places = {"city": [f"city {c}" for c in city], "country": [f"country {c % 6}" for c in city]}
    return pd.DataFrame(columns | places)


@pytest.fixture(scope="module")
def described() -> list[list[CellFinding]]:
    """Findings of rows whose amount, tax and country are wrong."""
    frame = invoices()
    frame.loc[10, "amount"] *= 100
    frame.loc[20, "tax"] = 9000.0
    for row in range(30, 36):
        frame.loc[row, "country"] = "country 0" if frame.loc[row, "country"] != "country 0" else "country 3"
    model = OutlierModel.fit(frame, KINDS, np.random.default_rng(1))
    rows = np.array([10, 20, 30])
    return model.describe(frame.iloc[rows], rows)


def test_the_wrong_cell_comes_first_and_the_right_ones_of_its_row_are_not_named(
    described: list[list[CellFinding]],
) -> None:
    assert [[cell.column for cell in cells] for cells in described[:2]] == [["amount"], ["tax"]]


def test_what_other_columns_suggest_lies_within_what_the_column_has(described: list[list[CellFinding]]) -> None:
    for cells in described[:2]:
        assert cells[0].predicted_range is not None
        low, high = cells[0].predicted_range
        assert 0 < low < high < 1000


def test_a_value_that_does_not_go_with_another_names_the_other(described: list[list[CellFinding]]) -> None:
    (cell, *others) = described[2]
    assert not others
    assert {cell.column, cell.beside and cell.beside[0]} == {"city", "country"}
    assert cell.kind == "contradiction"
