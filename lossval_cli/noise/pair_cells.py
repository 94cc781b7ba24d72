"""Pairs of values that do not go together: a husband who is female, a suburb in another city's council.

For every two columns, values are counted beside one another, in a sample of n rows. Two kinds of combination are
exceptions:

    of a rule       one column nearly determines the other (code and name), and a value has one of the few others
    of an exclusion of two frequent values, hardly a row has both: O rows at most a fiftieth of the E expected by chance

An exception may be an error, or rare by nature. What is rare by nature comes in all degrees: two cells that share an
exception are half as common as cells that stand alone, and as many exclusions hold up to a fifth as up to a fiftieth
(rates that are uniform on the logarithm). Errors hit anywhere, and add to the rarest alone. So the share of errors
among exceptions is what the rarest have beyond what the less rare lead to expect (as in Good's estimate of what is yet
unseen, 1953), of the two columns, shrunk towards that of all.

How far a value contradicts another is the likelihood ratio p(value) / p(value | other), leaving out the row itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lossval_cli.noise.level_cells import LevelCells
from lossval_cli.noise.number_cells import BINS, NumberCells

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MOST_VALUES = 400
"""Values of a column that are told apart, the most frequent ones; columns of numbers with more have bins alone."""

MOST_VIEWS = 36
"""Columns that are compared, those with words first."""

ROWS_PER_VALUE = 5
"""Rows for each distinct number of a column, at least, from which its numbers are compared one by one."""

STRENGTHS = np.array([0.02, 0.1, 0.5, 2.0, 10.0, 50.0])
"""Rows that the overall shares count as beside a value: the most likely is taken, leaving out each row in turn."""
A_RULE = 0.5
"""Strength up to which one column nearly determines another."""

FEWEST_BESIDE, FEWEST_COUNTED, SURPRISE = 6, 15, 3.5
"""Rows with the determining value among which one can be an exception, and from which on exceptions are counted, when
one to three are a fifth of them at most; and nats of surprise."""

EXPECTED = 50.0
"""Rows expected by chance from which hardly any is an exclusion."""
EXCLUDED, LESS_EXCLUDED = 0.02, 0.2
"""Share of the expected rows that exceptions of an exclusion are, and those that are less rare."""
MOST_EXCEPTIONS = 0.002
"""Share of all rows that may have the same two values and still be errors."""

PRIOR = 1.5
"""Exceptions of two columns that those of all columns count as."""


class PairEvidence(NamedTuple):
    """Evidence about n rows."""

    lift: Floats  # (n, D) nats, the most that each cell contradicts another
    wrong: Floats  # (n,) probability that two cells that do not go together are an error


class _View(NamedTuple):
    column: int
    numbers: NumberCells | None  # in bins of it
    values: pd.Index | None  # or one by one
    is_judged: bool

    @property
    def size(self) -> int:
        return self.numbers.bins if self.numbers is not None else len(self.values)  # type: ignore[arg-type]

    def codes(self, cells: pd.Series) -> Ints:
        """Return codes (n,), with −1 for missing cells and values that are not told apart."""
        if self.numbers is None:
            assert self.values is not None
            codes: Ints = self.values.get_indexer(pd.Index(cells)).astype(np.int64)
            return codes
        values = cells.to_numpy(float)
        return np.where(np.isfinite(values), self.numbers.bin(self.numbers.scale(values)), -1)


class _Pair(NamedTuple):
    given: int  # index of the view
    target: int
    counts: Ints  # (values of given, values of target) rows
    strength: float
    exception: Mask  # (the same) whether a row with both is one
    tally: Floats  # (2,) exceptions, and how many of them nature leads to expect
    wrong: float = 0.0  # probability that an exception is an error

    def nats(self, a: Ints, b: Ints, copies: Ints) -> Floats:
        """How far values a (n,) and b (n,) contradict one another, in nats (n,); 0 where one is not told apart (−1).
        copies (n,): how often each row was counted."""
        beside, with_target, total = self.counts.sum(axis=1), self.counts.sum(axis=0), self.counts.sum()
        if self.counts.size <= len(a) and not copies.any():  # every combination once is less than every row
            lift = np.zeros((len(beside) + 1, len(with_target) + 1))  # the last ones belong to −1
            lift[:-1, :-1] = _lift(beside[:, None], with_target, total, self.counts, self.strength)
            return lift[a, b]
        nats = np.zeros(len(a))
        known = np.flatnonzero((a >= 0) & (b >= 0))
        a, b, copies = a[known], b[known], copies[known]
        both = np.maximum(self.counts[a, b] - copies, 0)
        nats[known] = _lift(beside[a] - copies, with_target[b] - copies, total - copies, both, self.strength)
        return nats


@dataclass(frozen=True)
class PairCells:
    """Fitted on a table's columns of levels and of numbers."""

    columns: tuple[str, ...]
    views: tuple[_View, ...]
    pairs: tuple[_Pair, ...]

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        numbers: Mapping[int, NumberCells],
        levels: Mapping[int, LevelCells],
        group: Ints,
    ) -> PairCells:
        """Fit on n rows; group (n,): equal for copies."""
        views = _views(frame, numbers, levels)
        codes = [view.codes(frame.iloc[:, view.column]) for view in views]
        first = np.zeros(len(frame), bool)
        first[np.unique(group, return_index=True)[1]] = True
        rules: list[_Pair] = []
        exclusions: list[_Pair] = []
        for target, of_target in enumerate(views):
            for given, of_given in enumerate(views):
                if not of_target.is_judged or of_given.column == of_target.column:
                    continue
                counts = _table(codes[given], codes[target], of_given.size, of_target.size)
                distinct = _table(codes[given][first], codes[target][first], of_given.size, of_target.size)
                strength = _strength(distinct)
                if strength <= A_RULE:
                    rules.append(_Pair(given, target, counts, strength, *_broken_rules(counts, distinct, strength)))
                elif given < target or not of_given.is_judged:
                    exclusions.append(_Pair(given, target, counts, strength, *_exclusions(counts)))
                else:
                    exclusions.append(_Pair(given, target, counts, strength, np.zeros(counts.shape, bool), np.zeros(2)))
        return cls(tuple(frame.columns), tuple(views), (*_with_errors(rules), *_with_errors(exclusions)))

    def evidence(self, frame: pd.DataFrame, copies: Ints) -> PairEvidence:
        """Compare the values of n rows; `copies` (n,): how often each was counted, 0 for rows that were not."""
        lift, wrong = np.zeros((len(self.columns), len(frame))), np.zeros(len(frame))
        codes = self._codes(frame)
        for pair in self.pairs:
            a, b = codes[pair.given], codes[pair.target]
            nats = pair.nats(a, b, copies)
            for view in (pair.given, pair.target):
                of_column = lift[self.views[view].column]
                np.maximum(of_column, nats, out=of_column)
            if pair.wrong > 0:
                is_exception = (a >= 0) & (b >= 0) & pair.exception[a, b]
                wrong[is_exception] = np.maximum(wrong[is_exception], pair.wrong)
        return PairEvidence(lift.T, wrong)

    def contradictions(self, frame: pd.DataFrame, copies: Ints) -> Floats:
        """Return (n, D, D) nats that the values of two columns contradict one another, symmetric."""
        found = np.zeros((len(frame), len(self.columns), len(self.columns)))
        codes = self._codes(frame)
        for pair in self.pairs:
            i, j = self.views[pair.given].column, self.views[pair.target].column
            nats = pair.nats(codes[pair.given], codes[pair.target], copies)
            found[:, i, j] = found[:, j, i] = np.maximum(found[:, i, j], nats)
        return found

    def _codes(self, frame: pd.DataFrame) -> list[Ints]:
        return [view.codes(frame.iloc[:, view.column]) for view in self.views]


