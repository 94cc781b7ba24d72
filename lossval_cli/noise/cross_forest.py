"""A prediction of every cell from the other columns of its row, by one forest for all columns.

Each tree splits the columns in two: one half predicts the other (all of its columns at once; Geurts et al., 2006,
multi-output extremely randomised trees). A leaf keeps, for each column it predicts, how often each bin or level
occurs, and the mean and mean square of numbers. A fitted row is predicted by trees that saw neither it nor a copy
of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.tree import ExtraTreeRegressor

from lossval_cli.runtime.sharing import share

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SUBSAMPLE = 0.5
"""Share of distinct rows that a tree sees."""

LEAF_ROWS = 5

SPLIT_COLUMNS = 0.6
"""Share of the inputs that a split chooses from."""

MOST_INPUTS, MOST_OUTPUTS = 64, 32
"""Columns of a tree."""


class Cells(NamedTuple):
    """n rows as trees see them."""

    inputs: npt.NDArray[np.float32]  # (n, inputs)
    codes: Ints  # (n, D) bin or level
    values: Floats  # (n, D) of numbers, NaN for missing cells and other columns


class Prediction(NamedTuple):
    """Predictions of each cell by the other columns."""

    probability: Floats  # (n, D) of the cell's own bin or level
    mean: Floats  # (n, D) of numbers
    variance: Floats  # (n, D)
    trees: Floats  # (n, D) that predicted the cell; 0 where none could


class _Tree(NamedTuple):
    tree: ExtraTreeRegressor
    inputs: Ints
    outputs: Ints  # columns
    offsets: Ints  # of each output's first bin
    shares: npt.NDArray[np.float32]  # (nodes, bins of all outputs)
    numbers: Ints  # outputs that are numbers
    mean: npt.NDArray[np.float32]  # (numbers, nodes), 0 in a leaf without any
    square: npt.NDArray[np.float32]
    known: npt.NDArray[np.float32]  # 1, or 0 in a leaf without any


@dataclass(frozen=True)
class CrossForest:
    """The fitted trees."""

    columns: int
    trees: tuple[_Tree, ...]
    seen: npt.NDArray[np.bool_]
    """(n, trees) which fitted rows each tree saw."""

    @classmethod
    def fit(
        cls,
        cells: Cells,
        input_column: Ints,
        targets: npt.NDArray[np.float32],
        target_column: Ints,
        bins: Ints,
        group: Ints,
        trees: int,
        rng: np.random.Generator,
    ) -> CrossForest:
        """Fit on n rows. `input_column`, `target_column`: the column of each input and target; bins (D,): how many each
        column has; group (n,): equal for rows that are copies of one another."""
        D, groups = len(bins), int(group.max()) + 1
        numbers: npt.NDArray[np.bool_] = np.asarray(np.isfinite(cells.values).any(axis=0))
        halves = [
            (sources, outputs)
            for sources, outputs in _halves(D, trees, rng)
            if np.isin(input_column, sources).any()
            and np.isin(target_column, outputs).any()  # constant columns have none
        ]
        seen = np.zeros((len(group), len(halves)), bool)
        seeds = []
        for t in range(len(halves)):
            drawn = (rng.random(groups) < SUBSAMPLE)[group]
            seen[:, t] = drawn if drawn.sum() >= 2 * LEAF_ROWS else True
            seeds.append(int(rng.integers(1 << 31)))

        def grow(t: int) -> _Tree:
            sources, outputs = halves[t]
            rows, inputs = np.flatnonzero(seen[:, t]), np.flatnonzero(np.isin(input_column, sources))
            tree = ExtraTreeRegressor(min_samples_leaf=LEAF_ROWS, max_features=SPLIT_COLUMNS, random_state=seeds[t])
            X = cells.inputs[np.ix_(rows, inputs)]
            y = targets[np.ix_(rows, np.flatnonzero(np.isin(target_column, outputs)))]
            tree.fit(X, y, check_input=False)
            return _leaves(tree, X, inputs, outputs, cells.codes[rows], cells.values[rows], bins, numbers)

        return cls(D, tuple(share(range(len(halves)), grow, in_threads=True)), seen)

    def predictors(self, column: int) -> int:
        """Trees that predict a column."""
        return sum(column in tree.outputs for tree in self.trees)

    def predict(self, cells: Cells, fitted: Ints | None = None) -> Prediction:
        """Predict n rows; `fitted` (n,): which of the fitted rows they are or come from."""
        n, D = cells.codes.shape
        probability, mean, square, asked, known = (np.zeros((D, n), np.float32) for _ in range(5))
        codes = np.ascontiguousarray(cells.codes.T)
        for t, tree in enumerate(self.trees):
            new = np.float32(1) if fitted is None else (~self.seen[fitted, t]).astype(np.float32)
            leaf = tree.tree.tree_.apply(cells.inputs[:, tree.inputs])
            flat = leaf * tree.shares.shape[1]
            for i, column in enumerate(tree.outputs):
                probability[column] += new * tree.shares.ravel().take(codes[column] + (flat + tree.offsets[i]))
                asked[column] += new
            for i, column in enumerate(tree.numbers):
                mean[column] += new * tree.mean[i].take(leaf)
                square[column] += new * tree.square[i].take(leaf)
                known[column] += new * tree.known[i].take(leaf)
        mean /= np.maximum(known, 1)
        variance = np.maximum(square / np.maximum(known, 1) - mean**2, 0.0)
        probability /= np.maximum(asked, 1)
        return Prediction(*(values.T.astype(np.float64) for values in (probability, mean, variance, asked)))

    def shares(self, cells: Cells, column: int, fitted: Ints | None) -> Floats:
        """Return how probable the other columns make each bin of one column, (n, bins)."""
        total: Floats | None = None
        asked = np.zeros((len(cells.codes), 1))
        for t, tree in enumerate(self.trees):
            output = np.flatnonzero(tree.outputs == column)
            if not len(output):
                continue
            rows = np.arange(len(cells.codes)) if fitted is None else np.flatnonzero(~self.seen[fitted, t])
            if not len(rows):
                continue
            start = int(tree.offsets[output[0]])
            stop = int(np.append(tree.offsets, tree.shares.shape[1])[output[0] + 1])
            if total is None:
                total = np.zeros((len(cells.codes), stop - start))
            total[rows] += tree.shares[tree.tree.tree_.apply(cells.inputs[np.ix_(rows, tree.inputs)]), start:stop]
            asked[rows] += 1
        return np.zeros((len(cells.codes), 0)) if total is None else total / np.maximum(asked, 1)


def _halves(columns: int, trees: int, rng: np.random.Generator) -> list[tuple[Ints, Ints]]:
    """Sources and outputs of each tree: the halves of a random order, both ways, at most so many columns."""
    halves: list[tuple[Ints, Ints]] = []
    while columns > 1 and len(halves) < trees:
        order = rng.permutation(columns)
        for start in range(0, columns, 2 * MOST_OUTPUTS):
            part = order[start : start + 2 * MOST_OUTPUTS]
            part = part if len(part) > 1 else order[-2:]
            first, second = part[: len(part) // 2], part[len(part) // 2 :]
            others = np.setdiff1d(order, part)
            spare = rng.permutation(others)[: MOST_INPUTS - MOST_OUTPUTS]
            for sources, outputs in ((first, second), (second, first)):
                halves.append((np.sort(np.append(sources, spare)), np.sort(outputs)))
    return halves


def _leaves(
    tree: ExtraTreeRegressor,
    X: npt.NDArray[np.float32],
    inputs: Ints,
    outputs: Ints,
    codes: Ints,
    values: Floats,
    bins: Ints,
    numbers: npt.NDArray[np.bool_],
) -> _Tree:
    """Summarise the rows X that the tree saw in each leaf."""
    leaf, nodes = tree.tree_.apply(X), tree.tree_.node_count
    offsets = np.append(0, np.cumsum(bins[outputs]))
    width = int(offsets[-1])
    flat = leaf[:, None] * width + offsets[:-1] + codes[:, outputs]
    counts = np.bincount(flat.ravel(), minlength=nodes * width).reshape(nodes, width)
    size = np.maximum(np.bincount(leaf, minlength=nodes), 1)
    own = outputs[numbers[outputs]]
    mean, square, held = (np.zeros((len(own), nodes), np.float32) for _ in range(3))
    for i, column in enumerate(own):
        there = np.isfinite(values[:, column])
        known, node = values[there, column], leaf[there]
        cells = np.bincount(node, minlength=nodes)
        mean[i] = np.bincount(node, known, minlength=nodes) / np.maximum(cells, 1)
        square[i] = np.bincount(node, known**2, minlength=nodes) / np.maximum(cells, 1)
        held[i] = cells > 0
    shares = (counts / size[:, None]).astype(np.float32)
    return _Tree(tree, inputs, outputs, offsets[:-1], shares, own, mean, square, held)
