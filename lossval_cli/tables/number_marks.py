"""Currencies, units, per cent and multipliers that numbers are written with: `$12`, `80 kg`, `45%`, `1.2K`, `12 DR`."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.cell_parts import Bools, Floats, Parts
from lossval_cli.text.format import quote

Counts = npt.NDArray[np.int64]

MULTIPLIERS: Final = {"K": 1e3, "k": 1e3, "M": 1e6, "B": 1e9, "bn": 1e9, "Mio": 1e6, "Mrd": 1e9, "T": 1e12}
_LEDGERS: Final = ({"CR": 1.0, "DR": -1.0}, {"H": 1.0, "S": -1.0}, {"C": 1.0, "D": -1.0})
"""Credit and debit, as banks write them: 1,250.00 Dr; 1.250,00 S (German: Soll); 1.250,00 D (Portuguese, Spanish)."""
_SHARES: Final = {"%": 1e-2, "‰": 1e-3}


class Marks(NamedTuple):
    """What the marks of U cells mean."""

    fits: Bools  # (U,)
    scales: Floats  # (U,)
    mark: str
    before: bool
    scale: float
    notes: list[str]


def decide_marks(parts: Parts, values: Floats, counts: Counts, allowed: int) -> Marks:
    """Which currencies and units are fine, and what they multiply: one mark for the column, or multipliers (1.2K)."""
    scales = np.ones(len(values))
    before = parts.has("currency") | parts.has("outside")
    prefix = pc.binary_join_element_wise(parts.text("outside"), parts.text("currency"), "")
    texts = pc.if_else(pa.array(before), prefix, parts.text("unit"))
    encoded = pc.dictionary_encode(pc.utf8_trim_whitespace(texts))
    index = np.asarray(encoded.indices)
    written: list[str] = encoded.dictionary.to_pylist()
    rows = np.bincount(index, weights=counts, minlength=len(written)).astype(np.int64)
    present = [i for i in np.argsort(-rows, kind="stable").tolist() if written[i] and rows[i]]
    marked, plain = (
        index != (written.index("") if "" in written else -1),
        int(rows[written.index("")]) if "" in written else 0,
    )
    if not present:
        return Marks(~marked, scales, "", False, 1.0, [])
    total = sum(int(rows[i]) for i in present)
    names = [written[i] for i in present]
    if set(names) <= set(MULTIPLIERS) and total > allowed and (len(names) > 1 or plain):
        factors = np.array([MULTIPLIERS.get(name, 1.0) for name in written])
        return Marks(np.ones(len(values), bool), factors[index], "", False, 1.0, [])
    letters = [name.rstrip(".").upper() for name in written]
    ledger = next((one for one in _LEDGERS if {letters[i] for i in present} <= set(one)), {})
    debit = min(ledger, key=lambda name: ledger[name], default="")
    both = len({letters[i] for i in present}) > 1
    if total > allowed and any(letters[i] == debit for i in present) and (both or len(debit) > 1):
        example = next(written[i] for i in present if letters[i] == debit)
        factors = np.array([ledger.get(name, 1.0) for name in letters])
        note = f"'12 {example}' is read as -12: {example} marks a debit"
        mark = "/".join(sorted(ledger, key=lambda name: ledger[name]))
        return Marks(np.ones(len(values), bool), factors[index], mark, False, 1.0, [note])
    main = names[0]
    same = np.array([_mark_key(name) == _mark_key(main) for name in written], bool)
    own = int(rows[same].sum())
    scale = _SHARES.get(main, 1.0)
    fits = same[index] | ~marked
    scales[same[index] & marked] = scale
    notes: list[str] = []
    is_prefix = bool(counts[before & same[index]].sum() > own / 2)
    if scale != 1.0 and plain:
        usual = values[~marked & (counts > 0)]
        fractions = np.quantile(np.abs(usual), 0.95) <= 1.5 if usual.size else True
        if not fractions and own > plain:
            scales[~marked] = scale  # 45% in a column of 45
        elif not fractions:
            fits = ~marked
            own = 0
    elif own <= allowed and plain and not (is_prefix or len(main) > 1 or not main.isalpha()):
        fits = ~marked  # 12A among house numbers is not 12
        own = 0
    if own and plain:
        verb = "is" if own == 1 else "are"
        notes.append(f"{own:,} of {own + plain:,} numbers {verb} written with {quote(main)}, which is left out")
    elif scale != 1.0 and own:
        notes.append(f"its numbers are shares: 45{main} is read as {45 * scale:g}")
    return Marks(fits, scales, main if own > plain else "", is_prefix, scale if own > plain else 1.0, notes)


def _mark_key(mark: str) -> str:
    """1 year and 2 years, KG and kg have one unit; M and m do not."""
    if len(mark) < 2 or not mark.isalpha():
        return mark
    folded = mark.casefold()
    return folded.removesuffix("s") if len(folded) > 3 else folded