def _views(frame: pd.DataFrame, numbers: Mapping[int, NumberCells], levels: Mapping[int, LevelCells]) -> list[_View]:
    """Levels, numbers one by one where they repeat, and bins of numbers."""
    words: list[_View] = []
    others: list[_View] = []
    for i, name in enumerate(frame.columns):
        if "\0" in name:  # a count of letters
            continue
        counts = frame[name].value_counts()
        if i in levels:
            words.append(_View(i, None, counts.index[:MOST_VALUES], True))
            continue
        repeats = BINS < len(counts) <= min(MOST_VALUES, len(frame) // ROWS_PER_VALUE)
        if repeats:
            words.append(_View(i, None, counts.index, True))
        others.append(_View(i, numbers[i], None, len(counts) <= BINS))
    if not any(view.column in levels for view in words):
        return []
    words.sort(key=lambda view: view.column not in levels)
    return [view for view in words + others if view.size > 1][:MOST_VIEWS]


def _table(given: Ints, target: Ints, rows: int, columns: int) -> Ints:
    known = (given >= 0) & (target >= 0)
    flat = given[known] * columns + target[known]
    return np.bincount(flat, minlength=rows * columns).reshape(rows, columns)


def _strength(counts: Ints) -> float:
    """The most likely of STRENGTHS, each row predicted by the others."""
    a, b = np.nonzero(counts)
    if not len(a):
        return float(STRENGTHS[-1])
    cells, share = counts[a, b], (counts.sum(axis=0)[b] - 0.5) / counts.sum()
    beside = counts.sum(axis=1)
    beside = beside[beside > 0]
    likelihood = [
        float(cells @ np.log(cells - 1 + s * share)) - float(beside @ np.log(beside - 1 + s)) for s in STRENGTHS
    ]
    return float(STRENGTHS[int(np.argmax(likelihood))])


def _broken_rules(counts: Ints, distinct: Ints, strength: float) -> tuple[Mask, Floats]:
    """Exceptions, and how many there are beside how many nature leads to expect."""
    beside = distinct.sum(axis=1, keepdims=True)
    surprise = np.log1p((beside - distinct) / strength)
    rare = (beside >= FEWEST_BESIDE) & (distinct <= 0.2 * beside) & (surprise >= SURPRISE) & (counts <= 2 * distinct)
    one, two, three = (int((rare & (distinct == k) & (beside >= FEWEST_COUNTED)).sum()) for k in (1, 2, 3))
    return rare & (distinct == 1), np.array([one, (2 * two + 3 * three) / 2])


def _exclusions(counts: Ints) -> tuple[Mask, Floats]:
    """The same of values that hardly a row has both of."""
    total = counts.sum()
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / max(int(total), 1)
    ratio = np.where(expected >= EXPECTED, counts / np.maximum(expected, 1e-9), 1.0)
    found = (counts > 0) & (ratio <= EXCLUDED)
    # Powers of ten from a half row to a fiftieth of the expected ones, beside the one from there to a fifth.
    wide = np.log10(np.maximum(2 * EXCLUDED * expected, 1.0))[(ratio > EXCLUDED) & (ratio <= LESS_EXCLUDED)]
    return found & (counts <= max(2.0, MOST_EXCEPTIONS * total)), np.array([int(found.sum()), float(wide.sum())])


def _with_errors(found: Sequence[_Pair]) -> list[_Pair]:
    """The pairs with the probability that an exception is an error, shrunk towards that of all of them."""
    if not found:
        return []
    rare, natural = np.sum([pair.tally for pair in found], axis=0)
    overall = min(1.0, (natural + 0.5) / (rare + 0.5))
    pairs = []
    for pair in found:
        own_rare, own_natural = pair.tally
        by_nature = (own_natural + PRIOR * overall) / (max(own_rare, 1) + PRIOR)
        pairs.append(pair._replace(wrong=max(0.0, 1 - by_nature)))
    return pairs


def _lift(beside: Ints, with_target: Ints, total: Ints, both: Ints, strength: float) -> Floats:
    """log p(b) − log p(b | a) from 0, of rows: `beside` with a, `with_target` with b, of `total`. Where no rule holds,
    as much as the number of rows that chance leads to expect can show."""
    share = (with_target + 0.5) / (total + 1.0)
    nats = np.log(share) - np.log((both + strength * share) / (beside + strength))
    if strength > A_RULE:
        nats = np.minimum(nats, np.log1p(beside * share))
    result: Floats = np.maximum(nats, 0.0)
    return result
