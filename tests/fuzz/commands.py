"""Settings files, option combinations and run directories."""

from __future__ import annotations

import json
from typing import Any

import typer
from hypothesis import strategies as st

from lossval_cli.checks.evaluate import KINDS_OF_RULE
from lossval_cli.cli import options
from lossval_cli.cli.app import app
from lossval_cli.cli.check_outputs import OutputFormat
from lossval_cli.settings import Settings
from tests.fuzz.tables import HOSTILE, damaged

SHORT = {"effort": "low", "epochs": "1", "members": "1", "folds": "1", "hidden": "4", "layers": "2", "device": "cpu"}
"""Training that is over at once."""

UNBOUNDED = ("epochs", "members", "hidden", "layers", "threads", "folds")
"""Settings that are allowed to take hours or gigabytes."""

SCALARS = st.one_of(
    st.sampled_from(["auto", "0", "1", "-1", "0.5", "1e400", "nan", "inf", "true", "", "cross_entropy", "huber"]),
    st.sampled_from(HOSTILE),
    st.text(max_size=6),
)

LIMITS = st.sampled_from(
    ["5%", "0", "20", ":3%", "5%:3%", "3%:5%", "101%", "-1", "1e99", "x", "", ":", "1/0", "yes=3%"]
)

FILES = (
    "train.csv",
    "val.csv",
    "t.parquet",
    "base.lossval",
    "other.lossval",
    "s.toml",
    "missing.csv",
    "-",
    ".",
    "",
)

COMMANDS: dict[str, Any] = {
    name: command
    for name, command in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]
    if name != "demo"  # two thousand rows with the default settings, whatever is asked
}


def small(value: str) -> bool:
    """Whether a value is not a number that an unbounded setting would take at its word."""
    try:
        return not float(value) > 8
    except ValueError:
        return True


@st.composite
def assignments(draw: st.DrawFn) -> str:
    """`--set` text, seldom a sensible one."""
    key = draw(st.sampled_from([*Settings.knobs(), "epoch", "", "blur ", "preset"]))
    value = draw(SCALARS.filter(small) if key.strip() in UNBOUNDED else SCALARS)
    if key == "preset":  # thorough and paper are slow on purpose
        value = draw(st.sampled_from(["default", "fast", "none", ""]))
    return f"{key}={value}" if draw(st.integers(0, 9)) else key + value


TOML_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.integers(-2, 2) | st.floats() | st.booleans() | SCALARS | st.just(2**70),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def toml_files(draw: st.DrawFn) -> bytes:
    """A settings file: known and unknown keys, values of every type, a [check] table, damage."""
    lines = []
    keys = st.sampled_from([*(key for key in Settings.knobs() if key not in (*UNBOUNDED, "preset")), "epoch", "check"])
    for key in draw(st.lists(keys, max_size=4, unique=draw(st.integers(0, 9)) > 0)):
        lines.append(f"{key} = {_toml(draw(TOML_VALUES))}")
    if draw(st.booleans()):
        lines.append("[check]")
        for key in draw(st.lists(st.sampled_from([*KINDS_OF_RULE, "baseline", "strict", "max_suspect"]), max_size=3)):
            lines.append(f"{key} = {_toml(draw(TOML_VALUES | LIMITS))}")
    return damaged(draw, "\n".join(lines).encode("utf-8", "surrogatepass"))


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value).replace("\x7f", "\\u007f")


@st.composite
def option_lines(draw: st.DrawFn) -> list[str]:
    """Arguments for any command, from the options that it says it has."""
    name = draw(st.sampled_from(sorted(COMMANDS)))
    line = [name]
    settable = False
    for option in COMMANDS[name].params:
        if option.param_type_name == "argument":
            times = draw(st.integers(0, 2)) if option.nargs == -1 else int(draw(st.integers(0, 19)) > 0)
            line += [draw(st.sampled_from(FILES)) for _ in range(times)]
            continue
        settable |= option.name == "assignments"
        if draw(st.integers(0, 7)) or option.name in ("help", "threads", "preset"):
            continue
        flag = draw(st.sampled_from(option.opts))
        if option.is_flag:
            line.append(flag)
        else:
            line += [flag, draw(_values(option.name))]
    if settable:
        line += [part for key, value in SHORT.items() for part in ("--set", f"{key}={value}")]
    if draw(st.integers(0, 9)) == 0:
        line.insert(draw(st.integers(0, len(line))), draw(st.sampled_from([*HOSTILE, "--", "--help", "--nope", "-o"])))
    return [part.replace("\0", "") for part in line]


CHOICES = {
    "removal": options.Removal,
    "form": options.Format,
    "sort": options.Sort,
    "progress": options.ProgressMode,
    "output_format": OutputFormat,
}


def _values(name: str) -> st.SearchStrategy[str]:
    if name in CHOICES:
        return st.sampled_from([*CHOICES[name], "nope"])
    if name.startswith(("max_", "min_")):
        return LIMITS
    if name == "assignments":
        return assignments()
    if name in ("val", "test", "config", "baseline", "table", "old", "new"):
        return st.sampled_from(FILES)
    if "output" in name:
        return st.sampled_from(
            ["-", "out", "out.csv", "out.parquet", "out.jsonl.gz", "no/out", "..", "", "a\nb", "x" * 300]
        )
    columns = st.sampled_from(["label", "size", "customer", "age", "lable", "rank", "row,rank", *HOSTILE[:20]])
    return columns | SCALARS


@st.composite
def run_files(draw: st.DrawFn, whole: dict[str, bytes]) -> dict[str, bytes]:
    """A run directory, one or two files of it gone, damaged or with other values in their JSON."""
    files = dict(whole)
    for name in draw(st.lists(st.sampled_from(sorted(whole)), min_size=1, max_size=2, unique=True)):
        way = draw(st.integers(0, 4))
        if way == 0:
            del files[name]
        elif way == 1 or not name.endswith(".json"):
            files[name] = damaged(draw, whole[name], most=5)
        else:
            content = json.loads(whole[name])
            for _ in range(draw(st.integers(1, 3))):
                _change(draw, content)
            files[name] = json.dumps(content).encode()
    return files


def _change(draw: st.DrawFn, content: Any) -> None:
    """One value somewhere in a JSON document becomes another, or goes."""
    while True:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        if isinstance(content[key], dict | list) and draw(st.integers(0, 3)):
            content = content[key]
            continue
        if draw(st.integers(0, 2)) == 0:
            del content[key]
        else:
            content[key] = draw(
                st.none()
                | st.booleans()
                | st.integers()
                | st.floats(allow_nan=False)
                | SCALARS
                | st.just([])
                | st.just({})
            )
        return
