"""Free text in any script -> 32 numbers: TF-IDF of words and characters, along the directions that differ most.

Words and pairs of words say what a text is about; sequences of two to five characters catch endings, misspellings and
scripts that write no blanks between words. Both are hashed, so that no vocabulary is kept, weighed by how rare they are
(TF-IDF with sublinear frequency, Salton & Buckley 1988) and reduced by truncated SVD (latent semantic analysis).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lossval_cli.features.columns.scaling import Floats, unit_block

TEXT_WIDTH = 32
"""Most numbers a text becomes."""

WORD_BITS, CHARACTER_BITS = 15, 16
"""Sizes of the two hash tables, as powers of two."""

_WORD = r"(?u)\b\w+\b"

CHARACTERS = 400
"""Characters of a text that are looked at: the words of a long text say enough, and characters take long."""

FIT_TEXTS = 20_000
"""Different texts the directions are found on; more change them little and cost minutes."""

CHUNK = 10_000
"""Texts vectorised at once: bounds the sparse matrix in memory."""


def mean_words(texts: list[str]) -> float:
    """Words per text, on average."""
    return sum(len(text.split()) for text in texts) / max(1, len(texts))


class _NGrams:
    """Texts -> hashed counts of words and characters (n, n-grams), weighed once `fit` has seen the training texts."""

    def __init__(self) -> None:
        # Loaded for tables that hold text only: it takes as long as the encoding of a small table.
        from sklearn.feature_extraction.text import HashingVectorizer

        common = {"alternate_sign": False, "norm": None, "dtype": np.float32}
        self._words = HashingVectorizer(ngram_range=(1, 2), token_pattern=_WORD, n_features=2**WORD_BITS, **common)
        self._characters = HashingVectorizer(
            analyzer="char_wb", ngram_range=(2, 5), n_features=2**CHARACTER_BITS, **common
        )
        self._rarity: list[Floats] = []

    def fit(self, texts: list[str]) -> Any:
        """Learn how rare each n-gram is; returns the weighed texts. One that a single text has does not count."""
        counts = list(self._counts(texts))
        for matrix in counts:
            known_by = np.bincount(matrix.indices, minlength=matrix.shape[1])
            rarity = np.log((1 + len(texts)) / (1 + known_by)) + 1
            self._rarity.append(np.where(known_by < 2, 0.0, rarity) if len(texts) > 2 else rarity)
        return self._weighed(counts)

    def transform(self, texts: list[str]) -> Any:
        """Return a sparse matrix (n, n-grams), each of the two halves of length 1."""
        return self._weighed(list(self._counts(texts)))

    def _counts(self, texts: list[str]) -> Iterator[Any]:
        yield self._words.transform(texts)
        yield self._characters.transform([text[:CHARACTERS] for text in texts])

    def _weighed(self, counts: list[Any]) -> Any:
        from scipy.sparse import hstack
        from sklearn.preprocessing import normalize

        for matrix, rarity in zip(counts, self._rarity, strict=True):
            matrix.data = ((1 + np.log(matrix.data)) * rarity[matrix.indices]).astype(np.float32)
        return hstack([normalize(matrix, copy=False) for matrix in counts], format="csr")


@dataclass(frozen=True)
class TextEncoder:
    """Texts -> where they lie along the leading directions of training n-grams, and a missing indicator."""

    ngrams: _NGrams
    directions: npt.NDArray[np.float32]
    """(n-grams, d) orthonormal columns."""
    indicator: bool
    centres: Floats
    factor: float
    missing: float
    texts: int

    @classmethod
    def fit(cls, values: pa.ChunkedArray, levels: list[str], random_state: int) -> TextEncoder:
        """Fit on text `values` (N,); `levels` are its different texts, sorted, so the order of rows does not matter."""
        from sklearn.decomposition import TruncatedSVD

        ngrams = _NGrams()
        sample = ngrams.fit(levels[:: -(-len(levels) // FIT_TEXTS)])
        width = min(TEXT_WIDTH, min(sample.shape) - 1)
        # Texts of punctuation only have no n-grams at all.
        with np.errstate(divide="ignore", invalid="ignore"):
            svd = TruncatedSVD(width, random_state=random_state).fit(sample)
        missing = values.null_count / len(values)
        directions = np.ascontiguousarray(svd.components_.T, np.float32)
        draft = cls(ngrams, directions, missing > 0, np.zeros(0), 1.0, missing, len(levels))
        raw = draft._raw(values)
        centres, factor = unit_block(list(raw.T))
        return cls(ngrams, directions, missing > 0, centres, factor, missing, len(levels))

    @property
    def width(self) -> int:
        """Numbers this column becomes."""
        return int(self.directions.shape[1]) + int(self.indicator)

    def write(self, values: pa.ChunkedArray, out: npt.NDArray[np.float32]) -> None:
        """Encode text `values` (n,) into `out` (n, width)."""
        out[:] = (self._raw(values) - self.centres) * self.factor

    def _raw(self, values: pa.ChunkedArray) -> npt.NDArray[np.float32]:
        """Return the block (n, width) before it is weighed; a missing text has no n-grams, only the indicator."""
        indexed = pc.dictionary_encode(pc.fill_null(values, "").combine_chunks())
        texts = indexed.dictionary.to_pylist()
        raw = np.empty((len(texts), self.directions.shape[1]), np.float32)
        for start in range(0, len(texts), CHUNK):
            chunk = self.ngrams.transform(texts[start : start + CHUNK])
            raw[start : start + CHUNK] = chunk @ self.directions
        raw = raw[indexed.indices.to_numpy()]
        if self.indicator:
            absent = values.is_null().to_numpy().astype(np.float32)
            raw = np.column_stack([raw, absent])
        return raw

    def describe(self) -> dict[str, object]:
        """Describe the column for the run's record."""
        return {"missing_share": self.missing, "indicator": self.indicator, "texts": self.texts}
