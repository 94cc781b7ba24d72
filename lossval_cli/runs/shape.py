"""The parts of report.json that other commands read, checked so that a damaged file gives one clear error.

Not the shipped JSON schema: that describes what this version writes, and reports of earlier versions, which lack some
of it, are read too; and jsonschema, which would check it, is needed by the tests alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lossval_cli.text.format import quote

_NUMBER = (int, float)


@dataclass(frozen=True)
class _Maybe:
    """May be null or not there."""

    shape: Any


_INTERVAL = {"value": _NUMBER, "low": _NUMBER, "high": _NUMBER}

REPORT = {
    "summary": {
        "rows": int,
        "suspect_share": _NUMBER,
        "estimated_noise_share": _Maybe(_INTERVAL),
    },
    "data": {
        "tables": {"train": {"name": str}, "val": _Maybe({"rows": int}), "test": _Maybe({"rows": int})},
        "unlabelled": _Maybe({"rows": int}),
        "roles": {"label": str, "ids": [str], "task": str, "classes": _Maybe([object])},
    },
    "removal": _Maybe(
        {
            "metric": str,
            "greater_is_better": bool,
            "baseline": {"mean": _Maybe(_NUMBER)},
            "expected_gain": _Maybe({"value": _Maybe(_NUMBER), "low": _Maybe(_NUMBER), "high": _Maybe(_NUMBER)}),
        }
    ),
    "thresholds": _Maybe({"file": str, "label": _NUMBER, "features": _NUMBER}),
    "leakage": _Maybe({"val": _Maybe({"other_rows": int}), "test": _Maybe({"other_rows": int})}),
    "conflicting_duplicates": _Maybe({"rows": int}),
    "classes": _Maybe([{"label": object, "suspects": int, "rows": int}]),
    "suspects": _Maybe([{"row": int, "reason": _Maybe(str)}]),
}
"""A dict: keys that are there, whatever else is; a list: each of its items; types: one of them, booleans not
being numbers."""


def check_shape(value: object, shape: Any = REPORT, where: str = "report.json") -> None:
    """Raise ValueError, which says where, for the first value that does not have its `shape`."""
    if isinstance(shape, _Maybe):
        if value is None:
            return
        shape = shape.shape
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            raise ValueError(f"{where} is {quote(value)}")
        for key, inner in shape.items():
            here = f"{where}: {key}" if where == "report.json" else f"{where}.{key}"
            if inner is object and key not in value:
                raise ValueError(f"{here} is not there")
            check_shape(value.get(key), inner, here)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise ValueError(f"{where} is {quote(value)}")
        for i, item in enumerate(value):
            check_shape(item, shape[0], f"{where}[{i}]")
    elif not isinstance(value, shape) or (isinstance(value, bool) and shape in (int, _NUMBER)):
        raise ValueError(f"{where} is {quote(value)}")
