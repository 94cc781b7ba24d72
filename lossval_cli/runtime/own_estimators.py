"""Settings of scikit-learn for estimators that this package chose, not the user."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_estimators() -> Iterator[None]:
    """Fit estimators without a check of their parameters, and classifiers on labels most of which occur once without
    a warning that the label might be meant as a number. Also a decorator.

    The check of the parameters of every tree of a forest takes up to a fifth of the time of a small table.
    """
    from sklearn import config_context

    with config_context(skip_parameter_validation=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        yield
