"""JSON lines, or an array of objects, written again with changes; all other characters are those of the input."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from lossval_cli.errors import ReadError
from lossval_cli.tables.json_lines import read_json
from lossval_cli.tables.rewrite import Added, Cells, Mask, Original
from lossval_cli.text.format import format_name

_BLANK = re.compile(r"\s*")
_DECODER = json.JSONDecoder()


class JsonOriginal(Original):
    """The text of a JSON file and where its N objects lie. `name` is for messages. Raises ReadError."""

    form = "JSON"

    def __init__(self, data: bytes, name: str) -> None:
        self.table = read_json(data, name).data
        self.name = name
        try:
            self._text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ReadError(f"{format_name(name)} is not UTF-8 and cannot be written back: save it as UTF-8") from error
        self.is_array = self._text.lstrip("\ufeff \t\r\n").startswith("[")
        self._spans = list(_elements(self._text) if self.is_array else _lines(self._text))

    def write(
        self,
        sink: BinaryIO,
        keep: Mask,
        *,
        cells: Sequence[Cells] = (),
        added: Added | None = None,
        rows_alone: bool = False,
    ) -> None:
        """The objects of `keep` (N,) to an open binary file; rows_alone: without what stands above the first and below
        the last. OSError passes through."""
        changes: dict[int, dict[str, Any]] = {}
        for one in cells:
            for row, value in zip(one.rows.tolist(), one.values.to_pylist(), strict=True):
                changes.setdefault(row, {})[one.column] = value
        if added is not None:
            for row in np.flatnonzero(keep).tolist():
                changes.setdefault(row, {})[added.column] = float(added.values[row])
        (start, _), (_, stop) = self._spans[0], self._spans[-1]
        between = self._text[self._spans[0][1] : self._spans[1][0]] if self.rows > 1 else "\n"
        kept = [(row, self._text[slice(*self._spans[row])]) for row in np.flatnonzero(keep).tolist()]
        texts = [_with(text, changes[row]) if row in changes else text for row, text in kept]
        above, below = ("", "") if rows_alone else (self._text[:start], self._text[stop:])
        sink.write((above + between.join(texts) + below).encode())


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of each line that is not blank, blanks around it left out."""
    for line in re.finditer(r"[^\n]+", text):
        bare = line[0].lstrip("\ufeff \t\r")
        if bare:
            yield line.end() - len(bare), line.start() + len(line[0].rstrip())


def _elements(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of each object of an array."""
    end = text.index("[") + 1
    while (start := _after(text, end, ",")) < len(text) and text[start] != "]":
        _, end = _DECODER.raw_decode(text, start)
        yield start, end


class _Member(NamedTuple):
    key_start: int
    key_stop: int
    start: int
    stop: int  # of the value


def _members(text: str) -> dict[str, _Member]:
    """Find where the keys and values of an object are."""
    found = {}
    end = text.index("{") + 1
    while text[start := _after(text, end, ",")] != "}":
        key, key_stop = _DECODER.raw_decode(text, start)
        value = _after(text, key_stop, ":")
        _, end = _DECODER.raw_decode(text, value)
        found[str(key)] = _Member(start, key_stop, value, end)
    return found


def _with(text: str, changes: Mapping[str, Any]) -> str:
    """An object with some values replaced, or added behind the others."""
    members = _members(text)
    edits, fresh = [], []
    for name, value in changes.items():
        if name in members:
            old = members[name]
            edits.append((old.start, old.stop, _written(value, json.loads(text[old.start : old.stop]))))
        else:
            fresh.append((json.dumps(name, ensure_ascii=False), _written(value, "")))
    for start, stop, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[stop:]
    if not fresh:
        return text
    places = list(_members(text).values())
    colon = text[places[0].key_stop : places[0].start] if places else ": "
    comma = text[places[0].stop : places[1].key_start] if len(places) > 1 else ", "
    end = places[-1].stop if places else text.index("{") + 1
    more = comma.join(f"{name}{colon}{value}" for name, value in fresh)
    return text[:end] + (comma if places else "") + more + text[end:]


def _written(value: Any, old: Any) -> str:
    """A value as JSON; a number that was read as text, since others of its column are text, stays a number."""
    if isinstance(value, str) and not isinstance(old, str):
        try:
            if isinstance(json.loads(value), bool | int | float):
                return value
        except ValueError:
            pass
    return json.dumps(value, ensure_ascii=False, default=str)


def _after(text: str, start: int, mark: str) -> int:
    """The first character behind blanks and one `mark`."""
    end = _BLANK.match(text, start).end()  # type: ignore[union-attr]
    if text[end : end + 1] == mark:
        end = _BLANK.match(text, end + 1).end()  # type: ignore[union-attr]
    return end
