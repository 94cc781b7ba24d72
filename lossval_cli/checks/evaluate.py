"""Rules and values in, one result per rule out. Nothing is printed here.

A rule that cannot be evaluated is `unknown`, which is never a pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from lossval_cli.score_columns import KINDS
from lossval_cli.text.format import (
    did_you_mean,
    format_name,
    format_number,
    format_percent,
    join_names,
    pluralize,
)

_MOST_DIGITS = 12
"""Digits more than usual that a figure may get to differ from its limit."""

Outcome = Literal["passed", "warned", "failed", "unknown"]


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % interval, None where they are not known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Metric:
    """Score of a model in the removal study, and its possible gain (positive is better)."""

    name: str
    mean: float | None
    greater_is_better: bool
    gain: Interval | None
    failed: str = ""
    """Why nothing is known of any gain, empty where it is known."""


@dataclass(frozen=True)
class Values:
    """Facts known about a table; None is not known, and `why` says why, by the name of the field."""

    rows: int
    suspects: Mapping[str, int] | None = None
    """Rows by kind of suspicion."""
    noise_share: Interval | None = None
    classes: Mapping[str, tuple[int, int]] | None = None
    """Label -> suspects, rows."""
    metric: Metric | None = None
    leakage: tuple[int, int] | None = None
    """Validation and test rows that stand in the training table too, of how many."""
    conflicting_duplicates: tuple[int, int] | None = None
    """Rows that have a duplicate with another label, and the number of rows."""
    baseline_share: float | None = None
    """Share of suspects in the baseline."""
    invalid_cells: tuple[int, int] | None = None
    """Cells that do not fit the type of their column, of how many cells."""
    target_leakage: tuple[float, str] | None = None
    """How well one column alone (or a pair) tells the label, from 0 to 1, and which."""
    why: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Level:
    """A limit, as it was written; `share`: relative to the rows there are, otherwise a number as such."""

    number: Fraction
    share: bool

    def __str__(self) -> str:
        return f"{float(self.number * 100):.10g}%" if self.share else f"{float(self.number):.10g}"


@dataclass(frozen=True)
class Rule:
    """One limit with its two levels, at least one of which is given; `key` is a class or a metric."""

    kind: str
    key: str | None
    fail: Level | None
    warn: Level | None

    @property
    def name(self) -> str:
        """`max_suspects`, `max_class_suspects[yes]`."""
        return self.kind if self.key is None else f"{self.kind}[{format_name(self.key)}]"

    @property
    def notation(self) -> str:
        """The limit as it can be written: `5%`, `5%:3%`, `:3%`."""
        warn = "" if self.warn is None else f":{self.warn}"
        return f"{'' if self.fail is None else self.fail}{warn}"

    @property
    def limit(self) -> str:
        """`at most 5% (warns above 3%)`."""
        least = KINDS_OF_RULE[self.kind].least
        word, beyond = ("at least", "below") if least else ("at most", "above")
        if self.fail is None:
            return f"warns {beyond} {self.warn}"
        return f"{word} {self.fail}" + ("" if self.warn is None else f" (warns {beyond} {self.warn})")


class Unknown(Exception):
    """A fact that a rule needs is not there; the message says which and why."""


class Measured(NamedTuple):
    """Quantity that a rule limits: the number and, where a share can be taken of it, of how many.

    `figure` writes the value that is compared, with so many digits more than usual; `text` says it in words.
    """

    number: float
    of: float | None
    figure: Callable[[float, int], str]
    text: Callable[[int], str]

    def compared(self, level: Level) -> Fraction:
        """The value that is held against `level`: the number, or its share."""
        number = Fraction(str(self.number))
        if level.share and self.of is not None:
            # Without rows there is no share, and the rule passes.
            return number / Fraction(str(self.of)) if self.of else Fraction(0)
        return number

    def in_words(self, levels: Sequence[Level]) -> str:
        """The text, with digits enough that the value differs from each of `levels` that it is not equal to."""
        for more in range(_MOST_DIGITS):
            if all(self._differs(level, more) for level in levels):
                return self.text(more)
        return self.text(_MOST_DIGITS)

    def _differs(self, level: Level, more: int) -> bool:
        value = self.compared(level)
        return value == level.number or self.figure(float(value), more) != self.figure(float(level.number), more)


@dataclass(frozen=True)
class RuleResult:
    """Outcome of a rule. `number` is None where it could not be evaluated; `text` then says why."""

    rule: Rule
    outcome: Outcome
    number: float | None
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return a dict for JSON."""
        levels = {"fail": self.rule.fail, "warn": self.rule.warn}
        return {
            "rule": self.rule.kind,
            "key": self.rule.key,
            "outcome": self.outcome,
            "number": self.number,
            "value": self.text,
            "limit": self.rule.limit,
        } | {name: None if level is None else str(level) for name, level in levels.items()}


