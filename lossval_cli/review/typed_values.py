"""Numbers that a reviewer types, written as their column writes them."""

from __future__ import annotations

import re

import numpy as np

from lossval_cli.errors import UsageError
from lossval_cli.tables.numbers import NumberForm
from lossval_cli.text.format import quote

_CLOCK = re.compile(r"\d+:\d\d(:\d\d)?")


def as_number(value: str, form: object, what: str) -> str:
    """A typed number as its column writes it: with a point, or as the column has them. Raises UsageError, which says
    `what`."""
    no_number = UsageError(f"{quote(value)} is not a number: {what}")
    if not isinstance(form, NumberForm):
        if parse_number(value) is None:
            raise no_number
        return value
    if form.is_clock and _CLOCK.fullmatch(value):
        return value
    is_marked = bool(form.mark) and form.mark in value  # 25% is 0.25, as it is predicted
    plain = value.replace(form.mark, "").strip() if is_marked else value
    number = parse_number(plain)
    if number is None:
        number = parse_number(plain.replace(form.group or " ", "").replace(form.decimal, "."))
    if number is None:
        raise no_number
    return form.write(number * form.scale if is_marked else number, None)


def parse_number(text: str) -> float | None:
    """A finite number with a decimal point; None for other texts."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
