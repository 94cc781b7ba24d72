"""Limits as people write them -> rules: `5%` fails above, `5%:3%` warns above 3% too, `:3%` only warns.

From options and from a `[check]` table in TOML, where the same text or a plain number may stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lossval_cli.checks.evaluate import KINDS_OF_RULE, KindOfRule, Level, Rule
from lossval_cli.errors import SettingsError
from lossval_cli.text.format import did_you_mean, quote
from lossval_cli.text.quantities import parse_quantity

DEFAULTS = {"max_suspects": "3%:2%", "max_noise_share": "5%:3%"}
"""What is asked of data when nothing is: rules that can be evaluated without a removal study or a --val. Tables without
errors are flagged in up to 2 % of their rows (docs/real-errors.md)."""

SWITCHES: dict[str, type] = {"baseline": str, "new_rows_only": bool, "strict": bool}
"""What else a `[check]` table may say."""


def rules_of(given: Mapping[str, object], *, option: bool) -> tuple[list[Rule], list[str]]:
    """Rules, and what is wrong with the others in words.

    given: kind -> a limit, or a mapping or `NAME=limit` texts where a rule is for one class or metric.
    option: whether to call them `--max-suspects` (or `check.max_suspects`) in what is said.
    """
    rules: list[Rule] = []
    problems: list[str] = []
    for name, value in given.items():
        called = "--" + name.replace("_", "-") if option else f"check.{name}"
        kind = KINDS_OF_RULE[name]
        try:
            pairs = _keyed(value, kind) if kind.keyed else {None: value}
        except ValueError as error:
            problems.append(f"{called} {error}")
            continue
        for key, limit in pairs.items():
            try:
                rules.append(Rule(name, key, *_levels(limit, kind)))
            except ValueError as error:
                problems.append(f"{called} {error}")
    return rules, problems


def read_check_table(table: object) -> tuple[list[Rule], dict[str, Any]]:
    """A `[check]` table -> its rules and its switches. Raises SettingsError with every problem found."""
    if not isinstance(table, Mapping):
        raise SettingsError([f"check must be a table, not {quote(table)}"])
    limits: dict[str, object] = {}
    switches: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in table.items():
        name = str(key).replace("-", "_")
        if name in KINDS_OF_RULE:
            limits[name] = value
        elif name in SWITCHES and isinstance(value, SWITCHES[name]):
            switches[name] = value
        elif name in SWITCHES:
            wanted = "true or false" if SWITCHES[name] is bool else "text"
            problems.append(f"check.{name} must be {wanted}, not {quote(value)}")
        else:
            known = [*KINDS_OF_RULE, *SWITCHES]
            hint = did_you_mean(name, known) or f"rules are {', '.join(KINDS_OF_RULE)}"
            problems.append(f"check.{name} is unknown: {hint}")
    rules, more = rules_of(limits, option=False)
    if problems + more:
        raise SettingsError(problems + more)
    return rules, switches


def merged(*sources: Sequence[Rule]) -> list[Rule]:
    """Rules of all `sources`, a later one in place of an earlier one about the same, in the order of
    KINDS_OF_RULE."""
    kept = {(rule.kind, rule.key): rule for source in sources for rule in source}
    order = list(KINDS_OF_RULE)
    return sorted(kept.values(), key=lambda rule: order.index(rule.kind))


def _keyed(value: object, kind: KindOfRule) -> dict[str | None, object]:
    """`{"yes": "3%"}` or `["yes=3%"]` -> name -> limit; a name may itself have a `=` in it."""
    if isinstance(value, Mapping):
        return {str(key): limit for key, limit in value.items()}
    pairs: dict[str | None, object] = {}
    for text in value if isinstance(value, list | tuple) else [value]:
        name, equals, limit = str(text).rpartition("=")
        if not equals or not name:
            raise ValueError(f"must be {kind.keyed.upper()}=LIMIT, not {quote(text)}")
        if name in pairs:
            raise ValueError(f"{quote(name)} is given more than once")
        pairs[name] = limit
    return pairs


def _levels(value: object, kind: KindOfRule) -> tuple[Level | None, Level | None]:
    """Parse `FAIL`, `FAIL:WARN` or `:WARN`; ValueError in words that follow the rule's name."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"must be a limit such as {_example(kind)}, not {quote(value)}")
    first, colon, second = str(value).strip().partition(":")
    fail = _level(first, kind) if first.strip() or not colon else None
    warn = _level(second, kind) if colon else None
    if fail is not None and warn is not None:
        if fail.share != warn.share:
            raise ValueError(f"has one level in % and one not: {quote(value)}")
        if warn.number < fail.number if kind.least else warn.number > fail.number:
            raise ValueError(f"would fail before it warns: {quote(value)} (write FAIL:WARN)")
    return fail, warn


def _level(text: str, kind: KindOfRule) -> Level:
    text = text.strip()
    try:
        number, share = parse_quantity(text)
    except ValueError:
        raise ValueError(f"must be a limit such as {_example(kind)}, not {quote(text)}") from None
    if kind.unit == "rows" and not share and number.denominator != 1:
        raise ValueError(f"must be a whole number of rows or a share such as 5%, not {quote(text)}")
    if kind.unit != "metric" and number < 0:
        raise ValueError(f"must not be below 0, not {quote(text)}")
    if (kind.unit == "share" or share) and number > 1:
        raise ValueError(f"must be a share from 0% to 100%, not {quote(text)}")
    if kind.unit == "share" and number == 1 and not share:
        raise ValueError(f"is ambiguous: {quote(text)} may mean 1% or 100%; write the % sign")
    if kind.unit == "share" or (kind.unit == "metric" and share):
        return Level(number, kind.unit == "share")
    return Level(number, share)


def _example(kind: KindOfRule) -> str:
    return {"rows": "5%, 20 or 5%:3%", "share": "10% or 10%:5%", "metric": "0.8 or 0.8:0.85"}.get(
        kind.unit, "1% or 0.01"
    )
