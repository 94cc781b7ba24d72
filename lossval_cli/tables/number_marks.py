"""Currencies, units, per cent and multipliers that numbers are written with: `$12`, `80 kg`, `45%`, `1.2K`, `12 DR`."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.tables.cell_parts import Bools, Floats, Parts, matches
from lossval_cli.text.format import quote

Counts = npt.NDArray[np.int64]

_EASTERN: Final = dict.fromkeys(("万", "萬", "만"), 1e4) | dict.fromkeys(("亿", "億", "억"), 1e8)
"""Counts that stand before a unit, too: 3.5万元."""
_COUNTS: Final = {
    **dict.fromkeys(("K", "k", "Tsd", "thousand"), 1e3),
    **dict.fromkeys(("M", "Mn", "mn", "Mio", "mio", "mln", "million", "millions"), 1e6),
    **dict.fromkeys(("B", "bn", "Bn", "Mrd", "mrd", "billion", "billions"), 1e9),
    **dict.fromkeys(("T", "tn", "trillion"), 1e12),
    **_EASTERN,
    **dict.fromkeys(("Lac", "lac", "Lacs", "Lakh", "lakh", "Lakhs", "lakhs"), 1e5),
    **dict.fromkeys(("Crore", "crore", "Crores", "crores"), 1e7),
}
"""Multipliers behind numbers: 1.2K, 3.5万."""
_COUNTS_IN_COMPANY: Final = {"m": 1e6, "G": 1e9, "Cr": 1e7, "cr": 1e7}
"""Counts only beside others: `m` alone is metres, and `Cr` is credit."""
_PREFIXES = _EASTERN | {
    "p": 1e-12,
    "n": 1e-9,
    "mc": 1e-6,
    "u": 1e-6,
    "µ": 1e-6,
    "μ": 1e-6,
    "m": 1e-3,
    "c": 1e-2,
    "": 1.0,
}
_PREFIXES |= {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_PREFIXES |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
SCALED: Final = "R"
"""The unit of electronic parts (100n, 2R2, 10k), whose prefixes need no unit behind them."""
_SMALL: Final = frozenset("n u µ μ Ω Ki Mi Gi Ti".split())  # noqa: SIM905
"""Prefixes that are never multipliers: beside them m is a thousandth, not a million, and p (1080p) is a prefix."""
_BASES: Final = frozenset(
    "B b bit bps byte bytes m g s Hz W Wh V A Ah Ω F L l Pa J eV M mol cal bp t Ohm ohm 元 円 원".split()  # noqa: SIM905
)
"""Units that are written with prefixes: kB and MB, mg and g."""
_SIGNS: Final = (
    *({"CR": 1.0, "DR": -1.0}, {"H": 1.0, "S": -1.0}, {"C": 1.0, "D": -1.0}),
    *({"N": 1.0, "S": -1.0}, {"E": 1.0, "W": -1.0}),
)
"""Credit and debit, as banks write them: 1,250.00 Dr; 1.250,00 S (German: Soll); 1.250,00 D (Portuguese, Spanish); and
degrees north and south, east and west."""
_SHARES: Final = {"%": 1e-2, "‰": 1e-3}


def multiplier(mark: str) -> float | None:
    """Factor of a multiplier behind a currency: 1e6 for the M of $1.2M; None for anything else."""
    mark = mark.strip()
    return _COUNTS.get(mark, _COUNTS_IN_COMPANY.get(mark))


class Marks(NamedTuple):
    """The meaning of the marks of U cells."""

    fits: Bools  # (U,)
    scales: Floats  # (U,)
    mark: str
    before: bool
    scale: float
    notes: list[str]
    is_counted: bool = False


class _Written(NamedTuple):
    """The marks of a column as they are written."""

    names: list[str]  # distinct marks, "" for none
    which: Counts  # (n,) index into names of the mark of each cell
    rows: Counts  # (names,) number of rows with each mark
    present: list[int]  # indices of the marks that occur, the most frequent first

    @classmethod
    def of(cls, parts: Parts, before: Bools, counts: Counts) -> _Written:
        prefix = pc.binary_join_element_wise(parts.text("outside"), parts.text("currency"), "")
        texts = pc.if_else(pa.array(before), prefix, parts.text("unit"))
        encoded = pc.dictionary_encode(pc.utf8_trim_whitespace(texts))
        which, names = np.asarray(encoded.indices), encoded.dictionary.to_pylist()
        rows = np.bincount(which, weights=counts, minlength=len(names)).astype(np.int64)
        present = [i for i in np.argsort(-rows, kind="stable").tolist() if names[i] and rows[i]]
        return cls(names, which, rows, present)

    @property
    def marked(self) -> Bools:
        """(n,) cells with a mark."""
        result: Bools = self.which != (self.names.index("") if "" in self.names else -1)
        return result

    @property
    def plain(self) -> int:
        """Number of rows without a mark."""
        return int(self.rows[self.names.index("")]) if "" in self.names else 0

    @property
    def total(self) -> int:
        """Number of rows with a mark."""
        return int(self.rows[self.present].sum())


def decide_marks(parts: Parts, values: Floats, counts: Counts, allowed: int, base: str | None) -> Marks:
    """Decide which currencies and units fit, and their factors: one mark for the column, multipliers (1.2K), or units
    with prefixes (m and km). base: the unit that has prefixes in the training table, '' for counts, None for neither.
    """
    before = parts.has("currency") | parts.has("outside")
    written = _Written.of(parts, before, counts)
    if not written.present:
        return Marks(~written.marked, np.ones(len(values)), "", False, 1.0, [])
    names = [written.names[i] for i in written.present]
    base = base if base is not None or written.total <= allowed else _common_base(names, written.plain)
    if base is not None:
        factors = np.array([_factor(name, base) for name in written.names])
        differ = [f"its units differ: {_example(parts, written.which, factors, values)}"] if base else []
        scales = factors[written.which]
        return Marks(np.isfinite(scales), np.nan_to_num(scales), base, False, 1.0, differ, True)
    if written.total > allowed:
        sides = _decide_sides(written, values)
        if sides is not None:
            return sides
        if written.plain > written.total and len(names) > 1 and _are_flags(names):
            apart = matches(parts.text("body"), r"[., ]")  # 12a is a house, 12.5 e an estimate
            if counts[written.marked & apart].sum() >= written.total - allowed:
                note = f"{written.total:,} numbers are read without the letter after them"
                return Marks(~written.marked | apart, np.ones(len(values)), "", False, 1.0, [note])
    return _decide_main(written, before, values, counts, allowed)


def _decide_sides(written: _Written, values: Floats) -> Marks | None:
    """Read marks as signs: D and C of debits and credits, S and N of latitudes. None where they are not signs."""
    letters = [name.strip(".° ").upper() for name in written.names]
    found = {letters[i] for i in written.present}
    signs = next((one for one in _SIGNS if found <= set(one)), None)
    if signs is None:
        return None
    negative = min(signs, key=lambda name: signs[name])
    is_money = not {"N", "W"} & set(signs) or bool((values[written.marked] % 1 != 0).any())  # 12N, 14S may be seats
    if not (is_money and negative in found and (len(found) > 1 or len(negative) > 1)):
        return None
    example = next(written.names[i] for i in written.present if letters[i] == negative)
    factors = np.array([signs.get(name, 1.0) for name in letters])
    what = "marks a debit" if not {"N", "W"} & set(signs) else "marks the negative side"
    note = f"'12 {example}' is read as -12: {example} {what}"
    mark = "/".join(sorted(signs, key=lambda name: signs[name]))
    return Marks(np.ones(len(values), bool), factors[written.which], mark, False, 1.0, [note])


def _decide_main(written: _Written, before: Bools, values: Floats, counts: Counts, allowed: int) -> Marks:
    """Take the most frequent mark for that of the column, or read no cell with it."""
    marked, plain = written.marked, written.plain
    main = written.names[written.present[0]]
    same = np.array([_mark_key(name) == _mark_key(main) for name in written.names], bool)
    own = int(written.rows[same].sum())
    has_main = same[written.which]
    scale = _SHARES.get(main, 1.0)
    fits = has_main | ~marked
    scales = np.ones(len(values))
    scales[has_main & marked] = scale
    notes: list[str] = []
    is_prefix = bool(counts[before & has_main].sum() > own / 2)
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


def _are_flags(names: list[str]) -> bool:
    """Return True if marks are single letters, or combinations of these letters: b, e and be."""
    letters = {name for name in names if len(name) == 1}
    return all(name.isalpha() and set(name) <= letters for name in names)


def _common_base(names: list[str], plain: int) -> str | None:
    """'' where the marks are counts (1.2K, 3.5万) and not one that all numbers have; the unit where they are one unit
    with different prefixes (m and km, KB and MB); else None."""
    if len(names) == 1 and not plain:
        return None
    if not plain:
        units = (base for base in sorted(_BASES) if all(np.isfinite(_factor(name, base)) for name in names))
        if (unit := next(units, None)) is not None:
            return unit
    is_small = bool(set(names) & _SMALL) or {"R", "k"} <= set(names)  # 3R and 4K are no resistors
    if len(set(names)) > 1 and is_small and all(np.isfinite(_factor(name, SCALED)) for name in names):
        return SCALED
    return "" if set(names) & set(_COUNTS) and all(np.isfinite(_factor(name, "")) for name in names) else None


def _factor(name: str, base: str) -> float:
    """Factor of a mark in the unit `base` (multipliers: ''), NaN where it does not belong to this unit."""
    if not name:
        return 1.0
    if not base:
        return multiplier(name) or np.nan
    if base == SCALED:
        return 1.0 if name in ("R", "r", "Ω") else _PREFIXES.get(name, np.nan)
    return _PREFIXES.get(name.removesuffix(base), np.nan) if name.endswith(base) else np.nan


def _example(parts: Parts, index: Counts, times: Floats, values: Floats) -> str:
    """Return `'1.2 km' is read as 1200`."""
    i = int(np.argmax(np.where(np.isfinite(values) & (times[index] != 1.0), 1, 0)))
    written = f"{parts.text('body')[i].as_py().strip()} {parts.text('unit')[i].as_py().strip()}"
    return f"{quote(written)} is read as {values[i] * times[index][i]:g}"


def _mark_key(mark: str) -> str:
    """1 year and 2 years, KG and kg have one unit; M and m do not."""
    if len(mark) < 2 or not mark.isalpha():
        return mark
    folded = mark.casefold()
    return folded.removesuffix("s") if len(folded) > 3 else folded
