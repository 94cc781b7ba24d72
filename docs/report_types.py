"""lossval_cli/report/types.py and its part of docs/api.md: the types of report.json, from its schema."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "lossval_cli" / "report" / "schemas" / "report.schema.json"
MODULE = ROOT / "lossval_cli" / "report" / "types.py"

HEAD = '''\
"""What `Result.report` and report.json hold, as types. Made from schemas/report.schema.json by `python -m
docs.generate`: change that instead."""

from typing import Literal, NotRequired, TypedDict
'''
SIMPLE = {"string": "str", "number": "float", "integer": "int", "boolean": "bool", "null": "None"}
WIDTH = 120


class Kind(NamedTuple):
    """One object of the schema: its keys with their types."""

    name: str
    what: str
    fields: dict[str, str]


def report_types() -> list[Kind]:
    """The objects of the schema, each after those it holds."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    found: list[Kind] = []
    _object(schema, "Report", schema["$defs"], found)
    return found


def _object(schema: dict[str, Any], name: str, defs: dict[str, Any], found: list[Kind]) -> str:
    inner = "" if name == "Report" else name
    fields = {}
    for key, value in schema["properties"].items():
        kind = _type(value, inner + key.replace("+", "_and_").title().replace("_", ""), defs, found)
        fields[key] = kind if key in schema.get("required", ()) else f"NotRequired[{kind}]"
    same = next((each.name for each in found if each.fields == fields), None)
    if same is not None:
        return same
    if set(fields) == {"value", "low", "high"}:
        found.append(Kind("Interval", "A number and the ends of the interval it is likely in.", fields))
        return "Interval"
    found.append(Kind(name, schema.get("description", ""), fields))
    return name


def _type(schema: dict[str, Any], name: str, defs: dict[str, Any], found: list[Kind]) -> str:
    if "$ref" in schema:
        return _type(defs[schema["$ref"].rpartition("/")[2]], name, defs, found)
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return f"Literal[{', '.join(json.dumps(value) for value in values)}]"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " | ".join(_single(kind, schema, name, defs, found) for kind in kinds)


def _single(kind: str, schema: dict[str, Any], name: str, defs: dict[str, Any], found: list[Kind]) -> str:
    if kind == "array":
        one = _singular(name)
        return f"list[{_type(schema['items'], one, defs, found)}]"
    if kind == "object":
        if "properties" in schema:
            return _object(schema, name, defs, found)
        return f"dict[str, {_type(schema['additionalProperties'], name, defs, found)}]"
    return SIMPLE[kind]


def _singular(name: str) -> str:
    """The name of one of many: Suspect of Suspects, Class of Classes; of a name that is no plural, HealthItem."""
    for plural, singular in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if name.endswith(plural):
            return name.removesuffix(plural) + singular
    return f"{name}Item"


def types_module() -> str:
    """The text of lossval_cli/report/types.py."""
    return HEAD + "".join(f"\n\n{_source(kind)}" for kind in report_types())


def _source(kind: Kind) -> str:
    if not all(key.isidentifier() for key in kind.fields):
        items = ", ".join(f'"{key}": {one}' for key, one in kind.fields.items())
        arguments = f'"{kind.name}", {{{items}}}'
        short = f"{kind.name} = TypedDict({arguments})\n"
        return short if len(short) <= WIDTH else f"{kind.name} = TypedDict(\n    {arguments}\n)\n"
    what = " ".join(kind.what.split()) or f"A part of the report: {', '.join(kind.fields)}."
    doc = textwrap.fill(f'"""{what}"""', WIDTH - 4, initial_indent="    ", subsequent_indent="    ")
    lines = [line for key, one in kind.fields.items() for line in _line(key, one)]
    return "\n".join([f"class {kind.name}(TypedDict):", doc, "", *lines]) + "\n"


def _line(key: str, one: str) -> list[str]:
    line = f"    {key}: {one}"
    if len(line) <= WIDTH:
        return [line]
    start, _, rest = one.partition("[")
    return [f"    {key}: {start}[", f"        {rest[:-1]}", "    ]"]


def types_section() -> str:
    """The types as a list for docs/api.md, the report first."""
    lines = []
    for kind in reversed(report_types()):
        what = f" {' '.join(kind.what.split())}" if kind.what else ""
        keys = ", ".join(f"`{key}`: {one.replace('|', 'or')}" for key, one in kind.fields.items())
        lines.append(f"- **{kind.name}**:{what} {keys}")
    return "\n".join(lines)
