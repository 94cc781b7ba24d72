"""Which rows a reviewer is asked about: suspects, the most probable of the rows that are not flagged, and a few random
rows.

Suspects are a biased sample. Rows drawn at random from all others say what the suspects cannot: how many wrong rows
were not flagged. Each row carries its chance of being shown.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lossval_cli.runs.loaded import LoadedRun
from lossval_cli.runs.matching import Identity, own_keys

MOST_SUSPECTS = 2_000
"""Suspects that are queued: more than anybody reviews."""

FEWEST_LIKELY, LARGEST_SHARE = 200, 0.2
"""Rows that are queued by their probability at least, flagged or not, as long as they are no more than this share."""

RANDOM_EVERY = 10
"""One row in so many is a random one."""

FEWEST_RANDOM = 5
"""Random rows of a run with few suspects."""

FEWEST_ALIKE = 2
"""Rows that make a group."""


class Item(NamedTuple):
    """One row of the queue."""

    i: int  # index in rank order
    row: int  # of the file
    key: str
    kind: str  # label, features, label+features, or '' for a row that is not flagged
    probability: float  # that it is wrong; NaN where that is not known
    part: str  # what is more likely wrong, label or features
    part_probability: float  # that it is
    chance: float  # of being shown
    groups: tuple[str, ...]  # of rows that are like it

    @property
    def is_random(self) -> bool:
        """True if the row was drawn, rather than being among the most probable."""
        return self.chance < 1


def build_queue(run: LoadedRun, identity: Identity) -> list[Item]:
    """The rows to review; the same for the same run. Their order before any decision."""
    keys = own_keys(run)
    suspects = run.suspect_at()[:MOST_SUSPECTS].tolist()
    fewest = min(FEWEST_LIKELY, int(LARGEST_SHARE * run.labelled.sum()))
    if len(suspects) < fewest:
        rest = np.flatnonzero(run.labelled & np.array([not kind for kind in run.suspect], bool))
        wanted = fewest - len(suspects)
        # Where features are unusual but not wrong, no row with a wrong label would be among the most probable ones.
        likely = [*_largest(run.noise_probability, rest, wanted), *_largest(run.label_probability, rest, wanted)]
        suspects += list(dict.fromkeys(likely))
    queued = np.zeros(len(run.row), np.bool_)
    queued[suspects] = True
    others = np.flatnonzero(run.labelled & ~queued)
    wanted = min(len(others), max(FEWEST_RANDOM, math.ceil(len(suspects) / (RANDOM_EVERY - 1))))
    seed = [len(run.row), sum(keys[i].encode("utf-8", "surrogatepass")[-1] for i in suspects)]
    drawn = np.random.default_rng(seed).choice(others, wanted, replace=False).tolist() if wanted else []
    # Even where all other rows are drawn, a drawn row is none of the most probable ones.
    chance = min(wanted / len(others), 0.999) if wanted else 1.0
    order: list[int] = []
    left = list(drawn)
    for position, i in enumerate(suspects):
        if left and position and position % (RANDOM_EVERY - 1) == 0:
            order.append(left.pop(0))
        order.append(i)
    order += left
    random = set(drawn)
    groups = _groups(run, identity, suspects)
    return [
        Item(
            i,
            int(run.row[i]),
            keys[i],
            run.suspect[i] or "",
            float(run.noise_probability[i]),
            *_part(run, i),
            chance if i in random else 1.0,
            groups.get(i, ()),
        )
        for i in order
    ]


def _largest(probability: npt.NDArray[np.float64], rows: npt.NDArray[np.int64], count: int) -> list[int]:
    found: list[int] = rows[np.argsort(-np.nan_to_num(probability[rows], nan=-1.0), kind="stable")[:count]].tolist()
    return found


def _part(run: LoadedRun, i: int) -> tuple[str, float]:
    label, features = float(run.label_probability[i]), float(run.feature_probability[i])
    if math.isnan(label) or math.isnan(features):
        return "features" if run.suspect[i] == "features" else "label", float(run.noise_probability[i])
    return ("features", features) if features > label else ("label", label)


def _groups(run: LoadedRun, identity: Identity, suspects: list[int]) -> dict[int, tuple[str, ...]]:
    """Suspects that can be decided at once: copies, the same label in place of the same other one, the same cell
    unusual, and those of one part of the table in which suspects gather."""
    said = {row["row"]: row for row in run.report.get("suspects") or ()}
    parts = [(one["column"], str(one["value"])) for one in (run.report.get("slices") or {}).get("found", ())]
    columns = {column: _cells(run, column) for column, _ in parts}
    found: dict[int, list[str]] = {}
    for i in suspects:
        row = int(run.row[i])
        names = []
        if identity.contents is not None:
            names.append(f"copies {identity.contents[row]}")
        if run.suspect[i] == "label" and run.predicted[i] is not None and run.predicted[i] != run.given[i]:
            names.append(f"labelled {run.given[i]}, predicted {run.predicted[i]}")
        unusual = (said.get(row) or {}).get("unusual") or ()
        if "features" in (run.suspect[i] or "") and unusual:
            names.append(f"{unusual[0]['column']} is {unusual[0]['value']}")
        names += [f"{column}: {value}" for column, value in parts if columns[column] and columns[column][row] == value]
        found[i] = names
    counts = Counter(name for names in found.values() for name in names)
    return {i: tuple(name for name in names if counts[name] >= FEWEST_ALIKE) for i, names in found.items()}


def _cells(run: LoadedRun, column: str) -> list[str | None]:
    """Return the cells (N,) of the file; empty where the table or the column is not at hand."""
    table = run.train
    if table is None or column not in table.column_names:
        return []
    from lossval_cli.runs.scores_io import as_text

    cells: list[str | None] = as_text(table.as_given(column).combine_chunks()).to_pylist()
    return cells
