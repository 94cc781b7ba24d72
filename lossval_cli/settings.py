"""Every setting once: default, kind, range and why.

A setting has the same name in `--set`, in TOML and in Python. `auto` (None in Python) leaves the choice to
the method, which knows the task and the size of the table. All problems are reported together.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lossval_cli.errors import SettingsError
from lossval_cli.presets import Origin, read_layers
from lossval_cli.text.format import did_you_mean
from lossval_cli.text.quantities import parse_share

SMALL_TABLE, MEDIUM_TABLE = 5_000, 20_000
"""Rows up to which a table gets more members than a larger one."""

NETWORKS = "networks"
"""The model that the method trains itself."""

EPOCHS = {"low": 12, "default": 25, "high": 25}
"""Passes over a table of up to SMALL_TABLE rows."""

MOST_EPOCHS = {"low": 12, "default": 20, "high": 25}
"""Passes over a larger table, at most: its batches are smaller, so that a pass makes more steps."""

VISITS = {"low": 125_000, "default": 250_000, "high": 1_000_000}
"""Rows times epochs of larger tables: what ranking needs is steps, not passes."""

MIN_EPOCHS = 3

TREES = {"low": 1 / 3, "default": 1.0, "high": 2.0}
"""Trees of the noise estimate, as a multiple of the default."""


@dataclass(frozen=True)
class Knob:
    """Allowed values of one setting. Ranges include their ends; `auto` says that None is allowed."""

    kind: type
    why: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    auto: bool = False

    def read(self, value: object) -> object:
        """Read `value` as this setting's kind; ValueError, in words that follow the setting's name, if it cannot
        be."""
        if value is None or value == "auto":
            # `auto` may also be a choice in its own right (task, device).
            if self.auto:
                return None
            if value is None:
                raise ValueError("needs a value")
        wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[self.kind]
        if self.kind is bool and isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if isinstance(value, str) and self.kind in (int, float):
            is_percent = self.kind is float and value.rstrip().endswith("%")
            try:
                value = float(parse_share(value)) if is_percent else self.kind(value)
            except ValueError:
                raise ValueError(f"must be {self.range() if is_percent else wanted}, not {value!r}") from None
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, self.kind) or (isinstance(value, bool) and self.kind is not bool):
            raise ValueError(f"must be {wanted}, not {value!r}")
        if isinstance(value, int | float) and not self.low <= value <= self.high:
            raise ValueError(f"must be {self.range()}, not {value:g}")
        if self.choices and value not in self.choices:
            hint = did_you_mean(str(value), self.choices, "; ")
            raise ValueError(f"must be one of {', '.join(self.choices)}, not {value!r}{hint}")
        return value

    def range(self) -> str:
        """Describe in words what is allowed."""
        if self.choices:
            return " | ".join(self.choices)
        if self.kind in (str, bool):
            return "text" if self.kind is str else "true | false"
        form = ",d" if self.kind is int else "g"
        if math.isinf(self.high):
            return f"at least {self.low:{form}}"
        return f"from {self.low:{form}} to {self.high:{form}}"


def _knob(default: object, kind: type, why: str, **limits: Any) -> Any:
    return field(default=default, metadata={"knob": Knob(kind, why, **limits)})


class Schedule(NamedTuple):
    """Length of training, and its steps."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_learning_rate: float


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one run, checked."""

    preset: str = _knob("default", str, "named set of settings that the others start from")
    effort: str = _knob(
        "default",
        str,
        "quality against time: members, folds and epochs where nothing else sets them, and trees of the noise estimate",
        choices=("low", "default", "high"),
    )
    task: str = _knob(
        "auto",
        str,
        "kind of label; auto decides by its values",
        choices=("auto", "classification", "regression"),
    )
    method: str = _knob(
        "lossval",
        str,
        "lossval: whole-set transport and cross-fitted loss; paper: the published algorithm to the letter",
        choices=("lossval", "paper"),
    )
    model: str = _knob(
        NETWORKS,
        str,
        "what predicts the labels, out-of-fold: networks, boosting, forest, linear, or package.module:factory of your "
        "own, which is imported and run",
    )
    objective: str = _knob(
        "product",
        str,
        "objective to minimise: L·OT^p, or an ablation of it",
        choices=("product", "loss", "transport", "additive"),
    )
    ot_power: int = _knob(2, int, "p, the power of the transport cost in the objective", low=0, high=2)
    ot_absolute: bool = _knob(False, bool, "method paper: |OT|, as in the code behind the published tables")
    loss: str | None = _knob(
        None,
        str,
        "the per-row loss: a name, or package.module:function of (predictions, targets), which is imported and run; "
        "auto is cross_entropy for classes, cumulative_cross_entropy for ordered ones, huber(0.5) for numbers",
        auto=True,
    )
    epochs: int | None = _knob(
        None,
        int,
        "passes over the training rows; auto is 25 (effort low: 12), usually fewer of more than 5,000 rows, at least 3",
        low=1,
        high=100_000,
        auto=True,
    )
    batch_size: int | None = _knob(
        None,
        int,
        "rows per step; auto is about an eighth of the rows, from 32 to 1,024; of more than 5,000 rows 256 to 1,024",
        low=1,
        high=1_000_000,
        auto=True,
    )
    learning_rate: float = _knob(
        0.003, float, "peak step size of the network; larger where auto epochs are fewer", low=1e-6, high=10
    )
    weight_learning_rate: float = _knob(
        0.01,
        float,
        "step size of the log-weights, per epoch and unit of relative loss; larger where auto epochs are fewer",
        low=0,
        high=10,
    )
    weight_decay: float = _knob(0.01, float, "decoupled weight decay of the network (AdamW)", low=0, high=10)
    dropout: float = _knob(0.0, float, "share of hidden units dropped per step", low=0, high=0.9)
    layers: int | None = _knob(
        None,
        int,
        "linear maps from input to output; auto is 3 (paper: 5 for classes)",
        low=1,
        high=100,
        auto=True,
    )
    hidden: int | None = _knob(
        None,
        int,
        "units per hidden layer; auto is 100 (paper: 90 for numbers)",
        low=1,
        high=10_000,
        auto=True,
    )
    activation: str | None = _knob(
        None,
        str,
        "activation between layers; auto is silu (paper: relu for classes, tanh for numbers)",
        choices=("relu", "tanh", "gelu", "silu"),
        auto=True,
    )
    members: int | None = _knob(
        None,
        int,
        "networks trained together, whose spread is importance_std; auto is 16, above 5,000 rows 8, above 20,000 6",
        low=1,
        high=256,
        auto=True,
    )
    folds: int | None = _knob(
        None,
        int,
        "each row is scored by the members that did not train on its fold; 1 scores in-sample; auto is half "
        "the members",
        low=1,
        high=64,
        auto=True,
    )
    blur: float = _knob(
        0.55,
        float,
        "method lossval: entropic blur, as a share of the median distance train to validation; "
        "method paper: a length in units of the encoded features",
        low=1e-3,
        high=100,
    )
    max_anchors: int = _knob(
        5_000,
        int,
        "most validation rows in the transport; a larger table is represented by a sample",
        low=10,
        high=1_000_000,
    )
    metric: str | None = _knob(
        None,
        str,
        "metric of the removal study; auto is accuracy for classes, rmse for numbers",
        choices=("accuracy", "macro_f1", "log_loss", "auroc", "rmse", "mae", "r2"),
        auto=True,
    )
    val_fraction: float = _knob(
        0.2, float, "share of training rows held out when there is no --val", low=0.01, high=0.9
    )
    expect_noise: float | None = _knob(
        None,
        float,
        "share of wrong labels that you expect, such as 20%; auto: as the table shows",
        low=0.001,
        high=0.9,
        auto=True,
    )
    header: bool | None = _knob(
        None, bool, "whether the first line of a CSV file holds the column names; auto expects it to", auto=True
    )
    comment: str | None = _knob(
        None, str, "lines of a CSV file that begin with this are left out; auto: # lines above the header", auto=True
    )
    encoding: str | None = _knob(
        None, str, "encoding of a CSV file; auto is UTF-8, UTF-16 or what the letters look like", auto=True
    )
    missing: str | None = _knob(
        None, str, "words that mean missing, separated by commas; auto: see docs/tables.md; empty: none", auto=True
    )
    decimal: str | None = _knob(None, str, "decimal mark of numbers, . or ,; auto: by the cells", auto=True)
    thousands: str | None = _knob(
        None, str, "mark between groups of digits: . or , or ' or space or none; auto: by the cells", auto=True
    )
    date_format: str | None = _knob(None, str, "DMY, MDY or a format such as %d/%m/%Y; auto: by the cells", auto=True)
    seed: int = _knob(0, int, "random seed", low=0, high=2**63 - 1)
    device: str = _knob("auto", str, "auto, cpu, cuda or cuda:N")
    threads: int | None = _knob(
        None,
        int,
        "CPU threads; auto is what PyTorch chooses; the same number gives identical results",
        low=1,
        high=1024,
        auto=True,
    )

    @classmethod
    def knobs(cls) -> dict[str, Knob]:
        """Return all settings by name, in the order of this file."""
        return {item.name: item.metadata["knob"] for item in dataclasses.fields(cls)}

    @classmethod
    def resolve(
        cls,
        preset: str | None = None,
        config: str | Path | Mapping[str, object] | None = None,
        overrides: Mapping[str, object] | Sequence[str] = (),
    ) -> Settings:
        """Preset, then `config` (TOML, or what was read from it), then `overrides` (a mapping, or `key=value`
        texts); the later wins. The tables `check` and `columns` of a file are read elsewhere.

        Raises UsageError for a preset or file that is not there and SettingsError with every problem found.
        """
        problems: list[str] = []
        layers = read_layers(preset, config, overrides, problems)
        knobs = cls.knobs()
        read: dict[str, Any] = {}
        for key, value in {key: value for layer in layers.values() for key, value in layer.items()}.items():
            if key not in knobs:
                hint = did_you_mean(key, knobs) or f"settings are {', '.join(knobs)}"
                problems.append(f"setting {key!r} is unknown: {hint}")
                continue
            try:
                read[key] = knobs[key].read(value)
            except ValueError as error:
                problems.append(f"setting {key} {error}")
        if problems:
            raise SettingsError(problems)
        settings = cls(**read)
        problems += settings._contradictions()
        if problems:
            raise SettingsError(problems)
        return settings

    @classmethod
    def origins(
        cls,
        preset: str | None = None,
        config: str | Path | Mapping[str, object] | None = None,
        overrides: Mapping[str, object] | Sequence[str] = (),
    ) -> dict[str, Origin]:
        """Return where `resolve` finds each setting, by name."""
        found: dict[str, Origin] = dict.fromkeys(cls.knobs(), "built in")
        for origin, layer in read_layers(preset, config, overrides, []).items():
            found |= dict.fromkeys(layer, origin)
        return found

    def _contradictions(self) -> list[str]:
        problems = []
        if self.objective == "transport" and self.ot_power == 0:
            problems.append("setting ot_power 0 leaves objective transport nothing to minimise: use 1 or 2")
        if self.method == "paper" and self.model != NETWORKS:
            problems.append("setting model: method paper trains its own network: leave model out")
        if self.method == "lossval" and 1 < (self.members or math.inf) < (self.folds or 1):
            problems.append(
                f"setting folds ({self.folds}) is more than members ({self.members}): "
                "no member would score some of the rows"
            )
        return problems

    def ensemble_size(self, rows: int) -> tuple[int, int]:
        """Members and folds for a table of `rows` rows, where they are left to the method.

        Small tables make unsteady networks, of which more are needed, and training them takes no time.
        """
        usual = 16 if rows <= SMALL_TABLE else 8 if rows <= MEDIUM_TABLE else 6
        members = self.members or max(usual, self.folds or 1)
        return members, self.folds or min(members, max(2, members // 2))

    def schedule(self, rows: int) -> Schedule:
        """Choose how long training takes for a table of `rows` rows, where that is left to the method.

        With fewer epochs, steps are larger: those of the weights in proportion, so that importance spreads as far,
        and those of the networks by the square root.
        """
        epochs = self.epochs
        usual = EPOCHS[self.effort]
        if epochs is None:
            fewer = min(MOST_EPOCHS[self.effort], max(MIN_EPOCHS, round(VISITS[self.effort] / rows)))
            epochs = fewer if rows > SMALL_TABLE else usual
        fewer_by = usual / epochs if self.epochs is None else 1.0
        return Schedule(
            epochs,
            min(rows, self.batch_size or _batch_size(rows)),
            self.learning_rate * math.sqrt(fewer_by),
            self.weight_learning_rate * fewer_by,
        )

    def tree_factor(self) -> float:
        """Return the number of trees of forests, as a multiple of their default."""
        return TREES[self.effort]

    def as_dict(self) -> dict[str, Any]:
        """Name -> value in the order of this file, None where the method chooses."""
        return dataclasses.asdict(self)


def _batch_size(rows: int) -> int:
    """A power of two: about an eighth of the rows from 32 to 1,024; of a large table, which makes fewer passes, from
    256."""
    if rows > SMALL_TABLE:
        return int(2 ** min(10, max(8, round(math.log2(rows / 160)))))
    return int(2 ** min(10, max(5, round(math.log2(rows / 8)))))
