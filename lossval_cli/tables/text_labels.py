"""Whether a label that is written as text is a number or a class: 3.5 is a number, 01 is a class."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.column_types import TypedColumn
from lossval_cli.tables.missing import missing_words
from lossval_cli.tables.numbers import NumberForm

_PLAIN_LABEL: Final = r"^[+-]?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?$"
_LONG_LABEL: Final = r"^[+-]?[1-9]\d{15,18}$"
_FEW_CLASSES, _ROWS_PER_CLASS = 20, 5


def is_text_label(stored: pa.ChunkedArray, column: TypedColumn) -> bool:
    """Return whether a label written as text is compared as text: any but plain numbers (01, 1E2, 20 digits), and few
    different dates or amounts with a unit, which are classes."""
    dtype, form = column.type.dtype, column.type.form
    if pa.types.is_string(dtype) or pa.types.is_nested(dtype):
        return True
    if pa.types.is_boolean(dtype):
        return len(column.invalid) > 0
    distinct = pc.count_distinct(column.values).as_py()
    is_few = distinct <= _FEW_CLASSES and distinct * _ROWS_PER_CLASS <= len(stored)
    if pa.types.is_timestamp(dtype):
        return bool(is_few)
    if isinstance(form, NumberForm):
        return bool(is_few and (form.mark or form.is_clock))
    cells = pc.unique(pc.utf8_trim_whitespace(stored.cast(pa.string())).drop_null().combine_chunks())
    words = pc.is_in(cells, value_set=missing_words(None, "typed"))
    cells = cells.filter(pc.invert(words))
    if pc.any(pc.match_substring_regex(cells, r"^[+-]?0\d|^0[xX]")).as_py():
        return True
    if is_few and len(column.invalid):
        return True
    is_plain = pc.match_substring_regex(cells, _PLAIN_LABEL)
    if pa.types.is_integer(dtype):
        is_plain = pc.or_(is_plain, pc.match_substring_regex(cells, _LONG_LABEL))
    return bool(is_few and not pc.all(is_plain, min_count=0).as_py())
