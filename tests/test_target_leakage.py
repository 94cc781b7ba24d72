"""A column that tells the label almost perfectly is named; strong features are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome

from lossval_cli.features.dataset import load_dataset
from lossval_cli.features.target_leakage import TargetLeakage
from lossval_cli.settings import Settings

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(17)
N = 1000
X, Z = RNG.normal(size=(2, N))
WRONG = np.zeros(N, bool)
WRONG[RNG.choice(N, 50, replace=False)] = True
Y = (X + Z > 0) ^ WRONG
RARE = np.arange(N) >= N - 15


def leakage(**columns: object) -> TargetLeakage | None:
    return load_dataset(pd.DataFrame(columns), None, settings=Settings()).target_leakage


LEAKS: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "a code of the label": ({"x": X, "code": np.where(Y, 17, 4), "label": Y}, ("code",)),
    "a category of the label": ({"x": X, "code": np.where(Y, "closed", "open"), "label": Y}, ("code",)),
    "a number on one side of a threshold": ({"x": X, "fee": np.where(Y, 5, -5) + X / 9, "label": Y}, ("fee",)),
    "two flags together": (
        {"x": X, "a": Y | (Z > 1), "b": Y | (Z <= 1), "label": np.where(Y, "yes", "no")},
        ("a", "b"),
    ),
    "the target in another unit": ({"x": X, "pence": 100 * np.exp(Z), "label": np.exp(Z)}, ("pence",)),
    "a target that is a sum": ({"x": X, "part": X**3, "rest": Z, "label": X**3 + Z}, ("part", "rest")),
    "a target that is a product": (
        {"noise": RNG.normal(size=N), "price": np.exp(X), "count": np.exp(Z), "label": np.exp(X + Z)},
        ("price", "count"),
    ),
}


@pytest.mark.parametrize("case", LEAKS)
def test_a_column_or_two_that_tell_the_label_are_named(case: str) -> None:
    columns, names = LEAKS[case]
    found = leakage(**columns)
    assert found is not None
    assert found.is_almost_perfect
    assert sorted(found.columns) == sorted(names)


HARMLESS: dict[str, dict[str, object]] = {
    "features that explain the label together": {"x": X, "z": Z, "label": X + Z > 0},
    "a strong feature with exceptions": {"x": X, "z": Z, "label": (X > 0) ^ WRONG},
    "classes that are rare": {"x": X + 4 * RARE, "z": Z + 4 * RARE, "label": np.where(RARE, "fraud", "fine")},
    "a column of chance": {"x": X, "label": RNG.choice(["a", "b"], N)},
    "a target with noise": {"x": X, "z": Z, "label": 3 * X + Z + 0.1 * RNG.normal(size=N)},
    "a target that is strongly correlated": {"x": X, "label": X + 0.05 * RNG.normal(size=N)},
    "ten separate classes in two columns": {
        "x": 9 * np.cos(np.arange(N) % 10) + X,
        "z": 9 * np.sin(np.arange(N) % 10) + Z,
        "label": np.arange(N) % 10,
    },
}


@pytest.mark.parametrize("case", HARMLESS)
def test_strong_features_are_no_leak(case: str) -> None:
    found = leakage(**HARMLESS[case])
    assert found is None or not found.is_almost_perfect


def test_the_leak_is_reported_and_a_gate_can_refuse_it(cli: Callable[..., Outcome], quick: tuple[str, ...]) -> None:
    frame = pd.DataFrame({"x": X, "z": Z, "outcome_code": np.where(Y, 17, 4), "label": np.where(Y, "yes", "no")})
    frame[:200].to_csv("leak.csv", index=False)
    outcome = cli("check", "leak.csv", *quick, "--max-suspects", "100%", "--max-target-leakage", "99%")
    assert outcome.code == 1
    assert (
        "column outcome_code alone predicts the label almost perfectly (100% of held-out rows right); if it is "
        "known only after the label, it hides wrong labels: leave it out with --exclude outcome_code"
    ) in outcome.err
    without = ("--exclude", "outcome_code", "--max-suspects", "100%", "--max-target-leakage", "99%")
    assert cli("check", "leak.csv", *quick, *without).code == 0