@dataclass(frozen=True)
class KindOfRule:
    """A rule that can be set. unit: what its levels may be; keyed: by what several of it differ."""

    measure: Callable[[Values, str], Measured]
    unit: Literal["rows", "share", "metric", "gain"]
    why: str
    keyed: Literal["", "class", "metric"] = ""
    least: bool = False


def evaluate(rules: Sequence[Rule], values: Values) -> list[RuleResult]:
    """Evaluate every rule; return one result a rule, in their order."""
    return [_evaluate(rule, values) for rule in rules]


def passed(results: Sequence[RuleResult], *, strict: bool) -> bool:
    """Return whether nothing failed or is unknown; with `strict`, nothing warned either."""
    bad = {"failed", "unknown"} | ({"warned"} if strict else set())
    return not any(result.outcome in bad for result in results)


def _evaluate(rule: Rule, values: Values) -> RuleResult:
    kind = KINDS_OF_RULE[rule.kind]
    try:
        measured = kind.measure(values, rule.key or "")
        if not math.isfinite(measured.number):
            raise Unknown("its value is not a number")
        if rule.fail is not None and _beyond(measured, rule.fail, kind.least):
            outcome: Outcome = "failed"
        elif rule.warn is not None and _beyond(measured, rule.warn, kind.least):
            outcome = "warned"
        else:
            outcome = "passed"
    except Unknown as reason:
        return RuleResult(rule, "unknown", None, str(reason))
    levels = [level for level in (rule.fail, rule.warn) if level is not None]
    return RuleResult(rule, outcome, measured.number, measured.in_words(levels))


def _beyond(measured: Measured, level: Level, least: bool) -> bool:
    """Compares as people write numbers: 3 of 60 rows, or a share of 0.05, are not more than 5%."""
    number = measured.compared(level)
    return number < level.number if least else number > level.number


def _known(values: Values, name: str) -> Any:
    value = getattr(values, name)
    if value is None:
        raise Unknown(values.why.get(name, f"the report says nothing about {name.replace('_', ' ')}"))
    return value


def _percent(value: float, more: int) -> str:
    return format_percent(value, 1 + more)


def _rows(count: int, of: int, noun: str = "row") -> Measured:
    def text(more: int) -> str:
        return f"{count:,} of {pluralize(of, noun)}" + (f" ({_percent(count / of, more)})" if of else "")

    return Measured(count, of, _percent, text)


def _number(value: float, more: int) -> str:
    return format_number(value, 4 + more)


def _points(value: float, more: int) -> str:
    return f"{100 * value:+.{3 + more}g} points"


def _suspects(*kinds: str) -> Callable[[Values, str], Measured]:
    def measure(values: Values, _: str) -> Measured:
        counts = _known(values, "suspects")
        return _rows(sum(counts[kind] for kind in kinds), values.rows)

    return measure


def _noise_share(values: Values, _: str) -> Measured:
    share: Interval = _known(values, "noise_share")
    low = share.value if share.low is None else share.low
    return Measured(
        low,
        None,
        _percent,
        lambda more: f"{_percent(low, more)} (lower end; estimate {_percent(share.value, more)})",
    )


def _class_suspects(values: Values, name: str) -> Measured:
    classes = _known(values, "classes")
    if name not in classes:
        hint = did_you_mean(name, classes) or f"classes are {join_names(classes)}"
        raise Unknown(f"the table has no class {format_name(name)}: {hint}")
    return _rows(*classes[name])


