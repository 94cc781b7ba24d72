"""Words in a cell that mean that its value is missing.

Three lists, each used where it is safe (docs/tables.md shows them to the user):

- ALWAYS: technical spellings of null. Missing in every column.
- UNQUOTED: words that are values in some tables (NA is Namibia, None a degree of severity). Missing in columns of
  numbers, dates and booleans, and in a label column where they are not quoted. A level of its own elsewhere.
- WORDY: cells that say why there is no value. Missing in columns of numbers, dates and booleans; where they are rare
  they are listed as invalid cells, since most of the column writes a missing value otherwise.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

EMPTY_ONLY: Final = "empty"
"""The value of `--missing` by which no word means missing, only an empty cell."""


def _cases(*words: str) -> tuple[str, ...]:
    """Return each word as it is, in lower case, upper case and with a capital."""
    return tuple(
        dict.fromkeys(form for word in words for form in (word, word.lower(), word.upper(), word.capitalize()))
    )


ALWAYS: Final = (
    "",
    *("?", "\\N", "N/A", "n/a", "NaN", "nan", "NULL", "null", "Null", "<NA>", "<na>", "NaT", "nat"),
    *("<null>", "<NULL>", "(null)", "(NULL)", "[null]", "[NULL]", "#N/A N/A", "-nan", "-NaN", "NAN", "Nan"),
    *("1.#QNAN", "-1.#QNAN", "1.#IND", "-1.#IND", "+nan"),
)

UNQUOTED: Final = ("NA", "None", "-")

TYPED: Final = (
    *_cases("na", "none", "nil", "n.a.", "n.a", "n/a", "null", "nan", "<na>", "<none>", "<missing>"),
    *(
        "N.A.",
        "N.A",
        "--",
        "---",
        "----",
        "–",
        "—",
        "―",
        "−",
        ".",
        "..",
        "...",
        "…",
        ":",
        "*",
        "**",
        "/",
        "//",
        "_",
        "~",
        "??",
        "???",
    ),
    *("undefined", "#NV"),
)
"""Missing in columns of numbers, dates and booleans, in addition to ALWAYS and UNQUOTED."""

WORDY: Final = (
    *_cases("unknown", "missing", "not available", "not applicable", "unavailable", "not known", "no data", "nodata"),
    *_cases("not recorded", "not measured", "not reported", "unspecified", "tbd", "n/d", "n.d.", "nd", "n/k", "unk"),
    *_cases("blank", "void", "inf", "-inf", "+inf", "infinity", "-infinity", "error", "err"),
    *_cases("#n/a", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!", "#spill!", "#calc!", "#error!"),
    *_cases(
        "keine angabe", "k.a.", "k. a.", "unbekannt", "inconnu", "non disponible", "desconocido", "s/d", "onbekend"
    ),
    *_cases(
        "sconosciuto", "desconhecido", "okänd", "ukjent", "brak", "brak danych", "нет данных", "不明", "未知", "无"
    ),
    *("00000000", "0000-00-00", "0000-00-00 00:00:00", "0/0/0000", "00/00/0000", "00.00.0000"),
)


def missing_words(words: tuple[str, ...] | None, kind: str) -> pa.Array:
    """The cells that are missing in a column of one kind: text, label or typed (numbers, dates, booleans).

    words: of `--missing`, which replace all lists; an empty cell is missing whatever they are.
    """
    if words is not None:
        return pa.array(["", *words])
    return pa.array({"text": ALWAYS, "label": (*ALWAYS, *UNQUOTED), "typed": _ALL_TYPED}[kind])


_ALL_TYPED: Final = tuple(dict.fromkeys((*ALWAYS, *UNQUOTED, *TYPED)))


def without_missing(trimmed: pa.ChunkedArray, words: pa.Array) -> pa.ChunkedArray:
    """Trimmed text (N,) with the cells that are one of `words` null."""
    missing = pc.is_in(trimmed, value_set=words.cast(trimmed.type))
    if not pc.any(missing, min_count=0).as_py():
        return trimmed
    return pc.if_else(missing, pa.scalar(None, trimmed.type), trimmed)
