"""docs/api.md: the public names of the package, from their signatures and docstrings."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable

import lossval_cli
from docs.report_types import types_section
from lossval_cli import errors
from lossval_cli.api import RUN_OPTIONS, TABLE_OPTIONS
from lossval_cli.sklearn import LossValRanker
from lossval_cli.torch import LossVal

INTRODUCTION = """\
# Python

<!-- Made by `python -m docs.generate`: change the code instead. -->

`import lossval_cli` loads nothing heavy; PyTorch comes with the first use of `score`. Everything else in the package
may change between versions.
"""
EXAMPLE = """\
```python
import lossval_cli

result = lossval_cli.score("data.csv", "val.csv", label="quality", ids="id", removal="off", epochs=4, members=4)
print(result)
print(result.suspects().head())
better = result.clean(drop="features", relabel=True)  # a DataFrame
result.write("quality.lossval", force=True)  # a run directory for the other commands
print(lossval_cli.check(result, max_suspects="20%").passed)
```
"""


REPORT = """\
The types are in `lossval_cli.report.types`: `Result.report` is a `Report`, which type checkers and editors know."""


def api_page() -> str:
    """The page."""
    parts = [INTRODUCTION, EXAMPLE]
    doc = inspect.getdoc(lossval_cli.score) or ""
    parts += [
        "## lossval_cli.score",
        f"```text\n{signature(lossval_cli.score)}\n```",
        paragraphs(doc, lossval_cli.score),
    ]
    parts += ["## lossval_cli.Result", inspect.getdoc(lossval_cli.Result) or "", result_fields()]
    parts += ["## Result.report", REPORT, types_section()]
    for function in (lossval_cli.check, lossval_cli.diff, lossval_cli.calibrate, lossval_cli.acquire):
        text = f"```text\n{signature(function)}\n```"
        parts += [f"## lossval_cli.{function.__name__}", text, paragraphs(inspect.getdoc(function) or "", function)]
    for kind in (LossVal, LossValRanker):
        text = f"```text\n{signature(kind)}\n```"
        parts += [f"## {kind.__module__}.{kind.__name__}", text, inspect.getdoc(kind) or "", methods(kind)]
    parts += ["## lossval_cli.LossvalError", "Every error that a user can cause, one line each; by kind:", error_tree()]
    parts += ["## lossval_cli.LossvalWarning", inspect.getdoc(lossval_cli.LossvalWarning) or ""]
    parts += ["## lossval_cli.\\_\\_version\\_\\_", "The version, as `lossval --version` prints it."]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


class _Bare(str):
    """An annotation that is shown without the quotes of a string."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def methods(kind: type) -> str:
    """The methods of a class that it documents itself, with their docstrings."""
    shown = {"__init__", "forward", "fit"}
    lines = []
    for name, method in vars(kind).items():
        text = method.__doc__ if inspect.isfunction(method) else None
        if text and (name in shown or not name.startswith("_")) and name != "extra_repr":
            lines.append(f"- `{name}{inline_signature(method)}`: {' '.join(text.split())}")
    return "\n".join(lines)


def inline_signature(method: Callable[..., object]) -> str:
    """`(...) -> ...` of a method, without `self`."""
    found = inspect.signature(method)
    own = [each.replace(annotation=_Bare(each.annotation)) for each in list(found.parameters.values())[1:]]
    returns = "" if found.return_annotation in ("None", found.empty) else f" -> {found.return_annotation}"
    return f"{inspect.Signature(own)}{returns}"


def signature(function: Callable[..., object]) -> str:
    """`name(...)`, one parameter per line."""
    found = inspect.signature(function)
    lines, keywords = [], False
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keywords:
            keywords = True
            lines.append("*,")
        lines.append(f"{parameter.replace(annotation=_Bare(parameter.annotation))},")
    returns = "" if isinstance(function, type) else f" -> {found.return_annotation}"
    return f"{function.__name__}(\n" + textwrap.indent("\n".join(lines), "    ") + f"\n){returns}"


def paragraphs(text: str, function: Callable[..., object]) -> str:
    """A docstring as Markdown: its paragraphs, and each `name: what it is` on a line of its own."""
    names = {*inspect.signature(function).parameters, *TABLE_OPTIONS, *RUN_OPTIONS}
    blocks = []
    for paragraph in text.split("\n\n"):
        joined = " ".join(paragraph.split())
        pieces, start = [], 0
        for i in range(len(joined)):
            listed = joined[i:].partition(":")[0].split(",")
            if (i == 0 or joined[i - 2 : i] == ". ") and all(name.strip() in names for name in listed):
                pieces.append(joined[start:i].strip())
                start = i
        pieces = [piece for piece in (*pieces, joined[start:].strip()) if piece]
        blocks += ["\n".join(f"- {_coded(piece)}" for piece in pieces)] if len(pieces) > 1 else pieces
    return "\n\n".join(blocks)


def _coded(piece: str) -> str:
    names, _, what = piece.partition(":")
    return ", ".join(f"`{name.strip()}`" for name in names.split(",")) + f":{what}"


def result_fields() -> str:
    """Fields, properties and methods of `Result`, with the string that follows each."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(lossval_cli.Result))).body
    assert isinstance(body, ast.ClassDef)
    lines = []
    for node, following in zip(body.body, [*body.body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            said = following.value if isinstance(following, ast.Expr) else None
            text = str(said.value) if isinstance(said, ast.Constant) else ""
            lines.append(_field(node.target.id, ast.unparse(node.annotation), text))
        elif isinstance(node, ast.FunctionDef) and isinstance(getattr(lossval_cli.Result, node.name), property):
            returns = ast.unparse(node.returns) if node.returns else ""
            lines.append(_field(node.name, returns, ast.get_docstring(node) or ""))
    lines.append(methods(lossval_cli.Result))
    return "\n".join(lines)


def _field(name: str, kind: str, what: str) -> str:
    said = " ".join(what.split())
    return f"- `{name}` ({kind})" + (f": {said}" if said else "")


def error_tree() -> str:
    """The exceptions, indented by inheritance."""
    lines = []

    def walk(kind: type, depth: int) -> None:
        lines.append(f"{'    ' * depth}- `{kind.__name__}`: {' '.join((inspect.getdoc(kind) or '').split())}")
        for child in kind.__subclasses__():
            if child.__module__ == errors.__name__:
                walk(child, depth + 1)

    walk(errors.LossvalError, 0)
    return "\n".join(lines)
