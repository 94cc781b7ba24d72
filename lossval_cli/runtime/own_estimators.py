"""Settings of scikit-learn for estimators that this package chose, not the user."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@contextmanager
def own_estimators() -> Iterator[None]:
    """Fit estimators without a check of their parameters, and classifiers on labels most of which occur once without
    a warning that the label might be meant as a number. Also a decorator.

    The check of the parameters of every tree of a forest takes up to a fifth of the time of a small table.
    """
    from sklearn import config_context

    _remember_parameters()
    with config_context(skip_parameter_validation=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        yield


@cache
def _remember_parameters() -> None:
    """Cache the signatures of trees, which a forest reads several times per tree. On a small table that saves a tenth
    of the time."""
    from sklearn.tree import ExtraTreeClassifier, ExtraTreeRegressor

    for kind in (ExtraTreeClassifier, ExtraTreeRegressor):
        kind.__init__.__signature__ = inspect.signature(kind.__init__)
