"""Tables whose errors are known and were not planted by us, as `benchmarks.real` reads them.

Every table is a `Case`: cells as text, as a user's file has them, and which rows are wrong. The files lie in
`../shared` and are not part of the project. Tables that are generated here are in `real_made.py`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

SHARED = Path(__file__).parents[1] / ".." / "shared"
Mask = npt.NDArray[np.bool_]

JIRA = (
    "activemq-5.0.0",
    "activemq-5.3.0",
    "activemq-5.8.0",
    "camel-1.4.0",
    "camel-2.9.0",
    "derby-10.2.1.6",
    "derby-10.5.1.1",
    "hive-0.9.0",
    "hive-0.12.0",
)
ERROR_LABELS = {
    "adult": "income_status",
    "telco_churn": "Churn",
    "melbourne_house_prices": "Price",
    "white_wine": "quality",
    "cpu_activity": "22",
    "electricity": "class",
}
MIXED = ("adult", "telco_churn", "melbourne_house_prices")
"""Tables of ../shared/errors with words; the others have numbers only."""
NUMBER_ERRORS = ("wrong_unit", "sentinel", "swapped", "row_shift", "outlier")
WORD_ERRORS = ("typo", "category_swap", "replace")
TRUSTED_SHARE = 0.2
SWAPPED_SHARE = 0.03


@dataclass(frozen=True)
class Case:
    """One table, and which of its N rows are wrong."""

    name: str
    family: str
    train: pd.DataFrame  # (N, columns) of text; empty where missing
    label: str
    wrong: Mask  # (N,) rows that are wrong in the way that this case is about
    part: str = "label"  # what is wrong in them: label or feature
    trusted: pd.DataFrame | None = None  # rows somebody has checked, right labels
    ids: tuple[str, ...] = ()
    group: str | None = None  # rows with the same value belong together
    task: str = "classification"

    @property
    def features(self) -> list[str]:
        """Columns that peers may learn from."""
        return [name for name in self.train if name not in (self.label, self.group, *self.ids)]


Maker = Callable[[int], Case]


def rng_of(*parts: object) -> np.random.Generator:
    """A generator for this table and seed, the same on every machine."""
    return np.random.default_rng([zlib.crc32(str(part).encode()) for part in parts])


def read(path: Path | str) -> pd.DataFrame:
    """Cells as text, as the file has them."""
    return pd.read_csv(SHARED / path, dtype=str, keep_default_na=False)


def _flag(path: str, column: str) -> Mask:
    return read(path)[column].isin(["1", "True", "true"]).to_numpy()


# ---------------------------------------------------------------- wrong labels that people made


def jira(name: str, trusted: bool, seed: int) -> Case:
    """Files of a software release, labelled defective by a heuristic (Yatish et al., ICSE 2019).

    Trusted: a fifth of the rows, drawn at random, with the labels that developers recorded.
    """
    table, truth = read(f"real/jira/{name}.csv"), read(f"real/jira/{name}.truth.csv")
    wrong = (truth["wrong_label"] == "1").to_numpy()
    known = np.zeros(len(table), bool)
    checked = None
    if trusted:
        known[rng_of("jira", name, seed).permutation(len(table))[: round(TRUSTED_SHARE * len(table))]] = True
        checked = table[known].assign(bug=truth.loc[known, "true_label"]).reset_index(drop=True)
    return Case(
        name=f"jira-{name}{'-trusted' if trusted else ''}",
        family="real labels, trusted rows" if trusted else "real labels",
        train=table[~known].reset_index(drop=True),
        label="bug",
        wrong=wrong[~known],
        trusted=checked,
        ids=("File",),
    )


def hausa(trusted: bool, _seed: int) -> Case:
    """Headlines labelled by a lexicon; people know better (Hedderich et al., EMNLP 2020). Text alone."""
    return Case(
        name=f"hausa{'-trusted' if trusted else ''}",
        family="real labels, trusted rows" if trusted else "real labels",
        train=read("real/hausa/data.csv"),
        label="topic",
        wrong=_flag("real/hausa/truth.csv", "wrong_label"),
        trusted=read("real/hausa/clean_validation.csv") if trusted else None,
    )


def flights(_seed: int) -> Case:
    """Arrival times that web sites copied from one another; the airline's are the truth. Grouped by flight."""
    table = read("real/flights/minutes.csv")
    there = (table["act_arr_time"] != "").to_numpy()
    return Case(
        name="flights",
        family="real labels",
        train=table[there].reset_index(drop=True),
        label="act_arr_time",
        wrong=_flag("real/flights/minutes_truth.csv", "wrong_label")[there],
        ids=("row_id",),
        group="flight",
        task="regression",
    )


