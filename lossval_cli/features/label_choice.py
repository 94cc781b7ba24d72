"""Choose the label column if the user names none: one with such a name, or a clear last column."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.errors import LossvalError, SchemaError
from lossval_cli.features.identifier_names import is_unnamed, words_of
from lossval_cli.features.identifiers import find_group_key, find_identifier
from lossval_cli.features.special_columns import GROUP_NAMES, WEIGHT_NAMES, is_split
from lossval_cli.tables.column_types import is_text
from lossval_cli.tables.files import list_files
from lossval_cli.tables.stored_types import partitions
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_name, join_names, pluralize

NAMES = (
    *("label", "labels", "target", "y", "class", "outcome", "ground_truth", "gold_label"),
    *("ziel", "zielvariable", "klasse", "clase", "classe", "etiqueta", "cible", "标签", "ラベル", "метка"),
)
"""Names that say label, in this order, letter case aside."""

RANKS = ("class", "klasse", "clase", "classe")
"""Names of these that may also be a feature: the class of a ticket beside `survived`."""

NAME_ENDINGS = ("label", "target", "outcome")
"""Last words that say label: `true_label`, `ClassLabel`."""

TARGET_WORDS = re.compile(
    "price|cost|value|amount|score|rating|quality|grade|salary|income|revenue|sales|demand|charges|churn|churned|"
    "fraud|spam|default|survived|diagnosis|disease|species|sentiment|category|result|response|status|bugs?|defects?|"
    "approved|attrition|converted|readmitted|delay|duration|prediction|strength|yield|medv"
)
"""Words that make a last column of numbers clearly the one to predict."""

OUTCOME_WORDS = re.compile(
    "survived|diagnosis|churn|churned|fraud|spam|sentiment|species|readmitted|attrition|approved|converted|disease|"
    "defects?|bugs?"
)
"""Words of columns that are hardly ever features: beside one of them a last column is no clear label."""

_ATTRIBUTES = re.compile(
    r"year|month|day|weekday|day_?of_?week|hour|minute|quarter|week|yr|mon|jahr|monat|tag|année|mois|jour|"
    r"sex|gender|race|ethnicity|nationality|country|region|state|city|county|geschlecht|land|sexe|pays|"
    r"(?:.*[ _])?(?:size|count|qty|quantity|age|persons|people|children|kids|rooms|floors|doors)|"
    r"(?:num|number|no|nr|n|#)[ _](?:of[ _])?.+",
    re.IGNORECASE,
)
"""Names of columns of times, places, persons and counts, which are unlikely labels."""

MOST_CLASSES = 100
ROWS_PER_CLASS = 5
MOST_WHOLE_NUMBERS = 20
"""Up to so many different values, with so many rows each on average, a column holds classes."""

MOST_GAPS = 1.5
"""Numbers from the first class to the last, for each class."""

LISTED = 8


class Candidate(NamedTuple):
    """A column that may be the label."""

    name: str
    distinct: int
    is_classes: bool

    @property
    def text(self) -> str:
        """Text for a list: `churn (2 values)`."""
        return f"{format_name(self.name)} ({pluralize(self.distinct, 'value')})"


def choose_label(train: Table, taken: Sequence[str]) -> tuple[str, str]:
    """The label and a notice that says why it was chosen; `taken`: columns that have another role.

    Never an index, id, partition key, constant, date or nested column, unless its whole name says label. Raises
    SchemaError that lists the candidates where none is clearly the label.
    """
    free = [name for name in train.column_names if name not in taken]
    if not free:
        raise SchemaError(f"{format_name(train.name)} has no column left for the label")
    if len(train.column_names) == 1 and train.format == "csv":
        raise SchemaError(
            f"{format_name(train.name)} has one column only, {format_name(free[0])}: a label and a feature are needed "
            "(columns are separated by commas, semicolons, tabs, bars or spaces)"
        )
    named = _by_name(free)
    if named is not None and (named == free[-1] or named.strip("# ").casefold() not in RANKS):
        return _chosen(named, "by its name")
    keys = partition_keys(train)
    candidates = [found for name in free if name not in keys and (found := _candidate(train, name)) is not None]
    outcomes = [one for one in candidates if one.is_classes and any(map(OUTCOME_WORDS.fullmatch, words_of(one.name)))]
    if named is not None and not outcomes:
        return _chosen(named, "by its name")
    endings = [one for one in candidates if words_of(one.name)[-1:] and words_of(one.name)[-1] in NAME_ENDINGS]
    if len(endings) == 1 and named is None:
        return _chosen(endings[0].name, "by its name")
    is_contested = bool(named or endings or (outcomes and candidates[-1] not in outcomes))  # Survived, ..., Embarked
    is_empty = train.typed(free[-1]).null_count == train.rows and not is_unnamed(free[-1])
    if candidates and _is_clear(candidates[-1]) and not is_contested and not is_empty:
        name = candidates[-1].name
        return _chosen(name, "the last one" if name == free[-1] else "the last one that can be a label")
    ranked = endings or [*outcomes, *(one for one in candidates if one not in outcomes)]
    what = f"its last column, {format_name(free[-1])}, is empty" if is_empty else ""
    raise SchemaError(_unclear(train, ranked, free, what))


def _chosen(name: str, why: str) -> tuple[str, str]:
    return name, f"label: column {format_name(name)}, {why}; --label names another"


def partition_keys(train: Table) -> set[str]:
    """Columns that the directories of a table name (`year=2024/`)."""
    if train.format != "parquet" or not os.path.isdir(train.name):
        return set()
    try:
        return {key for file in list_files(train.name) for key in partitions(file.relative)}
    except LossvalError:
        return set()


def _by_name(free: Sequence[str]) -> str | None:
    lower = {name.strip("# ").casefold(): name for name in reversed(free)}
    for wanted in NAMES:
        if wanted not in lower:
            continue
        if wanted == "y" and "x" in lower and lower["y"] != free[-1]:
            continue  # a pair of coordinates
        return lower[wanted]
    return None


def _candidate(train: Table, name: str) -> Candidate | None:
    values = train.label_column(name).values
    kind = values.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not (is_number or pa.types.is_boolean(kind) or is_text(kind)) or is_unnamed(name):
        return None
    if is_split(train, name):
        return None
    distinct: int = pc.count_distinct(values, mode="only_valid").as_py()
    present = len(values) - values.null_count
    if distinct < 2 or find_identifier(train, name) is not None or find_group_key(train, name) is not None:
        return None
    if is_text(kind) and distinct > max(2, present / 2):
        return None
    most = MOST_WHOLE_NUMBERS if is_number else MOST_CLASSES
    fractions = pa.types.is_floating(kind) and not pc.all(pc.equal(pc.floor(values), values), min_count=0).as_py()
    few = distinct <= 2 or (distinct <= most and distinct * ROWS_PER_CLASS <= present)
    few &= distinct <= 2 or not is_number or are_counted(values)
    is_other = GROUP_NAMES.fullmatch(name) or WEIGHT_NAMES.fullmatch(name) or _ATTRIBUTES.fullmatch(name)
    return Candidate(name, distinct, few and not fractions and not is_other)


def are_counted(values: pa.ChunkedArray) -> bool:
    """Return True if whole numbers are classes that somebody counted, from -1, 0 or 1 on and with few gaps: not
    heights."""
    bounds = pc.min_max(values).as_py()
    span = bounds["max"] - bounds["min"] + 1
    return bool(-1 <= bounds["min"] <= 1 and MOST_GAPS * pc.count_distinct(values, mode="only_valid").as_py() >= span)


def _is_clear(last: Candidate) -> bool:
    return last.is_classes or any(TARGET_WORDS.fullmatch(word) for word in words_of(last.name))


def _unclear(train: Table, candidates: Sequence[Candidate], free: Sequence[str], why: str) -> str:
    what = f"{format_name(train.name)}: it is not clear which column is the label"
    if not candidates:
        return f"{what}, since each looks like an id, a date or free text; name it with --label: {join_names(free)}"
    what += f" ({why})" if why else ""
    ranked = sorted(candidates, key=lambda one: not one.is_classes)  # stable: classes first, each in file order
    listed = ", ".join(one.text for one in ranked[:LISTED])
    more = f" and {len(ranked) - LISTED} more" if len(ranked) > LISTED else ""
    example = ranked[0].name if ranked[0].is_classes else ranked[-1].name
    if train.format == "frame":
        return f"{what}; name it with label={example!r}, say. Candidates: {listed}{more}"
    command = f"lossval score {shlex.quote(train.name)} --label {shlex.quote(example)}"
    return f"{what}; name it with --label. Candidates: {listed}{more}. For example: {command}"