def _metric(least: bool) -> Callable[[Values, str], Measured]:
    def measure(values: Values, name: str) -> Measured:
        metric: Metric = _known(values, "metric")
        if metric.name != name:
            raise Unknown(f"the run measured {metric.name}: score with --metric {format_name(name)}")
        if metric.greater_is_better != least:
            other = "max_metric" if least else "min_metric"
            better = "greater" if metric.greater_is_better else "less"
            raise Unknown(f"{better} {name} is better: use {other}")
        if metric.mean is None:
            raise Unknown(f"the run has no {name}")
        mean = metric.mean
        return Measured(mean, None, _number, lambda more: _number(mean, more))

    return measure


def _removal_gain(values: Values, _: str) -> Measured:
    metric: Metric = _known(values, "metric")
    gain = metric.gain
    if gain is None and metric.failed:
        raise Unknown(f"removal could not be studied: {metric.failed}")
    if gain is None:
        return Measured(0.0, None, _number, lambda _: f"removal does not significantly improve {metric.name}")
    # An error has no natural scale, so of it a share is relative to what it is with all rows.
    of = None if metric.greater_is_better else metric.mean
    likely = ""
    if gain.low is not None and gain.high is not None:
        likely = f" (likely {format_number(gain.low, 3, '+')} to {format_number(gain.high, 3, '+')})"

    def text(more: int) -> str:
        relative = f" ({_percent(gain.value / of, more)} of {_number(of, more)})" if of else ""
        return f"{format_number(gain.value, 3 + more, '+')} {metric.name}{relative}{likely}"

    return Measured(gain.value, of, _percent if of else _number, text)


def _leakage(values: Values, _: str) -> Measured:
    shared, of = _known(values, "leakage")
    return _rows(shared, of, "held-back row")


def _conflicts(values: Values, _: str) -> Measured:
    rows, of = _known(values, "conflicting_duplicates")
    return _rows(rows, of)


def _invalid_cells(values: Values, _: str) -> Measured:
    cells, of = _known(values, "invalid_cells")
    return _rows(cells, of, "cell")


def _target_leakage(values: Values, _: str) -> Measured:
    share, columns = _known(values, "target_leakage")
    about = f" ({columns})" if columns else ""
    return Measured(share, None, _percent, lambda more: f"{_percent(share, more)}{about}")


def _increase(values: Values, _: str) -> Measured:
    before: float = _known(values, "baseline_share")
    now = sum(_known(values, "suspects").values()) / values.rows if values.rows else 0.0
    if not values.rows:
        return Measured(0.0, None, _points, lambda _: f"no rows to compare with {format_percent(before)}")
    change = now - before
    return Measured(change, None, _points, lambda more: f"{_points(change, more)}, {_percent(before, more)} before")


KINDS_OF_RULE: dict[str, KindOfRule] = {
    "max_suspects": KindOfRule(_suspects(*KINDS), "rows", "suspect rows"),
    "max_label_suspects": KindOfRule(_suspects("label", "label+features"), "rows", "suspects by label"),
    "max_feature_suspects": KindOfRule(_suspects("features", "label+features"), "rows", "suspects by features"),
    "max_noise_share": KindOfRule(_noise_share, "share", "estimated noise, by the lower end of its interval"),
    "max_class_suspects": KindOfRule(_class_suspects, "rows", "suspects of one class", "class"),
    "min_metric": KindOfRule(_metric(True), "metric", "what a model reaches", "metric", least=True),
    "max_metric": KindOfRule(_metric(False), "metric", "error that a model makes", "metric"),
    "max_removal_gain": KindOfRule(_removal_gain, "gain", "gain by removing rows"),
    "max_leakage": KindOfRule(_leakage, "rows", "validation and test rows that are in TRAIN"),
    "max_conflicting_duplicates": KindOfRule(_conflicts, "rows", "equal rows with different labels"),
    "max_invalid_cells": KindOfRule(_invalid_cells, "rows", "cells that do not fit the type of their column"),
    "max_target_leakage": KindOfRule(_target_leakage, "share", "how well a single column predicts the label"),
    "max_suspect_increase": KindOfRule(_increase, "share", "increase of the share of suspects since the baseline"),
}
"""Every rule, in the order in which they are reported."""

NEED_REMOVAL = frozenset({"min_metric", "max_metric", "max_removal_gain"})
"""Rules about models trained with fewer rows, which take time."""
