"""Free text -> at most 16 numbers: hashed n-grams along the directions in which training texts differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.features.columns.scaling import Floats, unit_block

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import HashingVectorizer

TEXT_WIDTH = 16
"""Most numbers a text becomes."""

LONG_TEXT_WORDS = 8
"""From here on words carry the text; shorter ones (names, codes) are told apart by their letters."""

FIT_TEXTS = 20_000
"""Different texts the directions are found on; more change them little and cost minutes."""

CHUNK = 20_000
"""Texts vectorised at once: bounds the sparse matrix in memory."""


def mean_words(texts: list[str]) -> float:
    """Words per text, on average."""
    return sum(len(text.split()) for text in texts) / max(1, len(texts))


@dataclass(frozen=True)
class TextEncoder:
    """Texts -> their place along the leading directions of training n-grams, and a missing indicator."""

    vectorizer: HashingVectorizer
    directions: npt.NDArray[np.float64]
    """(n-grams, d) orthonormal columns."""
    indicator: bool
    centres: Floats
    factor: float
    missing: float
    texts: int

    @classmethod
    def fit(cls, values: pa.ChunkedArray, levels: list[str], random_state: int) -> TextEncoder:
        """Fit on text `values` (N,); `levels` are its different texts, sorted, so row order is no matter."""
        # Loaded for tables that hold text only: it takes as long as the encoding of a small table.
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import HashingVectorizer

        long = mean_words(levels[:: max(1, len(levels) // 1000)]) >= LONG_TEXT_WORDS
        vectorizer = HashingVectorizer(
            analyzer="word" if long else "char_wb",
            ngram_range=(1, 2) if long else (2, 4),
            n_features=2**13,
            alternate_sign=False,
            token_pattern=r"(?u)\b\w+\b" if long else None,
        )
        sample = vectorizer.transform(levels[:: -(-len(levels) // FIT_TEXTS)])
        width = min(TEXT_WIDTH, min(sample.shape) - 1)
        # Texts of punctuation only have no n-grams at all.
        with np.errstate(divide="ignore", invalid="ignore"):
            svd = TruncatedSVD(width, random_state=random_state).fit(sample)
        missing = values.null_count / len(values)
        directions = np.ascontiguousarray(svd.components_.T)
        draft = cls(vectorizer, directions, missing > 0, np.zeros(0), 1.0, missing, len(levels))
        raw = draft._raw(values)
        centres, factor = unit_block(list(raw.T))
        return cls(vectorizer, directions, missing > 0, centres, factor, missing, len(levels))

    @property
    def width(self) -> int:
        """Numbers this column becomes."""
        return int(self.directions.shape[1]) + int(self.indicator)

    def write(self, values: pa.ChunkedArray, out: npt.NDArray[np.float32]) -> None:
        """Encode text `values` (n,) into `out` (n, width)."""
        out[:] = (self._raw(values) - self.centres) * self.factor

    def _raw(self, values: pa.ChunkedArray) -> npt.NDArray[np.float32]:
        """(n, width) before the block is weighed; a missing text has no n-grams, only the indicator."""
        indexed = pc.dictionary_encode(pc.fill_null(values, "").combine_chunks())
        texts = indexed.dictionary.to_pylist()
        raw = np.empty((len(texts), self.directions.shape[1]), np.float32)
        for start in range(0, len(texts), CHUNK):
            chunk = self.vectorizer.transform(texts[start : start + CHUNK])
            raw[start : start + CHUNK] = chunk @ self.directions
        raw = raw[indexed.indices.to_numpy()]
        if self.indicator:
            absent = values.is_null().to_numpy().astype(np.float32)
            raw = np.column_stack([raw, absent])
        return raw

    def describe(self) -> dict[str, object]:
        """For the run's record."""
        return {"missing_share": self.missing, "indicator": self.indicator, "texts": self.texts}
