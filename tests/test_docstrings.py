"""Public functions say what they take, in which shapes, what they return, what they raise, and where the method is
from."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lossval_cli
import lossval_cli.sklearn
import lossval_cli.torch
from lossval_cli.sklearn import LossValRanker
from lossval_cli.torch import LossVal

ARRAYS = re.compile(r"\b(Tensor|ArrayLike|NDArray)\b")
CANNOT_FAIL = {"Result.to_html", "Result.suspects", "Result.loaded", "LossVal.scores"}
"""They take nothing."""


def public() -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Name, function and docstring of every public function and method. An estimator documents what it is made of in
    its class, as scikit-learn's do."""
    kinds = [getattr(lossval_cli.torch, name) for name in lossval_cli.torch.__all__]
    kinds += [getattr(lossval_cli.sklearn, name) for name in lossval_cli.sklearn.__all__]
    for name in lossval_cli.__all__:
        found = getattr(lossval_cli, name)
        if inspect.isfunction(found):
            yield name, found, inspect.getdoc(found) or ""
        elif inspect.isclass(found) and not issubclass(found, Exception):
            kinds.append(found)
    for kind in kinds:
        for name, method in vars(kind).items():
            if inspect.isfunction(method) and not name.startswith("_") and name != "extra_repr":
                yield f"{kind.__name__}.{name}", method, inspect.getdoc(method) or ""
    yield "LossVal.__init__", LossVal.__init__, inspect.getdoc(LossVal.__init__) or ""
    yield "LossValRanker", LossValRanker.__init__, inspect.getdoc(LossValRanker) or ""


FOUND = {name: (function, doc) for name, function, doc in public()}


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return [one for name, one in inspect.signature(function).parameters.items() if name != "self"]


def test_every_public_name_is_looked_at() -> None:
    assert set(lossval_cli.__all__) - {"LossvalError", "LossvalWarning", "Result", "__version__"} <= set(FOUND)
    assert {"LossVal.__init__", "LossVal.forward", "LossVal.end_epoch", "LossValRanker", "LossValRanker.fit"} <= set(
        FOUND
    )
    assert {"Result.clean", "Result.write", "Result.suspects", "Result.to_html"} <= set(FOUND)


@pytest.mark.parametrize("name", FOUND)
def test_a_docstring_names_every_parameter(name: str) -> None:
    function, doc = FOUND[name]
    assert len(doc) > 30
    absent = [one.name for one in parameters(function) if not re.search(rf"\b{one.name}\b[^.]*?:|\b{one.name} \(", doc)]
    assert not absent


@pytest.mark.parametrize("name", FOUND)
def test_a_docstring_gives_the_shape_of_every_array(name: str) -> None:
    function, doc = FOUND[name]
    arrays = [one.name for one in parameters(function) if ARRAYS.search(str(one.annotation))]
    absent = [array for array in arrays if not re.search(rf"\b{array} \([A-Z], *[A-Z.]*\)|\b{array} \([A-Z],\)", doc)]
    assert not absent


@pytest.mark.parametrize("name", FOUND)
def test_a_docstring_says_what_is_returned_and_raised(name: str) -> None:
    function, doc = FOUND[name]
    if str(inspect.signature(function).return_annotation) not in ("None", str(inspect.Signature.empty)):
        assert "Returns" in doc
    if name not in {*CANNOT_FAIL, "LossValRanker"}:  # whose parameters are checked in `fit`, as scikit-learn wants it
        assert re.search(r"Raises\s\w+", doc)


def test_the_source_of_the_method_is_named() -> None:
    for doc in (FOUND["score"][1], LossVal.__doc__ or ""):
        assert "2412.04158" in doc
