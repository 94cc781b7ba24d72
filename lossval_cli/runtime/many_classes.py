"""Classes of few rows are meant to be classes: scikit-learn's doubt about that concerns no user."""

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
