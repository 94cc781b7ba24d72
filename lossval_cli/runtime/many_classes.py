"""Silences scikit-learn's warning that a label with many classes might be meant as a number."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def many_classes_are_meant() -> Iterator[None]:
    """Fit classifiers on labels most of which occur once, without a warning. Also a decorator."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        yield
