"""Which rows of two runs are the same row: matched by ids or by content, never by position.

A key that several rows share does not say which is which; it is completed by the content of the row, and where the
tables are not at hand for that, the runs cannot be compared.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lossval_cli.errors import UsageError
from lossval_cli.features.identifier_names import is_unnamed
from lossval_cli.features.row_keys import row_keys
from lossval_cli.runs.loaded import LoadedRun, loaded_run
from lossval_cli.runs.scores_io import as_text
from lossval_cli.runtime.sharing import row_blocks, share
from lossval_cli.tables.streamed import StreamedTable
from lossval_cli.tables.table import Table
from lossval_cli.text.format import format_name, join_names, pluralize, quote

if TYPE_CHECKING:  # it brings PyTorch along
    from lossval_cli.features.dataset import Dataset

_POSITION = "row "

MOST_KEYED = 200_000

NAMED = 3
"""Repeated keys that a message names."""


@dataclass(frozen=True)
class Matching:
    """Matching of the rows of two runs. `i` and `j` are indices in rank order."""

    by: str
    """ids, ids+content, content, or row (where both runs are of one unchanged table)."""
    pairs: list[tuple[int, int]]
    """(i, j) of rows in both runs, in the order of the second."""
    only_first: list[int]
    only_second: list[int]
    relabelled: list[int]
    """j of rows in both whose label is another one."""
    edited: list[int] | None
    """j of rows in both that hold other features; None where the tables are not at hand."""


def match_rows(first: LoadedRun, second: LoadedRun) -> Matching:
    """Match the rows of two runs. Raises UsageError, which names repeated keys, where rows cannot be distinguished."""
    by, keys = _shared_keys([first, second])
    index = {key: i for i, key in enumerate(keys[0])}
    pairs = [(index[key], j) for j, key in enumerate(keys[1]) if key in index]
    matched = {i for i, _ in pairs}
    both = {j for _, j in pairs}
    return Matching(
        by=by,
        pairs=pairs,
        only_first=[i for i in range(len(first.row)) if i not in matched],
        only_second=[j for j in range(len(second.row)) if j not in both],
        relabelled=[j for i, j in pairs if not same_label(first.given[i], second.given[j])],
        edited=_edited(first, second, pairs) if by.startswith("ids") else [],
    )


class Identity(NamedTuple):
    """Keys by which the N rows of a table are recognised, (N,) each, in the order of the file."""

    ids: list[str] | None
    """Cells of the named id columns, as JSON; None where there are none."""
    contents: list[str] | None
    """Hashes of all cells, label and unnamed columns aside; None where the table is not at hand."""
    given: list[str | None]
    """Labels."""


def identify_run(run: LoadedRun) -> Identity:
    """The rows of a run."""
    order = np.argsort(run.row).tolist()
    names = sorted(name for name in run.ids if not is_unnamed(name))
    keys = _joined([run.ids[name] for name in names]) if names else None
    label, table = run.report["data"]["roles"]["label"], run.train
    contents = None if table is None else _whole_contents(table, label)
    return Identity(None if keys is None else [keys[i] for i in order], contents, [run.given[i] for i in order])


def identify_table(table: Table, label: str, ids: Sequence[str]) -> Identity:
    """The rows of a table, in their order."""
    names = sorted(name for name in ids if not is_unnamed(name))

    def texts(name: str) -> list[str | None]:
        cells: list[str | None] = as_text(table.as_given(name).combine_chunks()).to_pylist()
        return cells

    keys = _joined([texts(name) for name in names]) if names else None
    return Identity(keys, _whole_contents(table, label), texts(label))


def _whole_contents(table: Table, label: str) -> list[str] | None:
    names = _content_columns(table, label)
    return hash_rows(table, names) if names else None


def own_keys(run: LoadedRun) -> list[str]:
    """Return a key (N,) for each row of one run, the same wherever in the file the row stands as long as that can
    be."""
    try:
        return _shared_keys([run])[1][0]
    except UsageError:
        return [f"{_POSITION}{row}" for row in run.row.tolist()]


def is_position(key: str) -> bool:
    """Return whether a key only says where a row stands, so that in another table it would name another row."""
    return key.startswith(_POSITION)


def add_keys(report: dict[str, Any], scores: pa.Table, dataset: Dataset) -> None:
    """Give the listed suspects of a report the keys of their rows, under which decisions are kept; not in tables of
    more than MOST_KEYED rows. Those of a table that stays in its files are known by their ids alone."""
    if not report["suspects"] or scores.num_rows > MOST_KEYED:
        return
    run = loaded_run(report, scores, dataset)
    if isinstance(dataset.train.table.data, StreamedTable):
        run = replace(run, find_train=lambda: None)
    keys = dict(zip(run.row.tolist(), own_keys(run), strict=True))
    for suspect in report["suspects"]:
        if not is_position(keys[suspect["row"]]):
            suspect["key"] = keys[suspect["row"]]


def _shared_keys(runs: Sequence[LoadedRun]) -> tuple[str, list[list[str]]]:
    """Find what tells rows apart in all of `runs`, and for each of them its (N,) keys, all different."""
    names = [tuple(sorted(name for name in run.ids if not is_unnamed(name))) for run in runs]
    if not names[0] or len(set(names)) > 1:
        return _content_keys(runs)
    keys = [_joined([run.ids[name] for name in names[0]]) for run in runs]
    repeated = _repeated(keys) | {json.dumps([None] * len(names[0]))}
    if not any(key in repeated for own in keys for key in own):
        return "ids", keys
    contents = _contents(runs)
    if contents is None:
        said = "; ".join(_repeats(run, own, repeated) for run, own in zip(runs, keys, strict=True))
        raise UsageError(
            f"rows cannot be matched by {join_names(names[0])}, whose values repeat ({said.strip('; ')}), nor by "
            "their content, since a table is no longer at the path where it was scored: put it back, or score with an "
            "--id that is different in every row"
        )
    longer = [
        [f"{key} {content}" if key in repeated else key for key, content in zip(own, found, strict=True)]
        for own, found in zip(keys, contents, strict=True)
    ]
    return "ids+content", _distinguished(runs, longer)


def _content_keys(runs: Sequence[LoadedRun]) -> tuple[str, list[list[str]]]:
    contents = _contents(runs)
    if contents is not None:
        return "content", _distinguished(runs, contents)
    digests = {run.report["data"]["tables"]["train"].get("sha256") for run in runs}
    if len(runs) > 1 and len(digests) == 1 and None not in digests:
        return "row", [[str(row) for row in run.row.tolist()] for run in runs]
    raise UsageError(
        "rows cannot be matched: the runs have no id columns in common, and a table is no longer at the path "
        "where it was scored, or was in memory: put it back, or score both with --id"
    )


def _distinguished(runs: Sequence[LoadedRun], keys: list[list[str]]) -> list[list[str]]:
    """Keys that repeat in any run with the label and, for rows equal in that too, a number: such rows are copies, and
    any of them is as good as another."""
    repeated = _repeated(keys)
    result = []
    for run, own in zip(runs, keys, strict=True):
        seen: Counter[str] = Counter()
        labelled = []
        for key, label in zip(own, run.given, strict=True):
            if key in repeated:
                key = f"{key} {json.dumps(label)}"
                seen[key] += 1
                key = f"{key} {seen[key]}"
            labelled.append(key)
        result.append(labelled)
    return result


def _repeated(keys: Sequence[Sequence[str]]) -> set[str]:
    return {key for own in keys for key, count in Counter(own).items() if count > 1}


def _repeats(run: LoadedRun, keys: Sequence[str], repeated: set[str]) -> str:
    """Return `main.csv: '17' in 3 rows, '4' in 2 rows and 70 more`."""
    counts = [(key, count) for key, count in Counter(keys).items() if key in repeated]
    if not counts:
        return ""
    shown = [
        f"{', '.join('missing' if cell is None else quote(cell) for cell in json.loads(key))} in {pluralize(n, 'row')}"
        for key, n in counts[:NAMED]
    ]
    more = f" and {len(counts) - NAMED:,} more" if len(counts) > NAMED else ""
    return f"{format_name(run.name)}: {', '.join(shown)}{more}"


def _contents(runs: Sequence[LoadedRun]) -> list[list[str]] | None:
    """Return, for each run, (N,) hashes of the cells that all tables have, label and ids aside; None where a table is
    not at hand or they have no such column in common."""
    tables = [run.train for run in runs]
    names: set[str] | None = None
    for run, table in zip(runs, tables, strict=True):
        if table is None:
            return None
        own = _content_columns(table, run.report["data"]["roles"]["label"])
        names = own if names is None else names & own
    if not names:
        return None
    found = []
    for run, table in zip(runs, tables, strict=True):
        assert table is not None
        hashes = hash_rows(table, names)
        found.append([hashes[row] for row in run.row.tolist()])
    return found


def _content_columns(table: Table, label: str) -> set[str]:
    return {name for name in table.column_names if name != label and not is_unnamed(name)}


def hash_rows(table: Table, names: Iterable[str]) -> list[str]:
    """Return a hash (N,) of the cells of some columns of each row."""
    columns = [table.data[name].combine_chunks() for name in sorted(names)]

    def hash_block(rows: slice) -> list[str]:
        length = rows.stop - rows.start
        keys = row_keys((as_text(column.slice(rows.start, length)) for column in columns), length)
        return [f"{key:016x}" for key in keys.tolist()]

    return [key for block in share(row_blocks(table.rows), hash_block) for key in block]


def hash_cells(table: Table, label: str, row: int, cells: Mapping[str, str]) -> str:
    """The hash that `Identity.contents` will have for a row once some cells are others, as text."""
    names = sorted(_content_columns(table, label))
    columns = []
    for name in names:
        own = as_text(table.data[name].slice(row, 1).combine_chunks())
        columns.append(pa.array([cells[name] or None], own.type) if name in cells else own)
    return f"{row_keys(columns, 1)[0]:016x}"


def _edited(first: LoadedRun, second: LoadedRun, pairs: Sequence[tuple[int, int]]) -> list[int] | None:
    contents = _contents([first, second])
    if contents is None:
        return None
    return [j for i, j in pairs if contents[0][i] != contents[1][j]]


def _joined(columns: Sequence[Sequence[str | None]]) -> list[str]:
    return [json.dumps(cells) for cells in zip(*columns, strict=True)]


def same_label(one: str | None, other: str | None) -> bool:
    """Return whether labels are the same: `1` and `1.0` are one label in two formats of a file."""
    if one == other or one is None or other is None:
        return one == other
    try:
        return float(one) == float(other)
    except ValueError:
        return False


def row_mask(rows: int, indices: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Return a mask (rows,) that is True at `indices`."""
    mask = np.zeros(rows, np.bool_)
    mask[np.asarray(indices, np.int64)] = True
    return mask