# ---------------------------------------------------------------- wrong cells


def cells(table: str, kind: str, seed: int) -> Case:
    """3 % of 3,000 rows with a wrong cell, made by tab_err 0.2.1 or by hand; 600 trusted rows."""
    label = ERROR_LABELS[table]
    if kind == "swapped":
        train, rows = swap_numbers(read(f"errors/{table}.clean.csv"), label, rng_of("swapped", table, seed))
    else:
        train = read(f"errors/{table}-{kind}.csv")
        rows = read(f"errors/{table}-{kind}.truth.csv")["row"].astype(int).unique()
    wrong = np.zeros(len(train), bool)
    wrong[rows] = True
    return Case(
        name=f"{table}-{kind}",
        family=f"wrong cells: {kind}",
        train=train,
        label=label,
        wrong=wrong,
        part="feature",
        trusted=read(f"errors/{table}.val.csv"),
        task="regression" if table in ("melbourne_house_prices", "cpu_activity") else "classification",
    )


def swap_numbers(table: pd.DataFrame, label: str, rng: np.random.Generator) -> tuple[pd.DataFrame, npt.NDArray]:
    """Exchange the cells of two number columns in a share of the rows. Returns the table and these rows."""
    table = table.copy()
    numbers = [
        name
        for name in table.columns.drop(label)
        if pd.to_numeric(table[name].replace("", np.nan), errors="coerce").notna().sum() == (table[name] != "").sum()
    ]
    chosen = np.sort(rng.choice(len(table), round(SWAPPED_SHARE * len(table)), replace=False))
    for row in chosen:
        for one, other in (rng.choice(numbers, 2, replace=False) for _ in range(20)):
            if table.at[row, one] != table.at[row, other]:
                table.loc[row, [one, other]] = table.loc[row, [other, one]].to_numpy()
                break
    return table, chosen


def jm1(_seed: int) -> Case:
    """Software metrics whose counts contradict one another (Shepperd et al., TSE 2013)."""
    return broken_rules("nasa-JM1", "real/nasa/JM1.csv", "defective", _flag("real/nasa/JM1_truth.csv", "implausible"))


def pima(_seed: int) -> Case:
    """Zeros that mean missing: a blood pressure, body mass or glucose of 0."""
    wrong = _flag("real/pima/truth.csv", "impossible_zero_rare")
    return broken_rules("pima", "real/pima/data.csv", "diabetes", wrong)


def broken_rules(name: str, path: str, label: str, wrong: Mask) -> Case:
    """A table of which some rows break a rule between columns."""
    return Case(
        name=name,
        family="wrong cells: rules between columns",
        train=read(path),
        label=label,
        wrong=wrong,
        part="feature",
    )


def tables() -> dict[str, Maker]:
    """Name of a case -> how to make it for a seed."""
    made: dict[str, Maker] = {}
    for trusted in (False, True):
        end = "-trusted" if trusted else ""
        for name in JIRA:
            made[f"jira-{name}{end}"] = lambda seed, name=name, trusted=trusted: jira(name, trusted, seed)
        made[f"hausa{end}"] = lambda seed, trusted=trusted: hausa(trusted, seed)
    made["flights"] = flights
    for table in ERROR_LABELS:
        for kind in (*NUMBER_ERRORS, *(WORD_ERRORS if table in MIXED else ())):
            made[f"{table}-{kind}"] = lambda seed, table=table, kind=kind: cells(table, kind, seed)
    return made | {"nasa-JM1": jm1, "pima": pima}
