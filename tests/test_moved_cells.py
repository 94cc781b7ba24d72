"""Numbers in the wrong columns are sought among few moves: these must be the ones that all moves would give."""

from __future__ import annotations

import numpy as np
import pytest

from lossval_cli.noise.moved_cells import WIDTHS, MovedCells, _decimals
from lossval_cli.noise.number_cells import NumberCells, within_reach


def every_move(model: MovedCells, values: np.ndarray) -> np.ndarray:
    """(n, d) evidence of the best of all moves, one after the other."""
    n, d = values.shape
    densities = list(model.densities.values())
    gain = np.zeros((n, d))
    for row, numbers in enumerate(values):
        filled = within_reach(np.nan_to_num(numbers))
        width = WIDTHS[_decimals(filled)]
        logs = np.array([density.log(filled, width) for density in densities])  # (column, number)
        ratio = np.where(np.isfinite(numbers), logs - np.diagonal(logs), 0.0)
        best = np.log(1.5 * d * (d - 1))
        for a in range(d):
            for b in range(a + 1, d):
                if numbers[a] == numbers[b]:
                    continue
                between = np.arange(a, b)
                moves = [(ratio[a, b] + ratio[b, a], [a, b])]
                if b > a + 1:
                    every = list(range(a, b + 1))
                    moves.append((ratio[between, between + 1].sum() + ratio[b, a], every))
                    moves.append((ratio[between + 1, between].sum() + ratio[a, b], every))
                for found, columns in moves:
                    if found > best + 1e-9:
                        best = found
                        gain[row] = 0.0
                        gain[row, columns] = found - np.log(1.5 * d * (d - 1))
    return gain


def tables() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    units = rng.normal(size=(400, 9)) * np.exp(rng.normal(size=9) * 3) + rng.normal(size=9)
    mixed = rng.normal(size=(400, 8))
    mixed[:, ::2] = rng.poisson(3, (400, 4))
    mixed[:, 1] *= 0.001
    mixed[:, 3] = np.round(mixed[:, 3] * 50 - 200)
    mixed[:, 5] = np.where(rng.random(400) < 0.9, 0, np.round(np.exp(mixed[:, 5]) * 1000))
    prices = np.round(np.exp(rng.normal(size=(400, 6)) * [1, 1, 2, 0.5, 1, 1]) * [1, 10, 100, 1, 1000, 0.1], 2)
    pair = rng.normal([0, 30], 1, (400, 2))
    return [units, mixed, prices, pair]


@pytest.mark.slow
@pytest.mark.parametrize("table", range(4))
def test_the_moves_that_are_looked_up_hold_the_best_of_all(table: int) -> None:
    rng = np.random.default_rng(table)
    values = tables()[table]
    n, d = values.shape
    values[rng.random(values.shape) < 0.03] = np.nan
    for i in rng.choice(n, 60, replace=False):
        a, b = np.sort(rng.choice(d, 2, replace=False))
        if rng.random() < 0.5:
            values[i, [a, b]] = values[i, [b, a]]
        else:
            values[i, a : b + 1] = np.roll(values[i, a : b + 1], rng.choice([-1, 1]))
    values[:3, 0] = 1e200, -1e-300, 0.0
    model = MovedCells.fit({i: NumberCells.fit(values[:, i]) for i in range(d)}, values)
    expected = every_move(model, values)
    assert (expected > 0).any(axis=1).sum() > 10
    # Of two moves that gain the same, either may be taken.
    np.testing.assert_allclose(model.evidence(values).max(axis=1), expected.max(axis=1), atol=1e-8)
